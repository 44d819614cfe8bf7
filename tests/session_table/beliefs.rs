//! When an answer is believed: the second look, the ping beside the check, the stream against the data, another
//! connection.

use std::time::Duration;

use support::{Said, said};
use tickled::session::{
    Cause, FLAPPING_CHANGES, Input, Method, Policy, RateLimitState, Request, State, Unavailability,
};

use super::situation::{
    COMPETING, ERROR, GOOD, LOST, NOT_ESTABLISHED, SILENCE, Situation, USABLE, VALID, recovering, seconds,
};

const NONSENSE: Said = Said::Unavailable(Unavailability::Nonsense);
const UNAUTHORIZED: Said = Said::Unauthorized;

/// However many extra checks were requested, and whatever pushes came, the check that decides whether a session is dead
/// comes within a second or so after the first that said so.
#[test]
fn the_second_look_never_waits_for_what_others_have_used_up() {
    let press: fn(Situation) -> Situation = |s| s.step(Input::Check);
    let push = |s: Situation| s.step(Input::Push(NOT_ESTABLISHED));
    let both = |s: Situation| {
        let mut s = s.step(Input::Push(LOST));
        while s.plan.request.is_some() {
            s = s.answered_well();
        }
        s.step(Input::Check)
    };
    for (presses, every_ms) in [(press, 2000), (press, 150), (push, 300), (both, 500)] {
        let mut s = Situation::new().live();
        for minute in 0..25_u64 {
            let until = seconds(minute * 60 + 60);
            while s.now.mono < until {
                s = if s.now.mono.as_millis() % every_ms < 50 { presses(s) } else { s.step(Input::Wake) };
                while s.plan.request.is_some() {
                    s = s.answered_well();
                }
                s = s.wait(Duration::from_millis(50));
            }
            assert_eq!(s.state(), State::Live);
            for dead in [Said::Status(LOST), UNAUTHORIZED] {
                let since = s.now.mono;
                let (_, mut first, mut asking) = s.clone().next();
                while !matches!(first, Request::Check | Request::Ping) {
                    (_, first, asking) = asking.answered_well().next();
                }
                let waited = asking.now.mono - since;
                assert!(waited < seconds(20), "{first:?} only after {waited:?} in minute {minute}");
                let (pause, _, second) = asking.step(said(first, dead)).next();
                assert!(pause <= seconds(1), "{pause:?} until the second look in minute {minute}");
                let request = second.plan.request.unwrap();
                assert_eq!(second.step(said(request, dead)).state().name(), "recovering");
            }
        }
    }
}

/// A check that is answered, and cannot be understood, says nothing; the ping carries the same flags.
#[test]
fn where_only_pings_are_understood_they_decide() {
    for odd in [NONSENSE, ERROR, Said::Unsupported, Said::Unavailable(Unavailability::EdgeRefused)] {
        let pinged = Situation::new()
            .answered(Request::Check, odd)
            .answered(Request::IsListening, Said::Listening)
            .answered(Request::Ping, Said::Status(GOOD));
        let live = pinged.answered(Request::Accounts, Said::Accounts(USABLE));
        assert_eq!(live.state(), State::Live, "{odd:?}");
        let (asked, later) = live.clone().lives(seconds(3500));
        assert!(!asked.contains(&Request::Check) && asked.len() > 300, "{odd:?}: {asked:?}");
        let (asked, _) = later.lives(seconds(600));
        assert!(asked.contains(&Request::Check), "it is tried again after an hour");

        // A session that lapses is noticed, and taken back, by pings alone.
        let lapsed = live.looks(Said::Status(LOST));
        assert_eq!(lapsed.state().name(), "recovering", "{odd:?}");
        let confirming =
            lapsed.answered(Request::Reauthenticate, Said::Accepted).answered(Request::ValidateSso, Said::Sso(VALID));
        let back = confirming.answered(Request::Ping, Said::Status(GOOD));
        assert_eq!(back.answered_well().state(), State::Live);

        // One that is live stays so.
        let mut s = Situation::new().live().answered(Request::Check, odd);
        assert_eq!(s.state(), State::Live);
        s = s.answered(Request::Ping, Said::Status(GOOD)).lives(seconds(60)).1;
        assert_eq!((s.state(), s.machine.since().mono < seconds(10)), (State::Live, true));

        // And a login is seen.
        let gone = Situation::new().answered(Request::Check, Said::LoginPage);
        let called = gone.answered(Request::Check, Said::LoginPage);
        let seen = called.answered(Request::Check, odd).answered(Request::Ping, Said::Status(GOOD));
        assert_eq!(seen.answered(Request::Accounts, Said::Accounts(USABLE)).state(), State::Live);
    }
}

