//! Moments that survive a restart and a clock that is set. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::session::Now;

/// A moment on the clock that never jumps; negative before this process began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(SignedDuration);

impl Moment {
    /// The moment of [`Now::mono`].
    pub(super) fn at(mono: Duration) -> Self {
        Self(SignedDuration::try_from(mono).unwrap_or(SignedDuration::MAX))
    }

    /// The moment of a wall clock that reads `wall`, if that clock is right now.
    pub(super) fn of(wall: Timestamp, now: Now) -> Self {
        Self(Self::at(now.mono).0.saturating_add(wall.duration_since(now.wall)))
    }

    /// The same for a time that is known to have passed: what lies ahead is now.
    pub(super) fn passed(wall: Timestamp, now: Now) -> Self {
        Self::of(wall, now).min(Self::at(now.mono))
    }

    /// What the wall clock reads at this moment, if it is right now.
    pub(super) fn wall(self, now: Now) -> Timestamp {
        now.wall.saturating_add(self.0.saturating_sub(Self::at(now.mono).0)).unwrap_or(now.wall)
    }

    /// This much later.
    pub(super) fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX)))
    }

    /// How long ago it was.
    pub(super) fn until(self, later: Self) -> Duration {
        Duration::try_from(later.0.saturating_sub(self.0)).unwrap_or(Duration::ZERO)
    }

    /// The moment as [`Now::mono`] would have it, not before this process began.
    pub(super) fn mono(self) -> Duration {
        Duration::try_from(self.0).unwrap_or(Duration::ZERO)
    }
}

/// How long something took that began at `began`. The monotonic clock stands still while the host sleeps, so the wall
/// clock is used where it shows more, unless the difference is so large that the clock was set.
pub(super) fn lasted(began: Moment, began_wall: Timestamp, now: Now) -> Duration {
    let steady = began.until(Moment::at(now.mono));
    let shown = Duration::try_from(now.wall.duration_since(began_wall)).unwrap_or(Duration::ZERO);
    if (steady..=steady.saturating_add(LONGEST_SLEEP)).contains(&shown) { shown } else { steady }
}

/// Longer sleeps of a host are taken for a clock that was set.
const LONGEST_SLEEP: Duration = Duration::from_hours(14 * 24);
