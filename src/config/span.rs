//! Times as the operator writes them: `90s`, `5m`, `1h 30m`, `500ms`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use std::fmt;
use std::time::Duration;

use super::fault::quoted;

/// The times a key takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) least: Duration,
    pub(super) most: Duration,
    /// Whether zero, outside of the range, turns the thing off.
    pub(super) or_off: bool,
}

/// A time on its way into or out of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

impl Range {
    /// What is wrong with a text, and what would be right.
    pub(super) fn check(&self, text: &str) -> Result<(), (String, String)> {
        if text.trim().parse::<f64>().is_ok() {
            return Err(self.without_unit(text, &quoted(text)));
        }
        let span = parse_span(text).map_err(|what| (format!("{} {what}", quoted(text)), self.example()))?;
        if (span.is_zero() && self.or_off) || (self.least..=self.most).contains(&span) {
            return Ok(());
        }
        let side = if span < self.least { "short" } else { "long" };
        Err((format!("{} is too {side}", quoted(text)), format!("it takes {self}")))
    }

    /// The same for a bare number, whose unit nobody knows: proposes seconds where that is possible.
    pub(super) fn without_unit(&self, number: &str, shown: &str) -> (String, String) {
        let seconds = format!("{}s", number.trim());
        let hint = match self.check(&seconds) {
            Ok(()) => format!("write {seconds:?} ({self})"),
            Err(_) => self.example(),
        };
        (format!("{shown} has no unit"), hint)
    }

    fn example(&self) -> String {
        format!("write it like \"90s\", \"5m\" or \"1h 30m\" ({self})")
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let off = if self.or_off { ", or \"0s\" for off" } else { "" };
        write!(f, "{} to {}{off}", span_text(self.least), span_text(self.most))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_span(&text).map(Self).map_err(de::Error::custom)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&span_text(self.0))
    }
}

/// Reads `1h 30m`, `90s`, `500ms`: whole numbers, each with its unit, the larger unit first.
/// The fault is what follows "`TEXT` ..." in a sentence.
pub(super) fn parse_span(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err("is empty".to_owned());
    }
    if rest.starts_with('-') {
        return Err("is negative".to_owned());
    }
    let mut total = 0_u64;
    let mut larger = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let tail = tail.trim_start();
        let letters = tail.find(|c: char| !c.is_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        if number.is_empty() {
            return Err("is not a time".to_owned());
        }
        if unit.is_empty() && tail.starts_with(['.', ',']) {
            return Err("is not in whole numbers".to_owned());
        }
        if unit.is_empty() {
            return Err(format!("has no unit after {}", quoted(number)));
        }
        let Some((_, worth)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(format!("has the unknown unit {} (known: d, h, m, s, ms)", quoted(unit)));
        };
        if *worth >= larger {
            return Err("does not go from the larger unit to the smaller".to_owned());
        }
        total = number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(*worth))
            .and_then(|part| total.checked_add(part))
            .ok_or_else(|| "is longer than anything".to_owned())?;
        larger = *worth;
        rest = tail.trim_start();
    }
    Ok(Duration::from_millis(total))
}

/// Writes a time as [`parse_span`] reads it.
pub(super) fn span_text(span: Duration) -> String {
    let mut left = span.as_millis();
    let mut parts = Vec::new();
    for (unit, worth) in UNITS {
        let worth = u128::from(*worth);
        if left >= worth {
            parts.push(format!("{}{unit}", left / worth));
            left %= worth;
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

/// The units of time and their worth in milliseconds, the largest first.
const UNITS: &[(&str, u64)] = &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

#[cfg(test)]
mod tests {
    use super::{parse_span, span_text};
    use std::time::Duration;

    #[test]
    fn a_time_is_read_as_it_is_written() {
        for (text, millis) in [
            ("0s", 0),
            ("500ms", 500),
            ("90s", 90_000),
            ("1h 30m", 5_400_000),
            ("1h30m", 5_400_000),
            (" 1 d 1 ms ", 86_400_001),
        ] {
            assert_eq!(parse_span(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for millis in [0, 1, 999, 1_000, 59_999, 60_000, 86_399_999, 90_061_001, u64::MAX] {
            let span = Duration::from_millis(millis);
            assert_eq!(parse_span(&span_text(span)), Ok(span), "{}", span_text(span));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            " ",
            "s",
            "5",
            "5 s 5",
            "-5s",
            "+5s",
            "5s -1ms",
            "1.5s",
            "5s 5s",
            "5s 1m",
            "5µs",
            "5S",
            "5s,",
            "1h:30m",
            "٣s",
            "18446744073709551616ms",
            "18446744073709551615d",
            "PT5S",
            "5s ago",
        ] {
            assert!(parse_span(text).is_err(), "{text:?}");
        }
    }
}
