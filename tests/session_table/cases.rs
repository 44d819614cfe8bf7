//! What answers mean after more of a past than a row of the table has room for.

use support::{Said, said};
use tickled::session::{
    Account, Accounts, CONFIRM_WITHIN, Cause, Competing, Input, Method, Policy, Recovery, Request, Sso, State,
    StateReason, Step, Unavailability, WakeReason,
};

use super::situation::{
    COMPETING, EMPTY, ERROR, GOOD, LOST, NOT_ESTABLISHED, SILENCE, Situation, USABLE, VALID, recovering, seconds,
};

#[test]
fn a_good_word_of_the_stream_is_a_reason_to_ask_now() {
    let waiting = Situation::new().checked(LOST);
    assert_eq!(waiting.plan.request, None);
    assert_eq!(waiting.step(Input::Push(GOOD)).plan.request, Some(Request::Check));
}

#[test]
fn a_doubted_proof_is_asked_again_at_once_and_believed_the_second_time() {
    let proving = Situation::new().live().well_until(Request::Accounts);
    for (bad, state) in [
        (ERROR, State::Unavailable(Unavailability::IbkrError)),
        (SILENCE, State::Unavailable(Unavailability::NoAnswer)),
        (Said::Accounts(EMPTY), State::Recovering { attempt: 1, step: Step::Reauthenticate }),
    ] {
        let doubted = proving.clone().answered(Request::Accounts, bad);
        assert_eq!(doubted.state(), State::Live);
        let again = doubted.checked(GOOD);
        assert_eq!(again.plan.request, Some(Request::Accounts));
        assert_eq!(again.answered(Request::Accounts, bad).state(), state);
    }
}

#[test]
fn where_pings_are_gone_a_bad_check_is_asked_again_after_a_second() {
    let pinging = Situation::new().live().well_until(Request::Ping);
    let without = pinging.answered(Request::Ping, Said::Unsupported).checked(GOOD);
    let (pause, again, _) = without.well_until(Request::Check).checked(LOST).next();
    assert_eq!((pause, again), (seconds(1), Request::Check));
}

#[test]
fn a_session_on_its_way_is_waited_for_before_it_is_asked_for() {
    let seen = Situation::new().wait(seconds(100)).checked(NOT_ESTABLISHED).checked(NOT_ESTABLISHED);
    let waits = State::Recovering { attempt: 1, step: Step::Check };
    assert_eq!(seen.state(), waits);
    let until = seen.now.mono + CONFIRM_WITHIN;
    let mut waiting = seen;
    while waiting.now.mono < until {
        assert_eq!(waiting.state(), waits);
        waiting = waiting.checked(NOT_ESTABLISHED);
    }
    assert_eq!(waiting.state(), State::Recovering { attempt: 1, step: Step::Reauthenticate });
}

/// While another client may use the session, the gateway's own method, which evicts it, is only used when its flag is
/// down and there is no other; leaving them alone costs no attempt.
#[test]
fn somebody_else_is_evicted_only_where_there_is_no_other_way() {
    let direct = Request::OpenBrokerage { compete: false };
    let gone_before = |s: Situation| s.checked(COMPETING).checked(LOST).checked(LOST);
    let only_way = gone_before(Situation::with(recovering(&[Method::Gateway], 6), 7));
    assert_eq!(only_way.plan.request, Some(Request::Reauthenticate));
    let both = gone_before(Situation::with(recovering(&[Method::Gateway, Method::Direct], 6), 7));
    assert_eq!(both.plan.request, Some(direct));
    let left = both.answered(direct, Said::Unsupported);
    assert_eq!(left.plan.request, Some(Request::Reauthenticate));

    let policy = Policy { competing: Competing::TakeOver, ..recovering(&[Method::Direct], 6) };
    let fighting = Situation::with(policy, 7).lapsed().answered(direct, Said::Status(COMPETING));
    assert_eq!(fighting.state(), State::Recovering { attempt: 2, step: Step::Reauthenticate });
    assert_eq!(fighting.plan.request, Some(Request::OpenBrokerage { compete: true }));
}