/// Where neither is understood the ping still goes out, which keeps a session alive that cannot be seen.
#[test]
fn where_nothing_is_understood_it_is_pinged_all_the_same() {
    for (check, ping) in [(NONSENSE, NONSENSE), (ERROR, NONSENSE), (NONSENSE, Said::NoStatus), (ERROR, ERROR)] {
        let mut s = Situation::new();
        let (mut pings, mut changes) = (0, 0);
        while s.now.mono < seconds(3600) {
            let (_, request, asking) = s.next();
            let answer = match request {
                Request::Check => check,
                Request::Ping => ping,
                Request::IsListening => Said::Listening,
                Request::Reauthenticate
                | Request::OpenBrokerage { .. }
                | Request::ValidateSso
                | Request::Accounts
                | Request::EndSession
                | Request::HandshakeIbkr
                | Request::ProbeWebsocket => panic!("{request:?}"),
            };
            pings += u32::from(request == Request::Ping);
            let before = asking.state();
            s = asking.step(said(request, answer));
            changes += u32::from(s.state() != before);
        }
        assert!((100..=160).contains(&pings), "{check:?}, {ping:?}: {pings}");
        assert!(changes <= 2, "{check:?}, {ping:?}: {changes} changes");
    }
}

/// Nor does a session end because of a data call that cannot be understood, or that IBKR answers with an error for
/// hours.
#[test]
fn a_session_whose_data_cannot_be_read_is_kept_alive() {
    for data in [NONSENSE, ERROR, Said::Unavailable(Unavailability::EdgeRefused)] {
        for begins in [Situation::new(), Situation::new().live()] {
            let (mut s, mut last_ping) = (begins, Duration::ZERO);
            while s.now.mono < seconds(3600) {
                let (_, request, asking) = s.next();
                let answer = match request {
                    Request::Accounts => data,
                    Request::IsListening => Said::Listening,
                    Request::ValidateSso => Said::Sso(VALID),
                    Request::Check | Request::Ping => Said::Status(GOOD),
                    Request::Reauthenticate
                    | Request::OpenBrokerage { .. }
                    | Request::EndSession
                    | Request::HandshakeIbkr
                    | Request::ProbeWebsocket => {
                        panic!("{request:?}")
                    }
                };
                if request == Request::Ping {
                    last_ping = asking.now.mono;
                }
                assert!(asking.now.mono < last_ping + seconds(120), "{data:?}: no ping for two minutes");
                s = asking.step(said(request, answer));
            }
            assert_eq!(s.state().name(), "unavailable", "{data:?}");
        }
    }
}

/// Of what the stream says one check decides, and after that data.
#[test]
fn the_stream_alone_changes_nothing() {
    let live = || Situation::new().live().wait(seconds(5));
    for (denial, to) in [(LOST, "recovering"), (COMPETING, "contested"), (NOT_ESTABLISHED, "recovering")] {
        let pushed = live().step(Input::Push(denial));
        assert_eq!((pushed.state(), pushed.plan.request), (State::Live, Some(Request::Check)), "{denial:?}");
        assert_eq!(pushed.clone().checked(denial).state().name(), to);
        let refuted = pushed.checked(GOOD).answered(Request::Accounts, Said::Accounts(USABLE));
        assert_eq!((refuted.state(), refuted.machine.refutations()), (State::Live, 1));
        // Data that was asked for before it was said refutes nothing, and the session is looked at again.
        let proving = live().well_until(Request::Accounts).wait(seconds(1)).step(Input::Push(denial));
        let proved = proving.step(said(Request::Accounts, Said::Accounts(USABLE)));
        assert_eq!((proved.machine.refutations(), proved.plan.request), (0, Some(Request::Check)));
        assert_eq!(proved.checked(denial).state().name(), to);
    }
}

/// A stream that was refuted is still listened to, but with less urgency.
#[test]
fn a_stream_that_is_refuted_again_and_again_costs_no_more_than_an_operator() {
    let mut s = Situation::new().live();
    let (mut sent, mut farthest, mut last) = (Vec::new(), Duration::ZERO, s.now.mono);
    while s.now.mono < seconds(3600) {
        s = s.step(Input::Push(LOST));
        while let Some(request) = s.plan.request {
            sent.push(s.now.mono);
            (farthest, last) = (farthest.max(s.now.mono - last), s.now.mono);
            assert!(matches!(request, Request::Check | Request::Ping | Request::Accounts | Request::ValidateSso));
            s = s.answered_well();
        }
        s = s.wait(Duration::from_millis(250));
    }
    assert!(s.machine.refutations() > 100 && s.state() == State::Live, "{}", s.machine.refutations());
    let most =
        sent.iter().map(|from| sent.iter().filter(|at| *from <= **at && **at < *from + seconds(600)).count()).max();
    assert!(most.unwrap() <= 125 && farthest < seconds(30), "{most:?} in ten minutes, {farthest:?} apart");
}

