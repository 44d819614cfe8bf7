//! The channel that makes a web request.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::super::notice::{Message, Phase};
use super::super::outbox::Outcome;
use super::super::secret::SecretFile;
use super::super::settings::{self, Method, Payload, Url};
use super::TOKEN;
use super::http::Http;
use super::preset::Call;
use super::template::Template;

#[derive(Debug)]
pub(super) struct Webhook {
    settings: settings::Webhook,
    http: Http,
    template: Option<Result<Template, String>>,
}

impl Webhook {
    pub(super) fn new(settings: &settings::Webhook) -> Self {
        let template = match &settings.payload {
            Payload::Body(body) => Some(Template::new(body)),
            Payload::Preset(_) => None,
        };
        Self { settings: settings.clone(), http: Http::new(settings.ca_file.as_ref()), template }
    }

    pub(super) async fn deliver(&self, message: &Message) -> Outcome {
        let outcome = self.send(message).await;
        // A test leaves nothing open behind it.
        let leaves_open = matches!(self.settings.payload, Payload::Preset(settings::Preset::PagerDuty));
        if message.phase == Phase::Test && leaves_open && matches!(outcome, Outcome::Sent { .. }) {
            return self.send(&Message { phase: Phase::Resolved, ..message.clone() }).await;
        }
        outcome
    }

    async fn send(&self, message: &Message) -> Outcome {
        let call = match self.call(message).await {
            Ok(call) => call,
            Err(outcome) => return outcome,
        };
        let method = match self.settings.method {
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Get => reqwest::Method::GET,
        };
        self.http.send(method, &call).await
    }

    async fn call(&self, message: &Message) -> Result<Call, Outcome> {
        let url = match &self.settings.url {
            Url::Plain(url) => SecretString::from(url.as_str()),
            Url::File(path) => secret(path).await?,
        };
        let token = match &self.settings.token_file {
            Some(path) => Some(secret(path).await?),
            None => None,
        };
        let (url, to) = (url.expose_secret(), self.settings.to.as_deref());
        if token.is_some() && is_exposed(url) {
            let why = "plain http to another host would show the token to everybody on the way: write https://";
            return Err(Outcome::Refused { why: why.to_owned() });
        }
        let in_header = self.settings.headers.iter().any(|header| header.contains(TOKEN));
        let mut call = match (&self.settings.payload, &self.template) {
            (Payload::Preset(preset), _) => preset.call(message, url, token.as_ref(), to),
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
        for header in &self.settings.headers {
            let Some((name, value)) = header.split_once(':') else { continue };
            let secret = token.as_ref().map(ExposeSecret::expose_secret).unwrap_or_default();
            call.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            call.headers.push((name.to_owned(), value.trim().replace(TOKEN, secret)));
        }
        Ok(call)
    }
}

async fn secret(path: &std::path::Path) -> Result<SecretString, Outcome> {
    // Whoever forgot the file may put it there while the alert waits.
    SecretFile::new(path)
        .load()
        .await
        .map_err(|error| Outcome::TryAgain { why: error.to_string(), after: Some(SECRET_PAUSE) })
}

/// Whether what is sent there can be read on the way: plain http to another host than this.
#[must_use]
pub fn is_exposed(url: &str) -> bool {
    let host = |url: &reqwest::Url| url.host_str().map(|host| host.trim_matches(['[', ']']).to_owned());
    reqwest::Url::parse(url).is_ok_and(|url| {
        let is_here = host(&url).is_some_and(|host| {
            host == "localhost"
                || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
        });
        url.scheme() == "http" && !is_here
    })
}

fn refused(why: &str) -> Outcome {
    Outcome::Refused { why: format!("the template of the body is wrong: {why}") }
}

const SECRET_PAUSE: Duration = Duration::from_secs(30);
