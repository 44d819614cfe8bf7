//! The requests of the known services, including secrets. Pure.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::super::Severity;
use super::super::notice::{AlertPhase, Message, hash};
use super::super::settings::Preset;

/// A web request without its method.
#[derive(Clone, PartialEq, Eq)]
pub struct Call {
    /// Where to. May be a secret.
    pub url: String,
    /// The headers. May hold secrets.
    pub headers: Vec<(String, String)>,
    /// The body. May hold secrets.
    pub body: String,
}

/// The address and the token of a service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Address<'a> {
    pub(super) url: &'a str,
    pub(super) token: Option<&'a SecretString>,
}

impl Preset {
    /// Returns the request for a message, with the configured `url`, and with `token` and receiver `to` for services
    /// that need them.
    #[must_use]
    pub fn call(self, message: &Message, url: &str, token: Option<&SecretString>, to: Option<&str>) -> Call {
        let address = Address { url, token };
        match self {
            Self::Ntfy => ntfy(message, address),
            Self::Slack => {
                let link = message.login_url.as_ref().map(|url| format!("\n<{}|Log in>", slack(url)));
                let text = format!("{} *{}*\n{}", mark(message), slack(&message.title), slack(&message.text));
                let text = text + &link.unwrap_or_default();
                address.json(&json!({ "text": text }))
            }
            Self::Discord => {
                let link = message.login_url.as_ref().map(|url| format!("[Log in](<{url}>)\n")).unwrap_or_default();
                let text = format!("{} **{}**\n{link}{}", mark(message), message.title, message.text);
                // An @ in the text must not mention a user.
                address.json(&json!({ "content": cut(&text, 2000), "allowed_mentions": { "parse": [] } }))
            }
            Self::Telegram => {
                let url = format!("{}/bot{}/sendMessage", url.trim_end_matches('/'), address.token());
                let text = format!("{} {}\n{}", mark(message), message.title, message.text);
                let mut body = json!({
                    "chat_id": to.unwrap_or_default(),
                    "text": cut(&text, 4096),
                    "link_preview_options": { "is_disabled": true },
                });
                if let Some(url) = &message.login_url {
                    body["reply_markup"] = json!({ "inline_keyboard": [[{ "text": "Log in", "url": url }]] });
                }
                Address { url: &url, token: None }.json(&body)
            }
            Self::Pushover => {
                let mut body = json!({
                "token": address.token(),
                "user": to.unwrap_or_default(),
                "title": cut(&message.title, 250),
                "message": cut(&message.text, 1024),
                "priority": match message.urgency() {
                    Severity::Error => 1,
                    Severity::Warning => 0,
                    Severity::Info => -1,
                },
                "timestamp": message.notified_at.as_second(),
                });
                if let Some(url) = &message.login_url {
                    (body["url"], body["url_title"]) = (json!(url), json!("Log in"));
                }
                address.json(&body)
            }
            Self::Gotify => {
                let priority = match message.urgency() {
                    Severity::Error => 8,
                    Severity::Warning => 5,
                    Severity::Info => 3,
                };
                let mut body = json!({ "title": message.title, "message": message.text, "priority": priority });
                if let Some(url) = &message.login_url {
                    body["extras"] = json!({ "client::notification": { "click": { "url": url } } });
                }
                let mut call = address.json(&body);
                call.headers.push(("X-Gotify-Key".to_owned(), address.token().to_owned()));
                call
            }
            Self::PagerDuty => address.json(&pagerduty(message, address)),
            Self::Json => {
                let mut call = address.json(&json!(message));
                call.headers.extend(address.bearer());
                call
            }
        }
    }
}

impl Call {
    /// Makes an emergency of Pushover's message: it rings each minute until a human acknowledges it there.
    pub(super) fn into_emergency(self, message: &Message) -> Self {
        let mut body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        body["priority"] = json!(2);
        (body["retry"], body["expire"]) = (json!(RETRY_S), json!(EXPIRE_S));
        body["tags"] = json!(hash(&message.id));
        Self { body: body.to_string(), ..self }
    }

