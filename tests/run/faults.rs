//! Faults of the other side, and what the daemon makes of them: reported once, no recovery without a loss, and
//! never falsely live.

use std::fs;
use std::path::Path;
use std::process::Command;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::seconds;
use support::{Daemon, Gateway, SOON, by_day, file, tickled, until_file};

/// A configuration that asks often, and by day.
fn quick(url: &str) -> std::path::PathBuf {
    file(&by_day(&format!(
        "[gateway.main]\nurl = \"{url}\"\n[session]\ncheck_every = \"1s\"\nping_every = \"2s\"\nwatch_every = \"5s\"\n"
    )))
}

async fn taken_back(gateway: &Gateway) -> usize {
    gateway.asked_for("/v1/api/iserver/reauthenticate").await
        + gateway.asked_for("/v1/api/iserver/auth/ssodh/init").await
}

const CHECK: &str = "/v1/api/iserver/auth/status";
const PING: &str = "/v1/api/tickle";
const STATUS: &str = "path=/v1/api/iserver/auth/status&who=client";

#[tokio::test]
async fn one_bad_answer_is_not_believed() {
    let checks = ["status=401", "status=302&header=Location:/sso/Login", "status=503", "status=601", "status=403"]
        .map(|answer| (CHECK, format!("answer?{STATUS}&times=1&{answer}")));
    let others = [(CHECK, "status-false?times=1".to_owned()), (PING, "no-session?times=1".to_owned())];
    let mut tried = JoinSet::new();
    for (path, once) in checks.into_iter().chain(others) {
        tried.spawn(async move {
            let gateway = Gateway::logged_in().await;
            let mut daemon = Daemon::run(&quick(&gateway.url()));
            daemon.becomes("live", SOON).await;
            gateway.set(&once).await;
            // The bad answer, the good one that follows it, and one more: a ping stands in for a check that IBKR
            // refuses.
            let sent = async || gateway.asked_for(CHECK).await + gateway.asked_for(PING).await;
            let (bad, asked) = (gateway.asked_for(path).await + 1, sent().await + 4);
            let answered = async {
                while sent().await < asked || gateway.asked_for(path).await < bad {
                    daemon.listens(seconds(1) / 20).await;
                }
            };
            let is_asked = timeout(SOON * 2, answered).await.is_ok();
            assert!(is_asked, "{once}: it is asked for again\n{}", daemon.text);
            assert_eq!(daemon.count(&[("event", "state-changed")]), 1, "{once}\n{}", daemon.text);
            assert_eq!(daemon.count(&[("event", "alert")]), 0, "{once}\n{}", daemon.text);
            assert_eq!(taken_back(&gateway).await, 0, "{once}");
        });
    }
    tried.join_all().await;
}

#[tokio::test]
async fn a_first_answer_that_says_no_is_asked_again_at_the_start() {
    let gateway = Gateway::logged_in().await;
    gateway.set("status-false?times=1").await;
    let mut daemon = Daemon::run(&quick(&gateway.url()));
    daemon.becomes("live", SOON).await;
    assert_eq!(daemon.count(&[("event", "state-changed")]), 1, "{}", daemon.text);
    assert_eq!(taken_back(&gateway).await, 0);
}

/// The login page, as a page or as a redirect to it, is proof that no user is logged in, and is not followed.
#[tokio::test]
async fn the_login_page_means_that_nobody_is_logged_in() {
    for how in ["status=302&header=Location:/sso/Login?forwardTo=22", "status=302&header=Location:/sso/Dispatcher"] {
        let gateway = Gateway::logged_in().await;
        let mut daemon = Daemon::run(&quick(&gateway.url()));
        daemon.becomes("live", SOON).await;
        let how = how.replace('?', "%3F");
        gateway.set(&format!("answer?path=/v1/api/*&who=client&times=1000&{how}")).await;
        daemon.becomes("login-required", SOON).await;
        daemon.hears(&[("event", "alert"), ("code", "login-required"), ("phase", "raised")], SOON).await;
        let asked = gateway.asked().await;
        assert!(!asked.iter().any(|path| path.starts_with("/sso/Login")), "{asked:?}");
        gateway.set("clear").await;
        daemon.becomes("live", SOON * 2).await;
    }
}

#[tokio::test]
async fn an_address_that_is_not_on_the_list_is_told_as_that() {
    let gateway = Gateway::logged_in().await;
    gateway.set("deny").await;
    let mut daemon = Daemon::run(&quick(&gateway.url()));
    assert_eq!(daemon.becomes("unavailable", SOON).await["because"], "address-refused");
    let ended = tickled(&["check", "--url", &gateway.url()]).output().await.unwrap();
    let said = String::from_utf8(ended.stdout).unwrap();
    assert!(ended.status.code() == Some(2) && said.contains("ips.allow"), "{said}");
    gateway.set("deny?on=false").await;
    daemon.becomes("live", SOON * 2).await;
    assert_eq!(taken_back(&gateway).await, 0);
}

