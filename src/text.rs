//! Text for people: times, counts, and wrapping and escaping for a terminal. Pure, except that it knows the zone of this host.

mod escape;

use std::error::Error;

use anyhow::Chain;
use jiff::Timestamp;
use jiff::tz::TimeZone;

pub use escape::{escaped, is_disturbing, shortened};

/// Wraps lines between words so that they fit behind `indent`, which is put before each line but the first. Commands
/// between backticks, and lines that begin with four spaces, are kept in one piece so that they can
/// be copied.
#[must_use]
pub fn wrap(text: &str, indent: usize, width: Option<usize>) -> String {
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(indent).max(NARROWEST));
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.starts_with(COPIED) {
            lines.push(line.to_owned());
            continue;
        }
        let mut wrapped = String::new();
        for piece in pieces(line) {
            let is_full = wrapped.chars().count() + 1 + piece.chars().count() > room;
            if is_full && !wrapped.is_empty() {
                lines.push(std::mem::take(&mut wrapped));
            }
            if !wrapped.is_empty() {
                wrapped.push(' ');
            }
            wrapped += piece;
        }
        lines.push(wrapped);
    }
    lines.join(&format!("\n{:indent$}", ""))
}

/// Formats a time with its zone: `2026-03-06 07:30 EST`.
#[must_use]
pub fn clock(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M %Z").to_string()
}

/// Formats a time in short: a time of day, with the day where that is another than at `now`.
#[must_use]
pub fn short_clock(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let (at, now) = (at.to_zoned_datetime(zone.clone()), now.to_zoned_datetime(zone.clone()));
    at.strftime(if at.date() == now.date() { "%H:%M %Z" } else { "%-d %b %H:%M %Z" }).to_string()
}

/// The time zone of that IANA name; without one, that of this host.
#[must_use]
pub fn zone_named(name: Option<&str>) -> TimeZone {
    name.and_then(|name| TimeZone::get(name).ok()).unwrap_or_else(TimeZone::system)
}

/// The messages of an error and of its causes, `outer: inner`. A cause that its error already names is left out.
#[must_use]
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in Chain::new(error).skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// The message of an error's innermost cause, without the number that the system has for it.
#[must_use]
pub fn root_cause(error: &(dyn Error + 'static)) -> String {
    let root = Chain::new(error).last().unwrap_or(error).to_string();
    root.split(" (os error").next().unwrap_or_default().to_owned()
}

/// Formats a count: `1 gateway`, `2 gateways`.
#[must_use]
pub fn plural(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// The words of a line, a command between backticks as one.
fn pieces(line: &str) -> Vec<&str> {
    // Foreign text may contain a single backtick, which quotes nothing.
    let is_paired = line.matches('`').count().is_multiple_of(2);
    let mut is_quoted = false;
    let is_end = |character: char| {
        is_quoted ^= is_paired && character == '`';
        character == ' ' && !is_quoted
    };
    line.split(is_end).collect()
}

/// The narrowest width at which lines are wrapped.
const NARROWEST: usize = 15;
const COPIED: &str = "    ";

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn lines_end_between_words_and_commands_stay_whole() {
        let text = "run `ssh -L 5000:localhost:5000 host` there\n    ssh -L 5000:localhost:5000 host\nand wait";
        assert_eq!(wrap(text, 0, None), text);
        assert_eq!(
            wrap(text, 2, Some(22)),
            "run\n  `ssh -L 5000:localhost:5000 host`\n  there\n      ssh -L 5000:localhost:5000 host\n  and wait"
        );
        assert_eq!(wrap("a lone ` quotes nothing", 0, Some(16)), "a lone ` quotes\nnothing");
    }
}
