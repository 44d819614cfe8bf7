//! The way from this host to a gateway: name, port, TLS, and whether it is a gateway at all. Pure.

use std::net::IpAddr;

use jiff::Timestamp;

use super::observations::{Banner, Observations, PortState, ProbeResult, Subject, TlsState};
use super::report::{Check, CheckResult};
use crate::exit::Exit;
use crate::gateway::certificate::Certificate;
use crate::gateway::probe::ProbeAnswer;
use crate::gateway::wire::read_listening;
use crate::gateway::{ErrorKind, Fingerprint, TlsError, Trust};

/// Evaluates the way to the gateway. Returns true when it leads to a gateway; otherwise the last result is a fault.
pub(super) fn evaluate(subject: &Subject, observed: &Observations, now: Timestamp) -> (Vec<CheckResult>, bool) {
    let mut results = Vec::new();
    for step in [name, port] {
        let Some(result) = step(subject, observed) else { return (results, false) };
        let is_end = result.remedy.is_some();
        results.push(result);
        if is_end {
            return (results, false);
        }
    }
    if let Some(stranger) = stranger(subject, observed) {
        // Another program has the port, so an open port is not a good result.
        results.retain(|result| result.check != stranger.check);
        results.push(stranger);
        return (results, false);
    }
    match &observed.tls {
        Some(TlsState::Trusted(certificate)) => {
            let words = words(certificate, now);
            let is_pinned = matches!(subject.target.trust, Trust::Pin(_));
            results.push(if certificate.fingerprint == Fingerprint::STOCK && is_pinned && !subject.is_here() {
                CheckResult::warning(Check::Tls, format!("the pinned certificate is {words}"), STOCK_PINNED)
            } else {
                CheckResult::good(Check::Tls, words)
            });
        }
        Some(TlsState::Untrusted { certificate, why }) => {
            let words = certificate.as_ref().map_or_else(|| "a certificate".to_owned(), |shown| words(shown, now));
            let found = format!("it presents {words}; not trusted: {why}");
            let remedy = match certificate {
                Some(shown) => format!(
                    "if that is your gateway, pin it: under [gateway.{}.tls] write trust = \"pin\" and pins = [\"{}\"]; \
                     if it is not, find out what answers there",
                    subject.name, shown.fingerprint
                ),
                None => "find out what answers there".to_owned(),
            };
            results.push(CheckResult::fault(Check::Tls, Exit::HumanNeeded, found, remedy));
            return (results, false);
        }
        Some(TlsState::NoTrust(why)) => {
            let remedy = format!("correct [gateway.{}.tls] in the configuration", subject.name);
            results.push(CheckResult::fault(Check::Tls, Exit::Configuration, why.clone(), remedy));
            return (results, false);
        }
        Some(TlsState::Failed(_)) | None => {
            results.push(if subject.is_here() {
                CheckResult::note(Check::Tls, "plain HTTP, which never leaves this host")
            } else {
                CheckResult::warning(
                    Check::Tls,
                    "plain HTTP over a network: everyone on the network path sees the session",
                    PLAIN,
                )
            });
        }
    }
    let (result, is_gateway) = gateway(subject, observed);
    results.push(result);
    (results, is_gateway)
}

fn name(subject: &Subject, observed: &Observations) -> Option<CheckResult> {
    let (host, _) = subject.host_and_port();
    Some(match observed.addresses.as_ref()? {
        Ok(_) if subject.is_here() => CheckResult::good(Check::Name, format!("{host} is this host")),
        Ok(addresses) if host.parse::<IpAddr>().is_ok() => {
            CheckResult::good(Check::Name, format!("{} is an address, not a name", list(addresses)))
        }
        Ok(addresses) => CheckResult::good(Check::Name, format!("{host} resolves to {}", list(addresses))),
        Err(why) => CheckResult::fault(
            Check::Name,
            Exit::NothingAnswers,
            format!("{host} does not resolve: {}", why.to_string().trim_start_matches("its name does not resolve: ")),
            "correct the host in the gateway's url, or check name resolution on this host (`getent hosts NAME`)",
        ),
    })
}

