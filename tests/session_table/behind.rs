//! A busy gateway: the check and the data call that confirm an attempt wait for their turn together.

use std::time::Duration;

use support::{Said, said};
use tickled::session::{Input, Policy, Request, State, Unavailability};

use super::situation::{EMPTY, ERROR, GOOD, LOST, REFUSED, Situation, USABLE, seconds};

const DIRECT: Request = Request::OpenBrokerage { compete: false };
const SLOW: Duration = seconds(6);

/// The check that confirms an attempt is under way; each answer before it took `took`.
fn confirming(took: Duration) -> Situation {
    let late = |s: Situation, status| {
        let (_, request, asking) = s.next();
        asking.wait(took).step(said(request, Said::Status(status)))
    };
    let mut lost = Situation::with(Policy::default(), 7).live();
    while lost.state() == State::Live {
        lost = late(lost, LOST);
    }
    late(lost.asks(DIRECT), GOOD).asks(Request::Check)
}

/// The data call is under way as well.
fn both() -> Situation {
    let both = confirming(SLOW).step(Input::Wake);
    assert_eq!((both.plan.request, both.plan.standing), (Some(Request::Accounts), 2));
    both.wait(SLOW)
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

    let mut gone = both();
    while gone.plan.request != Some(Request::IsListening) {
        let left = gone.plan.wake_at.saturating_sub(gone.now.mono);
        gone = gone.wait(left).step(Input::Wake);
    }
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
}
