//! When the dead man's switch hears of us, in simulated time.

use std::time::Duration;

use tickled::alert::{Deadman, Sign};
use tickled::session::{Cause, Now, State, Step, Trouble};
use tickled::status::Snapshot;

use crate::life::{secs, snapshot};

struct Stage {
    deadman: Deadman,
    time: Duration,
}

impl Stage {
    fn of(gateways: &[&str]) -> Self {
        let names = gateways.iter().map(|name| (*name).to_owned());
        Self { deadman: Deadman::new(secs(60), names), time: Duration::ZERO }
    }

    fn now(&self) -> Now {
        let wall = jiff::Timestamp::from_second(1_790_000_000 + self.time.as_secs().cast_signed()).unwrap();
        Now { mono: self.time, wall }
    }

    /// The gateway reports after a second, and has just answered a ping well or not.
    fn see(&mut self, gateway: &str, state: State, good_ping: bool) -> Option<Sign> {
        self.time += secs(1);
        let seen = Snapshot { gateway: gateway.to_owned(), ..snapshot(state, self.now(), None) };
        self.deadman.step(self.now(), &seen, good_ping)
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
fn a_lost_login_is_a_failure_at_once_and_what_is_unknown_is_no_sign_at_all() {
    let mut stage = Stage::of(&["one", "other"]);
    assert_eq!(stage.see("one", State::Live, true), None);
    assert_eq!(stage.see("other", State::Live, true), Some(Sign::Good));
    assert_eq!(stage.see("one", LOST, false), Some(Sign::Fail), "no minute is waited for");
    assert_eq!(stage.see("one", LOST, false), None, "but no more than one in a minute");
    stage.time += secs(60);
    assert_eq!(stage.see("other", State::Live, true), Some(Sign::Fail));
    for state in
        [State::Starting, State::Recovering { attempt: 1, step: Step::Check }, State::Unavailable(Trouble::IbkrSilent)]
    {
        stage.time += secs(60);
        assert_eq!(stage.see("one", state, false), None, "{state:?}");
        assert_eq!(stage.see("other", State::Live, true), None, "{state:?}");
    }
}

#[test]
fn who_ought_not_to_be_live_is_not_waited_for() {
    for state in [State::Paused { until: None }, State::Contested, State::LoginRequired(Cause::ByOperator)] {
        let mut stage = Stage::of(&["one", "other"]);
        assert_eq!(stage.see("one", state, false), None);
        assert_eq!(stage.see("other", State::Live, true), Some(Sign::Good), "{state:?}");
    }
    // In a maintenance window a human is told later, and so is the service.
    let mut stage = Stage::of(&["one"]);
    stage.time += secs(1);
    let hold_until = stage.now().wall.checked_add(jiff::SignedDuration::from_mins(30)).ok();
    let held = Snapshot { gateway: "one".to_owned(), hold_until, ..snapshot(LOST, stage.now(), None) };
    assert_eq!(stage.deadman.step(stage.now(), &held, false), None);
    stage.time += secs(1_800);
    assert_eq!(stage.deadman.step(stage.now(), &held, false), Some(Sign::Fail));
}
