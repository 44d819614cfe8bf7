//! The real binary against the simulated gateway over TLS: what a trader sees on the day something happens.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod directories;
mod faults;
mod first_minutes;
mod host;
mod keepers;
mod reload;
mod silence;
mod soak;
mod terminal;
mod trust;
mod verbs;

use std::fs;
use std::process::Command;
use std::time::Duration;

use support::{Daemon, Gateway, SOON, by_day, file, tickled};
use tokio::time::timeout;

/// The two lines that are enough, by day.
fn two_lines(url: &str) -> std::path::PathBuf {
    file(&by_day(&format!("[gateway.main]\nurl = \"{url}\"\n")))
}

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[tokio::test]
async fn with_two_lines_a_lapse_is_taken_back_within_seconds() {
    let gateway = Gateway::logged_in().await;
    let mut daemon = Daemon::run(&two_lines(&gateway.url()));
    daemon.becomes("live", SOON).await;
    assert_eq!(daemon.count(&[("event", "trust"), ("trust", "loopback")]), 1);
    let init = "/v1/api/iserver/auth/ssodh/init";
    let before = gateway.asked_for(init).await;
    gateway.set("lapse").await;
    daemon.becomes("recovering", SOON * 3).await;
    daemon.becomes("live", SOON * 3).await;
    assert_eq!(daemon.count(&[("event", "alert")]), 0, "{}", daemon.text);
    assert_eq!(gateway.asked_for(init).await - before, 1);
    assert_eq!(gateway.asked_for("/v1/api/iserver/reauthenticate").await, 0);
}

#[tokio::test]
async fn an_expired_login_is_told_once_and_called_off_when_a_human_has_logged_in() {
    let gateway = Gateway::logged_in().await;
    let mut daemon = Daemon::run(&two_lines(&gateway.url()));
    daemon.becomes("live", SOON).await;
    gateway.set("expire-login").await;
    let told = daemon.hears(&[("event", "alert"), ("code", "login-required"), ("phase", "raised")], SOON * 2).await;
    assert_eq!(told["level"], "error");
    assert_eq!(told["gateway"], "main");
    let action = told["action"].as_str().unwrap();
    assert!(action.contains(&gateway.url()) && action.contains("ssh -L "), "{action}");
    gateway.log_in().await;
    daemon.becomes("live", seconds(75)).await;
    daemon.hears(&[("event", "alert"), ("code", "login-required"), ("phase", "resolved")], SOON).await;
    daemon.listens(seconds(1)).await;
    assert_eq!(daemon.count(&[("event", "alert")]), 2, "{}", daemon.text);
}

#[tokio::test]
async fn a_gateway_that_is_not_there_is_waited_for() {
    let gateway = Gateway::logged_in().await;
    gateway.set("restart?down=1h").await;
    let mut daemon = Daemon::run(&two_lines(&gateway.url()));
    let said = daemon.becomes("unavailable", SOON).await;
    assert_eq!(said["because"], "nothing-listens");
    gateway.set("restart?down=0s").await;
    // It comes up without a login: that is seen for what it is.
    daemon.becomes("login-required", SOON * 2).await;
    gateway.log_in().await;
    daemon.signal("USR1");
    daemon.hears(&[("event", "signal"), ("name", "SIGUSR1")], SOON).await;
    daemon.becomes("live", seconds(75)).await;
}

