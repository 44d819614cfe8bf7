//! The facts about the gateway and IBKR, one test each, in simulated time.

mod gateway;
mod ibkr;
mod login;
mod places;
mod rivals;
mod stream;
mod trading;
mod walk;

use super::millis;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{
    Answer, Arrival, AuthStatus, Call, Competitor, Control, Does, Options, Raw, Route, Rule, Shows, Times, What, Who,
    World,
};

/// A world in which a user logged in at 0 s, 5 s later.
fn live() -> World {
    let mut world = fresh();
    world.set(s(0), Control::LogIn);
    world.advance(s(5));
    assert!(world.truth().live);
    world
}

/// A world in which no user has logged in.
fn fresh() -> World {
    World::new(&Options::default())
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// The answer to a request at `at`, which must come.
fn ask(world: &mut World, at: Duration, call: &Call) -> Answer {
    let what = world.handle(at, call).what;
    let What::Answer(answer) = what else {
        panic!("{call:?} came to {what:?}");
    };
    answer
}

/// The flags as auth/status tells them at `at`.
fn flags(world: &mut World, at: Duration) -> AuthStatus {
    let answer = ask(world, at, &Call::post(Route::Status));
    let Answer::Status(flags) = answer else {
        panic!("the status is {answer:?}");
    };
    flags
}

/// Makes every answer for `path` this one, until cleared.
fn script(world: &mut World, at: Duration, path: &str, does: Does) {
    let path = path.to_owned();
    world.set(at, Control::Script(Rule { path, method: None, who: None, times: Times::Always, after: None, does }));
}

fn raw(status: u16, content_type: &str, body: &[u8]) -> Raw {
    Raw { status, content_type: content_type.to_owned(), headers: Vec::new(), body: body.to_vec() }
}

/// What the gateway asked of IBKR by itself since `since`: the end of the path, and when.
fn asked(world: &World, since: Duration) -> Vec<(&str, u64)> {
    let own = world.arrivals().filter(|arrival| arrival.who == Who::Gateway && arrival.at >= since);
    own.map(|arrival| (arrival.route.path().trim_start_matches("/v1/api"), millis(arrival.at))).collect()
}

fn body(answer: &Answer) -> String {
    String::from_utf8(answer.render().body).unwrap()
}

fn json(answer: &Answer) -> Value {
    serde_json::from_str(&body(answer)).unwrap()
}

/// A live world in which nothing that the gateway does by itself gets to the session.
fn left_alone() -> World {
    let mut world = live();
    let who = Some(Who::Gateway);
    let does = Does::Say(Arc::new(raw(200, "application/json", b"{}")));
    let rule = Rule { path: "*".into(), method: None, who, times: Times::Always, after: None, does };
    world.set(s(5), Control::Script(rule));
    world
}

const TAKEN: Competitor = Competitor { shows: Shows::Taken, stubborn: false, returns_after: None };
