//! SIGHUP: a good file is carried over gateway by gateway, a bad one changes nothing.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::UnixDatagram;

use crate::house::{Daemon, Gateway, SOON, file};

fn gateways(named: &[(&str, &Gateway)], rest: &str) -> String {
    let tables = named.iter().map(|(name, gateway)| format!("[gateway.{name}]\nurl = \"{}\"\n", gateway.url()));
    tables.chain(Some(rest.to_owned())).collect()
}

async fn connections(gateway: &Gateway) -> u64 {
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
    daemon.hears(&[("event", "config-reloaded")], SOON).await;
    daemon.listens(Duration::from_secs(3)).await;
    // Each new loop's first question counts, asked or not: that is paid for by silence.
    let mut asked = gateway.asked().await.len();
    for _ in 0..40 {
        daemon.listens(Duration::from_secs(1)).await;
        let before = std::mem::replace(&mut asked, gateway.asked().await.len());
        if asked > before {
            break;
        }
    }
    daemon.listens(Duration::from_secs(5)).await;
    let more = gateway.asked().await.len() - asked;
    assert!((3..=9).contains(&more), "{more} requests in five seconds: not one loop");
    let after = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count();
    assert!(after <= before + 1, "{before} descriptors before, {after} after");
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
            1 => fs::write(&path, "[gateway.main]\nurl = 1\n").unwrap(),
            _ => fs::remove_file(&path).unwrap(),
        }
        daemon.signal("HUP");
    }
    fs::write(&path, "gateway = 1\n").unwrap();
    daemon.signal("HUP");
    daemon.listens(Duration::from_secs(2)).await;
    let status = heard.lock().unwrap().iter().rfind(|said| said.starts_with("STATUS=")).cloned().unwrap();
    assert_eq!(status, "STATUS=the changed configuration is refused, the old one stays in force; live: main");

    fs::write(&path, &good).unwrap();
    daemon.signal("HUP");
    daemon.hears(&[("event", "alert"), ("code", "config-rejected"), ("phase", "resolved")], SOON).await;
    daemon.listens(Duration::from_secs(1)).await;
    let mut heard = heard.lock().unwrap().clone();
    let mut at = 0;
    heard.retain(|said| !said.starts_with("STATUS="));
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
    assert!(threads() <= before + 2, "{} threads, {before} before", threads());
    assert_eq!(daemon.count(&[("event", "state-changed")]), 1, "live from first to last: {}", daemon.text);
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
