//! Instructions for a manual login, and the wait until the session is live.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::control;
use crate::driver::{Clock, HostClock};
use crate::exit::Exit;
use crate::gateway::GatewayUrl;
use crate::gateway::{self, AuthStatus, Client, Error, ErrorKind};
use crate::log::human_duration;
use crate::session::{StateKind, StateReason, Unavailability};

/// A manual login that is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manual {
    /// The gateway's name.
    pub(super) gateway: String,
    /// Its address.
    pub(super) url: String,
    /// The address by which people reach its login, if it is another.
    pub(super) login_url: Option<String>,
    /// The name of this host.
    pub(super) host: String,
    /// Whether a browser can be shown here.
    pub(super) has_display: bool,
}

/// How the session is watched.
#[derive(Debug)]
pub(super) enum Witness {
    /// Through the daemon, which watches the gateway anyway.
    Daemon(control::Client),
    /// Directly, with few requests.
    Gateway(Box<Client>),
}

/// The state of the session, as far as a login matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LoginState {
    /// The session is live.
    Live,
    /// Only a login helps: why, and how the verb ends if it stays so.
    Needed(String, Exit),
    /// It is not live, and a login does not help yet: why, and how the verb ends if it stays so.
    NotYet(String, Exit),
    /// A login cannot help, and why.
    Never(String, Exit),
}

/// How the wait ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WaitEnded {
    /// The last state.
    pub(super) seen: LoginState,
    /// After how long.
    pub(super) waited: Duration,
}

impl Manual {
    /// Instructions for a person.
    pub(super) fn way(&self) -> String {
        let Self { gateway, url, host, has_display, login_url } = self;
        if let Some(login_url) = login_url {
            return format!("{gateway}: log in at {login_url} in a browser\n");
        }
        match self.tunnel() {
            Some(tunnel) if !has_display => format!(
                "{gateway}: this host has no display. Run this on your own machine:\n\n    {tunnel}\n\nthen open {url} \
                 in your browser there. It warns about the certificate, which is the gateway's own.\n"
            ),
            Some(_) => format!("{gateway}: log in at {url} in a browser on {host}\n"),
            None => format!("{gateway}: log in at {url} in a browser\n"),
        }
    }

    /// The command that forwards the gateway's port to another host; `None` if the gateway is on another host.
    pub(super) fn tunnel(&self) -> Option<String> {
        let url: GatewayUrl = self.url.parse().ok()?;
        url.is_loopback().then(|| url.ssh_tunnel(&self.host))
    }

    /// What is waited for while a login does not help yet, in a line for a person.
    pub(super) fn waiting(&self, why: &str, exit: Exit) -> String {
        let Self { gateway, url, .. } = self;
        if exit == Exit::NothingAnswers {
            return format!(
                "{gateway}: no login is possible yet ({url}): {why}. Waiting for it; `tickled doctor` looks for the cause\n"
            );
        }
        format!("{gateway}: no login is needed so far: {why}. Waiting for what comes of it\n")
    }

    /// How it ended, in a line for a person.
    pub(super) fn end(&self, ended: &WaitEnded) -> String {
        let Self { gateway, .. } = self;
        let waited = human_duration(Duration::from_secs(ended.waited.as_secs()));
        match &ended.seen {
            LoginState::Live if ended.waited < AT_ONCE => format!("{gateway}: live; no login is needed\n"),
            LoginState::Live => format!("{gateway}: live, after {waited}\n"),
            LoginState::Needed(why, _) | LoginState::NotYet(why, _) => {
                format!("{gateway}: not live after {waited}, given up: {why}; `tickled doctor` looks for the cause\n")
            }
            LoginState::Never(why, _) => format!("{gateway}: a login does not help here: {why}\n"),
        }
    }

    /// The same for programs, one object on one line.
    pub(super) fn json(&self, ended: &WaitEnded) -> String {
        let why = match &ended.seen {
            LoginState::Live => None,
            LoginState::Needed(why, _) | LoginState::NotYet(why, _) | LoginState::Never(why, _) => Some(why),
        };
        json!({
            "gateway": self.gateway,
            "url": self.url,
            "tunnel": self.tunnel(),
            "live": ended.seen == LoginState::Live,
            "why": why,
            "waited_ms": u64::try_from(ended.waited.as_millis()).unwrap_or(u64::MAX),
            "exit": ended.seen.exit().code(),
        })
        .to_string()
    }
}

impl LoginState {
    /// How the verb ends with it.
    pub(super) const fn exit(&self) -> Exit {
        match self {
            Self::Live => Exit::Live,
            Self::Needed(_, exit) | Self::NotYet(_, exit) | Self::Never(_, exit) => *exit,
        }
    }
}

