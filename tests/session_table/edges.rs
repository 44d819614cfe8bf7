//! Single conditions of the machine, each at the point where it begins or ceases to hold.

use std::time::Duration;

use jiff::Timestamp;
use support::{Said, said};
use tickled::session::{
    Cause, FLAPPING_CHANGES, FLAPPING_WINDOW, Input, Method, Policy, Request, State, StateReason, Unavailability,
};

use super::situation::{COMPETING, EMPTY, ERROR, GOOD, LOST, REFUSED, SILENCE, Situation, USABLE, recovering, seconds};

const MOMENT: Duration = Duration::from_nanos(1);

/// An answer that nothing was asked for changes nothing.
#[test]
fn an_answer_to_another_request_is_ignored() {
    let checking = Situation::new().live().asks(Request::Check);
    let stray = checking.step(said(Request::Ping, Said::Status(LOST)));
    assert_eq!((stray.state(), stray.plan.request, stray.plan.awaiting), (State::Live, None, true));
    let answered = stray.step(said(Request::Check, Said::Status(GOOD)));
    assert_eq!((answered.state(), answered.machine.facts().trouble), (State::Live, None));
}

/// What something between here and IBKR answers is no answer of IBKR.
#[test]
fn only_what_ibkr_sends_counts_as_its_answer() {
    for (answer, is_ibkr) in [
        (Said::Status(GOOD), true),
        (Said::Unauthorized, true),
        (ERROR, true),
        (REFUSED, false),
        (SILENCE, false),
        (Said::Unavailable(Unavailability::NotAGateway), false),
    ] {
        let asking = Situation::new().live().asks(Request::Check).wait(seconds(3));
        let took = asking.step(said(Request::Check, answer)).machine.facts().answer_took;
        assert_eq!(took == Some(seconds(3)), is_ibkr, "{answer:?}: {took:?}");
    }
}

/// A poll out of turn is a ping if one is due, unless the gateway does not know pings.
#[test]
fn a_poll_out_of_turn_does_not_delay_a_ping() {
    let policy = Policy { check_every: seconds(300), ping_every: seconds(60), ..Policy::default() };
    let live = Situation::with(policy.clone(), 7).live();
    let pinged_at = live.now.mono;
    let out_of_turn = |s: Situation| s.step(Input::Check).plan.request;
    let before = seconds(60) - MOMENT;
    assert_eq!(out_of_turn(live.clone().wait(before)), Some(Request::Check));
    assert_eq!(out_of_turn(live.wait(seconds(60))), Some(Request::Ping), "pinged at {pinged_at:?}");
    let pinging = Situation::with(policy, 7).checked(GOOD).answered_well().asks(Request::Ping);
    let without = pinging.step(said(Request::Ping, Said::Unsupported)).checked(GOOD).wait(seconds(61));
    assert_eq!(out_of_turn(without), Some(Request::Check), "pings are unsupported");
}

const SILENT: State = State::Unavailable(Unavailability::IbkrSilent);

/// A data call that is answered late proves nothing: the flags it was to confirm may have changed.
#[test]
fn data_that_comes_late_confirms_no_session() {
    let proving = Situation::new().checked(GOOD).asks(Request::Accounts);
    let flags_at = proving.now.mono;
    let usable = said(Request::Accounts, Said::Accounts(USABLE));
    for (after, state) in [(seconds(44), State::Live), (seconds(55), State::Live), (seconds(55) + MOMENT, SILENT)] {
        let mut s = proving.clone();
        while s.now.mono < flags_at + after {
            let left = s.plan.wake_at.min(flags_at + after) - s.now.mono;
            s = match s.wait(left).step(Input::Wake) {
                watched if watched.plan.request == Some(Request::IsListening) => {
                    watched.step(said(Request::IsListening, Said::Listening))
                }
                s => s,
            };
        }
        let late = s.step(usable);
        assert_eq!(late.state(), state, "after {after:?}");
        assert!(state == State::Live || late.next().1 == Request::Check, "after {after:?}");
    }
}

