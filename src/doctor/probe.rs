//! Probes one gateway: connections, TLS, and at most seven requests that change nothing.

use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use tokio::time::sleep;

use super::answers::{seems_lapsed, seems_live, seems_logged_out};
use super::observations::{Banner, Observations, PortState, ProbeResult, Subject, TimedAnswer, TlsState};
use super::recently;
use crate::driver::{Clock, HostClock};
use crate::gateway::probe::{self, NoAnswer, Probe};
use crate::gateway::{Client, ConnectError, IbkrHost, Request, Target, TlsError, Trust};
use crate::session::Unavailability;

/// Probes one gateway, step by step, as long as the next step makes sense.
pub(super) async fn look(subject: &Subject) -> Observations {
    let mut observed = Observations::default();
    let url = subject.url();
    let (probe, no_trust) = match Probe::new(&subject.target) {
        Ok(probe) => (Ok(probe), None),
        // Without its trust, the port is still probed.
        Err(error) => {
            let target = Target { trust: Trust::Loopback, ..subject.target.clone() };
            (Probe::new(&target), Some(error.to_string()))
        }
    };
    let Ok(probe) = probe else { return observed };
    let addresses = match probe.resolve(RESOLVED_WITHIN).await {
        Ok(addresses) => addresses,
        Err(why) => {
            observed.addresses = Some(Err(why));
            return observed;
        }
    };
    observed.addresses = Some(Ok(addresses.iter().map(SocketAddr::ip).collect()));
    if let Err(elsewhere) = probe.allows(&addresses) {
        let shown = probe.look(&addresses, WITHIN).await;
        observed.port = Some(port(&shown));
        let certificate = shown.ok().and_then(|contact| contact.certificate);
        observed.tls = Some(TlsState::Untrusted { certificate, why: elsewhere.to_string() });
        return observed;
    }
    let contact = probe.connect(&addresses, WITHIN).await;
    observed.port = Some(port(&contact));
    match contact {
        Ok(contact) => {
            observed.own_address = contact.own_address;
            observed.tls = contact.certificate.map(TlsState::Trusted);
        }
        Err(ConnectError::Tls(TlsError::Untrusted(why))) => {
            // The certificate is read on a connection that accepts any; nothing is sent on it.
            let shown = probe.look(&addresses, WITHIN).await.ok();
            observed.tls =
                Some(TlsState::Untrusted { certificate: shown.and_then(|contact| contact.certificate), why });
        }
        Err(ConnectError::Tls(error)) => {
            if matches!(error, TlsError::PlainHttp(_) | TlsError::Neither | TlsError::NoAnswer) {
                observed.banner = Some(banner(&probe).await);
            }
            observed.tls = Some(TlsState::Failed(error));
        }
        Err(ConnectError::Broken(_)) if url.is_encrypted() => {
            observed.banner = Some(banner(&probe).await);
            observed.tls = Some(TlsState::Failed(TlsError::NoAnswer));
        }
        Err(_) => {}
    }
    if let Some(why) = no_trust {
        observed.tls = Some(TlsState::NoTrust(why));
    }
    if !matches!((&observed.port, &observed.tls), (Some(PortState::Open), None | Some(TlsState::Trusted(_)))) {
        return observed;
    }
    if !url.is_encrypted() {
        match banner(&probe).await {
            Banner::Http(answer) if answer.status != 400 => {}
            banner @ (Banner::Http(_) | Banner::Other(_) | Banner::Nothing) => {
                if probe.look(&addresses, WITHIN).await.map_or_else(|error| error.is_over_tls(), |_| true) {
                    observed.tls = Some(TlsState::Failed(TlsError::NotPlainHttp(url.with_encryption(true))));
                    return observed;
                }
                if !matches!(banner, Banner::Http(_)) {
                    observed.banner = Some(banner);
                    return observed;
                }
            }
        }
    }
    ask(subject, &probe, &mut observed).await;
    observed
}

