//! The endpoint while many ask, while some never end, and after the host slept: what it says stays true, and costs
//! nothing.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::Host;
use crate::endpoint::{config, get, listens, until};
use support::{Daemon, Gateway, SOON};

/// Clients that begin a request and never end it are replaced by one that asks: they delay no other.
#[tokio::test]
async fn half_sent_requests_hold_up_nobody() {
    let gateway = Gateway::logged_in().await;
    let mut host = Host::start(&config(&gateway));
    let at = listens(&mut host.daemon).await;
    host.daemon.becomes("live", SOON).await;
    let mut half = Vec::new();
    for _ in 0..500 {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nHo").await.unwrap();
        half.push(stream);
    }
    let began = Instant::now();
    assert_eq!(get(at, "/livez").await.status, 200);
    // A head has two seconds to come. In turn, five hundred would take fifteen.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    drop(half);
}

/// The host sleeps: the wall clock goes on and the clock of all deadlines stands still. A client that asks then does
/// not see a session that was live hours ago, though the next check is minutes away.
#[tokio::test]
async fn after_a_sleep_nothing_is_live_until_it_was_asked_again() {
    let Some(faketime) = faketime() else { return };
    let gateway = Gateway::logged_in().await;
    let place = crate::place();
    let clock = place.join("clock");
    std::fs::write(&clock, "+0\n").unwrap();
    let path = support::file(&config(&gateway));
    let mut run = Daemon::command(&path);
    run.env("RUNTIME_DIRECTORY", &place).env("STATE_DIRECTORY", place.join("state")).env("LD_PRELOAD", faketime);
    run.env("FAKETIME_TIMESTAMP_FILE", &clock).env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    // Where the whole test runs at another time, that would win over the file.
    run.env_remove("FAKETIME");
    let mut daemon = Daemon::spawn(&mut run);
    let at = listens(&mut daemon).await;
    daemon.becomes("live", SOON).await;
    until(at, "/readyz", |said| said.status == 200).await;
    until(at, "/", |said| said.body.contains("<h1>1 of 1 live</h1>")).await;
    gateway.set("expire-login").await;
    let new = clock.with_extension("new");
    std::fs::write(&new, "+8h\n").unwrap();
    std::fs::rename(&new, &clock).unwrap();
    for (path, wrong) in [("/readyz", "ok"), ("/livez", "ok"), ("/", "1 of 1 live"), ("/status", "\"state\":\"live\"")]
    {
        let said = get(at, path).await;
        assert!(!said.body.starts_with(wrong) && !said.body.contains(&format!("{wrong}<")), "{path}: {said:?}");
        assert!(!said.body.contains("\"state\":\"live\""), "{path}: {said:?}");
    }
    // Asking has woken it: it is asked again at once.
    daemon.becomes("login-required", SOON).await;
    let is_written = |ledger: &str| ledger.contains("\"login-required\"");
    let ledger = support::until_file(&place.join("state/ledger.jsonl"), "login-required", is_written).await;
    // From the last check before the sleep to the first answer after it nothing is claimed.
    let rows: Vec<&str> = ledger.lines().collect();
    let gap = rows.iter().position(|row| row.contains("\"event\":\"unobserved\"")).expect("a gap");
    let at = |row: &str| row.split('"').nth(3).unwrap().to_owned();
    assert!(rows[gap - 2].contains("\"to\":\"live\""), "{ledger}");
    assert!(rows[gap - 1].contains("\"to\":\"starting\",\"because\":\"outdated\""), "{ledger}");
    assert!(rows[gap + 1].contains("\"from\":\"live\"") && at(rows[gap]) == at(rows[gap + 1]), "{ledger}");
    daemon.signal("TERM");
    daemon.ends(SOON).await;
    std::fs::remove_dir_all(&place).unwrap();
}

/// The library that sets a process's clocks, if this host has it.
#[expect(clippy::print_stderr, reason = "what is skipped is said")]
fn faketime() -> Option<std::path::PathBuf> {
    let found = std::fs::read_dir("/usr/lib").unwrap().flatten().map(|entry| entry.path());
    let found = found.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|library| library.exists());
    if found.is_none() {
        eprintln!("skipped: libfaketime is not installed here");
    }
    found
}

/// How many seconds a hundred clients and half-open connections last, if set: `HAMMER=60`.
fn hammer() -> Option<u64> {
    std::env::var("HAMMER").ok().and_then(|seconds| seconds.parse().ok())
}

