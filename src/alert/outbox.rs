//! The messages that one channel has still to send, and when it tries: the newest state of each incident, with growing
//! pauses. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Code;
use super::notice::{AlertPhase, Message};
use super::time::Moment;
use crate::session::{Now, backoff};

/// The result of one try to deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It arrived.
    Sent {
        /// The answer of the other side.
        answer: String,
        /// Who did not get it, where some did.
        except: Option<String>,
    },
    /// It may arrive later.
    TryAgain {
        /// Why it did not, as part of a sentence.
        why: String,
        /// The pause that the other side asks for.
        after: Option<Duration>,
        /// Whether a human probably has to change something.
        needs_human: bool,
    },
    /// Another try cannot help.
    Refused {
        /// Why not, as part of a sentence.
        why: String,
    },
}

impl Outcome {
    /// A failure that passes by itself.
    pub(super) fn passing(why: impl Into<String>) -> Self {
        Self::TryAgain { why: why.into(), after: None, needs_human: false }
    }

    /// A failure that lasts until a human fixes its cause.
    pub(super) fn lasting(why: impl Into<String>) -> Self {
        Self::TryAgain { why: why.into(), after: None, needs_human: true }
    }

    /// A failure that no retry can fix.
    pub(super) fn refused(why: impl Into<String>) -> Self {
        Self::Refused { why: why.into() }
    }
}

/// The receivers of a message that need no further try, where a message has several. They are identified by a hash.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Progress {
    /// Those who have it.
    pub reached: BTreeSet<String>,
    /// Those who cannot get it, and why.
    pub refused: BTreeMap<String, String>,
    /// The last answer with which one was reached.
    pub answer: Option<String>,
}

/// What an [`Outbox`] keeps of a message across restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersistedMessage {
    /// The message to send.
    pub message: Message,
    /// Since when it waits.
    pub since: Timestamp,
    /// Its alert is over, and the beginning never arrived.
    pub start_undelivered: bool,
    /// The receivers that need no further try.
    #[serde(default)]
    pub progress: Progress,
}

/// The state of a message after a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryVerdict {
    /// It was sent, at this try.
    Sent {
        /// How often it was tried.
        tries: u32,
    },
    /// It waits for its next try.
    Waits {
        /// The pause before that.
        pause: Duration,
        /// Whether this failure differs from the last one.
        is_news: bool,
        /// Whether other channels must report it now. True once a message.
        report: bool,
    },
    /// It was given up.
    GivenUp,
}

/// One channel's unsent messages. At most one per incident; at most [`MOST`] in all, of which the oldest gives way.
#[derive(Debug, Clone, Default)]
pub struct Outbox {
    queue: Vec<Queued>,
    failing_since: Option<Moment>,
    last_failure: Option<String>,
    /// Counts the attempts, so that a message that always fails does not delay the others.
    turn: u64,
}

#[derive(Debug, Clone)]
struct Queued {
    message: Message,
    progress: Progress,
    since: Moment,
    tries: u32,
    /// The turn of its last try.
    turn: u64,
    /// It is not tried before this.
    not_before: Option<Moment>,
    /// Since when it fails for a reason that needs a human.
    stuck_since: Option<Moment>,
    /// Other channels have reported that it does not arrive.
    is_reported: bool,
    /// Its incident is over, and the beginning never arrived.
    start_undelivered: bool,
}

impl Outbox {
    /// Adds a message; it replaces an earlier one about the same incident, and is due at once. Returns the one that had
    /// to give way because there are too many.
    pub fn put(&mut self, now: Now, message: Message) -> Option<Message> {
        let earlier = self.queue.iter().position(|queued| queued.message.id == message.id);
        let earlier = earlier.map(|at| self.queue.remove(at));
        let is_same = |queued: &&Queued| queued.message.started_at == message.started_at;
        let earlier = earlier.as_ref().filter(is_same);
        let never_told =
            earlier.is_some_and(|queued| queued.start_undelivered || queued.message.phase == AlertPhase::Raised);
        let queued = Queued {
            since: earlier.map_or_else(|| Moment::at(now.mono), |queued| queued.since),
            is_reported: earlier.is_some_and(|queued| queued.is_reported),
            start_undelivered: never_told && message.phase.is_end(),
            ..Queued::new(message, now)
        };
        self.queue.push(queued);
        (self.queue.len() > MOST).then(|| self.queue.remove(0).message)
    }

