//! The calendar: midnights, windows over midnight, and both nights of a clock change.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Time, Weekday, time};
use tickled::calendar::{Maintenance, Region, Window};

fn at(text: &str) -> Timestamp {
    let (civil, zone) = text.split_once(' ').unwrap();
    let civil: jiff::civil::DateTime = civil.parse().unwrap();
    jiff::tz::TimeZone::get(zone).unwrap().to_ambiguous_timestamp(civil).unambiguous().unwrap()
}

fn window(days: &[Weekday], from: Time, to: Time) -> Window {
    let zone = "America/New_York".to_owned();
    Window { days: days.to_vec(), from, to, zone, regions: vec![Region::NorthAmerica] }
}

const ALL: [Weekday; 7] = [
    Weekday::Monday,
    Weekday::Tuesday,
    Weekday::Wednesday,
    Weekday::Thursday,
    Weekday::Friday,
    Weekday::Saturday,
    Weekday::Sunday,
];

#[test]
fn a_login_ends_at_the_next_midnight_of_its_region() {
    let cases = [
        (Region::NorthAmerica, "2026-11-24T09:00 America/New_York", "2026-11-25T00:00 America/New_York"),
        (Region::NorthAmerica, "2026-11-24T00:00 America/New_York", "2026-11-25T00:00 America/New_York"),
        (Region::NorthAmerica, "2026-11-24T23:59:59 America/New_York", "2026-11-25T00:00 America/New_York"),
        (Region::Europe, "2026-07-01T23:30 America/New_York", "2026-07-03T00:00 Europe/Zurich"),
        (Region::Asia, "2026-07-01T23:30 UTC", "2026-07-03T00:00 Asia/Hong_Kong"),
        // The day that is 25 hours long: the login lasts 24 at most.
        (Region::NorthAmerica, "2026-11-01T00:00 America/New_York", "2026-11-01T23:00 America/New_York"),
        (Region::NorthAmerica, "2026-11-01T09:00 America/New_York", "2026-11-02T00:00 America/New_York"),
        (Region::NorthAmerica, "2026-03-08T00:30 America/New_York", "2026-03-09T00:00 America/New_York"),
    ];
    for (region, login, end) in cases {
        assert_eq!(region.login_ends(at(login)), Some(at(end)), "{region:?} {login}");
    }
    assert_eq!(Region::Asia.login_ends(Timestamp::MAX), None);
}

#[test]
fn a_window_holds_from_its_first_second_to_the_one_before_its_end() {
    let lunch = window(&[Weekday::Tuesday], time(12, 0, 0, 0), time(13, 0, 0, 0));
    let end = Some(at("2026-11-24T13:00 America/New_York"));
    for (time, ends) in [
        ("2026-11-24T11:59:59 America/New_York", None),
        ("2026-11-24T12:00 America/New_York", end),
        ("2026-11-24T12:59:59 America/New_York", end),
        ("2026-11-24T13:00 America/New_York", None),
        ("2026-11-25T12:30 America/New_York", None),
    ] {
        assert_eq!(lunch.ends(at(time)), ends, "{time}");
    }
}

#[test]
fn a_window_over_midnight_belongs_to_the_day_on_which_it_begins() {
    let weekend = window(&[Weekday::Friday], time(23, 0, 0, 0), time(3, 0, 0, 0));
    let end = Some(at("2026-11-28T03:00 America/New_York"));
    for (time, ends) in [
        ("2026-11-27T02:00 America/New_York", None),
        ("2026-11-27T22:59 America/New_York", None),
        ("2026-11-27T23:00 America/New_York", end),
        ("2026-11-28T00:00 America/New_York", end),
        ("2026-11-28T02:59 America/New_York", end),
        ("2026-11-28T03:00 America/New_York", None),
        ("2026-11-28T23:30 America/New_York", None),
    ] {
        assert_eq!(weekend.ends(at(time)), ends, "{time}");
    }
    let whole_day = window(&[Weekday::Friday], time(6, 0, 0, 0), time(6, 0, 0, 0));
    assert_eq!(whole_day.ends(at("2026-11-28T05:59 America/New_York")), Some(at("2026-11-28T06:00 America/New_York")));
}

