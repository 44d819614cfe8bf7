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
mod now;
mod operator;
mod phase;
mod plan;
mod policy;
mod polls;
mod rate_limiter;
mod recovery;
mod request;
mod shared_budget;
mod starting;
mod state;
mod state_kind;
mod text;
mod unavailability;
mod unavailable;

pub use crate::gateway::Request;
pub use answer::{Accounts, Answer, Failure, Reauthentication, Sso, Status};
pub use context::{Facts, LastReading};
pub use flap_detector::CALM;
pub use key::Key;
pub use machine::Machine;
pub use now::Now;
pub use plan::{Input, Plan, WakeReason};
pub use policy::{
    Account, CONFIRM_WITHIN, Competing, FIRST_PAUSE, FLAPPING_CHANGES, FLAPPING_WINDOW, LONGEST_PAUSE, Method, Policy,
    Recovery,
};
pub use rate_limiter::{RateLimitState, backoff};
pub use shared_budget::{ClientId, SharedBudget};
pub use state::{Cause, State, StateReason, Step, Transition};
pub use state_kind::StateKind;
pub use unavailability::Unavailability;
