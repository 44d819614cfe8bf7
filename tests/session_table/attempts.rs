//! Attempts to recover a session: how many, when, and what they are checked by.

use std::time::Duration;

use support::{Said, said};
use tickled::session::{
    CONFIRM_WITHIN, Cause, Input, Method, RateLimitState, Request, State, Status, Step, WakeReason,
};

use super::situation::{COMPETING, EMPTY, GOOD, LOST, Situation, USABLE, VALID, recovering, seconds};

const MOMENT: Duration = Duration::from_nanos(1);

#[test]
fn the_checks_of_a_recovery_wait_for_no_extra_one() {
    let pressed =
        (0..30).fold(Situation::new().live(), |s, _| s.wait(seconds(2)).step(Input::Check).answered_well_if_asked());
    let confirming = pressed
        .looks(Said::Status(LOST))
        .answered(Request::Reauthenticate, Said::Accepted)
        .answered(Request::ValidateSso, Said::Sso(VALID));
    let (planned, ..) = confirming.clone().next();
    let (pause, request, _) = confirming.step(Input::Check).next();
    assert_eq!((pause, request), (planned, Request::Check));
    assert!(pause <= seconds(1), "{pause:?}");
}

#[test]
fn failed_attempts_count_over_a_short_life() {
    let mut s = Situation::with(recovering(&[Method::Gateway], 3), 7).lapsed();
    while s.state() != (State::Recovering { attempt: 2, step: Step::Reauthenticate }) {
        let (_, request, asking) = s.next();
        let answer = if request == Request::Reauthenticate {
            Said::Accepted
        } else if request == Request::ValidateSso {
            Said::Sso(VALID)
        } else {
            Said::Status(LOST)
        };
        s = asking.step(said(request, answer));
    }
    let back = s.comes_back();
    let begins = |s: Situation| {
        let state = s.denied(LOST).state();
        let State::Recovering { attempt, .. } = state else { panic!("{state:?}") };
        attempt
    };
    assert_eq!(begins(back.clone().wait(seconds(30))), 2, "one has failed");
    assert_eq!(begins(back.clone().lives(seconds(301)).1.answered_well()), 1, "after a calm life");
    let called = back.wait(seconds(30)).looks(Said::LoginPage);
    assert_eq!(called.state().name(), "login-required");
    assert_eq!(begins(called.comes_back().wait(seconds(30))), 1, "after a login");
}

#[test]
fn a_recovery_begins_before_a_check_that_was_asked_for() {
    let empty = said(Request::Accounts, Said::Accounts(EMPTY));
    let doubted = Situation::new().live().well_until(Request::Accounts).step(empty);
    let proving = doubted.checked(GOOD).asks(Request::Accounts);
    let lapsed = proving.step(Input::Check).step(empty);
    assert_eq!(lapsed.state().name(), "recovering");
    assert_eq!(lapsed.next().1, Request::Reauthenticate);
}

#[test]
fn a_refusal_holds_for_a_minute() {
    let direct = Request::OpenBrokerage { compete: false };
    let refused =
        Situation::with(recovering(&[Method::Direct], 6), 7).lapsed().answered(direct, Said::Status(COMPETING));
    let over = refused.now.mono + seconds(60);
    let logged_out = said(Request::Check, Said::Status(Status { connected: false, ..LOST }));
    let checking = refused.asks(Request::Check);
    for (at, is_believed) in [(over - MOMENT, false), (over, true)] {
        let left = at - checking.now.mono;
        let (pause, ..) = checking.clone().wait(left).step(logged_out).next();
        assert_eq!(pause == seconds(1), is_believed, "{pause:?} at {at:?}");
    }
    let left = over - checking.now.mono;
    let again = checking.wait(left).step(logged_out).asks(Request::Check).step(logged_out);
    assert_eq!(again.state(), State::Recovering { attempt: 1, step: Step::Reauthenticate }, "it cost no attempt");
}

#[test]
fn the_checks_of_a_recovery_are_not_spread() {
    let mut s = Situation::new();
    let requests = (0..105).map(|_| s.now.wall - seconds(100)).collect();
    s.machine.restore_limits(s.now, &RateLimitState { requests, ..RateLimitState::default() });
    let lapsed = s.checked(GOOD).answered(Request::Accounts, Said::Accounts(USABLE)).denied(LOST);
    let confirming =
        lapsed.answered(Request::Reauthenticate, Said::Accepted).answered(Request::ValidateSso, Said::Sso(VALID));
    let (pause, request, _) = confirming.next();
    assert!(request == Request::Check && pause <= seconds(1), "{request:?} after {pause:?}");
}

#[test]
fn attempts_are_made_in_full() {
    let lapsed = |attempts| Situation::with(recovering(&[Method::Gateway, Method::Direct], attempts), 7).lapsed();
    let accepted = |s: Situation| {
        s.answered(Request::Reauthenticate, Said::Accepted).answered(Request::ValidateSso, Said::Sso(VALID))
    };
    let last = accepted(lapsed(1));
    let began = last.now.mono;
    let called = last.looks(Said::Status(LOST));
    assert_eq!(called.state(), State::LoginRequired(Cause::Exhausted));
    assert!(called.now.mono - began >= CONFIRM_WITHIN, "{:?}", called.now.mono - began);

    let mut pausing = accepted(Situation::with(recovering(&[Method::Gateway], 3), 7).lapsed());
    while !matches!(pausing.state(), State::Recovering { step: Step::Pause, .. }) {
        pausing = pausing.checked(LOST);
    }
    assert_eq!((pausing.plan.reason, pausing.machine.is_out_of_attempts()), (WakeReason::AttemptDue, false));
}

#[test]
fn an_attempt_is_checked_densely_and_then_every_two_seconds() {
    let mut s = Situation::with(recovering(&[Method::Gateway], 3), 7)
        .lapsed()
        .answered(Request::Reauthenticate, Said::Accepted)
        .asks(Request::ValidateSso)
        .wait(seconds(2))
        .step(said(Request::ValidateSso, Said::Sso(VALID)));
    for expected in [500, 1000, 1000, 750, 750, 1000, 2000, 2000] {
        let (pause, request, asking) = s.next();
        assert_eq!((pause.as_millis(), request), (expected, Request::Check));
        s = asking.checked_now(LOST);
    }
}
