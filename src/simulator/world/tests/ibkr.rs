//! What IBKR does behind the gateway: documented by it, or seen by others.

use super::super::{Established, Limits, Method, Reach, Verdict};
use super::*;

#[test]
fn a_session_lapses_after_six_minutes_without_a_request() {
    let mut world = left_alone();
    flags(&mut world, s(10));
    world.advance(s(10 + 359));
    assert!(world.truth().authenticated);
    world.advance(s(10 + 360));
    let truth = world.truth();
    assert_eq!((truth.authenticated, truth.connected, truth.login), (false, true, true));
}

#[test]
fn any_request_keeps_it_alive_but_not_a_validate_or_a_ping() {
    let mut world = left_alone();
    for minute in 1..30 {
        flags(&mut world, s(60 * minute));
    }
    assert!(world.truth().authenticated);
    for minute in 30..36 {
        ask(&mut world, s(60 * minute), &Call::get(Route::Validate));
        ask(&mut world, s(60 * minute), &Call::get(Route::SsoPing));
    }
    assert!(!world.truth().authenticated);
}

#[test]
fn the_login_ends_when_it_is_told_to_and_after_24_hours_at_the_latest() {
    let mut world = live();
    world.set(s(6), Control::ExpireLoginAt(s(100)));
    assert_eq!(ask(&mut world, s(99), &Call::get(Route::Validate)).status(), 200);
    assert_eq!(ask(&mut world, s(100), &Call::get(Route::Validate)), Answer::Unauthorized);
    world.set(s(200), Control::LogIn);
    world.advance(s(200 + 24 * 3600 - 1));
    assert!(world.truth().live);
    world.advance(s(200 + 24 * 3600));
    assert!(!world.truth().login && !world.truth().live);
}

#[test]
fn the_nightly_kick_leaves_three_false_flags_and_the_mac_and_the_login() {
    let mut world = live();
    world.set(s(6), Control::LogOutElsewhere);
    let status = json(&ask(&mut world, s(7), &Call::post(Route::Status)));
    let keys: Vec<&str> = status.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["MAC", "authenticated", "competing", "connected"]);
    let tickle = json(&ask(&mut world, s(7), &Call::post(Route::Tickle)));
    assert!(tickle["session"].is_string() && tickle["ssoExpires"].is_number());
    assert!(world.truth().login);
}

#[test]
fn accounts_are_empty_while_competing_or_not_established_and_400_without_a_session() {
    let mut world = live();
    world.set(s(6), Control::Compete(Competitor { shows: Shows::Both, ..TAKEN }));
    assert_eq!(body(&ask(&mut world, s(7), &Call::get(Route::Accounts))), "{}");
    world.set(s(8), Control::Leave);
    world.set(s(8), Control::Established(Established::Never));
    assert_eq!(body(&ask(&mut world, s(9), &Call::get(Route::Accounts))), "{}");
    world.set(s(10), Control::Lapse);
    let answer = ask(&mut world, s(11), &Call::get(Route::Accounts));
    assert_eq!((answer.status(), json(&answer)["error"].as_str()), (400, Some("Bad Request: no bridge")));
    let other = ask(&mut world, s(11), &Call::get(Route::parse("/v1/api/iserver/account/orders")));
    assert_eq!(other, Answer::NoBridge);
}

#[test]
fn accounts_tell_paper_from_live() {
    for paper in [true, false] {
        let mut world = live();
        world.set(s(6), Control::Paper(paper));
        let accounts = json(&ask(&mut world, s(7), &Call::get(Route::Accounts)));
        assert_eq!(accounts["isPaper"], paper);
        assert_eq!(accounts["accounts"][0].as_str().unwrap().starts_with('D'), paper);
        let validate = json(&ask(&mut world, s(7), &Call::get(Route::Validate)));
        assert_eq!(validate["LOGIN_TYPE"], if paper { 2 } else { 1 });
    }
}

