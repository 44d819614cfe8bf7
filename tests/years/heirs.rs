//! A machine that is started anew, again and again, keeps to what the hour allows.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use support::port::SILENCE;
use support::{Said, said};
use tickled::history::PersistedGateway;
use tickled::session::{
    Input, Machine, Method, Now, Policy, RateLimitState, Recovery, Request, Sso, Status, Unavailability,
};
use tickled::status::Snapshot;

use support::chance::Chance;
use support::rules::{hour, minute, second};

const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

const GONE: Status = Status { authenticated: false, connected: true, competing: false, established: Some(false) };

/// Lives for `span` from `begin` on, in a world in which nothing helps; what it asked and when, and what it leaves.
fn live(
    begin: Duration,
    span: Duration,
    kept: &RateLimitState,
    quiet: bool,
) -> (Vec<(Duration, Request)>, RateLimitState) {
    let now =
        |at: Duration| Now { mono: at - begin, wall: Timestamp::UNIX_EPOCH + SignedDuration::try_from(at).unwrap() };
    let mut at = begin;
    let recovery = Recovery { methods: vec![Method::Gateway], ..Recovery::default() };
    let mut machine = Machine::new(Policy { recovery, ..Policy::default() }, 7, now(at));
    machine.restore_limits(now(at), kept);
    let mut plan = machine.step(now(at), Input::Wake);
    let mut asked = Vec::new();
    loop {
        let input = match plan.request {
            Some(request) => {
                asked.push((at, request));
                at += second(1);
                said(request, answer(request, quiet))
            }
            None => {
                at = plan.wake_at + begin;
                Input::Wake
            }
        };
        if at >= begin + span {
            return (asked, machine.rate_limit_state(now(begin + span)));
        }
        plan = machine.step(now(at), input);
    }
}

fn answer(request: Request, quiet: bool) -> Said {
    match request {
        _ if quiet => Said::Unavailable(Unavailability::TooManyRequests { retry_after: None }),
        Request::ValidateSso => Said::Sso(Sso { valid: true, borrowed: false, auth_time: None }),
        Request::Reauthenticate => Said::Accepted,
        Request::Ping | Request::Check | Request::OpenBrokerage { .. } => Said::Status(GONE),
        Request::Accounts => Said::NoStatus,
        Request::IsListening => Said::Listening,
        Request::EndSession => Said::Ended,
        Request::HandshakeIbkr | Request::ProbeWebsocket => SILENCE,
    }
}

fn attempts(asked: &[(Duration, Request)]) -> Vec<Duration> {
    let is_attempt = |request| matches!(request, Request::Reauthenticate | Request::OpenBrokerage { .. });
    asked.iter().filter(|(_, request)| is_attempt(*request)).map(|(at, _)| *at).collect()
}

#[test]
fn whoever_starts_it_anew_gets_no_more_attempts_than_the_hour_allows() {
    let (mut kept, mut all) = (RateLimitState::default(), Vec::new());
    for start in 0..120 {
        let (asked, left) = live(minute(2) * start, minute(2), &kept, false);
        all.extend(attempts(&asked));
        kept = left;
    }
    let allowed = usize::from(Policy::default().recovery.max_per_hour);
    for at in &all {
        let within = all.iter().filter(|t| **t >= *at && **t < *at + hour(1)).count();
        assert!(within <= allowed, "{within} attempts within the hour after {at:?}");
    }
    assert!(all.len() >= 3 * allowed, "it still asks, each hour: {}", all.len());
    let (asked, _) = live(hour(4), minute(2), &RateLimitState::default(), false);
    assert!(attempts(&asked).len() > 1, "one that knows nothing asks at once");
}

#[test]
fn whoever_starts_it_anew_has_the_login_asked_for_once_a_minute() {
    let (mut kept, mut all) = (RateLimitState::default(), Vec::new());
    for start in 0..60 {
        let (asked, left) = live(second(20) * start, second(20), &kept, false);
        all.extend(asked.into_iter().filter(|(_, request)| *request == Request::ValidateSso).map(|(at, _)| at));
        kept = left;
    }
    assert!(all.len() >= 2, "{all:?}");
    assert!(all.windows(2).all(|pair| pair[1] - pair[0] >= minute(1)), "{all:?}");
}

