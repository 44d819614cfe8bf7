//! When the dead man's switch hears of us, in simulated time.

use std::time::Duration;

use tickled::alert::{Deadman, Sign};
use tickled::session::{Cause, Now, State, Step, Unavailability};
use tickled::status::Snapshot;

use crate::life::{secs, snapshot};

struct Stage {
    deadman: Deadman,
    time: Duration,
    /// Of which gateways a human was notified that something has to be done.
    alerted: Vec<&'static str>,
    is_heard: bool,
}

impl Stage {
    fn of(gateways: &[&str]) -> Self {
        let names = gateways.iter().map(|name| (*name).to_owned());
        Self { deadman: Deadman::new(secs(60), names), time: Duration::ZERO, alerted: Vec::new(), is_heard: true }
    }

    fn now(&self) -> Now {
        let wall = jiff::Timestamp::from_second(1_790_000_000 + self.time.as_secs().cast_signed()).unwrap();
        Now { mono: self.time, wall }
    }

    /// The gateway reports after a second, and has just answered a ping well or not. It promises the next report within
    /// ten minutes.
    fn see(&mut self, gateway: &str, state: State, good_ping: bool) -> Option<Sign> {
        self.time += secs(1);
        let promised = self.time + secs(600);
        let seen = Snapshot { gateway: gateway.to_owned(), promised, ..snapshot(state, self.now(), None) };
        self.deadman.on_snapshot(&seen, good_ping);
        self.deadman.poll(self.now(), |name| self.alerted.contains(&name), self.is_heard)
    }

    /// The daemon wakes as the switch wants it, for so long; how many signs of each kind that gives.
    fn pass(&mut self, span: Duration) -> (usize, usize) {
        let (end, mut signs) = (self.time + span, Vec::new());
        loop {
            self.time = self.deadman.wake_at(self.now());
            if self.time > end {
                self.time = end;
                break;
            }
            signs.extend(self.deadman.poll(self.now(), |name| self.alerted.contains(&name), self.is_heard));
        }
        let good = signs.iter().filter(|sign| **sign == Sign::Good).count();
        (good, signs.len() - good)
    }
}

const LOST: State = State::LoginRequired(Cause::Expired);

#[test]
fn a_good_sign_needs_a_good_ping_of_each_and_comes_once_a_minute() {
    let mut stage = Stage::of(&["one", "other"]);
    assert_eq!(stage.see("one", State::Live, true), None, "nothing is known of the other");
    assert_eq!(stage.see("other", State::Live, false), None, "live, and not proved by a ping");
    assert_eq!(stage.see("other", State::Live, true), Some(Sign::Good));
    // For the next one each has to be proved anew, however long that takes.
    let mut signs = 0;
    for _ in 0..150 {
        signs += u32::from(stage.see("one", State::Live, true).is_some());
        signs += u32::from(stage.see("other", State::Live, true).is_some());
    }
    assert_eq!(signs, 5, "in five minutes");
    for _ in 0..150 {
        assert_eq!(stage.see("one", State::Live, true), None, "the other is silent");
    }
    assert_eq!(stage.see("other", State::Live, true), Some(Sign::Good));
}

#[test]
fn an_alert_that_asks_a_human_to_act_is_a_failure_until_it_is_over() {
    let mut stage = Stage::of(&["one", "other"]);
    assert_eq!(stage.see("one", State::Live, true), None);
    assert_eq!(stage.see("other", State::Live, true), Some(Sign::Good));
    stage.alerted = vec!["one"];
    assert_eq!(stage.see("one", LOST, false), Some(Sign::Fail), "no minute is waited for");
    assert_eq!(stage.see("one", LOST, false), None, "but no more than one in a minute");
    assert_eq!(stage.pass(secs(600)), (0, 10));
    // IBKR goes away meanwhile: the login is still required.
    assert_eq!(stage.see("one", State::Unavailable(Unavailability::IbkrSilent), false), None);
    assert_eq!(stage.pass(secs(300)), (0, 5));
    stage.alerted.clear();
    stage.see("one", State::Live, true);
    stage.see("other", State::Live, true);
    assert_eq!(stage.pass(secs(60)), (1, 0));
}

#[test]
fn what_is_handled_or_held_back_on_purpose_is_a_good_sign_each_minute() {
    for state in [
        LOST,
        State::Contested,
        State::Paused { until: None },
        State::LoginRequired(Cause::ByOperator),
        State::Recovering { attempt: 1, step: Step::Check },
        State::Unavailable(Unavailability::IbkrSilent),
        State::Unavailable(Unavailability::NothingListens),
    ] {
        let mut stage = Stage::of(&["one"]);
        assert_eq!(stage.see("one", state, false), Some(Sign::Good), "{state:?}");
        assert_eq!(stage.pass(secs(540)), (9, 0), "{state:?}: without any report in between");
    }
}

#[test]
fn the_operators_silence_is_no_failure_although_an_alert_is_open() {
    for state in [State::Paused { until: None }, State::LoginRequired(Cause::ByOperator)] {
        let mut stage = Stage::of(&["one"]);
        stage.alerted = vec!["one"];
        assert_eq!(stage.see("one", state, false), Some(Sign::Good), "{state:?}");
    }
}

#[test]
fn a_promise_that_cannot_be_kept_is_no_good_sign() {
    // Nothing is known of a gateway.
    let mut stage = Stage::of(&["one", "other"]);
    stage.see("one", LOST, false);
    assert_eq!(stage.pass(secs(600)), (0, 0));
    assert_eq!(stage.see("other", State::Starting, false), None);
    // A driver does not report as it promised.
    let mut stage = Stage::of(&["one"]);
    stage.see("one", LOST, false);
    assert_eq!(stage.pass(secs(3_600)), (10, 0), "until a moment after its deadline");
    assert_eq!(stage.see("one", LOST, false), Some(Sign::Good));
    // No ping is answered while the session is said to be live.
    let mut stage = Stage::of(&["one"]);
    assert_eq!(stage.see("one", State::Live, true), Some(Sign::Good));
    assert_eq!(stage.pass(secs(600)), (0, 0));
    // Alerts are not delivered.
    let mut stage = Stage::of(&["one"]);
    stage.is_heard = false;
    assert_eq!(stage.see("one", State::Live, true), Some(Sign::Fail));
}
