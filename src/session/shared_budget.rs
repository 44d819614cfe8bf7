//! Rate limits shared by all gateways behind one public address: IBKR counts requests, and imposes penalties, per
//! address.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use super::rate_limiter::{RateLimitState, SUSTAINABLE};
use super::{Now, Policy};

/// Shared rate limiter: the limits, the silence after 429, and the queue of waiting machines. Pass the same instance to
/// [`step_shared`](super::Machine::step_shared) of all machines whose gateways reach IBKR through this address.
///
/// The queue is ordered by urgency and waiting time. An urgent request goes ahead of a scheduled one that has waited
/// for less than ten seconds, so that no machine starves.
#[derive(Debug, Clone, Default)]
pub struct SharedBudget {
    /// When the last requests were sent, at most [`BURST`] of them.
    sent: VecDeque<Duration>,
    /// When all sent requests are paid for, at one request per [`PRICE`].
    paid: Duration,
    /// The waiting machines, in the order of their turns.
    waiting: Vec<Waiting>,
    quiet_until: Duration,
    registered: u64,
    tickets: u64,
}

/// A machine that shares a [`SharedBudget`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientId(u64);

#[derive(Debug, Clone, Copy)]
struct Waiting {
    client: ClientId,
    /// Lowest first; equal times in order of arrival.
    rank: (Duration, u64),
    /// The turn that was assigned.
    due: Duration,
}

impl SharedBudget {
    /// Requests in an hour, at most, over all gateways behind one address.
    pub const AN_HOUR: u32 = 7200;

    /// Requests in an hour that one gateway needs while all is well.
    #[must_use]
    pub fn needed_by(policy: &Policy) -> u32 {
        let an_hour = |every: Duration| u32::try_from(HOUR.as_millis() / every.as_millis().max(1)).unwrap_or(u32::MAX);
        let proofs = if policy.confirm_every.is_zero() { 0 } else { an_hour(policy.confirm_every) };
        // Jitter makes the time between two checks shorter by a tenth on average.
        an_hour((policy.check_every * 9 / 10).max(SUSTAINABLE)).saturating_add(proofs)
    }

    /// Registers a machine. Dropped machines need not unregister.
    pub const fn register(&mut self) -> ClientId {
        self.registered += 1;
        ClientId(self.registered)
    }

    /// Counts the requests that an earlier daemon sent just before a restart. No effect on a budget that is in use
    /// already.
    pub fn inherit(&mut self, now: Now, kept: &RateLimitState) {
        let is_recent = |at: &Timestamp| now.wall.duration_since(*at).unsigned_abs() < CREDIT;
        if self.sent.is_empty() && (kept.unrecorded > 0 || kept.requests.iter().any(is_recent)) {
            self.paid = now.mono + CREDIT;
        }
    }

    /// When `client` may send. If that is now, it counts as sent. Otherwise the client is queued, and loses its turn
    /// unless it calls again in time.
    pub(super) fn acquire(&mut self, now: Duration, client: ClientId, is_pressing: bool) -> Duration {
        self.waiting.retain(|other| other.client == client || now <= other.due + LATE);
        let by = now + if is_pressing { Duration::ZERO } else { PATIENCE };
        let rank = match self.waiting.iter().position(|other| other.client == client) {
            Some(index) => {
                let (before, ticket) = self.waiting.remove(index).rank;
                (before.min(by), ticket)
            }
            None => {
                self.tickets += 1;
                (by, self.tickets)
            }
        };
        let place = self.waiting.partition_point(|other| other.rank < rank);
        let mut after_those = self.clone();
        for _ in 0..place {
            after_those.count(after_those.earliest(now));
        }
        let due = after_those.earliest(now);
        if due > now {
            self.waiting.insert(place, Waiting { client, rank, due });
        } else {
            self.count(now);
        }
        due
    }

    /// Takes `client` out of the queue.
    pub(super) fn release(&mut self, client: ClientId) {
        self.waiting.retain(|other| other.client != client);
    }

    /// No machine behind this address sends before `until`.
    pub(super) fn silence_until(&mut self, until: Duration) {
        self.quiet_until = self.quiet_until.max(until);
    }

    pub(super) const fn quiet_until(&self) -> Duration {
        self.quiet_until
    }

    /// Whether the silence after 429 lasts.
    pub(super) fn is_quiet(&self, now: Duration) -> bool {
        now < self.quiet_until
    }