    /// The message to try at `now`, if one is due, and how far earlier tries came. Call [`Outbox::done`] with the
    /// result.
    pub fn due(&mut self, now: Now) -> Option<(Message, Progress)> {
        if self.wake_at()? > now.mono {
            return None;
        }
        self.forget_history(now);
        let is_due = |queued: &&Queued| queued.due_at() <= now.mono;
        let next = self.queue.iter().filter(is_due).min_by_key(|queued| queued.turn)?;
        Some((next.message.clone(), next.progress.clone()))
    }

    /// When something is due next, by [`Now::mono`]; `None` when there is nothing to send.
    #[must_use]
    pub fn wake_at(&self) -> Option<Duration> {
        self.queue.iter().map(Queued::due_at).min()
    }

    /// Records the result of a try with `message`. A message that was replaced in the meantime stays replaced.
    pub fn done(&mut self, now: Now, message: &Message, progress: Progress, outcome: &Outcome) -> DeliveryVerdict {
        self.turn += 1;
        let at = self.queue.iter().position(|queued| queued.message == *message);
        if let Some(queued) = at.and_then(|at| self.queue.get_mut(at)) {
            queued.tries = queued.tries.saturating_add(1);
            queued.turn = self.turn;
            queued.progress = progress;
        }
        match outcome {
            Outcome::Sent { .. } => {
                let tries = at.map_or(1, |at| self.queue.remove(at).tries);
                self.succeeded(&message.id);
                DeliveryVerdict::Sent { tries }
            }
            Outcome::TryAgain { why, after, needs_human } => {
                let asked = after.unwrap_or_default().min(LONGEST_ASKED);
                self.failing_since.get_or_insert(Moment::at(now.mono));
                let is_news = self.last_failure.replace(why.clone()).is_none_or(|last| last != *why);
                self.failed(now, at, asked, *needs_human, is_news)
            }
            Outcome::Refused { why } => {
                self.last_failure = Some(why.clone());
                if let Some(at) = at {
                    self.queue.remove(at);
                }
                DeliveryVerdict::GivenUp
            }
        }
    }

    /// The channel works: all waiting messages become due.
    fn succeeded(&mut self, id: &str) {
        (self.failing_since, self.last_failure) = (None, None);
        for queued in &mut self.queue {
            queued.not_before = None;
            // The message that replaced this one has a beginning that was delivered.
            queued.start_undelivered &= queued.message.id != id;
        }
    }

    /// Chooses the next try of the message at `at`, or gives it up.
    fn failed(
        &mut self,
        now: Now,
        at: Option<usize>,
        asked: Duration,
        needs_human: bool,
        is_news: bool,
    ) -> DeliveryVerdict {
        let here = Moment::at(now.mono);
        // A message that was not tried yet does not wait for the pause of another.
        for tried in self.queue.iter_mut().filter(|queued| queued.tries > 0) {
            let next = here.after(FIRST_PAUSE.max(asked));
            tried.not_before = Some(tried.not_before.map_or(next, |at| at.max(next)));
        }
        let Some(queued) = at.and_then(|at| self.queue.get_mut(at)) else {
            return DeliveryVerdict::Waits { pause: Duration::ZERO, is_news, report: false };
        };
        let is_old = queued.since.until(here) >= GIVEN_UP_AFTER;
        let longest = if is_old || needs_human { LAST_PAUSE } else { LONGEST_PAUSE };
        let pause = backoff(queued.tries, FIRST_PAUSE, longest).max(asked);
        queued.not_before = Some(here.after(pause));
        queued.stuck_since = needs_human.then(|| queued.stuck_since.unwrap_or(here));
        let is_stuck = queued.stuck_since.is_some_and(|since| since.until(here) >= REPORTED_AFTER)
            || (needs_human && queued.tries >= REPORTED_TRIES);
        if is_old
            && !queued.is_ongoing()
            && let Some(at) = at
        {
            self.queue.remove(at);
            return DeliveryVerdict::GivenUp;
        }
        let report = !queued.is_reported && (is_stuck || is_old);
        queued.is_reported |= report;
        DeliveryVerdict::Waits { pause, is_news, report }
    }

