//! IBKR's rate limits, and the penalty for exceeding them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::call::Route;
use super::control::{Limits, Who};

/// What was asked when, as far as a limit needs to know it.
#[derive(Clone, Debug)]
pub(super) struct Pacing {
    limits: Limits,
    /// The last request for each path that has a limit of its own.
    last: BTreeMap<&'static str, Duration>,
    penalty_until: Option<Duration>,
}

impl Pacing {
    pub(super) fn new(limits: Limits) -> Pacing {
        Pacing { limits, last: BTreeMap::new(), penalty_until: None }
    }

    /// Whether this request gets a 429, which is one of `in_a_second`. The first that is too fast starts the penalty.
    pub(super) fn refuses(&mut self, at: Duration, route: &Route, who: Who, in_a_second: usize) -> bool {
        if self.limits == Limits::Off {
            return false;
        }
        if self.is_penalty(at) {
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

    /// Whether the address is shut out, so that a new websocket gets nothing either.
    pub(super) fn is_penalty(&self, at: Duration) -> bool {
        self.penalty_until.is_some_and(|until| at < until)
    }

    /// Whether this is too soon after the last request for the same path.
    fn exceeds_own_limit(&mut self, at: Duration, route: &Route) -> bool {
        let path = route.path();
        let path = path.strip_prefix("/v1/api/").or_else(|| path.strip_prefix("/v1/portal/")).unwrap_or(path);
        let Some((path, apart)) = OWN_LIMITS.into_iter().find(|(limited, _)| *limited == path) else { return false };
        let last = self.last.insert(path, at);
        last.is_some_and(|last| at.saturating_sub(last) < Duration::from_secs(apart))
    }
}

/// How many seconds apart requests for these paths have to be.
const OWN_LIMITS: [(&str, u64); 7] = [
    ("tickle", 1),
    ("sso/validate", 60),
    ("portfolio/accounts", 5),
    ("portfolio/subaccounts", 5),
    ("iserver/account/orders", 5),
    ("iserver/account/trades", 5),
    ("iserver/account/pnl/partitioned", 5),
];
const IN_A_SECOND: usize = 10;
const PENALTY: Duration = Duration::from_secs(15 * 60);
