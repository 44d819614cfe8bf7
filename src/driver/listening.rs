//! When the gateway's stream is opened, kept, given up and spoken of. Pure.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::gateway::SessionId;
use crate::gateway::stream::{Down, Push};
use crate::session::{State, backoff};

/// A change that is worth a word: said once, however often the stream comes and goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamChange {
    /// The stream listens.
    Up,
    /// There is none; the session is watched by asking alone.
    Down {
        /// Why.
        because: Down,
        /// How long until it is tried again, at the earliest.
        pause: Duration,
    },
    /// What it said was refuted by data twice in a row, so that it is closed.
    Refuted {
        /// How long until it is tried again, at the earliest.
        pause: Duration,
    },
}

/// What is to be done about the stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Stay,
    Close,
    /// Open one with this id, in place of whatever is open.
    Open(SessionId),
}

/// What is known about the stream. It is opened while the session is live, with an id from a ping that nobody has used,
/// and kept through what the machine calls recovering and contested; after either, the next ping's id opens another.
#[derive(Debug)]
pub(super) struct Listening {
    /// Spreads the pauses; none if nobody wants a stream.
    seed: Option<u64>,
    session: Option<SessionId>,
    open: bool,
    ready_since: Option<Duration>,
    /// The session was lost since the stream was opened.
    worn: bool,
    failures: u32,
    not_before: Duration,
    told_up: Option<bool>,
    /// How often in a row data refuted it, while the session stayed live.
    refuted: u32,
    /// It is to be closed.
    distrusted: bool,
}

impl Listening {
    pub(super) const fn new(seed: Option<u64>) -> Self {
        Self {
            seed,
            session: None,
            open: false,
            ready_since: None,
            worn: false,
            failures: 0,
            not_before: Duration::ZERO,
            told_up: None,
            refuted: 0,
            distrusted: false,
        }
    }

    /// A ping told the session's id.
    pub(super) fn pinged(&mut self, session: SessionId) {
        if self.seed.is_some() && (self.worn || !self.open) {
            self.session = Some(session);
        }
    }

    /// To be called after each step of the machine.
    pub(super) fn turn(&mut self, now: Duration, state: State) -> Turn {
        if std::mem::take(&mut self.distrusted) && std::mem::take(&mut self.open) {
            return Turn::Close;
        }
        match state {
            State::Live => {
                let due = now >= self.not_before;
                let Some(session) = self.session.take_if(|_| due) else { return Turn::Stay };
                (self.open, self.worn, self.ready_since) = (true, false, None);
                Turn::Open(session)
            }
            State::Recovering { .. } | State::Contested => {
                self.refuted = 0;
                self.session = None;
                self.worn = self.open;
                Turn::Stay
            }
            State::Starting | State::Unavailable(_) | State::LoginRequired(_) | State::Paused { .. } => {
                self.session = None;
                if std::mem::take(&mut self.open) { Turn::Close } else { Turn::Stay }
            }
        }
    }

    /// Data refuted what the stream said. It may be wrong once; from the second time on it is closed, for ever longer.
    pub(super) fn refuted(&mut self, now: Duration) -> Option<StreamChange> {
        self.refuted = self.refuted.saturating_add(1);
        if self.refuted < REFUTED || !self.open {
            return None;
        }
        let pause = backoff(self.refuted - 1, DISTRUST, DISTRUST_LAST);
        self.distrusted = true;
        self.not_before = now + pause;
        (self.session, self.ready_since) = (None, None);
        let told = self.told_up.replace(false) == Some(false);
        (!told).then_some(StreamChange::Refuted { pause })
    }

    /// When [`Listening::turn`] is to be called at the latest, if time alone can change anything.
    pub(super) fn wake_at(&self) -> Option<Duration> {
        self.session.as_ref().map(|_| self.not_before)
    }

    /// Something came, or the stream is gone.
    pub(super) fn heard(&mut self, now: Duration, heard: Result<Push, Down>) -> Option<StreamChange> {
        match heard {
            Ok(Push::Ready | Push::Heartbeat | Push::Status(_)) => {
                let since = *self.ready_since.get_or_insert(now);
                // Once it was told to be down, it has to last before it is told to be up.
                let up = match self.told_up {
                    None => true,
                    Some(true) => false,
                    Some(false) => now >= since + if self.refuted == 0 { STEADY } else { TRUSTED_AGAIN },
                };
                up.then(|| {
                    self.told_up = Some(true);
                    StreamChange::Up
                })
            }
            Err(because) => {
                let lasted = self.ready_since.is_some_and(|since| now >= since + STEADY);
                self.failures = if lasted { 1 } else { self.failures.saturating_add(1) };
                let pause = pause(self.failures, self.seed.unwrap_or_default());
                self.not_before = self.not_before.max(now + pause);
                (self.open, self.worn) = (false, false);
                let told = self.told_up.replace(false) == Some(false);
                (!told).then_some(StreamChange::Down { because, pause })
            }
        }
    }
}

/// The pause after so many failures in a row: [`FIRST`], doubling up to [`LAST`], and shorter by up to a fifth, so that
/// many streams that broke together do not come back together.
fn pause(failures: u32, seed: u64) -> Duration {
    let pause = backoff(failures, FIRST, LAST);
    let mut hasher = DefaultHasher::new();
    (seed, failures).hash(&mut hasher);
    let share = u32::try_from(hasher.finish() % 200).unwrap_or_default();
    pause - pause * share / 1000
}

/// How often in a row data refutes a stream before it is closed, for how long then, and how long it must last after that before
/// it is told to be up.
const REFUTED: u32 = 2;
const DISTRUST: Duration = Duration::from_secs(10 * 60);
const DISTRUST_LAST: Duration = Duration::from_secs(6 * 3600);
const TRUSTED_AGAIN: Duration = Duration::from_secs(3600);
/// How long a stream must have been ready for its failures to be forgotten.
const STEADY: Duration = Duration::from_secs(60);
const FIRST: Duration = Duration::from_secs(5);
const LAST: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_end_at_the_last() {
        for seed in 0..1000 {
            for (failures, longest) in [(1, 5), (2, 10), (3, 20), (4, 40), (5, 80), (6, 160), (7, 300), (40, 300)] {
                let (pause, longest) = (pause(failures, seed), Duration::from_secs(longest));
                assert!(pause <= longest && pause >= longest * 4 / 5, "{failures} failures: {pause:?}");
            }
            assert!(pause(u32::MAX, seed) <= LAST);
        }
        assert_ne!(pause(1, 1), pause(1, 2));
    }
}
