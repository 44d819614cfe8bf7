//! The client for web requests of channels. Unlike the gateway's it honours the proxy variables of the environment.

use std::cell::RefCell;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::fmt::rfc2822;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Method, Response, StatusCode, redirect};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::super::outbox::Outcome;
use super::super::secret_file;
use super::super::secrets::Secrets;
use super::preset::Call;
use super::response_text;
use crate::gateway::Trust;
use crate::text::root_cause;

/// A client that is built when it is first needed. If it cannot be built, for lack of certificates or descriptors, that
/// try fails.
#[derive(Debug)]
pub(in crate::alert) struct HttpClient {
    trust: Trust,
    /// The client for other hosts, which may use a proxy, and the one for this host, which never does.
    clients: RefCell<[Option<Client>; 2]>,
}

/// The answer to a request.
pub(in crate::alert) struct ServiceAnswer {
    status: StatusCode,
    /// The pause that it asks for.
    after: Option<Duration>,
    /// Whether a quota is used up that a pause of minutes does not bring back.
    is_exhausted: bool,
    body: Vec<u8>,
}

impl HttpClient {
    pub(in crate::alert) fn new(ca_file: Option<&PathBuf>) -> Self {
        let trust = ca_file.map_or(Trust::System, |path| Trust::CaFile(path.clone()));
        Self { trust, clients: RefCell::default() }
    }

    /// Makes a request. Redirects are not followed: an alert must only go to the configured address.
    ///
    /// # Errors
    /// When there is no answer, or no request could be made.
    pub(in crate::alert) async fn send(
        &self,
        method: Method,
        call: &Call,
        secrets: &Secrets,
    ) -> Result<ServiceAnswer, Outcome> {
        let client = self.client(is_loopback(&call.url)).await.map_err(Outcome::lasting)?;
        let mut request = client.request(method.clone(), &call.url);
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        if method != Method::GET {
            request = request.body(call.body.clone());
        }
        match timeout(ANSWER_WITHIN, request.send()).await {
            Ok(Ok(response)) => Ok(ServiceAnswer::read(response).await),
            Ok(Err(error)) => Err(failed(error, secrets)),
            // The message may have arrived, so another copy is not urgent.
            Err(_) => {
                let why = format!("it took the request and did not answer within {}s", ANSWER_WITHIN.as_secs());
                Err(Outcome::TryAgain { why, after: Some(UNCERTAIN_PAUSE), needs_human: false })
            }
        }
    }

    async fn client(&self, is_here: bool) -> Result<Client, String> {
        let slot = usize::from(is_here);
        if let Some(client) = self.clients.borrow().get(slot).and_then(Option::as_ref) {
            return Ok(client.clone());
        }
        // Reading all certificates of the system takes too long for the loop.
        let trust = self.trust.clone();
        let client = bounded_by(&self.trust, move || build(&trust, is_here)).await?;
        if let Some(slot) = self.clients.borrow_mut().get_mut(slot) {
            *slot = Some(client.clone());
        }
        Ok(client)
    }
}

/// Runs `work`, which reads the certificates of `trust`, off the loop and in a limited time.
pub(super) async fn bounded_by<T: Send + 'static>(
    trust: &Trust,
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let Trust::CaFile(file) = trust else {
        return spawn_blocking(work).await.unwrap_or_else(|error| Err(error.to_string()));
    };
    let path = file.clone();
    let checked = move || {
        check_regular(&path)?;
        work()
    };
    secret_file::bounded(file, checked).await.unwrap_or_else(|error| Err(format!("{}: {error}", file.display())))
}

