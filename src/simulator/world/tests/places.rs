//! The gateway's five connections to IBKR (A12): what takes them, what waits for them, and what frees them.

use super::super::{Late, Reach, RequestId, Unanswered};
use super::*;

/// A live world in which IBKR falls silent at 10 s.
fn silent() -> World {
    let mut world = live();
    world.set(s(10), Control::Ibkr(Reach::Away));
    world
}

/// A silent world in which five requests of clients that gave up have taken the places at 11 s.
fn wedged() -> World {
    let mut world = silent();
    for _ in 0..5 {
        hangs(&mut world, s(11), &Call::get(Route::Accounts));
    }
    world
}

/// A request at `at` that gets no answer for the present.
fn hangs(world: &mut World, at: Duration, call: &Call) -> RequestId {
    let reply = world.handle(at, call);
    assert_eq!(reply.what, What::Hang, "{call:?}");
    reply.awaits.expect("an answer may come")
}

fn late(world: &mut World) -> Vec<(RequestId, Duration, u16)> {
    let status = |late: &Late| match &late.what {
        What::Answer(answer) => answer.status(),
        other @ (What::Refused | What::Hang | What::Reset | What::Cut(_) | What::Drip(_)) => panic!("{other:?}"),
    };
    world.late_answers().iter().map(|late| (late.id, late.at, status(late))).collect()
}

/// The requests of clients that have reached IBKR since `since`.
fn reached(world: &World, since: Duration) -> Vec<Duration> {
    let theirs = |arrival: &&Arrival| arrival.who == Who::Client && arrival.at >= since;
    world.arrivals().filter(theirs).map(|arrival| arrival.at).collect()
}

#[test]
fn a12_five_requests_wedge_the_gateway_and_the_others_wait() {
    let mut world = wedged();
    assert!(world.truth().wedged && !world.truth().live);
    for second in 12..32 {
        hangs(&mut world, s(second), &Call::post(Route::Status));
    }
    assert_eq!(reached(&world, s(10)).len(), 5);
    let load = world.load();
    assert_eq!((load.places_taken, load.unanswered, load.queue), (5, 5, 20));
}

#[test]
fn a12_any_proxied_request_takes_a_place_and_what_the_gateway_answers_takes_none() {
    for route in [
        Route::Tickle,
        Route::Status,
        Route::Validate,
        Route::Logout,
        Route::LoginPage,
        Route::Dispatcher,
        Route::parse("/v1/api/portfolio/accounts"),
        Route::parse("/v1/api/iserver/marketdata/history"),
        Route::parse("/v1/api/nothing"),
    ] {
        let mut world = silent();
        hangs(&mut world, s(11), &Call::get(route));
        assert_eq!(world.load().unanswered, 1);
    }
    let mut world = wedged();
    assert_eq!(ask(&mut world, s(12), &Call::get(Route::Root)), Answer::LoginRedirect);
    assert_eq!(ask(&mut world, s(12), &Call::get(Route::parse("/nothing"))).status(), 302);
    assert_eq!(world.handle(s(12), &Call::get(Route::GatewayStatus)).awaits, None, "it never answers");
    assert_eq!(world.load().queue, 0);
    assert_eq!(ask(&mut world, s(12), &Call::post(Route::Reauthenticate)), Answer::Triggered);
    world.advance(s(13));
    assert_eq!(world.load().queue, 1, "what is triggered waits as well");
}

#[test]
fn a12_the_gateway_wedges_itself_in_150_seconds() {
    let mut world = live();
    world.advance(s(34));
    assert_eq!(asked(&world, s(30)), [("/tickle", 33_140)]);
    world.set(s(34), Control::Ibkr(Reach::Away));
    world.advance(ms(33_140) + s(150) - ms(1));
    assert_eq!(world.load().unanswered, 4);
    world.advance(ms(33_140) + s(150));
    assert_eq!((world.load().unanswered, world.truth().wedged), (5, true));
    world.advance(s(3600));
    assert!(world.load().queue > 100, "it goes on asking: {:?}", world.load());
}

