//! The owner: when a call is answered, and what happens at the browser.

use std::time::Duration;

use super::almanac::Almanac;
use super::assumptions::{Assumptions, Key};
use super::draw::Draw;

/// When an owner who is called comes to the browser: at night after waking up, by day after some minutes, later on weekends.
/// The delay belongs to what happened, so that all strategies meet the same owner.
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
    // Whoever would come after bedtime comes in the morning.
    almanac.sleeps_until(comes).map_or(comes, |wakes| wakes + delay)
}

/// How much of this time the owner was awake.
pub(super) fn awake(almanac: &Almanac, from: Duration, to: Duration) -> Duration {
    let nights = almanac.asleep.partition_point(|(_, wakes)| *wakes <= from);
    let asleep = almanac.asleep[nights..].iter().take_while(|(bed, _)| *bed < to);
    let slept: Duration = asleep.map(|(bed, wakes)| (*wakes).min(to).saturating_sub((*bed).max(from))).sum();
    to.saturating_sub(from).saturating_sub(slept)
}