    /// The request that ends the emergencies of an alert at Pushover.
    pub(super) fn cancelling(self, message: &Message) -> Self {
        let token = serde_json::from_str::<Value>(&self.body).unwrap_or_default()["token"].clone();
        let base = self.url.trim_end_matches("messages.json");
        let url = format!("{base}receipts/cancel_by_tag/{}.json", hash(&message.id));
        Self { url, body: json!({ "token": token }).to_string(), ..self }
    }
}

fn ntfy(message: &Message, address: Address<'_>) -> Call {
    let (priority, tag) = match message.urgency() {
        Severity::Error => ("urgent", "rotating_light"),
        Severity::Warning => ("high", "warning"),
        Severity::Info if message.phase == AlertPhase::Resolved => ("default", "white_check_mark"),
        Severity::Info => ("default", "information_source"),
    };
    let mut headers = vec![
        ("Content-Type".to_owned(), "text/plain; charset=utf-8".to_owned()),
        ("Title".to_owned(), message.title.clone()),
        ("Priority".to_owned(), priority.to_owned()),
        ("Tags".to_owned(), tag.to_owned()),
        // A second copy of a message replaces the first.
        ("X-Sequence-ID".to_owned(), message.delivery_id()),
    ];
    headers.extend(message.login_url.iter().map(|url| ("Click".to_owned(), url.clone())));
    headers.extend(address.bearer());
    Call { url: address.url.to_owned(), headers, body: message.text.clone() }
}

fn pagerduty(message: &Message, address: Address<'_>) -> Value {
    let action = match message.phase {
        AlertPhase::Raised | AlertPhase::Repeated | AlertPhase::Test => "trigger",
        AlertPhase::Acknowledged => "acknowledge",
        AlertPhase::Resolved | AlertPhase::Withdrawn | AlertPhase::Replaced => "resolve",
    };
    let mut payload = json!({
        "summary": cut(&message.title, 1024),
        "source": message.host,
        "severity": message.severity.name(),
        "timestamp": message.notified_at,
        "component": message.gateway.as_ref().or(message.channel.as_ref()),
        "class": message.code,
        "custom_details": {
            "summary": message.summary,
            "to do": message.action,
            "since": message.since,
            "lasted": message.lasted,
            "address": message.url,
        },
    });
    without_nulls(&mut payload);
    let links: Vec<Value> = message.login_url.iter().map(|url| json!({ "href": url, "text": "Log in" })).collect();
    json!({
        "routing_key": address.token(),
        "event_action": action,
        "dedup_key": message.id,
        "client": "tickled",
        "links": links,
        "payload": payload,
    })
}

/// Leaves out the fields without a value: PagerDuty wants a text or no field.
fn without_nulls(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|_, value| !value.is_null());
        fields.values_mut().for_each(without_nulls);
    }
}

impl Address<'_> {
    fn json(self, body: &Value) -> Call {
        let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        Call { url: self.url.to_owned(), headers, body: body.to_string() }
    }

    fn token(&self) -> &str {
        self.token.map(ExposeSecret::expose_secret).unwrap_or_default()
    }

    fn bearer(&self) -> Option<(String, String)> {
        self.token.map(|token| ("Authorization".to_owned(), format!("Bearer {}", token.expose_secret())))
    }
}

/// Does not show the fields: they may hold secrets.
impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}

/// How often Pushover repeats an emergency, and for how long, in seconds.
const RETRY_S: u32 = 60;
const EXPIRE_S: u32 = 3600;

/// A coloured mark at the start of the text.
const fn mark(message: &Message) -> &'static str {
    match (message.phase, message.severity) {
        (AlertPhase::Raised | AlertPhase::Repeated, Severity::Error) => "🔴",
        (AlertPhase::Raised | AlertPhase::Repeated, Severity::Warning) => "🟠",
        (AlertPhase::Raised | AlertPhase::Repeated, Severity::Info) => "🔵",
        (AlertPhase::Resolved, _) => "🟢",
        (AlertPhase::Acknowledged | AlertPhase::Withdrawn | AlertPhase::Replaced | AlertPhase::Test, _) => "⚪",
    }
}

/// Escapes a text for Slack.
fn slack(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Truncates a text to the limit of a service.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most - 1).chain(['…']).collect(),
    }
}
