//! `history` and `watch` as an operator uses them.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::{Instant, timeout};

use crate::Host;
use support::{Gateway, SOON};

#[tokio::test]
async fn history_shows_the_outage_that_was() {
    let gateway = Gateway::logged_in().await;
    let mut host = Host::start(&format!(
        "[gateway.main]\nurl = \"{}\"\n[session]\ncheck_every = \"1s\"\n[maintenance]\nwindow = []\n",
        gateway.url()
    ));
    host.daemon.becomes("live", SOON).await;
    gateway.set("lapse").await;
    host.daemon.becomes("recovering", SOON).await;
    host.daemon.becomes("live", SOON * 2).await;
    let changes = host.daemon.count(&[("event", "state-changed")]);
    host.has_written(changes).await;

    let asked = host.asks(&["history", "--since", "1h"]).await;
    assert_eq!((asked.code, asked.err.as_str()), (Some(0), ""), "{}", asked.out);
    let lines: Vec<&str> = asked.out.lines().collect();
    assert!(
        lines[0].starts_with("main: ") && lines[0].contains(" % live, ") && lines[0].contains("outage"),
        "{}",
        asked.out
    );
    assert!(lines[1].trim_end().ends_with(['▓', '█', '░', '×']), "{}", asked.out);
    assert!(lines[2].trim().ends_with(" UTC"), "{}", asked.out);
    for part in ["\n  outages\n", "  recovering  ", "session-lapsed", "\n  changes\n", "data-confirmed", "█ live  "] {
        assert!(asked.out.contains(part), "{part}\n{}", asked.out);
    }
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{}", asked.out);

    let file = host.place.join("day.svg");
    let drawn = host.asks(&["history", "main", "--since", "24h", "--json", "--svg", file.to_str().unwrap()]).await;
    let report: serde_json::Value = serde_json::from_str(&drawn.out).unwrap();
    let outages = report["gateways"][0]["outages"].as_array().unwrap();
    let lapse = outages.iter().filter(|outage| outage["because"] == "session-lapsed").count();
    assert!(lapse >= 1, "{outages:?}");
    let svg = std::fs::read_to_string(file).unwrap();
    assert!(svg.starts_with("<svg xmlns=") && svg.contains("<rect class=\"recovering\""), "{svg}");

    let unknown = host.asks(&["history", "ira"]).await;
    assert_eq!(unknown.code, Some(64));
    assert_eq!(unknown.err, "tickled: there is no history of \"ira\" in that time: there is one of main\n");
    let nonsense = host.asks(&["history", "--since", "yesterday"]).await;
    assert_eq!(nonsense.code, Some(64));
    assert!(nonsense.err.contains("write it like 30m, 2h or 1d"), "{}", nonsense.err);
}

#[tokio::test]
async fn watch_redraws_and_leaves_the_terminal_as_it_was() {
    let gateway = Gateway::logged_in().await;
    let mut host = Host::live(&gateway).await;
    // A lone Esc, the first byte of the arrow keys, does not swallow the next key.
    for (key, columns) in [("\u{1b}q", 80), ("\u{3}", 40)] {
        // The terminal's settings before and after, and between them what was drawn.
        let typed = format!(
            "stty rows 24 cols {columns}; stty -g; {} watch --socket {}; echo \"ended with $?\"; stty -g",
            env!("CARGO_BIN_EXE_tickled"),
            host.socket().display()
        );
        let mut script = Command::new("script");
        script.args(["-qec", &typed, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        script.env("TERM", "xterm").env("LC_ALL", "C.UTF-8").env_remove("COLUMNS").env_remove("NO_COLOR");
        let mut child = script.spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        let mut seen = String::new();
        let until = Instant::now() + SOON;
        while seen.matches("\u{1b}[H").count() < 3 {
            assert!(Instant::now() < until, "{seen}");
            let mut bytes = [0; 4096];
            let read = timeout(SOON, out.read(&mut bytes)).await.unwrap().unwrap();
            assert!(read > 0, "{seen}");
            seen.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
        let mut keys = child.stdin.take().unwrap();
        keys.write_all(key.as_bytes()).await.unwrap();
        keys.flush().await.unwrap();
        let mut rest = String::new();
        timeout(SOON, out.read_to_string(&mut rest)).await.unwrap().unwrap();
        seen.push_str(&rest);
        assert!(seen.contains("\u{1b}[32mlive\u{1b}[0m"), "{seen}");
        assert!(seen.contains("q ends"), "{seen}");
        assert!(seen.contains("\u{1b}[?25h\u{1b}[?1049l"), "the cursor and the page are given back: {seen}");
        assert!(seen.contains("ended with 0"), "{seen}");
        let settings: Vec<&str> = seen.lines().map(str::trim).filter(|line| line.matches(':').count() > 10).collect();
        let ends: Vec<&str> = settings.iter().map(|line| line.rsplit('l').next().unwrap_or(line)).collect();
        assert!(ends.len() == 2 && ends[0] == ends[1], "{ends:?}");
    }
    host.daemon.listens(Duration::from_millis(10)).await;
}

#[tokio::test]
async fn watch_wants_a_terminal_and_a_daemon() {
    let gateway = Gateway::logged_in().await;
    let host = Host::live(&gateway).await;
    let piped = host.asks(&["watch"]).await;
    assert_eq!((piped.code, piped.out.as_str()), (Some(64), ""));
    assert!(piped.err.starts_with("tickled: watch needs a terminal"), "{}", piped.err);
    let typed = format!("{} watch --socket /nowhere/control.sock", env!("CARGO_BIN_EXE_tickled"));
    let mut script = Command::new("script");
    script.args(["-qec", &typed, "/dev/null"]).stdin(Stdio::null()).env("TERM", "xterm").env("LC_ALL", "C.UTF-8");
    let none = script.env_remove("COLUMNS").output().await.unwrap();
    assert_eq!(none.status.code(), Some(3));
    let said = String::from_utf8_lossy(&none.stdout);
    assert!(said.starts_with("tickled: no daemon answers at /nowhere/control.sock"), "{said}");
    assert!(!said.contains("\u{1b}["), "the terminal is untouched: {said}");
}
