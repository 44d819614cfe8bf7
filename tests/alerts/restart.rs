//! kill -9 and a restart: no unsent alert is lost, no sent alert is repeated.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;
use std::time::Duration;

use crate::delivery::{TOLD, channel, next, spool, watched};
use support::receiver::{Receiver, Reply};
use support::{Daemon, Gateway, SOON, file};

async fn kill(daemon: &mut Daemon) {
    daemon.signal("KILL");
    daemon.ends(SOON).await;
}

fn is(told: &(String, String), phase: &str) {
    assert_eq!((told.0.as_str(), told.1.as_str()), (phase, "login-required"));
}

#[tokio::test]
async fn what_was_not_told_is_told_by_the_next_and_what_was_is_not_repeated() {
    let gateway = Gateway::logged_in().await;
    let (mut down, mut up) = (Receiver::start().await, Receiver::start().await);
    let channels = channel("down", &down.url()) + &channel("up", &up.url());
    let (config, state) = (file(&watched(&[("main", &gateway)], &channels)), crate::folder());
    down.replies([Reply::Answer(503, "", "")]);
    let mut daemon = Daemon::with_state(&config, &state);
    daemon.becomes("live", SOON).await;
    gateway.set("expire-login").await;
    is(&next(&mut down).await, "raised");
    is(&next(&mut up).await, "raised");
    daemon.hears(&[("event", "alert-delayed"), ("channel", "down")], SOON).await;
    // What was sent leaves the spool after it was: for a moment a restart would send it once more.
    while spool(&state).contains("\"up\":[{") {
        daemon.listens(Duration::from_millis(20)).await;
    }
    kill(&mut daemon).await;
    assert!(spool(&state).contains("\"down\":[{"), "{}", spool(&state));

    // The unsent one is sent at once, unchanged; the other is not sent again.
    let mut daemon = Daemon::with_state(&config, &state);
    is(&next(&mut down).await, "raised");
    daemon.becomes("login-required", SOON).await;
    daemon.listens(Duration::from_secs(2)).await;
    assert_eq!(daemon.count(&[("event", "alert")]), 0, "{}", daemon.text);
    assert!(up.rest().is_empty() && down.rest().is_empty());

    // Once more, with nothing left to send; then it is over, and its end is sent once.
    while spool(&state).contains("\"down\":[{") {
        daemon.listens(Duration::from_millis(20)).await;
    }
    kill(&mut daemon).await;
    let mut daemon = Daemon::with_state(&config, &state);
    daemon.becomes("login-required", SOON).await;
    gateway.log_in().await;
    daemon.signal("USR1");
    let said = daemon.hears(&[("event", "alert"), ("phase", "resolved")], TOLD).await;
    assert!(!said["lasted"].as_str().unwrap().starts_with("0s"), "it began in another process: {said:?}");
    is(&next(&mut down).await, "resolved");
    is(&next(&mut up).await, "resolved");
    daemon.listens(Duration::from_secs(1)).await;
    assert!(up.rest().is_empty() && down.rest().is_empty());
}

#[tokio::test]
async fn an_alert_that_is_cut_off_in_the_middle_is_told_again_and_no_more_than_once() {
    let gateway = Gateway::logged_in().await;
    let mut phone = Receiver::start().await;
    let (config, state) = (file(&watched(&[("main", &gateway)], &channel("phone", &phone.url()))), crate::folder());
    // It has the alert, and does not say so.
    phone.replies([Reply::Hang]);
    let mut daemon = Daemon::with_state(&config, &state);
    daemon.becomes("live", SOON).await;
    gateway.set("expire-login").await;
    is(&next(&mut phone).await, "raised");
    kill(&mut daemon).await;
    let mut daemon = Daemon::with_state(&config, &state);
    is(&next(&mut phone).await, "raised");
    daemon.hears(&[("event", "alert-sent"), ("channel", "phone")], SOON).await;
    daemon.listens(Duration::from_secs(2)).await;
    assert!(phone.rest().is_empty(), "{}", daemon.text);
}

#[tokio::test]
async fn a_spool_that_makes_no_sense_is_set_aside_and_said() {
    let gateway = Gateway::logged_in().await;
    let mut phone = Receiver::start().await;
    let (config, state) = (file(&watched(&[("main", &gateway)], &channel("phone", &phone.url()))), crate::folder());
    fs::write(state.join("alerts.json"), "{\"version\":1,\"desk\":").unwrap();
    let mut daemon = Daemon::with_state(&config, &state);
    let said = daemon.hears(&[("event", "alert-spool")], SOON).await;
    assert!(said["fault"].as_str().unwrap().contains("alerts.json.bad"), "{said:?}");
    assert_eq!(fs::read_to_string(state.join("alerts.json.bad")).unwrap(), "{\"version\":1,\"desk\":");
    daemon.becomes("live", SOON).await;
    gateway.set("expire-login").await;
    is(&next(&mut phone).await, "raised");
    assert_eq!(daemon.count(&[("event", "alert-spool")]), 1, "{}", daemon.text);
    assert!(spool(&state).contains("login-required"));
}

#[tokio::test]
async fn a_state_directory_that_cannot_be_written_keeps_no_alert_back() {
    let gateway = Gateway::logged_in().await;
    let mut phone = Receiver::start().await;
    let (config, state) = (file(&watched(&[("main", &gateway)], &channel("phone", &phone.url()))), crate::folder());
    // Root may write anywhere, but not into a folder that is a file.
    let state = state.join("no-folder");
    fs::write(&state, "").unwrap();
    let mut daemon = Daemon::with_state(&config, &state);
    daemon.becomes("live", SOON).await;
    gateway.set("expire-login").await;
    is(&next(&mut phone).await, "raised");
    daemon.listens(Duration::from_secs(2)).await;
    assert!(daemon.count(&[("event", "alert-spool")]) >= 1, "{}", daemon.text);
}

