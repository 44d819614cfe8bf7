//! Durations in the file: `90s`, `5m`, `1h 30m`, `2d`.

use std::fmt;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::fmt::friendly::SpanParser;

use super::diagnostic::{InvalidText, quoted};

/// The durations that a key takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) least: Duration,
    pub(super) most: Duration,
    /// Whether zero, outside of the range, turns the thing off.
    pub(super) or_off: bool,
}

impl Range {
    /// Parses a duration within the range, or says what is wrong and what would be right.
    pub(super) fn parse_text(&self, text: &str) -> Result<Duration, InvalidText> {
        if text.trim().parse::<f64>().is_ok() {
            return Err(self.without_unit(text, &quoted(text)));
        }
        let Some(duration) = parse(text) else {
            return Err((format!("{} is not a duration", quoted(text)), self.example()));
        };
        if (duration.is_zero() && self.or_off) || (self.least..=self.most).contains(&duration) {
            return Ok(duration);
        }
        let side = if duration < self.least { "short" } else { "long" };
        Err((format!("{} is too {side}", quoted(text)), format!("it takes {self}")))
    }

    /// The same for a bare number. Suggests seconds where they are within the range.
    pub(super) fn without_unit(&self, number: &str, shown: &str) -> InvalidText {
        let seconds = format!("{}s", number.trim());
        let hint = match parse(&seconds) {
            Some(_) if self.parse_text(&seconds).is_ok() => format!("write {seconds:?} ({self})"),
            Some(_) | None => self.example(),
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
        write!(f, "{} to {}{off}", duration_text(self.least), duration_text(self.most))
    }
}

/// Parses jiff's friendly format, and days before it, which have 24 hours here.
fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (days, rest) = match text.split_once('d') {
        Some((days, rest)) if days.trim_end().bytes().all(|byte| byte.is_ascii_digit()) => {
            (days.trim_end().parse().ok()?, rest)
        }
        Some(_) | None => (0_u64, text),
    };
    let rest = match rest.trim() {
        "" if days > 0 || text.starts_with('0') => Duration::ZERO,
        rest => SpanParser::new().parse_duration(rest).ok().and_then(|rest: SignedDuration| rest.try_into().ok())?,
    };
    Duration::from_secs(days.checked_mul(DAY)?).checked_add(rest)
}

/// Formats a duration as the file writes it.
pub(super) fn duration_text(duration: Duration) -> String {
    let (days, rest) = (duration.as_secs() / DAY, Duration::new(duration.as_secs() % DAY, duration.subsec_nanos()));
    let rest = SignedDuration::try_from(rest).unwrap_or_default();
    match (days, rest.is_zero()) {
        (0, _) => format!("{rest:#}"),
        (days, true) => format!("{days}d"),
        (days, false) => format!("{days}d {rest:#}"),
    }
}

const DAY: u64 = 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use super::{duration_text, parse};
    use std::time::Duration;

    #[test]
    fn a_duration_is_read_as_it_is_written() {
        for (text, millis) in [
            ("0s", 0),
            ("500ms", 500),
            ("90s", 90_000),
            ("1.5s", 1_500),
            ("10 seconds", 10_000),
            ("1h 30m", 5_400_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
            (" 1 d 1 ms ", 86_400_001),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for millis in [0, 1, 999, 1_000, 59_999, 60_000, 86_399_999, 86_400_000, 90_061_001, u64::from(u32::MAX)] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse(&duration_text(duration)), Some(duration), "{}", duration_text(duration));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            " ",
            "s",
            "d",
            "5",
            "5 s 5",
            "-5s",
            "-1d",
            "1d -1s",
            "5s -1ms",
            "5s 5s",
            "5s 1m",
            "1d 1d",
            "1h 1d",
            "1x",
            "5s,",
            "٣s",
            "99999999999999999999d",
            "18446744073709551615d",
            "99999999999999999999s",
            "PT5S",
            "5s ago",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
