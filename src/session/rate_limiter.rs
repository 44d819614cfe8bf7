//! How often at most: every limit on requests to one gateway, for all time and whatever the other side does.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::{RoundMode, Timestamp, TimestampRound, Unit};

use serde::{Deserialize, Serialize};

use super::{Now, Request};

/// What limits the requests of the hour that comes, and must outlive a restart: by the wall clock, whatever is past left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimitState {
    /// When each request of the last ten minutes was sent, the oldest first.
    pub requests: Vec<Timestamp>,
    /// How many more may have been sent since, of which nothing was recorded.
    pub unrecorded: u8,
    /// When each attempt of the last hour to take the session back stops counting, the oldest first.
    pub attempts: Vec<Timestamp>,
    /// The same of those that took it from somebody else.
    pub take_overs: Vec<Timestamp>,
    /// When validate_sso may be asked again.
    pub may_validate: Option<Timestamp>,
    /// Until when nothing may be asked, after 429.
    pub quiet_until: Option<Timestamp>,
}

/// The limits of one gateway, and the memory that keeping them needs.
#[derive(Debug, Clone)]
pub(super) struct RateLimiter {
    /// When each request of the last ten minutes stops counting.
    sent: VecDeque<Moment>,
    /// The same of the extra looks that the operator or the stream asked for.
    pressed: VecDeque<Moment>,
    /// One that came before may have pinged until then.
    born: Duration,
    pinged: Option<Duration>,
    /// When validate_sso may be asked again.
    may_validate: Option<Moment>,
    /// When each of the last hour's attempts stops counting, and the same of those that took the session from somebody.
    asked: VecDeque<Moment>,
    taken_over: VecDeque<Moment>,
    quiet_until: Moment,
    random: u64,
}

/// A time by both clocks: that of the schedules, and that which outlives a restart.
#[derive(Debug, Clone, Copy)]
struct Moment {
    mono: Duration,
    wall: Timestamp,
}

impl Moment {
    fn after(now: Now, span: Duration) -> Self {
        let wall = now.wall.saturating_add(span).unwrap_or(Timestamp::MAX);
        Self { mono: now.mono.saturating_add(span), wall }
    }

    /// A time that was kept, if it lies ahead; a clock that was set moves it no further away than `most`.
    fn kept(wall: Timestamp, now: Now, most: Duration) -> Option<Self> {
        let left = Duration::try_from(wall.duration_since(now.wall)).ok()?.min(most);
        (!left.is_zero()).then(|| Self::after(now, left))
    }
}

/// How urgent a question is: the more urgent, the more of the budget it may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Priority {
    /// It is its turn.
    Routine,
    /// The operator or the stream asks for an extra look. These have a budget of their own.
    Pressing,
    /// A recovery waits for the answer.
    Recovery,
    /// The second look that decides whether a bad answer is believed. It never waits for what others have used up.
    Confirming,
}

impl RateLimiter {
    pub(super) const fn new(seed: u64, born: Now) -> Self {
        Self {
            sent: VecDeque::new(),
            pressed: VecDeque::new(),
            born: born.mono,
            pinged: None,
            may_validate: None,
            asked: VecDeque::new(),
            taken_over: VecDeque::new(),
            quiet_until: Moment { mono: Duration::ZERO, wall: Timestamp::MIN },
            random: seed,
        }
    }

    /// The first moment at which `request` may be sent.
    pub(super) fn earliest(&self, now: Duration, request: Request, priority: Priority) -> Duration {
        let nth_last = |n: usize| self.sent.len().checked_sub(n).map(|i| self.sent[i].mono);
        let burst = nth_last(BURST).map_or(Duration::ZERO, |over| (over + SHORT).saturating_sub(LONG));
        let (is_look, own) = match request {
            Request::Ping => (true, self.pinged.unwrap_or(self.born) + PING_GAP),
            Request::Check | Request::IsListening => (true, Duration::ZERO),
            Request::ValidateSso => (false, self.may_validate.map_or(Duration::ZERO, |t| t.mono)),
            Request::Reauthenticate | Request::OpenBrokerage { .. } | Request::Accounts | Request::EndSession => {
                (false, Duration::ZERO)
            }
        };
        let sustained = nth_last(SUSTAINED).unwrap_or_default();
        let spacing = if is_look { self.spacing(now, priority) } else { Duration::ZERO };
        burst.max(sustained).max(spacing).max(own).max(self.quiet_until.mono)
    }

