//! Chance with the distributions that the year is drawn from.

use std::time::Duration;

use crate::chance::Chance;

/// A stream of chance of its own: what is drawn from one changes nothing in another.
#[derive(Debug)]
pub(super) struct Draw(Chance);

impl Draw {
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut chance = Chance(seed.wrapping_mul(0x9E37_79B9).wrapping_add(stream << 32));
        chance.next();
        Self(chance)
    }

    /// Between 0 and 1, without both.
    fn unit(&mut self) -> f64 {
        ((self.0.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    pub(super) fn between(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * self.unit()
    }

    pub(super) fn within(&mut self, (from, to): (f64, f64)) -> f64 {
        self.between(from, to)
    }

    /// Whether something of this probability is so.
    pub(super) fn is(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    pub(super) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * self.unit().ln()
    }

    /// Log-normal around a median, cut off at eight hours.
    pub(super) fn about(&mut self, median: Duration, sigma: f64) -> Duration {
        let normal = (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos();
        Duration::from_secs_f64((median.as_secs_f64() * (sigma * normal).exp()).clamp(1.0, 8.0 * 3600.0))
    }

    pub(super) fn poisson(&mut self, mean: f64) -> u32 {
        let mut left = self.exponential(1.0);
        let mut count = 0;
        while left < mean {
            left += self.exponential(1.0);
            count += 1;
        }
        count
    }
}
