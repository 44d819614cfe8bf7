//! The transition table: every state with every question that can be out in it, and every input, against the code.
//!
//! `BLESS=1 cargo test --test session_table` writes `src/session/transitions.md` anew; read the difference.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::fmt::Write;
use std::time::Duration;

use jiff::Timestamp;
use tickled::session::{
    Accounts, Cause, Input, Machine, Now, Observation, Plan, Policy, Request, Sso, State, Status, Trouble,
};

const GOOD: Status = Status { authenticated: true, connected: true, competing: false, established: None };
const LOST: Status = Status { authenticated: false, connected: true, competing: false, established: None };
const COMPETING: Status = Status { authenticated: true, connected: true, competing: true, established: None };
const NOT_ESTABLISHED: Status =
    Status { authenticated: true, connected: true, competing: false, established: Some(false) };
const VALID: Sso = Sso { valid: true, borrowed: false, auth_time: None };
const USABLE: Accounts = Accounts { usable: true, is_paper: None };
const EMPTY: Accounts = Accounts { usable: false, is_paper: None };

/// A machine brought somewhere, with the time there and the plan that it made.
#[derive(Clone)]
struct Situation {
    machine: Machine,
    now: Now,
    plan: Plan,
}

impl Situation {
    fn start(seed: u64) -> Self {
        let now = Now { mono: Duration::ZERO, wall: Timestamp::UNIX_EPOCH };
        let mut machine = Machine::new(Policy::default(), seed, now);
        let plan = machine.step(now, Input::Wake);
        Self { machine, now, plan }
    }

    fn step(mut self, input: Input) -> Self {
        self.plan = self.machine.step(self.now, input);
        self
    }

    fn wait(mut self, for_: Duration) -> Self {
        self.now = Now { mono: self.now.mono + for_, wall: self.now.wall + for_ };
        self
    }

    /// Lets time pass until the machine asks something, and checks that it is `request`.
    fn asks(mut self, request: Request) -> Self {
        while self.plan.request.is_none() {
            let left = self.plan.wake_at - self.now.mono;
            self = self.wait(left).step(Input::Wake);
        }
        assert_eq!(self.plan.request, Some(request), "in state {:?}", self.machine.state());
        self
    }

    fn answered(self, request: Request, observation: Observation) -> Self {
        self.asks(request).step(Input::Answer(request, observation))
    }

    fn checked(self, status: Status) -> Self {
        self.answered(Request::Check, Observation::Status(status))
    }

    fn live(self) -> Self {
        self.checked(GOOD)
            .answered(Request::Accounts, Observation::Accounts(USABLE))
            .answered(Request::Ping, Observation::Status(GOOD))
    }

    fn lapsed(self) -> Self {
        self.live().checked(LOST).answered(Request::Ping, Observation::Status(LOST))
    }

    fn confirming(self) -> Self {
        self.lapsed()
            .answered(Request::Reauthenticate, Observation::Accepted)
            .answered(Request::ValidateSso, Observation::Sso(VALID))
    }
}