#[test]
fn a_gateway_that_knows_of_no_login_is_believed_where_there_is_no_way_past_it() {
    let asking = |methods: &[Method]| Situation::with(recovering(methods, 6), 7).lapsed();
    let only_way = asking(&[Method::Gateway]).answered(Request::Reauthenticate, Said::NotLoggedIn);
    assert_eq!(only_way.checked(LOST).state(), State::LoginRequired(Cause::NeverLoggedIn));
    let both = asking(&[Method::Gateway, Method::Direct]).answered(Request::Reauthenticate, Said::NotLoggedIn);
    assert_eq!(both.plan.request, Some(Request::OpenBrokerage { compete: false }));
}

#[test]
fn an_incident_begins_with_what_was_seen_and_not_with_what_the_operator_did() {
    let lost = Situation::new().live().wait(seconds(5)).denied(LOST);
    assert_eq!(lost.machine.outage_since(), Some(lost.now));
    let out = Situation::new().live().step(Input::Logout).answered(Request::EndSession, Said::Ended);
    assert_eq!(out.checked(LOST).machine.outage_since(), None);
}

#[test]
fn an_account_is_wrong_where_it_is_not_of_the_kind_that_was_chosen() {
    for (account, is_paper, is_wrong) in [
        (Account::Any, Some(true), false),
        (Account::Live, Some(true), true),
        (Account::Live, Some(false), false),
        (Account::Live, None, false),
        (Account::Paper, Some(false), true),
        (Account::Paper, Some(true), false),
        (Account::Paper, None, false),
    ] {
        let proved = Situation::with(Policy { account, ..Policy::default() }, 7)
            .checked(GOOD)
            .answered(Request::Accounts, Said::Accounts(Accounts { usable: true, is_paper }));
        assert_eq!(
            (proved.state(), proved.machine.is_wrong_account()),
            (State::Live, is_wrong),
            "{account:?} {is_paper:?}"
        );
    }
}

#[test]
fn what_the_session_cannot_be_kept_without_is_never_left_out() {
    let direct = Request::OpenBrokerage { compete: false };
    for request in [Request::Ping, Request::Reauthenticate, direct, Request::ValidateSso] {
        assert!(request.can_be_left_out(), "{request:?}");
    }
    for request in [Request::Check, Request::Accounts, Request::IsListening, Request::EndSession] {
        assert!(!request.can_be_left_out(), "{request:?}");
    }
}

#[test]
fn a_logout_by_the_operator_stays_one_whoever_uses_the_login_then() {
    let out = Situation::new().live().step(Input::Logout).answered(Request::EndSession, Said::Ended);
    assert_eq!(out.state(), State::LoginRequired(Cause::ByOperator));
    let used = out.checked(COMPETING);
    assert_eq!(used.state(), State::LoginRequired(Cause::ByOperator));
    let ended = used.answered(Request::Check, Said::Unauthorized);
    assert_eq!(ended.state(), State::LoginRequired(Cause::ByOperator));
}

/// The session may have ended although no answer says so: nothing takes it back, and if it has not ended, a check shows
/// that.
#[test]
fn a_logout_whose_answer_is_lost_is_not_undone() {
    let no_answer = Said::Unavailable(Unavailability::NoAnswer);
    let nonsense = Said::Unavailable(Unavailability::Nonsense);
    for lost in [no_answer, ERROR, nonsense, Said::Unauthorized, Said::LoginPage] {
        let out = Situation::new().live().step(Input::Logout).answered(Request::EndSession, lost);
        assert_eq!(out.state(), State::LoginRequired(Cause::ByOperator), "{lost:?}");
        let mut s = out.clone();
        while s.now.mono < seconds(1200) {
            let (_, request, asking) = s.next();
            assert_eq!(request, Request::Check, "{lost:?}");
            s = asking.checked(LOST);
        }
        assert_eq!(s.state(), State::LoginRequired(Cause::ByOperator), "{lost:?}");
        let still_there = out.checked(GOOD).answered(Request::Accounts, Said::Accounts(USABLE));
        assert_eq!(still_there.state(), State::Live, "{lost:?}");
    }
    // Where it certainly was not carried out, all stays as it is.
    let refused = Said::Unavailable(Unavailability::NothingListens);
    let tried = Situation::new().live().step(Input::Logout).answered(Request::EndSession, refused);
    assert_eq!(tried.state(), State::Live);
}

