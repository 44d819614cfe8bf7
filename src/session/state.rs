//! The public states, and the reasons for entering them.

use std::time::Duration;

use jiff::Timestamp;

use super::Unavailability;

/// What is known about the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing is known yet.
    Starting,
    /// The session works, confirmed by a data call.
    Live,
    /// The session is being recovered.
    Recovering {
        /// Counts from 1 in an outage.
        attempt: u8,
        /// The attempt's step in the sequence.
        step: Step,
    },
    /// Another client uses the brokerage session.
    Contested,
    /// Nothing can be said about the session.
    Unavailable(Unavailability),
    /// Only a human can help.
    LoginRequired(Cause),
    /// No requests, by command of the operator.
    Paused {
        /// When it ends by itself.
        until: Option<Timestamp>,
    },
}

/// The step of a recovery attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Checking whether the session is really lost.
    Check,
    /// Requesting the session.
    Reauthenticate,
    /// Checking whether the login is valid.
    ValidateSso,
    /// Checking whether the session is back.
    Confirm,
    /// Waiting before the next attempt.
    Pause,
}

/// Why only a human can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, strum::EnumIter)]
pub enum Cause {
    /// The login has expired.
    Expired,
    /// No login since the gateway process started.
    NeverLoggedIn,
    /// The session was logged out, and the login with it.
    LoggedOut,
    /// Another application holds the login (`CLIENT_APP`).
    Borrowed,
    /// The login works, but the brokerage session was never authenticated after it.
    NotEnabled,
    /// The login is valid, but every attempt failed.
    Exhausted,
    /// The operator ended the session.
    ByOperator,
}

/// Why a state was entered. Serialized as its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumIter)]
pub enum StateReason {
    /// The daemon started.
    Started,
    /// The flags are good, confirmed by a data call.
    DataConfirmed,
    /// The flags are good, and the gateway does not support the data call that would confirm them.
    FlagsAlone,
    /// The session lapsed; the login may still be valid.
    SessionLapsed,
    /// The flags are good, but the session is not established.
    NotEstablished,
    /// The flags are good, but the data call returns nothing.
    NoData,
    /// An answer as from a gateway without a login.
    NoLogin,
    /// Another client uses the brokerage session.
    OtherClient,
    /// Another client keeps taking the session, or IBKR does not evict it. Taking it back was given up.
    Outfought,
    /// Another client used the brokerage session, and by policy it is taken back.
    TakenOver,
    /// A login was seen, but no session followed.
    LoginSeen,
    /// Nothing can be said about the session.
    #[strum(disabled)]
    Trouble(Unavailability),
    /// Only a human can help.
    #[strum(disabled)]
    Cause(Cause),
    /// Requested by the operator.
    Operator,
    /// The pause is over.
    PauseOver,
    /// The last check of a live session is older than it may be, so the daemon does not show it as live.
    Outdated,
    /// A reason of another version, read from a file or from a daemon.
    Other,
}

/// A change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The previous state.
    pub from: State,
    /// The new state.
    pub to: State,
    /// Why.
    pub reason: StateReason,
    /// How long the previous state lasted.
    pub held: Duration,
}
