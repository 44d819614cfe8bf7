//! What a gateway and IBKR behind it answer: who is refused, who is logged in, whose session it is. Pure.

use std::net::IpAddr;
use std::time::Duration;

use super::door::is_edge;
use super::finding::{Check, Finding, Verdict};
use super::seen::{Got, Question, Seen};
use crate::exit::Exit;
use crate::gateway::wire::{Refusal, read, read_listening, read_status};
use crate::gateway::{Accounts, AuthStatus, SsoValidation};
use crate::session::Account;

/// Judges the answers of what is known to be a gateway.
pub(super) fn judge(question: &Question, seen: &Seen) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(clock(seen));
    if let Some(fault) = refused(question, seen) {
        findings.push(fault);
        return findings;
    }
    findings.push(Finding::good(Check::IpList, "this host may ask"));
    let status = match &seen.status {
        Some(Got::Answer(answer)) => read_status(&answer.reply()),
        Some(Got::Silent) => {
            findings.push(ibkr("the gateway answers by itself, and IBKR behind it does not in time"));
            return findings;
        }
        Some(Got::Broken(why)) => {
            findings.push(ibkr(&format!("the connection breaks under a question to IBKR: {why}")));
            return findings;
        }
        None => return findings,
    };
    match status {
        Ok(status) => {
            findings.push(Finding::good(Check::Edge, "IBKR lets this host in"));
            findings.push(Finding::good(Check::Ibkr, "it answers"));
            findings.extend(session(question, seen, &status));
        }
        Err(Refusal::Unauthorized { denied }) => {
            findings.push(Finding::good(Check::Edge, "IBKR lets this host in"));
            findings.push(Finding::good(Check::Ibkr, "it answers"));
            findings.push(no_login(question, denied));
        }
        Err(Refusal::LoginPage) => findings.push(no_login(question, false)),
        Err(Refusal::TooManyRequests { .. }) => findings.push(too_many()),
        Err(Refusal::Ibkr) => {
            let status = seen.status.as_ref().and_then(Got::status).unwrap_or_default();
            findings.push(ibkr(&format!("IBKR answers with an error of its own (status {status})")));
        }
        Err(Refusal::NoBrokerageSession) => findings.extend(session(question, seen, &AuthStatus::default())),
        Err(Refusal::Gone | Refusal::NotAGateway) => {
            let found = "it does not know the question for the session's state";
            findings.push(Finding::fault(Check::Gateway, Exit::NothingAnswers, found, "update the gateway"));
        }
        Err(Refusal::NotUnderstood(why)) => findings.push(ibkr(&format!("the answer cannot be understood: {why}"))),
        // Both are told above.
        Err(Refusal::AddressRefused | Refusal::EdgeRefused) => {}
    }
    findings
}

/// Refusals of this host, whichever answer says so.
fn refused(question: &Question, seen: &Seen) -> Option<Finding> {
    let answers = [&seen.root, &seen.status, &seen.login_page].into_iter().flatten().filter_map(|got| match got {
        Got::Answer(answer) => Some(answer),
        Got::Silent | Got::Broken(_) => None,
    });
    for answer in answers {
        if read::<serde_json::Value>(&answer.reply()) == Err(Refusal::AddressRefused) {
            return Some(ip_list(question, seen.own_address));
        }
        if read_listening(&answer.reply()).is_err() && (is_edge(&answer.http) || answer.http.status == 403) {
            let found = "IBKR's edge refuses this host's address (403)";
            return Some(Finding::fault(Check::Edge, Exit::HumanNeeded, found, BLOCKED));
        }
    }
    None
}

