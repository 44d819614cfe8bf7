//! The transition table: every state with every question that can be out in it, and every input, against the code.
//!
//! `BLESS=1 cargo test --test session_table` writes `src/session/transitions.md` anew; read the difference.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod attempts;
mod behind;
mod beliefs;
mod bounds;
mod cases;
mod constant;
mod edges;
mod held;
mod quick;
mod session_number;
mod silence;
mod situation;
mod unanswered_kinds;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use situation::{COMPETING, EMPTY, GOOD, LOST, NOT_ESTABLISHED, Situation, USABLE, VALID, situations};
use support::Said;
use tickled::session::{Cause, Input, Request, Sso, State, Unavailability};

/// Every input that can occur while `out` is asked, each by the name that stands in the table.
fn inputs(out: Request) -> Vec<(String, Input)> {
    let answer = |name: &str, said: Said| said.to(out).map(|answer| (name.to_owned(), Input::Answer(answer)));
    let answers = [
        answer("good", Said::Status(GOOD)),
        answer("not established", Said::Status(NOT_ESTABLISHED)),
        answer("competing", Said::Status(COMPETING)),
        answer("lost", Said::Status(LOST)),
        answer("no status", Said::NoStatus),
        answer("accepted", Said::Accepted),
        answer("not logged in", Said::NotLoggedIn),
        answer("login valid", Said::Sso(VALID)),
        answer("login borrowed", Said::Sso(Sso { borrowed: true, ..VALID })),
        answer("login invalid", Said::Sso(Sso { valid: false, ..VALID })),
        answer("accounts", Said::Accounts(USABLE)),
        answer("no accounts", Said::Accounts(EMPTY)),
        answer("listening", Said::Listening),
        answer("ended", Said::Ended),
        answer("401", Said::Unauthorized),
        answer("login page", Said::LoginPage),
        answer("gone", Said::Unsupported),
    ];
    let mut inputs: Vec<_> = answers.into_iter().flatten().collect();
    for trouble in [
        Unavailability::NothingListens,
        Unavailability::NoAnswer,
        Unavailability::NotAGateway,
        Unavailability::Certificate,
        Unavailability::Tls,
        Unavailability::AddressRefused,
        Unavailability::Network,
        Unavailability::IbkrSilent,
        Unavailability::IbkrError,
        Unavailability::EdgeRefused,
        Unavailability::TooManyRequests { retry_after: None },
        Unavailability::Nonsense,
    ] {
        inputs.extend(answer(trouble.code(), Said::Unavailable(trouble)));
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
        ("*operator: logged out before*".to_owned(), Input::LoggedOut),
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
                _ => tickled::log::human_duration(longest),
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
    let names: BTreeSet<String> =
        situations.iter().flat_map(|(_, out, _)| inputs(*out)).map(|(name, _)| name).collect();
    assert_eq!(names.len(), 17 + 12 + 9, "{names:?}");
    let causes = [
        Cause::Expired,
        Cause::NeverLoggedIn,
        Cause::LoggedOut,
        Cause::Borrowed,
        Cause::NotEnabled,
        Cause::Exhausted,
        Cause::ByOperator,
    ];
    let codes: BTreeSet<&str> = causes.iter().map(|cause| cause.code()).collect();
    assert_eq!(codes.len(), causes.len());
}
