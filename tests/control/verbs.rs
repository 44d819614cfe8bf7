//! The verbs as an operator types them.

use std::time::Duration;

use serde_json::Value;

use crate::{Asked, Host};
use support::{Gateway, SOON, by_day, tickled};

fn json(asked: &Asked) -> Value {
    serde_json::from_str(&asked.out).unwrap_or_else(|error| panic!("{error}: {asked:?}"))
}

#[tokio::test]
async fn status_says_how_a_live_session_is() {
    let gateway = Gateway::logged_in().await;
    let host = Host::live(&gateway).await;
    let asked = host.asks(&["status"]).await;
    assert_eq!((asked.code, asked.err.as_str()), (Some(0), ""), "{}", asked.out);
    let lines: Vec<&str> = asked.out.lines().collect();
    let head: Vec<&str> = lines[0].split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    assert_eq!(head, ["GATEWAY", "STATE", "FOR", "LAST GOOD", "NEXT", "LOGIN ENDS"]);
    assert!(lines[1].starts_with("main     live   "), "{}", asked.out);
    assert_eq!(lines.len(), 2, "one line for a gateway that is well: {}", asked.out);
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{}", asked.out);
    assert!(!asked.out.contains('\u{1b}'), "a pipe has no colours: {}", asked.out);

    let asked = json(&host.asks(&["status", "--json"]).await);
    assert_eq!(asked["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(asked["gateways"][0]["name"], "main");
    assert_eq!(asked["gateways"][0]["state"], "live");
    assert_eq!(asked["gateways"][0]["url"], gateway.url());
    assert_eq!(asked["gateways"][0]["last_asked"]["outcome"], "ok");
    assert_eq!(asked["alerts"], serde_json::json!([]));

    let unknown = host.asks(&["status", "ira"]).await;
    assert_eq!((unknown.code, unknown.out.as_str()), (Some(64), ""));
    assert_eq!(unknown.err, "tickled: there is no gateway \"ira\": there is only main\n");
}

#[tokio::test]
async fn status_tells_what_a_human_must_do_and_ack_silences_it() {
    let gateway = Gateway::start().await;
    let mut host = Host::start(&Host::two_lines(&gateway));
    host.daemon.hears(&[("event", "alert"), ("phase", "raised")], SOON * 2).await;
    let asked = host.asks(&["status"]).await;
    assert_eq!(asked.code, Some(2));
    assert!(asked.out.contains("main     login-required"), "{}", asked.out);
    assert!(asked.out.contains("\nmain: login-required, for "), "{}", asked.out);
    assert!(asked.out.contains("\n    -> log in at "), "{}", asked.out);
    assert!(asked.out.lines().all(|line| line.chars().count() <= 80), "{}", asked.out);

    let narrow = tickled(&["status", "--socket", host.socket().to_str().unwrap()]).env("COLUMNS", "40").output().await;
    let narrow = Asked::from(narrow.unwrap());
    assert!(narrow.out.starts_with("main login-required "), "{}", narrow.out);
    // What is to be copied stays whole, however long the host's name is.
    let fits = |line: &str| line.chars().count() <= 40 || !line.trim().contains(' ') || line.contains('`');
    assert!(narrow.out.lines().all(fits), "{}", narrow.out);

    let acked = host.asks(&["ack", "main", "--code", "login-required"]).await;
    assert_eq!(acked.code, Some(0));
    assert!(acked.out.starts_with("no more repeats until it resolves: main: login-required ("), "{}", acked.out);
    assert!(host.asks(&["status"]).await.out.contains(", acknowledged\n"));
    let none = host.asks(&["ack", "--code", "wrong-account"]).await;
    assert_eq!((none.code, none.out.as_str()), (Some(0), "there is nothing to acknowledge: no such alert is open\n"));
    let odd = host.asks(&["ack", "--code", "login"]).await;
    assert!(odd.err.starts_with("tickled: there is no alert \"login\": there are login-required, "), "{}", odd.err);
}

/// A human trades by hand: for as long as that takes, not one request.
#[tokio::test]
async fn a_pause_is_silence_and_ends_by_itself() {
    let gateway = Gateway::logged_in().await;
    let mut host = Host::start(&(Host::two_lines(&gateway) + "[session]\ncheck_every = \"1s\"\n"));
    host.daemon.becomes("live", SOON).await;
    let paused = host.asks(&["pause", "main", "--for", "3s"]).await;
    assert_eq!(paused.code, Some(0));
    assert!(
        paused.out.starts_with("main is paused until 20")
            && paused.out.ends_with(" UTC: nothing is sent to it; `tickled resume main` ends the pause\n")
    );
    host.daemon.becomes("paused", SOON).await;
    host.daemon.becomes("live", SOON).await;
    let requests = gateway.read("requests").await;
    let sent: Vec<u64> = requests.as_array().unwrap().iter().map(|seen| seen["at_ms"].as_u64().unwrap()).collect();
    let silence = sent.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(silence > 2_500, "not one request in three seconds: {sent:?}");
    assert_eq!(host.daemon.count(&[("event", "alert")]), 0);

    host.asks(&["pause", "main"]).await;
    host.daemon.becomes("paused", SOON).await;
    let asked = host.asks(&["status", "--json"]).await;
    assert_eq!((asked.code, &json(&asked)["gateways"][0]["next_at"]), (Some(1), &Value::Null));
    assert_eq!(host.asks(&["resume", "main"]).await.out, "main is monitored again\n");
    host.daemon.becomes("live", SOON).await;

    let odd = host.asks(&["pause", "main", "--for", "soon"]).await;
    assert_eq!((odd.code, odd.out.as_str()), (Some(64), ""));
    assert!(odd.err.contains("'--for <TIME>': write it like 30m, 2h or 1d"), "{}", odd.err);
    // A name is one part of a path, whatever stands in it.
    let before = gateway.asked_for("/v1/api/logout").await;
    for name in ["main/logout#", "main/logout?", "../v1/gateways/main/logout#", ""] {
        let odd = host.asks(&["resume", name]).await;
        assert_eq!((odd.code, odd.out.as_str()), (Some(64), ""), "{name:?}");
        assert!(odd.err.starts_with("tickled: there is no gateway "), "{}", odd.err);
    }
    host.daemon.listens(Duration::from_millis(500)).await;
    assert_eq!(gateway.asked_for("/v1/api/logout").await, before, "nobody is logged out");
}

/// A daemon that was killed must not disturb the human who paused it.
#[tokio::test]
async fn a_pause_outlives_the_daemon() {
    let gateway = Gateway::logged_in().await;
    let mut host = Host::live(&gateway).await;
    host.asks(&["pause", "main", "--for", "1h"]).await;
    host.daemon.becomes("paused", SOON).await;
    host.has_kept("\"paused\"").await;
    let before = gateway.asked().await.len();
    host.killed_and_started_again().await;
    host.daemon.becomes("paused", SOON).await;
    host.daemon.listens(Duration::from_secs(1)).await;
    assert_eq!(gateway.asked().await.len(), before, "not one request");
    assert_eq!(json(&host.asks(&["status", "--json"]).await)["gateways"][0]["state"], "paused");
    host.asks(&["resume", "main"]).await;
    host.daemon.becomes("live", SOON).await;
}

/// A restart of the daemon must not lengthen IBKR's penalty.
#[tokio::test]
async fn the_silence_after_429_outlives_the_daemon() {
    let gateway = Gateway::logged_in().await;
    let mut host = Host::live(&gateway).await;
    gateway.set("answer?path=*&status=429").await;
    host.asks(&["check"]).await;
    host.daemon.becomes("unavailable", SOON).await;
    host.has_kept("\"quiet_until\":\"2").await;
    let before = gateway.asked().await.len();
    host.killed_and_started_again().await;
    host.daemon.becomes("unavailable", SOON).await;
    host.daemon.listens(Duration::from_secs(1)).await;
    assert_eq!(gateway.asked().await.len(), before, "not one request");
}

#[tokio::test]
async fn a_logout_by_the_operator_is_no_incident() {
    let gateway = Gateway::logged_in().await;
    let mut host = Host::live(&gateway).await;
    assert_eq!(
        host.asks(&["logout", "main"]).await.out,
        "main is being logged out; `tickled login main` shows the way back in\n"
    );
    let said = host.daemon.becomes("login-required", SOON).await;
    assert_eq!(said["because"], "by-operator");
    host.daemon.listens(Duration::from_secs(1)).await;
    assert_eq!(host.daemon.count(&[("event", "alert")]), 0);
    assert_eq!(gateway.asked_for("/v1/api/logout").await, 1);

    // Nor has the next daemon anything to take back.
    host.has_kept("\"by-operator\"").await;
    host.killed_and_started_again().await;
    let said = host.daemon.becomes("login-required", SOON).await;
    assert_eq!(said["because"], "by-operator");
    host.asks(&["check"]).await;
    assert_eq!(host.daemon.count(&[("event", "alert")]), 0);
    assert_eq!(host.daemon.count(&[("event", "state-changed")]), 1);
    assert_eq!(gateway.asked_for("/v1/api/iserver/reauthenticate").await, 0);
    gateway.log_in().await;
    gateway.becomes_live().await;
    host.asks(&["check"]).await;
    host.daemon.becomes("live", SOON).await;
}

/// The stream tells of the session's end before the logout itself is answered: it is what was wanted, and stays so.
#[tokio::test]
async fn what_the_stream_makes_of_a_logout_is_no_lapse() {
    let gateway = Gateway::logged_in().await;
    let url = gateway.url();
    let config = format!("[gateway.main]\nurl = \"{url}\"\n[gateway.main.stream]\nenabled = true\n");
    let mut host = Host::start(&by_day(&config));
    host.daemon.hears(&[("event", "stream-up")], SOON).await;
    gateway.set("delay?path=/v1/api/logout&after=500ms").await;
    host.asks(&["logout", "main"]).await;
    let said = host.daemon.becomes("login-required", SOON).await;
    assert_eq!((&said["from"], &said["because"]), (&"live".into(), &"by-operator".into()));
    host.daemon.listens(Duration::from_secs(1)).await;
    assert_eq!(host.daemon.count(&[("event", "alert")]), 0);
    assert_eq!(gateway.asked_for("/v1/api/iserver/reauthenticate").await, 0);
}

#[tokio::test]
async fn check_has_the_daemon_look_and_says_what_came_of_it() {
    let gateway = Gateway::logged_in().await;
    let host = Host::live(&gateway).await;
    let before = gateway.asked_for("/v1/api/iserver/auth/status").await;
    let asked = host.asks(&["check"]).await;
    assert_eq!(asked.code, Some(0), "{asked:?}");
    assert!(asked.out.contains("main     live "), "{}", asked.out);
    assert!(gateway.asked_for("/v1/api/iserver/auth/status").await > before);
}

#[tokio::test]
async fn history_tells_the_outage_that_was() {
    let gateway = Gateway::logged_in().await;
    let mut host = Host::live(&gateway).await;
    gateway.set("lapse").await;
    host.daemon.becomes("recovering", SOON * 2).await;
    host.daemon.becomes("live", SOON * 2).await;
    host.has_written(3).await;
    host.killed_and_started_again().await;
    host.daemon.becomes("live", SOON).await;
    let ledger = host.has_written(4).await;
    assert!(ledger.contains(r#""from":"live","to":"recovering","because":"session-lapsed""#), "{ledger}");
    assert_eq!(ledger.lines().filter(|line| line.contains("\"began\"")).count(), 2);
}