/// An extra look is had even if something else is under way when it is asked for.
#[test]
fn no_look_that_was_asked_for_is_lost() {
    let slow = Policy { check_every: seconds(300), ping_every: seconds(7200), ..Policy::default() };
    let live = Situation::with(slow, 7).live();
    let validating = live.clone().well_until(Request::ValidateSso);
    let proving = live.clone().well_until(Request::Accounts);
    let connecting = live.well_until(Request::Check).step(said(Request::Check, SILENCE));
    let clock_set = |mut s: Situation| {
        s.now.wall += seconds(3600);
        s.step(Input::Wake)
    };
    for s in [validating, proving, connecting] {
        let request = s.plan.request.unwrap();
        for asks in [
            |s: Situation| s.step(Input::Check),
            |s: Situation| s.step(Input::Resume),
            |s: Situation| s.step(Input::Push(NOT_ESTABLISHED)),
            |s: Situation| s.step(Input::Push(LOST)),
            clock_set,
        ] {
            let mut asking = asks(s.clone()).wait(seconds(1));
            if asking.plan.request.is_none() {
                assert!(asking.plan.awaiting, "{request:?}");
                let answer = match request {
                    Request::ValidateSso => Said::Sso(VALID),
                    Request::Accounts => Said::Accounts(USABLE),
                    Request::Ping
                    | Request::Check
                    | Request::Reauthenticate
                    | Request::OpenBrokerage { .. }
                    | Request::IsListening
                    | Request::EndSession
                    | Request::HandshakeIbkr
                    | Request::ProbeWebsocket => Said::Listening,
                };
                asking = asking.step(said(request, answer));
            }
            let is_look = matches!(asking.plan.request, Some(Request::Check | Request::Ping));
            assert!(is_look, "{request:?}: {:?}", asking.plan);
        }
    }
}

/// A connection that has gone silent is no silent gateway: one other connection is tried before the state changes.
#[test]
fn silence_is_believed_after_another_connection() {
    let silent = Situation::new().live().answered(Request::Check, SILENCE);
    assert_eq!((silent.state(), silent.plan.request), (State::Live, Some(Request::IsListening)));
    let listening = silent.clone().step(said(Request::IsListening, Said::Listening));
    assert_eq!((listening.state(), listening.plan.request), (State::Live, Some(Request::Check)));
    let well = listening.clone().checked(GOOD);
    assert_eq!(well.state(), State::Live);
    assert_eq!(listening.answered(Request::Check, SILENCE).state(), State::Unavailable(Unavailability::NoAnswer));
    for trouble in [Unavailability::NothingListens, Unavailability::NoAnswer, Unavailability::Network] {
        let gone = silent.clone().step(said(Request::IsListening, Said::Unavailable(trouble)));
        assert_eq!(gone.state(), State::Unavailable(trouble));
    }
    // The same of a data call, whose other connection is that of a check.
    let proving = Situation::new().live().well_until(Request::Accounts).step(said(Request::Accounts, SILENCE));
    assert_eq!((proving.state(), proving.plan.request), (State::Live, Some(Request::Check)));
    assert_eq!(proving.clone().checked(GOOD).answered_well().state(), State::Live);
    assert_eq!(proving.answered(Request::Check, SILENCE).state(), State::Unavailable(Unavailability::NoAnswer));
}

/// An error in IBKR's name is IBKR's only if the gateway behind it answers for itself.
#[test]
fn a_proxy_is_not_taken_for_ibkr() {
    let error = Situation::new().answered(Request::Check, ERROR);
    assert_eq!(error.plan.request, Some(Request::IsListening));
    let ibkr = error.clone().answered(Request::IsListening, Said::Listening);
    assert_eq!(ibkr.state(), State::Unavailable(Unavailability::IbkrError));
    let proxy = error.answered(Request::IsListening, ERROR);
    assert_eq!(proxy.state(), State::Unavailable(Unavailability::NotAGateway));
    let still = proxy.answered(Request::Check, ERROR);
    assert_eq!(still.state(), State::Unavailable(Unavailability::NotAGateway), "until another look");
}

fn flapping() -> Situation {
    Situation::with(recovering(&[Method::Direct], 6), 7).live()
}

