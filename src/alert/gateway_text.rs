//! The texts of alerts about gateways. Pure.

use std::time::Duration;

use super::Code;
use super::annotations::{Action, Annotations, annotations};
use crate::gateway::GatewayUrl;
use crate::log::human_duration;
use crate::session::{Cause, StateReason, Unavailability};
use crate::status::Snapshot;
use crate::systemd::unit::{How, UnitDown};

/// How a human reaches the gateway's login page.
struct LoginPlace<'a> {
    url: &'a str,
    /// Where a human logs in from anywhere.
    public: Option<&'a str>,
    scheme: &'static str,
    port: u16,
    /// The host on which the gateway runs.
    on: String,
}

impl<'a> LoginPlace<'a> {
    /// The login page of the gateway at `url`, as seen from this host, `host`.
    fn at(snapshot: &'a Snapshot, host: &str) -> Self {
        let (url, public) = (snapshot.url.as_str(), snapshot.login_url.as_deref());
        let parsed = url.parse::<GatewayUrl>().ok();
        let is_https = parsed.as_ref().is_none_or(GatewayUrl::is_encrypted);
        let elsewhere = parsed.as_ref().filter(|url| !url.is_loopback());
        Self {
            url,
            public,
            scheme: if is_https { "https" } else { "http" },
            port: parsed.as_ref().map_or(443, GatewayUrl::port),
            on: elsewhere.map_or(host, |url| url.host()).to_owned(),
        }
    }

    /// Where to log in, as part of a sentence.
    fn place(&self) -> String {
        if let Some(url) = self.public {
            return format!("log in at {url}");
        }
        format!("log in at {} in a browser on {}", self.url, self.on)
    }

    /// How to get there from another computer.
    fn tunnel(&self) -> String {
        let Self { scheme, port, on, .. } = self;
        format!("From another computer: `ssh -L {port}:localhost:{port} {on}`, then open {scheme}://localhost:{port}")
    }

    /// Both, on a line each.
    fn lines(&self) -> String {
        if self.public.is_some() {
            return self.place();
        }
        format!("{}.\n{}", self.place(), self.tunnel())
    }
}

/// A login is required, for this cause.
pub(super) fn login(cause: Cause, snapshot: &Snapshot, host: &str) -> Annotations {
    let login = LoginPlace::at(snapshot, host);
    let lines = login.lines();
    let offline =
        "Logged in but still offline? Log in once at ibkr.com, confirm any request there, then log in here again.";
    let (title, action, text) = match cause {
        Cause::LoggedOut | Cause::ByOperator => ("log in now – session was logged out", Action::LogIn, lines),
        Cause::Expired => ("log in now – login expired", Action::LogIn, format!("{lines}\n{offline}")),
        Cause::NeverLoggedIn => {
            ("log in now – no login since the gateway started", Action::LogIn, format!("{lines}\n{offline}"))
        }
        Cause::Borrowed => (
            "log out of the other application – it holds the login",
            Action::LogOutElsewhere,
            format!(
                "log out of the other application (closing it is not enough), then restart the gateway and {lines}\n\
                 Until then tickled checks only every 7 minutes, because each check keeps the other login alive. To check \
                 at once: `tickled check`."
            ),
        ),
        Cause::NotEnabled => (
            "login is not enough – confirm at ibkr.com",
            Action::AskIbkr,
            format!(
                "log in once at ibkr.com and confirm any request there, then {lines}\nIf that does not help, ask IBKR to \
                 enable the account for its API."
            ),
        ),
        Cause::Exhausted => (
            "log in again – IBKR would not restore the session",
            Action::LogInOrRestart,
            format!("{lines}\nIf that does not help, the gateway may be stuck: restart it and log in once more."),
        ),
    };
    let summary = if cause == Cause::Exhausted {
        "you are logged in, but IBKR would not restore the session"
    } else {
        cause.sentence()
    };
    let later = title.replacen(" now", "", 1);
    let (title, text) = if snapshot.facts.trouble == Some(Unavailability::NothingListens) {
        let text = format!("start the gateway: nothing listens on port {} now. Then {text}", login.port);
        (format!("start the gateway, then {later}"), text)
    } else if snapshot.facts.trouble == Some(Unavailability::Network) {
        let text = format!("fix the connection from {host} to {}: it is down now. Then {text}", snapshot.url);
        (format!("fix the network, then {later}"), text)
    } else {
        (title.to_owned(), text)
    };
    annotations(cause.code(), title, summary, text, action)
}

