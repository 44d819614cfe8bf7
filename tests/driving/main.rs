//! The real driver with its desk against the simulated world: nights, outages and neighbours, in simulated time.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod stage;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use stage::{Stage, minutes, seconds};
use tickled::alert::{AlertPhase, Code};
use tickled::calendar::{Maintenance, Region};
use tickled::session::{Policy, Request, SharedBudget, State, Unavailability};
use tickled::simulator::world::{Competitor, Control, Does, Raw, Reach, Rule, Shows, Times};
use tickled::status::Place;

const NOON: &str = "2026-11-24T12:00";

fn asks_for_the_session(request: &Request) -> bool {
    matches!(request, Request::Reauthenticate | Request::OpenBrokerage { .. })
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_503_causes_no_reauthentication() {
    for after in [Duration::from_millis(50), seconds(10)] {
        let stage = Stage::new(NOON);
        stage.set(Control::LogIn);
        stage
            .watched(Policy::default(), None, async || {
                stage.until(minutes(5)).await;
                assert_eq!(stage.state(), State::Live);
                let asked = stage.asked().len();
                stage.set(Control::Ibkr(Reach::Failing { status: 503, after }));
                stage.until(minutes(65)).await;
                assert_eq!(stage.state(), State::Unavailable(Unavailability::IbkrError));
                let meanwhile = stage.asked().split_off(asked);
                assert!(meanwhile.len() > 100, "{} questions", meanwhile.len());
                assert!(!meanwhile.iter().any(asks_for_the_session), "{meanwhile:?}");
                stage.set(Control::Ibkr(Reach::Here));
                stage.until(minutes(70)).await;
                assert_eq!(stage.state(), State::Live);
            })
            .await;
        let told = stage.told();
        assert_eq!(told[0].0, (Code::IbkrUnavailable, AlertPhase::Raised));
        assert_eq!(told.last().unwrap().0, (Code::IbkrUnavailable, AlertPhase::Resolved));
        assert!(!told.iter().any(|((code, _), _)| *code != Code::IbkrUnavailable), "{told:?}");
        assert_eq!(told.iter().filter(|((_, phase), _)| *phase == AlertPhase::Raised).count(), 1, "{told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn somebody_who_trades_for_an_hour_is_left_alone_and_followed_within_20_s() {
    let stage = Stage::new(NOON);
    stage.set(Control::LogIn);
    stage
        .watched(Policy::default(), None, async || {
            stage.until(minutes(5)).await;
            assert_eq!(stage.state(), State::Live);
            let asked = stage.asked().len();
            stage.set(Control::Compete(Competitor { shows: Shows::Both, stubborn: false, returns_after: None }));
            stage.until(minutes(6)).await;
            assert_eq!(stage.state(), State::Contested);
            stage.until(minutes(65)).await;
            assert_eq!(stage.state(), State::Contested);
            let meanwhile = stage.asked().split_off(asked);
            assert!(meanwhile.len() > 100, "{} questions", meanwhile.len());
            assert!(!meanwhile.iter().any(asks_for_the_session), "{meanwhile:?}");
            stage.set(Control::Leave);
            stage.until(minutes(65) + seconds(20)).await;
            assert_eq!(stage.state(), State::Live);
        })
        .await;
    let told: Vec<_> = stage.told().into_iter().map(|(what, _)| what).collect();
    assert_eq!(told, [(Code::SessionContested, AlertPhase::Raised), (Code::SessionContested, AlertPhase::Resolved)]);
}

/// The gateway logs itself out when it loses the session to another client, whose flag is then down although it trades
/// on.
#[tokio::test(start_paused = true)]
async fn somebody_whose_flag_has_fallen_is_asked_after_politely_and_seldom() {
    let stage = Stage::new(NOON);
    stage.set(Control::LogIn);
    stage
        .watched(Policy::default(), None, async || {
            stage.until(minutes(5) + seconds(20)).await;
            let asked = stage.asked().len();
            stage.set(Control::Compete(Competitor { shows: Shows::Taken, stubborn: false, returns_after: None }));
            stage.until(minutes(6)).await;
            assert_eq!(stage.state(), State::Contested);
            stage.until(minutes(65)).await;
            assert_eq!(stage.state(), State::Contested);
            let meanwhile = stage.asked().split_off(asked);
            let asks: Vec<_> = meanwhile.into_iter().filter(asks_for_the_session).collect();
            assert!((1..=6).contains(&asks.len()), "{asks:?}");
            assert!(asks.iter().all(|request| *request == Request::OpenBrokerage { compete: false }), "{asks:?}");
            stage.set(Control::Leave);
            stage.until(minutes(75) + seconds(20)).await;
            assert_eq!(stage.state(), State::Live, "within ten minutes");
        })
        .await;
    let told: Vec<_> = stage.told().into_iter().map(|(what, _)| what).collect();
    assert_eq!(told, [(Code::SessionContested, AlertPhase::Raised), (Code::SessionContested, AlertPhase::Resolved)]);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_ends_at_midnight_is_told_at_the_end_of_the_window_and_its_grace_once() {
    let place = Place { region: Region::NorthAmerica, maintenance: Maintenance::default().into() };
    let stage = Stage::new("2026-11-24T22:00");
    stage.set(Control::LogIn);
    let (midnight, window_ends) = (minutes(120), minutes(225));
    stage
        .watched(Policy::default(), Some(place), async || {
            stage.until(midnight - seconds(1)).await;
            assert_eq!(stage.state(), State::Live);
            stage.until(midnight).await;
            stage.set(Control::ExpireLogin);
            stage.until(midnight + seconds(30)).await;
            assert!(matches!(stage.state(), State::LoginRequired(_)), "{:?}", stage.state());
            stage.until(window_ends + minutes(10) - seconds(1)).await;
            assert_eq!(stage.told(), []);
            stage.until(window_ends + minutes(10) + seconds(1)).await;
            assert_eq!(stage.told().len(), 1, "{:?}", stage.told());
            assert_eq!(stage.told()[0].0, (Code::LoginRequired, AlertPhase::Raised));
            stage.until(minutes(7 * 60)).await;
            assert_eq!(stage.told().len(), 1, "once: {:?}", stage.told());
            stage.set(Control::LogIn);
            stage.until(minutes(7 * 60) + seconds(75)).await;
            assert_eq!(stage.told()[1].0, (Code::LoginRequired, AlertPhase::Resolved));
        })
        .await;
}

/// The most requests of all these stages in any span of this length.
fn most(stages: &[Stage], span: Duration) -> usize {
    let mut times: Vec<Duration> = stages.iter().flat_map(Stage::times).collect();
    times.sort();
    let from = |i: usize| times[i..].iter().take_while(|at| **at < times[i] + span).count();
    (0..times.len()).map(from).max().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn seventeen_gateways_that_lapse_together_come_back_within_the_limits_of_their_address() {
    let stages: Vec<Stage> = (0..17).map(|_| Stage::new(NOON)).collect();
    let address = Rc::new(RefCell::new(SharedBudget::default()));
    stages.iter().for_each(|stage| stage.set(Control::LogIn));
    let all = stages.iter().map(|stage| stage.driven(Policy::default(), None, Rc::clone(&address)));
    let part = async {
        stages[0].until(minutes(10)).await;
        assert!(stages.iter().all(|stage| stage.state() == State::Live));
        stages.iter().for_each(|stage| stage.set(Control::Lapse));
        stages[0].until(minutes(12)).await;
        let live = stages.iter().filter(|stage| stage.state() == State::Live).count();
        assert_eq!(live, 17, "two minutes later");
        stages[0].until(minutes(30)).await;
    };
    tokio::select! {
        _ = futures_util::future::join_all(all) => panic!("the drivers ended"),
        () = part => {}
    }
    assert!(most(&stages, seconds(1)) <= 4, "{} in a second", most(&stages, seconds(1)));
    assert!(most(&stages, seconds(60)) <= 141, "{} in a minute", most(&stages, seconds(60)));
    for stage in &stages {
        assert_eq!(stage.told(), []);
        let pings = stage.pings();
        let apart = pings.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!(pings.len() >= 28 && apart <= seconds(90), "{} pings, {apart:?} apart", pings.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_429_for_one_silences_all_behind_the_same_address_and_nobody_behind_another() {
    let stages: Vec<Stage> = (0..5).map(|_| Stage::new(NOON)).collect();
    let here = Rc::new(RefCell::new(SharedBudget::default()));
    let there = Rc::new(RefCell::new(SharedBudget::default()));
    stages.iter().for_each(|stage| stage.set(Control::LogIn));
    let all = stages.iter().enumerate().map(|(i, stage)| {
        let address = if i == 4 { &there } else { &here };
        stage.driven(Policy::default(), None, Rc::clone(address))
    });
    let part = async {
        stages[0].until(minutes(5)).await;
        let headers = vec![("Retry-After".to_owned(), "1200".to_owned())];
        let raw = Raw { status: 429, content_type: "text/plain".to_owned(), headers, body: Vec::new() };
        let (path, does) = ("*".to_owned(), Does::Say(raw.into()));
        stages[2].set(Control::Script(Rule {
            path,
            method: None,
            who: None,
            times: Times::Next(1),
            after: None,
            does,
        }));
        stages[0].until(minutes(6)).await;
        let before: Vec<usize> = stages.iter().map(|stage| stage.asked().len()).collect();
        let states: Vec<&str> = stages.iter().map(|stage| stage.state().name()).collect();
        assert_eq!(states, ["unavailable", "unavailable", "unavailable", "unavailable", "live"]);
        stages[0].until(minutes(24)).await;
        let asked: Vec<usize> = stages.iter().zip(before).map(|(stage, before)| stage.asked().len() - before).collect();
        assert_eq!(asked[..4], [0, 0, 0, 0], "Retry-After is 20 minutes, and holds for all four");
        assert!(asked[4] > 60, "{}", asked[4]);
        stages[0].until(minutes(28)).await;
        assert!(stages.iter().all(|stage| stage.state() == State::Live));
    };
    tokio::select! {
        _ = futures_util::future::join_all(all) => panic!("the drivers ended"),
        () = part => {}
    }
}