#[test]
fn a12_late_answers_come_to_clients_that_stayed_and_the_queue_follows() {
    let mut world = silent();
    let first: Vec<RequestId> = (11..16).map(|at| hangs(&mut world, s(at), &Call::post(Route::Status))).collect();
    let queued = hangs(&mut world, s(16), &Call::post(Route::Tickle));
    assert!(late(&mut world).is_empty());
    world.set(s(20), Control::Return(Unanswered::Answered));
    world.advance(s(21));
    let answers = late(&mut world);
    let at_once: Vec<_> = first.into_iter().map(|id| (id, ms(20_020), 200)).collect();
    assert_eq!(answers[..5], at_once);
    assert_eq!(answers[5..], [(queued, ms(20_040), 200)]);
    assert_eq!((world.load().places_taken, world.load().queue), (0, 0));
    assert!(world.truth().live);
    assert_eq!(ask(&mut world, s(22), &Call::post(Route::Status)).status(), 200);
}

#[test]
fn a12_nothing_comes_when_ibkr_closes_and_the_queue_is_sent_at_once() {
    let mut world = silent();
    for nth in 0..9 {
        hangs(&mut world, s(11) + ms(nth), &Call::post(Route::Status));
    }
    world.set(s(20), Control::Ibkr(Reach::Here));
    world.advance(s(21));
    let answers = late(&mut world);
    assert_eq!(answers.iter().map(|(_, at, _)| *at).collect::<Vec<_>>(), [ms(20_020); 4]);
    assert_eq!(answers.iter().map(|(id, _, _)| id.0).max().unwrap() - answers[0].0.0, 3, "the five get nothing");
}

#[test]
fn a12_a_long_queue_is_a_storm_that_ends_in_the_penalty() {
    let mut world = wedged();
    for nth in 0..30 {
        hangs(&mut world, s(12) + s(nth), &Call::post(Route::Status));
    }
    world.set(s(60), Control::CloseConnections);
    assert!(world.truth().wedged, "IBKR is silent: the next five took the places");
    world.set(s(61), Control::Ibkr(Reach::Here));
    world.advance(s(62));
    let storm = reached(&world, s(61));
    assert_eq!(storm.len(), 25);
    assert!(storm[24] - storm[0] < ms(150), "{storm:?}");
    let refused = late(&mut world).iter().filter(|(_, _, status)| *status == 429).count();
    assert!(refused >= 15, "{refused}");
    assert_eq!(ask(&mut world, s(70), &Call::post(Route::Status)).status(), 429);
    assert!(world.load().busiest_second >= 25);
}

#[test]
fn a12_it_stays_wedged_after_ibkr_is_back_until_the_connections_are_closed_or_it_is_restarted() {
    for restart in [false, true] {
        let mut world = wedged();
        world.set(s(20), Control::Return(Unanswered::Kept));
        assert!(world.truth().reachable && world.truth().wedged && !world.truth().live);
        let id = hangs(&mut world, s(3600), &Call::post(Route::Status));
        assert!(late(&mut world).is_empty());
        if restart {
            world.set(s(3601), Control::Restart { down: s(2) });
            assert_eq!(ask(&mut world, s(3604), &Call::post(Route::Status)), Answer::Unauthorized);
            assert!(late(&mut world).is_empty());
        } else {
            world.set(s(3601), Control::CloseConnections);
            world.advance(s(3602));
            assert!(late(&mut world).iter().any(|(answered, _, _)| *answered == id));
        }
        assert_eq!((world.truth().wedged, world.load().queue), (false, 0));
    }
}

#[test]
fn a12_a_few_unanswered_requests_leave_the_other_places_to_work_with() {
    let mut world = silent();
    hangs(&mut world, s(11), &Call::post(Route::Status));
    world.set(s(12), Control::Return(Unanswered::Kept));
    assert_eq!(ask(&mut world, s(13), &Call::post(Route::Status)).status(), 200);
    assert_eq!((world.load().unanswered, world.truth().live), (1, true));
}