    /// When the next look may follow the last question, so that what is left of the span lasts for all of it: whoever presses,
    /// and however often, the next look is never far away.
    fn spacing(&self, now: Duration, priority: Priority) -> Duration {
        let free = match priority {
            Priority::Routine | Priority::Pressing => FREE,
            Priority::Recovery => FREE_FOR_RECOVERY,
            Priority::Confirming => FREE_TO_CONFIRM,
        };
        let Some(last) = self.sent.back() else { return Duration::ZERO };
        let recent = count_recent(&self.sent, now);
        let even = if recent >= free {
            LONG / u32::try_from(SUSTAINED.saturating_sub(recent)).unwrap_or(1).max(1)
        } else {
            Duration::ZERO
        };
        let pressed = priority == Priority::Pressing && count_recent(&self.pressed, now) >= EXTRA;
        let span = if pressed { even.max(SUSTAINABLE) } else { even };
        if span.is_zero() { Duration::ZERO } else { (last.mono + span).saturating_sub(LONG) }
    }

    /// How long until the next routine question, if `wanted` is what is wished for. A span too short to be kept up is only
    /// kept up for a while: or else the budget would be spent, and the session alone until it is not.
    pub(super) fn poll_interval(&mut self, now: Duration, wanted: Duration) -> Duration {
        let wanted = self.jitter(wanted);
        if count_recent(&self.sent, now) > UNHURRIED { wanted.max(SUSTAINABLE) } else { wanted }
    }

    /// Notes that `request` is sent; `contending` if it takes the session from somebody else.
    pub(super) fn sent(&mut self, at: Now, request: Request, priority: Priority, contending: bool) {
        let now = at.mono;
        let over = Moment::after(at, LONG);
        push(&mut self.sent, over, SUSTAINED);
        if priority == Priority::Pressing {
            push(&mut self.pressed, over, EXTRA);
        }
        match request {
            Request::Ping => self.pinged = Some(now),
            Request::ValidateSso => self.may_validate = Some(Moment::after(at, VALIDATE_GAP)),
            Request::Reauthenticate | Request::OpenBrokerage { .. } => {
                self.asked.push_back(Moment::after(at, HOUR));
                if contending {
                    self.taken_over.push_back(Moment::after(at, HOUR));
                }
            }
            Request::Check | Request::Accounts | Request::IsListening | Request::EndSession => {}
        }
    }

    /// When the session may be asked for again, if at most `per_hour` times in any hour.
    pub(super) fn may_ask(&mut self, now: Duration, per_hour: u8) -> Duration {
        forget(&mut self.asked, now);
        match self.asked.len().checked_sub(usize::from(per_hour)) {
            Some(i) => self.asked[i].mono,
            None => now,
        }
    }

    /// Whether the session may be taken from somebody else.
    pub(super) fn may_take_over(&mut self, now: Duration) -> bool {
        forget(&mut self.taken_over, now);
        self.taken_over.len() < TAKE_OVERS
    }

    /// Whether `validate_sso` may be asked.
    pub(super) fn may_validate(&self, now: Duration) -> bool {
        self.may_validate.is_none_or(|t| now >= t.mono)
    }

    pub(super) const fn pinged(&self) -> Option<Duration> {
        self.pinged
    }

    /// When validate_sso was asked last.
    pub(super) fn validated(&self) -> Option<Duration> {
        self.may_validate.map(|t| t.mono.saturating_sub(VALIDATE_GAP))
    }

    /// Begins the silence that is due after 429. The other side may lengthen it, up to what makes sense.
    pub(super) fn back_off(&mut self, now: Now, retry_after: Option<Duration>) {
        let span = retry_after.map_or(PENALTY, |after| after.clamp(PENALTY, LONGEST_PENALTY));
        self.quiet_to(Moment::after(now, span));
    }

    pub(super) const fn quiet_until(&self) -> Duration {
        self.quiet_until.mono
    }

    fn quiet_to(&mut self, until: Moment) {
        if until.mono > self.quiet_until.mono {
            self.quiet_until = until;
        }
    }

    /// What of all this a restart must not forget.
    pub(super) fn state(&self, now: Duration) -> RateLimitState {
        let ahead = |times: &VecDeque<Moment>| times.iter().filter(|t| t.mono > now).map(|t| t.wall).collect();
        RateLimitState {
            requests: self.sent.iter().filter(|t| t.mono > now).map(|t| before(t.wall, LONG)).collect(),
            unrecorded: 0,
            attempts: ahead(&self.asked),
            take_overs: ahead(&self.taken_over),
            may_validate: self.may_validate.filter(|t| t.mono > now).map(|t| t.wall),
            quiet_until: (self.quiet_until.mono > now).then_some(self.quiet_until.wall),
        }
    }

