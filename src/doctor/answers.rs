//! What a gateway and IBKR behind it answer: who is refused, who is logged in, whose session it is. Pure.

use std::net::IpAddr;
use std::time::Duration;

use super::connection::is_edge;
use super::observations::{Observations, ProbeResult, Subject};
use super::report::{Check, CheckResult, Verdict};
use crate::exit::Exit;
use crate::gateway::ibkr_host::Unreachable;
use crate::gateway::stream::StreamDown;
use crate::gateway::wire::{Refusal, read, read_listening, read_status};
use crate::gateway::{AccountsAnswer, AuthStatus, ErrorKind, SsoValidation};
use crate::log::human_duration;
use crate::session::{Account, Unavailability};

/// Evaluates the answers of a gateway.
pub(super) fn evaluate(subject: &Subject, observed: &Observations) -> Vec<CheckResult> {
    let mut results = Vec::new();
    results.extend(clock(observed));
    if let Some(fault) = refused(subject, observed) {
        results.push(fault);
        return results;
    }
    results.push(CheckResult::good(Check::IpList, "this host is allowed"));
    let status = match &observed.status {
        Some(ProbeResult::Answer(answer)) => Ok(read_status(&answer.reply())),
        Some(ProbeResult::Silent) => Err(Some(unanswered(subject, observed))),
        Some(ProbeResult::Broken(why)) => {
            Err(Some(ibkr(&format!("the connection broke during a request to IBKR: {why}"))))
        }
        None => Err(subject.known_silence.map(|_| unanswered(subject, observed))),
    };
    let status = match status {
        Ok(status) => status,
        Err(fault) => {
            results.extend(fault);
            return results;
        }
    };
    match status.map_err(|refusal| (refusal.kind, refusal.detail)) {
        Ok(status) => {
            results.push(CheckResult::good(Check::Edge, "IBKR accepts this host"));
            results.push(CheckResult::good(Check::Ibkr, "IBKR answers"));
            results.extend(session(subject, observed, &status));
        }
        Err((ErrorKind::Unauthorized { denied }, _)) => {
            results.push(CheckResult::good(Check::Edge, "IBKR accepts this host"));
            results.push(CheckResult::good(Check::Ibkr, "IBKR answers"));
            results.push(no_login(subject, denied));
        }
        Err((ErrorKind::LoginPage, _)) => results.push(no_login(subject, false)),
        Err((ErrorKind::TooManyRequests { .. }, _)) => results.push(too_many()),
        Err((ErrorKind::Ibkr, _)) => {
            let answer = observed.status.as_ref().and_then(ProbeResult::answer);
            let status = answer.map_or(0, |answer| answer.http.status);
            results.push(ibkr(&format!("IBKR answers with an error (status {status})")));
        }
        Err((ErrorKind::NoBrokerageSession, _)) => results.extend(session(subject, observed, &AuthStatus::default())),
        Err((ErrorKind::Gone | ErrorKind::NotAGateway, _)) => {
            let found = "it does not support the request for the session's status";
            results.push(CheckResult::fault(Check::Gateway, Exit::NothingAnswers, found, "update the gateway"));
        }
        Err((ErrorKind::NotUnderstood, why)) => results.push(ibkr(&format!("the answer cannot be understood: {why}"))),
        // Both are reported above, and what goes wrong without an answer is not read from one.
        Err(_) => {}
    }
    results
}

