//! Times of day and time zones in the file.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use super::diagnostic::{InvalidText, quoted};
use super::keyword::nearest;

/// Parses `23:45`, or says what is wrong and what would be right.
pub(super) fn parse_time(text: &str) -> Result<Time, InvalidText> {
    let number = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    let mut parts = text.split(':').map(number);
    let time = match (parts.next(), parts.next()) {
        (Some(Some(hour)), Some(Some(minute))) => Time::new(hour, minute, 0, 0).ok(),
        _ => None,
    };
    let hint = match time {
        Some(time) if time_text(time) == text => return Ok(time),
        Some(meant) if parts.all(|part| part == Some(0)) => format!("write \"{}\"", time_text(meant)),
        None if text == "24:00" => "midnight is \"00:00\"".to_owned(),
        Some(_) | None => format!("write it like \"23:45\" ({ANY_TIME})"),
    };
    Err((format!("{} is not a time of day", quoted(text)), hint))
}

/// Formats a time of day as the file writes it.
pub(super) fn time_text(time: Time) -> String {
    format!("{:02}:{:02}", time.hour(), time.minute())
}

/// Parses `2026-12-25`, or says what is wrong and what would be right.
pub(super) fn parse_date(text: &str) -> Result<Date, InvalidText> {
    let date = text.parse::<Date>().ok().filter(|date| date.to_string() == text);
    date.ok_or_else(|| (format!("{} is not a date", quoted(text)), "write it like \"2026-12-25\"".to_owned()))
}

/// Parses the IANA name of a time zone, or says what is wrong and what would be right.
pub(super) fn parse_zone(name: &str) -> Result<TimeZone, InvalidText> {
    let meant = |zone: &str| format!("did you mean {zone:?}?");
    if let Some((_, zone)) = ABBREVIATIONS.iter().find(|(short, _)| *short == name.to_uppercase()) {
        return Err((format!("{} is an abbreviation, not an IANA time zone", quoted(name)), meant(zone)));
    }
    // The database ignores case; the name of a zone does not.
    if let Some(zone) = TimeZone::get(name).ok().filter(|zone| zone.iana_name() == Some(name)) {
        return Ok(zone);
    }
    let zones: Vec<_> = jiff::tz::db().available().collect();
    let known = || zones.iter().map(jiff::tz::TimeZoneName::as_str);
    let city = |zone: &str| zone.rsplit('/').next().unwrap_or_default().to_lowercase();
    let town = name.to_lowercase().replace(' ', "_");
    let near = known().find(|zone| city(zone) == town).or_else(|| nearest(name, known()));
    let hint = near.map_or_else(|| "write it like \"America/New_York\"".to_owned(), meant);
    Err((format!("{} is not an IANA time zone", quoted(name)), hint))
}

/// The range of times of day.
pub(super) const ANY_TIME: &str = "00:00 to 23:59";

/// Abbreviations that people write for the zones of IBKR's tables. `EST` is also an IANA zone, but one without summer time.
const ABBREVIATIONS: &[(&str, &str)] = &[
    ("ET", "America/New_York"),
    ("EST", "America/New_York"),
    ("EDT", "America/New_York"),
    ("CEST", "Europe/Zurich"),
    ("HKT", "Asia/Hong_Kong"),
];