/// Every state, with every question that can be out in it.
fn situations(seed: u64) -> Vec<(&'static str, Request, Situation)> {
    let new = || Situation::start(seed);
    let unauthorized = |s: Situation| s.answered(Request::Check, Observation::Unauthorized);
    let expired = || {
        let asked = unauthorized(unauthorized(new())).answered(Request::Reauthenticate, Observation::Accepted);
        unauthorized(asked.answered(Request::ValidateSso, Observation::Unauthorized))
    };
    let direct = Request::OpenBrokerage { compete: false };
    let mut second_attempt = new().confirming();
    while second_attempt.plan.request != Some(direct) {
        second_attempt = match second_attempt.plan.request {
            Some(Request::Check) => second_attempt.checked(LOST),
            None => {
                let left = second_attempt.plan.wake_at - second_attempt.now.mono;
                second_attempt.wait(left).step(Input::Wake)
            }
            other => panic!("unexpected {other:?}"),
        };
    }
    let mut aging = new().live();
    while aging.plan.request != Some(Request::ValidateSso) {
        aging = match aging.plan.request {
            Some(request @ (Request::Check | Request::Ping)) => aging.answered(request, Observation::Status(GOOD)),
            None => {
                let left = aging.plan.wake_at - aging.now.mono;
                aging.wait(left).step(Input::Wake)
            }
            other => panic!("unexpected {other:?}"),
        };
    }
    let mut pausing = new().confirming();
    while !matches!(pausing.machine.state(), State::Recovering { step: tickled::session::Step::Pause, .. }) {
        pausing = pausing.checked(LOST);
    }
    vec![
        ("starting", Request::Check, new()),
        ("starting, asking again", Request::Check, new().checked(LOST).asks(Request::Check)),
        ("starting, proving", Request::Accounts, new().checked(GOOD).asks(Request::Accounts)),
        ("live", Request::Check, new().live().asks(Request::Check)),
        ("live, asking again", Request::Ping, new().live().checked(LOST).asks(Request::Ping)),
        ("live, proving again", Request::Accounts, live_until(new(), Request::Accounts)),
        ("live, asking the login's age", Request::ValidateSso, aging),
        (
            "recovering: check",
            Request::Check,
            new().checked(NOT_ESTABLISHED).checked(NOT_ESTABLISHED).asks(Request::Check),
        ),
        (
            "recovering: reauthenticate, by the gateway",
            Request::Reauthenticate,
            new().lapsed().asks(Request::Reauthenticate),
        ),
        ("recovering: reauthenticate, direct", direct, second_attempt),
        (
            "recovering: validate_sso",
            Request::ValidateSso,
            new().lapsed().answered(Request::Reauthenticate, Observation::Accepted).asks(Request::ValidateSso),
        ),
        (
            "recovering: validate_sso, after proof that the login is gone",
            Request::Check,
            unauthorized(unauthorized(new()))
                .answered(Request::Reauthenticate, Observation::NotLoggedIn)
                .asks(Request::Check),
        ),
        ("recovering: confirm", Request::Check, new().confirming().asks(Request::Check)),
        ("recovering: confirm, proving", Request::Accounts, new().confirming().checked(GOOD).asks(Request::Accounts)),
        ("recovering: pause, and the check after it", Request::Check, pausing.asks(Request::Check)),
        ("contested", Request::Check, new().checked(COMPETING).asks(Request::Check)),
        (
            "unavailable",
            Request::Check,
            new().answered(Request::Check, Observation::Trouble(Trouble::IbkrError)).asks(Request::Check),
        ),
        (
            "unavailable, looking for the gateway",
            Request::IsListening,
            new().answered(Request::Check, Observation::Trouble(Trouble::NoAnswer)).asks(Request::IsListening),
        ),
        ("login-required", Request::Check, expired().asks(Request::Check)),
        ("paused", Request::Check, new().step(Input::Pause { until: None })),
    ]
}

fn live_until(new: Situation, request: Request) -> Situation {
    let mut live = new.live();
    while live.plan.request != Some(request) {
        live = match live.plan.request {
            Some(asked @ (Request::Check | Request::Ping)) => live.answered(asked, Observation::Status(GOOD)),
            Some(Request::ValidateSso) => live.answered(Request::ValidateSso, Observation::Sso(VALID)),
            None => {
                let left = live.plan.wake_at - live.now.mono;
                live.wait(left).step(Input::Wake)
            }
            other => panic!("unexpected {other:?}"),
        };
    }
    live
}

/// Every input, each by the name that stands in the table.
fn inputs(out: Request) -> Vec<(String, Input)> {
    let answer = |name: &str, observation| (name.to_owned(), Input::Answer(out, observation));
    let mut inputs = vec![
        answer("good", Observation::Status(GOOD)),
        answer("not established", Observation::Status(NOT_ESTABLISHED)),
        answer("competing", Observation::Status(COMPETING)),
        answer("lost", Observation::Status(LOST)),
        answer("no status", Observation::NoStatus),
        answer("accepted", Observation::Accepted),
        answer("not logged in", Observation::NotLoggedIn),
        answer("login valid", Observation::Sso(VALID)),
        answer("login borrowed", Observation::Sso(Sso { borrowed: true, ..VALID })),
        answer("login invalid", Observation::Sso(Sso { valid: false, ..VALID })),
        answer("accounts", Observation::Accounts(USABLE)),
        answer("no accounts", Observation::Accounts(EMPTY)),
        answer("listening", Observation::Listening),
        answer("ended", Observation::Ended),
        answer("401", Observation::Unauthorized),
        answer("login page", Observation::LoginPage),
        answer("gone", Observation::Gone),
    ];
    for trouble in [
        Trouble::NothingListens,
        Trouble::NoAnswer,
        Trouble::NotAGateway,
        Trouble::Certificate,
        Trouble::AddressRefused,
        Trouble::Network,
        Trouble::IbkrSilent,
        Trouble::IbkrError,
        Trouble::EdgeRefused,
        Trouble::TooManyRequests { retry_after: None },
        Trouble::Nonsense,
    ] {
        inputs.push(answer(trouble.code(), Observation::Trouble(trouble)));
    }
    inputs.extend([
        ("*wake, too early*".to_owned(), Input::Wake),
        ("*push: good*".to_owned(), Input::Push(GOOD)),
        ("*push: lost*".to_owned(), Input::Push(LOST)),
        ("*push: competing*".to_owned(), Input::Push(COMPETING)),
        ("*operator: check*".to_owned(), Input::Check),
        ("*operator: pause*".to_owned(), Input::Pause { until: None }),
        ("*operator: resume*".to_owned(), Input::Resume),
        ("*operator: logout*".to_owned(), Input::Logout),
    ]);
    inputs
}