#[test]
fn the_silence_after_429_binds_the_next_one_too() {
    let (asked, kept) = live(Duration::ZERO, minute(5), &RateLimitState::default(), true);
    assert_eq!(asked.len(), 1);
    let (asked, kept) = live(minute(5), minute(5), &kept, true);
    assert!(asked.is_empty(), "{asked:?}");
    let (asked, _) = live(minute(10), minute(10), &kept, true);
    assert_eq!(asked.len(), 1);
    assert!(asked[0].0 >= minute(15), "{asked:?}");
}

/// Killed again and again, without a chance to record the last requests, while an operator keeps asking for checks:
/// what reaches the gateway stays within the limits, by what stands on disk alone.
#[test]
fn whoever_is_killed_again_and_again_keeps_within_the_budget() {
    let mut chance = Chance(7);
    for silent in [true, false] {
        let now = |begin: Duration, at: Duration| Now {
            mono: at - begin,
            wall: Timestamp::UNIX_EPOCH + SignedDuration::try_from(at).unwrap(),
        };
        let (mut at, mut sent) = (minute(1), Vec::new());
        let mut disk: Option<PersistedGateway> = None;
        while at < hour(2) {
            let begin = at;
            let killed = at + *chance.pick(&[millis(80), millis(700), second(3), second(40), minute(4)]);
            let mut machine = Machine::new(Policy::default(), 7, now(begin, at));
            if let Some(kept) = &disk {
                machine.restore_limits(now(begin, at), &kept.rate_limits);
            }
            let (mut input, mut pressed) = (Input::Wake, at);
            while at < killed {
                let now = now(begin, at);
                let plan = machine.step(now, input);
                let present = PersistedGateway::from(&Snapshot::of("g", "http://h", &machine, &plan, now, None));
                if !disk.as_ref().is_some_and(|kept| kept.covers(&present)) {
                    disk = Some(present);
                }
                input = match plan.request {
                    Some(request) => {
                        sent.push(at);
                        at += millis(2);
                        said(request, if silent { SILENCE } else { answer(request, false) })
                    }
                    None if plan.awaiting => Input::Wake,
                    None => {
                        pressed = pressed.max(at) + millis(150);
                        at = pressed.min(begin + plan.wake_at).max(at + millis(1));
                        if at >= pressed { Input::Check } else { Input::Wake }
                    }
                };
            }
            at = killed + millis(40);
        }
        let most = |span: Duration| {
            (0..sent.len()).map(|i| sent[i..].iter().take_while(|t| **t < sent[i] + span).count()).max().unwrap()
        };
        assert!(most(second(1)) <= 4 && most(minute(10)) <= 150, "{} {}", most(second(1)), most(minute(10)));
        assert!(sent.len() > 200, "only {} sent", sent.len());
    }
}

/// What stands on disk is written anew for about every tenth request, and not for each.
#[test]
fn a_steady_session_wears_no_disk_out() {
    let now = |at: Duration| Now { mono: at, wall: Timestamp::UNIX_EPOCH + SignedDuration::try_from(at).unwrap() };
    let (mut at, mut sent, mut writes) = (Duration::ZERO, 0, 0);
    let mut machine = Machine::new(Policy::default(), 7, now(at));
    let mut input = Input::Wake;
    let mut disk: Option<PersistedGateway> = None;
    while at < hour(6) {
        let plan = machine.step(now(at), input);
        let present = PersistedGateway::from(&Snapshot::of("g", "http://h", &machine, &plan, now(at), None));
        if !disk.as_ref().is_some_and(|kept| kept.covers(&present)) {
            writes += 1;
            disk = Some(present);
        }
        at = if plan.request.is_some() { at + millis(20) } else { plan.wake_at };
        sent += u32::from(plan.request.is_some());
        input = plan.request.map_or(Input::Wake, |request| said(request, crate::pings::good(request)));
    }
    assert!(sent > 2000 && writes <= sent / 9, "{writes} writes for {sent} requests");
}

/// Years later, or with a clock that is years behind, restored limits last no longer than they would have.
#[test]
fn a_clock_that_was_set_binds_for_no_longer_than_an_hour() {
    let (_, kept) = live(hour(100_000), minute(2), &RateLimitState::default(), false);
    assert!(!kept.attempts.is_empty());
    let (asked, _) = live(Duration::ZERO, hour(1) + minute(2), &kept, false);
    assert!(!attempts(&asked).is_empty());
    let (asked, _) = live(hour(200_000), minute(2), &kept, false);
    assert!(attempts(&asked).len() > 1);
}