#[test]
fn the_night_on_which_an_hour_is_missing() {
    // In New York 02:00 to 03:00 does not exist on 8 March 2026.
    let missing = window(&ALL, time(2, 15, 0, 0), time(2, 45, 0, 0));
    let end = Some(at("2026-03-08T03:45 America/New_York"));
    for (time, ends) in [
        ("2026-03-08T01:59 America/New_York", None),
        ("2026-03-08T03:00 America/New_York", None),
        ("2026-03-08T03:15 America/New_York", end),
        ("2026-03-08T03:44 America/New_York", end),
        ("2026-03-08T03:45 America/New_York", None),
    ] {
        assert_eq!(missing.ends(at(time)), ends, "{time}");
    }
    let across = window(&ALL, time(1, 30, 0, 0), time(2, 30, 0, 0));
    assert_eq!(across.ends(at("2026-03-08T01:30 America/New_York")), Some(at("2026-03-08T03:30 America/New_York")));
}

#[test]
fn the_night_on_which_an_hour_comes_twice() {
    // In New York 01:00 to 02:00 comes twice on 1 November 2026: first at 05:00 UTC, then at 06:00.
    let twice = window(&ALL, time(1, 15, 0, 0), time(1, 45, 0, 0));
    let end = Some(at("2026-11-01T06:45 UTC"));
    for (time, ends) in [
        ("2026-11-01T05:14 UTC", None),
        ("2026-11-01T05:15 UTC", end),
        ("2026-11-01T05:59 UTC", end),
        ("2026-11-01T06:44 UTC", end),
        ("2026-11-01T06:45 UTC", None),
    ] {
        assert_eq!(twice.ends(at(time)), ends, "{time}");
    }
}

#[test]
fn alerts_wait_for_the_last_window_and_its_grace() {
    let night = window(&ALL, time(0, 0, 0, 0), time(1, 0, 0, 0));
    let longer = window(&ALL, time(0, 30, 0, 0), time(2, 0, 0, 0));
    let elsewhere = Window { regions: vec![Region::Asia], ..window(&ALL, time(0, 0, 0, 0), time(9, 0, 0, 0)) };
    let maintenance = Maintenance { windows: vec![night, longer, elsewhere], grace: Duration::from_secs(600) };
    let held = |time: &str| maintenance.at(Region::NorthAmerica, at(time)).map(|held| held.hold_until);
    assert_eq!(held("2026-11-23T23:59 America/New_York"), None);
    assert_eq!(held("2026-11-24T00:10 America/New_York"), Some(at("2026-11-24T01:10 America/New_York")));
    assert_eq!(held("2026-11-24T00:40 America/New_York"), Some(at("2026-11-24T02:10 America/New_York")));
    assert_eq!(held("2026-11-24T02:09 America/New_York"), Some(at("2026-11-24T02:10 America/New_York")));
    assert_eq!(held("2026-11-24T02:10 America/New_York"), None);
    assert_eq!(maintenance.at(Region::Europe, at("2026-11-24T00:40 America/New_York")), None);
    let told = maintenance.at(Region::NorthAmerica, at("2026-11-24T00:40 America/New_York")).unwrap();
    assert_eq!((told.until, told.zone.as_str()), (at("2026-11-24T02:00 America/New_York"), "America/New_York"));
}

#[test]
fn the_published_windows_hold_alerts_where_they_should() {
    let published = Maintenance::default();
    let held = |region, time: &str| published.at(region, at(time)).is_some();
    for region in Region::ALL.iter().copied() {
        let zone = region.zone();
        assert!(held(region, &format!("2026-11-24T00:00 {zone}")), "{region:?}: its midnight");
        assert!(held(region, &format!("2026-11-24T01:44 {zone}")), "{region:?}: its night");
        assert!(!held(region, &format!("2026-11-24T02:00 {zone}")), "{region:?}: after its night");
        assert!(held(region, "2026-11-28T02:00 America/New_York"), "{region:?}: the weekend's window");
        assert!(!held(region, &format!("2026-11-24T12:00 {zone}")), "{region:?}: its noon");
    }
    assert!(held(Region::Europe, "2026-11-24T07:00 Europe/Zurich"));
    assert!(held(Region::Asia, "2026-11-24T20:30 Asia/Hong_Kong"));
    assert!(!held(Region::NorthAmerica, "2026-11-24T20:30 Asia/Hong_Kong"));
}

#[test]
fn a_zone_that_does_not_exist_has_no_windows() {
    let nowhere = Window { zone: "Nowhere/Town".to_owned(), ..window(&ALL, time(0, 0, 0, 0), time(23, 0, 0, 0)) };
    assert_eq!(nowhere.ends(at("2026-11-24T12:00 UTC")), None);
}
