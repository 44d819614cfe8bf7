//! The session number: when it grows, and that no two sessions of a gateway ever have the same, whatever becomes of the
//! daemon, its state directory and its clock.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tickled::session::{
    Cause, Observation, SessionNumber, SessionTracker, State, StateReason, Step, Transition, Unavailability,
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn seen(state: State, from: Option<State>) -> Observation {
    let reason = StateReason::DataConfirmed;
    let transition = from.map(|from| Transition { from, to: state, reason, held: Duration::ZERO });
    Observation { state, transition, was_unobserved: false, login: None }
}

const RECOVERING: State = State::Recovering { attempt: 1, step: Step::Check };

#[test]
fn it_grows_exactly_when_the_session_may_be_a_new_one() {
    let live = seen(State::Live, None);
    let login = |second| Observation { login: Some(at(second)), ..live };
    let table: &[(&str, &[Observation], u64)] = &[
        ("checks of a live session", &[live, live, live], 0),
        ("the first session that is seen", &[seen(State::Live, Some(State::Starting)), live], 1),
        ("a recovery", &[seen(RECOVERING, Some(State::Live)), seen(State::Live, Some(RECOVERING)), live], 1),
        ("a recovery that goes on", &[seen(RECOVERING, Some(State::Live)), seen(RECOVERING, None)], 0),
        ("a login", &[seen(State::Live, Some(State::LoginRequired(Cause::Expired)))], 1),
        ("an outage", &[seen(State::Live, Some(State::Unavailable(Unavailability::NoAnswer)))], 1),
        ("a pause", &[seen(State::Live, Some(State::Paused { until: None }))], 1),
        ("another client that went away", &[seen(State::Live, Some(State::Contested))], 1),
        ("a time in which nothing was observed", &[live, Observation { was_unobserved: true, ..live }, live], 1),
        (
            "the same at the end of a recovery",
            &[Observation { was_unobserved: true, ..seen(State::Live, Some(RECOVERING)) }, live],
            1,
        ),
        (
            "a time in which nothing was observed, and the session is lost",
            &[live, Observation { was_unobserved: true, ..seen(RECOVERING, Some(State::Live)) }],
            0,
        ),
        ("the age of the login becomes known", &[live, login(1), login(1), live, login(1)], 0),
        ("another login between two checks", &[login(1), login(2), login(2)], 1),
        ("another login between two checks, learnt of later", &[login(1), live, login(2)], 1),
    ];
    for (what, observations, grown) in table {
        let mut tracker = SessionTracker::new(SessionNumber::after(None, at(0)));
        let before = tracker.current();
        let told = observations.iter().enumerate().filter_map(|(second, seen)| {
            let number = tracker.observe(at(second as i64), seen)?;
            assert_eq!(number.since, Some(at(second as i64)), "{what}");
            Some(number)
        });
        assert_eq!(told.count() as u64, *grown, "{what}");
        assert_eq!(tracker.current().number, before.number + grown, "{what}");
    }
}

#[test]
fn a_daemon_that_ended_in_order_is_continued_by_one() {
    let ended = SessionNumber { number: 41, since: Some(at(0)), unrecorded: 0 };
    let mut tracker = SessionTracker::new(SessionNumber::after(Some(ended), at(5)));
    assert_eq!(tracker.current(), SessionNumber { number: 41, since: None, unrecorded: 0 });
    let number = tracker.observe(at(6), &seen(State::Live, Some(State::Starting))).unwrap();
    assert_eq!(number.number, 42);
}

/// A small generator, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

#[test]
fn no_two_sessions_have_the_same_number() {
    for seed in 0..300 {
        let mut random = Random(seed);
        let (mut now, mut disk, mut given) = (at(0), None, BTreeSet::new());
        for _ in 0..40 {
            let mut tracker = SessionTracker::new(SessionNumber::after(disk, now));
            // The disk may be behind by as many numbers as the record says.
            let (unrecorded, behind) = (15, random.below(16));
            disk = Some(SessionNumber { unrecorded, ..tracker.current() });
            for session in 0..random.below(30) {
                // More than one session a second there is not.
                now += SignedDuration::from_secs(1 + random.below(600).cast_signed());
                let number = tracker.observe(now, &seen(State::Live, Some(RECOVERING))).unwrap();
                assert!(given.insert(number.number), "seed {seed}: {} twice, {given:?}", number.number);
                assert_eq!(given.last(), Some(&number.number), "seed {seed}: it went back");
                if session >= behind {
                    let recorded = number.number - behind;
                    disk = Some(SessionNumber { number: recorded, since: None, unrecorded });
                }
            }
            match random.below(4) {
                // It ends in order, and the clock is set back.
                0 => {
                    disk = Some(SessionNumber { unrecorded: 0, ..tracker.current() });
                    now -= SignedDuration::from_hours(random.below(50).cast_signed());
                }
                // It ends in order.
                1 => disk = Some(SessionNumber { unrecorded: 0, ..tracker.current() }),
                // It is killed.
                2 => {}
                // Its state directory is lost, and the clock is right.
                _ => {
                    let last = given.last().map_or(0, |last| (*last).cast_signed());
                    (disk, now) = (None, now.max(Timestamp::from_millisecond(last).unwrap()));
                }
            }
        }
    }
}

#[test]
fn a_killed_daemon_with_a_clock_set_back_is_continued_above_what_it_may_have_given_out() {
    let recorded = SessionNumber { number: 5_000_000_000_000, since: None, unrecorded: 15 };
    assert_eq!(SessionNumber::after(Some(recorded), at(0)).number, 5_000_000_000_015);
}

/// In files only what is not the usual stands.
#[test]
fn nothing_unrecorded_is_left_out_of_the_file() {
    let number = SessionNumber { number: 7, since: None, unrecorded: 0 };
    assert_eq!(serde_json::to_string(&number).unwrap(), r#"{"number":7}"#);
    let after = SessionNumber { unrecorded: 2, ..number };
    assert_eq!(serde_json::to_string(&after).unwrap(), r#"{"number":7,"unrecorded":2}"#);
}
