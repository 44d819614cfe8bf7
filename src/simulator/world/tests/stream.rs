//! The websocket (A9): order of frames, pushes on change, silence.

use super::super::{Frame, Push, Reach, StreamId, Streaming, Unanswered};
use super::*;

/// The frames of one websocket so far, with their times in milliseconds.
fn frames(world: &mut World) -> Vec<(u64, Frame)> {
    let time = |at: Duration| u64::try_from(at.as_millis()).unwrap();
    world.pushes().into_iter().map(|push| (time(push.at), push.frame)).collect()
}

fn opened() -> (World, StreamId) {
    let mut world = live();
    let stream = world.open_stream(s(10), None);
    world.advance(s(11));
    assert_eq!(frames(&mut world).len(), 4);
    (world, stream)
}

#[test]
fn a9_waiting_then_the_user_then_the_status_and_the_accounts() {
    let mut world = live();
    world.open_stream(s(10), None);
    world.advance(s(11));
    let texts: Vec<String> = frames(&mut world).iter().filter_map(|(_, frame)| frame.render()).collect();
    assert_eq!(texts[0], r#"{"message":"waiting for session"}"#);
    assert!(texts[1].contains(r#""topic":"system""#) && texts[1].contains(r#""success":"#));
    assert!(texts[2].contains(r#""topic":"sts""#) && texts[2].contains(r#""authenticated":true"#));
    assert!(texts[3].contains(r#""topic":"act""#) && texts[3].contains(r#""selectedAccount":"DU0000000""#));
}

#[test]
fn a9_a_lapse_is_pushed_within_10_ms() {
    let (mut world, _) = opened();
    world.set(s(12), Control::Lapse);
    let pushed = frames(&mut world);
    assert!(matches!(pushed[..], [(12_010, Frame::Sts { flags, .. })] if !flags.authenticated && flags.connected));
}

#[test]
fn a9_a_change_that_is_none_is_not_pushed() {
    let (mut world, _) = opened();
    world.set(s(12), Control::Latency(ms(1)));
    ask(&mut world, s(13), &Call::post(Route::Status));
    assert!(frames(&mut world).is_empty());
}

#[test]
fn a9_a_heartbeat_comes_every_10_seconds_with_or_without_a_brokerage_session() {
    let (mut world, _) = opened();
    world.set(s(12), Control::LogOutElsewhere);
    world.advance(s(45));
    let beats: Vec<u64> =
        frames(&mut world).iter().filter(|(_, f)| matches!(f, Frame::Heartbeat { .. })).map(|(at, _)| *at).collect();
    assert_eq!(beats, [20_050, 30_050, 40_050]);
}

#[test]
fn a9_a_tic_is_answered_and_dropped_before_the_websocket_is_ready() {
    let mut world = live();
    let stream = world.open_stream(s(10), None);
    world.hear(ms(10_040), stream, "tic");
    world.advance(s(11));
    assert!(!frames(&mut world).iter().any(|(_, frame)| matches!(frame, Frame::Tic { .. })));
    world.hear(s(12), stream, "tic");
    assert!(matches!(frames(&mut world)[..], [(12_000, Frame::Tic { .. })]));
}

#[test]
fn a9_without_a_login_it_waits_and_goes_on_when_one_comes() {
    let mut world = fresh();
    world.open_stream(s(0), None);
    world.advance(s(60));
    assert_eq!(frames(&mut world), [(0, Frame::Waiting)]);
    world.set(s(60), Control::LogIn);
    world.advance(s(61));
    assert!(matches!(frames(&mut world)[0], (60_050, Frame::Ready { .. })));
}

#[test]
fn a9_without_a_brokerage_session_the_status_is_not_told() {
    let mut world = live();
    world.set(s(6), Control::LogOutElsewhere);
    world.open_stream(s(10), None);
    world.advance(s(11));
    assert!(!frames(&mut world).iter().any(|(_, frame)| matches!(frame, Frame::Sts { .. })));
}

#[test]
fn a9_an_old_session_id_never_gets_further_than_waiting() {
    let mut world = live();
    let Answer::Tickle(tickle) = ask(&mut world, s(6), &Call::post(Route::Tickle)) else { panic!("no tickle") };
    let id = tickle.session.to_string();
    world.open_stream(s(7), Some(&id));
    world.advance(s(8));
    assert_eq!(frames(&mut world).len(), 4);
    world.set(s(9), Control::LogIn);
    world.advance(s(14));
    frames(&mut world);
    world.open_stream(s(15), Some(&id));
    world.advance(s(16));
    assert_eq!(frames(&mut world), [(15_000, Frame::Waiting)]);
}

#[test]
fn a9_while_ibkr_is_away_and_after_it_an_open_websocket_says_nothing() {
    let (mut world, _) = opened();
    world.set(s(12), Control::Ibkr(Reach::Away));
    world.set(s(40), Control::Ibkr(Reach::Here));
    world.set(s(50), Control::Lapse);
    world.advance(s(90));
    assert!(frames(&mut world).is_empty());
}

#[test]
fn a9_when_the_login_ends_the_status_is_told_and_then_nothing() {
    let (mut world, _) = opened();
    world.set(s(12), Control::ExpireLogin);
    world.advance(s(90));
    let told = frames(&mut world);
    assert!(matches!(told[..], [(12_010, Frame::Sts { flags, .. })] if !flags.connected), "{told:?}");
}

#[test]
fn a9_it_can_be_silent_or_close_with_1000_each_time() {
    let mut world = live();
    world.set(s(6), Control::Streams(Streaming::Silent));
    world.open_stream(s(7), None);
    world.advance(s(60));
    assert!(frames(&mut world).is_empty());
    world.set(s(60), Control::Streams(Streaming::Closes));
    assert_eq!(frames(&mut world), [(60_000, Frame::Close(1000))]);
    world.open_stream(s(61), None);
    assert_eq!(frames(&mut world), [(61_000, Frame::Waiting), (61_000, Frame::Close(1000))]);
}

#[test]
fn a9_what_is_not_fetched_does_not_pile_up() {
    let (mut world, _) = opened();
    for _ in 0..10 {
        world.open_stream(s(11), None);
    }
    world.advance(s(24 * 3600 - 60));
    assert!(world.pushes().len() <= 4096);
}

/// A websocket that is opened at `at`, as a client opens it.
fn open_at(world: &mut World, at: Duration) -> StreamId {
    assert_eq!(ask(world, at, &Call::get(Route::Stream)), Answer::Upgrade);
    world.open_stream(at, None)
}

/// Takes the gateway's five connections for requests from 20 s on.
fn wedge(world: &mut World) {
    world.set(s(20), Control::Ibkr(Reach::Away));
    for _ in 0..5 {
        assert_eq!(world.handle(s(20), &Call::post(Route::Status)).what, What::Hang);
    }
}

#[test]
fn a12_a_websocket_opens_while_ibkr_is_silent_and_then_nothing_comes() {
    let mut world = live();
    wedge(&mut world);
    open_at(&mut world, s(21));
    world.advance(s(600));
    assert!(frames(&mut world).is_empty());
    world.set(s(600), Control::Ibkr(Reach::Here));
    world.advance(s(660));
    assert!(frames(&mut world).is_empty(), "its connection was closed, and it is not told");
}

#[test]
fn a12_a_wedged_gateway_serves_a_new_websocket_once_ibkr_answers() {
    let mut world = live();
    wedge(&mut world);
    world.set(s(30), Control::Return(Unanswered::Kept));
    assert!(world.truth().wedged);
    open_at(&mut world, s(31));
    world.advance(s(32));
    let told = frames(&mut world);
    assert!(matches!(told[..3], [(31_000, Frame::Waiting), (31_050, Frame::Ready { .. }), (_, Frame::Sts { .. })]));
}

#[test]
fn a12_ten_websockets_opened_and_closed_while_ibkr_is_silent_leave_five_connections_behind() {
    let mut world = live();
    world.set(s(10), Control::Ibkr(Reach::Away));
    for at in 11..21 {
        let stream = open_at(&mut world, s(at));
        world.close_stream(stream);
    }
    let load = world.load();
    assert_eq!((load.websockets_unanswered, load.places_taken), (5, 0));
    world.set(s(30), Control::Return(Unanswered::Kept));
    assert_eq!(ask(&mut world, s(31), &Call::post(Route::Status)).status(), 200, "they are not among the five");
    open_at(&mut world, s(32));
    world.advance(s(90));
    assert!(frames(&mut world).is_empty(), "a websocket waits behind them");
    world.set(s(90), Control::CloseConnections);
    open_at(&mut world, s(91));
    world.advance(s(92));
    assert_eq!((frames(&mut world).len(), world.load().websockets_unanswered), (4, 0));
}

#[test]
fn a12_websockets_are_not_among_the_five() {
    let mut world = live();
    for _ in 0..6 {
        open_at(&mut world, s(10));
    }
    world.advance(s(11));
    assert_eq!(frames(&mut world).len(), 24);
    assert_eq!(world.load().places_taken, 0);
    assert_eq!(ask(&mut world, s(12), &Call::post(Route::Status)).status(), 200);
}

#[test]
fn a12_where_ibkr_answers_late_the_websockets_go_on() {
    let (mut world, _) = opened();
    world.set(s(12), Control::Ibkr(Reach::Away));
    open_at(&mut world, s(13));
    world.set(s(14), Control::Lapse);
    world.advance(s(100));
    assert!(frames(&mut world).is_empty());
    world.set(s(100), Control::Return(Unanswered::Answered));
    world.advance(s(101));
    let told = frames(&mut world);
    let lapsed = |frame: &Frame| matches!(frame, Frame::Sts { flags, .. } if !flags.authenticated);
    assert_eq!(told.iter().filter(|(_, frame)| lapsed(frame)).count(), 2, "{told:?}");
    assert!(told.iter().any(|(_, frame)| *frame == Frame::Waiting));
    world.advance(s(111));
    assert_eq!(frames(&mut world).len(), 2, "a heartbeat on each");
}

#[test]
fn a_websocket_that_is_opened_during_the_penalty_only_waits() {
    let (mut world, first) = opened();
    for _ in 0..11 {
        drop(world.handle(s(12), &Call::post(Route::Status)));
    }
    let second = world.open_stream(s(13), None);
    world.advance(s(60));
    let of = |stream| move |push: &&Push| push.stream == stream;
    let pushes = world.pushes();
    assert!(pushes.iter().filter(of(first)).count() > 3, "what is open goes on");
    assert_eq!(pushes.iter().filter(of(second)).map(|push| &push.frame).collect::<Vec<_>>(), [&Frame::Waiting]);
}
