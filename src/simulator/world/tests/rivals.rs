//! Another client wants the session, or has the login: how it shows, and what helps.

use super::*;

#[test]
fn competition_shows_in_three_ways() {
    for (shows, authenticated, competing) in
        [(Shows::Taken, false, true), (Shows::Both, true, true), (Shows::Quiet, false, false)]
    {
        let mut world = live();
        world.set(s(6), Control::Compete(Competitor { shows, ..TAKEN }));
        let now = flags(&mut world, s(7));
        assert_eq!((now.authenticated, now.competing, now.connected), (authenticated, competing, true));
        assert!(!world.truth().live);
    }
}

#[test]
fn an_init_that_does_not_compete_meets_the_quiet_competitor() {
    let mut world = live();
    world.set(s(6), Control::Compete(Competitor { shows: Shows::Quiet, ..TAKEN }));
    ask(&mut world, s(7), &Call::init(false));
    let now = flags(&mut world, s(8));
    assert_eq!((now.authenticated, now.competing), (false, true));
}

#[test]
fn competing_stays_true_for_some_seconds_after_an_eviction() {
    let mut world = live();
    world.set(s(6), Control::Compete(TAKEN));
    ask(&mut world, s(7), &Call::init(true));
    assert!(flags(&mut world, ms(8_900)).competing);
    assert!(flags(&mut world, s(9)).is_usable());
}

#[test]
fn who_is_evicted_may_take_it_back() {
    let mut world = live();
    world.set(s(6), Control::Compete(Competitor { returns_after: Some(s(30)), ..TAKEN }));
    ask(&mut world, s(7), &Call::init(true));
    assert!(flags(&mut world, s(20)).is_usable());
    assert!(flags(&mut world, s(37)).competing);
    world.set(s(38), Control::Leave);
    let now = flags(&mut world, s(39));
    assert_eq!((now.authenticated, now.competing), (false, false));
}

#[test]
fn a_borrowed_login_is_valid_and_never_authenticates() {
    let mut world = live();
    world.set(s(6), Control::Borrow(true));
    ask(&mut world, s(7), &Call::post(Route::Reauthenticate));
    ask(&mut world, s(12), &Call::init(true));
    let now = flags(&mut world, s(13));
    assert_eq!((now.authenticated, now.competing, now.connected), (false, false, true));
    let validate = json(&ask(&mut world, s(13), &Call::get(Route::Validate)));
    assert_eq!(validate["RESULT"], true);
    assert!(validate["CLIENT_APP"].is_string());
    assert_eq!(ask(&mut world, s(14), &Call::post(Route::Logout)), Answer::LoggedOut);
    assert!(flags(&mut world, s(14)).connected, "it came straight back");
    world.set(s(15), Control::LogIn);
    world.advance(s(20));
    assert!(world.truth().borrowed && !world.truth().authenticated, "neither a logout nor a login helps");
}

#[test]
fn a_borrowed_login_is_freed_by_a_restart_once_the_other_application_logged_out() {
    let mut world = live();
    world.set(s(6), Control::Borrow(true));
    world.set(s(60), Control::Borrow(false));
    world.set(s(61), Control::LogIn);
    world.advance(s(70));
    assert!(!world.truth().authenticated, "what asks keeps it alive");
    world.set(s(70), Control::Restart { down: s(2) });
    world.set(s(73), Control::LogIn);
    world.advance(s(80));
    assert!(world.truth().live);
}

#[test]
fn a_borrowed_login_is_freed_by_six_silent_minutes() {
    let mut world = left_alone();
    world.set(s(6), Control::Borrow(true));
    world.set(s(60), Control::Borrow(false));
    world.advance(s(60 + 361));
    assert!(!world.truth().login && !world.truth().borrowed);
}

#[test]
fn a_login_is_borrowed_by_an_application_that_was_there_before() {
    let mut world = fresh();
    world.set(s(0), Control::Borrow(true));
    world.set(s(1), Control::LogIn);
    world.advance(s(20));
    let truth = world.truth();
    assert!(truth.login && truth.borrowed && !truth.authenticated);
}

#[test]
fn the_gateways_own_logout_hides_the_competitor() {
    let mut world = live();
    world.set(s(40), Control::Compete(TAKEN));
    assert!(flags(&mut world, s(41)).competing);
    assert!(!flags(&mut world, s(75)).competing);
    assert!(world.truth().held_elsewhere);
}
