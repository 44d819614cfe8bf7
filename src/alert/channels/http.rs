//! The client for web requests that tell a human: unlike the gateway's it honours the proxy variables of the environment.

use std::cell::RefCell;
use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use jiff::fmt::rfc2822;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Method, Response, StatusCode, redirect};

use super::super::outbox::Outcome;
use super::preset::Call;
use super::said;
use crate::gateway::Trust;

/// A client that is built when it is first needed. One that cannot be built, for want of certificates or descriptors,
/// is a failed try and no more.
#[derive(Debug)]
pub(in crate::alert) struct Http {
    trust: Trust,
    client: RefCell<Option<Client>>,
}

impl Http {
    pub(in crate::alert) fn new(ca_file: Option<&PathBuf>) -> Self {
        let trust = ca_file.map_or(Trust::System, |path| Trust::CaFile(path.clone()));
        Self { trust, client: RefCell::new(None) }
    }

    /// Makes a request. No redirect is followed: an alert does not go where nobody sent it.
    pub(in crate::alert) async fn send(&self, method: Method, call: &Call) -> Outcome {
        let again = |why| Outcome::TryAgain { why, after: None };
        let client = match self.client().await {
            Ok(client) => client,
            Err(why) => return again(why),
        };
        let mut request = client.request(method.clone(), &call.url);
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        if method != Method::GET {
            request = request.body(call.body.clone());
        }
        match request.send().await {
            Ok(response) => judge(response).await,
            Err(error) if error.is_builder() => {
                Outcome::Refused { why: format!("the request is wrong: {}", told(error)) }
            }
            Err(error) => again(told(error)),
        }
    }

    async fn client(&self) -> Result<Client, String> {
        if let Some(client) = self.client.borrow().as_ref() {
            return Ok(client.clone());
        }
        // To read all certificates that this system trusts takes longer than the loop may stand still.
        let trust = self.trust.clone();
        let built = tokio::task::spawn_blocking(move || build(&trust)).await;
        let client = built.map_err(|error| error.to_string())??;
        self.client.replace(Some(client.clone()));
        Ok(client)
    }
}

fn build(trust: &Trust) -> Result<Client, String> {
    let tls = trust.config().map_err(|error| error.to_string())?;
    Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("tickled/", env!("CARGO_PKG_VERSION")))
        .timeout(WITHIN)
        .redirect(redirect::Policy::none())
        .pool_idle_timeout(KEPT_ALIVE)
        .build()
        .map_err(|error| format!("no web request can be made: {}", told(error)))
}

/// What an answer means for a message.
async fn judge(mut response: Response) -> Outcome {
    let status = response.status();
    let after = asked_pause(response.headers());
    let mut body = Vec::new();
    while body.len() < LONGEST_ANSWER {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    let said = match said::words(&body) {
        words if words.is_empty() => words,
        words => format!(", and said: {words}"),
    };
    let answer = format!("it answered {status}{said}");
    if status.is_success() {
        Outcome::Sent { answer, except: None }
    } else if status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
    {
        Outcome::TryAgain { why: answer, after }
    } else if status.is_redirection() {
        Outcome::Refused { why: format!("{answer}; redirects are not followed: configure the address they lead to") }
    } else {
        Outcome::Refused { why: answer }
    }
}

/// The pause that a service asks for: in seconds, or until a time by its own clock.
fn asked_pause(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let asked = text(RETRY_AFTER)?;
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let [until, now] = [asked, text(DATE)?].map(|time| rfc2822::parse(time).ok());
    Duration::try_from(until?.duration_since(&now?)).ok()
}

/// An error in words, and without the address, which may be a secret.
fn told(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let cause = cause.to_string();
    let why = cause.split(" (os error").next().unwrap_or_default();
    if why.contains("certificate") {
        format!("its certificate is not believed: {why}")
    } else if error.is_timeout() {
        "it does not answer in time".to_owned()
    } else if error.is_connect() {
        format!("it cannot be reached: {why}")
    } else {
        format!("the request failed: {why}")
    }
}

const WITHIN: Duration = Duration::from_secs(10);
/// Alerts are rare: no connection is worth keeping from one to the next.
const KEPT_ALIVE: Duration = Duration::from_secs(5);
const LONGEST_ANSWER: usize = 4 * 1024;
