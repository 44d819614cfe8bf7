//! Input and output of a step.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Answer, Request, Status, Transition};

/// An event for the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The deadline of the last plan has come. An early wake-up is harmless.
    Wake,
    /// The answer to the request of an earlier plan.
    Answer(Answer),
    /// This request was sent, and its connection broke before IBKR answered.
    Unanswered(Request),
    /// The stream pushed a status.
    Push(Status),
    /// The operator requests a check.
    Check,
    /// The operator stops all requests, until a time or until [`Input::Resume`].
    Pause {
        /// When the pause ends by itself.
        until: Option<Timestamp>,
    },
    /// A data call is requested; has no effect unless the session is live.
    Prove,
    /// A human is expected to log in within the next half hour.
    ExpectLogin,
    /// The operator ends a pause, or starts the recovery again.
    Resume,
    /// The operator ends the session on purpose.
    Logout,
    /// The operator ended it through an earlier daemon.
    LoggedOut,
}

/// Why the machine will wake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WakeReason {
    /// An answer is due.
    AnswerDue,
    /// The next ping is due.
    PingDue,
    /// The next check is due.
    CheckDue,
    /// The next data call is due.
    ProofDue,
    /// The login's age is due.
    LoginAge,
    /// An unexpected answer is confirmed by a second request.
    AskAgain,
    /// The next step of a recovery.
    NextStep,
    /// The outcome of a recovery attempt is due.
    ConfirmDue,
    /// The pause between two attempts ends.
    AttemptDue,
    /// The attempts of this hour are used up.
    OutOfAttempts,
    /// The next probe of an unavailable gateway is due.
    RetryDue,
    /// No requests after 429.
    Quiet,
    /// Other gateways behind the same public address go first.
    OthersFirst,
    /// The next check for a login is due.
    WatchDue,
    /// The next check whether the other client has left is due.
    OtherDue,
    /// Requested by the operator.
    Operator,
    /// The clock jumped, so all facts may be out of date.
    ClockJumped,
    /// The operator's pause ends.
    PauseOver,
}

/// What the caller must do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a plan that is not carried out leaves the session unwatched"]
pub struct Plan {
    /// Send this request. Requests that are proxied to IBKR are left standing; of the others only the last one is awaited.
    pub request: Option<Request>,
    /// Whether an answer is awaited.
    pub awaiting: bool,
    /// How many proxied requests are left standing, this plan's included. Hang up on the oldest beyond.
    pub standing: usize,
    /// Call [`Machine::step`](super::Machine::step) with [`Input::Wake`]
    /// at this time ([`Now::mono`](super::Now::mono)) at the latest.
    pub wake_at: Duration,
    /// Why.
    pub reason: WakeReason,
    /// A change of state to report.
    pub transition: Option<Transition>,
    /// By how much the wall clock and the monotonic clock diverged since the last step, if that is a jump.
    pub jumped: Option<SignedDuration>,
}
