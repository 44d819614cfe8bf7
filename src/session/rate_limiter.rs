//! Rate limits for one gateway. They hold at all times, whatever the gateway answers.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::{RoundMode, SignedDuration, Timestamp, TimestampRound, Unit};
use serde::{Deserialize, Serialize};

use super::backoff::Jitter;
use super::{Now, Request};

/// Rate limits that survive a restart, in wall-clock time. Expired entries are omitted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimitState {
    /// When each request of the last ten minutes was sent, the oldest first.
    pub requests: Vec<Timestamp>,
    /// How many more requests may have been sent after the last record.
    pub unrecorded: u8,
    /// When each recovery attempt of the last hour stops counting, oldest first.
    pub attempts: Vec<Timestamp>,
    /// The same for attempts that took the session from another client.
    pub take_overs: Vec<Timestamp>,
    /// When validate_sso may be sent again.
    pub may_validate: Option<Timestamp>,
    /// When each request was sent that IBKR has left unanswered.
    pub unanswered: Vec<Timestamp>,
    /// The same for requests that stayed unanswered while others were answered.
    pub written_off: Vec<Timestamp>,
    /// End of the silence after 429.
    pub quiet_until: Option<Timestamp>,
}

/// Rate limiter for one gateway.
#[derive(Debug, Clone)]
pub(super) struct RateLimiter {
    /// When each request of the last ten minutes stops counting.
    sent: VecDeque<Deadline>,
    /// The same for extra polls, requested by the operator or the stream.
    extra: VecDeque<Deadline>,
    /// Creation time. An earlier instance may have pinged right before it.
    born: Duration,
    pinged: Option<Duration>,
    /// When validate_sso may be sent again.
    may_validate: Option<Deadline>,
    /// When each recovery attempt of the last hour stops counting; then the same for take-overs alone.
    asked: VecDeque<Deadline>,
    taken_over: VecDeque<Deadline>,
    quiet_until: Deadline,
    jitter: Jitter,
}

/// A time on both clocks: the monotonic one is used for scheduling, the wall clock survives a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Deadline {
    mono: Duration,
    wall: Timestamp,
}

impl Deadline {
    fn after(now: Now, span: Duration) -> Self {
        let wall = now.wall.saturating_add(span).unwrap_or(Timestamp::MAX);
        Self { mono: now.mono.saturating_add(span), wall }
    }

    /// Restores a persisted time that lies ahead. At most `most` away, in case the clock was set.
    fn kept(wall: Timestamp, now: Now, most: Duration) -> Option<Self> {
        let left = Duration::try_from(wall.duration_since(now.wall)).ok()?.min(most);
        (!left.is_zero()).then(|| Self::after(now, left))
    }
}

/// Priority of a request. A higher priority may use more of the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Priority {
    /// A scheduled request.
    Routine,
    /// An extra poll for the operator or the stream. These have a budget of their own.
    Pressing,
    /// A recovery waits for the answer.
    Recovery,
    /// The second poll that confirms a bad answer. It has a reserve of its own.
    Confirming,
}

impl RateLimiter {
    pub(super) const fn new(seed: u64, born: Now) -> Self {
        Self {
            sent: VecDeque::new(),
            extra: VecDeque::new(),
            born: born.mono,
            pinged: None,
            may_validate: None,
            asked: VecDeque::new(),
            taken_over: VecDeque::new(),
            quiet_until: Deadline { mono: Duration::ZERO, wall: Timestamp::MIN },
            jitter: Jitter::new(seed),
        }
    }

    /// Earliest time at which `request` may be sent.
    pub(super) fn earliest(&self, now: Duration, request: Request, priority: Priority) -> Duration {
        let nth_last = |n: usize| self.sent.len().checked_sub(n).map(|i| self.sent[i].mono);
        let burst = nth_last(BURST).map_or(Duration::ZERO, |over| (over + SHORT).saturating_sub(LONG));
        let (is_poll, own) = match request {
            Request::Ping => (true, self.pinged.unwrap_or(self.born) + PING_GAP),
            Request::Check | Request::IsListening | Request::HandshakeIbkr | Request::ProbeWebsocket => {
                (true, Duration::ZERO)
            }
            Request::ValidateSso => (false, self.may_validate.map_or(Duration::ZERO, |t| t.mono)),
            Request::Reauthenticate | Request::OpenBrokerage { .. } | Request::Accounts | Request::EndSession => {
                (false, Duration::ZERO)
            }
        };
        let sustained = nth_last(SUSTAINED).unwrap_or_default();
        let spacing = if is_poll { self.spacing(now, priority) } else { Duration::ZERO };
        burst.max(sustained).max(spacing).max(own).max(self.quiet_until.mono)
    }

