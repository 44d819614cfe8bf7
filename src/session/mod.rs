//! The session machine: what is known about one gateway's session, and what to do next.
//!
//! Pure: no clock, no I/O, no randomness but a seed. [`Machine::step`] takes the time and what happened, and returns
//! one [`Plan`]: the request to send (if any), when to wake again and why, and the transition that took place (if any).
//! The caller carries the plan out; it decides nothing.
//!
//! | state | meaning | leaves by |
//! |---|---|---|
//! | starting | nothing is known yet | the first observation |
//! | live | the body said authenticated, connected, not competing; a data call confirmed it | an observation that says otherwise, confirmed |
//! | recovering | the login may stand, the session does not | live, login-required, contested, unavailable |
//! | contested | somebody else uses the brokerage session | the other side's leaving, or take-over by policy |
//! | unavailable | no answer, or none that says anything about the session | an answer |
//! | login-required | no request of ours can help | a live observation, the operator |
//! | paused | the operator asked for silence | its end, resume |
//!
//! A recovery is, in this order: *check*, *reauthenticate* (by the next of the configured methods), *validate_sso* (at
//! most once a minute; inside that minute the last answer stands), *confirm* (checks until live or [`CONFIRM_WITHIN`]
//! is over); then a pause, and the next attempt. Neither "triggered" nor a status of 200 is success: only a later check
//! followed by a data call is. Proof that the login is gone ends it at once, after one confirming check.
//!
//! What several gateways behind one public address may ask together is shared between their machines: [`SharedBudget`].
//!
//! The whole table, every state with every input, as the table test holds it against the code:
#![doc = include_str!("transitions.md")]

mod answer;
mod contested;
mod context;
mod data_call;
mod extra_polls;
mod flap_detector;
mod key;
mod live;
mod login_required;
mod machine;
mod operator;
mod phase;
mod policy;
mod polls;
mod rate_limiter;
mod recovery;
mod shared_budget;
mod starting;
mod state_kind;
mod text;
mod unavailable;

pub use answer::{Accounts, Answer, Failure, Reauthentication, Sso, Status};
pub use context::{Facts, LastReading};
pub use flap_detector::CALM;
pub use key::Key;
pub use machine::Machine;
pub use policy::{
    Account, CONFIRM_WITHIN, Competing, FIRST_PAUSE, FLAPPING_CHANGES, FLAPPING_WINDOW, LONGEST_PAUSE, Method, Policy,
    Recovery,
};
pub use rate_limiter::backoff;
pub use shared_budget::{ClientId, SharedBudget};
pub use state_kind::StateKind;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The time, as the caller reads it before each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Time since some fixed moment, by a clock that never jumps: all schedules are made in it.
    pub mono: Duration,
    /// The time of day: for pauses and for noticing that the host slept or its clock was set.
    pub wall: Timestamp,
}

/// What limits the requests of the hour that comes, and must outlive a restart: by the wall clock, whatever is past left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimitState {
    /// When each request of the last ten minutes was sent, the oldest first.
    pub requests: Vec<Timestamp>,
    /// How many more may have been sent since, of which nothing was recorded.
    pub unrecorded: u8,
    /// When each attempt of the last hour to take the session back stops counting, the oldest first.
    pub attempts: Vec<Timestamp>,
    /// The same of those that took it from somebody else.
    pub take_overs: Vec<Timestamp>,
    /// When validate_sso may be asked again.
    pub may_validate: Option<Timestamp>,
    /// Until when nothing may be asked, after 429.
    pub quiet_until: Option<Timestamp>,
}

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

/// A request to the gateway, one a plan at most and one in flight at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Request {
    /// POST /v1/api/tickle: keeps login and session alive, and reports.
    Ping,
    /// POST /v1/api/iserver/auth/status.
    Check,
    /// POST /v1/api/iserver/reauthenticate: method `gateway`.
    Reauthenticate,
    /// POST /v1/api/iserver/auth/ssodh/init: method `direct`.
    OpenBrokerage {
        /// Whether to evict whoever else uses the brokerage session.
        compete: bool,
    },
    /// GET /v1/api/sso/validate.
    ValidateSso,
    /// GET /v1/api/iserver/accounts: the data call that proves a session.
    Accounts,
    /// GET /: is the gateway process there, whatever IBKR does.
    IsListening,
    /// POST /v1/api/logout.
    EndSession,
}

/// Why nothing can be said about the session. Each has words and a cure of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unavailability {
    /// Nothing listens on the gateway's port.
    NothingListens,
    /// Something listens, and does not answer in time.
    NoAnswer,
    /// Something answers that is not a gateway.
    NotAGateway,
    /// The certificate is not trusted.
    Certificate,
    /// No TLS connection can be agreed upon.
    Tls,
    /// The gateway's own list of addresses (`ips.allow`) refuses this host.
    AddressRefused,
    /// The host's name does not resolve, or the network is down.
    Network,
    /// The gateway answers for itself, and IBKR does not answer behind it.
    IbkrSilent,
    /// IBKR answers with an error of its own (5xx).
    IbkrError,
    /// IBKR's edge refuses this host (403).
    EdgeRefused,
    /// Too many requests (429): silence is due, at least this long.
    TooManyRequests {
        /// `Retry-After`, where given.
        retry_after: Option<Duration>,
    },
    /// An answer that cannot be understood.
    Nonsense,
}

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
