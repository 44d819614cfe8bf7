//! The states as others see them, and why they are entered.

use std::time::Duration;

use jiff::Timestamp;

use super::Unavailability;

/// What is known about the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing is known yet.
    Starting,
    /// The session works, and was proved to.
    Live,
    /// The session is being taken back.
    Recovering {
        /// Counts from 1 in an incident.
        attempt: u8,
        /// Where in the sequence this attempt is.
        step: Step,
    },
    /// Somebody else uses the brokerage session.
    Contested,
    /// Nothing can be said about the session.
    Unavailable(Unavailability),
    /// Only a human can help.
    LoginRequired(Cause),
    /// Silent on the operator's word.
    Paused {
        /// When it ends by itself.
        until: Option<Timestamp>,
    },
}

/// Where a recovery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Asking whether the session is really gone.
    Check,
    /// Asking for the session.
    Reauthenticate,
    /// Asking whether the login stands.
    ValidateSso,
    /// Asking whether the session has come.
    Confirm,
    /// Waiting before the next attempt.
    Pause,
}

/// Why only a human can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// The login is over.
    Expired,
    /// Nobody has logged in since the gateway process started.
    NeverLoggedIn,
    /// The session was logged out, and the login with it.
    LoggedOut,
    /// Another application holds the login (`CLIENT_APP`).
    Borrowed,
    /// The login works, the brokerage session was never authenticated after it.
    NotEnabled,
    /// The login stands, and every attempt failed.
    Exhausted,
    /// The operator ended the session.
    ByOperator,
}

/// Why a state was entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateReason {
    /// The daemon began.
    Started,
    /// The flags are good and a data call confirmed them.
    DataConfirmed,
    /// The flags are good, and the data call that would confirm them is not known on the other side.
    FlagsAlone,
    /// The flags say that the session is gone, the login may stand.
    SessionLapsed,
    /// The flags are good, and the session is not established.
    NotEstablished,
    /// The flags are good, and the data call gives nothing.
    NoData,
    /// A question was answered as if nobody were logged in.
    NoLogin,
    /// Somebody else uses the brokerage session.
    SomebodyElse,
    /// Somebody else takes the session again and again, or is left it by IBKR; the fight is given up.
    Outfought,
    /// Somebody else used the brokerage session, and the policy is to take it back.
    TakenOver,
    /// A login was seen, and no session came of it.
    LoginSeen,
    /// Nothing can be said about the session.
    Trouble(Unavailability),
    /// Only a human can help.
    Cause(Cause),
    /// The operator asked for it.
    Operator,
    /// The pause is over.
    PauseOver,
}

/// A change of state, complete enough to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The state that was left.
    pub from: State,
    /// The state that was entered.
    pub to: State,
    /// Why.
    pub because: StateReason,
    /// How long the state that was left had lasted.
    pub held: Duration,
}