fn port(subject: &Subject, observed: &Observations) -> Option<CheckResult> {
    let (host, port) = subject.host_and_port();
    let fault = |found: String, remedy: String| CheckResult::fault(Check::Port, Exit::NothingAnswers, found, remedy);
    Some(match observed.port.as_ref()? {
        PortState::Open => CheckResult::good(Check::Port, format!("{port} is open")),
        PortState::Refused => fault(
            format!("nothing listens on port {port} of {host}"),
            "start the gateway (`bin/run.sh root/conf.yaml` in its folder; it listens a few seconds later), or correct \
             the port: listenPort in its conf.yaml and the port in the url must be the same. A container must publish \
             the port"
                .to_owned(),
        ),
        PortState::Silent => fault(
            format!("{host} neither accepts nor refuses a connection on port {port}"),
            "check for a firewall in between, and whether the host is up".to_owned(),
        ),
        PortState::Unreachable(why) => {
            fault(format!("{host} cannot be reached: {why}"), "check the network of this host".to_owned())
        }
    })
}

/// A program on the port that speaks the wrong protocol for a gateway, or for the URL.
fn stranger(subject: &Subject, observed: &Observations) -> Option<CheckResult> {
    if let Some(TlsState::Failed(
        error @ (TlsError::NothingInCommon(_)
        | TlsError::WantsCertificate(_)
        | TlsError::Unusable(_)
        | TlsError::ShortKey(_)),
    )) = &observed.tls
    {
        let remedy = error.remedy().unwrap_or_default();
        return Some(CheckResult::fault(Check::Tls, Exit::HumanNeeded, error.description(), remedy));
    }
    if let Some(TlsState::Failed(error @ TlsError::NotPlainHttp(_))) = &observed.tls {
        let remedy = error.remedy().unwrap_or_default();
        return Some(CheckResult::fault(Check::Tls, Exit::Configuration, error.description(), remedy));
    }
    let (_, port) = subject.host_and_port();
    let fault = |found: String| {
        let remedy = format!(
            "find out which program uses port {port} (`ss -ltnp 'sport = :{port}'`), and move it or the gateway to another \
             port"
        );
        CheckResult::fault(Check::Port, Exit::NothingAnswers, found, remedy)
    };
    Some(match observed.banner.as_ref()? {
        Banner::Http(answer) if is_gateway(answer) => {
            let error = TlsError::PlainHttp(subject.url().with_encryption(false));
            CheckResult::fault(Check::Tls, Exit::Configuration, error.description(), error.remedy().unwrap_or_default())
        }
        Banner::Http(answer) => match is_airplay(answer) {
            true => airplay(port),
            false => fault(format!("port {port} is used by {}, which does not speak TLS", server(answer))),
        },
        Banner::Other(line) => fault(format!("port {port} is used by another program, which answers {line:?}")),
        Banner::Nothing => fault(format!("port {port} is open, but what listens there answers neither TLS nor HTTP")),
    })
}

fn gateway(subject: &Subject, observed: &Observations) -> (CheckResult, bool) {
    let (_, port) = subject.host_and_port();
    let fault = |found: String, remedy: &str| CheckResult::fault(Check::Gateway, Exit::NothingAnswers, found, remedy);
    match &observed.root {
        Some(ProbeResult::Answer(super::observations::TimedAnswer { http: answer, .. })) => {
            match read_listening(&answer.reply()).map_err(|refusal| refusal.kind) {
                Ok(()) => {
                    (CheckResult::good(Check::Gateway, "it redirects to the login page, as a gateway does"), true)
                }
                Err(ErrorKind::AddressRefused) => {
                    (CheckResult::good(Check::Gateway, "it refuses this host, with the error of a gateway"), true)
                }
                Err(ErrorKind::TooManyRequests { .. }) => {
                    (CheckResult::note(Check::Gateway, "it reports too many requests"), true)
                }
                Err(_) if is_airplay(answer) => (airplay(port), false),
                Err(_) if is_edge(answer) => {
                    (CheckResult::note(Check::Gateway, "IBKR's edge answers in place of a gateway"), true)
                }
                Err(_) => {
                    let found = format!("what answers is {}, not a gateway", server(answer));
                    (fault(found, "correct the url, or free the port for the gateway"), false)
                }
            }
        }
        Some(ProbeResult::Silent) => {
            let found =
                "it accepts the connection but does not answer GET /, which a gateway answers by itself".to_owned();
            (fault(found, HUNG), false)
        }
        Some(ProbeResult::Broken(why)) => {
            let found = format!("it closes the connection: {why}");
            (fault(found, "read the gateway's own output, and make sure that it is a gateway"), false)
        }
        None => (CheckResult::not_asked(Check::Gateway, "not checked"), false),
    }
}