/// Another program uses the brokerage session.
pub(super) fn contested(snapshot: &Snapshot) -> Annotations {
    let (reason, summary) = (snapshot.reason.code(), snapshot.reason.sentence());
    let second = "A second IBKR user name lets you and the program work at the same time.";
    if snapshot.reason == StateReason::Outfought {
        let text = format!(
            "log out of the other application (TWS, the mobile app, another program), or leave the session to it; \
             tickled takes it back when it is free.\n{second}"
        );
        return annotations(
            reason,
            "log out elsewhere – another program keeps the session",
            summary,
            text,
            Action::LogOutElsewhere,
        );
    }
    let text = format!("nothing, if that is you: tickled takes the session back when it is free.\n{second}");
    annotations(reason, "in use elsewhere – nothing to do if it is you", summary, text, Action::Wait)
}

/// The attempts of this hour to restore the session are used up.
pub(super) fn budget_spent(snapshot: &Snapshot, host: &str) -> Annotations {
    let text = format!(
        "{}\nOr wait: tickled tries again within the hour. Also find what ends the session: another program with the \
         same user name, a poor network, or IBKR itself.",
        LoginPlace::at(snapshot, host).lines()
    );
    annotations(
        "budget-spent",
        "log in now – session lost too often",
        "the session is lost, and this hour's attempts to restore it are used up",
        text,
        Action::LogIn,
    )
}

/// The session is lost and restored again and again.
pub(super) fn flapping() -> Annotations {
    annotations(
        "flapping",
        "session keeps dropping",
        "the session was lost and restored several times",
        "nothing right now: tickled restores it each time.\nThe log shows what ends it: another program with the same user \
         name, a poor network, or IBKR itself.",
        Action::Wait,
    )
}

/// The login is for the other kind of account.
pub(super) fn wrong_account(snapshot: &Snapshot) -> Annotations {
    let (is, wanted) = if snapshot.facts.is_paper == Some(true) { ("paper", "live") } else { ("live", "paper") };
    annotations(
        is,
        format!("log in with the {wanted} account – this is {is}"),
        format!("the login is for a {is} account, but a {wanted} account is configured"),
        format!("log out at {}, then log in with the {wanted} account's user name", snapshot.url),
        Action::OtherAccount,
    )
}

/// The session is being restored.
pub(super) fn being_restored() -> Annotations {
    annotations(
        "being-restored",
        "being restored – session not live",
        "the session is not live, and tickled is restoring it",
        "if that takes longer than a few minutes, run `tickled doctor`",
        Action::Wait,
    )
}