/// What it means that a request to IBKR has no answer. How many of the gateway's connections are taken cannot be known,
/// so that it says what was tried.
fn unanswered(subject: &Subject, observed: &Observations) -> CheckResult {
    let fault = |exit, found: String, remedy: &str| CheckResult::fault(Check::Ibkr, exit, found, remedy);
    let request = if subject.known_silence.is_some() {
        "the daemon's requests get no answer".to_owned()
    } else {
        format!("a request to IBKR had no answer within {}", human_duration(subject.target.answer_within))
    };
    let tried = format!("the gateway answers GET / by itself, and {request}");
    match (&observed.websocket, &observed.ibkr_host) {
        _ if subject.known_silence == Some(Unavailability::GatewayWedged) => fault(
            Exit::HumanNeeded,
            format!("the gateway is wedged, as the daemon found: {tried}, while IBKR answers in another way"),
            WEDGED,
        ),
        (Some(Ok(())), _) => fault(
            Exit::HumanNeeded,
            format!("the gateway is wedged: {tried}, while IBKR answers a websocket through the same gateway"),
            WEDGED,
        ),
        (_, Some(Err(Unreachable::NoWay(why)))) => {
            fault(Exit::NotLive, format!("this host cannot reach IBKR ({why}): {tried}"), NO_WAY)
        }
        (Some(Err(StreamDown::NeverReady)), _) => {
            fault(Exit::NotLive, format!("IBKR does not answer: {tried}; a websocket got no message either"), AWAY)
        }
        (_, Some(Ok(()))) => fault(
            Exit::NotLive,
            format!("{tried}; no websocket can be opened, but this host can reach IBKR's API host"),
            MAYBE_WEDGED,
        ),
        (_, Some(Err(Unreachable::NoAnswer(why)))) => fault(
            Exit::NotLive,
            format!("IBKR does not answer: {tried}; its API host does not answer either ({why})"),
            AWAY,
        ),
        (_, None) => fault(Exit::NotLive, tried, MAYBE_WEDGED),
    }
}

/// Refusals of this host, whichever answer says so.
fn refused(subject: &Subject, observed: &Observations) -> Option<CheckResult> {
    let answers =
        [&observed.root, &observed.status, &observed.login_page].into_iter().flatten().filter_map(ProbeResult::answer);
    for answer in answers {
        let refusal = read::<serde_json::Value>(&answer.reply()).err();
        if refusal.is_some_and(|refusal| refusal.kind == ErrorKind::AddressRefused) {
            return Some(ip_list(subject, observed.own_address));
        }
        if read_listening(&answer.reply()).is_err() && (is_edge(&answer.http) || answer.http.status == 403) {
            let found = "IBKR's edge refuses this host's address (403)";
            return Some(CheckResult::fault(Check::Edge, Exit::HumanNeeded, found, BLOCKED));
        }
    }
    None
}

fn ip_list(subject: &Subject, own: Option<IpAddr>) -> CheckResult {
    let from = own.map(|own| format!(", which connects from {own}")).unwrap_or_default();
    let found = format!("the gateway itself refuses this host{from} (404 \"Access Denied\")");
    let mut remedy = format!(
        "in the gateway's root/conf.yaml add the line `    - {}` under ips: allow:, and restart the gateway, which \
         costs a login",
        own.map_or_else(|| "ADDRESS".to_owned(), allow_line)
    );
    if subject.is_here() {
        remedy.push_str(
            ". If it runs in a container, it sees the address of the container's network instead, for instance \
             172.18.0.1: then add `    - 172.*`",
        );
    }
    CheckResult::fault(Check::IpList, Exit::HumanNeeded, found, remedy)
}

/// What to allow for an address: its network for IPv4, as the file's own lines do, and itself otherwise.
pub(super) fn allow_line(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) if address.is_loopback() => "127.0.0.1".to_owned(),
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.*")
        }
        IpAddr::V6(address) => address.to_string(),
    }
}

fn no_login(subject: &Subject, denied: bool) -> CheckResult {
    let url = subject.url();
    let how = if subject.is_here() {
        format!(
            "log in at {url} in a browser on this host; from another computer, run `{}` first.",
            url.ssh_tunnel(&subject.here)
        )
    } else {
        format!("log in at {url} in a browser, preferably on the gateway's own host")
    };
    let more = if denied { "\nIf a login does not help, check ips: allow: in the gateway's conf.yaml" } else { "" };
    let remedy = format!("{how}\n{NEVERTHELESS}{more}");
    CheckResult::fault(Check::Login, Exit::HumanNeeded, "not logged in", remedy)
}