/// A gateway's answer to GET /.
fn is_gateway(answer: &ProbeAnswer) -> bool {
    read_listening(&answer.reply()).map_or_else(|refusal| refusal.kind == ErrorKind::AddressRefused, |()| true)
}

/// 403 in the words of IBKR's edge.
pub(super) fn is_edge(answer: &ProbeAnswer) -> bool {
    let body = String::from_utf8_lossy(&answer.body).to_ascii_lowercase();
    answer.status == 403 && (body.contains("access denied") || body.contains("akamai"))
}

fn is_airplay(answer: &ProbeAnswer) -> bool {
    answer.server.as_deref().is_some_and(|server| server.starts_with("AirTunes") || server.starts_with("AirPlay"))
}

fn airplay(port: u16) -> CheckResult {
    let remedy = format!(
        "turn off AirPlay Receiver (System Settings > General > AirDrop & Handoff), or move the gateway to another \
         port: listenPort: {next} in its conf.yaml, and port {next} in the url",
        next = port.saturating_add(1)
    );
    let found = format!("port {port} is used by macOS's AirPlay Receiver, not by a gateway");
    CheckResult::fault(Check::Port, Exit::NothingAnswers, found, remedy)
}

/// A web server in words; what it says of itself is foreign text.
fn server(answer: &ProbeAnswer) -> String {
    match answer.server.as_deref().map(printable).filter(|server| !server.is_empty()) {
        Some(server) => format!("another web server ({server}, status {})", answer.status),
        None => format!("another web server (status {})", answer.status),
    }
}

/// The beginning of a foreign text, escaped.
pub(super) fn printable(text: &str) -> String {
    crate::text::shortened(text, 60)
}

/// Whose certificate it is and how old, in words.
fn words(certificate: &Certificate, now: Timestamp) -> String {
    let day = |time: Timestamp| time.strftime("%F").to_string();
    let whose = match (certificate.fingerprint == Fingerprint::STOCK, certificate.subject.as_str()) {
        (true, _) => "the certificate that every gateway comes with".to_owned(),
        (false, "") => "a certificate of its own".to_owned(),
        (false, subject) => format!("a certificate of its own, {subject}"),
    };
    let dates = match (certificate.from, certificate.until) {
        (_, Some(until)) if until < now => format!(", expired on {}", day(until)),
        (Some(from), _) if from > now => format!(", not valid before {}", day(from)),
        (_, Some(until)) => format!(", valid until {}", day(until)),
        (_, None) => String::new(),
    };
    format!("{whose}{dates} ({})", certificate.fingerprint)
}

fn list(addresses: &[IpAddr]) -> String {
    let words: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    words.join(", ")
}

const HUNG: &str =
    "if it is a gateway, it hangs: restart it, which costs a login. If not, free the port for the gateway";
const PLAIN: &str = "set listenSsl: true in the gateway's conf.yaml, and write https:// in the url";
const STOCK_PINNED: &str = "its private key is in every download, so this pin does not distinguish your gateway from \
                            an impostor: give the gateway a certificate of its own (sslCert in its conf.yaml), and \
                            pin that";
