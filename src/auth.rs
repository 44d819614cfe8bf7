//! Single calls for programs that do not run a daemon. They use the same session machine, so the same rules apply.

use tokio::sync::mpsc;

use crate::driver::{Driver, Flow, HostClock, Report};
use crate::gateway::{self, Client};
use crate::session::{Cause, Policy, Recovery, State, Step};
use crate::status::Snapshot;

/// How the session became live, or why a human is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ensured {
    /// It was live already.
    AlreadyAuthenticated,
    /// It had lapsed, and was recovered.
    Reauthenticated,
    /// A manual login is required, and why.
    LoginRequired(Cause),
}

/// The session is not live, and is not known to need a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotEnsured {
    /// The call that failed last, as [`gateway::Request::name`] has it.
    pub step: &'static str,
    /// The state in which the session was left.
    pub state: State,
    /// The error.
    pub error: Option<gateway::Error>,
}

/// The result of a single check of a gateway.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The present state of the gateway.
    pub snapshot: Snapshot,
    /// The last error.
    pub error: Option<gateway::Error>,
}

/// Ensures a live session: checks it, recovers it if it lapsed, and reports whether a human is needed. Takes
/// milliseconds if the session is live, seconds if it lapsed, and up to the policy's `attempts` x
/// ([`CONFIRM_WITHIN`](crate::session::CONFIRM_WITHIN) + pause) if it does not come back.
///
/// # Errors
/// When the gateway or IBKR does not answer, or another client uses the session: names the step that failed.
pub async fn ensure_authenticated(client: &Client, policy: Policy) -> Result<Ensured, NotEnsured> {
    let mut lapsed = false;
    let mut step = "check_auth_status";
    let looked = settle(client, policy, |report| {
        lapsed |= matches!(report.snapshot.state, State::Recovering { .. });
        if let Some((request, ..)) = &report.answered {
            step = request.name();
        }
        match report.snapshot.state {
            State::Starting | State::Recovering { .. } => false,
            State::Unavailable(_) => report.sending.is_none(),
            State::Live | State::Contested | State::LoginRequired(_) | State::Paused { .. } => true,
        }
    })
    .await;
    match looked.snapshot.state {
        State::Live if lapsed => Ok(Ensured::Reauthenticated),
        State::Live => Ok(Ensured::AlreadyAuthenticated),
        State::LoginRequired(cause) => Ok(Ensured::LoginRequired(cause)),
        state @ (State::Starting
        | State::Recovering { .. }
        | State::Contested
        | State::Unavailable(_)
        | State::Paused { .. }) => Err(NotEnsured { step, state, error: looked.error }),
    }
}

/// Checks a gateway once and changes nothing: no recovery is tried. A lapsed session is
/// [`State::Recovering`] here, a lost login [`State::LoginRequired`].
pub async fn check(client: &Client) -> Checked {
    let only_look = Policy {
        answer_within: client.target().answer_within,
        recovery: Recovery { methods: Vec::new(), ..Recovery::default() },
        ..Policy::default()
    };
    settle(client, only_look, |report| match report.snapshot.state {
        State::Starting | State::Recovering { step: Step::Check | Step::Reauthenticate | Step::ValidateSso, .. } => {
            false
        }
        State::Unavailable(_) => report.sending.is_none(),
        State::Recovering { step: Step::Confirm | Step::Pause, .. }
        | State::Live
        | State::Contested
        | State::LoginRequired(_)
        | State::Paused { .. } => true,
    })
    .await
}

/// Runs a machine until `enough`.
async fn settle(client: &Client, policy: Policy, mut enough: impl FnMut(&Report) -> bool) -> Checked {
    let clock = HostClock::start();
    let driver = Driver::new("gateway", client.target().url.as_str(), policy, 0, client.clone(), clock);
    let (_commands, inbox) = mpsc::channel(1);
    let mut error = None;
    let snapshot = driver
        .run(inbox, |report| {
            if let Some((_, answer, _)) = &report.answered {
                error.clone_from(&answer.error);
            }
            if enough(&report) { Flow::End } else { Flow::GoOn }
        })
        .await;
    Checked { snapshot, error }
}

impl std::fmt::Display for NotEnsured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} did not lead to a live session; it is {}", self.step, self.state)?;
        match &self.error {
            Some(error) => write!(f, ": {error}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for NotEnsured {}