fn session(subject: &Subject, observed: &Observations, status: &AuthStatus) -> Vec<CheckResult> {
    let fault = |found: &str, remedy: &str| CheckResult::fault(Check::Session, Exit::NotLive, found, remedy);
    if status.competing {
        let login = CheckResult::good(Check::Login, "valid");
        let found = "the session is in use elsewhere: in TWS, on a phone or by another program with the same user name";
        return vec![login, fault(found, ELSEWHERE)];
    }
    if !status.authenticated {
        let login = login(subject, observed);
        let found = match login.verdict {
            Verdict::Fault(_) => return vec![login],
            Verdict::Good => "the session has lapsed, but the login is still valid: the session can be recovered",
            Verdict::Warning | Verdict::Note | Verdict::NotAsked => {
                "the session has lapsed; the login may still be valid"
            }
        };
        return vec![login, fault(found, TAKE_BACK)];
    }
    let mut results = vec![CheckResult::good(Check::Login, "valid")];
    if !status.connected {
        results.push(fault("authenticated, but the gateway is not connected to IBKR's servers", TAKE_BACK));
        return results;
    }
    if status.established == Some(false) {
        results.push(fault("authenticated, but the account data is not loaded yet", "run this again in a few seconds"));
        return results;
    }
    let accounts = observed.accounts.as_ref().and_then(ProbeResult::answer);
    let accounts = accounts.and_then(|answer| read::<AccountsAnswer>(&answer.reply()).ok());
    match accounts {
        Some(accounts) if accounts.count > 0 => {
            results.push(CheckResult::good(Check::Session, "live: authenticated, connected, and account data arrives"));
            results.push(account(subject, accounts.is_paper));
        }
        Some(_) | None => {
            results.push(fault("the gateway reports authenticated, but account data does not arrive", NO_DATA));
        }
    }
    results
}

/// The login beneath a session that is gone.
fn login(subject: &Subject, observed: &Observations) -> CheckResult {
    let answer = match &observed.validation {
        Some(ProbeResult::Answer(answer)) => answer,
        Some(ProbeResult::Silent | ProbeResult::Broken(_)) => {
            return CheckResult::note(Check::Login, "unknown: IBKR did not answer");
        }
        None => {
            let why = subject.no_validation.as_deref().unwrap_or(ASKED_RECENTLY);
            return CheckResult::not_asked(Check::Login, why);
        }
    };
    match read::<SsoValidation>(&answer.reply()) {
        Ok(sso) if sso.client_app.as_deref().is_some_and(|app| !app.is_empty()) => {
            let found = "another application holds the login, so the gateway cannot open a session; `competing` does not show this";
            CheckResult::fault(Check::Login, Exit::HumanNeeded, found, BORROWED)
        }
        Ok(SsoValidation { result: true, .. }) => CheckResult::good(Check::Login, "valid"),
        Ok(SsoValidation { result: false, .. }) => {
            let remedy = format!(
                "this answer is sometimes wrong: run this again in a minute; if it is the same, log in at {}",
                subject.url()
            );
            CheckResult::fault(Check::Login, Exit::HumanNeeded, "IBKR says that the login is not valid", remedy)
        }
        Err(Refusal { kind: ErrorKind::Unauthorized { denied }, .. }) => no_login(subject, denied),
        Err(Refusal { kind: ErrorKind::LoginPage, .. }) => no_login(subject, false),
        Err(Refusal { kind: ErrorKind::TooManyRequests { .. }, .. }) => too_many(),
        Err(_) => CheckResult::note(Check::Login, "unknown: the answer does not say"),
    }
}

fn account(subject: &Subject, is_paper: Option<bool>) -> CheckResult {
    let kind = |paper| if paper { "paper" } else { "live" };
    let (wanted, is) = match (subject.account, is_paper) {
        (_, None) => return CheckResult::note(Check::Account, "the answer does not say whether it is paper or live"),
        (Account::Any, Some(paper)) => return CheckResult::good(Check::Account, format!("a {} account", kind(paper))),
        (Account::Paper, Some(paper)) => (true, paper),
        (Account::Live, Some(paper)) => (false, paper),
    };
    if wanted == is {
        return CheckResult::good(Check::Account, format!("a {} account, as configured", kind(is)));
    }
    let found = format!("the login is for a {} account, but a {} account is configured", kind(is), kind(wanted));
    let remedy = format!(
        "log out, then log in at {} with the {} user name, or correct account under [gateway.{}.session]",
        subject.url(),
        kind(wanted),
        subject.name
    );
    CheckResult::fault(Check::Account, Exit::HumanNeeded, found, remedy)
}

