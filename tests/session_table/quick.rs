//! The quick ways: the next method, the stream's word, a login that is expected, a data call on request.

use std::time::Duration;

use support::{Said, said};
use tickled::session::{Input, Method, Policy, Request, State, Status};

use super::situation::{
    COMPETING, EMPTY, ERROR, GOOD, LOST, NOT_ESTABLISHED, Situation, USABLE, VALID, recovering, seconds,
};

/// The next method follows a refusal at once, and six seconds after an attempt that came to nothing. After the last method the
/// session is waited for, and there is a pause.
#[test]
fn a_method_that_fails_is_followed_by_the_next_one() {
    let direct = Request::OpenBrokerage { compete: false };
    let lapsed = || Situation::with(Policy::default(), 7).lapsed().asks(direct);
    for refusal in [Said::Unauthorized, Said::NoStatus, Said::Unsupported, ERROR, Said::Status(LOST)] {
        let (pause, next, _) = lapsed().step(said(direct, refusal)).next();
        assert_eq!((pause, next), (Duration::ZERO, Request::Reauthenticate), "after {refusal:?}");
    }
    let competing = lapsed().step(said(direct, Said::Status(COMPETING)));
    assert_eq!((competing.state(), competing.next().1), (State::Contested, Request::Check));
    let on_its_way = lapsed().step(said(direct, Said::Status(NOT_ESTABLISHED)));
    assert_eq!(on_its_way.next().1, Request::ValidateSso, "it was granted");

    let in_vain = |mut s: Situation| {
        let began = s.now.mono;
        loop {
            let (_, request, asking) = s.next();
            if request.is_attempt() {
                return (asking.now.mono - began, request, asking);
            }
            let answer = if request == Request::ValidateSso { Said::Sso(VALID) } else { Said::Status(LOST) };
            s = asking.step(said(request, answer));
        }
    };
    let triggered = Situation::new().lapsed().answered(Request::Reauthenticate, Said::Accepted);
    let (after, request, asking) = in_vain(triggered);
    assert_eq!((after, request), (seconds(6), direct));
    let (after, request, _) = in_vain(asking.step(said(direct, Said::Status(LOST))));
    assert_eq!(request, Request::Reauthenticate);
    assert!(after >= seconds(34) && after <= seconds(41), "30 s and a pause after the last method, not {after:?}");
}

const DIRECT: Request = Request::OpenBrokerage { compete: false };

/// A lapse that the stream reported, after so many requests in the same second.
fn denied(polls: usize) -> Situation {
    let live = Situation::with(Policy::default(), 7).live().wait(seconds(5));
    (0..polls).fold(live, |s, _| s.step(Input::Check).answered_well()).denied(LOST)
}

/// After the stream has denied the session, and the session was asked for, good flags on the stream stand for the check.
#[test]
fn the_stream_confirms_an_attempt() {
    let granted = said(DIRECT, Said::Status(GOOD));
    let (push, asking) = (|status| Input::Push(status), |polls| denied(polls).asks(DIRECT));
    let proves = |s: Situation| {
        assert_eq!(s.plan.request, Some(Request::Accounts), "{:?}", s.plan);
        assert_eq!(s.machine.facts().last_good.map(|at| at.mono), Some(s.now.mono));
        assert_eq!(s.clone().answered(Request::Accounts, Said::Accounts(USABLE)).state(), State::Live);
        assert_eq!(s.answered(Request::Accounts, Said::Accounts(EMPTY)).next().1, Request::Check);
    };
    proves(asking(0).step(push(GOOD)).step(granted));
    proves(asking(0).step(push(GOOD)).step(push(LOST)).step(push(GOOD)).step(granted));
    // With three requests in this second the check waits for the next one, where its data call can follow at once.
    let granted_first = asking(1).step(granted);
    assert_eq!(granted_first.plan.request, None);
    proves(granted_first.clone().step(push(GOOD)));
    assert_eq!(granted_first.clone().step(push(LOST)).next().1, Request::Check, "bad flags are checked");
    let (waited, request, checking) = granted_first.next();
    assert_eq!((waited, request), (seconds(1), Request::Check));
    let (waited, request, _) = checking.checked(GOOD).next();
    assert_eq!((waited, request), (Duration::ZERO, Request::Accounts));

    let checks = |s: Situation, why: &str| {
        assert_eq!(s.plan.request, Some(Request::Check), "{why}");
        let pushed = s.step(push(GOOD));
        assert_eq!((pushed.plan.request, pushed.plan.awaiting), (None, true), "{why}");
        assert_eq!(pushed.checked_now(GOOD).next().1, Request::Accounts, "{why}");
    };
    checks(asking(0).step(granted), "nothing was pushed");
    checks(asking(0).step(push(GOOD)).step(push(LOST)).step(granted), "it was denied again");
    let before = denied(3);
    assert_eq!(before.plan.request, None, "a fifth request in this second");
    checks(before.step(push(GOOD)).asks(DIRECT).step(granted), "pushed before the session was asked for");
    let polled = Situation::with(Policy::default(), 7).lapsed().asks(DIRECT);
    checks(polled.step(push(GOOD)).step(granted), "the stream has not denied the session");
}

/// A poll that was sent before the stream denied the session says nothing about it.
#[test]
fn a_denial_outdates_a_poll_that_is_under_way() {
    let polling = Situation::new().live().wait(seconds(5)).step(Input::Check).wait(Duration::from_millis(5));
    let answered = polling.step(Input::Push(LOST)).checked_now(GOOD);
    assert_eq!((answered.state(), answered.plan.request), (State::Live, Some(Request::Check)));
    assert_eq!(answered.checked_now(LOST).plan.request, Some(Request::Reauthenticate));
}