/// Waits until the session is live, no login can help, or the time is over. `report` is called with the state and the
/// time so far, a few times per second.
pub(super) async fn wait(
    witness: &Witness,
    gateway: &str,
    within: Duration,
    mut report: impl FnMut(&LoginState, Duration),
) -> WaitEnded {
    let clock = HostClock::start();
    let (mut seen, mut asked_at, mut checked_at) = (None, None, None);
    loop {
        let waited = clock.now().mono;
        let is_due = asked_at.is_none_or(|at| waited.saturating_sub(at) >= witness.pace());
        let now = match seen.take() {
            Some(seen) if !is_due => seen,
            Some(_) | None => {
                asked_at = Some(waited);
                let checks = checked_at.is_none_or(|at| waited.saturating_sub(at) >= CHECK_EVERY);
                if checks {
                    checked_at = Some(waited);
                }
                witness.ask(gateway, checks).await
            }
        };
        let waited = clock.now().mono;
        report(&now, waited);
        let is_over = match now {
            LoginState::Live | LoginState::Never(..) => true,
            LoginState::Needed(..) | LoginState::NotYet(..) => waited >= within,
        };
        if is_over {
            return WaitEnded { seen: now, waited };
        }
        seen = Some(now);
        sleep(TURN.min(within.saturating_sub(waited)).max(LEAST)).await;
    }
}

impl Witness {
    /// The daemon answers from memory. IBKR's limits are shared with the trading program.
    const fn pace(&self) -> Duration {
        match self {
            Self::Daemon(_) => Duration::from_secs(1),
            Self::Gateway(_) => CHECK_EVERY,
        }
    }

    /// Returns the present state. With `checks` the daemon asks the gateway first.
    async fn ask(&self, gateway: &str, checks: bool) -> LoginState {
        match self {
            Self::Daemon(daemon) => {
                // The daemon checks by itself too, but not often enough for someone who waits.
                if checks {
                    // A failure shows in the next request.
                    drop(daemon.check(Some(gateway)).await);
                }
                match daemon.gateway(gateway).await {
                    Ok(gateway) => by_daemon(gateway.state, gateway.because, &gateway.why),
                    Err(error) => LoginState::NotYet(error.to_string(), Exit::NothingAnswers),
                }
            }
            Self::Gateway(client) => match by_status(&client.check_auth_status().await) {
                LoginState::Live => by_accounts(&client.accounts().await),
                seen @ (LoginState::Needed(..) | LoginState::NotYet(..) | LoginState::Never(..)) => seen,
            },
        }
    }
}

/// The state that a daemon reports.
fn by_daemon(state: StateKind, reason: StateReason, why: &str) -> LoginState {
    let exit = Exit::of(state, reason);
    match state {
        StateKind::Live => LoginState::Live,
        StateKind::LoginRequired => LoginState::Needed(why.to_owned(), exit),
        StateKind::Paused => {
            LoginState::Never("the gateway is paused; `tickled resume` ends the pause".to_owned(), exit)
        }
        // Only a change of the configuration helps.
        StateKind::Unavailable
            if exit == Exit::HumanNeeded || reason == StateReason::Trouble(Unavailability::NotAGateway) =>
        {
            LoginState::Never(why.to_owned(), exit)
        }
        StateKind::Unavailable | StateKind::Starting | StateKind::Recovering | StateKind::Contested => {
            LoginState::NotYet(why.to_owned(), exit)
        }
    }
}

/// The state that the flags of a check mean.
fn by_status(status: &Result<AuthStatus, Error>) -> LoginState {
    match status {
        Ok(AuthStatus { competing: true, .. }) => {
            LoginState::NotYet("another client uses the session".to_owned(), Exit::NotLive)
        }
        Ok(AuthStatus { authenticated: true, connected: true, established: None | Some(true), .. }) => LoginState::Live,
        // Without a daemon nothing recovers the session, but a login does.
        Ok(_) => LoginState::Needed("there is no session yet".to_owned(), Exit::NotLive),
        Err(error) => by_fault(error),
    }
}

fn by_accounts(accounts: &Result<gateway::AccountsAnswer, Error>) -> LoginState {
    match accounts {
        Ok(accounts) if accounts.count > 0 => LoginState::Live,
        Ok(_) => LoginState::NotYet("authenticated, but account data does not arrive yet".to_owned(), Exit::NotLive),
        Err(error) => by_fault(error),
    }
}

fn by_fault(error: &Error) -> LoginState {
    match error.kind {
        ErrorKind::Unauthorized { .. } | ErrorKind::LoginPage => {
            LoginState::Needed("not logged in".to_owned(), Exit::HumanNeeded)
        }
        ErrorKind::NoBrokerageSession => LoginState::Needed("there is no session yet".to_owned(), Exit::NotLive),
        ErrorKind::NothingListens | ErrorKind::NoAnswer | ErrorKind::Broken | ErrorKind::Network => {
            LoginState::NotYet(error.kind.sentence().to_owned(), Exit::NothingAnswers)
        }
        ErrorKind::Ibkr | ErrorKind::NotUnderstood => {
            LoginState::NotYet(error.kind.sentence().to_owned(), Exit::NotLive)
        }
        ErrorKind::NotAGateway | ErrorKind::Gone => LoginState::Never(error.to_string(), Exit::NothingAnswers),
        ErrorKind::Certificate | ErrorKind::Tls | ErrorKind::AddressRefused | ErrorKind::EdgeRefused => {
            LoginState::Never(error.to_string(), Exit::HumanNeeded)
        }
        // Further requests would prolong the penalty.
        ErrorKind::TooManyRequests { .. } => LoginState::Never(error.kind.sentence().to_owned(), Exit::NotLive),
    }
}