/// This host's clock against the newest answer that has a date.
fn clock(observed: &Observations) -> Option<CheckResult> {
    let answers = [&observed.status, &observed.login_page, &observed.root].into_iter().flatten();
    let mut dated = answers.filter_map(ProbeResult::answer).filter_map(|answer| Some((answer.came, answer.date?)));
    let Some((came, date)) = dated.next() else {
        return Some(CheckResult::not_asked(Check::Clock, "no answer had a date"));
    };
    let off = Duration::try_from(came.duration_since(date).abs()).unwrap_or_default();
    if off <= TOLERATED {
        return Some(CheckResult::good(
            Check::Clock,
            format!("within {} s of the Date header of the answers", TOLERATED.as_secs()),
        ));
    }
    let way = if came > date { "ahead" } else { "behind" };
    let found = format!("this host's clock is {} {way} of the Date header of the answers", human_duration(off));
    let remedy = "synchronise the clock of this host (`timedatectl set-ntp true`): the ends of logins and maintenance \
                  windows are calculated from it";
    Some(CheckResult::warning(Check::Clock, found, remedy))
}

fn ibkr(found: &str) -> CheckResult {
    CheckResult::fault(Check::Ibkr, Exit::NotLive, found, AWAY)
}

fn too_many() -> CheckResult {
    let found = "IBKR reports too many requests (429)";
    let remedy = "send nothing to this gateway for 15 minutes, and find out which program sends so many requests";
    CheckResult::fault(Check::Ibkr, Exit::NotLive, found, remedy)
}

/// The flags of a status, or what its refusal means.
fn flags(result: &ProbeResult) -> Option<Result<AuthStatus, ErrorKind>> {
    result.answer().map(|answer| read_status(&answer.reply()).map_err(|refusal| refusal.kind))
}

/// Whether the session seems live, so that account data is asked next.
pub(super) fn seems_live(result: &ProbeResult) -> bool {
    matches!(flags(result), Some(Ok(AuthStatus { authenticated: true, competing: false, .. })))
}

/// Whether the session is gone without a competitor, so that the login is checked next.
pub(super) fn seems_lapsed(result: &ProbeResult) -> bool {
    matches!(
        flags(result),
        Some(Ok(AuthStatus { authenticated: false, competing: false, .. }) | Err(ErrorKind::NoBrokerageSession))
    )
}

/// Whether there is no login, so that the login page is checked next.
pub(super) fn seems_logged_out(result: &ProbeResult) -> bool {
    matches!(flags(result), Some(Err(ErrorKind::Unauthorized { .. } | ErrorKind::LoginPage)))
}

const ASKED_RECENTLY: &str = "not checked: IBKR allows this request once a minute, and it was sent less than a minute \
                              ago";
const TOLERATED: Duration = Duration::from_secs(30);

const BLOCKED: &str = "IBKR often blocks addresses of data centres, whatever the login: run the gateway behind \
                       another address, such as that of an office, of a home or of another provider";
const NEVERTHELESS: &str = "If the browser says \"Client login succeeds\" but this does not change, log in once at \
                            IBKR's website, where a confirmation may be waiting, and then here again. If that does \
                            not help, ask IBKR to enable the account for the API. If the page rejects the right \
                            password, IBKR has locked the user name after too many attempts: it is unlocked by \
                            IBKR's support, or after a day";
const BORROWED: &str = "log out in that application, most often IBKR Mobile (log out, not swipe away); then stop \
                        everything that sends requests to this gateway, restart the gateway, and log in again";
const ELSEWHERE: &str = "log out there, or wait until the other use ends. A second user name avoids this. \
                         `competing = \"take-over\"` would end the other use";
const TAKE_BACK: &str = "`tickled run` recovers it within seconds; without the daemon, log in again";
const NO_DATA: &str = "check whether the same user name is in use elsewhere, and run this again in a minute";
const AWAY: &str = "check IBKR's system status page, and whether this host can reach api.ibkr.com (DNS, \
                    firewall, proxy). Do not restart the gateway: this passes by itself, and a restart costs \
                    a login";
const NO_WAY: &str = "check the DNS, the routes and the firewall of this host (`getent hosts api.ibkr.com`)";
const WEDGED: &str = "restart the gateway, which costs a login. Requests that IBKR never answered hold its five connections \
                      to IBKR, so every program that uses this gateway is blocked. It ends by itself only when IBKR \
                      closes those connections";
const MAYBE_WEDGED: &str = "check IBKR's system status page. If IBKR is up and this persists, requests that IBKR \
                            never answered hold the gateway's five connections: restart it, which costs a login";