    /// Earliest time at which two requests may be sent together, as far as one second is concerned.
    pub(super) fn earliest_for_two(&self) -> Duration {
        let fourth = self.sent.len().checked_sub(BURST - 1).map(|i| self.sent[i].mono);
        fourth.map_or(Duration::ZERO, |over| (over + SHORT).saturating_sub(LONG))
    }

    /// Earliest time for the next poll. Spreads what is left of the budget evenly over the rest of the window, so that
    /// polling never stalls, however many extra polls are requested.
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
        let pressed = priority == Priority::Pressing && count_recent(&self.extra, now) >= EXTRA;
        let span = if pressed { even.max(SUSTAINABLE) } else { even };
        if span.is_zero() { Duration::ZERO } else { (last.mono + span).saturating_sub(LONG) }
    }

    /// Interval until the next scheduled poll. Intervals below [`SUSTAINABLE`] are honoured for the first [`UNHURRIED`]
    /// requests only; otherwise they would exhaust the budget and leave the session unpolled.
    pub(super) fn poll_interval(&mut self, now: Duration, wanted: Duration) -> Duration {
        let wanted = self.jitter(wanted);
        if count_recent(&self.sent, now) > UNHURRIED { wanted.max(SUSTAINABLE) } else { wanted }
    }

    /// Records that `request` is sent. `contending`: it takes the session from another client.
    pub(super) fn sent(&mut self, at: Now, request: Request, priority: Priority, contending: bool) {
        let now = at.mono;
        let over = Deadline::after(at, LONG);
        push(&mut self.sent, over, SUSTAINED);
        if priority == Priority::Pressing {
            push(&mut self.extra, over, EXTRA);
        }
        match request {
            Request::Ping => self.pinged = Some(now),
            Request::ValidateSso => self.may_validate = Some(Deadline::after(at, VALIDATE_GAP)),
            Request::Reauthenticate | Request::OpenBrokerage { .. } => {
                push(&mut self.asked, Deadline::after(at, HOUR), usize::from(u8::MAX));
                if contending {
                    push(&mut self.taken_over, Deadline::after(at, HOUR), TAKE_OVERS);
                }
            }
            Request::Check
            | Request::Accounts
            | Request::IsListening
            | Request::EndSession
            | Request::HandshakeIbkr
            | Request::ProbeWebsocket => {}
        }
    }

    /// Earliest time for the next recovery attempt, with at most `per_hour` of them in any hour.
    pub(super) fn may_ask(&self, now: Duration, per_hour: u8) -> Duration {
        match self.asked.len().checked_sub(usize::from(per_hour)) {
            Some(i) => self.asked[i].mono,
            None => now,
        }
    }

    /// Whether the session may be taken from another client.
    pub(super) fn may_take_over(&self, now: Duration) -> bool {
        count_recent(&self.taken_over, now) < TAKE_OVERS
    }

    /// Whether `validate_sso` may be sent.
    pub(super) fn may_validate(&self, now: Duration) -> bool {
        self.may_validate.is_none_or(|t| now >= t.mono)
    }

    pub(super) const fn pinged(&self) -> Option<Duration> {
        self.pinged
    }

    /// When validate_sso was last sent.
    pub(super) fn validated(&self) -> Option<Duration> {
        self.may_validate.map(|t| t.mono.saturating_sub(VALIDATE_GAP))
    }

    /// Starts the silence after 429: at least IBKR's penalty, at most a day.
    pub(super) fn back_off(&mut self, now: Now, retry_after: Option<Duration>) {
        let span = retry_after.map_or(PENALTY, |after| after.clamp(PENALTY, LONGEST_PENALTY));
        self.quiet_to(Deadline::after(now, span));
    }

    pub(super) const fn quiet_until(&self) -> Duration {
        self.quiet_until.mono
    }

    fn quiet_to(&mut self, until: Deadline) {
        self.quiet_until = self.quiet_until.max(until);
    }

    /// The wall clock jumped: what is remembered over a restart ends when it would have without that.
    pub(super) fn move_wall(&mut self, by: SignedDuration) {
        let lists = [&mut self.sent, &mut self.extra, &mut self.asked, &mut self.taken_over];
        let times = lists.into_iter().flatten().chain(&mut self.may_validate).chain([&mut self.quiet_until]);
        for time in times {
            time.wall = time.wall.saturating_add(by).unwrap_or(time.wall);
        }
    }

    /// Returns the rate-limit state to restore after a restart.
    pub(super) fn state(&self, now: Duration) -> RateLimitState {
        let ahead = |times: &VecDeque<Deadline>| times.iter().filter(|t| t.mono > now).map(|t| t.wall).collect();
        RateLimitState {
            requests: self.sent.iter().filter(|t| t.mono > now).map(|t| before(t.wall, LONG)).collect(),
            unrecorded: 0,
            unanswered: Vec::new(),
            written_off: Vec::new(),
            attempts: ahead(&self.asked),
            take_overs: ahead(&self.taken_over),
            may_validate: self.may_validate.filter(|t| t.mono > now).map(|t| t.wall),
            quiet_until: (self.quiet_until.mono > now).then_some(self.quiet_until.wall),
        }
    }

    /// Restores the limits of an earlier instance.
    pub(super) fn restore(&mut self, now: Now, kept: &RateLimitState) {
        let ahead = |times: &[Timestamp]| {
            let mut times: Vec<Deadline> = times.iter().filter_map(|wall| Deadline::kept(*wall, now, HOUR)).collect();
            times.sort_by_key(|t| t.mono);
            VecDeque::from(times)
        };
        // A crashed instance may have sent its unrecorded requests up to this moment.
        let unrecorded = (0..kept.unrecorded).map(|_| now.wall);
        let over = |sent: Timestamp| sent.saturating_add(LONG).unwrap_or(Timestamp::MAX);
        let mut sent: Vec<Deadline> = kept
            .requests
            .iter()
            .copied()
            .chain(unrecorded)
            .filter_map(|at| Deadline::kept(over(at), now, LONG))
            .collect();
        sent.sort_by_key(|t| t.mono);
        for over in sent {
            push(&mut self.sent, over, SUSTAINED);
        }
        self.asked = ahead(&kept.attempts);
        self.taken_over = ahead(&kept.take_overs);
        self.may_validate = kept.may_validate.and_then(|wall| Deadline::kept(wall, now, VALIDATE_GAP));
        if let Some(until) = kept.quiet_until.and_then(|wall| Deadline::kept(wall, now, LONGEST_PENALTY)) {
            self.quiet_to(until);
        }
    }

    /// See [`Jitter::shorten`].
    pub(super) fn jitter(&mut self, delay: Duration) -> Duration {
        self.jitter.shorten(delay)
    }
}

