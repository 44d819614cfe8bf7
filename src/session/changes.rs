//! Whether the session comes and goes more often than it should.

use std::collections::VecDeque;
use std::time::Duration;

use super::policy::{FLAPPING_CHANGES, FLAPPING_WINDOW};
use super::{State, Transition};

/// The transitions of late, and what they amount to.
#[derive(Debug, Clone, Default)]
pub(super) struct Changes {
    times: VecDeque<Duration>,
    flapping: bool,
}

impl Changes {
    /// Counts a transition, unless the operator made it.
    pub(super) fn count(&mut self, now: Duration, transition: &Transition) {
        if is_the_operators(transition.from) || is_the_operators(transition.to) {
            return;
        }
        while self.times.front().is_some_and(|t| now > *t + FLAPPING_WINDOW) {
            self.times.pop_front();
        }
        self.times.push_back(now);
        self.flapping |= self.times.len() > FLAPPING_CHANGES;
    }

    /// The session has been live for so long that what was before is no pattern any more.
    pub(super) fn forget(&mut self) {
        self.times.clear();
        self.flapping = false;
    }

    pub(super) const fn are_too_many(&self) -> bool {
        self.flapping
    }
}

const fn is_the_operators(state: State) -> bool {
    match state {
        State::Starting | State::Paused { .. } => true,
        State::Live | State::Recovering { .. } | State::Contested | State::Unavailable(_) | State::LoginRequired(_) => {
            false
        }
    }
}

/// How long a session must be live before it counts as calm.
pub const CALM: Duration = Duration::from_secs(300);
