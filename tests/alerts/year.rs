//! A year of nights, and the rules of the desk and the outboxes one by one, in simulated time.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use tickled::alert::settings::Preset;
use tickled::alert::{AlertInput, AlertPhase, Code, Message, Settings};
use tickled::session::{Cause, State, Step, Unavailability};

use crate::life::{HOUR, Life, channel, secs};

const LOST: State = State::LoginRequired(Cause::Expired);

fn settings() -> Settings {
    let channels = vec![channel("phone", Preset::Ntfy), channel("pager", Preset::PagerDuty)];
    Settings { channels, ..Settings::default() }
}

/// Numbers that look random, and are the same each time.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Each night the login ends and a human is needed until morning; by day there are blips; a hundred times the daemon is
/// killed, at any moment.
#[test]
fn a_year_tells_each_night_once_by_each_channel_and_no_blip_and_nothing_twice() {
    for seed in [1, 17, 4242] {
        let mut chance = Chance(seed * 0x9e37_79b9);
        let mut life = Life::begin(settings(), "2026-01-01T05:00:00Z");
        let mut dice = Chance(seed * 77 + 1);
        life.cuts = Box::new(move || dice.below(60) == 0);
        let day = Duration::from_hours(24);
        let mut kills: Vec<Duration> = (0..100).map(|_| secs(chance.below(365 * 86_400))).collect();
        kills.sort();
        let mut kills = kills.into_iter().peekable();
        let mut walk = |life: &mut Life, end: Duration| {
            while let Some(at) = kills.next_if(|at| *at < end) {
                life.until(at);
                life.restart();
            }
            life.until(end);
        };
        for night in 0..365 {
            let midnight = day * night;
            life.becomes(LOST);
            walk(&mut life, midnight + HOUR * 6 + secs(chance.below(5_400)));
            life.becomes(State::Live);
            for hour in [9, 13, 17, 21] {
                walk(&mut life, midnight + HOUR * hour + secs(chance.below(3_000)));
                let (state, longest) = match chance.below(4) {
                    0 => (State::Recovering { attempt: 1, step: Step::Check }, 500),
                    1 => (State::Unavailable(Unavailability::NothingListens), 170),
                    2 => (State::Contested, 110),
                    _ => (State::Unavailable(Unavailability::IbkrSilent), 280),
                };
                life.becomes(state);
                let end = life.time + secs(1 + chance.below(longest));
                walk(&mut life, end);
                life.becomes(State::Live);
            }
            walk(&mut life, midnight + day);
        }
        assert!(kills.next().is_none());
        assert!(!life.cut.is_empty(), "something was cut in the middle");
        for name in ["phone", "pager"] {
            judge(&life, name, seed);
        }
    }
}

fn judge(life: &Life, name: &str, seed: u64) {
    let mut cut: Vec<&Message> = life.cut.iter().collect();
    let mut heard: Vec<&Message> = Vec::new();
    for own in life.heard.iter().filter(|heard| heard.channel == name) {
        if heard.contains(&&own.message) {
            // It was cut in the middle of being sent: at least once.
            let at = cut.iter().position(|cut| **cut == own.message);
            let at = at.unwrap_or_else(|| panic!("seed {seed}: told twice: {:?}", own.message));
            cut.remove(at);
        } else {
            heard.push(&own.message);
        }
    }
    let mut nights: BTreeMap<Timestamp, Vec<AlertPhase>> = BTreeMap::new();
    for message in heard {
        assert_eq!(message.code, "login-required", "seed {seed}: {message:?}");
        nights.entry(message.started_at).or_default().push(message.phase);
    }
    assert_eq!(nights.len(), 365, "seed {seed}: {name}");
    for (began, phases) in nights {
        // It lasts from six to seven and a half hours, so it is repeated once.
        assert_eq!(
            phases,
            [AlertPhase::Raised, AlertPhase::Repeated, AlertPhase::Resolved],
            "seed {seed}: {name}: {began}"
        );
    }
}

#[test]
fn who_knows_of_it_hears_no_more_until_it_is_over() {
    let mut life = Life::begin(settings(), "2026-01-01T00:00:00Z");
    life.becomes(LOST);
    life.pass(HOUR * 5);
    life.step(AlertInput::Acknowledge { about: &Life::main(), code: None });
    life.pass(HOUR * 20);
    life.restart();
    life.pass(HOUR * 20);
    assert_eq!(life.told("phone"), ["raised login-required", "repeated login-required"], "not even after a restart");
    life.becomes(State::Live);
    life.pass(HOUR);
    life.becomes(LOST);
    life.pass(HOUR * 5);
    let told = life.told("phone").split_off(2);
    assert_eq!(told, ["resolved login-required", "raised login-required", "repeated login-required"]);
}