    /// Takes over what an earlier one was bound by.
    pub(super) fn restore(&mut self, now: Now, kept: &RateLimitState) {
        let ahead = |times: &[Timestamp]| {
            let mut times: Vec<Moment> = times.iter().filter_map(|wall| Moment::kept(*wall, now, HOUR)).collect();
            times.sort_by_key(|t| t.mono);
            VecDeque::from(times)
        };
        // One that crashed may have sent all that was not recorded in its last moment, which was just now.
        let unrecorded = (0..kept.unrecorded).map(|_| now.wall);
        let over = |sent: Timestamp| sent.saturating_add(LONG).unwrap_or(Timestamp::MAX);
        let mut sent: Vec<Moment> = kept
            .requests
            .iter()
            .copied()
            .chain(unrecorded)
            .filter_map(|at| Moment::kept(over(at), now, LONG))
            .collect();
        sent.sort_by_key(|t| t.mono);
        for over in sent {
            push(&mut self.sent, over, SUSTAINED);
        }
        self.asked = ahead(&kept.attempts);
        self.taken_over = ahead(&kept.take_overs);
        self.may_validate = kept.may_validate.and_then(|wall| Moment::kept(wall, now, VALIDATE_GAP));
        if let Some(until) = kept.quiet_until.and_then(|wall| Moment::kept(wall, now, LONGEST_PENALTY)) {
            self.quiet_to(until);
        }
    }

    /// `span` shortened by up to a fifth, so that many gateways do not ask in step. Never longer: limits stay limits.
    pub(super) fn jitter(&mut self, span: Duration) -> Duration {
        // SplitMix64, by Sebastiano Vigna: enough to spread, and repeatable from a seed.
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let share = u32::try_from((z ^ (z >> 31)) % 200).unwrap_or_default();
        span - span * share / 1000
    }
}

/// The pause after `failures` in a row: `first`, doubling up to `last`. Saturates.
#[must_use]
pub fn backoff(failures: u32, first: Duration, last: Duration) -> Duration {
    let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).map_or(last, |times| first.saturating_mul(times));
    doubled.min(last)
}

/// How many of these, the oldest first, still count.
fn count_recent(times: &VecDeque<Moment>, now: Duration) -> usize {
    times.len() - times.partition_point(|over| over.mono <= now)
}

/// Adds the newest, and drops the oldest beyond `most`.
fn push(times: &mut VecDeque<Moment>, newest: Moment, most: usize) {
    if times.len() == most {
        times.pop_front();
    }
    times.push_back(newest);
}

/// A time on record is as exact as a request takes to be sent, and rounded up.
fn before(over: Timestamp, span: Duration) -> Timestamp {
    let at = over.saturating_sub(span).unwrap_or(Timestamp::MIN);
    let up = TimestampRound::new().smallest(Unit::Millisecond).mode(RoundMode::Ceil);
    at.round(up).unwrap_or(at)
}

fn forget(times: &mut VecDeque<Moment>, now: Duration) {
    while times.front().is_some_and(|t| now >= t.mono) {
        times.pop_front();
    }
}

/// Requests in any [`SHORT`] span.
const BURST: usize = 4;
const SHORT: Duration = Duration::from_secs(1);
/// Requests in any [`LONG`] span: 15 a minute on average.
const SUSTAINED: usize = 150;
const LONG: Duration = Duration::from_secs(600);
/// Requests in a [`LONG`] span after which looks are spread, by priority: what is above is a reserve for the more urgent ones. So
/// there is always one left for the data call that must follow a look at once, if it is to prove anything.
const FREE: usize = 100;
const FREE_FOR_RECOVERY: usize = 120;
const FREE_TO_CONFIRM: usize = 140;
/// Extra looks in a [`LONG`] span; further ones come as often as routine ones may.
const EXTRA: usize = 25;
/// Requests in a [`LONG`] span after which routine questions are spaced so that they leave room for a recovery or two.
const UNHURRIED: usize = 30;
pub(super) const SUSTAINABLE: Duration = Duration::from_secs(8);
/// IBKR allows one /tickle a second and one /sso/validate a minute.
const PING_GAP: Duration = Duration::from_secs(1);
pub(super) const VALIDATE_GAP: Duration = Duration::from_secs(60);
/// IBKR's penalty after 429.
const PENALTY: Duration = Duration::from_secs(15 * 60);
/// A silence that would last longer is an answer that makes no sense, or a clock that was set.
const LONGEST_PENALTY: Duration = Duration::from_secs(24 * 3600);
const HOUR: Duration = Duration::from_secs(3600);
/// Take-overs in any hour.
const TAKE_OVERS: usize = 3;
