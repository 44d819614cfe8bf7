//! What happens to a gateway and its human over the years: drawn from a seed, never in the same order twice.

use std::sync::Arc;
use std::time::Duration;

use tickled::simulator::world::{
    Competitor, Control, Does, LoginFault, Raw, Reach, Rule, Shows, Times, Unanswered, Who,
};

use support::chance::Chance;
use support::rules::{hour, minute, second};

/// Something that happens.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// To the world.
    World(Control),
    /// A midnight: the login may end, IBKR may be away for a while.
    Midnight,
    /// The human at the keyboard tries to log in.
    HumanLogsIn,
    /// The host sleeps for so long.
    Sleep(Duration),
    /// The wall clock is set by so many seconds.
    ClockSet(i64),
    /// The operator pauses for so long, or has other wishes.
    Pause(Duration),
    Check,
    Resume,
    Logout,
    /// What becomes of the requests that IBKR leaves unanswered in this silence.
    Returns(Unanswered),
    /// The trading program keeps so many requests under way.
    ProgramAsks(usize),
    /// The daemon is started anew.
    DaemonRestarts,
    /// A disturbance begins, and is over.
    Begins,
    Over,
}

/// How a seed's world is: quiet, or less so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    /// Time between two disturbances, on average.
    pub(crate) every: Duration,
    pub(crate) adversary: bool,
    pub(crate) laptop: bool,
}

impl Weather {
    pub(crate) fn of(chance: &mut Chance) -> Self {
        let hours = *chance.pick(&[1_u64, 4, 12, 24, 48]);
        Self { every: hour(hours), adversary: chance.one_in(3), laptop: chance.one_in(4) }
    }
}

/// The next disturbance: what begins, and after how long it is over.
pub(crate) fn disturbance(chance: &mut Chance, weather: Weather) -> (Vec<Event>, Duration) {
    let short = chance.span(second(20), hour(1));
    let long = chance.span(minute(1), hour(5));
    let world = |control| vec![Event::World(control)];
    match chance.below(if weather.adversary { 26 } else { 22 }) {
        0..6 => (world(Control::Lapse), second(1)),
        6 => (world(Control::LogOutElsewhere), second(1)),
        7..10 => {
            let competitor = Competitor {
                shows: *chance.pick(&[Shows::Taken, Shows::Taken, Shows::Both, Shows::Quiet]),
                stubborn: chance.one_in(3),
                returns_after: chance.one_in(2).then(|| chance.span(second(30), minute(10))),
            };
            (world(Control::Compete(competitor)), long)
        }
        10 => {
            let returns = *chance.pick(&[Unanswered::Closed, Unanswered::Answered, Unanswered::Kept]);
            (vec![Event::World(Control::Ibkr(Reach::Away)), Event::Returns(returns)], long)
        }
        11 | 12 => {
            let status = *chance.pick(&[500, 503, 503, 502]);
            let after = *chance.pick(&[second(10), Duration::from_millis(50)]);
            (world(Control::Ibkr(Reach::Failing { status, after })), long)
        }
        13 => (world(Control::Restart { down: chance.span(second(2), minute(5)) }), second(1)),
        14 => {
            let times = Times::Next(u32::try_from(chance.below(4)).unwrap() + 1);
            (vec![Event::World(Control::FailReauthentications(times)), Event::World(Control::Lapse)], short)
        }
        15 => {
            let times = Times::Next(u32::try_from(chance.below(6)).unwrap() + 1);
            let status = chance.one_in(2).then_some(503);
            (vec![Event::World(Control::FailInits { times, status }), Event::World(Control::Lapse)], short)
        }
        16 => (world(Control::FalseStatuses(Times::Next(1))), second(1)),
        17 => (world(Control::NoSession(Times::Next(2))), second(1)),
        18 => (
            vec![
                Event::World(Control::FalseResults { times: Times::Next(1), zero: chance.one_in(2) }),
                Event::World(Control::Lapse),
            ],
            short,
        ),
        19 => (world(Control::ExpireLogin), second(1)),
        20 if weather.laptop => (vec![Event::Sleep(chance.span(minute(1), hour(10)))], second(1)),
        20 if chance.one_in(2) => {
            (vec![Event::World(Control::Script(unanswered_program())), Event::ProgramAsks(5)], short)
        }
        20 => {
            let by = *chance.pick(&[3600, -3600, 315_360_000, -315_360_000, 20, -20]);
            (vec![Event::ClockSet(by)], second(1))
        }
        21 => match chance.below(8) {
            0 | 1 => (vec![Event::Pause(chance.span(minute(5), hour(2)))], second(1)),
            2 => (vec![Event::Logout], second(1)),
            3 => (vec![Event::Resume], second(1)),
            4 => (world(Control::Borrow(true)), long),
            5 => (
                vec![
                    Event::World(Control::RefuseLogins(Some(LoginFault::NotEnabled))),
                    Event::World(Control::ExpireLogin),
                ],
                long,
            ),
            6 => (
                vec![
                    Event::World(Control::RefuseLogins(Some(LoginFault::Unconfirmed))),
                    Event::World(Control::ExpireLogin),
                ],
                long,
            ),
            _ => (vec![Event::Check], second(1)),
        },
        22 => (world(Control::Script(nasty(chance, "*", &[(429, "")]))), second(1)),
        _ => {
            let path =
                *chance.pick(&["*", "*", "/v1/api/tickle", "/v1/api/iserver/auth/status", "/v1/api/iserver/accounts"]);
            (world(Control::Script(nasty(chance, path, NASTIES))), short)
        }
    }
}

