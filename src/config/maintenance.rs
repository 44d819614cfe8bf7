//! The maintenance windows as the operator writes them: `[maintenance]`, and `[[maintenance.window]]` for each.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Time, Weekday};
use serde::{Deserialize, Serialize};

use super::fault::quoted;
use super::file::{HOUR, Keys, Node, span};
use super::span::Span;
use super::value::Kind;
use super::words::{Word, Worded, nearest, words};
use crate::calendar::{self, Region};

/// The table; what nobody says is absent, and an empty list of windows says that there are none.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Maintenance {
    pub(super) grace: Option<Span>,
    pub(super) window: Option<Vec<Window>>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Window {
    pub(super) days: Option<Vec<Worded<Weekday>>>,
    pub(super) from: Option<TimeOfDay>,
    pub(super) to: Option<TimeOfDay>,
    pub(super) zone: Option<String>,
    pub(super) regions: Option<Vec<Worded<Region>>>,
}

/// A time of day on its way into or out of the file: `23:45`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct TimeOfDay(pub(super) Time);

/// A text that is no time of day.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is no time of day", quoted(.text))]
pub(super) struct NoTime {
    text: String,
    pub(super) hint: String,
}

pub(super) const KEYS: Keys = &[("grace", span(0, 6 * HOUR)), ("window", Node::List(WINDOW))];

const WINDOW: Keys = &[
    ("days", Node::Value(Kind::SomeOf(words::<Weekday>))),
    ("from", Node::Value(Kind::TimeOfDay)),
    ("to", Node::Value(Kind::TimeOfDay)),
    ("zone", Node::Value(Kind::Zone)),
    ("regions", Node::Value(Kind::SomeOf(words::<Region>))),
];

/// The keys that a window cannot do without, what each is, and how one is written.
pub(super) const NEEDED: [(&str, &str, &str); 3] =
    [("from", "the beginning", "23:45"), ("to", "the end", "01:45"), ("zone", "the time zone", "America/New_York")];

impl Maintenance {
    /// What the operator says instead of what IBKR publishes. A window that lacks what it needs is left out.
    pub(super) fn settings(&self) -> calendar::Maintenance {
        let published = calendar::Maintenance::default();
        let window = |written: &Window| {
            let (TimeOfDay(from), TimeOfDay(to), zone) = (written.from?, written.to?, written.zone.clone()?);
            Some(calendar::Window {
                days: chosen(written.days.as_deref()),
                from,
                to,
                zone,
                regions: chosen(written.regions.as_deref()),
            })
        };
        calendar::Maintenance {
            windows: self
                .window
                .as_ref()
                .map_or(published.windows, |windows| windows.iter().filter_map(window).collect()),
            grace: self.grace.map_or(published.grace, |Span(grace)| grace),
        }
    }
}

impl From<&calendar::Maintenance> for Maintenance {
    fn from(settings: &calendar::Maintenance) -> Self {
        let window = |window: &calendar::Window| Window {
            days: Some(window.days.iter().copied().map(Worded).collect()),
            from: Some(TimeOfDay(window.from)),
            to: Some(TimeOfDay(window.to)),
            zone: Some(window.zone.clone()),
            regions: Some(window.regions.iter().copied().map(Worded).collect()),
        };
        Self { grace: Some(Span(settings.grace)), window: Some(settings.windows.iter().map(window).collect()) }
    }
}

/// The choices that were made, or all there are.
fn chosen<W: Word>(written: Option<&[Worded<W>]>) -> Vec<W> {
    written.map_or_else(|| W::ALL.to_vec(), |written| written.iter().map(|Worded(choice)| *choice).collect())
}

impl FromStr for TimeOfDay {
    type Err = NoTime;

    fn from_str(text: &str) -> Result<Self, NoTime> {
        let number = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
        let mut parts = text.split(':').map(number);
        let time = match (parts.next(), parts.next()) {
            (Some(Some(hour)), Some(Some(minute))) => Time::new(hour, minute, 0, 0).ok().map(Self),
            _ => None,
        };
        match time {
            Some(time) if time.to_string() == text => Ok(time),
            Some(meant) if parts.all(|part| part == Some(0)) => Err(NoTime::new(text, format!("write \"{meant}\""))),
            None if text == "24:00" => Err(NoTime::new(text, "midnight is \"00:00\"".to_owned())),
            Some(_) | None => Err(NoTime::new(text, format!("write it like \"23:45\" ({})", Kind::TimeOfDay.takes()))),
        }
    }
}

impl NoTime {
    fn new(text: &str, hint: String) -> Self {
        Self { text: text.to_owned(), hint }
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(time) = self;
        write!(f, "{:02}:{:02}", time.hour(), time.minute())
    }
}

impl TryFrom<String> for TimeOfDay {
    type Error = NoTime;

    fn try_from(text: String) -> Result<Self, NoTime> {
        text.parse()
    }
}

impl From<TimeOfDay> for String {
    fn from(time: TimeOfDay) -> Self {
        time.to_string()
    }
}

/// What is wrong with the name of a time zone, and what would be right.
pub(super) fn check_zone(name: &str) -> Result<(), (String, String)> {
    let meant = |zone: &str| format!("did you mean {zone:?}?");
    if let Some((_, zone)) = ABBREVIATIONS.iter().find(|(short, _)| *short == name.to_uppercase()) {
        return Err((format!("{} is an abbreviation, not an IANA time zone", quoted(name)), meant(zone)));
    }
    let zones: Vec<_> = jiff::tz::db().available().collect();
    let known = || zones.iter().map(jiff::tz::TimeZoneName::as_str);
    if known().any(|zone| zone == name) {
        return Ok(());
    }
    let city = |zone: &str| zone.rsplit('/').next().unwrap_or_default().to_lowercase();
    let town = name.to_lowercase().replace(' ', "_");
    let near = known().find(|zone| city(zone) == town).or_else(|| nearest(name, known()));
    let hint = near.map_or_else(|| "write it like \"America/New_York\"".to_owned(), meant);
    Err((format!("{} is no IANA time zone", quoted(name)), hint))
}

/// What people write for the zones of IBKR's tables. `EST` is a zone to IANA, and one without a summer time.
const ABBREVIATIONS: &[(&str, &str)] = &[
    ("ET", "America/New_York"),
    ("EST", "America/New_York"),
    ("EDT", "America/New_York"),
    ("CEST", "Europe/Zurich"),
    ("HKT", "Asia/Hong_Kong"),
];