#[tokio::test]
async fn a_refusal_of_the_edge_and_a_limit_are_no_lapse() {
    for (answer, because) in [("status=403", "edge-refused"), ("status=429&header=Retry-After:1", "too-many-requests")]
    {
        let gateway = Gateway::logged_in().await;
        let mut daemon = Daemon::run(&quick(&gateway.url()));
        daemon.becomes("live", SOON).await;
        gateway.set(&format!("answer?path=/v1/api/*&who=client&times=1000&{answer}")).await;
        assert_eq!(daemon.becomes("unavailable", SOON).await["because"], because);
        let asked = gateway.asked().await.len();
        daemon.listens(seconds(6)).await;
        let more = gateway.asked().await.len() - asked;
        // A quarter of an hour of silence, whatever shorter time was named.
        assert!(more <= if because == "too-many-requests" { 0 } else { 4 }, "{more}");
        assert_eq!(taken_back(&gateway).await, 0);
    }
}

#[tokio::test]
async fn a_request_that_is_gone_is_left_out_and_told_once() {
    let gateway = Gateway::logged_in().await;
    let mut daemon = Daemon::run(&quick(&gateway.url()));
    daemon.becomes("live", SOON).await;
    for path in ["tickle", "iserver/auth/ssodh/init"] {
        gateway.set(&format!("answer?path=/v1/api/{path}&who=client&times=1000&status=404")).await;
    }
    let told = daemon.hears(&[("event", "method-gone"), ("call", "ping_server")], SOON).await;
    assert!(told["message"].as_str().unwrap().contains("left out"), "{told:?}");
    let pings = gateway.asked_for("/v1/api/tickle").await;
    daemon.listens(seconds(5)).await;
    assert_eq!(gateway.asked_for("/v1/api/tickle").await, pings, "it is left out");
    assert_eq!(daemon.count(&[("event", "state-changed")]), 1, "and nobody misses it\n{}", daemon.text);
    // The session is taken back by the other method, now and the next time.
    let asked = gateway.asked_for("/v1/api/iserver/auth/ssodh/init").await;
    for lapse in 1..=2 {
        gateway.set("lapse").await;
        daemon.becomes("live", SOON * 2).await;
        let refused = gateway.asked_for("/v1/api/iserver/auth/ssodh/init").await - asked;
        assert_eq!(refused, 1, "lapse {lapse}");
    }
    assert_eq!(daemon.count(&[("event", "method-gone")]), 2, "each is told once\n{}", daemon.text);
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_shown_once_per_change() {
    let gateway = Gateway::logged_in().await;
    let mut daemon = Daemon::run(&quick(&gateway.url()));
    daemon.becomes("live", SOON).await;
    for (status, count) in [("418", 1), ("420", 2)] {
        gateway.set("clear").await;
        // Pings as well: they would stand in for checks.
        gateway.set(&format!("answer?path=/v1/api/*&who=client&times=1000&status={status}")).await;
        daemon.signal("USR1");
        daemon.hears(&[("event", "answer-not-understood"), ("call", "check_auth_status")], SOON).await;
        for _ in 0..4 {
            daemon.signal("USR1");
            daemon.listens(seconds(1)).await;
        }
        assert_eq!(
            daemon.count(&[("event", "answer-not-understood"), ("call", "check_auth_status")]),
            count,
            "{}",
            daemon.text
        );
    }
    for said in &daemon.said {
        assert!(said.get("sample").is_none_or(|sample| sample.as_str().unwrap().len() <= 200), "{said:?}");
    }
}

/// Good flags with something missing are not live: not for the daemon, and not for `check`.
#[tokio::test]
async fn nothing_less_than_all_flags_and_data_is_live() {
    let live = r#"{"authenticated":true,"connected":true,"competing":false,"established":true}"#;
    let flags = [
        live.replace("\"authenticated\":true", "\"authenticated\":false"),
        live.replace("\"connected\":true", "\"connected\":false"),
        live.replace("\"competing\":false", "\"competing\":true"),
        live.replace("\"established\":true", "\"established\":false"),
        live.replace("\"connected\":true,", ""),
        live.replace("true", "\"true\""),
        "{}".to_owned(),
    ];
    let data = r#"{"accounts":["U0000000"],"isPaper":false}"#;
    for (status, accounts, code) in flags.iter().map(|flags| (flags.as_str(), data, None)).chain([
        (live, "{}", None),
        (live, "{\"accounts\":[]}", None),
        (live, data, Some(0)),
    ]) {
        let url = one_for_all(status.to_owned(), accounts.to_owned()).await;
        let ended = tickled(&["check", "--url", &url]).output().await.unwrap();
        match code {
            Some(code) => assert_eq!(ended.status.code(), Some(code)),
            None => assert_ne!(ended.status.code(), Some(0), "{status} {accounts}"),
        }
    }
}

/// A server in plain HTTP that says one thing of the accounts and another of everything else.
async fn one_for_all(status: String, accounts: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let (status, accounts) = (status.clone(), accounts.clone());
            tokio::spawn(async move {
                let mut heard = [0; 4096];
                while let Ok(read @ 1..) = tcp.read(&mut heard).await {
                    let body =
                        if heard[..read].starts_with(b"GET /v1/api/iserver/accounts") { &accounts } else { &status };
                    let said = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                    drop(tcp.write_all(said.as_bytes()).await);
                }
            });
        }
    });
    url
}