/// The interval of reports.
const TURN: Duration = Duration::from_millis(125);
/// How often the gateway is asked for it. IBKR's limits are shared with the trading program.
const CHECK_EVERY: Duration = Duration::from_secs(5);
const LEAST: Duration = Duration::from_millis(10);
/// A session that is live this soon was live before.
const AT_ONCE: Duration = Duration::from_millis(1500);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Cause;

    fn login(url: &str, has_display: bool) -> Manual {
        Manual {
            gateway: "main".to_owned(),
            url: url.to_owned(),
            login_url: None,
            host: "desk".to_owned(),
            has_display,
        }
    }

    #[test]
    fn the_way_depends_on_where_the_browser_is() {
        let headless = login("https://localhost:5000", false).way();
        assert!(headless.contains("\n    ssh -L 5000:localhost:5000 desk\n"), "{headless}");
        let desktop = login("https://localhost:5000", true).way();
        assert_eq!(desktop, "main: log in at https://localhost:5000 in a browser on desk\n");
        let far = login("https://gateway.example:5001", false);
        assert_eq!(far.way(), "main: log in at https://gateway.example:5001 in a browser\n");
        assert_eq!(far.tunnel(), None);
    }

    #[test]
    fn flags_are_live_only_when_all_of_them_say_so() {
        let all = AuthStatus { authenticated: true, connected: true, ..AuthStatus::default() };
        assert_eq!(by_status(&Ok(all.clone())), LoginState::Live);
        for not in [
            AuthStatus { authenticated: false, ..all.clone() },
            AuthStatus { connected: false, ..all.clone() },
            AuthStatus { competing: true, ..all.clone() },
            AuthStatus { established: Some(false), ..all },
        ] {
            let seen = by_status(&Ok(not.clone()));
            assert!(
                matches!(seen, LoginState::Needed(_, Exit::NotLive) | LoginState::NotYet(_, Exit::NotLive)),
                "{not:?}"
            );
        }
    }

    #[test]
    fn the_way_is_shown_only_where_a_login_helps() {
        let helps = |seen: &LoginState| matches!(seen, LoginState::Needed(..));
        assert!(helps(&by_daemon(StateKind::LoginRequired, StateReason::Cause(Cause::Expired), "why")));
        for (state, because) in [
            (StateKind::Starting, StateReason::Started),
            (StateKind::Recovering, StateReason::SessionLapsed),
            (StateKind::Contested, StateReason::OtherClient),
            (StateKind::Unavailable, StateReason::Trouble(Unavailability::NothingListens)),
            (StateKind::Unavailable, StateReason::Trouble(Unavailability::IbkrError)),
        ] {
            assert!(!helps(&by_daemon(state, because, "why")), "{state} {because:?}");
        }
        let lapsed = AuthStatus { connected: true, ..AuthStatus::default() };
        assert!(helps(&by_status(&Ok(lapsed.clone()))), "without a daemon nothing else brings it back");
        assert!(!helps(&by_status(&Ok(AuthStatus { competing: true, ..lapsed }))));
        let down = login("https://localhost:5000", false)
            .waiting("nothing listens there; start the gateway", Exit::NothingAnswers);
        assert!(down.contains("start the gateway") && !down.contains("ssh"), "{down}");
    }

    #[test]
    fn a_daemons_word_is_taken_for_what_it_means() {
        let rows = [
            (StateKind::Live, StateReason::DataConfirmed, None),
            (StateKind::LoginRequired, StateReason::Cause(Cause::Expired), Some((false, Exit::HumanNeeded))),
            (StateKind::Recovering, StateReason::SessionLapsed, Some((false, Exit::NotLive))),
            (StateKind::Contested, StateReason::OtherClient, Some((false, Exit::NotLive))),
            (
                StateKind::Unavailable,
                StateReason::Trouble(Unavailability::NothingListens),
                Some((false, Exit::NothingAnswers)),
            ),
            (StateKind::Unavailable, StateReason::Trouble(Unavailability::IbkrError), Some((false, Exit::NotLive))),
            (
                StateKind::Unavailable,
                StateReason::Trouble(Unavailability::Certificate),
                Some((true, Exit::HumanNeeded)),
            ),
            (
                StateKind::Unavailable,
                StateReason::Trouble(Unavailability::NotAGateway),
                Some((true, Exit::NothingAnswers)),
            ),
            (StateKind::Paused, StateReason::Operator, Some((true, Exit::NotLive))),
        ];
        for (state, because, is) in rows {
            let seen = by_daemon(state, because, "why");
            let (is_never, exit) = is.unwrap_or((false, Exit::Live));
            assert_eq!((matches!(seen, LoginState::Never(..)), seen.exit()), (is_never, exit), "{state} {because:?}");
        }
    }
}
