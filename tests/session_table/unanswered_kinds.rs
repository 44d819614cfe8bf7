//! A kind of request that IBKR never answers, while it answers others; and what a silence is taken for that was none.
#![expect(clippy::wildcard_enum_match_arm, reason = "a world answers what it names, and leaves the rest unanswered")]

use std::time::Duration;

use support::Said;
use tickled::session::{Request, State};

use super::silence::{NO_HOST, SILENT, Silence};
use super::situation::{GOOD, USABLE, VALID, seconds};

/// A kind of request that stays unanswered while the others are answered is not sent again and again, and a silence after that
/// leaves one of the five connections to others.
#[test]
fn a_kind_that_is_never_answered_takes_few_places() {
    let hours = |n: u64| seconds(n * 3600);
    let begins = Silence::new(|_, _| None).s.now.mono;
    let (silent, back) = (begins + hours(4), begins + hours(5));
    let mut odd = Silence::new(move |at, request| match request {
        Request::IsListening => Some(Said::Listening),
        Request::HandshakeIbkr => Some(Said::Host(Ok(()))),
        Request::ProbeWebsocket => Some(Said::Websocket(!(silent..back).contains(&at))),
        _ if (silent..back).contains(&at) => None,
        Request::Accounts => Some(Said::Accounts(USABLE)),
        Request::Check => Some(Said::Status(GOOD)),
        Request::ValidateSso => Some(Said::Sso(VALID)),
        _ => None,
    });
    let sent = odd.lasts(hours(4));
    let pings = sent.iter().filter(|request| **request == Request::Ping).count();
    assert!((2..=3).contains(&pings), "{pings} pings keep as many of the five connections");
    let pinged = odd.sent.iter().filter(|(_, request)| *request == Request::Ping).map(|(at, _)| *at);
    let pinged: Vec<Duration> = pinged.collect();
    assert!(pinged[1] - pinged[0] < seconds(300) && pinged[2] - pinged[1] >= hours(1), "{pinged:?}");
    assert_eq!(odd.s.state(), State::Live);
    // Another daemon knows it as well.
    let kept = odd.s.machine.rate_limit_state(odd.s.now);
    assert_eq!((kept.unanswered.len(), kept.written_off.len()), (0, pings));

    let sent = odd.lasts(hours(1));
    let held = sent.iter().filter(|request| request.is_proxied()).count();
    let unanswered = sent.len() - sent.iter().rposition(|request| *request == Request::Accounts).map_or(0, |at| at + 1);
    assert!(unanswered > 0 && held > 0, "{sent:?}");
    assert_eq!(odd.s.state(), SILENT);
    assert!(pings + odd.s.plan.standing <= 4, "{pings} pings and {} others are held", odd.s.plan.standing);
    odd.lasts(hours(2));
    assert_eq!(odd.s.state(), State::Live, "{:?}", odd.states);
}

/// Checks stay unanswered, and a ping without a status proves nothing: that is no live session.
#[test]
fn a_ping_without_a_status_does_not_stand_in_for_a_check() {
    let mut odd = Silence::new(|_, request| match request {
        Request::IsListening => Some(Said::Listening),
        Request::HandshakeIbkr => Some(Said::Host(Ok(()))),
        Request::ProbeWebsocket => Some(Said::Websocket(true)),
        Request::Accounts => Some(Said::Accounts(USABLE)),
        Request::Ping => Some(Said::NoStatus),
        _ => None,
    });
    odd.lasts(seconds(4 * 3600));
    let live_until = odd.states.iter().position(|(_, state)| *state != State::Live).map(|next| odd.states[next].0);
    assert!(live_until.is_some_and(|at| at <= seconds(120)), "{:?}", odd.states);
    assert!(odd.states[1..].iter().all(|(_, state)| *state != State::Live), "{:?}", odd.states);
}

/// What stayed unanswered in a silence that is over is no kind that is never answered.
#[test]
fn a_silence_that_ends_by_closing_blocks_nothing() {
    let mut s = Silence::new(|_, _| None).s;
    for _ in 0..4 {
        let begins = s.now.mono;
        let is_silent = move |at| (begins..begins + seconds(900)).contains(&at);
        let mut silence = Silence::of(s, move |at, request| match request {
            Request::IsListening => Some(Said::Listening),
            Request::HandshakeIbkr => Some(if is_silent(at) { NO_HOST } else { Said::Host(Ok(())) }),
            Request::ProbeWebsocket => Some(Said::Websocket(!is_silent(at))),
            _ if is_silent(at) => None,
            Request::Accounts => Some(Said::Accounts(USABLE)),
            Request::ValidateSso => Some(Said::Sso(VALID)),
            _ => Some(Said::Status(GOOD)),
        });
        silence.lasts(seconds(1800));
        assert_eq!(silence.s.state(), State::Live, "{:?}", silence.states);
        assert!(silence.states.iter().any(|(_, state)| *state == SILENT), "{:?}", silence.states);
        assert!(silence.s.machine.rate_limit_state(silence.s.now).written_off.is_empty());
        s = silence.s;
    }
}