async fn ask(subject: &Subject, probe: &Probe, observed: &mut Observations) {
    let root = get(probe, Request::IsListening, WITHIN).await;
    let answers = matches!(root, ProbeResult::Answer(_));
    observed.root = Some(root);
    if !answers {
        return;
    }
    let patience = subject.target.answer_within;
    match subject.known_silence {
        Some(Unavailability::GatewayWedged) => return,
        Some(_) => return look_for_ibkr(subject, observed).await,
        None => {}
    }
    let mut status = get(probe, Request::Check, patience).await;
    if seems_lapsed(&status) {
        // The first answer of a fresh session is known to say so although all is well.
        sleep(BEFORE_BELIEVING).await;
        status = get(probe, Request::Check, patience).await;
    }
    if seems_live(&status) {
        observed.accounts = Some(get(probe, Request::Accounts, patience).await);
    } else if seems_logged_out(&status) {
        observed.login_page = Some(got(probe.get(LOGIN_PAGE, patience).await));
    } else if seems_lapsed(&status) && subject.no_validation.is_none() && recently::may_validate(subject.url().as_str())
    {
        observed.validation = Some(get(probe, Request::ValidateSso, patience).await);
    }
    let is_silent = status == ProbeResult::Silent;
    observed.status = Some(status);
    if is_silent {
        look_for_ibkr(subject, observed).await;
    }
}

/// Tells a wedged gateway from a silent IBKR and from a host without a network, without another request.
async fn look_for_ibkr(subject: &Subject, observed: &mut Observations) {
    let Ok(client) = Client::new(subject.target.clone()) else { return };
    let websocket = client.probe_websocket(MESSAGE_WITHIN).await;
    let is_answered = websocket.is_ok();
    observed.websocket = Some(websocket);
    let host = subject.ibkr_host.as_deref().filter(|_| !is_answered);
    if let Some(Ok(host)) = host.map(|host| IbkrHost::new(host, &Trust::System)) {
        observed.ibkr_host = Some(host.handshake(RESOLVED_WITHIN).await);
    }
}

async fn get(probe: &Probe, request: Request, within: Duration) -> ProbeResult {
    got(probe.request(request, within).await)
}

fn got(answer: Result<probe::ProbeAnswer, NoAnswer>) -> ProbeResult {
    match answer {
        Ok(answer) => ProbeResult::Answer(TimedAnswer {
            date: answer.date.as_deref().and_then(http_date),
            came: HostClock::start().now().wall,
            http: answer,
        }),
        Err(NoAnswer::TimedOut) => ProbeResult::Silent,
        Err(NoAnswer::Broken(why)) => ProbeResult::Broken(why),
        Err(NoAnswer::NotHttp(_)) => ProbeResult::Broken("what came is not HTTP".to_owned()),
    }
}

/// The outcome of a connection to the port.
fn port<T>(contact: &Result<T, ConnectError>) -> PortState {
    match contact {
        Err(ConnectError::Refused) => PortState::Refused,
        Err(ConnectError::TimedOut) => PortState::Silent,
        Err(error @ (ConnectError::Unreachable(_) | ConnectError::Local(_) | ConnectError::Resolve(_))) => {
            PortState::Unreachable(error.to_string())
        }
        Ok(_) | Err(ConnectError::Elsewhere(_) | ConnectError::Broken(_) | ConnectError::Tls(_)) => PortState::Open,
    }
}

/// What something says to a plain GET.
async fn banner(probe: &Probe) -> Banner {
    match probe.get_plain("/", WITHIN).await {
        Ok(answer) => Banner::Http(answer),
        Err(NoAnswer::NotHttp(first)) => {
            let text = String::from_utf8_lossy(&first);
            Banner::Other(super::connection::printable(text.lines().next().unwrap_or_default()))
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
/// IBKR's first message comes within milliseconds.
const MESSAGE_WITHIN: Duration = Duration::from_secs(5);
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
