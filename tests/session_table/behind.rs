//! A busy gateway: the check and the data call that confirm an attempt wait for their turn together.

use std::time::Duration;

use support::{Said, said};
use tickled::session::{Cause, Input, Method, Policy, RateLimitState, Request, State, Unavailability};

use super::situation::{
    EMPTY, ERROR, GOOD, LOST, NOT_ESTABLISHED, REFUSED, SILENCE, Situation, USABLE, recovering, seconds,
};

const DIRECT: Request = Request::OpenBrokerage { compete: false };
const SLOW: Duration = seconds(6);

/// The session is asked for; the answer is due. Each one before it took `took`.
fn asking(policy: Policy, took: Duration) -> Situation {
    let mut lost = Situation::with(policy, 7).live();
    while lost.state() == State::Live {
        let (_, request, asking) = lost.next();
        lost = asking.wait(took).step(said(request, Said::Status(LOST)));
    }
    lost.asks(DIRECT).wait(took)
}

fn granted(s: Situation) -> Situation {
    s.step(said(DIRECT, Said::Status(GOOD))).asks(Request::Check)
}

/// The check that confirms an attempt is under way.
fn confirming(took: Duration) -> Situation {
    granted(asking(Policy::default(), took))
}

/// The data call is under way as well.
fn both() -> Situation {
    let both = confirming(SLOW).step(Input::Wake);
    assert_eq!((both.plan.request, both.plan.standing), (Some(Request::Accounts), 2));
    both.wait(SLOW)
}

/// Lets time pass, and the gateway's process answer, until the machine is there.
fn passes(mut s: Situation, is_there: impl Fn(&Situation) -> bool) -> Situation {
    while !is_there(&s) {
        let left = s.plan.wake_at.saturating_sub(s.now.mono);
        s = if s.plan.request == Some(Request::IsListening) {
            s.step(said(Request::IsListening, Said::Listening))
        } else {
            s.wait(left).step(Input::Wake)
        };
    }
    s
}

fn answers(s: Situation, request: Request, observation: Said) -> Situation {
    s.step(said(request, observation))
}

fn checked(s: Situation, status: tickled::session::Status) -> Situation {
    answers(s, Request::Check, Said::Status(status))
}

#[test]
fn both_are_answered_in_either_order() {
    let data = |s, accounts| answers(s, Request::Accounts, Said::Accounts(accounts));
    let good = checked(both(), GOOD);
    assert_eq!((good.plan.request, good.plan.standing, good.state().name()), (None, 1, "recovering"));
    assert_eq!(data(good.clone(), USABLE).state(), State::Live);
    assert_eq!(data(good, EMPTY).next().1, Request::Check);

    let early = data(both(), USABLE);
    assert_eq!((early.plan.request, early.plan.standing, early.state().name()), (None, 1, "recovering"));
    assert_eq!(checked(early.clone(), GOOD).state(), State::Live);
    assert_eq!(checked(early, LOST).state().name(), "recovering");

    // What is no proof is dropped, and the call is repeated after the check.
    for useless in [Said::Accounts(EMPTY), Said::Unauthorized, ERROR] {
        let s = checked(answers(both(), Request::Accounts, useless), GOOD);
        assert_eq!((s.plan.request, s.state().name()), (Some(Request::Accounts), "recovering"), "{useless:?}");
    }
    let broken = both().step(Input::Unanswered(Request::Accounts));
    assert_eq!((broken.plan.request, broken.plan.standing), (None, 1));
    assert_eq!(checked(broken, GOOD).plan.request, Some(Request::Accounts));
    let refused =
        answers(both(), Request::Accounts, Said::Unavailable(Unavailability::TooManyRequests { retry_after: None }));
    assert_eq!(refused.machine.rate_limit_state(refused.now).quiet_until, Some(refused.now.wall + seconds(900)));
}

