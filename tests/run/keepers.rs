//! Two keepers: the second one for the same gateway on this host ends, and says who is the first.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::timeout;

use crate::house::{Daemon, Gateway, SOON, by_day};
use crate::reload::listen;
use crate::two_lines;

/// A runtime directory that several daemons share.
fn runtime(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("tickled-keepers-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn run(config: &Path, runtime: &Path) -> tokio::process::Command {
    let mut command = Daemon::command(config);
    command.env("RUNTIME_DIRECTORY", runtime);
    command
}

#[tokio::test]
async fn the_second_keeper_of_a_gateway_ends_and_names_the_first() {
    let (gateway, runtime) = (Gateway::logged_in().await, runtime("second"));
    let mut first = Daemon::spawn(&mut run(&two_lines(&gateway.url()), &runtime));
    first.becomes("live", SOON).await;
    // The same port by another name is the same gateway.
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:7f00:1]"] {
        let url = gateway.url().replace("127.0.0.1", host);
        let before = gateway.asked().await.len();
        let second = timeout(SOON, run(&two_lines(&url), &runtime).output()).await.expect("an end").unwrap();
        let said = String::from_utf8(second.stderr).unwrap();
        assert_eq!(second.status.code(), Some(69), "{said}");
        let (main, pid) = (format!("gateway main: {url} "), format!("process {}", first.pid()));
        assert!(said.contains(&main) && said.contains(&pid), "{said}");
        assert_eq!(gateway.asked().await.len(), before, "it asked nothing");
    }
    // One that was killed leaves its file behind, and that is no obstacle.
    first.signal("KILL");
    first.ends(SOON).await;
    let left: Vec<_> = fs::read_dir(&runtime).unwrap().map(|entry| entry.unwrap().path()).collect();
    let lock = left.iter().find(|path| path.extension().is_some_and(|end| end == "lock")).unwrap();
    for stale in ["", "4000000000000000000\n", "1\n", "\u{0}not a number"] {
        fs::write(lock, stale).unwrap();
        let mut next = Daemon::spawn(&mut run(&two_lines(&gateway.url()), &runtime));
        next.becomes("live", SOON).await;
        assert_eq!(fs::read_to_string(lock).unwrap().trim(), next.pid().to_string());
        next.signal("TERM");
        assert_eq!(next.ends(SOON).await.code(), Some(0));
    }
    fs::remove_dir_all(&runtime).unwrap();
}

/// Started again and again it waits, and takes over as soon as the first one has ended.
#[tokio::test]
async fn under_a_service_manager_the_second_waits_for_the_first() {
    let (gateway, runtime) = (Gateway::logged_in().await, runtime("waits"));
    let path = two_lines(&gateway.url());
    let manager = path.with_extension("notify");
    let heard = listen(&manager);
    let mut first = Daemon::spawn(&mut run(&path, &runtime));
    first.becomes("live", SOON).await;
    let mut second = Daemon::spawn(run(&path, &runtime).env("NOTIFY_SOCKET", &manager));
    let said = second.hears(&[("event", "gateway-kept"), ("gateway", "main")], SOON).await;
    let pid = format!("process {}", first.pid());
    assert!(said["fault"].as_str().unwrap().contains(&pid), "{said:?}");
    second.signal("HUP");
    second.listens(Duration::from_secs(2)).await;
    assert_eq!(second.count(&[("event", "gateway-kept")]), 1, "once: {}", second.text);
    let told = heard.lock().unwrap().clone();
    assert!(told.len() == 1 && told[0].starts_with("STATUS=not started: ") && told[0].contains(&pid), "{told:?}");
    first.signal("TERM");
    second.becomes("live", SOON).await;
    assert_eq!(second.count(&[("event", "daemon-started")]), 1, "{}", second.text);

    // And while it waits it ends when it is told to.
    let mut third = Daemon::spawn(run(&path, &runtime).env("NOTIFY_SOCKET", &manager));
    third.hears(&[("event", "gateway-kept")], SOON).await;
    third.signal("TERM");
    assert_eq!(third.ends(Duration::from_secs(2)).await.code(), Some(0));
    fs::remove_dir_all(&runtime).unwrap();
}

#[tokio::test]
async fn a_reload_that_adds_what_another_keeps_changes_nothing() {
    let (ours, theirs, runtime) = (Gateway::logged_in().await, Gateway::logged_in().await, runtime("reload"));
    let path = two_lines(&ours.url());
    let mut daemon = Daemon::spawn(&mut run(&path, &runtime));
    daemon.becomes("live", SOON).await;
    let mut other = Daemon::spawn(&mut run(&two_lines(&theirs.url()), &runtime));
    other.becomes("live", SOON).await;
    let both = format!("[gateway.main]\nurl = \"{}\"\n[gateway.theirs]\nurl = \"{}\"\n", ours.url(), theirs.url());
    fs::write(&path, by_day(&both)).unwrap();
    daemon.signal("HUP");
    let said = daemon.hears(&[("event", "config-rejected")], SOON).await;
    let fault = said["fault"].as_str().unwrap();
    assert!(fault.contains("gateway theirs") && fault.contains(&format!("process {}", other.pid())), "{fault}");
    assert_eq!(daemon.count(&[("event", "gateway-watched")]), 1, "{}", daemon.text);

    // Once the other has let go of it, the same file is good.
    other.signal("TERM");
    other.ends(SOON).await;
    daemon.signal("HUP");
    daemon.hears(&[("event", "config-reloaded")], SOON).await;
    daemon.hears(&[("event", "state-changed"), ("gateway", "theirs"), ("to", "live")], SOON).await;
    // And what this one lets go of, another may have.
    let alone = both.replace("[gateway.theirs]", "#").replace(&format!("url = \"{}\"", theirs.url()), "#");
    fs::write(&path, by_day(&alone)).unwrap();
    daemon.signal("HUP");
    daemon.hears(&[("event", "config-reloaded")], SOON).await;
    let mut other = Daemon::spawn(&mut run(&two_lines(&theirs.url()), &runtime));
    other.becomes("live", SOON).await;
    fs::remove_dir_all(&runtime).unwrap();
}

/// Without a place for the lock it goes on, and says what that means.
#[tokio::test]
async fn no_place_for_a_lock_is_no_reason_not_to_watch() {
    let gateway = Gateway::logged_in().await;
    let mut daemon = Daemon::spawn(&mut run(&two_lines(&gateway.url()), Path::new("/proc/nowhere")));
    assert_eq!(daemon.hears(&[("event", "lock-unavailable")], SOON).await["gateway"], "main");
    daemon.becomes("live", SOON).await;
}
