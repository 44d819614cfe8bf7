//! The text of `tickled history`: uptime, a timeline, outages, changes. Pure.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::history::chart::{characters, legend};
use crate::history::report::{GatewayReport, HistoryReport};
use crate::log::human_duration;
use crate::session::{StateKind, StateReason};
use crate::text::{clock, wrap};

/// The report, for lines of `width` characters; in ASCII only if the terminal has nothing else.
#[must_use]
pub(super) fn text(report: &HistoryReport, width: usize, unicode: bool, zone: &TimeZone) -> String {
    let text = drawn(report, width, zone);
    if unicode { text } else { text.chars().map(ascii).collect() }
}

/// The ASCII substitute for a character of the timeline.
const fn ascii(character: char) -> char {
    match character {
        '█' => '#',
        '▓' => '+',
        '▒' => '%',
        '░' => '!',
        '×' => 'x',
        '·' => '.',
        other if other.is_ascii() => other,
        _ => '?',
    }
}

fn drawn(report: &HistoryReport, width: usize, zone: &TimeZone) -> String {
    if report.gateways.is_empty() {
        let none = format!("nothing is known from {} on", clock(report.from, zone));
        return wrap(&none, 0, Some(width)) + "\n";
    }
    let mut out: String = report.gateways.iter().map(|gateway| part(report, gateway, width, zone) + "\n").collect();
    out.push_str(&wrapped(&legend(), width));
    out
}

fn part(report: &HistoryReport, gateway: &GatewayReport, width: usize, zone: &TimeZone) -> String {
    let line = |text: &str| format!("{INDENT}{text}\n");
    let mut out = wrap(&headline(report, gateway), INDENT.len(), Some(width)) + "\n";
    let room = width.saturating_sub(INDENT.len()).clamp(20, WIDEST);
    out.push_str(&line(&characters(report, gateway, room)));
    let (from, to) = (clock(report.from, zone), clock(report.to, zone));
    let gap = room.saturating_sub(from.len() + to.len());
    if gap > 0 {
        out.push_str(&line(&format!("{from}{}{to}", " ".repeat(gap))));
    } else {
        out.push_str(&line(&format!("from {from}")));
        out.push_str(&line(&format!("to   {to}")));
    }
    if !gateway.outages.is_empty() {
        out.push_str("\n  outages\n");
        earlier(&mut out, gateway.outages.len());
        for outage in last(&gateway.outages) {
            let lasted = human_duration(Duration::from_secs(outage.lasted_s));
            let lasted = if outage.to.is_none() { format!("{lasted} until now") } else { lasted };
            let cells = [short(outage.from, zone), outage.worst.name().to_owned(), lasted, reason(outage.because)];
            out.push_str(&row(&cells, width));
        }
    }
    out.push_str("\n  changes\n");
    earlier(&mut out, gateway.spans.len());
    for span in last(&gateway.spans) {
        let state = span.state.map_or("nothing known", StateKind::name);
        let lasted = human_duration(span.to.duration_since(span.from).unsigned_abs());
        out.push_str(&row(&[short(span.from, zone), state.to_owned(), lasted, reason(span.because)], width));
    }
    out
}

fn reason(because: Option<StateReason>) -> String {
    because.map(StateReason::code).unwrap_or_default().to_owned()
}

fn headline(report: &HistoryReport, gateway: &GatewayReport) -> String {
    format!("{}: {}", gateway.gateway, gateway.summary_since(report.from))
}

/// Time, state, duration and reason, on several lines if they are too long for one.
fn row(cells: &[String; 4], width: usize) -> String {
    let [when, what, lasted, because] = cells;
    let whole = format!("{INDENT}{when}  {what:<14}  {lasted:<15}  {because}");
    if whole.trim_end().chars().count() <= width {
        return whole.trim_end().to_owned() + "\n";
    }
    let rest = if because.is_empty() { lasted.clone() } else { format!("{lasted}, {because}") };
    format!("{INDENT}{when}  {what}\n{INDENT}{INDENT}{}\n", wrap(&rest, 2 * INDENT.len(), Some(width)))
}

/// The newest of a list.
fn last<T>(all: &[T]) -> &[T] {
    &all[all.len().saturating_sub(MOST)..]
}

fn earlier(out: &mut String, n: usize) {
    if n > MOST {
        out.push_str(&format!("{INDENT}({} earlier ones: --json has all)\n", n - MOST));
    }
}

/// Pairs of a sign and its meaning, as many on a line as fit.
fn wrapped(text: &str, width: usize) -> String {
    let mut out = String::new();
    let mut line = String::new();
    for part in text.split("  ") {
        let longer = line.chars().count() + 2 + part.chars().count();
        if !line.is_empty() && longer > width {
            out.push_str(&format!("{line}\n"));
            line.clear();
        }
        if !line.is_empty() {
            line.push_str("  ");
        }
        line.push_str(part);
    }
    out + &format!("{line}\n")
}

fn short(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned_datetime(zone.clone()).strftime("%m-%d %H:%M").to_string()
}

const INDENT: &str = "    ";
/// How many outages or changes are listed.
const MOST: usize = 20;
/// A timeline longer than this is no easier to read.
const WIDEST: usize = 160;
