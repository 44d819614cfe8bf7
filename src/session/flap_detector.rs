//! Whether the session comes and goes more often than it should.

use std::collections::VecDeque;
use std::time::Duration;

use super::policy::{FLAPPING_CHANGES, FLAPPING_WINDOW};
use super::{Cause, State, Transition};

/// The recent transitions, and whether they are flapping. Not counted: actions of the operator, transitions in
/// maintenance, and outages in which nothing can be said about the session.
#[derive(Debug, Clone, Default)]
pub(super) struct FlapDetector {
    times: VecDeque<Duration>,
    /// How many of them came since the session was last live.
    since_live: usize,
    /// Until the session is live again nothing counts.
    excused: bool,
    in_maintenance: bool,
    flapping: bool,
    /// Failed attempts that a short life between two outages does not give back.
    carried_attempts: u8,
    /// When the session was last lost to another client, newest last.
    evictions: Vec<Duration>,
}

impl FlapDetector {
    /// Counts a transition, unless there is an excuse for it.
    pub(super) fn count(&mut self, now: Duration, transition: &Transition) {
        if transition.from == State::Live {
            (self.since_live, self.excused) = (0, false);
        }
        if self.in_maintenance || is_an_excuse(transition.from) || is_an_excuse(transition.to) {
            self.excused = true;
            let counted = self.times.len().saturating_sub(self.since_live);
            self.times.truncate(counted);
            self.since_live = 0;
        }
        if self.excused {
            return;
        }
        while self.times.front().is_some_and(|t| now > *t + FLAPPING_WINDOW) {
            self.times.pop_front();
        }
        self.times.push_back(now);
        self.since_live = (self.since_live + 1).min(self.times.len());
        self.flapping |= self.times.len() > FLAPPING_CHANGES;
    }

    /// Whether IBKR is in maintenance.
    pub(super) const fn in_maintenance(&mut self, is_so: bool) {
        self.in_maintenance = is_so;
    }

    /// Failed attempts with which the next outage begins.
    pub(super) const fn carried_attempts(&self) -> u8 {
        self.carried_attempts
    }

    pub(super) fn carry_attempts(&mut self, failed: u8) {
        self.carried_attempts = self.carried_attempts.max(failed);
    }

    pub(super) const fn forget_attempts(&mut self) {
        self.carried_attempts = 0;
    }

    /// The live session was lost to another client.
    pub(super) fn evicted(&mut self, now: Duration) {
        self.evictions.retain(|t| *t + EVICTION_WINDOW > now);
        self.evictions.push(now);
    }

    /// Whether the session was lost to another client too often to fight for it.
    pub(super) const fn is_outfought(&self) -> bool {
        self.evictions.len() > EVICTION_LIMIT
    }

    /// The session has been live for so long that earlier changes are not counted.
    pub(super) fn forget(&mut self) {
        self.times.clear();
        self.since_live = 0;
        self.flapping = false;
        self.carried_attempts = 0;
    }

    pub(super) const fn is_flapping(&self) -> bool {
        self.flapping
    }
}

const fn is_an_excuse(state: State) -> bool {
    match state {
        State::Starting | State::Paused { .. } | State::Unavailable(_) | State::LoginRequired(Cause::ByOperator) => {
            true
        }
        State::Live | State::Recovering { .. } | State::Contested | State::LoginRequired(_) => false,
    }
}

/// How long a session must be live before it counts as calm.
pub const CALM: Duration = Duration::from_secs(300);
/// The session lost to another client more often than this within [`EVICTION_WINDOW`] is no longer fought for.
const EVICTION_LIMIT: usize = 3;
const EVICTION_WINDOW: Duration = Duration::from_secs(600);
