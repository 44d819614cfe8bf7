//! The channel that makes a web request.

use std::cell::RefCell;

use secrecy::{ExposeSecret, SecretString};

use super::super::Severity;
use super::super::notice::{AlertPhase, Message};
use super::super::outbox::Outcome;
use super::super::secret_file::SecretFile;
use super::super::secrets::Secrets;
use super::super::settings::{self, HttpMethod, Payload, Preset, Url};
use super::http::{HttpClient, ServiceAnswer, is_loopback};
use super::preset::Call;
use super::template::Template;

#[derive(Debug)]
pub(in crate::alert) struct WebhookChannel {
    settings: settings::WebhookSettings,
    http: HttpClient,
    template: Option<Result<Template, String>>,
    /// The chat of Telegram to which the configured one has moved.
    moved_to: RefCell<Option<String>>,
}

impl WebhookChannel {
    pub(super) fn new(settings: &settings::WebhookSettings) -> Self {
        let template = match &settings.payload {
            Payload::Body(body) => Some(Template::new(body)),
            Payload::Preset(_) => None,
        };
        let http = HttpClient::new(settings.ca_file.as_ref());
        Self { settings: settings.clone(), http, template, moved_to: RefCell::new(None) }
    }

    pub(super) async fn deliver(&self, message: &Message) -> Outcome {
        if self.settings.emergency && (message.phase.is_end() || message.phase == AlertPhase::Acknowledged) {
            let outcome = self.cancel(message).await;
            let is_silent = matches!(message.phase, AlertPhase::Acknowledged | AlertPhase::Replaced);
            if is_silent || !matches!(outcome, Outcome::Sent { .. }) {
                return outcome;
            }
        }
        let outcome = self.send(message).await;
        let opens_incident = matches!(self.settings.payload, Payload::Preset(Preset::PagerDuty));
        match outcome {
            // A plain test leaves no open incident. A test with priority stays open until it has woken the operator.
            Outcome::Sent { .. } if message.phase == AlertPhase::Test && opens_incident && message.code == "test" => {
                self.send(&Message { phase: AlertPhase::Resolved, ..message.clone() }).await
            }
            Outcome::Sent { answer, except } if message.phase == AlertPhase::Test && opens_incident => {
                Outcome::Sent { answer: format!("{answer}; resolve the incident there"), except }
            }
            outcome @ (Outcome::Sent { .. } | Outcome::TryAgain { .. } | Outcome::Refused { .. }) => outcome,
        }
    }

    async fn send(&self, message: &Message) -> Outcome {
        let answer = match self.ask(message).await {
            Ok((answer, secrets)) => (answer.json(), answer.outcome(&secrets)),
            Err(outcome) => return outcome,
        };
        let (body, outcome) = answer;
        let is_telegram = matches!(self.settings.payload, Payload::Preset(Preset::Telegram));
        match body.pointer("/parameters/migrate_to_chat_id").filter(|_| is_telegram) {
            Some(chat) if self.moved_to.borrow().is_none() => {
                let chat = chat.as_str().map_or_else(|| chat.to_string(), str::to_owned);
                self.moved_to.replace(Some(chat.clone()));
                match self.ask(message).await {
                    Ok((answer, secrets)) => match answer.outcome(&secrets) {
                        Outcome::Sent { answer, except } => {
                            let answer = format!("{answer}; the chat has moved: write to = \"{chat}\"");
                            Outcome::Sent { answer, except }
                        }
                        outcome @ (Outcome::TryAgain { .. } | Outcome::Refused { .. }) => outcome,
                    },
                    Err(outcome) => outcome,
                }
            }
            Some(_) | None => outcome,
        }
    }

    /// Ends the emergencies of an alert.
    async fn cancel(&self, message: &Message) -> Outcome {
        let mut secrets = Secrets::default();
        let call = match self.call(message, &mut secrets).await {
            Ok(call) => call.cancelling(message),
            Err(outcome) => return outcome,
        };
        match self.http.send(reqwest::Method::POST, &call, &secrets).await {
            Ok(answer) => answer.outcome(&secrets),
            Err(outcome) => outcome,
        }
    }

