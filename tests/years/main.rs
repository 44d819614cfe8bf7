//! Simulated years: the session machine against the simulated world, over seeds, with every promise watched at each
//! step.
//!
//! `YEARS=1000x30d,20x3y cargo test --test years` is the long run; `YEARS_SEED=17 YEARS=1x30d` replays one.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod crowd;
mod fate;
mod figures;
mod heirs;
mod life;
mod pings;
mod reach;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use support::port;
use support::rules::Tally;
use tickled::session::Request;
use tickled::simulator::world::{Control, Options, What, World};

#[test]
fn every_promise_holds_for_years() {
    let runs = std::env::var("YEARS").unwrap_or_else(|_| "200x30d,5x3y".to_owned());
    let first = std::env::var("YEARS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0_u64);
    let mut total = Tally::default();
    let mut lives = 0;
    for run in runs.split(',') {
        let (count, span) = run.split_once('x').expect("as 200x30d");
        let (number, unit) = span.split_at(span.len() - 1);
        let days: u64 = number.parse::<u64>().unwrap() * if unit == "y" { 365 } else { 1 };
        let count: u64 = count.parse().unwrap();
        lives += count;
        total.add(&live(first, count, days));
    }
    println!("{lives} lives: {total:?}");
    assert!(lives > 0, "no seed was run");
    if lives >= 100 {
        let often = [
            total.requests,
            total.live,
            total.recovering,
            total.contested,
            total.unavailable,
            total.login_required,
            total.paused,
            total.raised,
            total.resolved,
            total.attempts,
            total.silences,
            total.fair_hours,
            total.flapping,
            total.taken_back,
            total.needed,
            total.well_hours,
            total.away,
        ];
        assert!(often.iter().all(|n| *n > 20), "something hardly ever happened: {total:?}");
    }
}

/// Lives `count` lives on all cores; every failed one is reported, with its seed and its last steps.
fn live(first: u64, count: u64, days: u64) -> Tally {
    let span = Duration::from_secs(days * 86_400);
    let next = AtomicU64::new(first);
    let results = Mutex::new((Tally::default(), Vec::new()));
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    let outcome = life::live_through(seed, span, false);
                    let mut results = results.lock().unwrap();
                    match outcome {
                        Ok(tally) => results.0.add(&tally),
                        Err(_) => results.1.push(seed),
                    }
                }
            });
        }
    });
    let (tally, failed) = results.into_inner().unwrap();
    if let Some(seed) = failed.first() {
        let told = life::live_through(*seed, span, true).expect_err("the same seed goes the same way");
        let again = format!("YEARS=1x{days}d YEARS_SEED={seed} cargo test --test years");
        panic!("{} of {count} lives went wrong: seeds {failed:?}; the first, `{again}`:\n{told}", failed.len());
    }
    tally
}

#[test]
fn the_short_way_from_answer_to_observation_is_the_real_one() {
    let mut world = World::new(&Options::default());
    let mut at = Duration::ZERO;
    let mut compared = 0;
    let controls = [Control::LogIn, Control::Lapse, Control::LogIn, Control::LogOutElsewhere, Control::ExpireLogin];
    for control in controls {
        world.set(at, control);
        for second in 0..40 {
            at += Duration::from_secs(1);
            for request in [
                Request::Check,
                Request::Ping,
                Request::Accounts,
                Request::ValidateSso,
                Request::IsListening,
                Request::Reauthenticate,
                Request::OpenBrokerage { compete: false },
                Request::EndSession,
            ] {
                if request == Request::EndSession && second != 39 {
                    continue;
                }
                if let What::Answer(answer) = world.handle(at, &port::call(request)).what {
                    assert_eq!(
                        port::quickly(request, &answer),
                        port::slowly(request, &answer),
                        "{request:?} {answer:?}"
                    );
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 1000, "{compared}");
}
