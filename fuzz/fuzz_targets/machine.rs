//! Any sequence of answers, pushes, wishes and waits: the machine never panics, never asks too often, and is live only
//! after good flags and data.
#![no_main]

#[path = "../../tests/session_search/rules.rs"]
mod rules;

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use tickled::session::{
    Accounts, Answer, Failure, HostFailure, Input, Machine, Now, Policy, Reauth, Request, Sso, State, Status,
    Unavailability,
};

fuzz_target!(|data: &[u8]| {
    let Some((seed, steps)) = data.split_first() else { return };
    let mut now = Now { mono: Duration::ZERO, wall: Timestamp::UNIX_EPOCH };
    let policy = Policy { knows_ibkr_host: seed % 2 == 0, ..Policy::default() };
    let mut machine = Machine::new(policy, u64::from(*seed), now);
    let mut plan = machine.step(now, Input::Wake);
    // What is under way: the proxied requests that are left standing, and the last one of the others.
    let mut open: Vec<Request> = plan.request.into_iter().collect();
    let mut sent = VecDeque::new();
    let mut good = false;
    for step in steps.chunks_exact(2) {
        let mut before = machine.state();
        let input = match step[0] % 12 {
            0..=4 if !open.is_empty() => {
                // An answer comes within a second or so.
                pass(&mut now, Duration::from_millis(u64::from(step[0]) * 4));
                let answer = open.pop().map(|request| answer(request, step[1]));
                let Some(answer) = answer else { continue };
                good = match answer {
                    Answer::Ping(Ok(status)) | Answer::Check(Ok(status)) | Answer::OpenBrokerage(Ok(status)) => {
                        is_good(status)
                    }
                    Answer::Accounts(Ok(_)) | Answer::ValidateSso(Ok(_)) => good,
                    Answer::IsListening(_) | Answer::HandshakeIbkr(_) | Answer::ProbeWebsocket(_) => good,
                    _ => good && answer.failure() == Some(Failure::Unsupported),
                };
                Input::Answer(answer)
            }
            5 => {
                good |= is_good(status(step[1])) && rules::is_asked_for(before, &plan);
                Input::Push(status(step[1]))
            }
            6 => match step[1] % 7 {
                0 => Input::Check,
                1 => Input::Resume,
                2 => Input::Pause { until: None },
                3 => Input::Prove,
                4 => Input::ExpectLogin,
                5 => Input::LoggedOut,
                _ => Input::Logout,
            },
            // A late answer, to what was sent first.
            7 if !open.is_empty() => {
                let answer = answer(open.remove(0), step[1]);
                good |= matches!(answer, Answer::Ping(Ok(status)) | Answer::Check(Ok(status)) if is_good(status));
                Input::Answer(answer)
            }
            8 if open.first().is_some_and(|request| request.is_proxied()) => Input::Unanswered(open.remove(0)),
            9 => {
                machine.on_sign_of_life(now);
                Input::Wake
            }
            10 if step[1] < 16 => {
                let kept = machine.rate_limit_state(now);
                machine = Machine::new(machine.policy().clone(), u64::from(step[1]), now);
                machine.restore_limits(now, &kept);
                before = machine.state();
                open.clear();
                good = false;
                Input::Wake
            }
            _ => {
                let until =
                    if step[1] < 200 { plan.wake_at } else { now.mono + Duration::from_secs(u64::from(step[1])) };
                let wait = until.saturating_sub(now.mono);
                pass(&mut now, wait);
                Input::Wake
            }
        };
        plan = machine.step(now, input);
        rules::check(before, input, &machine, now, &plan);
        if plan.request.is_some_and(|request| !request.is_proxied()) || !plan.awaiting {
            open.retain(|request| request.is_proxied());
        }
        if let Some(request) = plan.request {
            open.push(request);
            sent.push_back(now.mono);
            while sent.front().is_some_and(|at| *at + Duration::from_secs(1) <= now.mono) {
                sent.pop_front();
            }
            assert!(sent.len() <= 4, "{} requests within a second", sent.len());
        }
        let proxied = open.iter().filter(|request| request.is_proxied()).count();
        for _ in plan.standing..proxied {
            if let Some(first) = open.iter().position(|request| request.is_proxied()) {
                open.remove(first);
            }
        }
        if machine.state() == State::Live && before != State::Live {
            assert!(good, "live from {before:?} by {input:?}");
        }
    }
});

fn pass(now: &mut Now, time: Duration) {
    now.mono += time;
    now.wall = now.wall.saturating_add(time).unwrap_or(now.wall);
}

fn is_good(status: Status) -> bool {
    status.authenticated && status.connected && !status.competing && status.established != Some(false)
}

const LIVE: Status = Status { authenticated: true, connected: true, competing: false, established: None };

fn status(byte: u8) -> Status {
    let flag = |bit: u8| byte & (1 << bit) != 0;
    Status { authenticated: flag(0), connected: flag(1), competing: flag(2), established: flag(3).then(|| flag(4)) }
}

/// None, or anything from half a minute to the end of all time.
fn retry_after(byte: u8) -> Option<Duration> {
    let seconds = 1_u64.checked_shl(u32::from(byte - 160)).unwrap_or(u64::MAX);
    (byte < 240).then_some(Duration::from_secs(seconds))
}

fn answer(request: Request, byte: u8) -> Answer {
    if byte < 160 {
        let status = if byte < 96 { LIVE } else { status(byte) };
        return match request {
            Request::Ping => Answer::Ping(Ok(status)),
            Request::Check => Answer::Check(Ok(status)),
            Request::OpenBrokerage { .. } => Answer::OpenBrokerage(Ok(status)),
            Request::Reauthenticate if byte < 8 => Answer::Reauthenticate(Ok(Reauth::NotLoggedIn)),
            Request::Reauthenticate => Answer::Reauthenticate(Ok(Reauth::Accepted)),
            Request::ValidateSso => {
                Answer::ValidateSso(Ok(Sso { valid: byte < 128, borrowed: byte < 8, auth_time: None }))
            }
            Request::Accounts => Answer::Accounts(Ok(Accounts { usable: byte < 140, is_paper: None })),
            Request::IsListening => Answer::IsListening(Ok(())),
            Request::EndSession => Answer::EndSession(Ok(())),
            Request::HandshakeIbkr => Answer::HandshakeIbkr(Ok(())),
            Request::ProbeWebsocket => Answer::ProbeWebsocket(Ok(byte < 80)),
        };
    }
    if request == Request::HandshakeIbkr {
        let failure = if byte % 2 == 0 { HostFailure::NoWay } else { HostFailure::NoAnswer };
        return Answer::HandshakeIbkr(Err(failure));
    }
    let cause = match byte % 12 {
        0 => return Answer::failed(request, Failure::NoSession),
        1 | 2 => return Answer::failed(request, Failure::Unauthorized),
        3 => return Answer::failed(request, Failure::LoginPage),
        4 => return Answer::failed(request, Failure::Unsupported),
        5 => Unavailability::NothingListens,
        6 => Unavailability::NoAnswer,
        7 => Unavailability::IbkrError,
        8 => Unavailability::EdgeRefused,
        9 => Unavailability::TooManyRequests { retry_after: retry_after(byte) },
        10 => Unavailability::Nonsense,
        _ => Unavailability::Certificate,
    };
    Answer::failed(request, Failure::Unavailable(cause))
}