#[test]
fn the_portfolio_answers_without_a_brokerage_session() {
    let mut world = live();
    world.set(s(6), Control::Lapse);
    assert_eq!(ask(&mut world, s(7), &Call::get(Route::PortfolioAccounts)).status(), 200);
}

#[test]
fn established_may_be_late_or_absent() {
    let mut world = live();
    world.set(s(6), Control::Settle { authenticated: s(2), established: s(3) });
    world.set(s(6), Control::Lapse);
    assert!(matches!(ask(&mut world, s(7), &Call::init(false)), Answer::Status(flags) if !flags.authenticated));
    assert!(!flags(&mut world, ms(8_999)).authenticated);
    let late = flags(&mut world, s(9));
    assert_eq!((late.authenticated, late.established), (true, Some(false)));
    assert!(!world.truth().live);
    assert!(flags(&mut world, s(12)).is_usable());
    world.set(s(13), Control::Established(Established::Absent));
    assert_eq!(flags(&mut world, s(13)).established, None);
    assert!(json(&ask(&mut world, s(13), &Call::post(Route::Status))).get("established").is_none());
}

#[test]
fn an_init_without_publish_is_500_and_can_be_made_to_fail() {
    let mut world = live();
    world.set(s(6), Control::Lapse);
    let answer = ask(&mut world, s(7), &Call { publish: false, ..Call::init(true) });
    assert_eq!(answer.status(), 500);
    world.set(s(8), Control::FailInits { times: Times::Next(1), status: Some(503) });
    assert_eq!(ask(&mut world, s(8), &Call::init(false)).status(), 503);
    world.set(s(9), Control::FailInits { times: Times::Next(2), status: None });
    for at in [9, 10] {
        assert!(matches!(ask(&mut world, s(at), &Call::init(false)), Answer::Status(flags) if !flags.authenticated));
    }
    assert!(matches!(ask(&mut world, s(11), &Call::init(false)), Answer::Status(flags) if flags.authenticated));
}

#[test]
fn a_post_without_content_length_is_411_and_no_user_agent_is_403_html() {
    let mut world = live();
    let no_length = Call { content_length: false, ..Call::post(Route::Tickle) };
    assert_eq!(ask(&mut world, s(6), &no_length).status(), 411);
    let nameless = Call { user_agent: false, ..Call::post(Route::Tickle) };
    let answer = ask(&mut world, s(6), &nameless);
    assert_eq!(answer.status(), 403);
    assert!(body(&answer).contains("<H1>Access Denied</H1>"));
}

#[test]
fn tickle_and_status_can_be_read_by_get_but_validate_not_by_post() {
    let mut world = live();
    assert_eq!(ask(&mut world, s(6), &Call::get(Route::Tickle)).status(), 200);
    assert_eq!(ask(&mut world, s(6), &Call::get(Route::Status)).status(), 200);
    assert_eq!(ask(&mut world, s(6), &Call::post(Route::Validate)).status(), 405);
    assert_eq!(ask(&mut world, s(6), &Call { method: Method::Other, ..Call::post(Route::Tickle) }).status(), 405);
}

#[test]
fn a_result_may_flicker_to_false_or_zero() {
    let mut world = live();
    for (zero, verdict, written) in [(false, Verdict::False, Value::from(false)), (true, Verdict::Zero, Value::from(0))]
    {
        world.set(s(6), Control::FalseResults { times: Times::Next(1), zero });
        let answer = ask(&mut world, s(6), &Call::get(Route::Validate));
        assert!(matches!(answer, Answer::Validate(validate) if validate.result == verdict));
        assert_eq!(json(&answer)["RESULT"], written);
        assert_eq!(json(&ask(&mut world, s(7), &Call::get(Route::Validate)))["RESULT"], true);
    }
}