/// What may happen while IBKR is silent, or the trading program has its requests unanswered.
pub(crate) fn meanwhile(chance: &mut Chance) -> Vec<Event> {
    let count = chance.below(4);
    let one = |chance: &mut Chance| match chance.below(8) {
        0 | 1 => Event::DaemonRestarts,
        2 => Event::Check,
        3 => Event::ClockSet(*chance.pick(&[20, -20])),
        4 => Event::Pause(chance.span(minute(5), hour(2))),
        5 => Event::ProgramAsks(usize::try_from(chance.below(8)).unwrap()),
        6 => Event::World(Control::Restart { down: chance.span(second(2), minute(1)) }),
        _ => Event::World(Control::CloseConnections),
    };
    (0..count).map(|_| one(chance)).collect()
}

/// What the trading program asks for is never answered.
fn unanswered_program() -> Rule {
    Rule {
        path: "/v1/api/iserver/marketdata/*".to_owned(),
        method: None,
        who: Some(Who::Client),
        times: Times::Always,
        after: None,
        does: Does::Hang,
    }
}

/// Answers of an adversary. None of them says that all is well.
const NASTIES: &[(u16, &str)] = &[
    (200, ""),
    (200, "{}"),
    (200, "[]"),
    (200, "null"),
    (200, "{\"authenticated\":\"yes\",\"connected\":1}"),
    (200, "{\"authenticated\":true"),
    (200, "{\"error\":\"failed to process request\"}"),
    (200, "{\"error\":\"no session\"}"),
    (200, "<html>maintenance</html>"),
    (200, "<html><form action=\"/sso/Dispatcher\"></form></html>"),
    (200, "{\"RESULT\":null}"),
    (200, "{\"message\":\"triggered\"}"),
    (204, ""),
    (302, ""),
    (400, "{\"error\":\"Bad Request: no bridge\"}"),
    (401, "Access Denied"),
    (403, "<html>Access Denied</html>"),
    (404, "not here"),
    (404, "Access Denied"),
    (411, ""),
    (500, "oops"),
    (503, ""),
    (601, "Session Expired"),
    (999, "?"),
];

fn nasty(chance: &mut Chance, path: &str, of: &[(u16, &str)]) -> Rule {
    let (status, body) = *chance.pick(of);
    let raw = Raw {
        status,
        content_type: "application/json".to_owned(),
        headers: Vec::new(),
        body: body.as_bytes().to_vec(),
    };
    let does = match chance.below(12) {
        0 => Does::Hang,
        1 => Does::Reset,
        2 => Does::Cut,
        3 => Does::Drip,
        _ => Does::Say(Arc::new(raw)),
    };
    let times =
        if chance.one_in(4) { Times::Always } else { Times::Next(u32::try_from(chance.below(20)).unwrap() + 1) };
    Rule { path: path.to_owned(), method: None, who: None, times, after: None, does }
}