/// Data that works again is asked for again.
#[test]
fn data_that_was_unsupported_and_is_answered_is_supported() {
    let unsupported = |s: Situation| s.answered(Request::Accounts, Said::Unsupported);
    let flags_alone = unsupported(unsupported(Situation::new().checked(GOOD)).checked(GOOD));
    assert_eq!(flags_alone.state(), State::Live);
    let flags_alone = flags_alone.next().2.answered_well();
    let proves = |s: &Situation| {
        let s = s.clone().wait(seconds(2)).step(Input::Prove);
        s.plan.request == Some(Request::Accounts)
    };
    assert!(!proves(&flags_alone));
    let works = flags_alone.well_until(Request::Accounts).answered_well();
    assert!(proves(&works), "{:?}", works.plan);
}

/// A data call on request does not take the place of the request that confirms a bad answer.
#[test]
fn a_data_call_on_request_waits_for_what_is_doubted() {
    let doubted =
        Situation::new().live().well_until(Request::Accounts).step(said(Request::Accounts, Said::Accounts(EMPTY)));
    let (pause, request, _) = doubted.step(Input::Prove).next();
    assert_eq!((pause, request), (seconds(1), Request::Check));
}

/// That a login is expected brings the next check forward and never delays it.
#[test]
fn an_expected_login_delays_no_check() {
    let out = Situation::new().step(Input::LoggedOut);
    let planned = out.plan.wake_at;
    let almost = planned - out.now.mono - seconds(1);
    assert_eq!(out.clone().wait(almost).step(Input::ExpectLogin).plan.wake_at, planned);
    assert!(out.step(Input::ExpectLogin).plan.wake_at < planned);
}

/// A clock that is set while a request is left standing sends no second one.
#[test]
fn a_clock_that_is_set_repeats_nothing_that_stands() {
    let asking = Situation::new().live().asks(Request::Check);
    let due = asking.plan.wake_at - asking.now.mono;
    let standing = asking.wait(due).step(Input::Wake);
    let standing = standing.wait(seconds(11)).step(Input::Wake);
    assert_eq!(standing.plan.request, Some(Request::IsListening));
    let mut jumped = standing.step(said(Request::IsListening, Said::Listening));
    jumped.now.wall += seconds(3600);
    let jumped = jumped.step(Input::Wake);
    assert_eq!((jumped.plan.request, jumped.plan.standing), (None, 1));
    let answered = jumped.step(said(Request::Check, Said::Status(GOOD)));
    // It took so long that the next one is due.
    assert_eq!((answered.state(), answered.plan.request), (State::Live, Some(Request::Check)), "{:?}", answered.plan);
    assert_eq!(answered.checked_now(GOOD).plan.request, None);
}

/// A check that is asked for during another request follows it, although the next one is planned.
#[test]
fn a_check_asked_for_during_another_request_is_not_put_off() {
    let proving = Situation::new().live().wait(seconds(2)).step(Input::Prove);
    assert_eq!(proving.plan.request, Some(Request::Accounts));
    let usable = said(Request::Accounts, Said::Accounts(USABLE));
    let answered = proving.step(Input::Check).step(usable);
    assert_eq!(answered.plan.request, Some(Request::Check));
}

/// What the operator asks for does not delay the checks of a recovery, even if nothing is left for extra ones.
#[test]
fn an_expected_login_is_expected_for_half_an_hour() {
    for (after, is_expected) in [(seconds(1800) - MOMENT, true), (seconds(1800), false)] {
        let out = Situation::new().step(Input::LoggedOut);
        let until = out.now.mono + after;
        let checking = out.step(Input::ExpectLogin).asks(Request::Check);
        let left = until - checking.now.mono;
        let (pause, ..) = checking.wait(left).step(said(Request::Check, Said::Unauthorized)).next();
        assert_eq!(pause <= seconds(10), is_expected, "{pause:?} at {after:?}");
    }
}

