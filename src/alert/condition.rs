//! What is wrong with a gateway at one moment, and in which words a human is told. Pure.

use crate::session::{Cause, State, Trouble};
use crate::status::Snapshot;
use crate::systemd::unit::{Down, How};

use super::Code;

/// What is wrong with a gateway at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) code: Code,
    pub(super) words: Words,
    /// Whether the gateway itself may be the reason, if this goes on.
    pub(super) may_be_wedged: bool,
}

/// How a human is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Words {
    /// A stable word for what it looks like.
    pub(super) cause: String,
    /// The same as a sentence, without its capital and its full stop.
    pub(super) what: String,
    /// What to do about it, likewise.
    pub(super) todo: String,
    /// Which remedy that is: a human who was told one is told once more when it takes another.
    pub(super) remedy: Remedy,
}

/// What kind of thing a human has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Remedy {
    LogIn,
    LogOutElsewhere,
    AskIbkr,
    LogInOrRestart,
    Wait,
    Restart,
    StartGateway,
    FreePort,
    MendNetwork,
    AllowAddress,
    MoveHost,
    JudgeCertificate,
    AdjustTls,
    OtherAccount,
    Look,
}

/// What is wrong with a gateway, if anything. `host` is the name of this host.
pub(super) fn conditions(snapshot: &Snapshot, host: &str) -> Vec<Condition> {
    let mut conditions = Vec::new();
    // Whoever asked for silence gets it, and whoever logged out knows.
    if matches!(snapshot.state, State::Paused { .. } | State::LoginRequired(Cause::ByOperator)) {
        return conditions;
    }
    let mut tell = |code, words, may_be_wedged| conditions.push(Condition { code, words, may_be_wedged });
    match snapshot.state {
        State::LoginRequired(Cause::ByOperator)
        | State::Starting
        | State::Live
        | State::Recovering { .. }
        | State::Paused { .. } => {}
        State::LoginRequired(cause) => {
            tell(Code::LoginRequired, login(cause, snapshot, host), false);
            if let Some(trouble) = snapshot.known.trouble.filter(|trouble| forbids_a_login(*trouble)) {
                let (code, words) = unavailable(trouble, snapshot, host);
                tell(code, words, false);
            }
        }
        State::Contested => {
            let todo = "nothing, if that is you: the session is taken back when it is free; a second user name at \
                        IBKR lets you and the program work side by side";
            let (cause, what) = (snapshot.because.code(), snapshot.because.sentence());
            tell(Code::SessionContested, Words::new(cause, what, todo, Remedy::Wait), false);
        }
        State::Unavailable(trouble) => {
            let (code, words) = unavailable(trouble, snapshot, host);
            let may_be_wedged = matches!(trouble, Trouble::IbkrSilent | Trouble::IbkrError);
            tell(code, words, may_be_wedged);
        }
    }
    if snapshot.spent {
        let what = "the session is lost, and was lost so often that IBKR may not be asked for it again yet";
        let todo = format!(
            "nothing if you can wait: it is asked for again within the hour; if not, {}. See also what takes it away: a \
             second program that uses the same user name, a poor network, or IBKR's own trouble",
            way_in(&snapshot.url, host)
        );
        tell(Code::SessionFlapping, Words::new("budget-spent", what, todo, Remedy::LogIn), false);
    } else if snapshot.flapping {
        let todo = "look at the log for what comes between: a poor network, a second program that uses the same user \
                    name, or IBKR's own trouble; the session is taken back each time, as often as IBKR may be asked in an hour";
        let what = "the session has been lost and taken back again and again";
        tell(Code::SessionFlapping, Words::new("flapping", what, todo, Remedy::Look), false);
    }
    if snapshot.wrong_account {
        let (cause, is, wanted) =
            if snapshot.known.is_paper == Some(true) { ("paper", "paper", "live") } else { ("live", "live", "paper") };
        let what = format!("the login is for a {is} account, and the configuration wants a {wanted} one");
        let todo = format!("log out at {} and log in with the {wanted} account's user name", snapshot.url);
        tell(Code::WrongAccount, Words::new(cause, what, todo, Remedy::OtherAccount), false);
    }
    conditions
}

