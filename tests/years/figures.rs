//! The figures that the documentation promises, each on one life in which nothing else happens.
#![expect(clippy::print_stdout, reason = "`--nocapture` shows the figures for the documentation")]

use std::time::Duration;

use tickled::alert::{AlertPhase, Code};
use tickled::session::{Input, Policy, State, Unavailability};
use tickled::simulator::world::{Arrival, Control, Does, Limits, Reach, Route, Rule, Times, Unanswered, Who};

use crate::fate::Event;
use crate::life::Life;

use support::chance::Chance;
use support::rules::{hour, minute, second};

const WEDGED: State = State::Unavailable(Unavailability::GatewayWedged);

fn knows_host() -> Policy {
    Policy { knows_ibkr_host: true, ..Policy::default() }
}

fn has(life: &mut Life, control: Control) {
    life.happens(Event::World(control)).unwrap_or_else(|what| panic!("{}", life.story(&what)));
}

fn is_live(life: &Life) -> bool {
    life.machine.state() == State::Live
}

fn raised(life: &Life, code: Code) -> usize {
    life.notices.iter().filter(|(_, raised, phase)| *raised == code && *phase == AlertPhase::Raised).count()
}

fn does(life: &mut Life, input: Input) {
    life.step(input).unwrap_or_else(|what| panic!("{}", life.story(&what)));
}

/// A gateway that has logged itself out, and whose session was taken back directly, has no tickle of its own: nothing but ours
/// takes its connections.
fn without_own_tickle(life: &mut Life) {
    does(life, Input::Pause { until: None });
    has(life, Control::Lapse);
    let later = life.at + second(35);
    life.until(later);
    does(life, Input::Resume);
    life.until_it_is(minute(1), is_live);
    let later = life.at + minute(5);
    life.until(later);
}

/// A life in which IBKR was silent for so long, and has just come back.
fn after_silence(policy: Policy, has_own_tickle: bool, silence: Duration, returns: Unanswered) -> Life {
    let mut life = Life::calm(3, policy);
    // The gateway's own queue alone exceeds IBKR's limit.
    has(&mut life, Control::Pacing(Limits::Off));
    if !has_own_tickle {
        without_own_tickle(&mut life);
    }
    has(&mut life, Control::Ibkr(Reach::Away));
    let until = life.at + silence;
    life.until(until);
    has(&mut life, Control::Return(returns));
    life
}

#[test]
fn while_ibkr_is_silent_two_requests_reach_it_and_its_return_is_noticed() {
    for silence in [minute(10), hour(8)] {
        for returns in [Unanswered::Answered, Unanswered::Closed] {
            for has_own_tickle in [true, false] {
                // The session outlives the silence.
                let mut life = after_silence(knows_host(), has_own_tickle, silence, returns);
                let bound = match returns {
                    // The gateway's own 960 tickles go first.
                    Unanswered::Answered if silence > hour(1) && has_own_tickle => second(10),
                    Unanswered::Answered => second(5),
                    Unanswered::Closed | Unanswered::Kept => second(30 + 10),
                };
                let world_is_live = life.world.truth().live;
                let took = life.until_it_is(minute(1), is_live);
                println!(
                    "{silence:?}, {returns:?}, own tickle {has_own_tickle}: {} reached, {} in the first second, live after \
                     {took:?} (session {world_is_live})",
                    life.reach.in_silence, life.reach.in_first_second
                );
                assert!(took <= bound, "{}", life.story(&format!("live after {took:?}")));
                assert!(life.reach.in_silence <= 2 && life.reach.in_first_second <= 3, "{}", life.story("too many"));
            }
        }
    }
}

/// Where the gateway's own tickles have IBKR refuse the whole address, ours add nothing to it.
#[test]
fn a_storm_of_the_gateway_is_waited_for() {
    let mut life = Life::calm(3, knows_host());
    has(&mut life, Control::Ibkr(Reach::Away));
    let until = life.at + hour(1);
    life.until(until);
    let before = life.world.load();
    has(&mut life, Control::Ibkr(Reach::Here));
    let took = life.until_it_is(minute(20), is_live);
    let refused = life.world.load().refused - before.refused;
    println!("live {took:?} after the return, {refused} of ours refused");
    assert!(took >= minute(15) && refused <= 2, "{took:?}, {refused}");
}

/// A gateway behind which nothing shows IBKR's return but its own requests and a websocket.
#[test]
fn a_return_is_noticed_without_ibkrs_host() {
    for (silence, has_own_tickle, bound) in [
        (minute(5), true, minute(6)),
        (minute(30), true, second(5)),
        (hour(8), true, second(10)),
        (minute(5), false, minute(6)),
        (minute(40), false, minute(25)),
        (hour(2), false, hour(9)),
        (hour(8), false, hour(9)),
    ] {
        let mut life = after_silence(Policy::default(), has_own_tickle, silence, Unanswered::Closed);
        let took = life.until_it_is(hour(9), is_live);
        println!("{silence:?}, own tickle {has_own_tickle}: live after {took:?}, {} reached", life.reach.in_silence);
        assert!(took <= bound, "after {silence:?}: live {took:?} after the return");
    }
}