/// A check of which nothing is understood is tried again after an hour.
#[test]
fn pings_stand_in_for_an_hour() {
    let odd = Situation::new().answered(Request::Check, ERROR).answered(Request::IsListening, Said::Listening);
    let pinging = odd.answered(Request::Ping, Said::Status(GOOD));
    let until = pinging.now.mono + seconds(3600);
    let later = pinging.answered_well().lives(seconds(3570)).1.answered_well_if_asked();
    for (at, poll) in [(until - MOMENT, Request::Ping), (until, Request::Check)] {
        let left = at - later.now.mono;
        assert_eq!(later.clone().wait(left).step(Input::Check).plan.request, Some(poll), "{at:?}");
    }
}

/// One that does not report ends that: its answer is not understood any better.
#[test]
fn a_ping_without_a_status_does_not_go_on_standing_in() {
    let odd = Situation::new().answered(Request::Check, ERROR).answered(Request::IsListening, Said::Listening);
    let live = odd.answered(Request::Ping, Said::Status(GOOD)).answered_well();
    assert_eq!(live.state(), State::Live);
    assert_eq!(live.answered(Request::Ping, Said::NoStatus).next().1, Request::Check);
}

/// A human is alerted with the reason.
#[test]
fn a_login_is_required_for_a_reason() {
    let page = |s: Situation| s.answered(Request::Check, Said::LoginPage);
    let called = page(page(Situation::new().live()));
    assert_eq!(called.state(), State::LoginRequired(Cause::Expired));
    assert_eq!(called.machine.reason(), StateReason::Cause(Cause::Expired));
}

/// A gateway that knew of a login, and then of none, has been logged in to once it knows of one again.
#[test]
fn a_login_is_seen_that_came_after_none() {
    let tried = Situation::with(recovering(&[Method::Gateway], 1), 7).lapsed();
    let called = tried.answered(Request::Reauthenticate, ERROR).answered(Request::ValidateSso, ERROR);
    let called = called.looks(Said::Status(LOST));
    assert_eq!(called.state(), State::LoginRequired(Cause::Exhausted));
    let (lost, none) = (said(Request::Check, Said::Status(LOST)), said(Request::Check, Said::Unauthorized));
    let later = |s: Situation, input| s.asks(Request::Check).wait(seconds(90)).step(input);
    assert_eq!(later(later(called.clone(), lost), lost).state(), called.state(), "the same login");
    let seen = called.asks(Request::Check).step(none).asks(Request::Check).step(lost);
    assert_eq!(later(seen.clone(), lost).state().name(), "recovering");
    // One that went again is not counted.
    let again = later(seen, none).asks(Request::Check).step(lost);
    let checking = again.asks(Request::Check);
    assert_eq!(checking.step(lost).state(), State::LoginRequired(Cause::Exhausted));
}

/// A stream that data has refuted twice is not believed sooner than a check.
#[test]
fn a_stream_that_was_refuted_twice_loses_its_urgency() {
    let mut s = Situation::new().live();
    for refuted in 0..4 {
        s = s.lives(seconds(20)).1.answered_well_if_asked();
        let denied = s.clone().denied(LOST);
        assert_eq!(denied.state() == State::Live, refuted >= 2, "after {refuted}");
        // Data that was asked for before proves the session for now.
        let proving = s.clone().well_until(Request::Accounts).wait(seconds(1)).step(Input::Push(LOST));
        let checking = proving.step(said(Request::Accounts, Said::Accounts(USABLE)));
        assert_eq!(checking.checked(LOST).state() == State::Live, refuted >= 2, "after {refuted}");
        s = s.step(Input::Push(LOST)).answered_well();
        s = s.answered_well_if_asked();
        assert_eq!(s.machine.refutations(), refuted + 1);
    }
}

/// Only changes within the window count, to the moment.
#[test]
fn changes_that_are_older_than_the_window_do_not_count() {
    let live = Situation::with(recovering(&[Method::Direct], 6), 7).live();
    let first = live.wait(seconds(5)).denied(COMPETING);
    let begins = first.now.mono;
    // Two changes each.
    let often = (1..FLAPPING_CHANGES / 2).fold(first, |s, _| s.wait(seconds(700)).comes_back().denied(COMPETING));
    let back = often.wait(seconds(300)).comes_back();
    for (age, is_flapping) in [(FLAPPING_WINDOW, true), (FLAPPING_WINDOW + MOMENT, false)] {
        let left = begins + age - back.now.mono;
        let checking = back.clone().wait(left).step(Input::Push(COMPETING));
        let request = checking.plan.request.unwrap();
        let last = checking.step(said(request, Said::Status(COMPETING)));
        assert_eq!((last.state(), last.machine.is_flapping()), (State::Contested, is_flapping), "{age:?}");
    }
}

