//! What the gateway is taken to hold, and what ends that.
#![expect(clippy::wildcard_enum_match_arm, reason = "a world answers what it names, and leaves the rest unanswered")]

use std::time::Duration;

use support::{Said, said};
use tickled::session::{HostFailure, Input, Machine, Policy, Request, SharedBudget, State, Unavailability, WakeReason};

use super::silence::{NO_HOST, SILENT, Silence, WEDGED, dead};
use super::situation::{GOOD, SILENCE, Situation, USABLE, VALID, seconds};

/// `GET /` stays unanswered while a request stands on an open connection: the process is not gone.
#[test]
fn an_open_connection_is_no_sign_of_a_restart() {
    let mut silence = Silence::new(dead(NO_HOST, Said::Websocket(false)));
    silence.lasts(seconds(300));
    let mut s = silence.s.asks(Request::IsListening);
    for _ in 0..3 {
        s = s.step(said(Request::IsListening, SILENCE));
        assert_eq!((s.plan.request, s.plan.standing), (None, 1), "it is looked at again in the next round");
        s = s.asks(Request::IsListening);
    }
    assert_eq!(s.state(), State::Unavailable(Unavailability::NoAnswer));
}

/// A logout is what the operator wants, also from a gateway that holds so many.
#[test]
fn a_logout_goes_out_in_a_silence() {
    let mut silence = Silence::new(dead(NO_HOST, Said::Websocket(false)));
    silence.lasts(seconds(600));
    let s = silence.s.step(Input::Logout);
    assert_eq!((s.plan.request, s.plan.standing), (Some(Request::EndSession), 2));
}

/// A request that goes first by a handshake stays unanswered. The websocket decides if one may be opened soon; else the gateway is
/// taken to be wedged.
#[test]
fn a_websocket_decides_only_if_it_may_be_opened() {
    let begins = Silence::new(|_, _| None).s.now.mono;
    let mut first = Silence::new(dead(Said::Host(Ok(())), Said::Websocket(false)));
    first.lasts(seconds(300));
    let websockets: Vec<Duration> =
        first.sent.iter().filter(|(_, request)| *request == Request::ProbeWebsocket).map(|(at, _)| *at).collect();
    assert_eq!(websockets.len(), 2);
    let third = websockets[1] + seconds(3600);
    for (way, state, opened) in [(begins + seconds(1000), WEDGED, 2), (third - seconds(90), SILENT, 3)] {
        let mut silence = Silence::new(move |at, request| match request {
            Request::IsListening => Some(Said::Listening),
            Request::HandshakeIbkr if (begins + seconds(300)..way).contains(&at) => {
                Some(Said::Host(Err(HostFailure::NoAnswer)))
            }
            Request::HandshakeIbkr => Some(Said::Host(Ok(()))),
            Request::ProbeWebsocket => Some(Said::Websocket(false)),
            _ => None,
        });
        silence.lasts(way + seconds(85) - begins);
        let websockets = silence.sent.iter().filter(|(_, request)| *request == Request::ProbeWebsocket).count();
        assert_eq!((silence.s.state(), silence.proxied().len(), websockets), (state, 2, opened));
    }
}

/// What is watched beside a standing request waits for its turn behind the same public address.
#[test]
fn the_process_is_watched_in_turn() {
    let mut address = SharedBudget::default();
    let own = address.register();
    let asking = Situation::new().live().asks(Request::Check);
    let mut s = asking.wait(seconds(15));
    for seed in 0..4 {
        let other = address.register();
        let mut machine = Machine::new(Policy::default(), seed, s.now);
        assert_eq!(machine.step_shared(s.now, Input::Wake, &mut address, other).request, Some(Request::Check));
    }
    let plan = s.machine.step_shared(s.now, Input::Wake, &mut address, own);
    assert_eq!((plan.request, plan.reason), (None, WakeReason::OthersFirst));
    let turn = s.now.mono + seconds(1);
    assert_eq!(plan.wake_at, turn);
    s = s.wait(seconds(1));
    let plan = s.machine.step_shared(s.now, Input::Wake, &mut address, own);
    assert_eq!(plan.request, Some(Request::IsListening));
}

/// Of two that are held the connection of one breaks: the other one may still be answered.
#[test]
fn the_other_one_may_still_be_answered() {
    let mut edge = Silence::new(dead(Said::Host(Ok(())), Said::Websocket(false)));
    edge.s = edge.s.step(Input::Logout);
    edge.lasts(seconds(3600));
    let held = edge.proxied();
    assert_eq!((held.len(), held[0]), (2, Request::EndSession), "{held:?}");
    let broken = edge.s.step(Input::Unanswered(held[1]));
    assert_eq!(broken.plan.standing, 1);
    let answered = broken.step(said(Request::EndSession, Said::Ended));
    assert_eq!(answered.plan.standing, usize::from(answered.plan.request.is_some_and(Request::is_proxied)));
}

/// A connection that breaks while IBKR is not silent hurries nothing.
#[test]
fn a_connection_that_breaks_hurries_nothing_if_nothing_is_doubted() {
    let out = Situation::new().live().asks(Request::Check).step(Input::LoggedOut);
    assert_eq!((out.plan.request, out.plan.standing), (None, 1));
    let broken = out.clone().step(Input::Unanswered(Request::Check));
    assert_eq!((broken.plan.request, broken.plan.standing, broken.plan.wake_at), (None, 0, out.plan.wake_at));
}

/// A kind that stays unanswered is seen as such however long an answer may take.
#[test]
fn what_is_passed_over_after_a_long_wait_is_written_off() {
    for within in [1, 15, 60] {
        let policy = Policy { answer_within: seconds(within), ..Policy::default() };
        let mut odd = Silence::of(Situation::with(policy, 7).live(), |_, request| match request {
            Request::IsListening => Some(Said::Listening),
            Request::ProbeWebsocket => Some(Said::Websocket(true)),
            Request::Accounts => Some(Said::Accounts(USABLE)),
            Request::Check => Some(Said::Status(GOOD)),
            Request::ValidateSso => Some(Said::Sso(VALID)),
            _ => None,
        });
        odd.lasts(seconds(300));
        assert_eq!(odd.s.state(), State::Live);
        let pings = odd.proxied().iter().filter(|request| **request == Request::Ping).count();
        let kept = odd.s.machine.rate_limit_state(odd.s.now);
        assert_eq!((kept.written_off.len(), kept.unanswered.len()), (pings, 0), "within {within} s");
    }
}