/// Reading a FIFO could block.
fn check_regular(path: &Path) -> Result<(), String> {
    match std::fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => Err(format!("{} is not a regular file", path.display())),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn build(trust: &Trust, is_here: bool) -> Result<Client, String> {
    let tls = trust.config().map_err(|error| error.to_string())?;
    let builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("tickled/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_WITHIN)
        .redirect(redirect::Policy::none())
        .pool_idle_timeout(KEPT_ALIVE);
    let builder = if is_here { builder.no_proxy() } else { builder };
    builder.build().map_err(|error| format!("no web request can be made: {}", root_cause(&error)))
}

/// Whether the address is one of this host, which a proxy cannot reach.
pub(super) fn is_loopback(url: &str) -> bool {
    let Some(host) = reqwest::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)) else {
        return false;
    };
    let host = host.trim_matches(['[', ']']).trim_end_matches('.');
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

impl ServiceAnswer {
    /// Reads the beginning of the body. The status decides, so a body that never ends is not waited for.
    async fn read(mut response: Response) -> Self {
        let status = response.status();
        let after = asked_pause(response.headers());
        let is_exhausted = is_exhausted(response.headers());
        let mut body = Vec::new();
        let read = async {
            while body.len() < LONGEST_ANSWER {
                match response.chunk().await {
                    Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                    Ok(None) | Err(_) => break,
                }
            }
        };
        // A part of the body is enough.
        let _ = timeout(BODY_WITHIN, read).await;
        let mut answer = Self { status, after, is_exhausted, body };
        answer.after = answer.after.or_else(|| pause_in(&answer.json()));
        answer
    }

    /// The body as JSON; `null` if it is not JSON.
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Summarizes the body without secrets and personal data; empty if it holds no text for people.
    pub(in crate::alert) fn words(&self, secrets: &Secrets) -> String {
        response_text::summarize(&self.body, secrets)
    }

    /// Classifies the answer.
    pub(in crate::alert) fn outcome(&self, secrets: &Secrets) -> Outcome {
        let words = self.words(secrets);
        let said = if words.is_empty() { words.clone() } else { format!(", and said: {words}") };
        let answer = format!("it answered {}{said}", self.status);
        let is_denied = is_denied(&self.json());
        match self.status {
            status if status.is_success() && !is_denied => Outcome::Sent { answer, except: None },
            status if status.is_success() => Outcome::lasting(answer),
            StatusCode::TOO_MANY_REQUESTS => {
                let is_long = self.after.is_some_and(|after| after > LONGEST_PASSING);
                let words = words.to_lowercase();
                let is_quota = self.is_exhausted || words.contains("quota") || words.contains("month");
                let needs_human = is_long || is_quota;
                Outcome::TryAgain { why: answer, after: self.after, needs_human }
            }
            StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => Outcome::lasting(answer),
            status
                if status.is_server_error()
                    || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY) =>
            {
                Outcome::TryAgain { why: answer, after: self.after, needs_human: false }
            }
            // A proxy that restarts answers like this, and so does a service whose token is changed meanwhile.
            StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::PROXY_AUTHENTICATION_REQUIRED
            | StatusCode::CONFLICT
            | StatusCode::MISDIRECTED_REQUEST
            | StatusCode::LOCKED
            | StatusCode::FAILED_DEPENDENCY => Outcome::TryAgain { why: answer, after: self.after, needs_human: true },
            status if status.is_redirection() => {
                let why = format!("{answer}; redirects are not followed: configure the address they lead to");
                Outcome::Refused { why }
            }
            _ => Outcome::Refused { why: answer },
        }
    }
}

/// The pause that a service asks for in its headers: in seconds, or until a time by its own clock.
fn asked_pause(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let asked = text(RETRY_AFTER)?;
    if let Ok(seconds) = asked.parse() {
        return pause_of(seconds);
    }
    let [until, now] = [asked, text(DATE)?].map(|time| rfc2822::parse(time).ok());
    Duration::try_from(until?.duration_since(&now?)).ok()
}

/// The pause that a service asks for in its body: Discord beside the message, Telegram among the parameters.
fn pause_in(body: &serde_json::Value) -> Option<Duration> {
    let asked = body.get("retry_after").or_else(|| body.get("parameters")?.get("retry_after"))?;
    pause_of(asked.as_f64().or_else(|| asked.as_str()?.trim().parse().ok())?)
}

fn pause_of(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

/// Whether a body denies success, whatever the status: as Telegram, as many programs, and as Pushover do it.
fn is_denied(body: &serde_json::Value) -> bool {
    let is_false = |key| body.get(key) == Some(&serde_json::Value::Bool(false));
    let has_errors = body.get("errors").and_then(serde_json::Value::as_array).is_some_and(|errors| !errors.is_empty());
    is_false("ok") || is_false("success") || has_errors && body.get("status").is_some_and(|status| status == 0)
}

/// Whether Pushover's quota for the month is used up.
fn is_exhausted(headers: &HeaderMap) -> bool {
    headers.get("x-limit-app-remaining").is_some_and(|left| left.as_bytes() == b"0")
}

/// Classifies a request without an answer. Does not show the address, which may be a secret.
fn failed(error: reqwest::Error, secrets: &Secrets) -> Outcome {
    let error = error.without_url();
    let why = secrets.remove(&root_cause(&error));
    if error.is_builder() {
        Outcome::refused(format!("the request is wrong: {why}"))
    } else if why.contains("certificate") {
        Outcome::lasting(format!("its certificate is not trusted: {why}"))
    } else if error.is_timeout() {
        Outcome::passing("it cannot be reached in time")
    } else if is_unknown_name(&why) {
        Outcome::lasting(format!("it cannot be reached: {why}"))
    } else if error.is_connect() {
        Outcome::passing(format!("it cannot be reached: {why}"))
    } else {
        Outcome::passing(format!("the request failed: {why}"))
    }
}

/// Whether a host's name is not known, as opposed to a name server that cannot be reached.
pub(super) fn is_unknown_name(why: &str) -> bool {
    why.contains("failed to lookup address")
        && !["emporary", "ry again", "system error"].iter().any(|passing| why.contains(passing))
}

/// How long a connection may take, with the name and TLS.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long an answer may take. The message may have arrived although the answer did not, so it is generous.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// How long the body of an answer may take.
const BODY_WITHIN: Duration = Duration::from_secs(3);
/// The pause after a request that may have arrived.
const UNCERTAIN_PAUSE: Duration = Duration::from_mins(5);
/// A service that asks for a longer pause needs a human.
const LONGEST_PASSING: Duration = Duration::from_hours(1);
/// Alerts are rare: no connection is worth keeping from one to the next.
const KEPT_ALIVE: Duration = Duration::from_secs(5);
const LONGEST_ANSWER: usize = 4 * 1024;
