//! What a strategy achieved.

use std::time::Duration;

/// Counts over any number of years.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tally {
    pub days: f64,
    /// Time without a session, and that part of it in which the local stock exchange was open.
    pub lost: Duration,
    pub lost_trading: Duration,
    /// The time lost in trading hours, by what the session waited for.
    pub lost_to: [Duration; Wait::ALL.len()],
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
    /// Those of the strategy in its own busiest second.
    pub busiest_own: usize,
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

/// What a session that is gone waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// IBKR, the network, the host or the gateway is away.
    Away,
    /// Only a human can help.
    Human,
    /// The owner has left another program, or has been thrown out of it.
    OtherProgram,
    /// The owner has logged in, and the gateway asks for the session by itself.
    FreshLogin,
    /// IBKR, the network, the host or the gateway is back.
    Return,
    /// The session has lapsed, and can be asked for.
    Lapse,
}

impl Wait {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 6] =
        [Self::Away, Self::Human, Self::OtherProgram, Self::FreshLogin, Self::Return, Self::Lapse];

    /// How it is shown.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Away => "IBKR, network, host or gateway away",
            Self::Human => "only a human can help",
            Self::OtherProgram => "another program was used",
            Self::FreshLogin => "after a login",
            Self::Return => "IBKR, network, host or gateway is back",
            Self::Lapse => "after a lapse",
        }
    }
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
            lost_to: std::array::from_fn(|nth| self.lost_to[nth] + other.lost_to[nth]),
            needs: self.needs + other.needs,
            needed: self.needed + other.needed,
            needless: self.needless + other.needless,
            missed: self.missed + other.missed,
            at_night: self.at_night + other.at_night,
            late: self.late,
            messages: self.messages + other.messages,
            requests: self.requests + other.requests,
            busiest: self.busiest.max(other.busiest),
            busiest_own: self.busiest_own.max(other.busiest_own),
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