fn comes_back(mut s: Situation) -> Situation {
    while s.state() != State::Live {
        s = s.next().2.answered_well();
    }
    s.answered_well_if_asked()
}

/// What the operator does, what happens in a maintenance window, and an outage of the gateway or of IBKR are no
/// flapping.
#[test]
fn what_has_another_reason_is_no_flapping() {
    let lapses = |s: Situation| comes_back(s.denied(LOST));
    let logs_out = |s: Situation| {
        let out = s.step(Input::Logout);
        let out = if out.plan.awaiting { out } else { out.asks(Request::EndSession) };
        let out = out.step(said(Request::EndSession, Said::Ended));
        assert_eq!(out.state(), State::LoginRequired(Cause::ByOperator));
        comes_back(out)
    };
    let is_away = |s: Situation| {
        let away = s.looks(SILENCE);
        assert_eq!(away.state(), State::Unavailable(Unavailability::NoAnswer));
        // The outage has cost the session as well.
        let answers = away.answered(Request::IsListening, Said::Listening);
        comes_back(answers.checked(LOST).checked(LOST))
    };
    let in_a_window = |mut s: Situation| {
        s.machine.in_maintenance(true);
        let mut s = comes_back(s.denied(LOST).wait(seconds(5)));
        s.machine.in_maintenance(false);
        s
    };
    for excused in [logs_out, is_away, in_a_window] {
        let often = (0..6).fold(flapping(), |s, _| excused(s.wait(seconds(20))));
        assert!(!often.machine.is_flapping());
        // Each of these is two changes.
        let least = FLAPPING_CHANGES / 2;
        let few = (0..least).fold(often, |s, _| lapses(s.wait(seconds(20))));
        assert!(!few.machine.is_flapping());
        assert!(lapses(few.wait(seconds(20))).machine.is_flapping(), "what has no other reason still counts");
    }
}

/// What a daemon that was killed may have sent counts as sent in its last moment.
#[test]
fn what_was_sent_before_a_restart_counts_after_it() {
    let s = Situation::new();
    let wall = s.now.wall;
    let sent = |n: i64, ago: u64| (0..n).map(move |_| wall - seconds(ago));
    for (kept, may_send, after) in [
        (RateLimitState { requests: sent(149, 300).collect(), ..RateLimitState::default() }, 1, seconds(300)),
        (
            RateLimitState { requests: sent(140, 300).collect(), unrecorded: 9, ..RateLimitState::default() },
            1,
            seconds(300),
        ),
        (RateLimitState { requests: sent(149, 600).collect(), ..RateLimitState::default() }, 50, seconds(300)),
    ] {
        let mut s = Situation::new();
        s.machine.restore_limits(s.now, &kept);
        let mut requests = 0;
        s = s.step(Input::Wake);
        while s.now.mono < after {
            if s.plan.request.is_some() {
                requests += 1;
                s = s.answered_well();
            } else {
                let left = s.plan.wake_at - s.now.mono;
                s = s.wait(left).step(Input::Wake);
            }
        }
        assert!(requests <= may_send, "{requests} of {may_send}");
    }
    // Four in the very second before: the next waits for it to be over.
    let mut s = Situation::with(Policy::default(), 7);
    s.machine.restore_limits(s.now, &RateLimitState { unrecorded: 4, ..RateLimitState::default() });
    let s = s.answered_well();
    assert_eq!(s.plan.request, None);
    assert!(s.plan.wake_at >= seconds(1), "{:?}", s.plan);
}

/// What proved that a login was gone is no proof about the next one.
#[test]
fn a_login_that_was_seen_is_not_given_up_at_the_first_answer_without_one() {
    let goes_on = |s: Situation, has_login: bool, is_over: fn(State, Request) -> bool| {
        let mut s = s;
        loop {
            let (_, request, asking) = s.next();
            let answer = if matches!(request, Request::Check | Request::Ping) && !has_login {
                UNAUTHORIZED
            } else if request == Request::ValidateSso {
                Said::NoStatus
            } else if request == Request::Reauthenticate {
                Said::Accepted
            } else {
                Said::Status(LOST)
            };
            s = asking.step(said(request, answer));
            if is_over(s.state(), request) {
                return s;
            }
        }
    };
    let expired = goes_on(Situation::new(), false, |state, _| state == State::LoginRequired(Cause::Expired));
    let seen = goes_on(expired, true, |state, _| matches!(state, State::Recovering { .. }));
    let checked = goes_on(seen, false, |_, request| request == Request::Check);
    assert!(matches!(checked.state(), State::Recovering { .. }), "{:?}", checked.state());
}
