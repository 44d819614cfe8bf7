//! Evaluates a ledger: the states of each gateway over time, its outages, and how much of the time it was live. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::row::{Row, What};
use crate::log::human_duration;
use crate::session::{StateKind, StateReason};
use crate::text::plural;

/// The history of all gateways over one stretch of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryReport {
    /// Its beginning.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
    /// The gateways of which anything is known in it, by name.
    pub gateways: Vec<GatewayReport>,
}

/// The history of one gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GatewayReport {
    /// Its name.
    pub gateway: String,
    /// Its states over time, oldest first and without gaps between the first and the last.
    pub spans: Vec<Span>,
    /// When it was not live without being paused, oldest first.
    pub outages: Vec<Outage>,
    /// How many seconds it was live.
    pub live_s: u64,
    /// How many seconds it was not, without being paused.
    pub down_s: u64,
    /// The live part of the two, in percent; none if both are nothing.
    pub live_percent: Option<f64>,
    /// The longest outage, in seconds.
    pub longest_outage_s: u64,
    /// How many deadlines (`ready_by`) there were.
    #[serde(default)]
    pub mornings: u64,
    /// At how many of them it was ready.
    #[serde(default)]
    pub ready: u64,
}

/// A stretch of time in which a gateway was in one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Its beginning.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
    /// The state; `None` while no daemon watched it.
    pub state: Option<StateKind>,
    /// Why; none if unknown.
    pub because: Option<StateReason>,
}

/// A stretch of time in which a gateway was not live without being paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    /// Its beginning.
    pub from: Timestamp,
    /// Its end; none while it lasts.
    pub to: Option<Timestamp>,
    /// How long it lasted, or has lasted, in seconds.
    pub lasted_s: u64,
    /// The gravest state in it.
    pub worst: StateKind,
    /// Why that was entered.
    pub because: Option<StateReason>,
}

impl GatewayReport {
    /// The live part of the time, and the outages, in a few words.
    #[must_use]
    pub fn summary(&self) -> String {
        let live =
            self.live_percent.map_or_else(|| "nothing known".to_owned(), |part| format!("{} live", percent(part)));
        let longest = human_duration(Duration::from_secs(self.longest_outage_s));
        let outages = match self.outages.len() {
            0 => format!("{live}, no outage"),
            1 => format!("{live}, 1 outage of {longest}"),
            n => format!("{live}, {n} outages, the longest {longest}"),
        };
        match self.mornings {
            0 => outages,
            n => format!(
                "{outages}, ready on {} of {}",
                self.ready,
                plural(usize::try_from(n).unwrap_or(usize::MAX), "morning")
            ),
        }
    }

    /// The same for a report from `from` on, which says so where less is known.
    #[must_use]
    pub fn summary_since(&self, from: Timestamp) -> String {
        let (first, last) = (self.spans.first().map(|span| span.from), self.spans.last().map(|span| span.to));
        match first.zip(last).filter(|(first, _)| *first > from) {
            Some((first, last)) => {
                let known = Duration::from_secs(last.duration_since(first).unsigned_abs().as_secs());
                format!("known for {}: {}", human_duration(known), self.summary())
            }
            None => self.summary(),
        }
    }
}

/// Formats a percentage. Less than all is never rounded to 100 %.
#[must_use]
pub fn percent(part: f64) -> String {
    if part >= 100.0 {
        return "100 %".to_owned();
    }
    if part >= 99.9 { format!("{:.3} %", part.min(99.999)) } else { format!("{part:.1} %") }
}

