//! The text of `tickled status`. Pure.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::alert::held_text;
use crate::control::{DaemonStatus, GatewayStatus, OpenAlert};
use crate::log::human_duration;
use crate::session::StateKind;
use crate::text::{clock, short_clock, wrap, zone_named};

/// A table of the gateways with notes, and the open alerts. On a narrow terminal, one line per gateway.
#[must_use]
pub(super) fn text(status: &DaemonStatus, width: usize, colours: bool) -> String {
    let mut out = String::new();
    if let Some(why) = &status.config_refused {
        out.push_str(&format!("{}\n\n", wrap(why, 0, Some(width))));
    }
    if width < NARROW {
        out.push_str(&narrow(status, width, colours));
    } else {
        out.push_str(&table(status, width, colours));
    }
    out.push_str(&alerts(status, width));
    out.push_str(&channels(status, width));
    out
}

fn narrow(status: &DaemonStatus, width: usize, colours: bool) -> String {
    let gateways = status.worst_first();
    let line = |gateway: &GatewayStatus, names: usize| {
        format!("{:<names$} {} {}", gateway.name, gateway.state, ago(status.at, gateway.since))
    };
    // In columns, if all of them fit.
    let names = longest(gateways.iter().map(|gateway| gateway.name.as_str()));
    let fits = gateways.iter().all(|gateway| line(gateway, names).chars().count() <= width);
    let lines = gateways.into_iter().map(|gateway| {
        let line = line(gateway, if fits { names } else { 0 });
        coloured(&wrap(&line, INDENT.len(), Some(width)), gateway.state, colours) + "\n"
    });
    lines.collect()
}