fn state(state: State) -> String {
    match state {
        State::Recovering { attempt, step } => format!("recovering {attempt}: {}", step.name()),
        State::Unavailable(trouble) => format!("unavailable: {}", trouble.code()),
        State::LoginRequired(cause) => format!("login-required: {}", cause.code()),
        State::Starting | State::Live | State::Contested | State::Paused { .. } => state.name().to_owned(),
    }
}

/// What comes of an input, as the table has it: the state after it, the next question, and how soon it comes at most.
fn outcome(situation: &Situation, input: Input) -> (String, String, Duration) {
    let mut after = situation.clone().step(input);
    let entered = state(after.machine.state());
    let at = after.now.mono;
    let mut still = after.plan.request.is_none() && after.plan.awaiting;
    for _ in 0..3 {
        if after.plan.request.is_some() || still {
            break;
        }
        let left = after.plan.wake_at - after.now.mono;
        after = after.wait(left).step(Input::Wake);
        still = false;
    }
    let question = match after.plan.request {
        Some(Request::OpenBrokerage { compete }) => format!("open_brokerage, compete: {compete}"),
        Some(request) => request.name().to_owned(),
        None if still => "(the answer is still awaited)".to_owned(),
        None => "(none)".to_owned(),
    };
    (entered, question, after.now.mono - at)
}

fn table() -> String {
    let mut text = String::new();
    let seeds: Vec<_> = (0..40).map(situations).collect();
    for (i, (name, out, _)) in seeds[0].iter().enumerate() {
        let mut rows: Vec<(Vec<String>, (String, String, String))> = Vec::new();
        for (input_name, input) in inputs(*out) {
            let all: Vec<_> = seeds.iter().map(|situations| outcome(&situations[i].2, input)).collect();
            let (to, question, _) = all[0].clone();
            assert!(
                all.iter().all(|(t, q, _)| *t == to && *q == question),
                "{name}, {input_name}: chance decides: {all:?}"
            );
            let longest = all.iter().map(|(.., delay)| *delay).max().unwrap_or_default();
            let delay = match question.as_str() {
                "(none)" | "(the answer is still awaited)" => String::new(),
                _ => tickled::log::humane(longest),
            };
            let outcome = (to, question, delay);
            match rows.iter_mut().find(|(_, known)| *known == outcome) {
                Some((names, _)) => names.push(input_name),
                None => rows.push((vec![input_name], outcome)),
            }
        }
        let asked =
            if *name == "paused" { "nothing is asked".to_owned() } else { format!("`{}` is asked", out.name()) };
        writeln!(
            text,
            "\n### {name}; {asked}\n\n| input | state after it | next question | within |\n|---|---|---|---|"
        )
        .unwrap();
        for (names, (to, question, delay)) in rows {
            writeln!(text, "| {} | {to} | {question} | {delay} |", names.join(", ")).unwrap();
        }
    }
    text
}

#[test]
fn the_table_in_the_docs_is_what_the_code_does() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/session/transitions.md");
    let now = table();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, &now).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap();
    assert!(now == written, "src/session/transitions.md differs; is that what is meant? BLESS=1 writes it anew");
    assert!(now.lines().filter(|line| line.starts_with("### ")).count() >= 20);
}

#[test]
fn every_state_and_every_input_stands_in_the_table() {
    let situations = situations(0);
    let mut states: Vec<&str> = situations.iter().map(|(.., s)| s.machine.state().name()).collect();
    states.sort_unstable();
    states.dedup();
    assert_eq!(states, ["contested", "live", "login-required", "paused", "recovering", "starting", "unavailable"]);
    for (name, out, situation) in &situations {
        let asked = situation.plan.request.is_some_and(|request| request == *out);
        assert!(asked || *name == "paused", "{name}: {:?}", situation.plan);
    }
    assert_eq!(inputs(Request::Check).len(), 36);
    let causes =
        [Cause::Expired, Cause::NeverLoggedIn, Cause::LoggedOut, Cause::Borrowed, Cause::NotEnabled, Cause::Exhausted];
    let mut codes: Vec<&str> = causes.iter().map(|cause| cause.code()).collect();
    codes.dedup();
    assert_eq!(codes.len(), causes.len());
}
