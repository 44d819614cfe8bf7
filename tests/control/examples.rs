//! The examples of docs/examples do what they are for.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::Host;
use crate::endpoint::config;
use support::{Gateway, SOON};

/// The lines of a program until one begins so.
async fn until(lines: &mut Lines<BufReader<ChildStdout>>, start: &str) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        let line = timeout(SOON * 2, lines.next_line()).await.unwrap_or_else(|_| panic!("no {start:?} after {seen:?}"));
        let line = line.unwrap().unwrap_or_else(|| panic!("it ended after {seen:?}"));
        let is_last = line.starts_with(start);
        seen.push(line);
        if is_last {
            return seen;
        }
    }
}

/// Whether this host can run the program. What is skipped is said.
#[expect(clippy::print_stderr, reason = "what is skipped is said")]
async fn has(program: &str) -> bool {
    let is_here = Command::new(program).arg("--version").output().await.is_ok_and(|ran| ran.status.success());
    if !is_here {
        eprintln!("skipped: {program} is not installed here");
    }
    is_here
}

/// An example of the documentation.
fn example(name: &str) -> String {
    format!("{}/docs/examples/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A trading program in Python, with the lines that it prints.
fn python(arguments: &[&str]) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut command = Command::new("python3");
    // Where the clock is shifted by a library, Python's waits are disturbed, and nothing here depends on the time.
    command.args(arguments).env_remove("LD_PRELOAD").stdout(Stdio::piped()).kill_on_drop(true);
    let mut program = command.spawn().unwrap();
    let lines = BufReader::new(program.stdout.take().unwrap()).lines();
    (program, lines)
}

#[tokio::test]
async fn the_python_trader_survives_lapses_and_a_restart_of_the_daemon() {
    if !has("python3").await {
        return;
    }
    let gateway = Gateway::logged_in().await;
    let mut host = Host::start(&config(&gateway).replace("\"5m\"", "\"1s\""));
    host.daemon.becomes("live", SOON).await;
    let socket = host.socket().display().to_string();
    let (_trader, mut lines) = python(&[&example("trader.py"), "--socket", &socket, "--url", &gateway.url(), "main"]);
    let mut all = until(&mut lines, "order 3 placed").await;
    for order in [6, 9] {
        gateway.set("lapse").await;
        all.extend(until(&mut lines, "prepared session").await);
        all.extend(until(&mut lines, &format!("order {order} placed")).await);
    }
    host.daemon.signal("TERM");
    host.daemon.ends(SOON).await;
    all.extend(until(&mut lines, "session").await);
    assert!(all.last().unwrap().ends_with("is not live"), "without a daemon nothing is known: {all:?}");
    host.daemon = Host::daemon(&host.config, &host.place);
    all.extend(until(&mut lines, "prepared session").await);
    all.extend(until(&mut lines, "order 12 placed").await);
    assert!(!all.iter().any(|line| line.starts_with("a question")), "{all:?}");
    let prepared = all.iter().filter(|line| line.starts_with("prepared")).count();
    assert!(prepared >= 4, "each session is prepared: {all:?}");
    // Each order was placed once, in its order.
    let placed: Vec<&str> =
        all.iter().filter(|line| line.starts_with("order")).map(|line| line.split(' ').nth(1).unwrap()).collect();
    let expected: Vec<String> = (1..=12).map(|order| order.to_string()).collect();
    assert_eq!(placed, expected, "{all:?}");
}

/// Two trading programs on two gateways that lapse together. The one without events loses orders to questions for ever; the
/// one that listens sends none into a session that it knows to be lost, and loses none.
#[tokio::test]
async fn without_events_orders_are_lost_to_questions_and_with_them_none_is() {
    if !has("python3").await {
        return;
    }
    let (listening, deaf) = (Gateway::logged_in().await, Gateway::logged_in().await);
    let text = |name: &str, gateway: &Gateway| {
        format!("[gateway.{name}]\nurl = \"{}\"\npublic_address = \"{name}\"\n", gateway.url())
    };
    let session = "[session]\ncheck_every = \"1s\"\n";
    let both = text("listening", &listening) + &text("deaf", &deaf) + session;
    let host = Host::start(&support::by_day(&both));
    let probe = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/trader_probe.py");
    let (socket, trader) = (host.socket().display().to_string(), example("trader.py"));
    let arguments = [probe, &trader, "with", "--socket", &socket, "--url", &listening.url(), "listening"];
    let (_listens, mut lines) = python(&arguments);
    let (_deaf, mut deaf_lines) = python(&[probe, &trader, "without", &deaf.url()]);
    let mut all = until(&mut lines, "order 2 placed").await;
    let mut deaf_said = until(&mut deaf_lines, "{\"order\"").await;
    assert!(deaf_said[0].contains("\"placed\""), "{deaf_said:?}");
    deaf.set("lapse").await;
    for lapse in 1..=3 {
        listening.set("lapse").await;
        all.extend(until(&mut lines, "prepared session").await);
        all.extend(until(&mut lines, &format!("order {} placed", 3 * lapse + 2)).await);
    }
    // Its session is long repaired, and nothing that it sends is an order.
    while !deaf_said.last().unwrap().contains("\"question\"") {
        assert!(deaf_said.len() < 300, "{deaf_said:?}");
        deaf_said.extend(until(&mut deaf_lines, "{\"order\"").await);
    }
    for _ in 0..3 {
        deaf_said.extend(until(&mut deaf_lines, "{\"order\"").await);
        assert!(deaf_said.last().unwrap().contains("\"question\""), "{deaf_said:?}");
    }
    let (mut lost_at, mut placed) = (None, Vec::new());
    for line in all.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let at = line["at"].as_f64().unwrap();
        match (line["live"].as_bool(), line["outcome"].as_str()) {
            (Some(is_live), _) => lost_at = (!is_live).then_some(at),
            (None, Some("placed")) => {
                placed.push(line["order"].as_str().unwrap().rsplit('-').next().unwrap().to_owned())
            }
            (None, outcome) => assert_eq!(outcome, Some("no-session"), "{all:?}"),
        }
        // An order that is under way when the loss becomes known is answered that there is no session.
        assert!(line["order"].is_null() || lost_at.is_none_or(|lost| at < lost + 2.0), "{line} in {all:?}");
    }
    let expected: Vec<String> = (1..=placed.len()).map(|order| order.to_string()).collect();
    assert!(placed.len() >= 11 && placed == expected, "each order once, in its order: {placed:?}");
}