fn ip_list(question: &Question, own: Option<IpAddr>) -> Finding {
    let from = own.map(|own| format!(", which asks from {own}")).unwrap_or_default();
    let found = format!("the gateway itself refuses this host{from} (404 \"Access Denied\")");
    let mut remedy = format!(
        "in the gateway's root/conf.yaml add the line `    - {}` under ips: allow:, and restart the gateway, which \
         costs a login",
        own.map_or_else(|| "ADDRESS".to_owned(), allow_line)
    );
    if question.is_here() {
        remedy.push_str(
            ". If it runs in a container, it sees the address of the container's network instead, for instance \
             172.18.0.1: then the line is `    - 172.*`",
        );
    }
    Finding::fault(Check::IpList, Exit::HumanNeeded, found, remedy)
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

fn no_login(question: &Question, denied: bool) -> Finding {
    let url = question.url();
    let how = if question.is_here() {
        format!("log in at {url} in a browser on this host; from elsewhere first `{}`", url.ssh_tunnel(&question.here))
    } else {
        format!("log in at {url} in a browser, best on the gateway's own host")
    };
    let more = if denied { "\nIf a login does not help, see ips: allow: in the gateway's conf.yaml" } else { "" };
    let remedy = format!("{how}\n{NEVERTHELESS}{more}");
    Finding::fault(Check::Login, Exit::HumanNeeded, "nobody is logged in", remedy)
}

fn session(question: &Question, seen: &Seen, status: &AuthStatus) -> Vec<Finding> {
    let fault = |found: &str, remedy: &str| Finding::fault(Check::Session, Exit::NotLive, found, remedy);
    if status.competing {
        let login = Finding::good(Check::Login, "it stands");
        let found = "somebody else uses the session: TWS, a phone or another program with the same user name";
        return vec![login, fault(found, ELSEWHERE)];
    }
    if !status.authenticated {
        let login = login(question, seen);
        let found = match login.verdict {
            Verdict::Fault(_) => return vec![login],
            Verdict::Good => "the session has lapsed, and the login stands: it can be taken back",
            Verdict::Warning | Verdict::Note | Verdict::NotAsked => "the session has lapsed; the login may stand",
        };
        return vec![login, fault(found, TAKE_BACK)];
    }
    let mut findings = vec![Finding::good(Check::Login, "it stands")];
    if !status.connected {
        findings.push(fault("authenticated, and the gateway is not connected to IBKR's servers", TAKE_BACK));
        return findings;
    }
    if status.established == Some(false) {
        findings.push(fault("authenticated, and the account data is not loaded yet", "ask again in some seconds"));
        return findings;
    }
    let accounts = match &seen.accounts {
        Some(Got::Answer(answer)) => read::<Accounts>(&answer.reply()).ok(),
        Some(Got::Silent | Got::Broken(_)) | None => None,
    };
    match accounts {
        Some(accounts) if accounts.count > 0 => {
            findings.push(Finding::good(Check::Session, "live: authenticated, connected, and account data comes"));
            findings.push(account(question, accounts.is_paper));
        }
        Some(_) | None => {
            findings.push(fault("it calls itself authenticated, and account data does not come", NO_DATA));
        }
    }
    findings
}

/// The login beneath a session that is gone.
fn login(question: &Question, seen: &Seen) -> Finding {
    let answer = match &seen.validation {
        Some(Got::Answer(answer)) => answer,
        Some(Got::Silent | Got::Broken(_)) => {
            return Finding::note(Check::Login, "whether it stands is not known: IBKR did not say");
        }
        None => {
            let why = question.no_validation.as_deref().unwrap_or(ASKED_RECENTLY);
            return Finding::not_asked(Check::Login, why);
        }
    };
    match read::<SsoValidation>(&answer.reply()) {
        Ok(sso) if sso.client_app.as_deref().is_some_and(|app| !app.is_empty()) => {
            let found = "another application holds the login, so no session comes of it, and competing says nothing";
            Finding::fault(Check::Login, Exit::HumanNeeded, found, BORROWED)
        }
        Ok(SsoValidation { result: true, .. }) => Finding::good(Check::Login, "it stands"),
        Ok(SsoValidation { result: false, .. }) => {
            let remedy = format!(
                "such an answer is known to flicker: ask again in a minute; if it stays, log in at {}",
                question.url()
            );
            Finding::fault(Check::Login, Exit::HumanNeeded, "IBKR says that the login does not stand", remedy)
        }
        Err(Refusal::Unauthorized { denied }) => no_login(question, denied),
        Err(Refusal::LoginPage) => no_login(question, false),
        Err(Refusal::TooManyRequests { .. }) => too_many(),
        Err(
            Refusal::NoBrokerageSession
            | Refusal::AddressRefused
            | Refusal::EdgeRefused
            | Refusal::Gone
            | Refusal::Ibkr
            | Refusal::NotAGateway
            | Refusal::NotUnderstood(_),
        ) => Finding::note(Check::Login, "whether it stands is not known: the answer says nothing of it"),
    }
}

fn account(question: &Question, is_paper: Option<bool>) -> Finding {
    let kind = |paper| if paper { "paper" } else { "live" };
    let (wanted, is) = match (question.account, is_paper) {
        (_, None) => return Finding::note(Check::Account, "the answer does not say whether it is paper or live"),
        (Account::Any, Some(paper)) => return Finding::good(Check::Account, format!("a {} account", kind(paper))),
        (Account::Paper, Some(paper)) => (true, paper),
        (Account::Live, Some(paper)) => (false, paper),
    };
    if wanted == is {
        return Finding::good(Check::Account, format!("a {} account, as configured", kind(is)));
    }
    let found = format!("the login is for a {} account, and configured is {}", kind(is), kind(wanted));
    let remedy = format!(
        "log out, and log in at {} with the {} user, or correct account under [gateway.{}.session]",
        question.url(),
        kind(wanted),
        question.name
    );
    Finding::fault(Check::Account, Exit::HumanNeeded, found, remedy)
}

/// This host's clock against the newest answer that has a date.
fn clock(seen: &Seen) -> Option<Finding> {
    let answers = [&seen.status, &seen.login_page, &seen.root].into_iter().flatten();
    let dated = answers.filter_map(|got| match got {
        Got::Answer(answer) => Some((answer.came, answer.date?)),
        Got::Silent | Got::Broken(_) => None,
    });
    let Some((came, date)) = dated.into_iter().next() else {
        return Some(Finding::not_asked(Check::Clock, "no answer had a date"));
    };
    let off = Duration::try_from(came.duration_since(date).abs()).unwrap_or_default();
    if off <= TOLERATED {
        return Some(Finding::good(
            Check::Clock,
            format!("within {} s of the date of the answers", TOLERATED.as_secs()),
        ));
    }
    let way = if came > date { "ahead" } else { "behind" };
    let found = format!("this host's clock is {} {way} of the date of the answers", crate::log::human_duration(off));
    let remedy = "have the host's clock kept (`timedatectl set-ntp true`): ends of logins and maintenance windows are \
                  reckoned by it";
    Some(Finding::warning(Check::Clock, found, remedy))
}

impl Got {
    fn status(&self) -> Option<u16> {
        match self {
            Got::Answer(answer) => Some(answer.http.status),
            Got::Silent | Got::Broken(_) => None,
        }
    }
}

fn ibkr(found: &str) -> Finding {
    Finding::fault(Check::Ibkr, Exit::NotLive, found, AWAY)
}

fn too_many() -> Finding {
    let found = "IBKR says too many requests (429)";
    let remedy = "leave this gateway alone for a quarter of an hour, and find out which program asks so often";
    Finding::fault(Check::Ibkr, Exit::NotLive, found, remedy)
}

/// Whether a check and a look at the accounts are worth it: the session calls itself live.
pub(super) fn seems_live(got: &Got) -> bool {
    matches!(got, Got::Answer(answer) if matches!(
        read_status(&answer.reply()),
        Ok(AuthStatus { authenticated: true, competing: false, .. })
    ))
}

/// Whether the session is gone and nobody competes for it, so that the login beneath it is the question.
pub(super) fn seems_lapsed(got: &Got) -> bool {
    matches!(got, Got::Answer(answer) if matches!(
        read_status(&answer.reply()),
        Ok(AuthStatus { authenticated: false, competing: false, .. }) | Err(Refusal::NoBrokerageSession)
    ))
}

/// Whether nobody is logged in, so that the login page is the question.
pub(super) fn seems_logged_out(got: &Got) -> bool {
    matches!(got, Got::Answer(answer) if matches!(
        read_status(&answer.reply()),
        Err(Refusal::Unauthorized { .. } | Refusal::LoginPage)
    ))
}

const ASKED_RECENTLY: &str = "not asked: IBKR allows that question once a minute, and it was asked within this one";
const TOLERATED: Duration = Duration::from_secs(30);

const BLOCKED: &str = "addresses of data centres are often blocked, whoever is logged in: let the gateway go out from \
                       another address, such as an office's or a home's, or another provider's";
const NEVERTHELESS: &str = "If the browser says \"Client login succeeds\" and this stays, log in once at IBKR's website, \
                            where a confirmation may wait, and then here again; if it still stays, have IBKR enable the \
                            account for the API. If the page itself refuses what is right, IBKR has locked the user after \
                            too many tries: its support unlocks it, or a day does";
const BORROWED: &str = "log out in that application, most often IBKR Mobile (log out, not swipe away); then stop \
                        everything that asks this gateway, restart the gateway, and log in again";
const ELSEWHERE: &str = "log out there, or leave it as it is and have it for yourself later; a second user name ends the \
                         quarrel. `competing = \"take-over\"` would throw the others out";
const TAKE_BACK: &str = "`tickled run` takes it back by itself within seconds; without it, log in again";
const NO_DATA: &str = "see whether the same user name is in use elsewhere, and ask again in a minute";
const AWAY: &str = "see IBKR's system status page and this host's way to api.ibkr.com (name service, firewall, proxy). If \
                    IBKR is well and this lasts for more than half an hour, the gateway is wedged: restart it, which \
                    costs a login";
