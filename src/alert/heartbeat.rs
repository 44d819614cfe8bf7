//! Sends the pings of the dead man's switch, in the form that each service expects.

use secrecy::ExposeSecret;
use tokio::sync::watch;
use tracing::{info, warn};

use super::channels::Call;
use super::channels::http::HttpClient;
use super::deadman::Sign;
use super::outbox::Outcome;
use super::secret_file::SecretFile;
use super::secrets::Secrets;
use super::settings;
use crate::log::event;

/// Calls the service.
#[derive(Debug)]
pub(super) struct Heartbeat {
    settings: settings::DeadmanSettings,
    http: HttpClient,
}

impl Heartbeat {
    pub(super) fn new(settings: &settings::DeadmanSettings) -> Self {
        Self { settings: settings.clone(), http: HttpClient::new(None) }
    }

    /// Sends the newest sign whenever there is a new one, until the sender is dropped.
    pub(super) async fn run(self, mut signs: watch::Receiver<Option<Sign>>) {
        let mut last_fault = None;
        while signs.changed().await.is_ok() {
            let sign = *signs.borrow_and_update();
            let fault = match sign {
                None => continue,
                Some(Sign::Fail) if !self.settings.fails => continue,
                Some(sign) => match self.send(sign).await {
                    Outcome::Sent { .. } => String::new(),
                    Outcome::TryAgain { why, .. } | Outcome::Refused { why } => why,
                },
            };
            match &last_fault {
                Some(last) if *last == fault => {}
                None if fault.is_empty() => {
                    info!(event = event::DEADMAN_OK, "dead man's switch: first ping accepted");
                }
                _ if fault.is_empty() => {
                    info!(event = event::DEADMAN_OK, "dead man's switch: ping accepted again");
                }
                _ => warn!(event = event::DEADMAN_FAILED, fault, "dead man's switch: ping failed: {fault}"),
            }
            last_fault = Some(fault);
        }
    }