/// What the other side makes of a logout may be heard of before its answer.
#[test]
fn a_logout_is_carried_out_whatever_comes_between() {
    let live = Situation::new().live();
    let in_flight = live.clone().step(Input::Logout);
    assert_eq!(in_flight.plan.request, Some(Request::EndSession));
    // Four requests in this second already.
    let waiting = (0..3).fold(live, |s, _| s.step(Input::Check).checked(GOOD)).step(Input::Logout);
    assert_eq!(waiting.plan.request, None);
    let clock_set = |mut s: Situation| {
        s.now.wall += seconds(3600);
        s.step(Input::Wake)
    };
    for ending in [in_flight, waiting] {
        for between in [
            |s: Situation| s.step(Input::Push(LOST)),
            |s: Situation| s.step(Input::Push(COMPETING)),
            |s: Situation| s.step(Input::Push(GOOD)),
            |s: Situation| s.step(Input::Check),
            |s: Situation| s.step(Input::Resume),
            clock_set,
        ] {
            let mut ended = between(ending.clone());
            if !ended.plan.awaiting {
                ended = ended.asks(Request::EndSession);
            }
            let ended = ended.step(said(Request::EndSession, Said::Ended));
            assert_eq!(ended.state(), State::LoginRequired(Cause::ByOperator));
        }
    }
}

#[test]
fn a_borrowed_login_that_ends_needs_no_more_than_a_new_one() {
    let borrowed = Said::Sso(Sso { borrowed: true, ..VALID });
    let asking = Situation::with(recovering(&[Method::Gateway], 1), 7).lapsed();
    let called = asking
        .answered(Request::Reauthenticate, Said::Accepted)
        .answered(Request::ValidateSso, borrowed)
        .looks(Said::Status(LOST));
    assert_eq!(called.state(), State::LoginRequired(Cause::Borrowed));
    let ended = called.answered(Request::Check, Said::Unauthorized);
    assert_eq!(ended.state(), State::LoginRequired(Cause::Expired));
}

/// `RESULT` flickers around the moment of a success, so that it is proof only when it is still false after a minute.
#[test]
fn a_login_that_is_invalid_for_a_minute_is_gone() {
    let mut s = Situation::with(recovering(&[Method::Gateway], 3), 7).lapsed();
    let mut asked = Vec::new();
    while matches!(s.state(), State::Recovering { .. }) {
        let (_, request, asking) = s.next();
        let observation = if request == Request::ValidateSso {
            asked.push(asking.now.mono);
            Said::Sso(Sso { valid: false, ..VALID })
        } else if request == Request::Reauthenticate {
            Said::Accepted
        } else {
            Said::Status(LOST)
        };
        s = asking.step(said(request, observation));
    }
    assert_eq!(s.state(), State::LoginRequired(Cause::Expired));
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked[1] - asked[0] >= seconds(60), "{asked:?}");
}

/// When all attempts have failed, what was seen of the login meanwhile says why.
#[test]
fn exhausted_attempts_are_told_with_what_they_look_like() {
    let policy = || recovering(&[Method::Gateway], 1);
    let lived = || Situation::with(policy(), 7).lapsed();
    let never = || Situation::with(policy(), 7).checked(LOST).checked(LOST);
    for (lapsed, sso, cause) in [
        (lived(), Said::Sso(VALID), Cause::Exhausted),
        (never(), Said::Sso(VALID), Cause::NotEnabled),
        (lived(), Said::Sso(Sso { borrowed: true, ..VALID }), Cause::Borrowed),
        (never(), Said::Sso(Sso { borrowed: true, ..VALID }), Cause::Borrowed),
        (lived(), Said::Sso(Sso { valid: false, ..VALID }), Cause::LoggedOut),
        (never(), Said::Sso(Sso { valid: false, ..VALID }), Cause::LoggedOut),
        (lived(), ERROR, Cause::Exhausted),
        (never(), ERROR, Cause::Exhausted),
    ] {
        let called = lapsed
            .answered(Request::Reauthenticate, Said::Accepted)
            .answered(Request::ValidateSso, sso)
            .looks(Said::Status(LOST));
        assert_eq!(called.state(), State::LoginRequired(cause), "{sso:?}");
    }
}

