//! What a strategy achieved.

use std::time::Duration;

/// Counts over any number of years.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tally {
    pub days: f64,
    /// Time without a session, and that part of it in which the local stock exchange was open.
    pub lost: Duration,
    pub lost_trading: Duration,
    /// Problems that only a human could solve.
    pub needs: u64,
    /// Calls for which there was a need, for which there was none, and needs without a call.
    pub needed: u64,
    pub needless: u64,
    pub missed: u64,
    /// Calls and repeated calls while the owner slept.
    pub at_night: u64,
    /// From each need to its call.
    pub late: Vec<Duration>,
    /// Messages that asked for nothing.
    pub messages: u64,
    /// Requests of the strategy that reached IBKR.
    pub requests: f64,
    /// Requests of all that reached IBKR in its busiest second.
    pub busiest: usize,
    /// Requests that reached IBKR during a penalty, which IBKR counts against the address.
    pub in_penalty: u64,
    /// How often the owner was thrown out of another program.
    pub evictions: u64,
    /// How often the gateway was dead after IBKR had come back, and would not have been without the strategy.
    pub wedges: u64,
    /// Logins in a browser, of the owner and of the strategy.
    pub logins: u64,
    /// Passwords refused so often that the account was locked.
    pub locks: u64,
    /// How often the owner came for nothing.
    pub in_vain: u64,
}

/// The middle and the end of a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    pub median: Duration,
    pub p95: Duration,
}

impl Tally {
    pub(super) fn plus(mut self, mut other: Self) -> Self {
        self.late.append(&mut other.late);
        Self {
            days: self.days + other.days,
            lost: self.lost + other.lost,
            lost_trading: self.lost_trading + other.lost_trading,
            needs: self.needs + other.needs,
            needed: self.needed + other.needed,
            needless: self.needless + other.needless,
            missed: self.missed + other.missed,
            at_night: self.at_night + other.at_night,
            late: self.late,
            messages: self.messages + other.messages,
            requests: self.requests + other.requests,
            busiest: self.busiest.max(other.busiest),
            in_penalty: self.in_penalty + other.in_penalty,
            evictions: self.evictions + other.evictions,
            wedges: self.wedges + other.wedges,
            logins: self.logins + other.logins,
            locks: self.locks + other.locks,
            in_vain: self.in_vain + other.in_vain,
        }
    }

    /// A count, for a year.
    #[must_use]
    pub fn a_year(&self, count: f64) -> f64 {
        count * 365.0 / self.days
    }

    /// Minutes lost in a year, and those of them in trading hours.
    #[must_use]
    pub fn minutes(&self) -> (f64, f64) {
        let a_year = |lost: Duration| self.a_year(lost.as_secs_f64() / 60.0);
        (a_year(self.lost), a_year(self.lost_trading))
    }

    /// How late the calls came: the median and the 95th percentile.
    #[must_use]
    pub fn lateness(&self) -> Option<Spread> {
        let mut late = self.late.clone();
        late.sort();
        let at = |share: usize| late.get((late.len() * share / 100).min(late.len().saturating_sub(1))).copied();
        Some(Spread { median: at(50)?, p95: at(95)? })
    }
}
