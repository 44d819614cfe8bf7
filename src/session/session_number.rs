//! The session number: grows by one whenever the brokerage session is, or may be, a new one. Pure.
//!
//! Order-question suppressions, the priming by `/iserver/accounts` and all subscriptions belong to one brokerage session. A
//! program that keeps the number knows from a changed one that it must redo them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{State, Transition};

/// The number of a brokerage session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionNumber {
    /// The number. It never goes back, and means nothing else.
    pub number: u64,
    /// Since when the session has had it; `None` if the session was last seen by an earlier daemon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// How many later numbers may have been given out of which nothing was recorded; 0 after a daemon that ended in order.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unrecorded: u8,
}

impl SessionNumber {
    /// The number with which the next daemon begins. It is at least as high as all numbers of earlier daemons, also if they
    /// were not recorded: the first one began with the milliseconds of the wall clock, and numbers grow more slowly than that.
    #[must_use]
    pub fn after(earlier: Option<Self>, now: Timestamp) -> Self {
        let clock = u64::try_from(now.as_millisecond()).unwrap_or_default();
        let number = match earlier {
            Some(Self { number, unrecorded: 0, .. }) => number,
            Some(Self { number, unrecorded, .. }) => number.saturating_add(unrecorded.into()).max(clock),
            None => clock,
        };
        Self { number, since: None, unrecorded: 0 }
    }
}

/// What one report says about the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// The present state.
    pub state: State,
    /// The transition that led to it, if there was one.
    pub transition: Option<Transition>,
    /// Whether a time ends in which the session was not observed.
    pub was_unobserved: bool,
    /// When the human logged in.
    pub login: Option<Timestamp>,
}

/// Numbers the sessions of one gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionTracker {
    current: SessionNumber,
    login: Option<Timestamp>,
}

impl SessionTracker {
    /// Continues after an earlier daemon.
    #[must_use]
    pub const fn new(current: SessionNumber) -> Self {
        Self { current, login: None }
    }

    /// The number of the present session; if there is none, of the last one.
    #[must_use]
    pub const fn current(&self) -> SessionNumber {
        self.current
    }

    /// Records an observation, and returns the number if it is a new one. The session counts as the same only
    /// while every poll, each in time, found the same login and a working session.
    pub fn observe(&mut self, at: Timestamp, seen: &Observation) -> Option<SessionNumber> {
        if seen.state != State::Live {
            self.login = None;
            return None;
        }
        let is_entered = seen.transition.is_some_and(|transition| transition.to == State::Live);
        let is_other_login = self.login.is_some() && seen.login.is_some() && self.login != seen.login;
        self.login = seen.login.or(self.login);
        (is_entered || seen.was_unobserved || is_other_login).then(|| {
            self.current =
                SessionNumber { number: self.current.number.saturating_add(1), since: Some(at), unrecorded: 0 };
            self.current
        })
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_zero(count: &u8) -> bool {
    *count == 0
}