/// The gateway or IBKR is not available, for this reason.
pub(super) fn unavailable(trouble: Unavailability, snapshot: &Snapshot, host: &str) -> (Code, Annotations) {
    let url = &snapshot.url;
    let login = LoginPlace::at(snapshot, host);
    let port = login.port;
    let (code, action, title, text) = match trouble {
        Unavailability::NothingListens => (
            Code::GatewayUnreachable,
            Action::StartGateway,
            format!("start the gateway – nothing listens on port {port}"),
            format!("start the gateway, then {}", login.lines()),
        ),
        Unavailability::NoAnswer => (
            Code::GatewayUnreachable,
            Action::Restart,
            "check the gateway – it does not answer".to_owned(),
            format!(
                "check whether the gateway at {url} hangs or its host is overloaded.\nRestart the gateway only if nothing \
                 else helps: each restart costs a login by hand."
            ),
        ),
        Unavailability::NotAGateway => (
            Code::GatewayUnreachable,
            Action::FreePort,
            format!("free port {port} – another program uses it"),
            format!(
                "stop the program that uses port {port} on {}, or give the gateway a port of its own.\nWhat answers at \
                 {url} is not a gateway.",
                login.on
            ),
        ),
        Unavailability::Network => (
            Code::GatewayUnreachable,
            Action::MendNetwork,
            "check the network – gateway host unreachable".to_owned(),
            format!("find out why {host} cannot reach {url}: the host name, the network, or a tunnel that is down"),
        ),
        Unavailability::Certificate => (
            Code::CertificateChanged,
            Action::JudgeCertificate,
            "do not log in – unknown certificate".to_owned(),
            "do not log in there until you know why the certificate changed.\nDid you give the gateway a new certificate? \
             Then pin the new one. Otherwise find out what answers in its place."
                .to_owned(),
        ),
        Unavailability::Tls => (
            Code::GatewayUnreachable,
            Action::AdjustTls,
            "fix the TLS settings – no connection to the gateway".to_owned(),
            "run `tickled doctor`: it names the setting to change, in the configuration or in the gateway's conf.yaml"
                .to_owned(),
        ),
        Unavailability::AddressRefused => (
            Code::AccessDenied,
            Action::AllowAddress,
            "gateway blocks this computer (ips.allow)".to_owned(),
            format!(
                "add the address of {host} to ips.allow in the gateway's root/conf.yaml and restart the gateway, then \
                 {}",
                login.lines()
            ),
        ),
        Unavailability::EdgeRefused => (
            Code::AccessDenied,
            Action::MoveHost,
            "IBKR blocks this server's IP address".to_owned(),
            "run the gateway behind another address: IBKR does not serve this one, as it does not serve many data centres \
             and VPNs"
                .to_owned(),
        ),
        Unavailability::IbkrSilent => (
            Code::IbkrUnavailable,
            Action::Wait,
            "waiting for IBKR – it does not answer".to_owned(),
            WAITING.to_owned(),
        ),
        Unavailability::IbkrUnreachable => (
            Code::IbkrUnavailable,
            Action::Wait,
            "waiting for the network – this host cannot reach IBKR".to_owned(),
            format!("{WAITING}\nIf other connections of this host work, check its firewall and its name resolution."),
        ),
        Unavailability::GatewayWedged => (
            Code::GatewayWedged,
            Action::Restart,
            "restart the gateway – it is stuck".to_owned(),
            format!(
                "restart the gateway{}, then {}\nYour other programs are blocked as well.\nSome gateways free \
                 themselves within minutes. A restart costs a login.",
                snapshot.service.as_ref().map(|unit| format!(" with `systemctl restart {unit}`")).unwrap_or_default(),
                login.lines()
            ),
        ),
        Unavailability::IbkrError => (
            Code::IbkrUnavailable,
            Action::Wait,
            "waiting for IBKR – it answers with errors".to_owned(),
            WAITING.to_owned(),
        ),
        Unavailability::Nonsense => (
            Code::IbkrUnavailable,
            Action::Wait,
            "retrying – an answer was not understood".to_owned(),
            "nothing yet: tickled asks again".to_owned(),
        ),
        Unavailability::TooManyRequests { retry_after } => (
            Code::IbkrUnavailable,
            Action::Wait,
            "waiting – IBKR rate-limited us".to_owned(),
            format!(
                "nothing to do. IBKR rate-limited us; retrying in about {}.\nSlow down any other program on this IP.",
                in_minutes(retry_after.unwrap_or_default())
            ),
        ),
    };
    let summary = match trouble {
        Unavailability::NothingListens => format!("nothing listens on the gateway's port {port}"),
        Unavailability::NotAGateway => format!("another program is using the gateway's port {port}"),
        Unavailability::EdgeRefused => "IBKR refuses the address that the gateway comes from".to_owned(),
        Unavailability::TooManyRequests { .. } => "IBKR reports too many requests from this address".to_owned(),
        Unavailability::Certificate => "the gateway's certificate is not trusted, so nothing is sent to it".to_owned(),
        Unavailability::NoAnswer
        | Unavailability::AddressRefused
        | Unavailability::IbkrSilent
        | Unavailability::Network
        | Unavailability::Tls
        | Unavailability::IbkrUnreachable
        | Unavailability::GatewayWedged
        | Unavailability::IbkrError
        | Unavailability::Nonsense => trouble.sentence().to_owned(),
    };
    let summary = match &snapshot.detail {
        Some(detail) => format!("{summary}: {detail}"),
        None => summary,
    };
    match snapshot.unit.as_ref().filter(|_| code == Code::GatewayUnreachable) {
        Some(down) => (code, unit_down(down, &summary, &login)),
        None => (code, annotations(trouble.code(), title, summary, text, action)),
    }
}