/// Another program on the port is reported as that, and never as a missing login.
#[tokio::test]
async fn another_program_on_the_port_is_told_as_that() {
    let url = one_for_all("<html>It works!</html>".to_owned(), "<html>It works!</html>".to_owned()).await;
    let ended = tickled(&["check", "--url", &url]).output().await.unwrap();
    let said = String::from_utf8(ended.stdout).unwrap();
    assert!(said.contains("not a gateway"), "{said}");
    assert_eq!(ended.status.code(), Some(3), "{said}");
}

/// What comes without an end is read to the limit and no further, again and again.
#[tokio::test]
async fn bodies_without_an_end_fill_no_memory() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let heads = [
            "HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\n\r\n".to_owned(),
            format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(2 * 1024 * 1024)),
        ];
        for turn in 0.. {
            let Ok((mut tcp, _)) = listener.accept().await else { return };
            let head = heads[turn % heads.len()].clone();
            tokio::spawn(async move {
                let mut heard = [0; 4096];
                if tcp.read(&mut heard).await.is_ok() && tcp.write_all(head.as_bytes()).await.is_ok() {
                    while tcp.write_all(&[b' '; 16384]).await.is_ok() {}
                }
            });
        }
    });
    let config = file(&by_day(&format!(
        "[gateway.main]\nurl = \"{url}\"\n[session]\ncheck_every = \"1s\"\nwatch_every = \"5s\"\nanswer_within = \"2s\"\n"
    )));
    let mut daemon = Daemon::run(&config);
    daemon.becomes("unavailable", SOON).await;
    let before = memory(daemon.pid());
    for _ in 0..8 {
        daemon.signal("USR1");
        daemon.listens(seconds(1)).await;
    }
    let after = memory(daemon.pid());
    assert!(after < before + 2048, "{before} KiB before, {after} KiB after");
    assert_eq!(daemon.count(&[("event", "state-changed")]), 1, "{}", daemon.text);
}

/// The most it ever had, where the kernel says so; else what it has: in KiB.
fn memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = ["VmHWM", "VmRSS"].iter().find_map(|sign| status.lines().find(|line| line.starts_with(sign))).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Without a descriptor to be had, the connection that is there goes on; one that is lost comes back with the
/// descriptors.
#[tokio::test]
async fn without_descriptors_the_kept_connection_goes_on() {
    let gateway = Gateway::logged_in().await;
    let config = quick(&gateway.url());
    let state = config.with_extension("state");
    fs::create_dir(&state).unwrap();
    let mut daemon = Daemon::with_state(&config, &state);
    daemon.becomes("live", SOON).await;
    until_said(&state.join("state.json"), "\"state\":\"live\"").await;
    until_said(&state.join("ledger.jsonl"), "\"to\":\"live\"").await;
    limit_files(daemon.pid(), 4);
    let before = gateway.asked().await.len();
    timeout(seconds(60), gateway.is_asked(before + 3)).await.expect("it goes on asking");
    daemon.listens(seconds(1) / 20).await;
    assert_eq!(daemon.count(&[("event", "state-changed")]), 1, "{}", daemon.text);
    // The connection is gone, and there is none to be had; nor is a file to write that down in.
    gateway.set(&format!("reset?{STATUS}&times=1")).await;
    daemon.becomes("unavailable", SOON).await;
    let unkept = ["state-unsaved", "alert-spool"]
        .map(|event| [("event", event), ("fault", "Too many open files (os error 24)")]);
    for _ in 0..120 {
        if unkept.iter().all(|signs| daemon.count(signs) > 0) {
            break;
        }
        daemon.listens(seconds(1) / 2).await;
    }
    daemon.listens(seconds(6)).await;
    for signs in unkept {
        let event = signs[0].1;
        assert_eq!(daemon.count(&signs), 1, "{event} is told once\n{}", daemon.text);
    }
    limit_files(daemon.pid(), 1024);
    daemon.becomes("live", SOON * 2).await;
    assert_eq!(taken_back(&gateway).await, 0);
    // What could not be written then is written now.
    let ledger = until_said(&state.join("ledger.jsonl"), "\"from\":\"unavailable\"").await;
    assert_eq!(ledger.matches("\"to\":\"unavailable\"").count(), 1, "{ledger}");
    daemon.signal("TERM");
    assert_eq!(daemon.ends(SOON).await.code(), Some(0));
    let kept = fs::read_to_string(state.join("state.json")).unwrap();
    assert!(kept.contains("\"state\":\"live\""), "{kept}");
}

/// Waits for a sign in a file, and gives all of it.
async fn until_said(file: &Path, sign: &str) -> String {
    until_file(file, sign, |text| text.contains(sign)).await
}

fn limit_files(pid: u32, files: u32) {
    let limits = format!("--nofile={files}:1024");
    assert!(Command::new("prlimit").args(["--pid", &pid.to_string(), &limits]).status().unwrap().success());
}
