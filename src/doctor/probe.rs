//! Goes to one gateway and looks: connections, TLS, and at most seven requests that change nothing.

use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use tokio::time::sleep;

use super::answers::{seems_lapsed, seems_live, seems_logged_out};
use super::recently;
use super::seen::{Answer, Banner, Got, Port, Question, Seen, Tls};
use crate::driver::{Clock, HostClock};
use crate::gateway::probe::{self, NoAnswer, Probe};
use crate::gateway::{ConnectError, Request, Target, TlsError, Trust};

/// Looks at one gateway, as far as each answer makes the next question sensible.
pub(super) async fn look(question: &Question) -> Seen {
    let mut seen = Seen::default();
    let url = question.url();
    let (probe, no_trust) = match Probe::new(&question.target) {
        Ok(probe) => (Ok(probe), None),
        // Without its trust it is still looked whether anything is there.
        Err(error) => {
            let target = Target { trust: Trust::Loopback, ..question.target.clone() };
            (Probe::new(&target), Some(error.to_string()))
        }
    };
    let Ok(probe) = probe else { return seen };
    let addresses = match probe.resolve(RESOLVED_WITHIN).await {
        Ok(addresses) => addresses,
        Err(why) => {
            seen.addresses = Some(Err(why));
            return seen;
        }
    };
    seen.addresses = Some(Ok(addresses.iter().map(SocketAddr::ip).collect()));
    if let Err(elsewhere) = probe.allows(&addresses) {
        let shown = probe.look(&addresses, WITHIN).await;
        seen.port = Some(port(&shown));
        let certificate = shown.ok().and_then(|contact| contact.certificate);
        seen.tls = Some(Tls::Untrusted { certificate, why: elsewhere.to_string() });
        return seen;
    }
    let contact = probe.connect(&addresses, WITHIN).await;
    seen.port = Some(port(&contact));
    match contact {
        Ok(contact) => {
            seen.own_address = contact.own_address;
            seen.tls = contact.certificate.map(Tls::Trusted);
        }
        Err(ConnectError::Tls(TlsError::Untrusted(why))) => {
            // The certificate is seen by taking any: nothing is sent on this connection.
            let shown = probe.look(&addresses, WITHIN).await.ok();
            seen.tls = Some(Tls::Untrusted { certificate: shown.and_then(|contact| contact.certificate), why });
        }
        Err(ConnectError::Tls(error)) => {
            if matches!(error, TlsError::PlainHttp(_) | TlsError::Neither | TlsError::NoAnswer) {
                seen.banner = Some(banner(&probe).await);
            }
            seen.tls = Some(Tls::Failed(error));
        }
        Err(ConnectError::Broken(_)) if url.is_encrypted() => {
            seen.banner = Some(banner(&probe).await);
            seen.tls = Some(Tls::Failed(TlsError::NoAnswer));
        }
        Err(_) => {}
    }
    if let Some(why) = no_trust {
        seen.tls = Some(Tls::NoTrust(why));
    }
    if !matches!((&seen.port, &seen.tls), (Some(Port::Open), None | Some(Tls::Trusted(_)))) {
        return seen;
    }
    if !url.is_encrypted() {
        match banner(&probe).await {
            Banner::Http(answer) if answer.status != 400 => {}
            banner @ (Banner::Http(_) | Banner::Other(_) | Banner::Nothing) => {
                if is_tls(&probe.look(&addresses, WITHIN).await) {
                    seen.tls = Some(Tls::Failed(TlsError::NotPlainHttp(url.with_encryption(true))));
                    return seen;
                }
                if !matches!(banner, Banner::Http(_)) {
                    seen.banner = Some(banner);
                    return seen;
                }
            }
        }
    }
    ask(question, &probe, &mut seen).await;
    seen
}

async fn ask(question: &Question, probe: &Probe, seen: &mut Seen) {
    let root = get(probe, Request::IsListening, WITHIN).await;
    let answers = matches!(root, Got::Answer(_));
    seen.root = Some(root);
    if !answers {
        return;
    }
    let patience = question.target.answer_within;
    let mut status = get(probe, Request::Check, patience).await;
    if seems_lapsed(&status) {
        // The first answer of a fresh session is known to say so although all is well.
        sleep(BEFORE_BELIEVING).await;
        status = get(probe, Request::Check, patience).await;
    }
    if seems_live(&status) {
        seen.accounts = Some(get(probe, Request::Accounts, patience).await);
    } else if seems_logged_out(&status) {
        seen.login_page = Some(got(probe.get(LOGIN_PAGE, patience).await));
    } else if seems_lapsed(&status)
        && question.no_validation.is_none()
        && recently::may_validate(question.url().as_str())
    {
        seen.validation = Some(get(probe, Request::ValidateSso, patience).await);
    }
    seen.status = Some(status);
}

async fn get(probe: &Probe, request: Request, within: Duration) -> Got {
    got(probe.request(request, within).await)
}

fn got(answer: Result<probe::Answer, NoAnswer>) -> Got {
    match answer {
        Ok(answer) => Got::Answer(Answer {
            date: answer.date.as_deref().and_then(http_date),
            came: HostClock::start().now().wall,
            http: answer,
        }),
        Err(NoAnswer::TimedOut) => Got::Silent,
        Err(NoAnswer::Broken(why)) => Got::Broken(why),
        Err(NoAnswer::NotHttp(_)) => Got::Broken("what came is not HTTP".to_owned()),
    }
}

/// What became of a connection to the port.
fn port<T>(contact: &Result<T, ConnectError>) -> Port {
    match contact {
        Err(ConnectError::Refused) => Port::Refused,
        Err(ConnectError::TimedOut) => Port::Silent,
        Err(error @ (ConnectError::Unreachable(_) | ConnectError::Local(_) | ConnectError::Resolve(_))) => {
            Port::Unreachable(error.to_string())
        }
        Ok(_) | Err(ConnectError::Elsewhere(_) | ConnectError::Broken(_) | ConnectError::Tls(_)) => Port::Open,
    }
}

fn is_tls<T>(contact: &Result<T, ConnectError>) -> bool {
    match contact {
        Ok(_)
        | Err(ConnectError::Tls(
            TlsError::Untrusted(_) | TlsError::Unusable(_) | TlsError::ShortKey(_) | TlsError::NothingInCommon(_),
        )) => true,
        Err(_) => false,
    }
}

/// What something says to a plain GET.
async fn banner(probe: &Probe) -> Banner {
    match probe.get_plain("/", WITHIN).await {
        Ok(answer) => Banner::Http(answer),
        Err(NoAnswer::NotHttp(first)) => {
            let text = String::from_utf8_lossy(&first);
            Banner::Other(super::door::printable(text.lines().next().unwrap_or_default()))
        }
        Err(NoAnswer::TimedOut | NoAnswer::Broken(_)) => Banner::Nothing,
    }
}

fn http_date(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(text).ok()
}

/// Where the gateway's own answer to GET / leads a browser.
const LOGIN_PAGE: &str = "/sso/Login?forwardTo=22&RL=1";
const WITHIN: Duration = Duration::from_secs(3);
const RESOLVED_WITHIN: Duration = Duration::from_secs(5);
const BEFORE_BELIEVING: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::http_date;

    #[test]
    fn dates_are_read_as_http_writes_them() {
        let date = http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(date.to_string(), "1994-11-06T08:49:37Z");
        assert_eq!(http_date("yesterday"), None);
    }
}