/// An outage of IBKR excuses the lapse that it began with.
#[test]
fn an_outage_that_begins_with_a_lapse_is_no_flapping() {
    let mut s = Situation::with(recovering(&[Method::Direct], 6), 7).live();
    for _ in 0..10 {
        let mut away = s.wait(seconds(60)).denied(LOST);
        while away.state().name() == "recovering" {
            let (_, request, asking) = away.next();
            away = asking.step(said(request, REFUSED));
        }
        assert_eq!(away.state(), State::Unavailable(Unavailability::NothingListens));
        s = away.wait(seconds(60)).comes_back();
    }
    assert!(!s.machine.is_flapping());
}

/// A session that works for a moment between two outages does not give back the attempts that failed; a calm one and a
/// login do.
/// What is kept over a restart: each request that counts, by the millisecond in which it was sent.
#[test]
fn what_was_sent_is_kept_for_as_long_as_it_counts() {
    let s = Situation::new().live();
    let sent = [Duration::ZERO, Duration::ZERO, s.now.mono].map(|at| Situation::new().now.wall + at);
    let kept = |after: Duration| {
        let left = after - s.now.mono;
        let later = s.clone().wait(left);
        later.machine.rate_limit_state(later.now).requests
    };
    assert_eq!(kept(s.now.mono), sent);
    assert_eq!(kept(seconds(600) - MOMENT), sent);
    assert_eq!(kept(seconds(600)), sent[2..]);
    assert_eq!(kept(seconds(601)), []);
}

/// A session that is recovered after all is not checked before it is asked for.
/// After a refusal the other client is left alone for a minute, to the moment.
/// A request that takes five seconds may stay unanswered, and is remembered over a restart.
#[test]
fn a_request_that_is_slow_is_kept() {
    let asking = Situation::new().live().asks(Request::Check);
    let kept = |s: &Situation, after| {
        let later = s.clone().wait(after);
        later.machine.rate_limit_state(later.now).unanswered.len()
    };
    assert_eq!(kept(&asking, seconds(5) - MOMENT), 0);
    assert_eq!(kept(&asking, seconds(5)), 1);
    let watching = Situation::new().answered(Request::Check, SILENCE).asks(Request::IsListening);
    assert_eq!(kept(&watching, seconds(5)), 0, "IBKR does not see it");
}

/// Whatever else is due, two pings are never further apart than the policy says, nor two polls much further.
#[test]
fn what_is_due_at_once_delays_no_ping() {
    for (check, ping, confirm, polls) in [(10, 20, 25, 11), (2, 3600, 3, 2)] {
        let [check_every, ping_every, confirm_every] = [check, ping, confirm].map(seconds);
        let policy = Policy { check_every, ping_every, confirm_every, ..Policy::default() };
        let mut s = Situation::with(policy, 7).live();
        let (mut pinged, mut polled) = (s.now.mono, s.now.mono);
        for _ in 0..if ping < 3600 { 1000 } else { 25 } {
            let (_, request, asking) = s.next();
            let now = asking.now.mono;
            if matches!(request, Request::Ping | Request::Check) {
                assert!(
                    now - polled <= seconds(polls) + Duration::from_millis(200),
                    "{:?} without a poll",
                    now - polled
                );
                polled = now;
            }
            if request == Request::Ping {
                assert!(now - pinged <= ping_every, "{:?} without a ping", now - pinged);
                assert!(now - pinged >= ping_every / 2, "a ping after {:?}", now - pinged);
                pinged = now;
            }
            s = asking.answered_well();
        }
    }
}

