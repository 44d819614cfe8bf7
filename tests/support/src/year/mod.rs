//! The year: strategies that keep a gateway's session alive, each against the same simulated years, and what each achieves.
//!
//! The gateway and IBKR are the simulator's pure world. Around it: an owner who sleeps, works and trades by hand, a host that
//! reboots and loses its network, and a calendar with midnights, resets and clock changes. Everything is drawn from a seed
//! before the year begins, so all strategies live through the same one.

mod almanac;
mod assumptions;
mod draw;
mod life;
mod owner;
mod strategies;
mod tally;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

pub use assumptions::{ALL, Assumptions, Key, Row};
pub use strategies::Name;
pub use tally::{Spread, Tally, Wait};

/// What is run.
#[derive(Debug, Clone)]
pub struct Run {
    /// The first seed. Each is a year of its own.
    pub first: u64,
    /// How many.
    pub years: u64,
    /// How many days of each.
    pub days: i32,
    pub assumptions: Assumptions,
    /// Whether quiet stretches are walked through in full.
    pub in_full: bool,
}

impl Run {
    /// This many whole years, by the usual assumptions.
    #[must_use]
    pub fn years(years: u64) -> Self {
        Self { first: 0, years, days: 365, assumptions: Assumptions::default(), in_full: false }
    }

    /// Lives through all years with one strategy, on all cores. Equal runs give equal tallies.
    #[must_use]
    pub fn live(&self, name: Name) -> Tally {
        let next = AtomicU64::new(self.first);
        let tallies = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= self.first + self.years {
                            return;
                        }
                        let tally = life::Life::new(seed, self, name).live();
                        tallies.lock().unwrap().push((seed, tally));
                    }
                });
            }
        });
        let mut tallies = tallies.into_inner().unwrap();
        tallies.sort_by_key(|(seed, _)| *seed);
        tallies.into_iter().fold(Tally::default(), |sum, (_, tally)| sum.plus(tally))
    }

    /// What happened in a year, as lines: to find out why.
    #[must_use]
    pub fn story(&self, seed: u64, name: Name) -> Vec<String> {
        let mut life = life::Life::new(seed, self, name);
        life.story = Some(Vec::new());
        life.go();
        life.story.unwrap_or_default()
    }
}
