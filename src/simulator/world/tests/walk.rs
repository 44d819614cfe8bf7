//! Whatever happens in whatever order: time goes on, and the world stays one that can be.

use serde_json::json;

use super::super::{Established, Limits, LoginFault, Method, Reach, Streaming, Unanswered};
use super::*;

fn order() -> Value {
    json!({"conid": 1, "side": "BUY", "quantity": 1e300, "orderType": "LMT", "price": -1e300})
}

/// The same numbers for the same seed.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn time(&mut self) -> Duration {
        match self.throw(4) {
            0 => Duration::ZERO,
            1 => ms(self.throw(50)),
            2 => s(self.throw(10)),
            _ => s(self.throw(600)),
        }
    }

    fn coin(&mut self) -> bool {
        self.throw(2) == 0
    }

    fn times(&mut self) -> Times {
        if self.throw(9) == 0 { Times::Always } else { Times::Next(u32::try_from(self.throw(4)).unwrap()) }
    }

    fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.throw(choices.len() as u64)).unwrap()].clone()
    }

    fn call(&mut self) -> Call {
        let path = self.one_of(&[
            "/",
            "/status",
            "/sso/Login",
            "/sso/Dispatcher",
            "/nothing",
            "/v1/api/tickle",
            "/v1/api/iserver/auth/status",
            "/v1/api/iserver/auth/ssodh/init",
            "/v1/api/iserver/reauthenticate",
            "/v1/api/sso/validate",
            "/v1/api/logout",
            "/v1/api/iserver/accounts",
            "/v1/api/portfolio/accounts",
            "/v1/api/iserver/other",
            "/v1/api/other",
            "/v1/api/iserver/account/orders",
            "/v1/api/iserver/account/DU0000000/orders",
            "/v1/api/iserver/account/DU0000000/order/-1",
            "/v1/api/iserver/marketdata/snapshot",
            "/v1/api/iserver/marketdata/history",
            "/v1/api/iserver/questions/suppress",
            "/v1/api/iserver/secdef/search",
            "/v1/api/trsrv/stocks",
            "/v1/api/portfolio/DU0000000/ledger",
            "/v1/api/portfolio/DU0000000/positions/0",
        ]);
        Call {
            method: self.one_of(&[Method::Get, Method::Post, Method::Post, Method::Delete, Method::Other]),
            route: Route::parse(path),
            query: self.one_of(&["", "conids=1,x&fields=31", "symbols=A,%20,ZZ&symbol=AAPL&conid=1"]).to_owned(),
            body: self.one_of(&[Value::Null, json!({"messageIds": ["o354", 1]}), json!({"orders": [order(), 1]})]),
            content_length: self.throw(9) != 0,
            user_agent: self.throw(9) != 0,
            publish: self.throw(9) != 0,
            compete: self.coin(),
            foreign: self.throw(9) == 0,
        }
    }

    fn control(&mut self, now: Duration) -> Control {
        let does = self.one_of(&[
            Does::Say(Arc::new(raw(500, "text/html", b"no"))),
            Does::Delay,
            Does::Hang,
            Does::Reset,
            Does::Cut,
            Does::Drip,
        ]);
        let choices = [
            Control::LogIn,
            Control::LogIn,
            Control::LogIn,
            Control::ExpireLogin,
            Control::ExpireLoginAt(now + self.time()),
            Control::Lapse,
            Control::LogOutElsewhere,
            Control::Compete(Competitor {
                shows: self.one_of(&[Shows::Taken, Shows::Both, Shows::Quiet]),
                stubborn: self.coin(),
                returns_after: if self.coin() { Some(self.time()) } else { None },
            }),
            Control::Leave,
            Control::Ibkr(self.one_of(&[
                Reach::Here,
                Reach::Here,
                Reach::Away,
                Reach::Failing { status: 503, after: s(10) },
            ])),
            Control::Ibkr(Reach::Here),
            Control::Restart { down: self.time() },
            Control::FailReauthentications(self.times()),
            Control::FailInits { times: self.times(), status: self.one_of(&[None, Some(503)]) },
            Control::Script(Rule {
                path: self.one_of(&["*", "/v1/api/tickle", "/v1/api/sso*"]).to_owned(),
                method: None,
                who: self.one_of(&[None, Some(Who::Client), Some(Who::Gateway)]),
                times: self.times(),
                after: if self.coin() { Some(self.time()) } else { None },
                does,
            }),
            Control::Clear,
            Control::Clear,
            Control::Pacing(self.one_of(&[Limits::Off, Limits::Second, Limits::All])),
            Control::Return(self.one_of(&[Unanswered::Closed, Unanswered::Answered, Unanswered::Kept])),
            Control::CloseConnections,
            Control::AuthDelay(self.time()),
            Control::Borrow(self.throw(4) == 0),
            Control::RefuseLogins(self.one_of(&[
                None,
                None,
                Some(LoginFault::NotEnabled),
                Some(LoginFault::Unconfirmed),
            ])),
            Control::FalseResults { times: self.times(), zero: self.coin() },
            Control::NoSession(self.times()),
            Control::FalseStatuses(self.times()),
            Control::Established(self.one_of(&[Established::Follows, Established::Never, Established::Absent])),
            Control::Settle { authenticated: self.time(), established: self.time() },
            Control::Paper(self.coin()),
            Control::Deny(self.throw(4) == 0),
            Control::RefuseSubscriptions(self.times()),
            Control::Streams(self.one_of(&[Streaming::Serves, Streaming::Silent, Streaming::Closes])),
        ];
        self.one_of(&choices)
    }
}

fn check(world: &mut World, now: Duration) {
    world.advance(now);
    assert!(world.next_event().is_none_or(|next| next > now), "time stands still at {now:?}");
    let truth = world.truth();
    assert!(!truth.authenticated || (truth.login && truth.connected), "{truth:?}");
    assert!(!truth.established || truth.authenticated, "{truth:?}");
    assert!(!truth.live || (truth.established && !truth.competing && truth.listening), "{truth:?}");
}

#[test]
fn whatever_happens_time_goes_on_and_the_flags_agree() {
    let (mut lives, mut answers) = (0, 0);
    for seed in 1..=200 {
        let mut dice = Dice(seed * 0x9e37_79b9);
        let mut world = World::new(&Options { seed, ..Options::default() });
        let mut now = Duration::ZERO;
        let mut stream = None;
        for _ in 0..300 {
            now += dice.time();
            match dice.throw(8) {
                0 => {
                    let control = dice.control(now);
                    world.set(now, control);
                }
                1 => world.advance(now),
                2 => {
                    if let Some(old) = stream.replace(world.open_stream(now, None)) {
                        world.close_stream(old);
                    }
                }
                3 if stream.is_some() => {
                    let said = ["tic", "sor+{}", "spl", "smd+1+{\"fields\":[\"31\"]}", "smd+x", "umd+1+{}", "+", "smd"];
                    stream.into_iter().for_each(|stream| world.hear(now, stream, dice.one_of(&said)));
                }
                _ => {
                    if let What::Answer(answer) = world.handle(now, &dice.call()).what {
                        answers += 1;
                        let rendered = answer.render();
                        let is_json = rendered.headers.iter().any(|(_, value)| value.starts_with("application/json"));
                        assert!(!is_json || serde_json::from_slice::<Value>(&rendered.body).is_ok());
                    }
                }
            }
            check(&mut world, now);
            lives += u32::from(world.truth().live);
        }
        assert!(world.pushes().iter().all(|push| push.at <= now + ms(10)));
    }
    assert!(lives > 1_000 && answers > 10_000, "too little happened: {lives} live, {answers} answered");
}