/// A channel of the same service under another name, and one that is new: what is open they get at once. What was not
/// sent by the one that is no longer there is dropped, and said to be.
#[tokio::test]
async fn a_channel_that_is_renamed_or_added_gets_what_is_open_and_what_a_removed_one_did_not_send_is_said() {
    let gateway = Gateway::logged_in().await;
    let (mut phone, mut other) = (Receiver::start().await, Receiver::start().await);
    let with = |channels: &str| watched(&[("main", &gateway)], channels);
    let (config, state) = (file(&with(&channel("phone", &phone.url()))), crate::folder());
    phone.replies([Reply::Answer(503, "", ""), Reply::Answer(503, "", "")]);
    let mut daemon = Daemon::with_state(&config, &state);
    daemon.becomes("live", SOON).await;
    gateway.set("expire-login").await;
    is(&next(&mut phone).await, "raised");
    daemon.hears(&[("event", "alert-delayed"), ("channel", "phone")], SOON).await;

    fs::write(&config, with(&(channel("mobile", &phone.url()) + &channel("other", &other.url())))).unwrap();
    daemon.signal("HUP");
    let dropped = daemon.hears(&[("event", "alert-given-up"), ("channel", "phone")], SOON).await;
    assert_eq!((dropped["code"].as_str(), dropped["phase"].as_str()), (Some("login-required"), Some("raised")));
    is(&next(&mut phone).await, "repeated");
    is(&next(&mut other).await, "repeated");

    // One that took only errors of other gateways takes this one as well after a change of what it takes.
    let elsewhere = channel("late", &other.url()) + "codes = [\"wrong-account\"]\n";
    fs::write(&config, with(&(channel("mobile", &phone.url()) + &elsewhere))).unwrap();
    daemon.signal("HUP");
    daemon.hears(&[("event", "config-reloaded")], SOON).await;
    daemon.listens(Duration::from_secs(2)).await;
    assert!(other.rest().is_empty(), "it does not take that code");
    fs::write(&config, with(&(channel("mobile", &phone.url()) + &channel("late", &other.url())))).unwrap();
    daemon.signal("HUP");
    is(&next(&mut other).await, "repeated");

    // The same across a restart, once the gateway was looked at.
    while spool(&state).contains("[{\"message") {
        daemon.listens(Duration::from_millis(20)).await;
    }
    kill(&mut daemon).await;
    fs::write(&config, with(&(channel("mobile", &phone.url()) + &channel("newest", &other.url())))).unwrap();
    let rest = phone.rest();
    let mut daemon = Daemon::with_state(&config, &state);
    is(&next(&mut other).await, "repeated");
    daemon.becomes("login-required", SOON).await;
    daemon.listens(Duration::from_secs(2)).await;
    assert!(other.rest().is_empty() && phone.rest().is_empty(), "what was sent is not sent again: {rest:?}");
}

/// A container that is created anew has another host name. Programs that resolve incidents by their id still find them.
#[tokio::test]
async fn an_alert_keeps_its_identity_when_the_host_gets_another_name() {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        println!("skipped: only root can give a process another host name");
        return;
    }
    let gateway = Gateway::logged_in().await;
    let mut phone = Receiver::start().await;
    let text = watched(&[("main", &gateway)], &channel("phone", &phone.url()));
    let (config, state) = (file(&text), crate::folder());
    let run_on = |host: &str| {
        let (run, name) = (Daemon::command(&config), format!("echo {host} >/proc/sys/kernel/hostname; exec \"$@\""));
        let mut on = tokio::process::Command::new("unshare");
        on.args(["--uts", "sh", "-c", &name, "sh"]).arg(run.as_std().get_program()).args(run.as_std().get_args());
        on.envs(run.as_std().get_envs().filter_map(|(name, value)| Some((name, value?))));
        on.env("STATE_DIRECTORY", &state).stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        Daemon::spawn(&mut on)
    };
    let mut daemon = run_on("first-host");
    daemon.becomes("live", SOON).await;
    gateway.set("expire-login").await;
    let (_, _, raised) = phone.is_told(TOLD).await;
    assert_eq!((&raised["phase"], &raised["host"]), (&"raised".into(), &"first-host".into()), "{raised}");
    while spool(&state).contains("[{\"message") || !spool(&state).contains("\"instance\":\"") {
        daemon.listens(Duration::from_millis(20)).await;
    }
    kill(&mut daemon).await;

    let mut daemon = run_on("second-host");
    daemon.becomes("login-required", SOON).await;
    // The name that people know is a setting, and a reload applies it.
    fs::write(&config, format!("{text}[alerts]\nhost = \"trader.example\"\n")).unwrap();
    daemon.signal("HUP");
    daemon.hears(&[("event", "config-reloaded")], SOON).await;
    gateway.log_in().await;
    daemon.signal("USR1");
    let (_, _, resolved) = phone.is_told(TOLD).await;
    assert_eq!((&resolved["phase"], &resolved["host"]), (&"resolved".into(), &"trader.example".into()), "{resolved}");
    assert!(resolved["text"].as_str().unwrap().contains("tickled on trader.example"), "{resolved}");
    assert_eq!(resolved["id"], raised["id"]);
    assert!(!raised["id"].as_str().unwrap().contains("host"), "{raised}");
}
