//! The endpoint of the real daemon: what each path says, what is refused, and that nothing asked there costs anything.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::Host;
use support::{Daemon, Gateway, SOON};

/// An answer of the endpoint.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

pub(crate) async fn ask(at: SocketAddr, request: &str) -> Said {
    let mut stream = timeout(SOON, TcpStream::connect(at)).await.unwrap().unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    timeout(SOON, stream.read_to_end(&mut text)).await.unwrap().unwrap();
    let text = String::from_utf8(text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Said { status, head: head.to_lowercase(), body: body.to_owned() }
}

pub(crate) async fn get(at: SocketAddr, path: &str) -> Said {
    ask(at, &format!("GET {path} HTTP/1.1\r\nHost: {at}\r\n\r\n")).await
}

/// Asks until the answer is as wanted: what the endpoint shows may be a second old.
pub(crate) async fn until(at: SocketAddr, path: &str, is_wanted: impl Fn(&Said) -> bool) -> Said {
    let until = Instant::now() + SOON;
    loop {
        let said = get(at, path).await;
        if is_wanted(&said) {
            return said;
        }
        assert!(Instant::now() < until, "{path}: {said:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Where the daemon says that it listens.
pub(crate) async fn listens(daemon: &mut Daemon) -> SocketAddr {
    daemon.hears(&[("event", "endpoint-open")], SOON).await["listen"].as_str().unwrap().parse().unwrap()
}

/// A configuration with an endpoint, and a session that is asked seldom.
pub(crate) fn config(gateway: &Gateway) -> String {
    format!(
        "[gateway.main]\nurl = \"{}\"\n[endpoint]\nlisten = \"127.0.0.1:0\"\nhosts = [\"trader.lan\"]\n[session]\n\
         check_every = \"5m\"\nping_every = \"5m\"\n[maintenance]\nwindow = []\n",
        gateway.url()
    )
}

#[tokio::test]
async fn each_path_answers_from_memory_and_causes_no_request() {
    let gateway = Gateway::logged_in().await;
    let mut host = Host::start(&config(&gateway));
    let at = listens(&mut host.daemon).await;
    host.daemon.becomes("live", SOON).await;
    // The data call that proves it and the first ping come first.
    let is_asked = async |path: &str| {
        while gateway.asked_for(path).await == 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let both = async { tokio::join!(is_asked("/v1/api/iserver/accounts"), is_asked("/v1/api/tickle")) };
    timeout(SOON, both).await.expect("a data call and a ping");
    let before = gateway.asked().await.len();
    for _ in 0..20 {
        for (path, begins) in [
            ("/livez", "ok\n"),
            ("/readyz", "ok\n"),
            ("/readyz?gateway=main", "ok\n"),
            ("/readyz?verbose", "[+] main: live\n"),
            ("/status", "{\"version\":"),
            ("/metrics", "# HELP tickled_build_info"),
            ("/", "<!doctype html>"),
        ] {
            let said = get(at, path).await;
            assert_eq!(said.status, 200, "{path}: {said:?}");
            assert!(said.body.starts_with(begins), "{path}: {said:?}");
        }
    }
    assert_eq!(gateway.asked().await.len(), before, "requests that the endpoint caused");

    let status: Value = serde_json::from_str(&get(at, "/status").await.body).unwrap();
    assert_eq!(status["gateways"][0]["state"], "live");
    let file = status["config"].as_str().unwrap();
    assert!(!file.contains('/') && file.ends_with(".toml"), "where files are is nobody's concern: {file}");
    let metrics = get(at, "/metrics").await;
    assert!(metrics.head.contains("content-type: text/plain; version=0.0.4"), "{}", metrics.head);
    assert!(metrics.body.contains("\ntickled_session_state{gateway=\"main\",state=\"live\"} 1\n"), "{}", metrics.body);
    let page = get(at, "/").await;
    assert!(page.head.contains("content-security-policy: default-src 'none'"), "{}", page.head);
    assert!(page.body.contains("<h1>1 of 1 live</h1>") && !page.body.contains("<script"), "{}", page.body);
    let personal = gateway.read("world").await["truth"]["session"].to_string();
    for text in [&status.to_string(), &metrics.body, &page.body] {
        for secret in ["02:00:00:00:00:01", "jdoe", personal.as_str()] {
            assert!(secret == "null" || !text.contains(secret), "{secret} in {text}");
        }
    }
}

#[tokio::test]
async fn every_example_of_the_page_answers_as_it_says() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/endpoint.md")).unwrap();
    let gateway = Gateway::logged_in().await;
    let mut host = Host::start(&config(&gateway));
    let at = listens(&mut host.daemon).await;
    host.daemon.becomes("live", SOON).await;
    until(at, "/readyz", |said| said.status == 200).await;
    let lines: Vec<&str> = page.lines().collect();
    let mut examples = 0;
    for pair in lines.windows(2) {
        let line = pair[0].replace('"', "");
        let Some(path) = line.strip_prefix("    $ curl -s http://127.0.0.1:9780") else { continue };
        examples += 1;
        until(at, path, |said| said.body.starts_with(pair[1].trim())).await;
    }
    assert_eq!(examples, 6);
}

#[tokio::test]
async fn readiness_follows_the_session_and_liveness_does_not() {
    let gateway = Gateway::logged_in().await;
    let quick = config(&gateway).replace("check_every = \"5m\"", "check_every = \"1s\"\nwatch_every = \"5s\"");
    let mut host = Host::start(&quick);
    let at = listens(&mut host.daemon).await;
    host.daemon.becomes("live", SOON).await;
    gateway.set("expire-login").await;
    host.daemon.becomes("login-required", SOON).await;
    let said = until(at, "/readyz", |said| said.body.contains("login-required")).await;
    assert_eq!(said.status, 503);
    assert!(said.body.starts_with("main: login-required since "), "{}", said.body);
    let said = get(at, "/readyz?gateway=main&verbose").await;
    assert_eq!(said.status, 503);
    assert!(said.body.starts_with("[-] main: login-required since "), "{}", said.body);
    assert_eq!(get(at, "/livez").await.status, 200);
    let said = get(at, "/readyz?gateway=ira").await;
    assert_eq!((said.status, said.body.as_str()), (404, "there is no gateway \"ira\": there is only main\n"));
    until(at, "/", |page| {
        page.body.contains("<h1>0 of 1 live, 1 needs you</h1>")
            && page.body.contains("<circle class=\"login-required\"")
    })
    .await;

    gateway.log_in().await;
    host.daemon.becomes("live", SOON * 2).await;
    until(at, "/readyz", |said| said.status == 200).await;
    let is_counted = "tickled_recovery_duration_seconds_count{gateway=\"main\",by=\"human\"} 1\n";
    let metrics = until(at, "/metrics", |said| said.body.contains(is_counted)).await.body;
    for line in [
        "tickled_incidents_total{gateway=\"main\"} ",
        "tickled_last_answer_seconds{gateway=\"main\"} ",
        "tickled_requests_total{gateway=\"main\",request=\"check_auth_status\",outcome=\"unauthorized\"} ",
        "tickled_state_changes_total{gateway=\"main\",to=\"login-required\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[tokio::test]
async fn it_only_shows_and_only_to_those_who_mean_it() {
    let gateway = Gateway::logged_in().await;
    let mut host = Host::start(&config(&gateway));
    let at = listens(&mut host.daemon).await;
    let with_host = |host: &str| format!("GET /status HTTP/1.1\r\nHost: {host}\r\n\r\n");
    for ours in ["localhost", "localhost:9780", &at.to_string(), "[::1]:80", "Trader.LAN:9780"] {
        assert_eq!(ask(at, &with_host(ours)).await.status, 200, "{ours}");
    }
    for foreign in
        ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "10.1.2.3", "a@localhost", ""]
    {
        let said = ask(at, &with_host(foreign)).await;
        assert_eq!(said.status, 421, "{foreign:?}: {said:?}");
        assert!(!said.body.contains("main"), "{said:?}");
    }
    assert_eq!(ask(at, "GET /livez HTTP/1.0\r\n\r\n").await.status, 200);
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let said = ask(at, &format!("{method} /status HTTP/1.1\r\nHost: {at}\r\nContent-Length: 0\r\n\r\n")).await;
        assert_eq!(said.status, 405, "{method}");
        assert!(said.head.contains("allow: get, head"), "{}", said.head);
    }
    let head = ask(at, &format!("HEAD /status HTTP/1.1\r\nHost: {at}\r\n\r\n")).await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    for path in ["/v1/status", "/v1/gateways/main/logout", "/../etc/passwd", "/statusx"] {
        let said = get(at, path).await;
        assert_eq!(said.status, 404, "{path}");
        assert_eq!(said.body, "there are /, /livez, /readyz, /status, /events, /metrics\n");
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: {at}\r\n\r\n", "x".repeat(20_000));
    assert!(ask(at, &long).await.status >= 400);
}

#[tokio::test]
async fn a_reload_moves_it_and_a_port_that_is_taken_is_waited_for() {
    let gateway = Gateway::logged_in().await;
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let text = config(&gateway);
    let mut host = Host::start(&text.replace("127.0.0.1:0", &format!("127.0.0.1:{port}")));
    let said = host.daemon.hears(&[("event", "endpoint-closed")], SOON).await;
    assert!(said["fault"].as_str().unwrap().contains("in use"), "{said:?}");
    host.daemon.becomes("live", SOON).await;
    drop(taken);
    let at = host.daemon.hears(&[("event", "endpoint-open")], SOON * 2).await["listen"].clone();
    assert_eq!(at, format!("127.0.0.1:{port}"));
    let old: SocketAddr = at.as_str().unwrap().parse().unwrap();
    until(old, "/readyz", |said| said.status == 200).await;

    std::fs::write(&host.config, &text).unwrap();
    host.daemon.signal("HUP");
    let new = listens(&mut host.daemon).await;
    until(new, "/readyz", |said| said.status == 200).await;
    is_closed(old).await;

    std::fs::write(&host.config, format!("{text}[gatewy]\n")).unwrap();
    host.daemon.signal("HUP");
    host.daemon.hears(&[("event", "config-rejected")], SOON).await;
    until(new, "/metrics", |said| said.body.contains("\ntickled_config_last_reload_successful 0\n")).await;

    std::fs::write(&host.config, text.replace("127.0.0.1:0", "")).unwrap();
    host.daemon.signal("HUP");
    host.daemon.hears(&[("event", "config-reloaded")], SOON).await;
    is_closed(new).await;
}

/// Waits until nothing listens there.
async fn is_closed(at: SocketAddr) {
    let closed = async {
        while TcpStream::connect(at).await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, closed).await.expect("nobody listens there any more");
}
