//! SIGHUP: a good file is carried over gateway by gateway, a bad one changes nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::net::UnixDatagram;
use tokio::time::{sleep, timeout};

use support::{Daemon, Gateway, SOON, by_day, file};

fn gateways(named: &[(&str, &Gateway)], rest: &str) -> String {
    let tables = named.iter().map(|(name, gateway)| format!("[gateway.{name}]\nurl = \"{}\"\n", gateway.url()));
    by_day(&tables.chain(Some(rest.to_owned())).collect::<String>())
}

pub(crate) async fn connections(gateway: &Gateway) -> u64 {
    gateway.read("world").await["connections"].as_u64().unwrap()
}

#[tokio::test]
async fn what_did_not_change_keeps_its_session_and_its_connection() {
    let (kept, left, new) = (Gateway::logged_in().await, Gateway::logged_in().await, Gateway::logged_in().await);
    let path = file(&gateways(&[("kept", &kept), ("left", &left)], ""));
    let mut daemon = Daemon::run(&path);
    for _ in 0..2 {
        daemon.becomes("live", SOON).await;
    }
    let before = connections(&kept).await;
    fs::write(&path, gateways(&[("kept", &kept), ("new", &new)], "")).unwrap();
    daemon.signal("HUP");
    daemon.hears(&[("event", "config-reloaded")], SOON).await;
    let said = daemon.hears(&[("event", "state-changed"), ("gateway", "new"), ("to", "live")], SOON).await;
    assert_eq!(said["from"], "starting");
    let asked = left.asked().await.len();
    daemon.signal("USR1");
    daemon.listens(Duration::from_secs(2)).await;
    assert_eq!(left.asked().await.len(), asked, "nobody asks what is not watched any more");
    assert_eq!(connections(&kept).await, before, "the connection is the old one");
    assert_eq!(daemon.count(&[("event", "state-changed"), ("gateway", "kept")]), 1, "{}", daemon.text);
    assert_eq!(left.asked_for("/v1/api/logout").await, 0);
}

#[tokio::test]
async fn a_faulty_file_changes_nothing_and_says_all_that_is_wrong() {
    let gateway = Gateway::logged_in().await;
    let good = gateways(&[("main", &gateway)], "");
    let path = file(&good);
    let mut daemon = Daemon::run(&path);
    daemon.becomes("live", SOON).await;
    fs::write(&path, gateways(&[("main", &gateway)], "[session]\nping_evry = \"1m\"\ncheck_every = 7\n")).unwrap();
    daemon.signal("HUP");
    daemon.hears(&[("event", "alert"), ("code", "config-rejected"), ("phase", "raised")], SOON).await;
    assert_eq!(daemon.count(&[("event", "config-rejected")]), 2, "{}", daemon.text);
    assert!(daemon.text.contains("ping_every") && daemon.text.contains("check_every"), "{}", daemon.text);

    fs::remove_file(&path).unwrap();
    daemon.signal("HUP");
    daemon.hears(&[("event", "config-rejected")], SOON).await;

    fs::write(&path, &good).unwrap();
    daemon.signal("HUP");
    daemon.hears(&[("event", "alert"), ("code", "config-rejected"), ("phase", "resolved")], SOON).await;
    assert_eq!(daemon.count(&[("event", "state-changed")]), 1, "{}", daemon.text);
}

#[tokio::test]
async fn a_hundred_at_once_leave_one_loop_and_no_descriptor() {
    let gateway = Gateway::logged_in().await;
    let config = |every: &str| gateways(&[("main", &gateway)], &format!("[session]\ncheck_every = \"{every}\"\n"));
    let path = file(&config("1s"));
    let mut daemon = Daemon::run(&path);
    daemon.becomes("live", SOON).await;
    let descriptors = || fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count();
    let before = descriptors();
    for turn in 0..100 {
        fs::write(&path, config(if turn % 2 == 0 { "2s" } else { "1s" })).unwrap();
        daemon.signal("HUP");
    }
    // The last of them is known by what it changes.
    fs::write(&path, config("1s") + "[alerts]\nrepeat_every = \"5h\"\n").unwrap();
    daemon.signal("HUP");
    let is_last =
        |said: &Map<String, Value>| said["changes"].as_str().is_some_and(|changes| changes.contains("alerts changed"));
    while !is_last(&daemon.hears(&[("event", "config-reloaded")], SOON).await) {}
    // Each new loop's first question counts, asked or not: that is paid for by silence.
    let asked = gateway.asked().await.len();
    timeout(Duration::from_secs(90), gateway.is_asked(asked + 1)).await.expect("the loop asks again");
    let asked = gateway.asked().await.len();
    timeout(Duration::from_secs(90), gateway.is_asked(asked + 8)).await.expect("the loop goes on asking");
    // Each loop has a connection of its own.
    let requests = gateway.read("requests").await;
    let last = requests.as_array().unwrap().iter().skip(asked);
    let connections: BTreeSet<u64> = last.map(|request| request["connection"].as_u64().unwrap()).collect();
    assert_eq!(connections.len(), 1, "{requests:#}");
    let descriptors = || fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count();
    until(|| descriptors() <= before + 1).await;
}