/// Evaluates the rows of a ledger, oldest first, for the time from `from` to `to`.
#[must_use]
pub fn report(rows: &[Row], from: Timestamp, to: Timestamp) -> HistoryReport {
    let mut walk = Walk::default();
    for row in rows {
        walk.take(row);
    }
    walk.close_all(to);
    let Walk { spans, deadlines, .. } = walk;
    let gateways = spans.into_iter().filter_map(|(gateway, spans)| {
        let spans = joined(spans.into_iter().filter_map(|span| within(span, from, to)));
        let judged = deadlines.get(&gateway).into_iter().flatten().filter(|(at, _)| (from..=to).contains(at));
        let (ready, missed): (Vec<_>, Vec<_>) = judged.copied().partition(|(_, is_ready)| *is_ready);
        (!spans.is_empty()).then(|| GatewayReport {
            ready: ready.len() as u64,
            mornings: (ready.len() + missed.len()) as u64,
            ..of(gateway, spans, to)
        })
    });
    HistoryReport { from, to, gateways: gateways.collect() }
}

/// The gravest state in each of `n` equal parts of a report's time; nothing where nothing is known. The spans are in
/// order.
#[must_use]
pub fn parts(report: &HistoryReport, spans: &[Span], n: usize) -> Vec<Option<StateKind>> {
    let (start, whole) = (report.from.as_millisecond(), report.to.as_millisecond() - report.from.as_millisecond());
    let edge = |i: usize| start + whole * i64::try_from(i).unwrap_or(0) / i64::try_from(n.max(1)).unwrap_or(1);
    let mut rest = spans;
    let part = |i: usize| {
        while let [first, later @ ..] = rest
            && first.to.as_millisecond() <= edge(i)
        {
            rest = later;
        }
        let inside = rest.iter().take_while(|span| span.from.as_millisecond() < edge(i + 1));
        inside.filter_map(|span| span.state).max_by_key(gravity)
    };
    (0..n).map(part).collect()
}

/// How grave a state is, when one must stand for several.
const fn gravity(light: &StateKind) -> u8 {
    match light {
        StateKind::Starting => 0,
        StateKind::Paused => 1,
        StateKind::Live => 2,
        StateKind::Recovering => 3,
        StateKind::Contested => 4,
        StateKind::Unavailable => 5,
        StateKind::LoginRequired => 6,
    }
}

/// Whether a session in this state is one that ought to be live and is not.
const fn is_down(light: StateKind) -> bool {
    match light {
        StateKind::Recovering | StateKind::Contested | StateKind::Unavailable | StateKind::LoginRequired => true,
        StateKind::Starting | StateKind::Live | StateKind::Paused => false,
    }
}

#[derive(Default)]
struct Walk {
    open: BTreeMap<String, (Timestamp, Option<StateKind>, Option<StateReason>)>,
    spans: BTreeMap<String, Vec<Span>>,
    /// When each gateway was judged at a deadline, and whether it was ready.
    deadlines: BTreeMap<String, Vec<(Timestamp, bool)>>,
    /// The latest time of all rows until now: a clock that was set back makes no span of negative length.
    latest: Timestamp,
}

impl Walk {
    fn take(&mut self, row: &Row) {
        // A daemon may start with a clock that is behind; the earlier one was still seen at the later time.
        let last_seen = if let What::Began { last_seen: Some(seen) } = row.what { seen } else { self.latest };
        let at = row.at.max(self.latest).max(last_seen);
        self.latest = at;
        match &row.what {
            // The earlier daemon ended without recording it. Its last states hold until its last sign of life.
            What::Began { last_seen } => self.lose_all(last_seen.unwrap_or(at), at),
            What::Unobserved { gateway, since } => self.lose(gateway, *since, at),
            What::Ended => self.lose_all(at, at),
            What::Watched { gateway } => self.open(gateway, at, Some(StateKind::Starting), None),
            What::Unwatched { gateway } => self.close(gateway, at),
            What::Changed { gateway, to, because, .. } => self.open(gateway, at, Some(*to), Some(*because)),
            What::Deadline { ready, not_ready } => {
                let judged = ready.iter().map(|name| (name, true)).chain(not_ready.iter().map(|name| (name, false)));
                for (name, is_ready) in judged {
                    self.deadlines.entry(name.clone()).or_default().push((at, is_ready));
                }
            }
            What::Shown { .. } | What::Session { .. } | What::Alert { .. } => {}
        }
    }

