//! Several gateways behind one public address, each with its own life: what they may ask together, and that none starves.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use tickled::session::{SharedBudget, WakeReason};

use crate::life::Life;
use support::rules::{minute, second};

/// How often what happened in a crowd.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crowded {
    requests: u64,
    waits: u64,
    silences: u64,
    silenced: u64,
    live: u64,
}

/// Lives several lives side by side.
fn live_side_by_side(seed: u64, gateways: u32, span: Duration, trace: bool) -> Result<Crowded, String> {
    let address = Rc::new(RefCell::new(SharedBudget::default()));
    let bound = second(11) + Duration::from_millis(500) * gateways;
    let mut lives: Vec<(Life, Option<Duration>)> = (0..u64::from(gateways))
        .map(|i| {
            let mut life = Life::new(seed * 1000 + i, Rc::clone(&address), trace).awake();
            life.rules.others = bound;
            (life, None)
        })
        .collect();
    let mut sent: VecDeque<Duration> = VecDeque::new();
    let mut quiet_until = Duration::ZERO;
    let mut seen = Crowded::default();
    loop {
        let (life, waits_since) = lives.iter_mut().min_by_key(|(life, _)| life.next()).ok_or("nobody lives")?;
        if life.next() >= span {
            break;
        }
        let before = life.rules.tally;
        life.go_on().map_err(|what| life.story(&what))?;
        let (now, tally) = (life.at, life.rules.tally);
        if life.rules.silence_until > quiet_until {
            quiet_until = life.rules.silence_until;
            seen.silences += 1;
        }
        let verdict = if tally.requests > before.requests {
            seen.requests += 1;
            sent.push_back(now);
            together(&mut sent, now, quiet_until)
        } else {
            Ok(())
        };
        verdict.map_err(|what| life.story(&what))?;
        match life.plan.reason {
            WakeReason::OthersFirst => {
                seen.waits += u64::from(waits_since.is_none());
                let since = *waits_since.get_or_insert(now);
                if now > since + bound {
                    return Err(life.story("it waits for ever for the others"));
                }
            }
            WakeReason::Quiet => {
                seen.silenced += u64::from(now >= life.rules.silence_until);
                *waits_since = None;
            }
            WakeReason::AnswerDue
            | WakeReason::PingDue
            | WakeReason::CheckDue
            | WakeReason::ProofDue
            | WakeReason::LoginAge
            | WakeReason::AskAgain
            | WakeReason::NextStep
            | WakeReason::ConfirmDue
            | WakeReason::AttemptDue
            | WakeReason::OutOfAttempts
            | WakeReason::RetryDue
            | WakeReason::WatchDue
            | WakeReason::OtherDue
            | WakeReason::Operator
            | WakeReason::ClockJumped
            | WakeReason::PauseOver => *waits_since = None,
        }
    }
    seen.live = lives.iter().map(|(life, _)| life.rules.tally.live).min().unwrap_or_default();
    Ok(seen)
}

/// Judges a request by all that were sent behind the same address.
fn together(sent: &mut VecDeque<Duration>, now: Duration, quiet_until: Duration) -> Result<(), String> {
    while sent.front().is_some_and(|at| now >= *at + minute(10)) {
        sent.pop_front();
    }
    if now < quiet_until {
        return Err("a request within the silence that is due to another".to_owned());
    }
    for (span, most) in [(second(1), 4), (minute(1), 140), (minute(10), 1220)] {
        let count = sent.iter().rev().take_while(|at| now < **at + span).count();
        if count > most {
            return Err(format!("{count} requests in {span:?} behind one address"));
        }
    }
    Ok(())
}

#[test]
fn a_crowd_behind_one_address_keeps_within_its_limits_and_nobody_starves() {
    let mut total = Crowded::default();
    let crowds = [(1, 2, 12), (2, 3, 12), (3, 5, 8), (4, 8, 6), (5, 12, 4), (6, 17, 3), (7, 17, 3), (8, 30, 2)];
    let lived = std::thread::scope(|scope| {
        let crowds = crowds.map(|(seed, gateways, days)| {
            scope.spawn(move || {
                let span = second(days * 86_400);
                live_side_by_side(seed, gateways, span, false).map_err(|_| {
                    let story = live_side_by_side(seed, gateways, span, true).expect_err("it goes the same way again");
                    format!("crowd {seed} of {gateways}: {story}")
                })
            })
        });
        crowds.map(|crowd| crowd.join().unwrap())
    });
    for seen in lived {
        let seen = seen.unwrap_or_else(|story| panic!("{story}"));
        assert!(seen.live > 0, "one was never live: {seen:?}");
        total.requests += seen.requests;
        total.waits += seen.waits;
        total.silences += seen.silences;
        total.silenced += seen.silenced;
    }
    println!("{total:?}");
    assert!(total.requests > 1_000_000 && total.waits > 1000 && total.silences > 5 && total.silenced > 50, "{total:?}");
}
