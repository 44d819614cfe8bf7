//! What the gateway does by itself: measured on a real one (A3 to A6).

use super::super::{Method, Reach};
use super::*;

#[test]
fn a3_the_root_redirects_to_the_login_page_also_while_ibkr_is_away() {
    let mut world = fresh();
    world.set(s(0), Control::Ibkr(Reach::Away));
    let answer = ask(&mut world, s(1), &Call::get(Route::Root)).render();
    assert_eq!(answer.status, 302);
    assert!(answer.headers[0].1.starts_with("/sso/Login?forwardTo=22&RL=1&ip2loc="), "{answer:?}");
}

#[test]
fn a3_reauthenticate_is_answered_by_the_gateway_itself_whatever_the_method() {
    for path in ["/v1/api/iserver/reauthenticate", "/v1/portal/iserver/reauthenticate"] {
        for method in [Method::Get, Method::Post, Method::Other] {
            let call = Call { method, content_length: false, user_agent: false, ..Call::get(Route::parse(path)) };
            let mut world = fresh();
            world.set(s(0), Control::Ibkr(Reach::Away));
            assert_eq!(body(&ask(&mut world, s(1), &call)), r#"{"error":"not logged in"}"#);
            world.set(s(2), Control::Ibkr(Reach::Here));
            world.set(s(2), Control::LogIn);
            world.set(s(9), Control::Ibkr(Reach::Away));
            assert_eq!(body(&ask(&mut world, s(10), &call)), r#"{"message":"triggered"}"#);
        }
    }
}

#[test]
fn a3_an_address_that_is_not_allowed_gets_404_access_denied() {
    let mut world = live();
    world.set(s(5), Control::Deny(true));
    for route in [Route::Root, Route::Tickle, Route::Reauthenticate] {
        let answer = ask(&mut world, s(6), &Call::post(route));
        assert_eq!((answer.status(), body(&answer).as_str()), (404, "Access Denied"));
    }
    assert!(!world.truth().live);
}

#[test]
fn a3_an_unknown_path_is_redirected_to_ibkrs_host() {
    let mut world = live();
    for path in ["/tickle", "/nothing", "/v1/other"] {
        let answer = ask(&mut world, s(6), &Call::get(Route::parse(path))).render();
        assert_eq!(answer.status, 302);
        assert!(answer.headers[0].1.starts_with("https://") && answer.headers[0].1.ends_with(path));
    }
}

#[test]
fn a3_get_status_never_answers() {
    assert_eq!(live().handle(s(6), &Call::get(Route::parse("/status"))).what, What::Hang);
}

#[test]
fn a3_everything_proxied_is_401_with_an_empty_body_without_a_login() {
    let mut world = fresh();
    for path in ["/v1/api/tickle", "/v1/api/iserver/auth/status", "/v1/api/sso/validate", "/v1/api/anything"] {
        let answer = ask(&mut world, s(1), &Call::get(Route::parse(path)));
        assert_eq!((answer.status(), body(&answer).as_str()), (401, ""), "{path}");
    }
}

#[test]
fn a3_what_ibkr_says_passes_unchanged() {
    let mut world = live();
    for (status, content_type, text) in
        [(601, "text/plain", "Session Expired"), (200, "text/html", "<html>"), (200, "application/json", "{\"ses")]
    {
        world.set(s(6), Control::Clear);
        let says = raw(status, content_type, text.as_bytes());
        script(&mut world, s(6), "/v1/api/tickle", Does::Say(Arc::new(says)));
        let answer = ask(&mut world, s(6), &Call::post(Route::Tickle)).render();
        assert_eq!((answer.status, answer.body.as_slice()), (status, text.as_bytes()));
    }
    for status in [429, 500, 503, 601] {
        world.set(s(7), Control::Ibkr(Reach::Failing { status, after: s(10) }));
        let reply = world.handle(s(7), &Call::post(Route::Status));
        assert_eq!((reply.after, reply.what), (s(10), What::Answer(Answer::Trouble(status))));
    }
}

#[test]
fn a4_everything_proxied_hangs_while_ibkr_is_away() {
    let mut world = live();
    world.set(s(6), Control::Ibkr(Reach::Away));
    for route in [Route::Tickle, Route::Status, Route::Validate, Route::Logout, Route::LoginPage] {
        assert_eq!(world.handle(s(7), &Call::get(route)).what, What::Hang);
    }
    world.set(s(8), Control::Ibkr(Reach::Here));
    assert_eq!(ask(&mut world, s(8), &Call::post(Route::Tickle)).status(), 200);
}

#[test]
fn a4_a_login_while_ibkr_is_away_comes_to_nothing() {
    let mut world = fresh();
    world.set(s(0), Control::Ibkr(Reach::Away));
    world.set(s(1), Control::LogIn);
    world.set(s(2), Control::Ibkr(Reach::Here));
    world.advance(s(60));
    assert!(!world.truth().login);
    assert_eq!(ask(&mut world, s(60), &Call::post(Route::Reauthenticate)), Answer::NotLoggedIn);
}

#[test]
fn a5_triggered_takes_a_lapse_back_in_3_1_seconds_step_by_step() {
    let mut world = live();
    world.set(s(10), Control::Lapse);
    assert_eq!(ask(&mut world, s(10), &Call::post(Route::Reauthenticate)), Answer::Triggered);
    world.advance(ms(13_079));
    assert!(!world.truth().authenticated);
    world.advance(ms(13_100));
    assert!(world.truth().live);
    let steps = [
        ("/sso/validate", 10_000),
        ("/iserver/auth/ssodh/init", 10_020),
        ("/iserver/auth/ssodh/st", 10_040),
        ("/iserver/auth/status", 13_060),
        ("/iserver/auth/ssodh/init", 13_080),
        ("/iserver/accounts", 13_100),
    ];
    assert_eq!(asked(&world, s(10)), steps);
}

#[test]
fn a5_triggered_does_not_init_again_when_the_status_is_good() {
    let mut world = live();
    ask(&mut world, s(10), &Call::post(Route::Reauthenticate));
    world.advance(s(20));
    let paths: Vec<&str> = asked(&world, s(10)).into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths.iter().filter(|path| path.ends_with("init")).count(), 1);
    assert!(paths.ends_with(&["/iserver/auth/status", "/iserver/accounts"]));
}

#[test]
fn a5_triggered_evicts_whoever_competes() {
    let mut world = live();
    world.set(s(10), Control::Compete(TAKEN));
    assert!(world.truth().held_elsewhere);
    ask(&mut world, s(10), &Call::post(Route::Reauthenticate));
    world.advance(s(14));
    assert_eq!((world.truth().evictions, world.truth().held_elsewhere), (1, false));
    assert!(world.truth().authenticated);
}

#[test]
fn a5_triggered_inits_again_when_the_status_is_good_but_competing() {
    let mut world = live();
    let both = Competitor { shows: Shows::Both, ..TAKEN };
    world.set(s(10), Control::Compete(both));
    ask(&mut world, s(10), &Call::post(Route::Reauthenticate));
    world.advance(s(14));
    assert_eq!(world.truth().evictions, 1);
}

#[test]
fn a5_triggered_against_one_who_is_not_evicted_comes_to_nothing() {
    let mut world = live();
    world.set(s(10), Control::Compete(Competitor { stubborn: true, ..TAKEN }));
    ask(&mut world, s(10), &Call::post(Route::Reauthenticate));
    let now = flags(&mut world, s(14));
    assert_eq!((now.authenticated, now.competing), (false, true));
}

#[test]
fn a5_validate_is_retried_five_times_three_seconds_apart_and_then_given_up() {
    let mut world = live();
    world.set(s(10), Control::ExpireLogin);
    assert_eq!(ask(&mut world, s(10), &Call::post(Route::Reauthenticate)), Answer::Triggered);
    world.advance(s(600));
    let times: Vec<u64> = asked(&world, s(10)).into_iter().map(|(_, at)| at).collect();
    assert_eq!(times, [10_000, 13_020, 16_040, 19_060, 22_080, 25_100]);
    assert!(asked(&world, s(10)).iter().all(|(path, _)| *path == "/sso/validate"));
}

#[test]
fn a5_a_second_call_runs_beside_the_first() {
    let mut world = live();
    world.set(s(10), Control::Lapse);
    ask(&mut world, s(10), &Call::post(Route::Reauthenticate));
    ask(&mut world, s(11), &Call::post(Route::Reauthenticate));
    world.advance(s(20));
    let validates: Vec<_> = asked(&world, s(10)).into_iter().filter(|(path, _)| *path == "/sso/validate").collect();
    assert_eq!(validates, [("/sso/validate", 10_000), ("/sso/validate", 11_000)]);
}

#[test]
fn a5_what_it_starts_hangs_for_ever_when_ibkr_goes_away() {
    let mut world = live();
    world.set(s(10), Control::Lapse);
    ask(&mut world, s(10), &Call::post(Route::Reauthenticate));
    world.set(s(11), Control::Ibkr(Reach::Away));
    world.advance(s(14));
    world.set(s(15), Control::Ibkr(Reach::Here));
    world.advance(s(25));
    assert!(!world.truth().authenticated);
}

#[test]
fn a5_a_reauthentication_can_be_triggered_and_come_to_nothing() {
    let mut world = live();
    world.set(s(10), Control::Lapse);
    world.set(s(10), Control::FailReauthentications(Times::Next(1)));
    assert_eq!(ask(&mut world, s(10), &Call::post(Route::Reauthenticate)), Answer::Triggered);
    world.advance(s(20));
    assert!(asked(&world, s(10)).is_empty());
    ask(&mut world, s(20), &Call::post(Route::Reauthenticate));
    world.advance(s(24));
    assert!(world.truth().authenticated);
}

#[test]
fn a5_a_clients_own_init_is_proxied_without_delay_and_chooses_whether_to_compete() {
    let mut world = live();
    world.set(s(10), Control::Lapse);
    let reply = world.handle(s(10), &Call::init(false));
    assert_eq!(reply.after, ms(20));
    assert!(world.truth().live);
    world.set(s(11), Control::Compete(TAKEN));
    let refused = ask(&mut world, s(12), &Call::init(false));
    assert!(matches!(refused, Answer::Status(flags) if !flags.authenticated && flags.competing));
    assert_eq!(world.truth().evictions, 0);
    let taken = ask(&mut world, s(13), &Call::init(true));
    assert!(matches!(taken, Answer::Status(flags) if flags.authenticated));
    assert_eq!(world.truth().evictions, 1);
}

#[test]
fn a6_it_tickles_every_30_seconds_and_pings_every_5_minutes_once_authenticated() {
    let mut world = fresh();
    world.advance(s(600));
    assert!(asked(&world, s(0)).is_empty());
    world.set(s(600), Control::LogIn);
    world.advance(s(600 + 310));
    let asked = asked(&world, s(604));
    let count = |path: &str| asked.iter().filter(|(asked, _)| *asked == path).count();
    assert_eq!((count("/tickle"), count("/sso/ping")), (10, 1));
}

#[test]
fn a6_its_own_tickle_keeps_the_session_alive() {
    let mut world = live();
    world.advance(s(3 * 3600));
    assert!(world.truth().live);
}

#[test]
fn a6_after_a_lapse_it_logs_itself_out_within_30_seconds() {
    let mut world = live();
    world.set(s(40), Control::Lapse);
    assert!(world.truth().connected);
    world.advance(s(40 + 31));
    assert!(asked(&world, s(40)).iter().any(|(path, _)| *path == "/logout"));
    let now = flags(&mut world, s(71));
    assert_eq!((now.authenticated, now.connected), (false, false));
    assert_eq!(ask(&mut world, s(72), &Call::get(Route::Validate)).status(), 200, "the login stands");
}

#[test]
fn a6_a_tickle_that_fails_starts_the_way_to_a_session() {
    let mut world = live();
    let no = Does::Say(Arc::new(raw(503, "text/html", b"")));
    script(&mut world, s(6), "/v1/api/tickle", no);
    world.advance(s(40));
    assert_eq!(asked(&world, s(33)).first().map(|(path, _)| *path), Some("/tickle"));
    assert_eq!(asked(&world, s(33)).get(1).map(|(path, _)| *path), Some("/sso/validate"));
}

#[test]
fn a6_its_timers_stop_when_a_brokerage_login_fails_and_a_clients_init_does_not_start_them() {
    let mut world = live();
    world.set(s(10), Control::Lapse);
    world.set(s(10), Control::FailInits { times: Times::Next(1), status: None });
    ask(&mut world, s(10), &Call::post(Route::Reauthenticate));
    world.advance(s(15));
    ask(&mut world, s(15), &Call::init(false));
    assert!(world.truth().live);
    world.advance(s(300));
    assert!(asked(&world, s(14)).is_empty());
    world.advance(s(400));
    assert!(!world.truth().authenticated, "nobody kept it alive");
}

#[test]
fn a5_what_is_triggered_comes_to_nothing_when_ibkr_refuses_the_runs_init() {
    for status in [Some(500), Some(503), Some(410), None] {
        let mut world = live();
        world.set(s(10), Control::Lapse);
        world.set(s(10), Control::FailInits { times: Times::Next(1), status });
        assert_eq!(ask(&mut world, s(10), &Call::post(Route::Reauthenticate)), Answer::Triggered);
        world.advance(s(20));
        let steps: Vec<_> = asked(&world, s(10)).into_iter().map(|(path, _)| path).collect();
        assert_eq!(steps.iter().filter(|path| path.ends_with("init")).count(), 2, "{steps:?}");
        assert!(!world.truth().authenticated);
        assert!(matches!(ask(&mut world, s(20), &Call::init(false)), Answer::Status(flags) if flags.authenticated));
    }
}

#[test]
fn a5_a_clients_init_can_be_refused_while_the_gateways_own_is_not() {
    for status in [500, 503, 410] {
        let mut world = live();
        world.set(s(10), Control::Lapse);
        let path = "/v1/api/iserver/auth/ssodh/init".to_owned();
        let (who, does) = (Some(Who::Client), Does::Say(Arc::new(raw(status, "text/html", b""))));
        world.set(s(10), Control::Script(Rule { path, method: None, who, times: Times::Always, after: None, does }));
        assert_eq!(ask(&mut world, s(10), &Call::init(false)).status(), status);
        ask(&mut world, s(11), &Call::post(Route::Reauthenticate));
        world.advance(ms(14_100));
        assert!(world.truth().live);
    }
}

#[test]
fn a13_an_auth_delay_of_500_makes_the_gateways_own_run_quick() {
    let mut world = live();
    world.set(s(10), Control::AuthDelay(ms(500)));
    world.set(s(10), Control::Lapse);
    ask(&mut world, s(10), &Call::post(Route::Reauthenticate));
    world.advance(ms(10_599));
    assert!(world.truth().live, "0.57 s on a real one");
    world.set(s(20), Control::Restart { down: s(2) });
    world.set(s(23), Control::LogIn);
    world.advance(s(24));
    assert!(world.truth().live, "a setting outlives a restart");
}