fn is_wedged(life: &Life) -> bool {
    life.machine.state() == WEDGED
}

fn ends_well(mut life: Life, attempts: u64) {
    let verdict = life.until_it_is(minute(5), is_wedged);
    let later = life.at + hour(2);
    life.until(later);
    println!("wedged: known after {verdict:?}");
    assert_eq!(raised(&life, Code::GatewayWedged), 1, "{:?}", life.notices);
    assert_eq!(raised(&life, Code::LoginRequired), 0, "{:?}", life.notices);
    assert_eq!(life.rules.tally.attempts, attempts, "attempts");
    has(&mut life, Control::Restart { down: second(5) });
    let later = life.at + minute(1);
    life.until(later);
    has(&mut life, Control::LogIn);
    life.until_it_is(minute(1), is_live);
    let later = life.at + minute(10);
    life.until(later);
    let resolved = (Code::GatewayWedged, AlertPhase::Resolved);
    assert!(life.notices.iter().any(|(_, code, phase)| (*code, *phase) == resolved), "{:?}", life.notices);
}

#[test]
fn a_gateway_whose_connections_stay_taken_is_wedged() {
    let mut life = Life::calm(4, knows_host());
    has(&mut life, Control::Ibkr(Reach::Away));
    let until = life.at + minute(10);
    life.until(until);
    let attempts = life.rules.tally.attempts;
    has(&mut life, Control::Return(Unanswered::Kept));
    assert!(life.world.truth().wedged);
    ends_well(life, attempts);
}

fn program(does: Does, after: Option<Duration>) -> Control {
    let path = "/v1/api/iserver/marketdata/*".to_owned();
    Control::Script(Rule { path, method: None, who: Some(Who::Client), times: Times::Always, after, does })
}

#[test]
fn the_trading_program_alone_wedges_a_gateway() {
    let mut life = Life::calm(5, knows_host());
    let attempts = life.rules.tally.attempts;
    has(&mut life, program(Does::Hang, None));
    life.happens(Event::ProgramAsks(5)).unwrap();
    assert!(life.world.truth().wedged);
    ends_well(life, attempts);
}

/// Twelve requests of the trading program at any time, of eight seconds each, for ten minutes. Each request of ours waits up to
/// sixteen seconds for its turn: one that notices a lapse, one that takes the session back, and two at once that confirm it.
/// Where the gateway's own tickle sees the lapse it logs itself out, behind our request in its queue, so that the session lapses
/// once more.
#[test]
fn a_gateway_that_is_busy_is_live() {
    for (has_own_tickle, live_within) in [(true, second(80)), (false, second(50))] {
        let times: Vec<_> = (0..12).map(|i| busy(has_own_tickle, Duration::from_millis(1500) * i)).collect();
        let back = times.iter().map(|(back, _)| *back).max().unwrap();
        let live = times.iter().map(|(_, live)| *live).max().unwrap();
        println!(
            "busy, own tickle {has_own_tickle}: a lapse is taken back after {back:?}, live after {live:?} at most"
        );
        assert!(back <= second(33) && live <= live_within, "{times:?}");
    }
}

/// When a lapse, so long after the middle of the ten minutes, was taken back, and when the session was live again.
fn busy(has_own_tickle: bool, later: Duration) -> (Duration, Duration) {
    let mut life = Life::calm(6, knows_host());
    if !has_own_tickle {
        without_own_tickle(&mut life);
    }
    has(&mut life, program(Does::Delay, Some(second(8))));
    life.happens(Event::ProgramAsks(12)).unwrap();
    let (begins, mut pinged, mut slowest) = (life.at, life.at, Duration::ZERO);
    let mut times = None;
    while life.next() < begins + minute(10) {
        life.go_on().unwrap_or_else(|what| panic!("{}", life.story(&what)));
        slowest = slowest.max(life.machine.facts().answer_took.unwrap_or_default());
        let is_ping = |arrival: &&Arrival| (arrival.who, &arrival.route) == (Who::Client, &Route::Tickle);
        let last = life.world.arrivals().rev().take(200).find(is_ping).map_or(pinged, |last| last.at);
        assert!(last <= pinged + minute(5), "a ping after {:?}", last - pinged);
        pinged = pinged.max(last);
        assert!(life.flights.standing() <= 2, "{} of ours at the gateway", life.flights.standing());
        let lapses = begins + minute(5) + later;
        if times.is_none() && life.next() >= lapses {
            life.until(lapses);
            has(&mut life, Control::Lapse);
            let back = life.until_it_is(minute(1), |life| life.world.truth().live);
            let live = life.until_it_is(minute(3), |life| is_live(life) && life.world.truth().live);
            times = Some((back, back + live));
        }
        assert!(is_live(&life), "{:?}", life.machine.state());
    }
    assert!(slowest >= second(8) && life.at - pinged <= minute(5), "{slowest:?}");
    assert!(life.notices.is_empty(), "{:?}", life.notices);
    times.unwrap()
}

