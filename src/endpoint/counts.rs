//! The counters and histograms behind the metrics. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::driver::Report;
use crate::session::{Now, Request, State, StateKind};

/// All counts since the daemon began, by gateway.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counts {
    pub(super) gateways: BTreeMap<String, Counted>,
}

/// The counts of one gateway.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Counted {
    /// By request and outcome.
    pub(super) requests: BTreeMap<(&'static str, &'static str), u64>,
    /// How many answers of a request there were, and how long they took together.
    pub(super) took: BTreeMap<&'static str, (u64, Duration)>,
    /// By the state that was entered.
    pub(super) changes: BTreeMap<StateKind, u64>,
    pub(super) incidents: u64,
    /// Incidents that ended live, without and with a human.
    pub(super) recovered: Histogram,
    pub(super) logged_in: Histogram,
    pub(super) last_good_ping: Option<Now>,
    /// How long IBKR took for its last answer, with the wait for a connection.
    pub(super) answer_took: Option<Duration>,
    open: Option<OpenOutage>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct OpenOutage {
    since: Now,
    needs_human: bool,
}

/// How many took how long.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Histogram {
    /// For each of [`BOUNDS`]: how many took at most so long, and longer than the one before.
    pub(super) within: [u64; BOUNDS.len()],
    pub(super) count: u64,
    pub(super) sum: Duration,
}

impl Counts {
    /// Counts what a driver reports.
    pub fn add(&mut self, report: &Report) {
        let now = report.at;
        let counted = self.gateways.entry(report.snapshot.gateway.clone()).or_default();
        counted.answer_took = report.snapshot.facts.answer_took;
        if let Some((request, answer, took)) = &report.answered {
            *counted
                .requests
                .entry((request.name(), answer.error.as_ref().map_or("ok", |error| error.kind.code())))
                .or_default() += 1;
            let (count, sum) = counted.took.entry(request.name()).or_default();
            *count += 1;
            *sum += *took;
            if *request == Request::Ping && answer.error.is_none() {
                counted.last_good_ping = Some(now);
            }
        }
        if let Some(transition) = &report.transition {
            *counted.changes.entry(transition.to.kind()).or_default() += 1;
        }
        counted.incident(now, report.snapshot.outage_since, report.snapshot.state);
    }

    /// A gateway was removed.
    pub fn forget(&mut self, gateway: &str) {
        self.gateways.remove(gateway);
    }
}

impl Counted {
    /// How long the session has not been live, as far as that was observed.
    pub(super) fn down_for(&self, now: Now) -> Option<Duration> {
        self.open.map(|open| now.mono.saturating_sub(open.since.mono))
    }

    fn incident(&mut self, now: Now, since: Option<Now>, state: State) {
        match (since, &mut self.open) {
            (Some(since), None) => {
                self.incidents += 1;
                self.open = Some(OpenOutage { since, needs_human: is_for_humans(state) });
            }
            (Some(_), Some(open)) => open.needs_human |= is_for_humans(state),
            (None, Some(open)) => {
                // Time asleep was not observed, and a clock that was set has not passed.
                let lasted = now.mono.saturating_sub(open.since.mono);
                let histogram = if open.needs_human { &mut self.logged_in } else { &mut self.recovered };
                if state == State::Live {
                    histogram.add(lasted);
                }
                self.open = None;
            }
            (None, None) => {}
        }
    }
}

impl Histogram {
    fn add(&mut self, lasted: Duration) {
        self.count += 1;
        self.sum += lasted;
        if let Some(at) = BOUNDS.iter().position(|bound| lasted <= Duration::from_secs(*bound)) {
            self.within[at] += 1;
        }
    }
}

/// How long ago it was, by the clock that shows more: one stands still while the host sleeps, the other may be set.
pub(super) fn age(now: Now, then: Now) -> Duration {
    let by_wall = now.wall.duration_since(then.wall);
    let by_wall = if by_wall.is_negative() { Duration::ZERO } else { by_wall.unsigned_abs() };
    now.mono.saturating_sub(then.mono).max(by_wall)
}

const fn is_for_humans(state: State) -> bool {
    matches!(state, State::LoginRequired(_))
}

/// The bounds of the histograms, in seconds.
pub(super) const BOUNDS: [u64; 10] = [1, 2, 5, 10, 20, 30, 60, 300, 1800, 7200];
