//! While all is well pings come when they are due, whatever else there is to ask.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use support::{Said, said};
use tickled::session::{Accounts, Input, Machine, Now, Policy, Request, Sso, State, Status};

use support::rules::{hour, second};

#[test]
fn no_other_question_makes_a_ping_late() {
    let mut walked = 0;
    for ping_every in [10, 20, 60, 240] {
        for check_every in [10, 30, 60, 300] {
            for confirm_every in [0, 60, 300] {
                let policy = Policy {
                    ping_every: second(ping_every),
                    check_every: second(check_every),
                    confirm_every: second(confirm_every),
                    ..Policy::default()
                };
                let gaps = gaps(policy);
                let longest = gaps.iter().max().copied().unwrap_or_default();
                let said = format!("{ping_every}/{check_every}/{confirm_every}: {longest:?} of {}", gaps.len());
                assert!(gaps.len() > 20, "{said}");
                assert!(longest <= second(ping_every) + ANSWER * 2, "{said}");
                walked += 1;
            }
        }
    }
    assert_eq!(walked, 48);
}

/// The times between two pings in some hours in which every answer is good.
fn gaps(policy: Policy) -> Vec<Duration> {
    let mut at = Duration::ZERO;
    let now = |at: Duration| Now { mono: at, wall: Timestamp::UNIX_EPOCH + SignedDuration::try_from(at).unwrap() };
    let mut machine = Machine::new(policy, 1, now(at));
    let mut plan = machine.step(now(at), Input::Wake);
    let mut pinged = None;
    let mut gaps = Vec::new();
    while at < hour(4) {
        let Some(request) = plan.request else {
            at = plan.wake_at;
            plan = machine.step(now(at), Input::Wake);
            continue;
        };
        if request == Request::Ping {
            gaps.extend(pinged.map(|last| at - last));
            pinged = Some(at);
        }
        at += ANSWER;
        plan = machine.step(now(at), said(request, good(request)));
    }
    assert_eq!(machine.state(), State::Live);
    gaps
}

pub(crate) fn good(request: Request) -> Said {
    match request {
        Request::Ping | Request::Check => {
            Said::Status(Status { authenticated: true, connected: true, competing: false, established: Some(true) })
        }
        Request::Accounts => Said::Accounts(Accounts { usable: true, is_paper: None }),
        Request::ValidateSso => Said::Sso(Sso { valid: true, borrowed: false, auth_time: None }),
        Request::Reauthenticate
        | Request::OpenBrokerage { .. }
        | Request::IsListening
        | Request::EndSession
        | Request::HandshakeIbkr
        | Request::ProbeWebsocket => {
            panic!("{request:?} while all is well")
        }
    }
}

const ANSWER: Duration = Duration::from_millis(20);
