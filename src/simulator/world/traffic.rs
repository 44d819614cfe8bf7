//! What reaches IBKR: every request of the clients and of the gateway itself, counted at the moment it gets there.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;

use super::call::{Call, Method, Route};
use super::control::Who;

/// A request that reached IBKR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When, since the world began.
    pub at: Duration,
    /// Whose it is.
    pub who: Who,
    /// Its method.
    pub method: Method,
    /// Where it goes.
    pub route: Route,
    /// The status of the answer; none while there is none.
    pub status: Option<u16>,
}

/// How much has reached IBKR, and how much is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Load {
    /// The gateway's connections that are in use, of five.
    pub places_taken: usize,
    /// Those of them that IBKR does not answer.
    pub unanswered: usize,
    /// The requests that wait in the gateway for a connection.
    pub queue: usize,
    /// The connections for websockets, of five others, that were opened while IBKR was silent and are still there.
    pub websockets_unanswered: usize,
    /// The gateway's own requests among those that are unanswered or wait.
    pub waiting_of_gateway: usize,
    /// How many requests have reached IBKR.
    pub arrived: u64,
    /// Those of them that clients made.
    pub from_clients: u64,
    /// Those of the clients that IBKR refused with 429, because of a rate limit or a penalty.
    pub refused: u64,
    /// How many requests reached IBKR in the busiest second.
    pub busiest_second: usize,
    /// When the busiest second ended, in milliseconds since the world began.
    pub busiest_at_ms: u64,
}

/// The requests that have reached IBKR.
#[derive(Clone, Debug, Default)]
pub(super) struct Traffic {
    log: VecDeque<Arrival>,
    second: VecDeque<Duration>,
    pub(super) total: u64,
    pub(super) from_clients: u64,
    pub(super) refused: u64,
    pub(super) busiest: (usize, Duration),
}

impl Traffic {
    /// Counts a request that reaches IBKR at `at`. Returns its number, and how many came within this last second.
    pub(super) fn arrive(&mut self, at: Duration, call: &Call, who: Who) -> (u64, usize) {
        while self.second.front().is_some_and(|then| at.saturating_sub(*then) >= SECOND) {
            self.second.pop_front();
        }
        self.second.push_back(at);
        if self.second.len() > self.busiest.0 {
            self.busiest = (self.second.len(), at);
        }
        if self.log.len() == MOST_LOGGED {
            self.log.pop_front();
        }
        self.log.push_back(Arrival { at, who, method: call.method, route: call.route.clone(), status: None });
        self.total += 1;
        self.from_clients += u64::from(who == Who::Client);
        (self.total, self.second.len())
    }

    /// Notes the status with which the request of this number is answered.
    pub(super) fn answer(&mut self, number: u64, status: u16) {
        let age = usize::try_from(self.total.saturating_sub(number)).unwrap_or(usize::MAX);
        let nth = self.log.len().checked_sub(age.saturating_add(1));
        if let Some(arrival) = nth.and_then(|nth| self.log.get_mut(nth)) {
            arrival.status = Some(status);
            self.refused += u64::from(status == 429 && arrival.who == Who::Client);
        }
    }

    /// The requests, oldest first; the last ten thousand.
    pub(super) fn log(&self) -> impl DoubleEndedIterator<Item = &Arrival> {
        self.log.iter()
    }
}

const SECOND: Duration = Duration::from_secs(1);
const MOST_LOGGED: usize = 10_000;