#[tokio::test]
async fn a_hundred_clients_and_half_open_connections_delay_no_ping_and_cost_no_memory() {
    let gateway = Gateway::logged_in().await;
    let quick = config(&gateway)
        .replace("check_every = \"5m\"\nping_every = \"5m\"", "check_every = \"1s\"\nping_every = \"2s\"")
        + "[log]\nlevel = \"trace\"\n";
    let mut host = Host::start(&quick);
    let at = listens(&mut host.daemon).await;
    host.daemon.becomes("live", SOON).await;
    let pid = host.daemon.pid();
    let until = Instant::now() + Duration::from_secs(hammer().unwrap_or(8));
    let promised = Arc::new(Mutex::new(BTreeSet::new()));
    // The endpoint renders once a second; the socket says at any time when the daemon will act next.
    let (socket, noted) = (host.socket(), Arc::clone(&promised));
    let watching = tokio::spawn(async move {
        while Instant::now() < until {
            let status = crate::socket::status(&socket).await;
            noted.lock().unwrap().extend(promise(&status));
            sleep(Duration::from_millis(50)).await;
        }
    });
    let idle = std::thread::spawn(move || oversleeps(until));
    let clients: Vec<_> = (0..100)
        .map(|n| {
            tokio::spawn(async move {
                let path = if n % 2 == 0 { "/status" } else { "/metrics" };
                let mut answers = 0_u32;
                while Instant::now() < until {
                    let said = get(at, path).await;
                    assert_eq!(said.status, 200);
                    answers += 1;
                    sleep(Duration::from_millis(50)).await;
                }
                answers
            })
        })
        .collect();
    let half_open: Vec<_> = (0..20)
        .map(|_| {
            tokio::spawn(async move {
                while Instant::now() < until {
                    let mut stream = TcpStream::connect(at).await.unwrap();
                    sleep(Duration::from_millis(10)).await;
                    drop(stream.write_all(b"GET /status HTTP/1.1\r\nHo").await);
                    // It is closed on us, in a while.
                    drop(timeout(SOON, stream.read_to_end(&mut Vec::new())).await);
                }
            })
        })
        .collect();
    sleep(Duration::from_secs(1)).await;
    let begun = (Instant::now(), gateway.asked().await.len(), resident(pid));
    host.daemon.listens(until.saturating_duration_since(Instant::now())).await;
    let (seconds, asked, after) =
        (begun.0.elapsed().as_secs_f64(), gateway.asked().await.len() - begun.1, resident(pid));
    let mut answers = 0;
    for client in clients {
        answers += client.await.unwrap();
    }
    for one in half_open {
        one.await.unwrap();
    }
    watching.await.unwrap();
    assert!(answers > 500, "{answers} answers: nothing was hammered");
    // One ping a second and what a session costs by itself, however many clients the endpoint has.
    assert!((asked as f64) < seconds * 2.5 + 4.0, "{asked} requests in {seconds} s");
    assert!(after < begun.2 + 3 * 1024, "{} KiB before, {after} KiB after", begun.2);
    let late = lateness(&host.daemon, &promised.lock().unwrap());
    let noise = idle.join().unwrap();
    eprintln!(
        "{answers} answers in {seconds:.1} s; requests late by at most {late} ms, where a thread that only sleeps was \
         late by {noise} ms; memory {} to {after} KiB",
        begun.2
    );
    // How late is late on a host that others load as well, only a run of its own can judge.
    let allowed = if hammer().is_some() { 50 + noise } else { 5_000 };
    assert!(late <= allowed, "a request was {late} ms late, and an idle thread {noise} ms");
}

/// By how many milliseconds a thread that does nothing else wakes too late at most: what the host itself costs.
fn oversleeps(until: Instant) -> i64 {
    let nap = Duration::from_millis(5);
    let mut worst = Duration::ZERO;
    while Instant::now() < until {
        let before = Instant::now();
        std::thread::sleep(nap);
        worst = worst.max(before.elapsed().saturating_sub(nap));
    }
    i64::try_from(worst.as_millis()).unwrap()
}

/// When the daemon will act next, in milliseconds, unless it only waits for an answer.
fn promise(status: &str) -> Option<i64> {
    let status: Value = serde_json::from_str(status).unwrap();
    let gateway = &status["gateways"][0];
    let at: jiff::Timestamp = gateway["next_at"].as_str()?.parse().unwrap();
    (gateway["next"] != "an answer is due").then(|| at.as_millisecond())
}

/// By how many milliseconds checks and pings were late at most, against what was promised for them.
fn lateness(daemon: &Daemon, promised: &BTreeSet<i64>) -> i64 {
    let is_due = |call: &Value| call == "ping_server" || call == "check_auth_status";
    let sent: Vec<i64> = daemon
        .said
        .iter()
        .filter(|said| said.get("event").is_some_and(|event| event == "request") && is_due(&said["call"]))
        .map(|said| {
            let answered: jiff::Timestamp = said["time"].as_str().unwrap().parse().unwrap();
            let took = said["took_ms"].as_i64().unwrap();
            answered.as_millisecond() - took
        })
        .collect();
    let first = *promised.first().unwrap();
    let late = |sent: &i64| Some(sent - promised.range(..=sent + 2).next_back()?);
    let late: Vec<i64> = sent.iter().filter(|sent| **sent >= first).filter_map(late).collect();
    assert!(late.len() >= 3, "{} requests", late.len());
    late.into_iter().max().unwrap()
}

/// The resident memory in KiB.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