#[test]
fn a_tickle_may_say_no_session_while_the_status_is_good() {
    let mut world = live();
    world.set(s(6), Control::NoSession(Times::Next(1)));
    assert_eq!(body(&ask(&mut world, s(6), &Call::post(Route::Tickle))), r#"{"error":"no session"}"#);
    assert!(flags(&mut world, s(6)).is_usable());
}

#[test]
fn a_status_may_say_false_once_although_all_is_well() {
    let mut world = live();
    world.set(s(6), Control::FalseStatuses(Times::Next(1)));
    assert!(!flags(&mut world, s(6)).authenticated);
    assert!(flags(&mut world, s(7)).authenticated);
}

#[test]
fn sso_expires_is_a_sawtooth_below_ten_minutes() {
    let mut world = live();
    let mut values = Vec::new();
    for minute in 1..60 {
        let Answer::Tickle(tickle) = ask(&mut world, s(minute * 60), &Call::post(Route::Tickle)) else { panic!() };
        values.push(tickle.sso_expires_ms);
    }
    assert!(values.iter().all(|ms| (1..=600_000).contains(ms)));
    assert!(values.windows(2).filter(|pair| pair[1] > pair[0]).count() >= 4);
}

#[test]
fn a_tickle_is_green_with_no_bridge_in_its_hmds() {
    let tickle = json(&ask(&mut live(), s(6), &Call::post(Route::Tickle)));
    assert_eq!(tickle["hmds"]["error"], "no bridge");
    assert_eq!(tickle["collission"], false);
    let status = &tickle["iserver"]["authStatus"];
    assert_eq!(status["authenticated"], true);
    for field in ["MAC", "hardware_info", "fail", "message"] {
        assert!(status[field].is_string(), "{field}");
    }
    assert!(status["serverInfo"]["serverName"].is_string());
}

#[test]
fn the_server_info_is_null_while_not_authenticated() {
    let mut world = live();
    world.set(s(6), Control::Lapse);
    assert!(json(&ask(&mut world, s(6), &Call::post(Route::Status)))["serverInfo"].is_null());
}

#[test]
fn auth_time_is_when_the_human_logged_in() {
    let mut world = fresh();
    world.set(s(7), Control::LogIn);
    let validate = json(&ask(&mut world, s(20), &Call::get(Route::Validate)));
    assert_eq!(validate["AUTH_TIME"].as_u64(), Some(Options::default().epoch_ms + 7_000));
    assert!(validate["CLIENT_APP"].is_null());
}

#[test]
fn too_many_requests_in_a_second_are_429_for_15_minutes_to_the_whole_address() {
    let mut world = live();
    for nth in 0..11 {
        let status = ask(&mut world, s(10) + ms(nth * 90), &Call::post(Route::Status)).status();
        assert_eq!(status, if nth < 10 { 200 } else { 429 });
    }
    assert_eq!(world.load().busiest_second, 11);
    world.advance(s(40));
    let own = world.arrivals().filter(|arrival| arrival.who == Who::Gateway && arrival.at > s(11));
    assert!(
        own.map(|arrival| arrival.status).any(|status| status == Some(429)),
        "the gateway's own tickle suffers it too"
    );
    let ends = ms(10_900) + s(900);
    assert_eq!(ask(&mut world, ends - ms(1), &Call::post(Route::Status)).status(), 429);
    assert_eq!(ask(&mut world, ends, &Call::post(Route::Status)).status(), 200);
}

#[test]
fn the_gateways_own_requests_count_too() {
    let mut world = live();
    ask(&mut world, s(10), &Call::post(Route::Reauthenticate));
    let statuses = (0..9).map(|nth| ask(&mut world, ms(10_050 + nth * 25), &Call::post(Route::Status)).status());
    assert_eq!(statuses.filter(|status| *status == 429).count(), 2, "three of its own, and nine");
}

#[test]
fn without_limits_everything_is_answered() {
    let mut world = live();
    world.set(s(6), Control::Pacing(Limits::Off));
    for nth in 0..40 {
        assert_eq!(ask(&mut world, s(6) + ms(nth * 25), &Call::get(Route::SsoPing)).status(), 200);
    }
    assert_eq!(world.load().busiest_second, 40);
}

#[test]
fn all_limits_are_those_of_single_paths_too() {
    let mut world = live();
    ask(&mut world, s(10), &Call::get(Route::Validate));
    assert_eq!(ask(&mut world, s(11), &Call::get(Route::Validate)).status(), 200);
    world.set(s(20), Control::Pacing(Limits::All));
    ask(&mut world, s(20), &Call::get(Route::Validate));
    assert_eq!(ask(&mut world, s(80), &Call::get(Route::Validate)).status(), 200);
    assert_eq!(ask(&mut world, s(139), &Call::get(Route::Validate)).status(), 429);
    assert_eq!(ask(&mut world, s(139 + 899), &Call::post(Route::Status)).status(), 429);
    assert_eq!(ask(&mut world, s(139 + 900), &Call::post(Route::Status)).status(), 200);
    world.set(s(2000), Control::Pacing(Limits::All));
    ask(&mut world, s(2000), &Call::post(Route::Tickle));
    assert_eq!(ask(&mut world, ms(2_000_900), &Call::post(Route::Tickle)).status(), 429);
    for (begin, path) in
        [(3000, "iserver/account/orders"), (4000, "iserver/account/trades"), (5000, "portfolio/subaccounts")]
    {
        world.set(s(begin), Control::Pacing(Limits::All));
        let call = Call::get(Route::parse(&format!("/v1/api/{path}")));
        for (after, is_refused) in [(0, false), (5, false), (9, true), (15, true)] {
            assert_eq!(ask(&mut world, s(begin + after), &call).status() == 429, is_refused, "{path} after {after} s");
        }
    }
}

#[test]
fn a_script_counts_the_clients_requests_and_holds_for_the_gateways_own() {
    let mut world = live();
    let does = Does::Say(Arc::new(raw(500, "", b"")));
    let rule =
        Rule { path: "/v1/api/tick*".into(), method: None, who: None, times: Times::Next(2), after: Some(s(1)), does };
    world.set(s(6), Control::Script(rule));
    world.advance(s(35));
    let own = |arrival: &&Arrival| arrival.who == Who::Gateway && arrival.route == Route::Tickle;
    assert!(world.arrivals().filter(own).any(|arrival| arrival.status == Some(500)));
    for at in [36, 37] {
        let reply = world.handle(s(at), &Call::post(Route::Tickle));
        assert!(reply.after == s(1) && matches!(reply.what, What::Answer(Answer::Raw(_))));
    }
    assert!(matches!(ask(&mut world, s(38), &Call::post(Route::Tickle)), Answer::Tickle(_)));
}

#[test]
fn a_script_can_hang_reset_cut_and_drip() {
    let mut world = live();
    let kinds = [
        (Does::Hang, What::Hang),
        (Does::Reset, What::Reset),
        (Does::Cut, What::Cut(Answer::SsoPing)),
        (Does::Drip, What::Drip(Answer::SsoPing)),
        (Does::Delay, What::Answer(Answer::SsoPing)),
    ];
    for (at, (does, wanted)) in (6..).map(s).zip(kinds) {
        world.set(at, Control::Clear);
        script(&mut world, at, "*", does);
        assert_eq!(world.handle(at, &Call::get(Route::SsoPing)).what, wanted);
    }
}

#[test]
fn the_same_calls_give_the_same_answers_and_idle_wakings_change_nothing() {
    let run = |often: bool| {
        let mut world = live();
        let mut answers = Vec::new();
        for step in 6..2_000 {
            if often {
                world.advance(s(step - 1) + ms(500));
                assert!(world.next_event().is_none_or(|next| next > s(step - 1) + ms(500)));
            }
            if step % 97 == 0 {
                world.set(s(step), Control::Lapse);
            }
            if step % 211 == 0 {
                world.set(s(step), Control::Ibkr(if step % 2 == 0 { Reach::Away } else { Reach::Here }));
            }
            if step % 13 == 0 {
                answers.push(world.handle(s(step), &Call::post(Route::Tickle)));
            }
            if step % 101 == 0 {
                answers.push(world.handle(s(step), &Call::post(Route::Reauthenticate)));
            }
        }
        (answers, world.truth())
    };
    assert_eq!(run(false), run(true));
}
