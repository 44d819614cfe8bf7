//! The hours of a human: a table over clock changes, days off and midnight, and what holds for any hours at any time.

use jiff::civil::{Date, Time, Weekday, date, time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use tickled::alert::schedule::{Hours, Period};

use crate::year::Chance;

pub(crate) const WEEKDAYS: [Weekday; 5] =
    [Weekday::Monday, Weekday::Tuesday, Weekday::Wednesday, Weekday::Thursday, Weekday::Friday];
const EVERY_DAY: [Weekday; 7] = [
    Weekday::Monday,
    Weekday::Tuesday,
    Weekday::Wednesday,
    Weekday::Thursday,
    Weekday::Friday,
    Weekday::Saturday,
    Weekday::Sunday,
];

fn clock(text: &str) -> Time {
    format!("{text}:00").parse().unwrap()
}

fn hours(zone: &str, days: &[Weekday], [from, to, ready_by]: [&str; 3], except: &[Date]) -> Hours {
    Hours {
        zone: TimeZone::get(zone).unwrap(),
        days: days.to_vec(),
        from: clock(from),
        to: clock(to),
        ready_by: (!ready_by.is_empty()).then(|| clock(ready_by)),
        except: except.to_vec(),
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// At a moment: whether it is in a period, and that or the next period as start, end and deadline.
#[test]
fn each_time_of_the_table_is_in_its_period() {
    let trader = ["07:30", "17:00", "09:15"];
    let christmas = date(2026, 12, 25);
    type Row = (&'static str, &'static [Weekday], [&'static str; 3], &'static str, &'static str);
    let rows: &[Row] = &[
        // A working day, its first and its last moment, its night.
        ("America/New_York", &WEEKDAYS, trader, "2026-11-24T12:29:59Z", "next 2026-11-24T12:30 22:00 14:15"),
        ("America/New_York", &WEEKDAYS, trader, "2026-11-24T12:30:00Z", "in 2026-11-24T12:30 22:00 14:15"),
        ("America/New_York", &WEEKDAYS, trader, "2026-11-24T21:59:59Z", "in 2026-11-24T12:30 22:00 14:15"),
        ("America/New_York", &WEEKDAYS, trader, "2026-11-24T22:00:00Z", "next 2026-11-25T12:30 22:00 14:15"),
        // Friday evening, and the evening before a day off that is a Friday.
        ("America/New_York", &WEEKDAYS, trader, "2026-11-28T02:00:00Z", "next 2026-11-30T12:30 22:00 14:15"),
        ("America/New_York", &WEEKDAYS, trader, "2026-12-25T02:00:00Z", "next 2026-12-28T12:30 22:00 14:15"),
        // Both clock changes: half past seven stays half past seven.
        ("America/New_York", &EVERY_DAY, trader, "2026-03-08T05:30:00Z", "next 2026-03-08T11:30 21:00 13:15"),
        ("America/New_York", &EVERY_DAY, trader, "2026-11-01T05:30:00Z", "next 2026-11-01T12:30 22:00 14:15"),
        // Across midnight; the evening belongs to its own day, so Friday's lasts until Saturday.
        (
            "Asia/Hong_Kong",
            &WEEKDAYS,
            ["21:00", "04:00", "22:30"],
            "2026-11-27T19:59:59Z",
            "in 2026-11-27T13:00 20:00 14:30",
        ),
        (
            "Asia/Hong_Kong",
            &WEEKDAYS,
            ["21:00", "04:00", "22:30"],
            "2026-11-27T20:00:00Z",
            "next 2026-11-30T13:00 20:00 14:30",
        ),
        (
            "Asia/Hong_Kong",
            &EVERY_DAY,
            ["23:00", "06:00", "00:30"],
            "2026-11-24T16:00:00Z",
            "in 2026-11-24T15:00 22:00 16:30",
        ),
        // The same time twice is a whole day.
        (
            "Europe/Zurich",
            &[Weekday::Monday],
            ["08:00", "08:00", ""],
            "2026-11-24T06:59:59Z",
            "in 2026-11-23T07:00 07:00 -",
        ),
        // The night of the change: from half past two, which does not exist, so from three; and to half past one, which
        // comes twice, so to the second one, but ready by the first.
        (
            "America/New_York",
            &EVERY_DAY,
            ["02:30", "05:00", ""],
            "2026-03-08T06:00:00Z",
            "next 2026-03-08T07:00 09:00 -",
        ),
        (
            "America/New_York",
            &EVERY_DAY,
            ["00:15", "01:30", "01:00"],
            "2026-11-01T04:00:00Z",
            "next 2026-11-01T04:15 06:30 05:00",
        ),
        // Hours that begin at a time that comes twice begin with the first one.
        (
            "America/New_York",
            &EVERY_DAY,
            ["01:30", "05:00", "04:00"],
            "2026-11-01T05:00:00Z",
            "next 2026-11-01T05:30 10:00 09:00",
        ),
        // The time in which one would be called does not exist: the deadline moves.
        (
            "America/New_York",
            &EVERY_DAY,
            ["02:10", "05:00", "02:40"],
            "2026-03-08T06:00:00Z",
            "next 2026-03-08T07:00 09:00 07:20",
        ),
        // A gap at midnight, one of half an hour, and a day that does not exist at all.
        (
            "America/Santiago",
            &EVERY_DAY,
            ["00:00", "12:00", "09:00"],
            "2026-09-06T03:00:00Z",
            "next 2026-09-06T04:00 15:00 12:00",
        ),
        (
            "Australia/Lord_Howe",
            &EVERY_DAY,
            ["02:15", "06:00", ""],
            "2026-10-03T15:00:00Z",
            "next 2026-10-03T15:30 19:00 -",
        ),
        (
            "Pacific/Apia",
            &EVERY_DAY,
            ["08:00", "17:00", "09:00"],
            "2011-12-30T06:00:00Z",
            "next 2011-12-30T18:00 03:00 19:00",
        ),
    ];
    for (zone, days, times, now, expected) in rows {
        let hours = hours(zone, days, *times, &[christmas]);
        let now = at(now);
        let Some(Period { start, end, deadline }) = hours.next(now) else { panic!("{zone} {times:?} {now}: none") };
        let time = |at: Timestamp| at.strftime("%H:%M").to_string();
        let place = if hours.period(now).is_some() { "in" } else { "next" };
        let found = format!(
            "{place} {} {} {}",
            start.strftime("%Y-%m-%dT%H:%M"),
            time(end),
            deadline.map_or_else(|| "-".to_owned(), time)
        );
        assert_eq!(found, *expected, "{zone} {times:?} {now}");
    }
}

/// For any hours in any of these zones at any time, every day read by itself.
#[test]
fn what_holds_at_any_time_of_any_hours() {
    let zones = ["America/New_York", "Europe/Zurich", "Asia/Hong_Kong", "Australia/Lord_Howe", "America/Santiago"];
    let mut chance = Chance(4711);
    let mut clock = |least: i8| {
        time(
            i8::try_from(chance.below(24)).unwrap().max(least),
            [0, 10, 30, 59][usize::try_from(chance.below(4)).unwrap()],
            0,
            0,
        )
    };
    let mut checked = 0;
    for round in 0..400_u64 {
        let mut dice = Chance(round * 77 + 13);
        let (from, to) = (clock(0), clock(0));
        let ready_by = (round % 3 > 0).then(|| clock(0));
        let days: Vec<Weekday> = EVERY_DAY.into_iter().filter(|_| dice.below(3) > 0).collect();
        let hours = Hours {
            zone: TimeZone::get(zones[usize::try_from(round % 5).unwrap()]).unwrap(),
            days: days.clone(),
            from,
            to,
            ready_by,
            except: vec![date(2026, 3, 9), date(2026, 11, 2)],
        };
        let start = at("2026-01-01T00:00:00Z");
        for _ in 0..40 {
            let now =
                start.checked_add(SignedDuration::from_secs(i64::try_from(dice.below(365 * 86_400)).unwrap())).unwrap();
            let Some(period) = hours.next(now) else {
                assert!(days.is_empty(), "{hours:?}");
                continue;
            };
            checked += 1;
            // It ends ahead, begins on one of its days, and is found from anywhere within it.
            assert!(period.start < period.end && now < period.end, "{hours:?} {now}");
            let day = period.start.to_zoned_datetime(hours.zone.clone());
            assert!(days.contains(&day.weekday()) && !hours.except.contains(&day.date()), "{hours:?} {now}");
            assert!(day.time() >= from, "{hours:?} {now}");
            assert_eq!((hours.period(period.start), hours.held_until(period.start)), (Some(period), None));
            // A moment is in a period or held until one, and none lies between.
            match hours.held_until(now) {
                Some(until) => {
                    assert_eq!((until, hours.period(now)), (period.start, None));
                    let between = now.checked_add(until.duration_since(now) / 2).unwrap();
                    assert_eq!(hours.next(between), Some(period), "{hours:?} {now}");
                }
                None => assert_eq!(hours.period(now), Some(period)),
            }
            assert_eq!(period.deadline.is_some(), ready_by.is_some());
            let Some(deadline) = period.deadline else {
                assert_eq!(period.calls().count(), 0);
                continue;
            };
            // The first call comes at the start, the others half an hour and ten minutes before the deadline.
            let calls: Vec<SignedDuration> = period.calls().map(|call| call.duration_until(deadline)).collect();
            let lead = period.start.duration_until(deadline);
            let [half, ten] = [30, 10].map(SignedDuration::from_mins);
            let expected = if lead > half { vec![lead, half, ten] } else { vec![lead, ten] };
            assert!(lead >= SignedDuration::from_mins(20) && calls == expected, "{hours:?} {now}: {calls:?}");
            let found: Vec<Timestamp> =
                hours.deadlines(deadline, deadline.checked_add(SignedDuration::from_secs(1)).unwrap()).collect();
            assert_eq!(found, [deadline], "{hours:?}");
            let before = deadline.checked_sub(SignedDuration::from_secs(1)).unwrap();
            assert_eq!(hours.deadlines(before, deadline).next(), None, "{hours:?}");
        }
    }
    assert!(checked > 10_000, "{checked}");
}

#[test]
fn days_off_may_be_many_and_hours_without_any_day_hold_nothing() {
    let off: Vec<Date> = date(2026, 1, 1).series(1.day()).take(366).collect();
    let year = hours("UTC", &EVERY_DAY, ["07:30", "17:00", ""], &off);
    assert_eq!(year.held_until(at("2026-01-01T00:00:00Z")), Some(at("2027-01-02T07:30:00Z")));
    // The start is half an hour before this deadline, and is one call.
    let short = hours("UTC", &EVERY_DAY, ["08:00", "17:00", "08:30"], &[]);
    assert_eq!(short.next(at("2026-01-01T00:00:00Z")).unwrap().calls().count(), 2);
    let none = hours("UTC", &[], ["07:30", "17:00", ""], &[]);
    assert_eq!((none.next(at("2026-01-01T00:00:00Z")), none.held_until(at("2026-01-01T00:00:00Z"))), (None, None));
}