#[tokio::test]
async fn a_signal_ends_it_in_the_middle_of_a_request_and_nobody_is_logged_out() {
    for signal in ["TERM", "INT"] {
        let gateway = Gateway::logged_in().await;
        let config = format!("[gateway.main]\nurl = \"{}\"\n[session]\ncheck_every = \"1s\"\n", gateway.url());
        let mut daemon = Daemon::run(&file(&by_day(&config)));
        daemon.becomes("live", SOON).await;
        gateway.set("away").await;
        // No further request is answered.
        let before = gateway.asked().await.len();
        timeout(SOON, gateway.is_asked(before + 1)).await.unwrap();
        daemon.signal(signal);
        let status = daemon.ends(SOON).await;
        assert_eq!(status.code(), Some(0), "{}", daemon.text);
        // Had it waited for the answer to the end, it would know that IBKR is away.
        assert_eq!(daemon.count(&[("event", "state-changed")]), 1, "{}", daemon.text);
        let name = format!("SIG{signal}");
        assert_eq!(daemon.count(&[("event", "daemon-stopped"), ("because", &name)]), 1);
        assert_eq!(gateway.asked_for("/v1/api/logout").await, 0);
    }
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once_with_its_own_code() {
    let gateway = Gateway::logged_in().await;
    let config = two_lines(&gateway.url());
    // A daemon may have ended before the second signal comes, so one try shows nothing.
    for _ in 0..20 {
        let mut daemon = Daemon::run(&config);
        daemon.becomes("live", SOON).await;
        let both = format!("kill -TERM {0}; kill -INT {0}", daemon.pid());
        assert!(Command::new("sh").args(["-c", &both]).status().unwrap().success());
        match daemon.ends(SOON).await.code() {
            Some(75) => return,
            code => assert_eq!(code, Some(0), "{}", daemon.text),
        }
    }
    panic!("the second signal is one like the first");
}

#[tokio::test]
async fn whatever_the_other_side_says_nothing_personal_is_in_any_line() {
    let gateway = Gateway::logged_in().await;
    let config = format!(
        "[gateway.main]\nurl = \"{}\"\n[gateway.main.stream]\nenabled = true\n[session]\ncheck_every = \"1s\"\n\
         ping_every = \"1s\"\n[log]\nlevel = \"trace\"\n",
        gateway.url()
    );
    let mut daemon = Daemon::run(&file(&by_day(&config)));
    daemon.becomes("live", SOON).await;
    daemon.hears(&[("event", "stream-up")], SOON).await;
    // It is the login's, and was said in every ping's answer, and sent to open the stream.
    let session = gateway.session().await;
    gateway.set("lapse").await;
    daemon.becomes("live", SOON * 2).await;
    let body = r#"{"session":"5ec2e7","USER_NAME":"jdoe77","MAC":"98:F2:B3:23:BF:A0","hardware_info":"8a2c9|98:F2"#;
    let url = format!("{}/answer?path=/v1/api/tickle&times=2&type=application/json", gateway.addresses.control_url());
    let sent = reqwest::Client::builder()
        .tls_backend_preconfigured(tickled::gateway::Trust::Loopback.config().unwrap())
        .no_proxy()
        .build()
        .unwrap()
        .post(url)
        .body(body)
        .send()
        .await
        .unwrap();
    assert!(sent.status().is_success());
    let sample = daemon.hears(&[("event", "answer-not-understood")], SOON).await;
    assert!(sample["sample"].as_str().unwrap().contains("[redacted]"), "{sample:?}");
    daemon.signal("TERM");
    daemon.ends(SOON).await;
    let personal = ["5ec2e7", "jdoe77", "98:F2:B3", "8a2c9", "02:00:00:00:00:01", "Cookie", "api="];
    for secret in personal.iter().copied().chain(Some(session.as_str())) {
        assert!(!daemon.text.contains(secret), "{secret} in the log:\n{}", daemon.text);
    }
    assert!(daemon.count(&[("event", "request"), ("call", "ping_server")]) > 1);
}

#[tokio::test]
async fn one_thread_does_the_work_one_writes_the_log_and_others_wait_for_files() {
    let gateway = Gateway::logged_in().await;
    let mut daemon = Daemon::run(&two_lines(&gateway.url()));
    daemon.becomes("live", SOON).await;
    let names = || {
        let tasks = fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap();
        // A thread that ends meanwhile has no name left.
        let names = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok());
        let mut names: Vec<String> = names.map(|name| name.trim().to_owned()).collect();
        names.sort();
        names
    };
    let names = names();
    let count = |wanted: &str| names.iter().filter(|name| *name == wanted).count();
    // Threads for files and names never end, so that one is there when no more can be started.
    assert_eq!((count("tickled"), count("log")), (1, 1), "{names:?}");
    assert!((1..=3).contains(&count("files")) && count("files") + 2 == names.len(), "{names:?}");
}

#[tokio::test]
async fn a_wrong_configuration_is_told_whole_and_ends_with_its_code() {
    // At any hour: it is refused.
    let wrong = file("[gateway.main]\nurl = \"ftp://x\"\n[session]\nping_evry = \"1m\"\ncheck_every = 10\n");
    let ended = tickled(&["run", "--config", wrong.to_str().unwrap()]).output().await.unwrap();
    assert_eq!(ended.status.code(), Some(78));
    let said = String::from_utf8(ended.stderr).unwrap();
    for part in [":2:", ":4:", ":5:", "ping_every", "\"10s\""] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let missing = tickled(&["run", "--config", "/nowhere/tickled.toml"]).output().await.unwrap();
    assert_eq!(missing.status.code(), Some(78));
}
