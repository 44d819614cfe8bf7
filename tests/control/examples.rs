//! The examples of docs/examples do what they are for.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{ChildStdout, Command};
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

#[tokio::test]
async fn the_python_trader_survives_lapses_and_a_restart_of_the_daemon() {
    let python = Command::new("python3").arg("--version").output().await;
    if !python.is_ok_and(|ran| ran.status.success()) {
        return;
    }
    let gateway = Gateway::logged_in().await;
    let mut host = Host::start(&config(&gateway).replace("\"5m\"", "\"1s\""));
    host.daemon.becomes("live", SOON).await;
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/examples/trader.py");
    let mut trader = Command::new("python3")
        .args([program, "--socket", host.socket().to_str().unwrap(), "--url", &gateway.url(), "main"])
        // Where the clock is shifted by a library, Python's waits are disturbed, and nothing here depends on the time.
        .env_remove("LD_PRELOAD")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(trader.stdout.take().unwrap()).lines();
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
