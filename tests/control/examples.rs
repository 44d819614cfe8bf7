//! The examples of docs/examples do what they are for.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::Host;
use crate::endpoint::{config, listens};
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

/// Two trading programs on two gateways that lapse together. The one without events keeps losing orders to questions;
/// the one that listens sends none into a session that it knows to be lost, and loses none.
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
                placed.push(line["order"].as_str().unwrap().rsplit('-').next().unwrap().to_owned());
            }
            (None, outcome) => assert_eq!(outcome, Some("no-session"), "{all:?}"),
        }
        // An order that is under way when the loss becomes known is answered that there is no session.
        assert!(line["order"].is_null() || lost_at.is_none_or(|lost| at < lost + 2.0), "{line} in {all:?}");
    }
    let expected: Vec<String> = (1..=placed.len()).map(|order| order.to_string()).collect();
    assert!(placed.len() >= 11 && placed == expected, "each order once, in its order: {placed:?}");
}

/// The example in Elixir, where it is installed.
#[tokio::test]
async fn the_elixir_trader_survives_a_lapse() {
    if !has("elixir").await {
        return;
    }
    let gateway = Gateway::logged_in().await;
    let mut host = Host::start(&config(&gateway).replace("\"5m\"", "\"1s\""));
    let at = listens(&mut host.daemon).await;
    host.daemon.becomes("live", SOON).await;
    let mut command = Command::new("elixir");
    command.args([&example("trader.exs"), "main", &gateway.url(), &format!("http://{at}")]);
    command.env_remove("LD_PRELOAD").stdout(Stdio::piped()).kill_on_drop(true);
    let mut trader = command.spawn().unwrap();
    let mut lines = BufReader::new(trader.stdout.take().unwrap()).lines();
    let mut all = until(&mut lines, "order 2 placed").await;
    gateway.set("lapse").await;
    all.extend(until(&mut lines, "prepared session").await);
    all.extend(until(&mut lines, "order 5 placed").await);
    let placed: Vec<&String> = all.iter().filter(|line| line.starts_with("order")).collect();
    assert!(
        placed.iter().enumerate().all(|(at, line)| line.starts_with(&format!("order {} placed", at + 1))),
        "{all:?}"
    );
    // Erlang's machine is a child of the shell script that starts it.
    trader.kill().await.unwrap();
}

/// The unit is one for systemd, and what it starts waits for the session and places an order.
#[tokio::test]
async fn the_unit_of_a_trading_program_starts_it_when_its_session_is_live() {
    let unit = std::fs::read_to_string(example("trader.service")).unwrap();
    let program = |key: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap();
        line.split(' ').map(str::to_owned).collect::<Vec<_>>()
    };
    let (before, start) = (program("ExecStartPre"), program("ExecStart"));
    if has("systemd-analyze").await {
        // Neither program is where it will be installed.
        let here = unit.replace(&before[0], "/bin/true").replace(&start[0], "/bin/true");
        let file = crate::place().join("trader.service");
        std::fs::write(&file, here).unwrap();
        let verified = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&file).output().await.unwrap();
        assert!(verified.status.success() && verified.stderr.is_empty(), "{verified:?}");
        std::fs::remove_dir_all(file.parent().unwrap()).unwrap();
    }
    let gateway = Gateway::logged_in().await;
    let host = Host::live(&gateway).await;
    let arguments: Vec<&str> = before[1..].iter().map(String::as_str).collect();
    assert_eq!((before[0].as_str(), host.asks(&arguments).await.code), ("/usr/bin/tickled", Some(0)));
    if !has("python3").await {
        return;
    }
    let socket = host.socket().display().to_string();
    let trader = example(start[0].rsplit('/').next().unwrap());
    let mut arguments = vec![trader, "--url".to_owned(), gateway.url(), "--orders".to_owned(), "1".to_owned()];
    arguments.extend(start[1..].iter().map(|argument| argument.replace("/run/tickled/control.sock", &socket)));
    let (mut trader, mut lines) = python(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    until(&mut lines, "order 1 placed").await;
    assert_eq!(timeout(SOON, trader.wait()).await.unwrap().unwrap().code(), Some(0));
}

/// The hook, with the configuration that its own comment shows.
#[tokio::test]
async fn the_hook_pauses_a_bot_while_its_session_is_lost() {
    let hook = example("bot-hook.sh");
    if has("shellcheck").await {
        let checked = Command::new("shellcheck").arg(&hook).output().await.unwrap();
        assert!(checked.status.success(), "{checked:?}");
    }
    let text = std::fs::read_to_string(&hook).unwrap();
    let table: String =
        text.lines().filter_map(|line| line.strip_prefix("#   ")).map(|line| format!("{line}\n")).collect();
    assert!(table.starts_with("[[hook]]\n") && table.contains("/usr/local/bin/bot-hook.sh"), "{table}");
    let gateway = Gateway::logged_in().await;
    let mut host = Host::start(&(Host::two_lines(&gateway) + &table.replace("/usr/local/bin/bot-hook.sh", &hook)));
    host.daemon.becomes("live", SOON).await;
    let state = host.place.join("state");
    let (session, paused) = (state.join("bot-main.session"), state.join("bot-main.paused"));
    let number = support::until_file(&session, "a number", |text| text.ends_with('\n')).await;
    assert_eq!(host.asks(&["pause", "main"]).await.code, Some(0));
    support::until_file(&paused, "why", |text| text == "paused: operator\n").await;
    // As at any change, so by hand: a test of the hook resumes the bot, with the number of the last session.
    let asked = host.asks(&["hook", "test", "bot"]).await;
    let said = format!("hook bot: ended with exit code 0, and said: resumed, session {number}");
    assert_eq!((asked.code, asked.out.trim_end()), (Some(0), said.trim_end()), "{}", asked.err);
    assert!(!paused.exists());
    assert_eq!(host.asks(&["resume", "main"]).await.code, Some(0));
    support::until_file(&session, "the next number", |text| *text != number).await;
}
