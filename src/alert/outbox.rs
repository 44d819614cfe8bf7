//! What one channel has still to send, and when it tries: the newest state of each incident, with growing pauses. Pure.

use std::time::Duration;

use super::clockwork::Moment;
use super::keep::KeptLetter;
use super::notice::{Message, Phase};
use crate::session::Now;

/// What came of one try to deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It arrived.
    Sent {
        /// What the other side said.
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
    },
    /// It never will.
    Refused {
        /// Why not, as part of a sentence.
        why: String,
    },
}

/// What became of a message after a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It was sent, at this try.
    Sent {
        /// How often it was tried.
        tries: u32,
    },
    /// It waits for its next try.
    Waits {
        /// The pause before that.
        pause: Duration,
        /// Whether this failure is another than the last one.
        is_news: bool,
    },
    /// It was given up.
    GivenUp,
}

/// One channel's unsent messages. At most one per incident; at most [`MOST`] in all, of which the oldest gives way.
#[derive(Debug, Clone, Default)]
pub struct Outbox {
    letters: Vec<Letter>,
    /// Failed tries since the last success.
    failures: u32,
    failing_since: Option<Moment>,
    /// Nothing is tried before this.
    not_before: Option<Moment>,
    last_failure: Option<String>,
    /// Counts the tries, so that none that fails for ever keeps the others waiting.
    turn: u64,
}

#[derive(Debug, Clone)]
struct Letter {
    message: Message,
    since: Moment,
    tries: u32,
    /// The turn of its last try.
    turn: u64,
    /// It is over, and its beginning never arrived.
    unheralded: bool,
}

impl Outbox {
    /// Takes a message in; it takes the place of an earlier one about the same incident. Gives back one that had to
    /// give way because there are too many.
    pub fn put(&mut self, now: Now, message: Message) -> Option<Message> {
        let earlier = self.letters.iter().position(|letter| letter.message.id == message.id);
        let earlier = earlier.map(|at| self.letters.remove(at));
        let is_same = |letter: &&Letter| letter.message.began_at == message.began_at;
        let earlier = earlier.as_ref().filter(is_same);
        let never_told = earlier.is_some_and(|letter| letter.unheralded || letter.message.phase == Phase::Raised);
        let letter = Letter {
            since: earlier.map_or_else(|| Moment::at(now.mono), |letter| letter.since),
            tries: 0,
            turn: 0,
            unheralded: never_told && message.phase.is_end(),
            message,
        };
        self.letters.push(letter);
        (self.letters.len() > MOST).then(|| self.letters.remove(0).message)
    }

    /// The message to try at `now`, if one is due. Call [`Outbox::done`] with what came of it.
    pub fn due(&mut self, now: Now) -> Option<Message> {
        if self.wake_at()? > now.mono {
            return None;
        }
        self.forget_history(now);
        self.letters.iter().min_by_key(|letter| letter.turn).map(|letter| letter.message.clone())
    }

    /// When something is due next, by [`Now::mono`]; none when there is nothing to send.
    #[must_use]
    pub fn wake_at(&self) -> Option<Duration> {
        (!self.letters.is_empty()).then(|| self.not_before.map_or(Duration::ZERO, Moment::mono))
    }

    /// Takes in what came of a try with `message`. A message that was replaced in the meantime stays replaced.
    pub fn done(&mut self, now: Now, message: &Message, outcome: &Outcome) -> Verdict {
        let here = Moment::at(now.mono);
        self.turn += 1;
        let at = self.letters.iter().position(|letter| letter.message == *message);
        if let Some(letter) = at.and_then(|at| self.letters.get_mut(at)) {
            letter.tries += 1;
            letter.turn = self.turn;
        }
        let (tries, since) = at.map_or((1, here), |at| (self.letters[at].tries, self.letters[at].since));
        match outcome {
            Outcome::Sent { .. } => {
                (self.failures, self.failing_since, self.not_before, self.last_failure) = (0, None, None, None);
                if let Some(at) = at {
                    self.letters.remove(at);
                } else {
                    // What took its place is no news without a beginning any more.
                    self.herald(&message.id);
                }
                Verdict::Sent { tries }
            }
            Outcome::TryAgain { why, after } => {
                let pause = pause(self.failures).max(after.unwrap_or_default().min(LONGEST_ASKED));
                self.failures = self.failures.saturating_add(1);
                self.failing_since.get_or_insert(here);
                self.not_before = Some(here.after(pause));
                let is_news = self.last_failure.replace(why.clone()).is_none_or(|last| last != *why);
                match at.filter(|_| since.until(here) >= GIVEN_UP_AFTER) {
                    Some(at) => {
                        self.letters.remove(at);
                        Verdict::GivenUp
                    }
                    None => Verdict::Waits { pause, is_news },
                }
            }
            Outcome::Refused { why } => {
                self.last_failure = Some(why.clone());
                if let Some(at) = at {
                    self.letters.remove(at);
                }
                Verdict::GivenUp
            }
        }
    }

    /// How many messages wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.letters.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    /// Why the last try failed, unless a later one did not.
    #[must_use]
    pub fn last_failure(&self) -> Option<&str> {
        self.last_failure.as_deref()
    }

    /// What must survive a restart.
    #[must_use]
    pub fn keep(&self, now: Now) -> Vec<KeptLetter> {
        let kept = |letter: &Letter| KeptLetter {
            message: letter.message.clone(),
            since: letter.since.wall(now),
            unheralded: letter.unheralded,
        };
        self.letters.iter().map(kept).collect()
    }

    /// Takes back what an earlier outbox kept. All of it is tried at once, and given up only after such a try.
    pub fn restore(&mut self, kept: Vec<KeptLetter>, now: Now) {
        let letter = |kept: KeptLetter| Letter {
            message: kept.message,
            since: Moment::passed(kept.since, now),
            tries: 0,
            turn: 0,
            unheralded: kept.unheralded,
        };
        self.letters.extend(kept.into_iter().take(MOST).map(letter));
    }

    /// After a long failure only the present state is worth sending: of what is over already, and never was told, only
    /// the last.
    fn forget_history(&mut self, now: Now) {
        let here = Moment::at(now.mono);
        let is_long = self.failing_since.is_some_and(|since| since.until(here) >= HISTORY_AFTER);
        let Some(last) = self.letters.iter().rposition(|letter| letter.unheralded).filter(|_| is_long) else {
            return;
        };
        let mut at = 0;
        self.letters.retain(|letter| {
            at += 1;
            !letter.unheralded || at == last + 1
        });
    }

    fn herald(&mut self, id: &str) {
        for letter in self.letters.iter_mut().filter(|letter| letter.message.id == id) {
            letter.unheralded = false;
        }
    }
}

/// The pause after that many failures and one more: it doubles, up to the longest.
fn pause(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1_u32.checked_shl(failures.min(16)).unwrap_or(u32::MAX)).min(LONGEST_PAUSE)
}

/// So many messages wait for one channel at most.
pub const MOST: usize = 64;
/// A message that could not be sent for so long is given up.
pub const GIVEN_UP_AFTER: Duration = Duration::from_hours(24);
/// After so long a failure, only the present state is sent, not the history.
pub const HISTORY_AFTER: Duration = Duration::from_hours(6);
/// The pause after the first failure.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest pause of our own choice.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);
/// The longest pause that the other side may ask for.
const LONGEST_ASKED: Duration = Duration::from_hours(1);