/// While a human is expected to log in, the check runs every ten seconds.
#[test]
fn a_login_that_is_expected_is_seen_sooner() {
    let out = || Situation::new().step(Input::LoggedOut);
    let gaps = |mut s: Situation, span: Duration| {
        let (began, mut gaps) = (s.now.mono, Vec::new());
        while s.now.mono < began + span {
            let (gap, request, asking) = s.next();
            gaps.push(gap);
            s = asking.step(said(request, Said::Unauthorized));
        }
        gaps
    };
    let usual = gaps(out(), seconds(600));
    assert!(usual.iter().all(|gap| *gap > seconds(20) && *gap <= seconds(30)), "{usual:?}");
    let soon = gaps(out().wait(seconds(1)).step(Input::ExpectLogin), seconds(1799));
    let (last, before) = soon.split_last().unwrap();
    assert!(before.iter().all(|gap| *gap <= seconds(10)) && *last <= seconds(30), "{soon:?}");
    let late = gaps(out().step(Input::ExpectLogin).wait(seconds(1801)).step(Input::Wake), seconds(600));
    assert!(late[1..].iter().all(|gap| *gap > seconds(20)), "{late:?}");
}

/// A data call on request: one, when live, at once or after what is under way.
#[test]
fn a_data_call_is_sent_on_request() {
    let policy = Policy { confirm_every: Duration::ZERO, ..Policy::default() };
    let live = Situation::with(policy, 7).live().wait(seconds(3));
    let (pause, request, asking) = live.clone().step(Input::Prove).next();
    assert_eq!((pause, request), (Duration::ZERO, Request::Accounts));
    let proved = asking.answered_well();
    assert_eq!(proved.machine.facts().last_data, Some(proved.now));
    assert!(!proved.lives(seconds(600)).0.contains(&Request::Accounts), "once");
    let (_, _, checking) = live.next();
    let asked = checking.plan.request.unwrap();
    let (_, request, _) = checking.step(Input::Prove).step(said(asked, Said::Status(GOOD))).next();
    assert_eq!(request, Request::Accounts, "after the check under way");
    let lost = Situation::new().lapsed();
    assert_eq!(lost.clone().step(Input::Prove).plan.reason, lost.plan.reason);
}

/// After a refusal because of another client, its flag tells whether it has left, where the gateway has not logged itself out:
/// then the first further attempt comes with the first check, and later ones after 1, 3 and 9 minutes. A flag that no check has
/// seen proves less.
#[test]
fn after_a_refusal_the_session_is_asked_for_again_when_the_other_client_may_have_left() {
    let logged_out = Status { connected: false, ..LOST };
    let minutes = |n: u64| seconds(60 * n);
    for (is_flag_seen, flags, pauses) in [
        (true, LOST, &[minutes(0), minutes(1), minutes(3), minutes(9)][..]),
        (true, logged_out, &[minutes(1), minutes(1), minutes(3), minutes(9)]),
        (false, LOST, &[minutes(0), minutes(10), minutes(10)]),
        (false, logged_out, &[minutes(1), minutes(10), minutes(10)]),
    ] {
        let direct = Request::OpenBrokerage { compete: false };
        let mut s = Situation::with(recovering(&[Method::Direct], 6), 7).lapsed().asks(direct);
        for pause in pauses {
            let refused_at = s.now.mono;
            s = s.step(said(direct, Said::Status(COMPETING)));
            assert_eq!(s.state(), State::Contested);
            if is_flag_seen {
                s = s.checked(COMPETING);
            }
            loop {
                let (_, request, asking) = s.next();
                s = asking;
                if request == direct {
                    break;
                }
                s = s.step(said(request, Said::Status(flags)));
            }
            let polls = seconds(if is_flag_seen { 22 } else { 11 });
            let took = s.now.mono - refused_at;
            assert!((*pause..=*pause + polls).contains(&took), "{took:?} for {pause:?}, {is_flag_seen} {flags:?}");
        }
    }
}

/// Data is not there yet: an attempt is given half a minute, and six seconds if the stream has denied the session since the grant.
#[test]
fn a_session_that_the_stream_denies_after_the_grant_is_not_waited_for() {
    let waits = |mut s: Situation| {
        let began = s.now.mono;
        loop {
            let (_, request, asking) = s.next();
            s = if request == Request::Check {
                asking.checked_now(GOOD)
            } else if request == Request::Accounts {
                asking.step(said(request, Said::Accounts(EMPTY)))
            } else {
                return (request, asking.now.mono - began);
            };
        }
    };
    let lapsed = || Situation::with(Policy::default(), 7).lapsed().asks(DIRECT);
    let granted = |s: Situation| s.step(said(DIRECT, Said::Status(GOOD)));
    let denied_before = granted(lapsed().step(Input::Push(LOST)));
    let (request, waited) = waits(denied_before);
    assert!(request == Request::Reauthenticate && waited >= seconds(30), "{request:?} after {waited:?}");
    let denied_after = granted(lapsed()).checked_now(GOOD).wait(Duration::from_millis(100)).step(Input::Push(LOST));
    let (request, waited) = waits(denied_after.step(said(Request::Accounts, Said::Accounts(EMPTY))));
    assert!(request == Request::Reauthenticate && waited <= seconds(8), "{request:?} after {waited:?}");
}
