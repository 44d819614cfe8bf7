//! IBKR's rate limits, and the penalty for exceeding them.

use std::time::Duration;

use super::call::Route;
use super::control::{Limits, Who};

/// What was asked when, as far as a limit needs to know it.
#[derive(Clone, Debug)]
pub(super) struct Pacing {
    limits: Limits,
    tickle: Option<Duration>,
    validate: Option<Duration>,
    portfolio: Option<Duration>,
    penalty_until: Option<Duration>,
}

impl Pacing {
    pub(super) fn new(limits: Limits) -> Pacing {
        Pacing { limits, tickle: None, validate: None, portfolio: None, penalty_until: None }
    }

    /// Whether this request gets a 429, which is one of `in_a_second`. The first that is too fast starts the penalty.
    pub(super) fn refuses(&mut self, at: Duration, route: &Route, who: Who, in_a_second: usize) -> bool {
        if self.limits == Limits::Off {
            return false;
        }
        if self.penalty_until.is_some_and(|until| at < until) {
            return true;
        }
        let mut too_fast = in_a_second > IN_A_SECOND;
        if self.limits == Limits::All && who == Who::Client {
            too_fast |= self.exceeds_own_limit(at, route);
        }
        if too_fast {
            self.penalty_until = Some(at + PENALTY);
        }
        too_fast
    }

    /// Whether this is too soon after the last request for the same path.
    fn exceeds_own_limit(&mut self, at: Duration, route: &Route) -> bool {
        let own_limit = if *route == Route::Tickle {
            Some((&mut self.tickle, SECOND))
        } else if *route == Route::Validate {
            Some((&mut self.validate, Duration::from_secs(60)))
        } else if *route == Route::PortfolioAccounts {
            Some((&mut self.portfolio, Duration::from_secs(5)))
        } else {
            None
        };
        let Some((last, apart)) = own_limit else {
            return false;
        };
        let too_soon = last.is_some_and(|last| at.saturating_sub(last) < apart);
        *last = Some(at);
        too_soon
    }
}

const SECOND: Duration = Duration::from_secs(1);
const IN_A_SECOND: usize = 10;
const PENALTY: Duration = Duration::from_secs(15 * 60);