    fn open(&mut self, gateway: &str, at: Timestamp, state: Option<StateKind>, because: Option<StateReason>) {
        self.close(gateway, at);
        self.open.insert(gateway.to_owned(), (at, state, because));
    }

    fn close(&mut self, gateway: &str, at: Timestamp) {
        if let Some((from, state, because)) = self.open.remove(gateway) {
            self.spans.entry(gateway.to_owned()).or_default().push(Span { from, to: at.max(from), state, because });
        }
    }

    /// Nothing is known of any gateway from `seen` on.
    fn lose_all(&mut self, seen: Timestamp, at: Timestamp) {
        for gateway in self.open.keys().cloned().collect::<Vec<_>>() {
            let since = self.open[&gateway].0;
            self.open(&gateway, seen.clamp(since, at.max(since)), None, None);
        }
    }

    /// Nothing is known of one gateway between `seen` and `at`. Before and after, it is in the same state.
    fn lose(&mut self, gateway: &str, seen: Timestamp, at: Timestamp) {
        let Some((since, state, because)) = self.open.get(gateway).copied() else { return };
        self.open(gateway, seen.clamp(since, at.max(since)), None, None);
        self.open(gateway, at, state, because);
    }

    fn close_all(&mut self, at: Timestamp) {
        for gateway in self.open.keys().cloned().collect::<Vec<_>>() {
            self.close(&gateway, at);
        }
    }
}

fn within(span: Span, from: Timestamp, to: Timestamp) -> Option<Span> {
    let span = Span { from: span.from.max(from), to: span.to.min(to), ..span };
    (span.from < span.to).then_some(span)
}

/// Neighbours in the same state are one.
fn joined(spans: impl Iterator<Item = Span>) -> Vec<Span> {
    let mut all: Vec<Span> = Vec::new();
    for span in spans {
        match all.last_mut().filter(|last| last.state == span.state && last.because == span.because) {
            Some(last) => last.to = span.to,
            None => all.push(span),
        }
    }
    all
}

fn of(gateway: String, spans: Vec<Span>, end: Timestamp) -> GatewayReport {
    let length = |span: &Span| span.to.duration_since(span.from).unsigned_abs();
    let sum = |is: fn(StateKind) -> bool| -> Duration {
        spans.iter().filter(|span| span.state.is_some_and(is)).map(length).sum()
    };
    let (live, down) = (sum(|light| light == StateKind::Live), sum(is_down));
    let known = live + down;
    let live_percent = (!known.is_zero()).then(|| live.as_secs_f64() / known.as_secs_f64() * 100.0);
    let outages = outages(&spans, end);
    let longest_outage_s = outages.iter().map(|outage| outage.lasted_s).max().unwrap_or(0);
    GatewayReport {
        gateway,
        outages,
        live_s: live.as_secs(),
        down_s: down.as_secs(),
        live_percent,
        longest_outage_s,
        spans,
        mornings: 0,
        ready: 0,
    }
}

fn outages(spans: &[Span], end: Timestamp) -> Vec<Outage> {
    let mut outages: Vec<Outage> = Vec::new();
    let mut is_open = false;
    for span in spans {
        let Some(state) = span.state.filter(|state| is_down(*state)) else {
            is_open = false;
            continue;
        };
        let over = (span.to < end).then_some(span.to);
        match outages.last_mut().filter(|_| is_open) {
            Some(outage) => {
                outage.to = over;
                if gravity(&state) > gravity(&outage.worst) {
                    outage.worst = state;
                    outage.because = span.because;
                }
            }
            None => {
                let because = span.because;
                outages.push(Outage { from: span.from, to: over, lasted_s: 0, worst: state, because });
            }
        }
        if let Some(outage) = outages.last_mut() {
            outage.lasted_s = span.to.duration_since(outage.from).unsigned_abs().as_secs();
        }
        is_open = true;
    }
    outages
}