/// Three answers in a row as if no user were logged in, over five seconds, are proof where `validate_sso` gave none.
#[test]
fn a_login_that_three_checks_miss_is_gone() {
    let lived = || Situation::new().lapsed();
    let never = || Situation::new().checked(LOST).checked(LOST);
    for (lapsed, sso, cause) in [
        (lived(), Said::Sso(VALID), Cause::Expired),
        (never(), Said::Sso(VALID), Cause::NotEnabled),
        (lived(), ERROR, Cause::Expired),
        (never(), ERROR, Cause::Expired),
    ] {
        let asked = lapsed.answered(Request::Reauthenticate, Said::Accepted).answered(Request::ValidateSso, sso);
        let mut missed = asked.answered(Request::Check, Said::Unauthorized);
        let (since, mut times) = (missed.now.mono, 1);
        while matches!(missed.state(), State::Recovering { .. }) {
            missed = missed.answered(Request::Check, Said::Unauthorized);
            times += 1;
        }
        assert_eq!(missed.state(), State::LoginRequired(cause), "{sso:?}");
        let lasted = missed.now.mono - since;
        assert!(times >= 3 && seconds(5) <= lasted && lasted < seconds(7), "{times} times in {lasted:?}");
    }
    // Two of them prove nothing, however far apart.
    let once = lived().answered(Request::Reauthenticate, Said::Accepted).answered(Request::ValidateSso, ERROR);
    let once = once.answered(Request::Check, Said::Unauthorized).asks(Request::Check).wait(seconds(6));
    let twice = once.step(said(Request::Check, Said::Unauthorized));
    assert_eq!(twice.state().name(), "recovering");
}

/// Who is there is asked when an answer begins to make no sense, and not each time that it makes none.
#[test]
fn nonsense_is_looked_into_once() {
    let nonsense = Said::Unavailable(Unavailability::Nonsense);
    let looked = Situation::new().answered(Request::Check, nonsense).answered(Request::IsListening, Said::Listening);
    assert_eq!(looked.state(), State::Unavailable(Unavailability::Nonsense));
    let again = looked.answered(Request::Ping, nonsense).answered(Request::Check, nonsense);
    let (pause, asked, _) = again.answered(Request::Ping, nonsense).next();
    assert!(asked == Request::Check && pause > seconds(1), "{asked:?} after {pause:?}");
}

/// A session that IBKR leaves to another client needs no login.
#[test]
fn whom_ibkr_leaves_the_session_to_is_left_alone() {
    let policy = Policy { competing: Competing::TakeOver, ..recovering(&[Method::Direct], 3) };
    let mut s = Situation::with(policy, 7).live().denied(COMPETING);
    let mut evictions = 0;
    while s.state().name() == "recovering" {
        let (_, request, asking) = s.next();
        evictions += usize::from(request == Request::OpenBrokerage { compete: true });
        let answer = if request == Request::ValidateSso { Said::Sso(VALID) } else { Said::Status(COMPETING) };
        s = asking.step(said(request, answer));
    }
    assert_eq!((s.state(), s.machine.reason(), evictions), (State::Contested, StateReason::Outfought, 3));
    let left = s.checked(LOST).checked(LOST);
    assert_eq!(left.state().name(), "recovering", "they have gone");
    // Once that client has left and there is still no session, a login is needed.
    assert_eq!(left.looks(Said::Status(LOST)).state(), State::LoginRequired(Cause::Exhausted));
}

/// What was suspected before a silence, or before it turned out to be so or not, counts for nothing after it.
#[test]
fn a_suspicion_that_is_over_is_forgotten() {
    let silent = |s: Situation| s.step(Input::Pause { until: None }).step(Input::Resume);
    let lost = silent(Situation::new().live().checked(LOST));
    assert_eq!(lost.checked(LOST).state(), State::Starting, "it is asked again");

    let unauthorized = |s: Situation| s.answered(Request::Check, Said::Unauthorized);
    let asked = unauthorized(unauthorized(Situation::new()));
    let concluding = silent(asked.answered(Request::Reauthenticate, Said::NotLoggedIn));
    assert_eq!(unauthorized(concluding).state(), State::Starting, "it is asked again");

    let proving = Situation::new().live().well_until(Request::Accounts);
    let doubted = proving.step(said(Request::Accounts, Said::Accounts(EMPTY)));
    let proved = doubted.checked(GOOD).answered_well();
    assert_eq!(proved.checked(GOOD).plan.request, None, "it is proved");
}