/// How many of these times, oldest first, still count.
fn count_recent(times: &VecDeque<Deadline>, now: Duration) -> usize {
    times.len() - times.partition_point(|over| over.mono <= now)
}

/// Adds the newest, and drops the oldest beyond `most`.
fn push(times: &mut VecDeque<Deadline>, newest: Deadline, most: usize) {
    if times.len() == most {
        times.pop_front();
    }
    times.push_back(newest);
}

/// Rounded up to milliseconds, which is as exact as a send time is.
fn before(over: Timestamp, span: Duration) -> Timestamp {
    let at = over.saturating_sub(span).unwrap_or(Timestamp::MIN);
    let up = TimestampRound::new().smallest(Unit::Millisecond).mode(RoundMode::Ceil);
    at.round(up).unwrap_or(at)
}

/// Requests in any [`SHORT`] span.
const BURST: usize = 4;
const SHORT: Duration = Duration::from_secs(1);
/// Requests in any [`LONG`] span: 15 a minute on average.
const SUSTAINED: usize = 150;
const LONG: Duration = Duration::from_secs(600);
/// Requests in a [`LONG`] span after which polls are spread, by priority. The rest is a reserve for higher priorities
/// and for the data call that must follow a poll at once.
const FREE: usize = 100;
const FREE_FOR_RECOVERY: usize = 120;
const FREE_TO_CONFIRM: usize = 140;
/// Extra polls in a [`LONG`] span. Further ones are spaced as scheduled polls are.
const EXTRA: usize = 25;
/// Requests in a [`LONG`] span after which scheduled polls are spaced so that they leave room for a recovery or two.
const UNHURRIED: usize = 30;
pub(super) const SUSTAINABLE: Duration = Duration::from_secs(8);
/// IBKR allows one /tickle a second and one /sso/validate a minute.
const PING_GAP: Duration = Duration::from_secs(1);
pub(super) const VALIDATE_GAP: Duration = Duration::from_secs(60);
/// IBKR's penalty after 429.
const PENALTY: Duration = Duration::from_mins(15);
/// A longer `Retry-After` is not believed.
const LONGEST_PENALTY: Duration = Duration::from_hours(24);
const HOUR: Duration = Duration::from_secs(3600);
/// Take-overs in any hour.
const TAKE_OVERS: usize = 3;
