//! What stands between this host and a gateway: its name, its port, TLS, and whether it is a gateway at all. Pure.

use std::net::IpAddr;

use jiff::Timestamp;

use super::finding::{Check, Finding};
use super::seen::{Banner, Got, Port, Question, Seen, Tls};
use crate::exit::Exit;
use crate::gateway::certificate::Certificate;
use crate::gateway::probe::Answer;
use crate::gateway::wire::{Refusal, read_listening};
use crate::gateway::{ConnectError, Fingerprint, TlsError, Trust};

/// Judges the way to the gateway. The last finding is a fault when the way ends there; `true` when it leads to a
/// gateway.
pub(super) fn judge(question: &Question, seen: &Seen, now: Timestamp) -> (Vec<Finding>, bool) {
    let mut findings = Vec::new();
    for step in [name, port] {
        let Some(finding) = step(question, seen) else { return (findings, false) };
        let is_end = finding.remedy.is_some();
        findings.push(finding);
        if is_end {
            return (findings, false);
        }
    }
    if let Some(stranger) = stranger(question, seen) {
        // What holds the port is not a gateway: that it is open is no good news.
        findings.retain(|finding| finding.check != stranger.check);
        findings.push(stranger);
        return (findings, false);
    }
    match &seen.tls {
        Some(Tls::Trusted(certificate)) => {
            let words = words(certificate, now);
            let is_pinned = matches!(question.target.trust, Trust::Pin(_));
            findings.push(if certificate.fingerprint == Fingerprint::STOCK && is_pinned && !question.is_here() {
                Finding::warning(Check::Tls, format!("pinned is {words}"), STOCK_PINNED)
            } else {
                Finding::good(Check::Tls, words)
            });
        }
        Some(Tls::Untrusted { certificate, why }) => {
            let words = certificate.as_ref().map_or_else(|| "a certificate".to_owned(), |shown| words(shown, now));
            let found = format!("it shows {words}; not trusted: {why}");
            let remedy = match certificate {
                Some(shown) => format!(
                    "if that is your gateway, pin it: under [gateway.{}.tls] write trust = \"pin\" and pins = [\"{}\"]; \
                     if it is not, find out who answers there",
                    question.name, shown.fingerprint
                ),
                None => "find out who answers there".to_owned(),
            };
            findings.push(Finding::fault(Check::Tls, Exit::HumanNeeded, found, remedy));
            return (findings, false);
        }
        Some(Tls::NoTrust(why)) => {
            let remedy = format!("correct [gateway.{}.tls] in the configuration", question.name);
            findings.push(Finding::fault(Check::Tls, Exit::Configuration, why.clone(), remedy));
            return (findings, false);
        }
        Some(Tls::Failed(_)) | None => {
            findings.push(if question.is_here() {
                Finding::note(Check::Tls, "plain HTTP, which never leaves this host")
            } else {
                Finding::warning(Check::Tls, "plain HTTP over a network: everybody on the way sees the session", PLAIN)
            });
        }
    }
    let (finding, is_gateway) = gateway(question, seen);
    findings.push(finding);
    (findings, is_gateway)
}

fn name(question: &Question, seen: &Seen) -> Option<Finding> {
    let (host, _) = question.host_and_port();
    Some(match seen.addresses.as_ref()? {
        Ok(_) if question.is_here() => Finding::good(Check::Name, format!("{host} is this host")),
        Ok(addresses) if host.parse::<IpAddr>().is_ok() => {
            Finding::good(Check::Name, format!("an address, which needs no name: {}", list(addresses)))
        }
        Ok(addresses) => Finding::good(Check::Name, format!("{host} is {}", list(addresses))),
        Err(why) => Finding::fault(
            Check::Name,
            Exit::NothingAnswers,
            if let ConnectError::Resolve(why) = why {
                format!("{host} does not resolve: {why}")
            } else {
                format!("{host} does not resolve: {why}")
            },
            "correct the host in the gateway's url; or look whether this host's name service works (`getent hosts NAME`)",
        ),
    })
}

fn port(question: &Question, seen: &Seen) -> Option<Finding> {
    let (host, port) = question.host_and_port();
    let fault = |found: String, remedy: String| Finding::fault(Check::Port, Exit::NothingAnswers, found, remedy);
    Some(match seen.port.as_ref()? {
        Port::Open => Finding::good(Check::Port, format!("{port} is open")),
        Port::Refused => fault(
            format!("nothing listens on port {port} of {host}"),
            "start the gateway (`bin/run.sh root/conf.yaml` in its folder; it listens some seconds later), or correct \
             the port: listenPort in its conf.yaml and the url here must agree. In a container the port must be \
             published"
                .to_owned(),
        ),
        Port::Silent => fault(
            format!("{host} does not take a connection on port {port}, and does not refuse it"),
            "look for a firewall in between, and whether the host is up".to_owned(),
        ),
        Port::Unreachable(why) => {
            fault(format!("there is no way to {host}: {why}"), "look at this host's network".to_owned())
        }
    })
}