#[test]
fn a_host_without_a_network_is_named_and_opens_no_websocket() {
    let mut life = Life::calm(7, knows_host());
    life.flights.has_no_way = true;
    has(&mut life, Control::Ibkr(Reach::Away));
    life.until_it_is(minute(2), |life| life.machine.state() == State::Unavailable(Unavailability::IbkrUnreachable));
    let later = life.at + hour(3);
    life.until(later);
    let websockets =
        life.rules.sent.iter().filter(|(_, request)| *request == tickled::session::Request::ProbeWebsocket);
    assert_eq!(websockets.count(), 0);
    assert_eq!(life.machine.state(), State::Unavailable(Unavailability::IbkrUnreachable));
    assert!(life.reach.in_silence <= 2);
    life.flights.has_no_way = false;
    has(&mut life, Control::Pacing(Limits::Off));
    has(&mut life, Control::Ibkr(Reach::Here));
    let took = life.until_it_is(minute(2), is_live);
    assert!(took <= second(40), "{took:?}");
}

#[test]
fn a_daemon_that_is_restarted_keeps_the_budget() {
    for kills in [3, 60] {
        let mut life = Life::calm(8, knows_host());
        has(&mut life, Control::Pacing(Limits::Off));
        has(&mut life, Control::Ibkr(Reach::Away));
        for _ in 0..kills {
            let later = life.at + minute(160) / kills;
            life.until(later);
            life.happens(Event::DaemonRestarts).unwrap_or_else(|what| panic!("{}", life.story(&what)));
            assert_eq!(life.reach.lost, 0, "a request that is older than five seconds is remembered");
        }
        println!("{kills} restarts: {} reached", life.reach.in_silence);
        has(&mut life, Control::Ibkr(Reach::Here));
        let took = life.until_it_is(minute(2), is_live);
        assert!(took <= second(40), "{took:?}");
    }
}

/// When a lapse, at a random moment of each of 50 lives, was noticed, and when the session was live again; from the lapse on.
fn lapses(policy: &Policy, mut spoil: impl FnMut(&mut Life), is_pushed: bool) -> Vec<(Duration, Duration)> {
    let mut chance = Chance(11);
    let lapse = |seed| {
        let mut life = Life::calm(seed, policy.clone());
        if is_pushed {
            life.listen();
        }
        let later = life.at + chance.span(Duration::ZERO, second(20));
        life.until(later);
        spoil(&mut life);
        let lapsed = life.at;
        has(&mut life, Control::Lapse);
        life.until_it_is(minute(2), |life| !is_live(life));
        let noticed = life.at - lapsed;
        life.until_it_is(minute(2), is_live);
        (noticed, life.at - lapsed)
    };
    (0..50).map(lapse).collect()
}

/// The median and the longest.
fn spread(times: impl Iterator<Item = Duration>) -> (Duration, Duration) {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() - 1])
}

#[test]
fn a_lapse_is_taken_back_in_seconds() {
    let (median, worst) = spread(lapses(&knows_host(), |_| {}, false).into_iter().map(|(_, live)| live));
    println!("50 lapses by default: median {median:?}, worst {worst:?}");
    assert!(median <= second(7) && worst <= second(12), "{median:?} {worst:?}");
    let (median, worst) = spread(lapses(&knows_host(), |_| {}, true).into_iter().map(|(_, live)| live));
    println!("50 lapses with the stream: median {median:?}, worst {worst:?}");
    assert!(worst <= Duration::from_millis(300), "{median:?} {worst:?}");
    // Just before, while and just after a request is answered as if the session were live.
    let mut after = (0..50).map(Duration::from_millis);
    let beside_a_request = |life: &mut Life| {
        life.until_it_is(second(20), |life| life.flights.standing() == 1);
        let later = life.at + after.next().unwrap();
        life.until(later);
    };
    let (median, worst) = spread(lapses(&knows_host(), beside_a_request, true).into_iter().map(|(_, live)| live));
    println!("50 lapses with the stream, beside a request: median {median:?}, worst {worst:?}");
    assert!(worst <= Duration::from_millis(300), "{median:?} {worst:?}");
}

/// Counted from the moment at which the lapse is noticed.
#[test]
fn a_method_that_fails_costs_seconds() {
    let times = |lapses: Vec<(Duration, Duration)>| spread(lapses.into_iter().map(|(noticed, live)| live - noticed));
    let refused = |life: &mut Life| has(life, Control::FailInits { times: Times::Next(1), status: Some(503) });
    let (median, worst) = times(lapses(&knows_host(), refused, false));
    println!("the first method refused: median {median:?}, worst {worst:?}");
    assert!(worst <= second(10), "{worst:?}");
    let mut policy = knows_host();
    policy.recovery.methods.reverse();
    let in_vain = |life: &mut Life| has(life, Control::FailReauthentications(Times::Next(1)));
    let (median, worst) = times(lapses(&policy, in_vain, false));
    println!("the first method triggered in vain: median {median:?}, worst {worst:?}");
    assert!(worst <= second(12), "{worst:?}");
}