#[tokio::test]
async fn every_reload_that_systemd_hears_of_ends_whatever_the_file_holds() {
    let gateway = Gateway::logged_in().await;
    let good = gateways(&[("main", &gateway)], "[session]\ncheck_every = \"1s\"\n");
    let path = file(&good);
    let manager = path.with_extension("notify");
    let heard = listen(&manager);
    let mut daemon = Daemon::spawn(Daemon::command(&path).env("NOTIFY_SOCKET", &manager));
    daemon.becomes("live", SOON).await;
    let pid = daemon.pid();
    let threads = || fs::read_dir(format!("/proc/{pid}/task")).unwrap().count();
    let before = threads();
    for turn in 0..100 {
        match turn % 3 {
            0 => fs::write(&path, &good).unwrap(),
            // At any hour: it is refused.
            1 => fs::write(&path, "[gateway.main]\nurl = 1\n").unwrap(),
            _ => fs::remove_file(&path).unwrap(),
        }
        daemon.signal("HUP");
    }
    // The last of them is known by the line of its fault.
    fs::write(&path, "gateway = 1\n").unwrap();
    daemon.signal("HUP");
    let last = format!("{}:1:", path.display());
    let is_last = |said: &Map<String, Value>| said["fault"].as_str().is_some_and(|fault| fault.starts_with(&last));
    while !is_last(&daemon.hears(&[("event", "config-rejected")], SOON).await) {}
    until(|| {
        let heard = heard.lock().unwrap();
        let status = heard.iter().rfind(|said| said.starts_with("STATUS=")).unwrap();
        status == "STATUS=the changed configuration is refused, the old one stays in force; live: main"
    })
    .await;

    fs::write(&path, &good).unwrap();
    daemon.signal("HUP");
    daemon.hears(&[("event", "alert"), ("code", "config-rejected"), ("phase", "resolved")], SOON).await;
    let said = || {
        let mut heard = heard.lock().unwrap().clone();
        heard.retain(|said| !said.starts_with("STATUS="));
        heard
    };
    until(|| said().last().is_some_and(|last| last == "READY=1")).await;
    let (mut heard, mut at) = (said(), 0);
    assert_eq!(heard.remove(0), "READY=1", "the start is over");
    for said in heard.chunks(2) {
        let [reloading, ready] = said else { panic!("a reload that does not end: {said:?}") };
        let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap_or_else(|| panic!("{reloading}"));
        let time: u64 = time.parse().unwrap();
        assert!(time >= at, "{time} after {at}");
        at = time;
        assert_eq!(ready, "READY=1");
    }
    assert!(heard.len() >= 4, "{heard:?}");
    // The pool for files keeps the threads that ran at once; what a reload leaves behind would add up to a hundred.
    until(|| threads() <= before + 10).await;
    assert_eq!(daemon.count(&[("event", "state-changed")]), 1, "live from first to last: {}", daemon.text);
}

/// Waits until something is so.
async fn until(is_so: impl Fn() -> bool) {
    let so = async {
        while !is_so() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, so).await.expect("it becomes so");
}

/// All that a daemon says to its service manager at `path`, in order.
pub(crate) fn listen(path: &Path) -> Arc<Mutex<Vec<String>>> {
    let socket = UnixDatagram::bind(path).unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&heard);
    tokio::spawn(async move {
        let mut buffer = [0; 1024];
        while let Ok(len) = socket.recv(&mut buffer).await {
            keep.lock().unwrap().push(String::from_utf8_lossy(&buffer[..len]).into_owned());
        }
    });
    heard
}
