//! A start of the daemon: no alert about a gateway is sent before its first check, and none is lost.

use std::time::Duration;

use tickled::alert::Settings;
use tickled::alert::settings::Preset;
use tickled::session::{Cause, State, Unavailability};

use crate::life::{HOUR, Life, channel, secs};

const LOST: State = State::LoginRequired(Cause::Expired);
const DOWN: State = State::Unavailable(Unavailability::NothingListens);

/// A gateway that has been live for an hour, since midnight in New York.
fn begun() -> Life {
    let settings = Settings { channels: vec![channel("phone", Preset::Ntfy)], ..Settings::default() };
    let mut life = Life::begin(settings, "2026-03-06T05:00:00Z");
    life.becomes(State::Live);
    life.pass(HOUR);
    life
}

/// Twenty seconds before its host the gateway goes down.
fn shut_down() -> Life {
    let mut life = begun();
    life.becomes(DOWN);
    life.pass(secs(20));
    life
}

#[test]
fn an_alert_that_waits_for_the_end_of_a_window_waits_for_it_in_the_next_daemon_as_well() {
    let mut life = begun();
    let end = "2026-03-06T06:55:00Z".parse().unwrap();
    life.hold_until = Some(end);
    life.becomes(LOST);
    life.pass(secs(1_200));
    life.restart();
    life.until(HOUR * 3);
    assert_eq!(life.told("phone"), ["raised login-required"]);
    assert_eq!(life.heard[0].at, end);
    assert_eq!(life.heard[0].message.started_at.to_string(), "2026-03-06T06:00:00Z");
}

#[test]
fn a_reboot_that_stops_the_gateway_first_tells_nothing_of_a_gateway_that_comes_back_with_it() {
    let minutes = secs(240);
    let mut life = shut_down();
    life.boot(minutes, State::Live);
    life.pass(HOUR);
    assert!(life.heard.is_empty(), "{:?}", life.heard);

    // As always it wants a login after that, and it may take a while to listen.
    let mut life = shut_down();
    life.boot(minutes, DOWN);
    life.pass(secs(50));
    life.becomes(LOST);
    life.pass(HOUR);
    assert_eq!(life.told("phone"), ["raised login-required"]);
}

#[test]
fn what_is_still_so_after_a_start_is_told_with_its_true_beginning() {
    let mut life = shut_down();
    life.boot(secs(240), DOWN);
    let booted = life.now().wall;
    life.pass(HOUR);
    assert_eq!(life.told("phone"), ["raised gateway-unreachable"]);
    assert_eq!(life.heard[0].message.started_at.to_string(), "2026-03-06T06:00:00Z");
    assert!(life.heard[0].at.duration_since(booted).as_secs() <= 61, "{:?}", life.heard);

    // A restart in the middle of a hold-off does not shorten it.
    let mut life = shut_down();
    life.restart();
    life.pass(secs(158));
    assert!(life.heard.is_empty(), "{:?}", life.heard);
    life.pass(secs(2));
    assert_eq!(life.told("phone"), ["raised gateway-unreachable"]);
}

#[test]
fn what_was_told_goes_on_or_is_over_by_the_first_look_and_not_before() {
    let night = Duration::from_hours(5);
    let mut life = begun();
    life.becomes(LOST);
    life.boot(night, State::Live);
    life.pass(HOUR);
    assert_eq!(life.told("phone"), ["raised login-required", "resolved login-required"]);

    let mut life = begun();
    life.becomes(LOST);
    life.boot(night, LOST);
    life.pass(HOUR);
    assert_eq!(life.told("phone"), ["raised login-required", "repeated login-required"]);
}