    /// Sends one sign, and judges the answer.
    pub(super) async fn send(&self, sign: Sign) -> Outcome {
        let url = match SecretFile::new(&self.settings.url_file).load().await {
            Ok(url) => url,
            Err(error) => return Outcome::lasting(error.to_string()),
        };
        let url = url.expose_secret();
        let mut secrets = Secrets::default();
        secrets.add_url(url);
        let url = match sign {
            Sign::Good => url.to_owned(),
            Sign::Fail => match failure_url(url) {
                Ok(url) => url,
                Err(why) => return Outcome::refused(why),
            },
        };
        let call = Call { url, headers: Vec::new(), body: String::new() };
        let answer = match self.http.send(reqwest::Method::GET, &call, &secrets).await {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        match answer.outcome(&secrets) {
            // healthchecks.io sends these with status 200.
            Outcome::Sent { answer: words, .. } if is_denial(&answer.words(&secrets)) => Outcome::lasting(words),
            outcome @ (Outcome::Sent { .. } | Outcome::TryAgain { .. } | Outcome::Refused { .. }) => outcome,
        }
    }
}

/// Checks that the address in the file allows to report a failure.
///
/// # Errors
/// When it does not; says what to write instead, and does not show the address.
pub fn check_deadman(settings: &settings::DeadmanSettings) -> Result<(), String> {
    let url = SecretFile::new(&settings.url_file).read().map_err(|error| error.to_string())?;
    match failure_url(url.expose_secret()) {
        Err(why) if settings.fails => Err(why),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Returns the address that reports a failure. Uptime Kuma and Cronitor expect a status in the query; healthchecks.io
/// and similar services expect `/fail` at the end of the path.
///
/// # Errors
/// When no failure can be reported with this address; says what to write instead.
pub fn failure_url(url: &str) -> Result<String, String> {
    let mut parsed =
        reqwest::Url::parse(url).map_err(|_| "the address is not a URL that begins with https://".to_owned())?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err("the address is not a URL that begins with https://".to_owned());
    }
    if parsed.fragment().is_some() {
        return Err("the address has a part behind #, which is never sent: leave it out".to_owned());
    }
    let pairs: Vec<(String, String)> = parsed.query_pairs().into_owned().collect();
    let host = parsed.host_str().unwrap_or_default().to_owned();
    let path = parsed.path().to_owned();
    let is_kuma = path.contains("/api/push/");
    let is_cronitor = host == "cronitor.link" || host == "cronitor.io" || host.ends_with(".cronitor.io");
    for (name, good, bad) in [("status", &["up", "ok"], "down"), ("state", &["complete", "ok"], "fail")] {
        let said = pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let is_missing = said.is_none() && ((name == "status" && is_kuma) || (name == "state" && is_cronitor));
        match said {
            Some(said) if !good.contains(&said) => {
                return Err(format!(
                    "the address says {name}={said}, which does not mean that all is well: write {name}={}, or set \
                     fails = false",
                    good[0]
                ));
            }
            Some(_) => {
                return Ok(with_pairs(
                    parsed,
                    pairs.iter().map(|(key, value)| match key.as_str() {
                        key if key == name => (key.to_owned(), bad.to_owned()),
                        "msg" => ("msg".to_owned(), FAILURE.to_owned()),
                        _ => (key.clone(), value.clone()),
                    }),
                ));
            }
            None if is_missing => {
                let failure = [(name.to_owned(), bad.to_owned()), ("msg".to_owned(), FAILURE.to_owned())];
                return Ok(with_pairs(parsed, pairs.into_iter().chain(failure)));
            }
            None => {}
        }
    }
    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let is_signal = ["fail", "start", "log"].contains(&last.as_str()) || last.parse::<u8>().is_ok();
    if last.is_empty() {
        return Err("the address names no check: write the whole address that the service shows".to_owned());
    }
    if is_signal {
        return Err(format!("the address ends in /{last}, which is a signal of its own: write the address without it"));
    }
    if host == "nosnch.in" {
        return Err("no failure can be reported to this service: set fails = false".to_owned());
    }
    parsed.set_path(&format!("{}/fail", path.trim_end_matches('/')));
    Ok(parsed.to_string())
}

fn with_pairs(mut url: reqwest::Url, pairs: impl Iterator<Item = (String, String)>) -> String {
    url.query_pairs_mut().clear().extend_pairs(pairs);
    url.to_string()
}

/// Whether an answer with status 200 is a refusal: `OK (not found)`, `OK (rate limited)`.
fn is_denial(words: &str) -> bool {
    let words = words.trim().to_ascii_lowercase();
    words.starts_with("ok (") || words.contains("not found") || words.contains("rate limit")
}

const FAILURE: &str = "a human is needed";

#[cfg(test)]
mod tests {
    use super::failure_url;

    #[test]
    fn a_failure_is_told_in_the_way_of_the_service() {
        for (good, bad) in [
            ("https://hc-ping.com/0e5b", "https://hc-ping.com/0e5b/fail"),
            ("https://hc-ping.com/0e5b/", "https://hc-ping.com/0e5b/fail"),
            ("https://hc-ping.com/key/tickled?create=1", "https://hc-ping.com/key/tickled/fail?create=1"),
            ("http://[::1]:8000/ping/0e5b?rid=7", "http://[::1]:8000/ping/0e5b/fail?rid=7"),
            ("https://own.example.org/?token=a%26b", ""),
            ("https://own.example.org/alive?token=a%26b", "https://own.example.org/alive/fail?token=a%26b"),
            (
                "https://kuma.example.org/api/push/abc?status=up&msg=OK&ping=",
                "https://kuma.example.org/api/push/abc?status=down&msg=a+human+is+needed&ping=",
            ),
            (
                "https://kuma.example.org/up/api/push/abc",
                "https://kuma.example.org/up/api/push/abc?status=down&msg=a+human+is+needed",
            ),
            ("https://cronitor.link/p/key/tickled?state=complete", "https://cronitor.link/p/key/tickled?state=fail"),
            (
                "https://cronitor.link/p/key/tickled",
                "https://cronitor.link/p/key/tickled?state=fail&msg=a+human+is+needed",
            ),
            (
                "https://uptime.betterstack.com/api/v1/heartbeat/k",
                "https://uptime.betterstack.com/api/v1/heartbeat/k/fail",
            ),
            ("https://hc-ping.com/0e5b/fail", ""),
            ("https://hc-ping.com/0e5b/start", ""),
            ("https://hc-ping.com/0e5b/0", ""),
            ("https://hc-ping.com/0e5b#x", ""),
            ("https://hc-ping.com/", ""),
            ("https://nosnch.in/abc", ""),
            ("https://kuma.example.org/api/push/abc?status=down", ""),
            ("https://cronitor.link/p/key/tickled?state=run", ""),
            ("ftp://hc-ping.com/0e5b", ""),
            ("hc-ping.com/0e5b", ""),
        ] {
            let failure = failure_url(good);
            assert_eq!(failure.as_deref().unwrap_or_default(), bad, "{good}: {failure:?}");
            if let Err(why) = failure {
                assert!(why.len() > 20 && !why.contains("0e5b"), "{good}: {why}");
            }
        }
    }
}
