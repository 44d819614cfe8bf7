//! Simulated years of a human with hours, days off and a deadline, in three zones; escalation and acknowledgement; and
//! why an alert is held.

use std::time::Duration;

use jiff::civil::{Date, date, time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use tickled::alert::schedule::Hours;
use tickled::alert::settings::{Channel, Exempt, Preset};
use tickled::alert::{AlertInput, AlertPhase, Code, HeldBy, Settings};
use tickled::session::{Cause, State, Unavailability};

use crate::life::{HOUR, Life, channel, secs};
use crate::schedule::WEEKDAYS;
use crate::year::Chance;

const LOST: State = State::LoginRequired(Cause::Expired);

fn hours(zone: &str, except: &[Date]) -> Hours {
    Hours {
        zone: TimeZone::get(zone).unwrap(),
        days: WEEKDAYS.to_vec(),
        from: time(7, 30, 0, 0),
        to: time(17, 0, 0, 0),
        ready_by: Some(time(9, 15, 0, 0)),
        except: except.to_vec(),
    }
}

fn settings(hours: Hours, channels: Vec<Channel>) -> Settings {
    Settings { zone: Some(hours.zone.clone()), hours: Some(hours), channels, ..Settings::default() }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A year of a human with hours. The login ends each night; the human logs in at any time of the day or not at all, and
/// not at all in the holidays; sometimes the gateway is down as well, sometimes another certificate is seen at night,
/// which is sent at any hour; and the daemon is killed at any moment. Nothing else comes outside of the hours, no
/// deadline is missed without calls, and one alert is open at a time.
fn a_year_of_hours(zone: &str, origin: &str) {
    let fortnight = date(2026, 7, 20).series(1.day()).take(14);
    let off: Vec<Date> = [date(2026, 2, 16), date(2026, 4, 3), date(2026, 10, 1), date(2026, 12, 25)]
        .into_iter()
        .chain(fortnight)
        .collect();
    let hours = hours(zone, &off);
    let settings = settings(hours.clone(), vec![channel("phone", Preset::Ntfy)]);
    let always = vec![Exempt::Code(Code::CertificateChanged)];
    let mut life = Life::begin(Settings { always, ..settings }, origin);
    let mut chance = Chance(0x51_7e ^ (zone.len() as u64 * 7919));
    let (mut missed, mut ready, mut down_since) = (0, 0, Vec::<(Timestamp, Option<Timestamp>)>::new());
    for night in 0..NIGHTS {
        let start = HOUR * 24 * night;
        life.until(start);
        if life.state() == State::Live || down_since.is_empty() {
            down_since.push((life.now().wall, None));
        }
        life.becomes(if chance.below(6) == 0 { State::Unavailable(Unavailability::NothingListens) } else { LOST });
        life.until(start + HOUR + secs(chance.below(3_000)));
        life.becomes(LOST);
        if chance.below(3) == 0 {
            life.restart();
        }
        if chance.below(15) == 0 {
            life.until(start + HOUR + secs(3_000));
            life.trouble = Some(Unavailability::Certificate);
            life.look();
            life.pass(secs(chance.below(500)));
            life.trouble = None;
            life.look();
        }
        // Each login is at another time; on some days there is none.
        let is_off = off.contains(&life.now().wall.to_zoned_datetime(hours.zone.clone()).date());
        if chance.below(5) > 0 && !is_off {
            life.until(start + HOUR * 2 + secs(chance.below(15 * 3_600)));
            life.becomes(State::Live);
            if let Some((_, until)) = down_since.last_mut() {
                *until = Some(life.now().wall);
            }
        }
    }
    life.until(HOUR * 24 * NIGHTS);
    let (first, end) = (at(origin), life.now().wall);
    // Nothing else comes outside of the hours.
    let outside = life.heard.iter().filter(|heard| hours.period(heard.at).is_none());
    let others = outside.clone().filter(|heard| heard.message.code != Code::CertificateChanged.name());
    assert_eq!(others.map(|heard| format!("{} {}", heard.at, heard.message.title)).next(), None, "{zone}");
    assert!(outside.count() > 20, "{zone}");
    for deadline in hours.deadlines(first, end) {
        let is_down = |at: Timestamp| {
            down_since.iter().any(|(since, until)| *since <= at && until.is_none_or(|until| at < until))
        };
        let period = hours.period(deadline).unwrap();
        let told = |phase: AlertPhase, code: Code, from: Timestamp, to: Timestamp| {
            let own = life.heard.iter().filter(|heard| (from..to).contains(&heard.at));
            own.filter(|heard| heard.message.phase == phase && heard.message.code == code.name()).count()
        };
        let after = deadline.checked_add(SignedDuration::from_secs(90)).unwrap();
        let calls = told(AlertPhase::Raised, Code::LoginRequired, period.start, deadline)
            + told(AlertPhase::Repeated, Code::LoginRequired, period.start, deadline)
            + told(AlertPhase::Repeated, Code::NotReady, period.start, deadline);
        let errors = told(AlertPhase::Raised, Code::NotReady, deadline, after)
            + told(AlertPhase::Repeated, Code::NotReady, deadline, after);
        if is_down(deadline) {
            missed += 1;
            assert_eq!(errors, 1, "{zone}: {deadline}");
            assert_eq!(calls, 3, "{zone}: {deadline}: at the start, and 30 and 10 minutes before");
            let text = life.heard.iter().find(|heard| heard.at == period.start).unwrap();
            assert_eq!(text.message.title.contains("before 09:15"), text.message.code == "login-required");
            assert!(text.message.text.contains("must be live by 09:15") || text.message.code == "not-ready");
        } else {
            ready += 1;
            assert_eq!(errors, 0, "{zone}: {deadline}");
        }
        let report = life.reports.iter().find(|report| report.deadline == deadline).unwrap();
        assert_eq!((report.ready.len(), report.not_ready.len()), if is_down(deadline) { (0, 1) } else { (1, 0) });
        if !is_down(deadline) {
            let since = life.proofs.iter().map(|proof| deadline.duration_since(*proof));
            assert!(since.into_iter().any(|since| (0..=60).contains(&since.as_secs())), "{zone}: {deadline}: unproved");
        }
    }
    assert!(missed > 60 && ready > 30, "{zone}: {missed} and {ready}");
    // One alert is open at a time, and none is open twice.
    let mut open: Vec<&str> = Vec::new();
    let inside = life.heard.iter().filter(|heard| heard.message.code != Code::CertificateChanged.name());
    for heard in inside {
        let code = heard.message.code.as_str();
        match heard.message.phase {
            AlertPhase::Raised => {
                open.retain(|other| !(code == "not-ready" && *other != "not-ready"));
                assert!(open.is_empty(), "{zone}: {code} beside {open:?} at {}", heard.at);
                open.push(code);
            }
            AlertPhase::Repeated => assert_eq!(open, [code], "{zone}: {}", heard.at),
            AlertPhase::Resolved
            | AlertPhase::Withdrawn
            | AlertPhase::Replaced
            | AlertPhase::Acknowledged
            | AlertPhase::Test => {
                assert!(open.contains(&code), "{zone}: {code} ends at {}", heard.at);
                open.clear();
            }
        }
    }
}

#[test]
fn an_exempt_severity_or_code_is_sent_at_any_hour() {
    for always in
        [vec![], vec![Exempt::Code(Code::LoginRequired)], vec![Exempt::Severity(tickled::alert::Severity::Error)]]
    {
        let is_sent = !always.is_empty();
        let settings =
            Settings { always, ..settings(hours("America/New_York", &[]), vec![channel("phone", Preset::Ntfy)]) };
        let mut life = Life::begin(settings, "2026-03-06T05:00:00Z");
        life.becomes(LOST);
        life.pass(HOUR);
        assert_eq!(life.told("phone").len(), usize::from(is_sent));
    }
}

#[test]
fn a_year_of_hours_in_new_york() {
    a_year_of_hours("America/New_York", "2026-02-01T05:00:00Z");
}

#[test]
fn a_year_of_hours_in_zurich() {
    a_year_of_hours("Europe/Zurich", "2026-01-31T23:00:00Z");
}

#[test]
fn a_year_of_hours_in_hong_kong() {
    a_year_of_hours("Asia/Hong_Kong", "2026-09-30T16:00:00Z");
}

const NIGHTS: u32 = 366;

/// A second channel after a quarter of an hour, a third after an hour; in between anything may happen.
#[test]
fn an_alert_goes_further_until_somebody_acknowledges_it_and_its_end_goes_where_it_went() {
    let after =
        |name: &str, minutes: u64| Channel { after: Duration::from_mins(minutes), ..channel(name, Preset::Ntfy) };
    let begin = || {
        let channels = vec![channel("phone", Preset::Ntfy), after("call", 15), after("partner", 60)];
        let mut life = Life::begin(Settings { channels, ..Settings::default() }, "2026-03-06T12:00:00Z");
        life.becomes(State::Live);
        life.becomes(LOST);
        life
    };
    let (raised, again, over) = ("raised login-required", "repeated login-required", "resolved login-required");
    // Each step a kill -9 before it.
    let mut life = begin();
    life.pass(Duration::from_mins(15) - secs(3));
    life.restart();
    assert_eq!((life.told("phone"), life.told("call").len()), (vec![raised.to_owned()], 0));
    life.pass(secs(3));
    assert_eq!(life.told("call"), [again], "the first that this channel hears of it");
    assert_eq!(life.told("phone").len(), 1);
    life.restart();
    life.pass(Duration::from_mins(45) - secs(5));
    assert_eq!(life.told("partner").len(), 0);
    life.pass(secs(5));
    assert_eq!((life.told("partner"), life.told("call").len()), (vec![again.to_owned()], 1));
    life.restart();
    life.becomes(State::Live);
    for name in ["phone", "call", "partner"] {
        assert_eq!(life.told(name).last().unwrap(), over, "{name}");
    }
    // Its end goes only to those who have it.
    let mut life = begin();
    life.pass(Duration::from_mins(20));
    life.becomes(State::Live);
    life.pass(HOUR * 3);
    assert_eq!((life.told("call").len(), life.told("partner").len()), (2, 0));
    // And who acknowledges it stops it.
    let mut life = begin();
    life.pass(Duration::from_mins(5));
    life.step(AlertInput::Acknowledge { about: &Life::main(), code: None });
    life.restart();
    life.pass(HOUR * 9);
    life.becomes(State::Live);
    assert_eq!((life.told("phone"), life.told("call").len()), (vec![raised.to_owned(), over.to_owned()], 0));
}

#[test]
fn an_acknowledgement_lasts_until_the_next_morning_with_a_deadline() {
    let mut life =
        Life::begin(settings(hours("UTC", &[]), vec![channel("phone", Preset::Ntfy)]), "2026-03-04T15:00:00Z");
    life.becomes(State::Live);
    life.becomes(LOST);
    life.step(AlertInput::Acknowledge { about: &Life::main(), code: None });
    life.pass(HOUR * 16);
    assert_eq!(life.told("phone").len(), 1);
    life.until(HOUR * 17);
    assert_eq!(life.told("phone")[1..], ["repeated login-required"], "half past seven on the next day");
}

#[test]
fn what_is_held_says_by_what_and_until_when() {
    let mut life = Life::begin(settings(hours("America/New_York", &[]), vec![]), "2026-03-06T03:00:00Z");
    life.becomes(State::Live);
    life.becomes(LOST);
    let held = life.active()[0].held.unwrap();
    assert_eq!((held.by, held.until), (HeldBy::Hours, Some(at("2026-03-06T12:30:00Z"))));
    assert_eq!(life.held.len(), 1, "one line in the log");
    life.pass(HOUR);
    assert_eq!(life.held.len(), 1);
    // What is shorter than its hold-off is shown as held, and is no line in the log.
    life.becomes(State::Live);
    life.becomes(State::Unavailable(Unavailability::NothingListens));
    life.pass(secs(10));
    assert_eq!((life.active()[0].held.unwrap().by, life.held.len()), (HeldBy::Hours, 1));
    life.becomes(State::Live);
    // A window holds, also after a short recovery inside it.
    let mut life = Life::begin(Settings::default(), "2026-03-06T05:00:00Z");
    let end = at("2026-03-06T06:55:00Z");
    life.hold_until = Some(end);
    life.becomes(State::Live);
    for _ in 0..3 {
        life.becomes(LOST);
        let held = life.active()[0].held.unwrap();
        assert_eq!((held.by, held.until), (HeldBy::Window, Some(end)));
        life.pass(secs(300));
        life.becomes(State::Live);
        life.pass(secs(60));
    }
    // And in a state whose reports are far apart: the window begins between two of them.
    life.until(HOUR * 3);
    life.hold_until = None;
    life.becomes(State::Unavailable(Unavailability::NothingListens));
    assert_eq!(life.active()[0].held.unwrap().by, HeldBy::HoldOff);
    life.pass(secs(200));
    assert_eq!(life.active()[0].held, None);
    life.step(AlertInput::Acknowledge { about: &Life::main(), code: None });
    assert_eq!(life.active()[0].held.unwrap().by, HeldBy::Acknowledged);
}