#[test]
fn what_follows_from_something_told_is_silent_and_told_when_it_stays() {
    let mut life = Life::begin(settings(), "2026-01-01T00:00:00Z");
    life.becomes(State::Live);
    // Half an hour in, the gateway's host goes; it comes back without a login, as it always does.
    life.becomes(State::Unavailable(Unavailability::NothingListens));
    life.pass(secs(179));
    assert!(life.heard.is_empty());
    life.pass(secs(600));
    assert_eq!(life.told("phone"), ["raised gateway-unreachable"]);
    life.becomes(LOST);
    life.pass(secs(60));
    let told = ["raised gateway-unreachable", "resolved gateway-unreachable", "raised login-required"];
    assert_eq!(life.told("phone"), told);
    // What comes and goes while a login is required says nothing new.
    life.flapping = true;
    life.becomes(LOST);
    life.pass(secs(1_200));
    assert_eq!(life.told("phone"), told);
    // But a user whose login has no effect because IBKR is silent learns why.
    life.flapping = false;
    life.becomes(State::Unavailable(Unavailability::IbkrSilent));
    life.pass(secs(299));
    assert_eq!(life.told("phone"), told);
    life.pass(secs(2));
    assert_eq!(life.told("phone")[3..], ["raised ibkr-unavailable"]);
    life.becomes(State::Live);
    life.pass(HOUR);
    let mut over = life.told("phone").split_off(4);
    over.sort();
    assert_eq!(over, ["resolved ibkr-unavailable", "resolved login-required"]);
}

#[test]
fn flapping_is_one_alert_however_often() {
    let mut life = Life::begin(settings(), "2026-01-01T00:00:00Z");
    life.becomes(State::Live);
    for turn in 0..120 {
        life.flapping = turn > 2;
        life.becomes(State::Recovering { attempt: 1, step: Step::Check });
        life.pass(secs(30));
        life.becomes(State::Live);
        life.pass(secs(30));
        if turn % 40 == 39 {
            life.restart();
        }
    }
    life.flapping = false;
    life.pass(HOUR);
    assert_eq!(life.told("phone"), ["raised session-flapping", "resolved session-flapping"]);
}

/// Each time the tunnel is down for longer than its own alert is held off, and up for less than counts as stable.
#[test]
fn a_tunnel_that_is_down_and_up_all_night_is_one_alert_from_the_second_time_on() {
    let down = State::Unavailable(Unavailability::Network);
    let mut life = Life::begin(settings(), "2026-01-01T00:00:00Z");
    life.becomes(State::Live);
    for turn in 0..60 {
        life.becomes(down);
        life.pass(secs(210));
        life.becomes(State::Live);
        life.pass(secs(200));
        if turn == 29 {
            life.restart();
        }
        life.pass(secs(39));
    }
    let told = ["raised", "resolved", "raised", "repeated"].map(|phase| format!("{phase} gateway-unreachable"));
    assert_eq!(life.told("phone"), told);
    life.pass(secs(900));
    assert_eq!(life.told("phone")[4..], ["resolved gateway-unreachable"]);
    // A night later it is the first time again.
    life.pass(HOUR);
    life.becomes(down);
    life.pass(secs(210));
    life.becomes(State::Live);
    assert_eq!(life.told("phone")[5..], ["raised gateway-unreachable", "resolved gateway-unreachable"]);
}

#[test]
fn while_the_session_flaps_what_lasts_for_long_is_an_alert_of_its_own_and_what_only_a_human_can_mend_is_one_at_once() {
    let down = State::Unavailable(Unavailability::Network);
    let mut life = Life::begin(settings(), "2026-01-01T00:00:00Z");
    life.flapping = true;
    life.becomes(State::Live);
    assert_eq!(life.told("phone"), ["raised session-flapping"]);
    life.becomes(down);
    life.pass(secs(1_799));
    assert_eq!(life.told("phone").len(), 1);
    life.pass(secs(2));
    assert_eq!(life.told("phone")[1..], ["raised gateway-unreachable"]);
    life.becomes(State::Unavailable(Unavailability::Certificate));
    assert_eq!(life.told("pager")[2..], ["replaced gateway-unreachable", "raised certificate-changed"]);
    life.becomes(LOST);
    assert_eq!(
        life.told("phone")[2..],
        ["raised certificate-changed", "resolved certificate-changed", "raised login-required"]
    );
    life.flapping = false;
    life.becomes(State::Live);
    life.pass(HOUR);
    assert_eq!(life.told("phone")[5..], ["resolved login-required", "resolved session-flapping"]);
}

#[test]
fn when_there_are_attempts_again_something_else_is_to_be_done() {
    let mut life = Life::begin(settings(), "2026-01-01T00:00:00Z");
    life.becomes(State::Live);
    life.flapping = true;
    life.spent = true;
    life.becomes(State::Recovering { attempt: 2, step: Step::Pause });
    life.pass(HOUR / 2);
    assert_eq!(life.told("phone"), ["raised session-flapping"]);
    life.spent = false;
    life.becomes(State::Recovering { attempt: 2, step: Step::Reauthenticate });
    assert_eq!(life.told("phone"), ["raised session-flapping", "repeated session-flapping"]);
    life.flapping = false;
    life.becomes(State::Live);
    life.pass(HOUR);
    assert_eq!(life.told("phone")[2..], ["resolved session-flapping"]);
}