/// A check that was asked for right before a ping is due does not delay it.
#[test]
fn an_extra_check_delays_no_ping() {
    let policy = Policy { check_every: seconds(60), ping_every: seconds(10), ..Policy::default() };
    let pinged = Situation::with(policy, 7).live();
    let checked = pinged.wait(Duration::from_millis(9500)).step(Input::Check).checked_now(GOOD);
    let (pause, request, _) = checked.next();
    assert_eq!((pause, request), (Duration::from_millis(500), Request::Ping));
}

/// The client itself gives up first.
#[test]
fn a_request_to_the_gateway_is_given_up_after_the_client_has() {
    let s = Situation::new().answered(Request::Check, SILENCE).asks(Request::IsListening);
    assert_eq!(s.plan.wake_at, s.now.mono + Policy::default().answer_within + seconds(5));
}

/// An answer to a request that is left standing ends what was asked beside it.
#[test]
fn what_is_asked_beside_a_standing_request_ends_with_it() {
    let asking = Situation::new().live().asks(Request::Check);
    let due = asking.plan.wake_at - asking.now.mono;
    let watching = asking.wait(due).step(Input::Wake).asks(Request::IsListening);
    assert_eq!((watching.plan.awaiting, watching.plan.standing), (true, 1));
    let answered = watching.step(said(Request::Check, Said::Status(GOOD)));
    let is_new = answered.plan.request.is_some();
    assert_eq!((answered.state(), answered.plan.awaiting), (State::Live, is_new), "{:?}", answered.plan);
}

/// What was asked before a pause says nothing in it, nor after it.
#[test]
fn a_pause_outdates_what_was_asked_before() {
    let proving = Situation::new().live().well_until(Request::Accounts);
    let pause = |s: Situation| s.step(Input::Pause { until: None });
    let empty = said(Request::Accounts, Said::Accounts(EMPTY));
    let checking = pause(proving.clone()).step(Input::Resume).asks(Request::Check);
    let late = checking.step(empty).step(said(Request::Check, Said::Status(GOOD))).asks(Request::Accounts);
    assert_eq!(late.step(empty).state(), State::Starting, "asked again before it is believed");

    let mut silent = proving;
    while silent.state() == State::Live {
        let left = silent.plan.wake_at - silent.now.mono;
        silent = silent.wait(left).step(Input::Wake);
        if silent.plan.request == Some(Request::IsListening) {
            silent = silent.step(said(Request::IsListening, Said::Listening));
        }
    }
    let paused = pause(silent).wait(seconds(60)).step(said(Request::Accounts, Said::Accounts(USABLE)));
    assert_eq!((paused.state(), paused.plan.request), (State::Paused { until: None }, None));
}

/// The pause after a failed attempt is no lack of attempts; the last attempt is waited for to the end.
/// When the outcome of an attempt by the gateway's own way is asked.
/// In the second after a silence two requests are sent, and an answer to an earlier one is a sign of life.
#[test]
fn a_silence_ends_slowly() {
    let mut silent = Situation::new().live().asks(Request::Check);
    while silent.state() == State::Live {
        let left = silent.plan.wake_at - silent.now.mono;
        silent = silent.wait(left).step(Input::Wake);
        if silent.plan.request == Some(Request::IsListening) {
            silent = silent.step(said(Request::IsListening, Said::Listening));
        }
    }
    let stray = silent.clone().step(said(Request::Accounts, Said::Accounts(USABLE)));
    assert_eq!(stray.state(), silent.state(), "no data call is held");
    let first = silent.wait(seconds(30)).step(said(Request::Check, Said::Status(GOOD)));
    let over = first.now.mono;
    let mut s = first;
    for n in 0..3 {
        s = if s.plan.request.is_some() { s } else { s.step(Input::Check) };
        let (_, _, asking) = s.next();
        assert_eq!(asking.now.mono - over, seconds(n / 2), "request {n}");
        s = asking.answered_well();
    }
}

#[test]
fn a_kind_of_state_has_a_name_and_a_pause_an_end() {
    let until = Some(Timestamp::UNIX_EPOCH);
    assert_eq!(State::Paused { until }.paused_until(), Some(until));
    assert_eq!(State::Live.paused_until(), None);
    assert_eq!(format!("{:>5}", State::Live.kind()), " live");
}