    /// Earliest time for the next request with an empty queue.
    fn earliest(&self, now: Duration) -> Duration {
        let burst = self.sent.front().filter(|_| self.sent.len() == BURST).map_or(Duration::ZERO, |t| *t + SHORT);
        now.max(self.quiet_until).max(burst).max(self.paid.saturating_sub(CREDIT))
    }

    fn count(&mut self, at: Duration) {
        if self.sent.len() == BURST {
            self.sent.pop_front();
        }
        self.sent.push_back(at);
        self.paid = self.paid.max(at) + PRICE;
    }
}

/// Requests in any [`SHORT`] span. IBKR allows ten; the rest is left to the trading program.
const BURST: usize = 4;
const SHORT: Duration = Duration::from_secs(1);
/// Two requests a second in the long run, and how much of that may be used in advance, so that a few recoveries at once
/// need not wait.
const PRICE: Duration = Duration::from_millis(500);
const CREDIT: Duration = Duration::from_secs(10);
/// How far an urgent request goes ahead of a scheduled one.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a turn is kept for a client that does not use it.
const LATE: Duration = Duration::from_secs(2);
const HOUR: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// How many of these fall in any span of this length.
    fn most(times: &[Duration], span: Duration) -> usize {
        let within = |from: &Duration| times.iter().filter(|at| *from <= **at && **at < *from + span).count();
        times.iter().map(within).max().unwrap_or_default()
    }

    /// Has each client ask again and again for five minutes, `pause` after each turn, and returns each one's turns.
    fn rush(guests: usize, pause: Duration, is_pressing: impl Fn(usize) -> bool) -> Vec<Vec<Duration>> {
        let mut address = SharedBudget::default();
        let mut wakes: Vec<(ClientId, Duration)> = (0..guests).map(|_| (address.register(), Duration::ZERO)).collect();
        let mut turns = vec![Vec::new(); guests];
        while let Some((i, now)) = wakes.iter().map(|(_, at)| *at).enumerate().min_by_key(|(_, at)| *at)
            && now < Duration::from_secs(300)
        {
            let at = address.acquire(now, wakes[i].0, is_pressing(i));
            assert!(at >= now);
            wakes[i].1 = if at == now { now + pause } else { at };
            if at == now {
                turns[i].push(at);
            }
        }
        turns
    }

    #[test]
    fn the_limits_hold_whoever_asks_and_everybody_comes_round() {
        for (guests, pause) in [(1, ms(1)), (3, ms(10)), (17, ms(500)), (100, ms(3))] {
            let turns = rush(guests, pause, |i| i % 3 == 0);
            let mut all: Vec<Duration> = turns.iter().flatten().copied().collect();
            all.sort();
            assert!(most(&all, SHORT) <= BURST, "{guests}: {} in a second", most(&all, SHORT));
            for (span, bound) in [(60, 120 + 21), (300, 600 + 21)] {
                let sent = most(&all, Duration::from_secs(span));
                assert!(sent <= bound, "{guests}: {sent} in {span} s");
            }
            assert!(all.len() >= 600, "{guests}: only {} in five minutes", all.len());
            // A round takes half a second per client, and up to ten seconds of waiting.
            let longest = Duration::from_secs(10) + ms(500) * u32::try_from(guests + 2).unwrap_or(u32::MAX);
            for turns in &turns {
                let gaps = turns.windows(2).map(|pair| pair[1] - pair[0]).max();
                assert!(gaps.is_some_and(|gap| gap <= longest), "{guests}: {gaps:?}, {turns:?}");
            }
        }
    }

    #[test]
    fn what_decides_something_goes_first_and_not_for_ever() {
        let mut address = SharedBudget::default();
        let [routine, late, pressing] = [(); 3].map(|()| address.register());
        for _ in 0..BURST {
            let other = address.register();
            assert_eq!(address.acquire(ms(0), other, false), ms(0));
        }
        assert_eq!(address.acquire(ms(100), routine, false), ms(1000));
        assert_eq!(address.acquire(ms(100), late, false), ms(1000));
        // All four of the next second are free: who presses is the first of them, and so on until ten seconds are over.
        for _ in 0..3 {
            let other = address.register();
            assert_eq!(address.acquire(ms(200), other, true), ms(1000));
        }
        assert_eq!(address.acquire(ms(300), pressing, true), ms(1000));
        assert_eq!(address.acquire(ms(300), routine, false), ms(2000), "four go ahead of it");
        assert_eq!(address.acquire(ms(300), routine, true), ms(1000), "it presses as well, and has waited for longer");
        assert_eq!(address.acquire(ms(400), late, false), ms(2000));
        let latest = address.register();
        assert_eq!(address.acquire(ms(10_101), latest, true), ms(10_101), "nobody comes: their turns are lost");
    }

    #[test]
    fn one_that_has_waited_is_not_overtaken_any_more() {
        let mut address = SharedBudget::default();
        let waits = address.register();
        address.silence_until(ms(60_000));
        assert_eq!(address.acquire(ms(0), waits, false), ms(60_000));
        for i in 0..8 {
            let other = address.register();
            let at = ms(if i < 4 { 60_000 } else { 61_000 });
            assert_eq!(address.acquire(ms(9_000), other, true), at);
        }
        assert_eq!(address.acquire(ms(9_500), waits, false), ms(62_000), "behind eight that press");
        for _ in 0..3 {
            let other = address.register();
            assert_eq!(address.acquire(ms(10_001), other, true), ms(62_000), "and behind no ninth");
        }
        assert_eq!(address.acquire(ms(10_500), waits, false), ms(62_000));
    }

    #[test]
    fn silence_is_for_all_and_who_leaves_makes_room() {
        let mut address = SharedBudget::default();
        let [first, second] = [(); 2].map(|()| address.register());
        address.silence_until(ms(5000));
        address.silence_until(ms(4000));
        assert!(address.is_quiet(ms(4999)) && !address.is_quiet(ms(5000)));
        for client in 0..4 {
            let client = if client == 0 { first } else { address.register() };
            assert_eq!(address.acquire(ms(0), client, false), ms(5000));
        }
        assert_eq!(address.acquire(ms(0), second, false), ms(6000));
        address.release(first);
        assert_eq!(address.acquire(ms(0), second, false), ms(5000));
        let third = address.register();
        assert_eq!(address.acquire(ms(0), third, false), ms(6000), "the others keep their places");
        assert_eq!(address.acquire(ms(5000), second, false), ms(5000));
    }

    #[test]
    fn those_that_come_late_together_are_still_within_the_limits() {
        let mut address = SharedBudget::default();
        let guests: Vec<ClientId> = (0..12).map(|_| address.register()).collect();
        for client in &guests {
            let _ = address.acquire(ms(0), *client, false);
        }
        // The host was busy for a second and a half: eight of them are due.
        let sent = guests.iter().rev().filter(|client| address.acquire(ms(2500), **client, false) == ms(2500)).count();
        assert_eq!(sent, 4);
    }

    #[test]
    fn the_last_requests_of_an_earlier_daemon_count() {
        let now = Now { mono: ms(60_000), wall: Timestamp::UNIX_EPOCH };
        let sent = |ago: Duration| RateLimitState { requests: vec![now.wall - ago], ..RateLimitState::default() };
        let unrecorded = RateLimitState { unrecorded: 1, ..RateLimitState::default() };
        let just_before = sent(CREDIT - Duration::from_nanos(1));
        for (kept, is_free) in
            [(RateLimitState::default(), true), (unrecorded, false), (just_before.clone(), false), (sent(CREDIT), true)]
        {
            let mut address = SharedBudget::default();
            address.inherit(now, &kept);
            let [first, second] = [(); 2].map(|()| address.register());
            assert_eq!(address.acquire(now.mono, first, true), now.mono);
            assert_eq!(address.acquire(now.mono, second, true) == now.mono, is_free, "{kept:?}");
        }
        let mut in_use = SharedBudget::default();
        let [first, second] = [(); 2].map(|()| in_use.register());
        assert_eq!(in_use.acquire(now.mono, first, true), now.mono);
        in_use.inherit(now, &just_before);
        assert_eq!(in_use.acquire(now.mono, second, true), now.mono);
    }

    #[test]
    fn what_one_gateway_needs_is_what_it_asks() {
        let policy = Policy::default();
        assert_eq!(SharedBudget::needed_by(&policy), 400 + 12);
        let slow = Policy { check_every: Duration::from_secs(60), confirm_every: Duration::ZERO, ..policy };
        assert_eq!(SharedBudget::needed_by(&slow), 66);
        let hurried = Policy { check_every: Duration::from_secs(1), ..slow };
        assert_eq!(SharedBudget::needed_by(&hurried), 450, "no gateway is asked more often for long");
    }
}