/// At night another program answers in the gateway's place: a login there would give the password away.
#[test]
fn while_a_login_is_required_it_is_told_that_one_must_not_log_in() {
    let mut life = Life::begin(settings(), "2026-01-01T00:00:00Z");
    life.becomes(State::Live);
    life.becomes(LOST);
    let meets = |life: &mut Life, trouble: Option<Unavailability>| {
        life.trouble = trouble;
        life.look();
    };
    life.pass(HOUR);
    meets(&mut life, Some(Unavailability::Certificate));
    assert_eq!(life.told("phone"), ["raised login-required", "raised certificate-changed"]);
    assert_eq!(life.heard.last().unwrap().message.started_at.to_string(), "2026-01-01T01:00:00Z");
    life.pass(HOUR * 3 + secs(1_800));
    assert_eq!(life.told("phone").len(), 2, "nobody is asked to log in: {:?}", life.told("phone"));
    meets(&mut life, None);
    assert_eq!(life.told("phone")[2..], ["resolved certificate-changed", "repeated login-required"]);
    // A refusal is held off as ever.
    for trouble in [Unavailability::AddressRefused, Unavailability::EdgeRefused] {
        let count = life.told("phone").len();
        meets(&mut life, Some(trouble));
        life.pass(secs(59));
        assert_eq!(life.told("phone").len(), count);
        life.pass(secs(1));
        meets(&mut life, None);
        assert_eq!(life.told("phone")[count..], ["raised access-denied", "resolved access-denied"]);
    }
    // And an alert that asks for a login says what comes before that.
    meets(&mut life, Some(Unavailability::NothingListens));
    life.pass(HOUR * 4);
    let last = &life.heard.last().unwrap().message;
    assert_eq!((last.code.as_str(), last.phase), ("login-required", AlertPhase::Repeated));
    assert!(
        last.action.starts_with("Start the gateway: nothing listens on port 5000 now. Then log in at"),
        "{}",
        last.action
    );
}

#[test]
fn after_six_hours_of_silence_the_present_state_is_sent_once_and_not_the_history() {
    let all = || vec!["phone".to_owned(), "pager".to_owned()];
    let blow = |life: &mut Life, times: u32| {
        for _ in 0..times {
            life.becomes(LOST);
            life.pass(HOUR / 2);
            life.becomes(State::Live);
            life.pass(HOUR / 2);
        }
    };
    // All is well again when the channels are: that is said once, with or without a restart.
    for restarts in [false, true] {
        let mut life = Life::begin(settings(), "2026-01-01T00:00:00Z");
        life.down = all();
        blow(&mut life, 5);
        life.becomes(State::Unavailable(Unavailability::NothingListens));
        life.pass(HOUR);
        life.becomes(State::Live);
        life.pass(HOUR);
        if restarts {
            life.restart();
        }
        life.down.clear();
        life.pass(HOUR);
        assert_eq!(life.told("phone"), ["resolved gateway-unreachable"]);
        assert_eq!(life.told("pager"), ["resolved gateway-unreachable"]);
    }

    // A human is needed when the channels work again: that is said, and nothing of before.
    let mut life = Life::begin(settings(), "2026-01-01T00:00:00Z");
    life.down = all();
    blow(&mut life, 7);
    life.becomes(LOST);
    life.pass(HOUR);
    life.down.clear();
    life.pass(HOUR);
    assert_eq!(life.told("phone"), ["raised login-required"]);
    // One channel that works heard all of it as it came.
    let mut life = Life::begin(settings(), "2026-01-01T00:00:00Z");
    life.down = vec!["phone".to_owned()];
    blow(&mut life, 3);
    assert_eq!(life.told("pager").len(), 6);
}

#[test]
fn a_gateway_that_is_no_more_is_called_off_and_not_called_well() {
    let mut life = Life::begin(settings(), "2026-01-01T00:00:00Z");
    life.becomes(State::Live);
    life.becomes(State::Unavailable(Unavailability::NothingListens));
    life.step(AlertInput::Forget(&Life::main()));
    life.pass(secs(300));
    assert!(life.heard.is_empty(), "nobody was told of it");
    life.becomes(State::Live);
    life.becomes(LOST);
    life.pass(secs(60));
    life.step(AlertInput::Forget(&Life::main()));
    for name in ["phone", "pager"] {
        assert_eq!(life.told(name), ["raised login-required", "withdrawn login-required"]);
    }
    let message = &life.heard.last().unwrap().message;
    assert_eq!(message.title, "IBKR main: no longer monitored – alert closed, not fixed");
    assert!(message.text.contains("Its open alert was closed, not fixed."), "{}", message.text);
    let id = &message.id;
    let call = Preset::PagerDuty.call(message, "https://events.example.org", None, None);
    let body: serde_json::Value = serde_json::from_str(&call.body).unwrap();
    assert_eq!((&body["event_action"], &body["dedup_key"]), (&"resolve".into(), &id.as_str().into()));
    assert_eq!(Code::named(&message.code), Some(Code::LoginRequired));
}
