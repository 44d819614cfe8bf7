//! The owner: when a call is answered, and what happens at the browser.

use std::time::Duration;

use super::almanac::Almanac;
use super::assumptions::{Assumptions, Key};
use super::draw::Draw;

/// When an owner who is called comes to the browser: at night after waking up, by day after some minutes, later on
/// weekends. The delay belongs to what happened, so that all strategies meet the same owner.
pub(super) fn comes_at(
    almanac: &Almanac,
    assumptions: &Assumptions,
    seed: u64,
    cause: u64,
    called: Duration,
) -> Duration {
    let mut draw = Draw::new(seed, (1 << 20) + cause);
    let awake = almanac.sleeps_until(called).unwrap_or(called);
    let delay = draw.about(assumptions.minutes(Key::Answer), 0.8);
    let factor = if almanac.is_weekend(awake) { assumptions.get(Key::Away) } else { 1.0 };
    let comes = awake + delay.mul_f64(factor);
    // A visit that would fall after bedtime comes in the morning.
    almanac.sleeps_until(comes).map_or(comes, |wakes| wakes + delay)
}

/// How much of this time the owner was at work.
pub(super) fn at_work(almanac: &Almanac, from: Duration, to: Duration) -> Duration {
    let first = almanac.working.partition_point(|(_, end)| *end <= from);
    let days = almanac.working[first..].iter().take_while(|(begin, _)| *begin < to);
    days.map(|(begin, end)| (*end).min(to).saturating_sub((*begin).max(from))).sum()
}