/// What holds the port and speaks the wrong protocol for a gateway, or for the URL.
fn stranger(question: &Question, seen: &Seen) -> Option<Finding> {
    if let Some(Tls::Failed(error @ (TlsError::NothingInCommon(_) | TlsError::Unusable(_) | TlsError::ShortKey(_)))) =
        &seen.tls
    {
        let remedy = error.remedy().unwrap_or_default();
        return Some(Finding::fault(Check::Tls, Exit::HumanNeeded, error.finding(), remedy));
    }
    if let Some(Tls::Failed(error @ TlsError::NotPlainHttp(_))) = &seen.tls {
        let remedy = error.remedy().unwrap_or_default();
        return Some(Finding::fault(Check::Tls, Exit::Configuration, error.finding(), remedy));
    }
    let (_, port) = question.host_and_port();
    let fault = |found: String| {
        let remedy = format!(
            "see which program holds port {port} (`ss -ltnp 'sport = :{port}'`), and have the gateway or the program \
             listen elsewhere"
        );
        Finding::fault(Check::Port, Exit::NothingAnswers, found, remedy)
    };
    Some(match seen.banner.as_ref()? {
        Banner::Http(answer) if is_gateway(answer) => {
            let error = TlsError::PlainHttp(question.url().with_encryption(false));
            Finding::fault(Check::Tls, Exit::Configuration, error.finding(), error.remedy().unwrap_or_default())
        }
        Banner::Http(answer) => match is_airplay(answer) {
            true => airplay(port),
            false => fault(format!("port {port} is held by {}, which speaks no TLS", server(answer))),
        },
        Banner::Other(line) => fault(format!("port {port} is held by something else, which says {line:?}")),
        Banner::Nothing => fault(format!("port {port} is open, and whatever holds it answers neither TLS nor HTTP")),
    })
}

fn gateway(question: &Question, seen: &Seen) -> (Finding, bool) {
    let (_, port) = question.host_and_port();
    let fault = |found: String, remedy: &str| Finding::fault(Check::Gateway, Exit::NothingAnswers, found, remedy);
    match &seen.root {
        Some(Got::Answer(super::seen::Answer { http: answer, .. })) => match read_listening(&answer.reply()) {
            Ok(()) => (Finding::good(Check::Gateway, "it sends visitors to the login page, as a gateway does"), true),
            Err(Refusal::AddressRefused) => {
                (Finding::good(Check::Gateway, "it refuses this host in a gateway's own words"), true)
            }
            Err(Refusal::TooManyRequests { .. }) => (Finding::note(Check::Gateway, "it says too many requests"), true),
            Err(_) if is_airplay(answer) => (airplay(port), false),
            Err(_) if is_edge(answer) => {
                (Finding::note(Check::Gateway, "IBKR's edge answers in the place of a gateway"), true)
            }
            Err(_) => {
                let found = format!("what answers is {}, not a gateway", server(answer));
                (fault(found, "correct the url, or free the port for the gateway"), false)
            }
        },
        Some(Got::Silent) => {
            let found =
                "it takes the connection and does not answer GET /, which a gateway answers by itself".to_owned();
            (fault(found, HUNG), false)
        }
        Some(Got::Broken(why)) => {
            let found = format!("it breaks the connection: {why}");
            (fault(found, "see the gateway's own output, and whether it is a gateway"), false)
        }
        None => (Finding::not_asked(Check::Gateway, "not asked"), false),
    }
}

/// A gateway's answer to GET /, whoever wrote the URL.
fn is_gateway(answer: &Answer) -> bool {
    matches!(read_listening(&answer.reply()), Ok(()) | Err(Refusal::AddressRefused))
}

/// 403 in the words of IBKR's edge.
pub(super) fn is_edge(answer: &Answer) -> bool {
    let body = String::from_utf8_lossy(&answer.body).to_ascii_lowercase();
    answer.status == 403 && (body.contains("access denied") || body.contains("akamai"))
}

fn is_airplay(answer: &Answer) -> bool {
    answer.server.as_deref().is_some_and(|server| server.starts_with("AirTunes") || server.starts_with("AirPlay"))
}

fn airplay(port: u16) -> Finding {
    let remedy = format!(
        "switch AirPlay Receiver off (System Settings > General > AirDrop & Handoff), or have the gateway listen \
         elsewhere: listenPort: {next} in its conf.yaml, and port {next} in the url",
        next = port.saturating_add(1)
    );
    let found = format!("port {port} is held by macOS's AirPlay Receiver, not by a gateway");
    Finding::fault(Check::Port, Exit::NothingAnswers, found, remedy)
}

/// A web server in words; what it says of itself is foreign text.
fn server(answer: &Answer) -> String {
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
        (Some(from), _) if from > now => format!(", good only from {}", day(from)),
        (_, Some(until)) => format!(", good until {}", day(until)),
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
const PLAIN: &str = "listenSsl: true in the gateway's conf.yaml, and https:// here";
const STOCK_PINNED: &str = "its private key is in every download, so this pin tells no impostor from your gateway: give \
                            the gateway a certificate of its own (sslCert in its conf.yaml), and pin that";
