//! What goes into a step, and what comes out.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Answer, Request, Status, Transition};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The deadline of the last plan came. A wake-up that is early or not needed is harmless.
    Wake,
    /// The answer to a request that a plan asked for.
    Answer(Answer),
    /// The stream pushed a status.
    Push(Status),
    /// The operator asks for a check at once.
    Check,
    /// The operator asks for silence, until a time or until [`Input::Resume`].
    Pause {
        /// When the silence ends by itself.
        until: Option<Timestamp>,
    },
    /// The operator ends a pause, or has the daemon try again.
    Resume,
    /// The operator ends the session on purpose.
    Logout,
    /// The operator has ended it, as an earlier daemon knew.
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
    /// The next proof by a data call is due.
    ProofDue,
    /// The login's age is to be asked.
    LoginAge,
    /// An unexpected answer is asked again before it is believed.
    AskAgain,
    /// The next step of a recovery.
    NextStep,
    /// The outcome of a recovery is asked.
    ConfirmDue,
    /// The pause between two attempts ends.
    AttemptDue,
    /// The hour's attempts are spent.
    BudgetSpent,
    /// The next try to get an answer is due.
    RetryDue,
    /// Silence after 429.
    Quiet,
    /// Other gateways behind the same public address go first.
    OthersFirst,
    /// The next look at whether a human has helped is due.
    WatchDue,
    /// The next look at whether somebody else still uses the session is due.
    OtherDue,
    /// The operator asked.
    Operator,
    /// The clock jumped: what is known is old.
    ClockJumped,
    /// The operator's pause ends.
    PauseOver,
}

/// What the caller must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a plan that is not carried out leaves the session unwatched"]
pub struct Plan {
    /// Send this. Whatever else is in flight is to be dropped.
    pub request: Option<Request>,
    /// Whether an answer is wanted. If not, whatever is in flight is to be dropped.
    pub awaiting: bool,
    /// Call [`Machine::step`] with [`Input::Wake`] at this time ([`Now::mono`]) at the latest.
    pub wake_at: Duration,
    /// Why then.
    pub because: WakeReason,
    /// Tell this.
    pub transition: Option<Transition>,
    /// The wall clock and the other one disagree by this much since the last step: tell it.
    pub jumped: Option<SignedDuration>,
}