/// Whether a login is not what helps now, and may be the wrong thing to do. Of the rest nothing certain is known while a
/// login is required: the session is then only looked at, and no closer look tells the gateway's silence from IBKR's.
const fn forbids_a_login(trouble: Trouble) -> bool {
    match trouble {
        Trouble::Certificate | Trouble::AddressRefused | Trouble::EdgeRefused => true,
        Trouble::NothingListens
        | Trouble::NoAnswer
        | Trouble::NotAGateway
        | Trouble::Tls
        | Trouble::Network
        | Trouble::IbkrSilent
        | Trouble::IbkrError
        | Trouble::TooManyRequests { .. }
        | Trouble::Nonsense => false,
    }
}

/// What is said of an IBKR that has not answered for so long that the gateway may be the reason.
pub(super) fn wedged(url: &str, host: &str) -> Words {
    Words::new(
        "gateway-wedged",
        "IBKR has not answered through this gateway for half an hour, so the gateway may be wedged",
        format!(
            "look at IBKR's system status page; if all is well there, restart the gateway process, then {}. A restart \
             always costs such a login, so do it last",
            way_in(url, host)
        ),
        Remedy::Restart,
    )
}

fn unavailable(trouble: Trouble, snapshot: &Snapshot, host: &str) -> (Code, Words) {
    let url = &snapshot.url;
    let (code, remedy, todo) = match trouble {
        Trouble::NothingListens => (
            Code::GatewayUnreachable,
            Remedy::StartGateway,
            format!("start the gateway, which should listen at {url}, and log in there"),
        ),
        Trouble::NoAnswer => (
            Code::GatewayUnreachable,
            Remedy::Restart,
            format!(
                "see whether the gateway at {url} hangs or its host is overloaded; restart the gateway only if \
                 nothing else helps, because each restart costs a login by hand"
            ),
        ),
        Trouble::NotAGateway => (
            Code::GatewayUnreachable,
            Remedy::FreePort,
            format!("see which program has taken the port of {url}, and give the gateway its port back"),
        ),
        Trouble::Network => (
            Code::GatewayUnreachable,
            Remedy::MendNetwork,
            format!("see why {host} cannot reach {url}: its name, the network, a tunnel that is down"),
        ),
        Trouble::Certificate => (
            Code::CertificateChanged,
            Remedy::JudgeCertificate,
            "if you gave the gateway a new certificate, pin that one; if not, find out who answers in its place, and \
             do not log in there"
                .to_owned(),
        ),
        Trouble::Tls => (
            Code::GatewayUnreachable,
            Remedy::AdjustTls,
            "do what it says, in the configuration or in the gateway's conf.yaml; `tickled doctor` shows whether it helps"
                .to_owned(),
        ),
        Trouble::AddressRefused => (
            Code::AccessDenied,
            Remedy::AllowAddress,
            format!(
                "add the address of {host} to ips.allow in the gateway's root/conf.yaml and restart the gateway, then \
                 log in again: a restart always costs a login"
            ),
        ),
        Trouble::EdgeRefused => (
            Code::AccessDenied,
            Remedy::MoveHost,
            "run the gateway behind another address: IBKR does not serve the one that it comes from, as it does not \
             serve many data centres"
                .to_owned(),
        ),
        Trouble::IbkrSilent | Trouble::IbkrError => (
            Code::IbkrUnavailable,
            Remedy::Wait,
            "nothing yet: IBKR is asked until it answers again, and the session is taken back then".to_owned(),
        ),
        Trouble::Nonsense => (
            Code::IbkrUnavailable,
            Remedy::Wait,
            "nothing yet, it is asked again; if it stays so, the log shows how the answer begins".to_owned(),
        ),
        Trouble::TooManyRequests { .. } => (
            Code::IbkrUnavailable,
            Remedy::Wait,
            "nothing: no more is asked until IBKR's limit is over; if another program uses the same address, let it \
             ask less often"
                .to_owned(),
        ),
    };
    let sentence = match trouble {
        Trouble::EdgeRefused => "IBKR refuses the address that the gateway comes from",
        Trouble::TooManyRequests { .. } => "IBKR has been asked too much, and asks for silence for a while",
        Trouble::Certificate => "the gateway's certificate is not trusted, so nothing is sent to it",
        Trouble::NothingListens
        | Trouble::NoAnswer
        | Trouble::NotAGateway
        | Trouble::Tls
        | Trouble::AddressRefused
        | Trouble::Network
        | Trouble::IbkrSilent
        | Trouble::IbkrError
        | Trouble::Nonsense => trouble.sentence(),
    };
    let what = match &snapshot.detail {
        Some(detail) => format!("{sentence}: {detail}"),
        None => sentence.to_owned(),
    };
    match snapshot.unit.as_ref().filter(|_| code == Code::GatewayUnreachable) {
        Some(down) => (code, unit_down(down, &what, &way_in(url, host))),
        None => (code, Words::new(trouble.code(), what, todo, remedy)),
    }
}