/// The gateway does not answer because its systemd unit does not run.
fn unit_down(down: &UnitDown, summary: &str, login: &LoginPlace<'_>) -> Annotations {
    let unit = &down.unit;
    let start = format!("start the gateway with `systemctl start {unit}`, then {}", login.lines());
    let (title, text) = match down.how {
        How::Failed { .. } => {
            (format!("start the gateway – {unit} failed"), format!("{start}\nWhy it failed: `journalctl -eu {unit}`."))
        }
        How::Stopped => (format!("start the gateway – {unit} is stopped"), start),
    };
    annotations(down.code(), title, format!("{summary}, and {}", down.sentence()), text, Action::StartGateway)
}

/// IBKR has been unavailable for so long that a human must look into it.
pub(super) fn unavailable_for_long(trouble: Unavailability, snapshot: &Snapshot) -> Option<Annotations> {
    match trouble {
        Unavailability::IbkrSilent | Unavailability::IbkrError => Some(annotations(
            trouble.code(),
            "check IBKR's system status – silent for half an hour",
            "IBKR has not answered through this gateway for half an hour",
            format!(
                "look at IBKR's system status page, and run `tickled doctor`\nIf all is well there: run `tickled resume {}`, \
                 which asks IBKR at once.",
                snapshot.gateway
            ),
            Action::Diagnose,
        )),
        Unavailability::IbkrUnreachable => Some(annotations(
            trouble.code(),
            "check this host's network – IBKR out of reach for half an hour",
            "IBKR has not answered through this gateway for half an hour, and this host cannot reach IBKR",
            "check the network, the firewall and the name resolution of this host.\ntickled restores the session when \
             IBKR answers.",
            Action::MendNetwork,
        )),
        Unavailability::TooManyRequests { .. } => Some(annotations(
            trouble.code(),
            "slow down other programs – IBKR rate-limits us",
            "IBKR has refused requests from this address as too many for half an hour",
            "find and slow down the other programs that use IBKR from this IP address.\ntickled sends no requests while \
             the limit lasts, and cannot restore the session before it is over.",
            Action::SlowDown,
        )),
        Unavailability::Nonsense => Some(annotations(
            trouble.code(),
            "run `tickled doctor` – answers not understood",
            "the gateway's answers have not been understood for half an hour",
            "run `tickled doctor`, and look at the beginning of the answer in the log.\nA proxy in between, or a new \
             version of the gateway, may be the reason.",
            Action::Diagnose,
        )),
        Unavailability::GatewayWedged
        | Unavailability::NothingListens
        | Unavailability::NoAnswer
        | Unavailability::NotAGateway
        | Unavailability::Certificate
        | Unavailability::Tls
        | Unavailability::AddressRefused
        | Unavailability::EdgeRefused
        | Unavailability::Network => None,
    }
}

/// The pause after a 429, in whole minutes.
fn in_minutes(asked: Duration) -> String {
    match asked.max(SHORTEST_QUIET).as_secs().div_ceil(60) {
        minutes @ 0..120 => format!("{minutes} min"),
        minutes => human_duration(Duration::from_mins(minutes)),
    }
}

/// IBKR's own pause after too many requests.
const SHORTEST_QUIET: Duration = Duration::from_mins(15);
/// What to do while IBKR does not answer as it should.
const WAITING: &str = "nothing yet: tickled keeps checking, and restores the session when IBKR answers";