/// It counts among those that the gateway holds, whatever becomes of the check.
#[test]
fn a_data_call_that_is_left_to_itself_is_counted_until_it_is_answered() {
    let lost = checked(both(), LOST);
    assert_eq!((lost.plan.request, lost.plan.standing), (Some(DIRECT), 2));
    assert_eq!(lost.machine.rate_limit_state(lost.now).unanswered.len(), 1);
    let answered = answers(lost, Request::Accounts, Said::Accounts(USABLE));
    assert_eq!((answered.state().name(), answered.plan.request, answered.plan.standing), ("recovering", None, 1));

    // IBKR falls silent: no third one is sent.
    let mut silent = both();
    assert_eq!(silent.machine.rate_limit_state(silent.now).unanswered.len(), 2);
    for _ in 0..200 {
        let left = silent.plan.wake_at.saturating_sub(silent.now.mono);
        silent = silent.wait(left).step(Input::Wake);
        assert!(
            silent.plan.standing <= 2 && !silent.plan.request.is_some_and(Request::is_proxied),
            "{:?}",
            silent.plan
        );
        if silent.plan.request == Some(Request::IsListening) {
            silent = silent.step(said(Request::IsListening, Said::Listening));
        }
    }
    assert_eq!(silent.state(), State::Unavailable(Unavailability::IbkrSilent));
    for late in [checked(silent.clone(), GOOD), answers(silent, Request::Accounts, Said::Accounts(USABLE))] {
        assert_eq!(late.plan.request, Some(Request::Check), "what is late proves nothing but that IBKR answers");
        assert_eq!(checked(late, GOOD).answered(Request::Accounts, Said::Accounts(USABLE)).state(), State::Live);
    }

    let gone = passes(both(), |s| s.plan.request == Some(Request::IsListening));
    let gone = gone.step(said(Request::IsListening, REFUSED));
    assert_eq!(
        (gone.plan.request, gone.plan.standing),
        (Some(Request::Check), 1),
        "the process is gone, and all that it held"
    );
}

/// Where answers come in time, the data call follows good flags.
#[test]
fn a_gateway_that_is_not_busy_is_asked_one_after_the_other() {
    let s = confirming(seconds(1)).step(Input::Wake);
    assert_eq!((s.plan.request, s.plan.standing), (None, 1));
    let again = checked(both(), LOST);
    assert_eq!(again.plan.request, Some(DIRECT), "what was granted and is lost again is asked for again at once");
    let soon = checked(confirming(seconds(5)).wait(seconds(5)), LOST);
    assert_eq!(soon.next().1, Request::Check, "but not in the first six seconds");
}

/// Only the first check after the grant, only within the limits, and only if the gateway holds nothing else of ours.
#[test]
fn few_checks_are_followed_at_once() {
    let second = checked(answers(both(), Request::Accounts, Said::Accounts(EMPTY)), NOT_ESTABLISHED);
    let second = second.asks(Request::Check).step(Input::Wake);
    assert_eq!((second.plan.request, second.plan.standing), (None, 1), "the second check");

    let limited = |kept: fn(&Situation) -> RateLimitState| {
        let mut s = asking(Policy::default(), SLOW);
        let kept = kept(&s);
        s.machine.restore_limits(s.now, &kept);
        granted(s).step(Input::Wake)
    };
    let full = limited(|s| RateLimitState { requests: vec![s.now.wall; 3], ..RateLimitState::default() });
    assert_eq!((full.plan.request, full.plan.standing), (None, 1), "a fifth request in this second");
    assert_eq!(full.clone().next().1, Request::Accounts, "once there is room");
    let mut jumped = full;
    jumped.now.wall += seconds(3600);
    let again = jumped.step(Input::Wake).asks(Request::Check).step(Input::Wake);
    assert_eq!((again.plan.request, again.plan.standing), (None, 2), "the clock was set: the first check stands");

    let two = limited(|s| RateLimitState { written_off: vec![s.now.wall; 2], ..RateLimitState::default() });
    assert_eq!(two.plan.request, Some(Request::Accounts));
    let three = limited(|s| RateLimitState { written_off: vec![s.now.wall; 3], ..RateLimitState::default() });
    assert_eq!((three.plan.request, three.plan.standing), (None, 1), "one connection is left to others");
}