/// What is said of a gateway that does not answer because its unit does not run.
fn unit_down(down: &Down, what: &str, way_in: &str) -> Words {
    let unit = &down.unit;
    let todo = match down.how {
        How::Failed { .. } => {
            format!("see why with `journalctl -eu {unit}`, start it with `systemctl start {unit}`, then {way_in}")
        }
        How::Stopped => format!("start it with `systemctl start {unit}`, then {way_in}"),
    };
    Words::new(down.code(), format!("{what}, and {}", down.sentence()), todo, Remedy::StartGateway)
}

fn login(cause: Cause, snapshot: &Snapshot, host: &str) -> Words {
    let way_in = way_in(&snapshot.url, host);
    let (remedy, todo) = match cause {
        Cause::LoggedOut | Cause::ByOperator => (Remedy::LogIn, way_in),
        Cause::Expired | Cause::NeverLoggedIn => (
            Remedy::LogIn,
            format!(
                "{way_in}. If the browser says that it succeeded and this stays so, IBKR waits for a confirmation: log in \
                 once at its website, then here again"
            ),
        ),
        Cause::Borrowed => (
            Remedy::LogOutElsewhere,
            format!(
                "log out in the other application (closing it is not enough) and restart the gateway, which ends its \
                 login; then {way_in}. From here it is looked at every seven minutes only, because asking keeps the \
                 borrowed login alive; SIGUSR1 has the daemon look at once"
            ),
        ),
        Cause::NotEnabled => (
            Remedy::AskIbkr,
            format!(
                "log in once at IBKR's website and answer what it asks, then {way_in}; if that does not help, ask IBKR \
                 to enable the account for its API"
            ),
        ),
        Cause::Exhausted => (
            Remedy::LogInOrRestart,
            format!(
                "{way_in}; if that does not help, the gateway may be wedged: restart it and log in once more, as each \
                 restart costs a login"
            ),
        ),
    };
    let todo = match snapshot.known.trouble {
        Some(Trouble::NothingListens) => format!("start the gateway, as nothing listens there now; then {todo}"),
        Some(Trouble::Network) => {
            format!("mend the way from {host} to {}, which is down now; then {todo}", snapshot.url)
        }
        Some(
            Trouble::NoAnswer
            | Trouble::NotAGateway
            | Trouble::Certificate
            | Trouble::Tls
            | Trouble::AddressRefused
            | Trouble::EdgeRefused
            | Trouble::IbkrSilent
            | Trouble::IbkrError
            | Trouble::TooManyRequests { .. }
            | Trouble::Nonsense,
        )
        | None => todo,
    };
    Words::new(cause.code(), cause.sentence(), todo, remedy)
}

/// The way to a login by hand, from the gateway's host and from elsewhere.
fn way_in(url: &str, host: &str) -> String {
    let (scheme, authority) = url.split_once("://").unwrap_or(("https", url));
    let (name, port) = match authority.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port),
        Some(_) | None => (authority, if scheme == "https" { "443" } else { "80" }),
    };
    let is_here = matches!(name, "localhost" | "[::1]") || name.starts_with("127.");
    let there = if is_here { host } else { name };
    format!(
        "log in at {url} in a browser on {there}; from elsewhere run `ssh -L {port}:localhost:{port} {there}` and open \
         {scheme}://localhost:{port}"
    )
}

impl Words {
    pub(super) fn new(cause: &str, what: impl Into<String>, todo: impl Into<String>, remedy: Remedy) -> Self {
        Self { cause: cause.to_owned(), what: what.into(), todo: todo.into(), remedy }
    }
}