    async fn ask(&self, message: &Message) -> Result<(ServiceAnswer, Secrets), Outcome> {
        let mut secrets = Secrets::default();
        let call = self.call(message, &mut secrets).await?;
        let method = match self.settings.method {
            HttpMethod::Post => reqwest::Method::POST,
            HttpMethod::Put => reqwest::Method::PUT,
            HttpMethod::Get => reqwest::Method::GET,
        };
        let answer = self.http.send(method, &call, &secrets).await?;
        Ok((answer, secrets))
    }

    /// Builds the request for a message. Adds its secrets to `secrets`.
    async fn call(&self, message: &Message, secrets: &mut Secrets) -> Result<Call, Outcome> {
        let url = match &self.settings.url {
            Url::Plain(url) => SecretString::from(url.as_str()),
            Url::File(path) => {
                let url = secret(path).await?;
                secrets.add_url(url.expose_secret());
                url
            }
        };
        let token = match &self.settings.token_file {
            Some(path) => Some(secret(path).await?),
            None => None,
        };
        if let Some(token) = &token {
            secrets.add(token.expose_secret());
        }
        let moved_to = self.moved_to.borrow().clone();
        let (url, to) = (url.expose_secret(), moved_to.as_deref().or(self.settings.to.as_deref()));
        if token.is_some() && is_exposed(url) {
            let why = "plain http to another host would expose the token on the network: write https://";
            return Err(Outcome::Refused { why: why.to_owned() });
        }
        let in_header = self.settings.headers.iter().any(|header| header.contains(TOKEN));
        let mut call = match (&self.settings.payload, &self.template) {
            (Payload::Preset(preset), _) => {
                let call = preset.call(message, url, token.as_ref(), to);
                let is_loud = self.settings.emergency && message.urgency() == Severity::Error;
                if is_loud { call.into_emergency(message) } else { call }
            }
            (Payload::Body(_), Some(Ok(template))) => {
                let body = template.render(message).map_err(|why| refused(&why))?;
                let bearer = token.as_ref().map(|token| format!("Bearer {}", token.expose_secret()));
                let headers = [Some(("Content-Type".to_owned(), "application/json".to_owned()))];
                let bearer = bearer.map(|bearer| ("Authorization".to_owned(), bearer));
                Call { url: url.to_owned(), headers: headers.into_iter().chain([bearer]).flatten().collect(), body }
            }
            (Payload::Body(_), Some(Err(why))) => return Err(refused(why)),
            (Payload::Body(_), None) => return Err(refused("there is none")),
        };
        if in_header {
            call.headers.retain(|(known, _)| known != "Authorization");
        }
        call.headers.push(("Idempotency-Key".to_owned(), message.delivery_id()));
        let is_ntfy = matches!(self.settings.payload, Payload::Preset(Preset::Ntfy));
        let is_quiet = message.urgency() == Severity::Info;
        for header in &self.settings.headers {
            let Some((name, value)) = header.split_once(':') else { continue };
            let is_loud = is_ntfy && LOUD.contains(&name.trim().to_ascii_lowercase().as_str());
            // The end of an alert must not ring.
            if is_loud && is_quiet {
                continue;
            }
            let secret = token.as_ref().map(ExposeSecret::expose_secret).unwrap_or_default();
            call.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            call.headers.push((name.to_owned(), value.trim().replace(TOKEN, secret)));
        }
        Ok(call)
    }
}

async fn secret(path: &std::path::Path) -> Result<SecretString, Outcome> {
    // The file may be created while the alert waits.
    SecretFile::new(path).load().await.map_err(|error| Outcome::lasting(error.to_string()))
}

/// Whether requests to this address can be read by others: plain http to another host.
#[must_use]
pub fn is_exposed(url: &str) -> bool {
    reqwest::Url::parse(url).is_ok_and(|parsed| parsed.scheme() == "http" && !is_loopback(url))
}

fn refused(why: &str) -> Outcome {
    Outcome::refused(format!("the template of the body is wrong: {why}"))
}

/// The headers by which ntfy rings, writes mails or sets a priority of its own.
const LOUD: &[&str] =
    &["call", "x-call", "e", "e-mail", "email", "mail", "x-e-mail", "x-email", "p", "prio", "priority", "x-priority"];
/// Stands in a header of a webhook for the secret in its `token_file`.
pub const TOKEN: &str = "{token}";
