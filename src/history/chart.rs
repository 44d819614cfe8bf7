//! A report as a picture: a timeline in characters, and one as SVG. Pure.

use std::fmt::Write;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::report::{GatewayReport, HistoryReport, parts};
use crate::session::StateKind;
use crate::text::{clock, is_disturbing};

/// One gateway's time from left to right in `width` characters, the gravest state of each stretch in its own.
#[must_use]
pub fn characters(report: &HistoryReport, gateway: &GatewayReport, width: usize) -> String {
    parts(report, &gateway.spans, width).into_iter().map(character).collect()
}

/// What the characters mean, in words.
#[must_use]
pub fn legend() -> String {
    let known: Vec<String> = all_states().map(|state| format!("{} {state}", character(Some(state)))).collect();
    format!("{}  (blank: nothing is known)", known.join("  "))
}

/// The character that stands for a state.
#[must_use]
pub const fn character(state: Option<StateKind>) -> char {
    match state {
        Some(StateKind::Live) => '█',
        Some(StateKind::Recovering) => '▓',
        Some(StateKind::Contested) => '▒',
        Some(StateKind::Unavailable) => '░',
        Some(StateKind::LoginRequired) => '×',
        Some(StateKind::Paused) => '-',
        Some(StateKind::Starting) => '·',
        None => ' ',
    }
}

/// The timeline of one gateway, for a page that includes [`style`].
#[must_use]
pub fn band(report: &HistoryReport, gateway: &GatewayReport, zone: &TimeZone) -> String {
    let mut out = format!(
        "<svg class=\"band\" viewBox=\"0 0 {COLUMNS} {}\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"{}\">",
        BAND,
        escaped(&spoken(report, gateway, zone)),
    );
    out.push_str(&bars(report, gateway, (0, 0), zone));
    out.push_str("</svg>");
    out
}

/// The timelines of all gateways, as a file of its own.
#[must_use]
pub fn svg(report: &HistoryReport, zone: &TimeZone) -> String {
    let (from, to) = (clock(report.from, zone), clock(report.to, zone));
    let rows = report.gateways.len();
    let height = TOP + rows * ROW + BOTTOM;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {height}\" role=\"img\" \
         font-family=\"system-ui, sans-serif\" font-size=\"14\">\n<title>{}</title>\n<style>{}</style>\n\
         <rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n",
        COLUMNS + 2 * SIDE,
        escaped(&format!("Sessions from {from} to {to}")),
        style(),
    );
    for (i, gateway) in report.gateways.iter().enumerate() {
        let top = TOP + i * ROW;
        let _ = writeln!(
            out,
            "<text class=\"ink\" x=\"{SIDE}\" y=\"{}\">{}</text>",
            top + 14,
            escaped(&spoken(report, gateway, zone))
        );
        out.push_str(&bars(report, gateway, (SIDE, top + LABEL), zone));
    }
    let foot = TOP + rows * ROW + 14;
    let _ = writeln!(out, "<text class=\"ink\" x=\"{SIDE}\" y=\"{foot}\">{from}</text>");
    let _ = writeln!(out, "<text class=\"ink\" text-anchor=\"end\" x=\"{}\" y=\"{foot}\">{to}</text>", COLUMNS + SIDE,);
    let mut left = SIDE;
    for state in all_states() {
        let _ = writeln!(
            out,
            "<rect class=\"{}\" x=\"{left}\" y=\"{}\" width=\"12\" height=\"12\"/><text class=\"ink\" x=\"{}\" \
             y=\"{}\">{}</text>",
            state.name(),
            foot + 14,
            left + 17,
            foot + 25,
            state.name()
        );
        left += 30 + state.name().len() * 8;
    }
    out.push_str("</svg>\n");
    out
}

/// Text as it may stand in XML and HTML, between tags and in quotes.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if is_disturbing(c) => out.push_str(&crate::text::escaped(c.encode_utf8(&mut [0; 4]))),
            c => out.push(c),
        }
    }
    out
}

/// The colours, by day and by night; each state differs in lightness as well, for colour-blind readers.
#[must_use]
pub fn style() -> String {
    let mut day = ".paper{fill:#fff}.ink{fill:#1b1f24}.none{fill:#e6e8eb}".to_owned();
    let mut night = ".paper{fill:#0d1117}.ink{fill:#e6edf3}.none{fill:#21262d}".to_owned();
    for state in all_states() {
        let (by_day, by_night) = colours(state);
        let _ = write!(day, ".{state}{{fill:{by_day}}}");
        let _ = write!(night, ".{state}{{fill:{by_night}}}");
    }
    format!("{day}@media(prefers-color-scheme:dark){{{night}}}")
}

const fn colours(state: StateKind) -> (&'static str, &'static str) {
    match state {
        StateKind::Live => ("#2da44e", "#3fb950"),
        StateKind::Recovering => ("#e3b341", "#e3b341"),
        StateKind::Contested => ("#8250df", "#bc8cff"),
        StateKind::Unavailable => ("#bc4c00", "#f0883e"),
        StateKind::LoginRequired => ("#a40e26", "#ff5a4f"),
        StateKind::Paused => ("#8c959f", "#6e7681"),
        StateKind::Starting => ("#c8ced4", "#3d444d"),
    }
}

/// What a picture shows, in one line.
fn spoken(report: &HistoryReport, gateway: &GatewayReport, zone: &TimeZone) -> String {
    format!(
        "{}: {} from {} to {}",
        gateway.gateway,
        gateway.summary_since(report.from),
        clock(report.from, zone),
        clock(report.to, zone)
    )
}

/// One rectangle for each span, as wide as it lasted.
fn bars(report: &HistoryReport, gateway: &GatewayReport, (left, top): (usize, usize), zone: &TimeZone) -> String {
    let whole = report.to.duration_since(report.from).as_secs_f64().max(1.0);
    let column = |at: Timestamp| at.duration_since(report.from).as_secs_f64() / whole * WIDTH;
    let mut out = format!("<rect class=\"none\" x=\"{left}\" y=\"{top}\" width=\"{COLUMNS}\" height=\"{BAND}\"/>\n");
    for span in &gateway.spans {
        let name = span.state.map_or("none", StateKind::name);
        let title = span.state.map_or("nothing is known", StateKind::name);
        let (from, to) = (column(span.from), column(span.to));
        let _ = writeln!(
            out,
            "<rect class=\"{name}\" x=\"{:.3}\" y=\"{top}\" width=\"{:.3}\" height=\"{BAND}\"><title>{title}, {} to {}\
             </title></rect>",
            from + LEFT * f64::from(u8::from(left > 0)),
            to - from,
            clock(span.from, zone),
            clock(span.to, zone),
        );
    }
    out
}

/// All states, in the order of a legend: the first, in which nothing is known yet, comes last.
pub fn all_states() -> impl Iterator<Item = StateKind> {
    let (first, others) = StateKind::ALL.split_at(1);
    others.iter().chain(first).copied()
}

/// How many columns a picture has: two minutes each for a day, an hour each for thirty days.
const COLUMNS: usize = 720;
const BAND: usize = 28;
const WIDTH: f64 = 720.0;
const SIDE: usize = 20;
const LEFT: f64 = 20.0;
const TOP: usize = 16;
const LABEL: usize = 22;
const ROW: usize = 64;
const BOTTOM: usize = 56;
