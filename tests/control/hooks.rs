//! Hooks of the real daemon: well-behaved, and as bad as programs can be.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::Host;
use crate::endpoint::config;
use support::{Gateway, SOON};

/// A program in this directory.
fn program(place: &Path, name: &str, script: &str) -> PathBuf {
    let path = place.join(name);
    std::fs::write(&path, format!("#!/bin/sh\ncd {}\n{script}\n", place.display())).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn hook(name: &str, program: &Path, more: &str) -> String {
    format!("[[hook]]\nname = \"{name}\"\nargv = [\"{}\"]\n{more}\n", program.display())
}

/// The lines of a file, once there are so many.
async fn lines(path: &Path, least: usize) -> Vec<String> {
    let until = Instant::now() + SOON;
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        if lines.len() >= least {
            return lines;
        }
        assert!(Instant::now() < until, "{lines:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// The processes whose command line has this word, with their states.
fn processes(word: &str) -> Vec<String> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let command = |path: PathBuf| {
        let line = String::from_utf8_lossy(&std::fs::read(path.join("cmdline")).ok()?).replace('\0', " ");
        line.contains(word).then_some(line)
    };
    all.filter_map(|entry| command(entry.path())).collect()
}

/// The children of a process that have ended and were not waited for.
fn zombies(parent: u32) -> usize {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let is_one = |path: PathBuf| {
        let stat = std::fs::read_to_string(path.join("stat")).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        fields.first() == Some(&"Z") && fields.get(1) == Some(&parent.to_string().as_str())
    };
    all.filter(|entry| is_one(entry.path())).count()
}

#[tokio::test]
async fn hooks_run_in_order_whatever_other_hooks_do() {
    let gateway = Gateway::logged_in().await;
    let place = crate::place();
    let marker = format!("61.{}", std::process::id());
    let good = program(
        &place,
        "good",
        "cat > stdin.json\necho $TICKLED_HOOK_EVENT $TICKLED_HOOK_STATE $TICKLED_HOOK_SESSION >> log",
    );
    // Of all that waits for its first run, it gets the newest.
    let slow = program(&place, "slow", "while [ ! -e go ]; do sleep 0.1; done\necho $TICKLED_HOOK_EVENT >> slow-log");
    let hanging = program(&place, "hanging", &format!("sleep {marker} &\necho begun >> hanging-log\nsleep {marker}"));
    let flooding = program(&place, "flooding", "yes secret | head -c 3000000\necho end >> flooding-log\nexit 3");
    let forking = program(
        &place,
        "forking",
        &format!("(sleep {marker} &) &\n(sleep {marker} &) &\necho forked >> forking-log\nexit 0"),
    );
    let hooks = [
        hook("good", &good, ""),
        hook("slow", &slow, "on = [\"live\", \"lost\"]\nwithin = \"1m\""),
        hook("hanging", &hanging, "on = [\"live\"]\nwithin = \"1s\""),
        hook("flooding", &flooding, "on = [\"live\"]"),
        hook("forking", &forking, "on = [\"live\"]"),
        hook("absent", Path::new("/nowhere/hook"), "on = [\"live\"]"),
        hook("other", &good, "gateways = [\"ira\"]"),
    ];
    let gateways = config(&gateway).replace("\"5m\"", "\"1s\"");
    // At any hour: there are no windows.
    let second = format!("[gateway.ira]\nurl = \"https://127.0.0.1:1\"\n{gateways}");
    let mut host = Host::start(&format!("{second}{}", hooks.concat()));
    host.daemon.hears(&[("event", "state-changed"), ("gateway", "main"), ("to", "live")], SOON).await;
    let log = place.join("log");
    lines(&log, 2).await;
    gateway.set("lapse").await;
    let said = lines(&log, 5).await;
    let words: Vec<Vec<&str>> = said.iter().map(|line| line.split(' ').collect()).collect();
    let seen: Vec<(&str, &str)> = words.iter().map(|words| (words[0], words[1])).collect();
    let recovered = [("session", "live"), ("live", "live")];
    std::fs::write(place.join("go"), "").unwrap();
    assert_eq!(seen, [&recovered[..], &[("lost", "recovering")], &recovered[..]].concat(), "{said:?}");
    let session = |at: usize| words[at][2].parse::<u64>().unwrap();
    assert_eq!((session(1), session(2), session(4)), (session(0), session(0), session(0) + 1));
    let stdin: Value = serde_json::from_str(&std::fs::read_to_string(place.join("stdin.json")).unwrap()).unwrap();
    assert_eq!((&stdin["event"], &stdin["gateway"], &stdin["test"]), (&"live".into(), &"main".into(), &false.into()));

    let asked = host.asks(&["hook", "test", "good", "--gateway", "main"]).await;
    assert_eq!((asked.code, asked.out.as_str()), (Some(0), "hook good: ended with exit code 0\n"), "{}", asked.err);
    let asked = host.asks(&["hook", "test", "flooding", "--gateway", "main"]).await;
    assert!(
        asked.code == Some(1) && asked.out.starts_with("hook flooding: ended with exit code 3, and said: "),
        "{asked:?}"
    );
    assert!(asked.out.len() < 300, "{}", asked.out);
    let asked = host.asks(&["hook", "test", "absent"]).await;
    assert_eq!(asked.out, "hook absent: /nowhere/hook cannot be run: No such file or directory\n", "{asked:?}");
    let asked = host.asks(&["hook", "test", "bot"]).await;
    assert!(asked.code == Some(64) && asked.err.contains("there are good, slow, hanging,"), "{asked:?}");

    for (hook, outcome) in [("hanging", "killed after 1s"), ("flooding", "3")] {
        let line = host.daemon.hears(&[("event", "hook-failed"), ("hook", hook)], SOON).await;
        assert_eq!(line["outcome"], outcome, "{line:?}");
    }
    host.daemon.hears(&[("event", "hook-ran"), ("hook", "forking")], SOON).await;
    // The first "live" is under way when "lost" comes, which the second one replaces.
    let said = lines(&place.join("slow-log"), 2).await;
    assert!(said.iter().all(|line| line == "live"), "{said:?}");
    // Nothing is left of any of them, and all the while the gateway was asked in time.
    lines(&place.join("hanging-log"), 2).await;
    let until = Instant::now() + SOON;
    // A process that has just ended is a zombie for a moment.
    while !processes(&marker).is_empty() || zombies(host.daemon.pid()) > 0 {
        assert!(Instant::now() < until, "{:?}, {} zombies", processes(&marker), zombies(host.daemon.pid()));
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(host.daemon.count(&[("event", "driver-late")]), 0);
    std::fs::remove_dir_all(&place).unwrap();
}