    /// How many messages wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The messages that wait, in the order in which they came.
    pub fn messages(&self) -> impl Iterator<Item = &Message> {
        self.queue.iter().map(|queued| &queued.message)
    }

    /// Why the last try failed, unless a later one succeeded.
    #[must_use]
    pub fn last_failure(&self) -> Option<&str> {
        self.last_failure.as_deref()
    }

    /// The state that must survive a restart.
    #[must_use]
    pub fn keep(&self, now: Now) -> Vec<PersistedMessage> {
        let kept = |queued: &Queued| PersistedMessage {
            message: queued.message.clone(),
            since: queued.since.wall(now),
            start_undelivered: queued.start_undelivered,
            progress: queued.progress.clone(),
        };
        self.queue.iter().map(kept).collect()
    }

    /// Restores the messages of an earlier outbox. All become due, and are given up only after another try.
    pub fn restore(&mut self, kept: Vec<PersistedMessage>, now: Now) {
        let queued = |kept: PersistedMessage| Queued {
            since: Moment::passed(kept.since, now),
            progress: kept.progress,
            start_undelivered: kept.start_undelivered,
            ..Queued::new(kept.message, now)
        };
        self.queue.extend(kept.into_iter().take(MOST).map(queued));
    }

    /// After a long failure only the present state is worth sending: of the incidents that are over and whose beginning
    /// never arrived, only the last.
    fn forget_history(&mut self, now: Now) {
        let here = Moment::at(now.mono);
        let is_long = self.failing_since.is_some_and(|since| since.until(here) >= HISTORY_AFTER);
        let Some(last) = self.queue.iter().rposition(|queued| queued.start_undelivered).filter(|_| is_long) else {
            return;
        };
        let mut at = 0;
        self.queue.retain(|queued| {
            at += 1;
            !queued.start_undelivered || at == last + 1
        });
    }
}

impl Queued {
    fn new(message: Message, now: Now) -> Self {
        Self {
            message,
            progress: Progress::default(),
            since: Moment::at(now.mono),
            tries: 0,
            turn: 0,
            not_before: None,
            stuck_since: None,
            is_reported: false,
            start_undelivered: false,
        }
    }

    fn due_at(&self) -> Duration {
        self.not_before.map_or(Duration::ZERO, Moment::mono)
    }

    /// Whether the incident lasts, as far as this channel knows: its end would have replaced this message.
    fn is_ongoing(&self) -> bool {
        let has_end = Code::named(&self.message.code).is_some_and(|code| code.entry().resolved_title.is_some());
        has_end && matches!(self.message.phase, AlertPhase::Raised | AlertPhase::Repeated)
    }
}

/// The limit for messages that wait for one channel.
pub const MOST: usize = 64;
/// A message that could not be sent for so long is reported by other channels; it is given up if its incident is over,
/// and else tried more slowly.
pub const GIVEN_UP_AFTER: Duration = Duration::from_hours(24);
/// After so long a failure, only the present state is sent, not the history.
pub const HISTORY_AFTER: Duration = Duration::from_hours(6);
/// A failure that needs a human is reported by other channels once it has lasted so long.
const REPORTED_AFTER: Duration = Duration::from_secs(30);
/// It is reported after so many tries at the latest.
const REPORTED_TRIES: u32 = 4;
/// The pause after the first failure.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest pause while the failure may pass by itself.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);
/// The longest pause while the failure needs a human, and after a day.
const LAST_PAUSE: Duration = Duration::from_hours(1);
/// The longest pause that the other side may ask for.
const LONGEST_ASKED: Duration = Duration::from_hours(1);