/// A new login has an age of its own.
#[test]
fn the_age_of_a_login_is_asked_again_after_whatever_may_have_ended_it() {
    let aged = |s: Situation| s.well_until(Request::ValidateSso).answered_well();
    let age = |s: &Situation| s.now.mono - s.machine.since().mono;
    let first = Situation::new().live().well_until(Request::ValidateSso);
    assert!((seconds(60)..seconds(75)).contains(&age(&first)), "{:?}", age(&first));
    let aged_sso = Said::Sso(Sso { auth_time: Some(first.now.wall), ..VALID });
    let known = first.step(said(Request::ValidateSso, aged_sso));
    let (asked, later) = known.lives(seconds(7200));
    assert!(!asked.contains(&Request::ValidateSso), "once is enough");
    let back = later.step(Input::Pause { until: None }).step(Input::Resume).checked(GOOD).answered_well();
    let again = aged(back);
    assert!(age(&again) < seconds(75), "{:?}", age(&again));
    // Without an answer of use it is asked again, in an hour.
    let (_, _, unknown) = again.next();
    let unknown = unknown.answered_well().well_until(Request::ValidateSso);
    assert!((seconds(3600)..seconds(3700)).contains(&age(&unknown)), "{:?}", age(&unknown));
}

/// A pause ends by whichever clock comes first: one stands still while the host sleeps, the other may be set back.
#[test]
fn a_pause_ends_whatever_the_clocks_do() {
    let paused = || {
        let live = Situation::new().live();
        let until = Some(live.now.wall + seconds(3600));
        live.step(Input::Pause { until })
    };
    let mut slept = paused();
    slept.now.wall += seconds(2 * 3600);
    let left = slept.plan.wake_at - slept.now.mono;
    assert!(left <= seconds(60), "{left:?}");
    assert_eq!(slept.wait(left).step(Input::Wake).state(), State::Starting);

    let mut set_back = paused();
    set_back.now.wall -= seconds(24 * 3600);
    let (pause, asked, begun) = set_back.next();
    assert_eq!((pause, asked, begun.state()), (seconds(3600), Request::Check, State::Starting));
}

/// A data call that is not known is believed to be gone when it says so twice; and it is asked all the same.
#[test]
fn a_data_call_that_is_gone_is_no_proof() {
    let gone = || Situation::new().checked(GOOD).answered(Request::Accounts, Said::Unsupported);
    let empty = gone().checked(GOOD).answered(Request::Accounts, Said::Accounts(EMPTY));
    assert_eq!(empty.state(), State::Starting);
    let alone = gone().checked(GOOD).answered(Request::Accounts, Said::Unsupported);
    assert_eq!((alone.state(), alone.machine.reason()), (State::Live, StateReason::FlagsAlone));
    let asked = alone.well_until(Request::Accounts);
    let still = asked.clone().step(said(Request::Accounts, Said::Unsupported));
    assert_eq!((still.state(), still.machine.reason()), (State::Live, StateReason::FlagsAlone));
    assert_ne!(still.plan.reason, WakeReason::AskAgain, "it is known");
    let proved = asked.answered_well();
    assert_eq!((proved.state(), proved.machine.reason()), (State::Live, StateReason::DataConfirmed));
}

/// Whether the hour is spent does not change while it is looked whether the session is back.
#[test]
fn a_look_in_between_gives_no_attempt_back() {
    let policy = recovering(&[Method::Direct], 3);
    let max_per_hour = 3;
    let policy = Policy { recovery: Recovery { max_per_hour, ..policy.recovery }, ..policy };
    let comes_back = |mut s: Situation| {
        while s.state() != State::Live {
            s = s.next().2.answered_well();
        }
        s
    };
    let live = (0..max_per_hour).fold(Situation::with(policy, 7).live(), |s, _| comes_back(s.denied(LOST)));
    assert!(!live.machine.is_out_of_attempts());
    let lost = live.denied(LOST);
    assert!(lost.machine.is_out_of_attempts());
    let asking = lost.asks(Request::Check);
    assert!(asking.machine.is_out_of_attempts());
    let still = asking.step(said(Request::Check, Said::Status(LOST)));
    assert!(still.machine.is_out_of_attempts());
    assert!(!comes_back(still).machine.is_out_of_attempts());
}
