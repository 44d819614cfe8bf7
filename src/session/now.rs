//! The time.

use std::time::Duration;

use jiff::Timestamp;

/// The time, as the caller reads it before each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Time since some fixed moment, by a clock that never jumps: all schedules are made in it.
    pub mono: Duration,
    /// The time of day: for pauses and for noticing that the host slept or its clock was set.
    pub wall: Timestamp,
}

impl Now {
    /// The same moment of the past on both clocks.
    pub(super) fn at(self, mono: Duration) -> Self {
        let wall = self.wall.saturating_sub(self.mono.saturating_sub(mono)).unwrap_or(self.wall);
        Self { mono, wall }
    }
}