fn table(status: &DaemonStatus, width: usize, colours: bool) -> String {
    let head = ["GATEWAY", "STATE", "FOR", "LAST GOOD", "NEXT", "LOGIN ENDS"].map(str::to_owned);
    let gateways = status.worst_first();
    let rows: Vec<[String; 6]> = gateways.iter().map(|gateway| row(status.at, gateway)).collect();
    let all = || std::iter::once(&head).chain(&rows);
    let widths: Vec<usize> = (0..head.len()).map(|i| longest(all().map(|row| row[i].as_str()))).collect();
    // The last columns are dropped first.
    let fits = |columns: &usize| widths[..*columns].iter().sum::<usize>() + 2 * (columns - 1) <= width;
    let shown = (LEAST..=head.len()).rev().find(fits).unwrap_or(LEAST);
    let line = |row: &[String; 6]| {
        let cells: Vec<String> =
            row.iter().zip(&widths[..shown]).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    let mut out = line(&head) + "\n";
    let zone = zone_named(status.zone.as_deref());
    for (gateway, row) in gateways.into_iter().zip(&rows) {
        out.push_str(&coloured(&line(row), gateway.state, colours));
        out.push('\n');
        for note in notes(status.at, gateway, &zone) {
            out.push_str(&wrapped(&note, width));
        }
    }
    out
}

fn row(now: Timestamp, gateway: &GatewayStatus) -> [String; 6] {
    let next = match gateway.next_at {
        None => "when resumed".to_owned(),
        Some(at) if at <= now => "now".to_owned(),
        Some(at) => format!("in {}", span(now, at)),
    };
    [
        gateway.name.clone(),
        gateway.state.name().to_owned(),
        ago(now, gateway.since),
        gateway.last_good.map_or_else(|| "never".to_owned(), |good| format!("{} ago", ago(now, good))),
        next,
        gateway.login_ends_at.map_or_else(|| "unknown".to_owned(), |end| format!("in {}", span(now, end))),
    ]
}

/// Notes below a row of the table. A gateway that is live and has no problem needs none.
fn notes(now: Timestamp, gateway: &GatewayStatus, zone: &TimeZone) -> Vec<String> {
    let session = gateway.session_since.map(|_| format!("; session {}", gateway.session));
    let mut notes = Vec::new();
    if gateway.state != StateKind::Live {
        notes.push(format!("{}; next: {}{}", gateway.why, gateway.next, session.unwrap_or_default()));
    }
    if let Some(down) = gateway.down_since.filter(|down| *down < gateway.since) {
        notes.push(format!("not live since {} ({})", clock(down, zone), ago(now, down)));
    }
    if let Some(until) = gateway.paused_until {
        notes.push(format!("the pause ends by itself at {}", clock(until, zone)));
    }
    if let Some(window) = &gateway.maintenance {
        notes.push(format!("in maintenance until {}", short_clock(window.until, now, zone)));
    }
    if gateway.wrong_account {
        let kind = if gateway.paper == Some(true) { "a paper account" } else { "a live account" };
        notes.push(format!("wrong account: it is {kind}, but the configuration expects the other kind"));
    }
    if gateway.flapping {
        notes.push("it changes state too often".to_owned());
    }
    let failed = gateway.last_asked.as_ref().filter(|asked| asked.outcome != "ok");
    if let Some(asked) = failed {
        notes.push(format!("last answer: {}", asked.outcome));
    }
    notes
}

fn alerts(status: &DaemonStatus, width: usize) -> String {
    let mut out = String::new();
    let zone = zone_named(status.zone.as_deref());
    for alert in status.worst_alerts() {
        let OpenAlert { code, since, summary, action, .. } = alert;
        let about = alert.gateway.as_deref().or(alert.channel.as_deref()).map(|name| format!("{name}: "));
        let held = alert.held.as_ref().map(|held| held_text(&held.why, held.until, &zone, status.at));
        let stands = held.map(|held| format!(", {held}")).unwrap_or_default();
        let lasts = ago(status.at, *since);
        let line = format!("{}{code}, for {lasts}{stands}", about.unwrap_or_default());
        out.push_str(&format!("\n{}\n", wrap(&line, INDENT.len(), Some(width))));
        out.push_str(&wrapped(summary, width));
        if !action.is_empty() {
            out.push_str(&wrapped(&format!("-> {action}"), width));
        }
    }
    out
}

/// Channels with failures or waiting messages.
fn channels(status: &DaemonStatus, width: usize) -> String {
    let ailing = status.channels.iter().filter(|channel| channel.last_failure.is_some() || channel.waiting > 0);
    let lines = ailing.map(|channel| {
        let why = channel.last_failure.as_deref().unwrap_or("being sent");
        let line = format!("channel {}: {} waiting: {why}", channel.name, channel.waiting);
        format!("\n{}\n", wrap(&line, INDENT.len(), Some(width)))
    });
    lines.collect()
}

fn longest<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(|text| text.chars().count()).max().unwrap_or(0)
}

/// Indented lines that fit.
fn wrapped(text: &str, width: usize) -> String {
    format!("{INDENT}{}\n", wrap(text, INDENT.len(), Some(width)))
}

/// The state in the colour of how bad it is: green, yellow, red, or none.
fn coloured(line: &str, state: StateKind, colours: bool) -> String {
    let colour = match state {
        StateKind::Live => "32",
        StateKind::LoginRequired | StateKind::Unavailable => "31",
        StateKind::Recovering | StateKind::Contested => "33",
        StateKind::Starting | StateKind::Paused => return line.to_owned(),
    };
    if colours { line.replacen(state.name(), &format!("\u{1b}[{colour}m{state}\u{1b}[0m"), 1) } else { line.to_owned() }
}

fn ago(now: Timestamp, then: Timestamp) -> String {
    span(then, now)
}

/// The time between the two, in whole seconds.
fn span(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.duration_since(from).as_secs().max(0);
    human_duration(Duration::from_secs(seconds.unsigned_abs()))
}

/// Below this width there is no table.
const NARROW: usize = 72;
/// Gateway, state and duration are always shown.
const LEAST: usize = 3;
const INDENT: &str = "    ";
