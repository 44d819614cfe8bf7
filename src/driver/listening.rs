//! When the gateway's stream is opened, closed and reported. Pure.

use std::time::Duration;

use crate::gateway::SessionId;
use crate::gateway::stream::{Push, StreamDown};
use crate::session::{Jitter, State, backoff};

/// A change of the stream to report: once, however often the stream reconnects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamChange {
    /// The stream is open and delivers messages.
    Up,
    /// There is no stream; the session is watched by polling alone.
    Down {
        /// Why.
        reason: StreamDown,
        /// How long until it is tried again, at the earliest.
        pause: Duration,
    },
    /// Data refuted the stream twice in a row, so it is closed.
    Refuted {
        /// How long until it is tried again, at the earliest.
        pause: Duration,
    },
}

/// What to do about the stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// Leave it as it is.
    Stay,
    /// Close it.
    Close,
    /// Open one with this id, in place of the present one.
    Open(SessionId),
}

/// State of the stream. It is opened while the session is live, with an unused id from a ping, and kept while the
/// machine is recovering or contested. After either, the id of the next ping opens another.
#[derive(Debug)]
pub struct StreamListener {
    /// Spreads the pauses; `None` when the stream is not enabled.
    jitter: Option<Jitter>,
    session: Option<SessionId>,
    open: bool,
    ready_since: Option<Duration>,
    /// The session was lost after the stream was opened.
    worn: bool,
    failures: u32,
    not_before: Duration,
    reported_up: Option<bool>,
    /// How often in a row data refuted it, while the session stayed live.
    refuted: u32,
    /// The next turn closes it.
    distrusted: bool,
}

impl StreamListener {
    /// No stream yet; never one without a `jitter`.
    #[must_use]
    pub const fn new(jitter: Option<Jitter>) -> Self {
        Self {
            jitter,
            session: None,
            open: false,
            ready_since: None,
            worn: false,
            failures: 0,
            not_before: Duration::ZERO,
            reported_up: None,
            refuted: 0,
            distrusted: false,
        }
    }

    /// A ping returned the session's id.
    pub fn pinged(&mut self, session: SessionId) {
        if self.jitter.is_some() && (self.worn || !self.open) {
            self.session = Some(session);
        }
    }

    /// Call after each step of the machine.
    pub fn turn(&mut self, now: Duration, state: State) -> Turn {
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

    /// Data refuted the stream. From the second time in a row on, it is closed for increasing pauses.
    pub fn refuted(&mut self, now: Duration) -> Option<StreamChange> {
        self.refuted = self.refuted.saturating_add(1);
        if self.refuted < REFUTED || !self.open {
            return None;
        }
        let pause = backoff(self.refuted - 1, DISTRUST, DISTRUST_LAST);
        self.distrusted = true;
        self.not_before = now + pause;
        (self.session, self.ready_since) = (None, None);
        let is_reported = self.reported_up.replace(false) == Some(false);
        (!is_reported).then_some(StreamChange::Refuted { pause })
    }

    /// When to call [`StreamListener::turn`] at the latest.
    #[must_use]
    pub fn wake_at(&self) -> Option<Duration> {
        self.session.as_ref().map(|_| self.not_before)
    }

    /// A message came, or the stream closed.
    pub fn heard(&mut self, now: Duration, heard: Result<Push, StreamDown>) -> Option<StreamChange> {
        match heard {
            Ok(Push::Ready | Push::Heartbeat | Push::Status(_)) => {
                let since = *self.ready_since.get_or_insert(now);
                // After it was reported down, it must last before it is reported up.
                let up = match self.reported_up {
                    None => true,
                    Some(true) => false,
                    Some(false) => now >= since + if self.refuted == 0 { STEADY } else { TRUSTED_AGAIN },
                };
                up.then(|| {
                    self.reported_up = Some(true);
                    StreamChange::Up
                })
            }
            Err(reason) => {
                let lasted = self.ready_since.is_some_and(|since| now >= since + STEADY);
                self.failures = if lasted { 1 } else { self.failures.saturating_add(1) };
                let pause = backoff(self.failures, FIRST, LAST);
                let pause = self.jitter.as_mut().map_or(pause, |jitter| jitter.shorten(pause));
                self.not_before = self.not_before.max(now + pause);
                (self.open, self.worn) = (false, false);
                let is_reported = self.reported_up.replace(false) == Some(false);
                (!is_reported).then_some(StreamChange::Down { reason, pause })
            }
        }
    }
}

/// How often in a row data refutes a stream before it is closed, for how long then, and how long it must last after
/// that before it is reported up.
const REFUTED: u32 = 2;
const DISTRUST: Duration = Duration::from_secs(10 * 60);
const DISTRUST_LAST: Duration = Duration::from_secs(6 * 3600);
const TRUSTED_AGAIN: Duration = Duration::from_secs(3600);
/// How long a stream must have been ready before its failures are forgotten.
const STEADY: Duration = Duration::from_secs(60);
const FIRST: Duration = Duration::from_secs(5);
const LAST: Duration = Duration::from_secs(300);
