//! How a login comes, what it is worth, and how it is forgotten (A7, A8, A10).

use super::super::LoginFault;
use super::*;

#[test]
fn a7_a_login_succeeds_in_the_browser_and_the_session_comes_three_seconds_later() {
    let mut world = fresh();
    let answer = ask(&mut world, s(1), &Call::post(Route::Dispatcher));
    assert_eq!(body(&answer), "Client login succeeds");
    assert!(!flags(&mut world, s(4)).authenticated);
    assert!(flags(&mut world, ms(4_200)).is_usable());
}

#[test]
fn a7_a_login_of_an_account_that_is_not_enabled_is_401_everywhere_until_ibkr_enables_it() {
    let mut world = fresh();
    world.set(s(0), Control::RefuseLogins(Some(LoginFault::NotEnabled)));
    assert_eq!(ask(&mut world, s(1), &Call::post(Route::Dispatcher)), Answer::LoginSucceeds);
    world.advance(s(60));
    assert_eq!(ask(&mut world, s(60), &Call::post(Route::Status)), Answer::Unauthorized);
    assert_eq!(asked(&world, s(0)).len(), 6, "validate, and five retries");
    world.set(s(61), Control::RefuseLogins(None));
    ask(&mut world, s(61), &Call::post(Route::Reauthenticate));
    assert!(flags(&mut world, s(65)).authenticated);
}

#[test]
fn a7_a_login_without_its_hidden_confirmation_is_given_up_and_needs_another_login_after_it() {
    let mut world = fresh();
    world.set(s(0), Control::RefuseLogins(Some(LoginFault::Unconfirmed)));
    world.set(s(0), Control::LogIn);
    world.set(s(60), Control::RefuseLogins(None));
    ask(&mut world, s(60), &Call::post(Route::Reauthenticate));
    world.advance(s(90));
    assert_eq!(ask(&mut world, s(90), &Call::post(Route::Status)), Answer::Unauthorized);
    world.set(s(91), Control::LogIn);
    assert!(flags(&mut world, s(95)).authenticated);
}

#[test]
fn a8_a_logout_ends_the_session_and_not_the_login() {
    let mut world = live();
    assert_eq!(body(&ask(&mut world, s(6), &Call::post(Route::Logout))), r#"{"status":true}"#);
    assert_eq!(flags(&mut world, s(7)), AuthStatus { established: Some(false), ..AuthStatus::default() });
    assert_eq!(ask(&mut world, s(8), &Call::post(Route::Reauthenticate)), Answer::Triggered);
    assert!(flags(&mut world, s(12)).authenticated);
}

#[test]
fn a10_a_restart_refuses_connections_and_forgets_the_login() {
    let mut world = live();
    world.set(s(10), Control::Restart { down: s(4) });
    assert_eq!(world.handle(s(13), &Call::get(Route::Root)).what, What::Refused);
    assert_eq!(ask(&mut world, s(14), &Call::get(Route::Root)), Answer::LoginRedirect);
    assert_eq!(ask(&mut world, s(15), &Call::post(Route::Reauthenticate)), Answer::NotLoggedIn);
    assert_eq!(ask(&mut world, s(15), &Call::post(Route::Tickle)), Answer::Unauthorized);
    world.advance(s(600));
    assert!(asked(&world, s(10)).is_empty(), "the timers of the old process ended with it");
    assert_eq!(world.truth().process, 2);
}
