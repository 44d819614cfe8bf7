//! The session machine: what is known about one gateway's session, and what to do next.
//!
//! Pure: no clock, no I/O, no randomness but a seed. [`Machine::step`] takes the time and an event, and returns one
//! [`Plan`]: the request to send (if any), when to wake again and why, and the transition that took place (if any).
//! The caller carries out the plan and decides nothing.
//!
//! | state | meaning | leaves by |
//! |---|---|---|
//! | starting | nothing is known yet | the first answer |
//! | live | the body said authenticated, connected, not competing; a data call confirmed it | an answer that says otherwise, confirmed |
//! | recovering | the login may be valid, the session is lost | live, login-required, contested, unavailable |
//! | contested | another client uses the brokerage session | the other client leaves, or take-over by policy |
//! | unavailable | no answer, or none that says anything about the session | an answer that does |
//! | login-required | only a human can help | a live session, the operator |
//! | paused | no requests, by command of the operator | its end, resume |
//!
//! A recovery is, in this order: *check*, *reauthenticate* (by the next of the configured methods), *validate_sso* (at
//! most once a minute; within that minute the last answer is used), *confirm* (checks until live or [`CONFIRM_WITHIN`]
//! is over); then a pause, and the next attempt. Neither "triggered" nor a status of 200 is success: only a later check
//! followed by a data call is. Proof that the login is gone ends the recovery at once, after one confirming check.
//!
//! Machines of several gateways behind one public address share its rate limits: [`SharedBudget`].
//!
//! Every state with every input, checked against the code by `tests/session_table`:
#![doc = include_str!("transitions.md")]

mod answer;
mod backoff;
mod behind;
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
mod rounds;
mod session_number;
mod shared_budget;
mod silence;
mod standing;
mod starting;
mod state;
mod state_kind;
mod text;
mod unavailability;
mod unavailable;

pub use crate::gateway::Request;
pub use answer::{Accounts, Answer, Failure, HostFailure, Reauth, Sso, Status};
pub use backoff::{Jitter, backoff};
pub use context::{BUSY, Facts, LastReading};
pub use flap_detector::CALM;
pub use key::Key;
pub use machine::Machine;
pub use now::Now;
pub use plan::{Input, Plan, WakeReason};
pub use policy::{
    Account, CONFIRM_WITHIN, Competing, FIRST_PAUSE, FLAPPING_CHANGES, FLAPPING_WINDOW, LONGEST_PAUSE, Method, Policy,
    Recovery,
};
pub use rate_limiter::RateLimitState;
pub use session_number::{Observation, SessionNumber, SessionTracker};
pub use shared_budget::{ClientId, SharedBudget};
pub use state::{Cause, State, StateReason, Step, Transition};
pub use state_kind::StateKind;
pub use unavailability::Unavailability;
