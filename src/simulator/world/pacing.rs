//! IBKR's rate limits, for a world that is told to be strict about them.

use std::collections::VecDeque;
use std::time::Duration;

use super::call::Route;
use super::control::Who;

/// Who asked when. Off, it refuses nothing.
///
/// Only the client's requests count against the limits, but the penalty is on the address: the gateway's own
/// requests suffer it too.
#[derive(Clone, Debug, Default)]
pub(super) struct Pacing {
    strict: bool,
    second: VecDeque<Duration>,
    tickle: Option<Duration>,
    validate: Option<Duration>,
    portfolio: Option<Duration>,
    penalty_until: Option<Duration>,
}

impl Pacing {
    pub(super) fn set(&mut self, strict: bool) {
        *self = Pacing { strict, ..Pacing::default() };
    }

    /// Whether this request gets a 429. The first that is too fast puts the address into the penalty box.
    pub(super) fn refuses(&mut self, at: Duration, route: &Route, who: Who) -> bool {
        if !self.strict {
            return false;
        }
        if self.penalty_until.is_some_and(|until| at < until) {
            return true;
        }
        if who == Who::Gateway {
            return false;
        }
        while self.second.front().is_some_and(|then| at.saturating_sub(*then) >= SECOND) {
            self.second.pop_front();
        }
        self.second.push_back(at);
        let mut too_fast = self.second.len() > IN_A_SECOND;
        let own_limit = if *route == Route::Tickle {
            Some((&mut self.tickle, SECOND))
        } else if *route == Route::Validate {
            Some((&mut self.validate, Duration::from_secs(60)))
        } else if *route == Route::PortfolioAccounts {
            Some((&mut self.portfolio, Duration::from_secs(5)))
        } else {
            None
        };
        if let Some((last, apart)) = own_limit {
            too_fast |= last.is_some_and(|last| at.saturating_sub(last) < apart);
            *last = Some(at);
        }
        if too_fast {
            self.penalty_until = Some(at + PENALTY);
        }
        too_fast
    }
}

const SECOND: Duration = Duration::from_secs(1);
const IN_A_SECOND: usize = 10;
const PENALTY: Duration = Duration::from_secs(15 * 60);
