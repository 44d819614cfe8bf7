//! Exponential backoff, and the jitter that spreads it.

use std::time::Duration;

/// The pause after `failures` in a row: `first`, doubling up to `longest`. Saturates.
#[must_use]
pub fn backoff(failures: u32, first: Duration, longest: Duration) -> Duration {
    let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).map_or(longest, |times| first.saturating_mul(times));
    doubled.min(longest)
}

/// Shortens delays by up to a fifth, so that many gateways do not send in step. Equal seeds give equal delays.
#[derive(Debug, Clone)]
pub struct Jitter(u64);

impl Jitter {
    /// A jitter with its own sequence.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// `delay`, shortened by up to a fifth. Never longer: limits stay limits.
    pub fn shorten(&mut self, delay: Duration) -> Duration {
        // SplitMix64 by Sebastiano Vigna: enough to spread, and repeatable.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let share = u32::try_from((z ^ (z >> 31)) % 200).unwrap_or_default();
        delay - delay * share / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_shortened_by_a_fifth_at_most() {
        let [first, longest] = [5, 300].map(Duration::from_secs);
        for seed in 0..1000 {
            let mut jitter = Jitter::new(seed);
            for (failures, seconds) in [(1, 5), (2, 10), (3, 20), (4, 40), (5, 80), (6, 160), (7, 300), (u32::MAX, 300)]
            {
                let full = backoff(failures, first, longest);
                assert_eq!(full, Duration::from_secs(seconds));
                let pause = jitter.shorten(full);
                assert!(pause <= full && pause >= full * 4 / 5, "{failures} failures: {pause:?}");
            }
        }
        assert_ne!(Jitter::new(1).shorten(first), Jitter::new(2).shorten(first));
    }
}
