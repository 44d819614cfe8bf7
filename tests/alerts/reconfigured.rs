//! A changed configuration, a renamed host and the daemon's end: what becomes of open and of unsent alerts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::delivery::{TOLD, channel, next, watched};
use support::receiver::{Receiver, Reply};
use support::{Daemon, Gateway, SOON, file};

async fn reload(daemon: &mut Daemon, path: &Path, gateway: &Gateway, channels: &str) {
    fs::write(path, watched(&[("main", gateway)], channels)).unwrap();
    daemon.signal("HUP");
    daemon.hears(&[("event", "config-reloaded")], SOON).await;
}

#[tokio::test]
async fn a_new_channel_is_told_of_what_is_open_and_a_removed_one_drops_what_is_unsent() {
    let gateway = Gateway::logged_in().await;
    let (down, mut added, mut renamed) = (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    down.replies(std::iter::repeat_n(Reply::Answer(503, "", ""), 50));
    let path = file(&watched(&[("main", &gateway)], &channel("down", &down.url())));
    let mut daemon = Daemon::run(&path);
    daemon.becomes("live", SOON).await;
    gateway.set("expire-login").await;
    daemon.hears(&[("event", "alert-delayed"), ("channel", "down")], TOLD).await;

    // One is added; the other goes on.
    let both = channel("down", &down.url()) + &channel("added", &added.url());
    reload(&mut daemon, &path, &gateway, &both).await;
    let (phase, code, body) = added.is_told(SOON).await;
    assert_eq!((phase.as_str(), code.as_str()), ("repeated", "login-required"), "{body}");
    assert_eq!(daemon.count(&[("event", "alert-given-up")]), 0);

    // One is renamed: its unsent alert is dropped, and the channel of the new name gets it.
    let both = channel("renamed", &renamed.url()) + &channel("added", &added.url());
    reload(&mut daemon, &path, &gateway, &both).await;
    assert_eq!(daemon.count(&[("event", "alert-given-up"), ("channel", "down")]), 1, "{}", daemon.text);
    assert!(daemon.text.contains("an unsent alert is dropped"), "{}", daemon.text);
    assert_eq!(renamed.is_told(SOON).await.1, "login-required");
    daemon.listens(Duration::from_secs(2)).await;
    assert!(added.rest().is_empty() && renamed.rest().is_empty(), "each is told once");

    // A channel that does not match gets nothing, and an acknowledged alert is not sent again.
    let other = channel("other", &added.url()) + "codes = [\"wrong-account\"]\n";
    reload(&mut daemon, &path, &gateway, &(channel("renamed", &renamed.url()) + &other)).await;
    daemon.listens(Duration::from_secs(2)).await;
    assert!(added.rest().is_empty());
}

#[tokio::test]
async fn a_channel_that_is_mended_by_a_reload_is_told_of_what_it_missed() {
    let gateway = Gateway::logged_in().await;
    let (wrong, mut right) = (Receiver::start().await, Receiver::start().await);
    wrong.replies(std::iter::repeat_n(Reply::Answer(400, "", ""), 50));
    let path = file(&watched(&[("main", &gateway)], &channel("phone", &wrong.url())));
    let mut daemon = Daemon::run(&path);
    daemon.becomes("live", SOON).await;
    gateway.set("expire-login").await;
    daemon.hears(&[("event", "alert-given-up"), ("channel", "phone")], TOLD).await;
    reload(&mut daemon, &path, &gateway, &channel("phone", &right.url())).await;
    let (phase, code) = next(&mut right).await;
    assert_eq!((phase.as_str(), code.as_str()), ("repeated", "login-required"));
}

/// A daemon in a host of that name, in this folder; `None` where this user may not name hosts.
#[expect(clippy::print_stderr, reason = "what is skipped is said")]
fn on_host(name: &str, config: &Path, state: &Path) -> Option<Daemon> {
    let is_allowed = std::process::Command::new("unshare").args(["-u", "hostname", "x"]).output();
    if !is_allowed.is_ok_and(|output| output.status.success()) {
        eprintln!("this user may not name a host, so no host is renamed");
        return None;
    }
    let plain = Daemon::command(config);
    let plain = plain.as_std();
    let script = format!("hostname {name}; exec \"$@\"");
    let mut command = tokio::process::Command::new("unshare");
    command.args(["-u", "sh", "-c", &script, "sh"]).arg(plain.get_program()).args(plain.get_args());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("STATE_DIRECTORY", state).stderr(Stdio::piped()).kill_on_drop(true);
    Some(Daemon::spawn(&mut command))
}

#[tokio::test]
async fn a_renamed_host_closes_the_incident_that_it_opened() {
    let gateway = Gateway::logged_in().await;
    let mut pager = Receiver::start().await;
    let token = crate::keep("token", "routing-key\n");
    let channel = format!(
        "[[alerts.channel]]\nname = \"pager\"\ntype = \"webhook\"\npreset = \"pagerduty\"\nurl = \"{}/v2/enqueue\"\n\
         token_file = {token:?}\n",
        pager.url()
    );
    let (config, state): (PathBuf, PathBuf) = (file(&watched(&[("main", &gateway)], &channel)), crate::folder());
    let Some(mut daemon) = on_host("before", &config, &state) else { return };
    daemon.becomes("live", SOON).await;
    gateway.set("expire-login").await;
    let read = |body: &str| -> serde_json::Value { serde_json::from_str(body).unwrap() };
    let opened = read(&pager.hears(TOLD).await.body);
    assert_eq!((&opened["event_action"], &opened["payload"]["source"]), (&"trigger".into(), &"before".into()));
    let key = opened["dedup_key"].as_str().unwrap();
    assert!(!key.contains("before"), "{key}");
    let is_null_anywhere = opened.to_string().contains("null");
    assert!(!is_null_anywhere, "{opened}");
    daemon.hears(&[("event", "alert-sent"), ("channel", "pager")], SOON).await;
    daemon.signal("TERM");
    daemon.ends(SOON).await;

    let mut daemon = on_host("after", &config, &state).unwrap();
    daemon.becomes("login-required", SOON).await;
    gateway.log_in().await;
    daemon.signal("USR1");
    let closed = read(&pager.hears(TOLD).await.body);
    assert_eq!((&closed["event_action"], &closed["payload"]["source"]), (&"resolve".into(), &"after".into()));
    assert_eq!(closed["dedup_key"], opened["dedup_key"]);
}

#[tokio::test]
async fn what_a_program_has_started_ends_with_the_daemon() {
    let gateway = Gateway::logged_in().await;
    let folder = crate::folder();
    let script = format!("sleep 600 & echo $! > {0}/new; mv {0}/new {0}/pid; wait", folder.display());
    let siren = format!(
        "[[alerts.channel]]\nname = \"siren\"\ntype = \"command\"\nargv = [\"/bin/sh\", \"-c\", {script:?}]\n\
         within = \"1m\"\n"
    );
    let mut daemon = Daemon::run(&file(&watched(&[("main", &gateway)], &siren)));
    daemon.becomes("live", SOON).await;
    gateway.set("expire-login").await;
    daemon.hears(&[("event", "alert"), ("code", "login-required")], TOLD).await;
    let pid = loop {
        match fs::read_to_string(folder.join("pid")) {
            Ok(pid) => break pid,
            Err(_) => daemon.listens(Duration::from_millis(50)).await,
        }
    };
    daemon.signal("TERM");
    daemon.ends(SOON).await;
    let ended = async {
        while crate::edge::is_running(pid.trim()) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, ended).await.expect("it runs on");
}