/// After the check the data call is waited for as any other: once it is overdue the gateway's process is watched beside it. If the
/// check says nothing it is not waited for.
#[test]
fn a_data_call_is_waited_for_after_good_flags() {
    let overdue = checked(both().wait(seconds(9)), GOOD);
    assert_eq!((overdue.plan.request, overdue.plan.standing), (Some(Request::IsListening), 1));
    let late = passes(both(), |s| s.now.mono >= overdue.now.mono + seconds(5));
    let watched = checked(late, GOOD).step(said(Request::IsListening, Said::Listening));
    assert_eq!((watched.plan.request, watched.plan.standing), (None, 1));
    assert_eq!(answers(watched, Request::Accounts, Said::Accounts(USABLE)).state(), State::Live);

    for (useless, next) in [(SILENCE, Request::IsListening), (ERROR, Request::Ping)] {
        let s = answers(both(), Request::Check, useless);
        assert_eq!((s.plan.request, s.state().name()), (Some(next), "recovering"), "{useless:?}");
    }
}

/// Both stand until IBKR is taken to be silent, and are answered after all, in either order: neither is taken to be held.
#[test]
fn two_that_were_late_together_are_not_written_off() {
    let counted = |s: &Situation| {
        let kept = s.machine.rate_limit_state(s.now);
        (s.plan.standing, kept.unanswered.len(), kept.written_off.len())
    };
    let silent = passes(both(), |s| s.state().name() == "unavailable").wait(seconds(5));
    let (check, data) = (said(Request::Check, Said::Status(GOOD)), said(Request::Accounts, Said::Accounts(USABLE)));
    let first = silent.clone().step(check);
    assert_eq!((first.plan.request, counted(&first)), (Some(Request::Check), (2, 1, 0)), "the other one is awaited");
    let second = first.clone().step(data);
    assert_eq!((second.state().name(), counted(&second)), ("unavailable", (1, 0, 0)), "it proves nothing");
    let live = second.step(check).answered(Request::Accounts, Said::Accounts(USABLE));
    assert_eq!((live.state(), counted(&live).2), (State::Live, 0));
    let swapped = silent.clone().step(data).step(check).asks(Request::Accounts).step(check);
    assert_eq!((swapped.plan.request, counted(&swapped)), (None, (1, 0, 0)));

    // One that stays unanswered while later ones are answered is taken to be held; so is one whose connection broke.
    let never = first.step(check);
    assert_eq!(counted(&never).2, 1);
    let broken = silent.step(Input::Unanswered(Request::Accounts));
    assert_eq!(counted(&broken.step(check)).2, 1);
}

/// The answer to a request that was left to itself is a sign of life: what stands beside it may be slow.
#[test]
fn an_answer_to_another_request_is_a_sign_of_life() {
    for (is_answered, lasts) in [(false, 45), (true, 120)] {
        let asked = checked(both(), LOST).asks(DIRECT);
        let began = asked.now.mono;
        let mut s = passes(asked, |s| s.now.mono >= began + seconds(20));
        if is_answered {
            s = answers(s, Request::Accounts, Said::Accounts(USABLE));
        }
        let given_up = passes(s, |s| s.state().name() != "recovering");
        assert_eq!(given_up.now.mono - began, seconds(lasts));
    }
}

/// The last attempt is given its time before a human is called, whatever the gateway does in it.
#[test]
fn the_last_attempt_is_not_cut_short() {
    let policy = recovering(&[Method::Direct, Method::Gateway], 1);
    let lost = checked(granted(asking(policy, SLOW)).wait(SLOW), LOST);
    assert_eq!((lost.state().name(), lost.clone().next().1), ("recovering", Request::Check));
    assert_eq!(lost.looks(Said::Status(LOST)).state(), State::LoginRequired(Cause::Exhausted));
}