#[test]
fn a12_a_program_alone_wedges_the_gateway_with_requests_that_ibkr_does_not_answer() {
    let mut world = live();
    script(&mut world, s(6), "/v1/api/iserver/marketdata/*", Does::Hang);
    for at in 6..11 {
        hangs(&mut world, s(at), &Call::get(Route::parse("/v1/api/iserver/marketdata/history")));
    }
    world.set(s(11), Control::Clear);
    assert!(world.truth().wedged);
    hangs(&mut world, s(12), &Call::post(Route::Tickle));
}

#[test]
fn a12_slow_requests_of_a_program_make_a_check_wait_for_its_turn() {
    let mut world = live();
    let path = "/v1/api/iserver/marketdata/*".to_owned();
    let slow = Rule { path, method: None, who: None, times: Times::Always, after: Some(s(8)), does: Does::Delay };
    world.set(s(6), Control::Script(slow));
    for _ in 0..12 {
        let reply = world.handle(s(10), &Call::get(Route::parse("/v1/api/iserver/marketdata/history")));
        assert!(reply.awaits.is_some() || reply.after == s(8));
    }
    let check = hangs(&mut world, s(10), &Call::post(Route::Status));
    assert!(!world.truth().wedged && world.truth().live);
    world.advance(s(60));
    let answers = late(&mut world);
    assert_eq!(answers.iter().find(|(id, _, _)| *id == check), Some(&(check, ms(26_340), 200)));
}

/// Measured: 8.4 s. A tickle of its own, and four requests of other clients, make it longer.
#[test]
fn a12_fifteen_requests_of_two_seconds_take_8_4_seconds_and_longer_beside_others() {
    for (starts, others, takes) in [(s(10), 0, ms(8_420)), (ms(33_200), 0, ms(8_420)), (s(10), 5, ms(10_640))] {
        let mut world = live();
        world.set(s(6), Control::Latency(s(2)));
        for _ in 0..others + 15 {
            drop(world.handle(starts, &Call::get(Route::Accounts)));
        }
        world.advance(s(60));
        let last = late(&mut world).into_iter().map(|(_, at, _)| at).max().unwrap() - starts;
        assert!(last >= takes && last < takes + s(1), "{starts:?} {others}: {last:?}");
    }
}

#[test]
fn a12_a_login_and_an_init_that_were_queued_take_effect_when_they_are_sent() {
    let mut world = fresh();
    world.set(s(0), Control::Ibkr(Reach::Away));
    world.set(s(1), Control::LogIn);
    world.set(s(60), Control::Return(Unanswered::Answered));
    world.advance(s(70));
    assert!(world.truth().live, "the browser stayed, and its login went through");

    let mut world = wedged();
    world.set(s(12), Control::Lapse);
    hangs(&mut world, s(12), &Call::init(false));
    world.set(s(13), Control::Ibkr(Reach::Here));
    assert!(world.truth().live);
}

#[test]
fn a12_a_restart_forgets_the_queue() {
    let mut world = wedged();
    for _ in 0..9 {
        hangs(&mut world, s(12), &Call::post(Route::Logout));
    }
    let before = world.load().arrived;
    world.set(s(13), Control::Restart { down: s(2) });
    world.set(s(14), Control::Ibkr(Reach::Here));
    world.advance(s(60));
    assert_eq!((world.load().arrived, world.load().queue), (before, 0));
}

#[test]
fn a12_a_body_without_end_keeps_its_place() {
    let mut world = live();
    script(&mut world, s(6), "/v1/api/tickle", Does::Drip);
    assert!(matches!(world.handle(s(6), &Call::post(Route::Tickle)).what, What::Drip(_)));
    assert_eq!(world.load().unanswered, 1);
    world.set(s(7), Control::Clear);
    script(&mut world, s(7), "/v1/api/tickle", Does::Cut);
    assert!(matches!(world.handle(s(7), &Call::post(Route::Tickle)).what, What::Cut(_)));
    world.advance(s(8));
    assert_eq!((world.load().unanswered, world.load().places_taken), (1, 1));
}
