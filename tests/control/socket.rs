//! The socket itself: every documented command of curl, and what misbehaves.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use tickled::control::ROUTES;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::time::{Instant, timeout};

use crate::Host;
use support::{Gateway, SOON};

/// Runs every example of docs/control.md as it stands there, and holds it against the answer that stands below it.
#[tokio::test]
async fn every_example_of_the_page_does_what_it_says() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/control.md")).unwrap();
    let gateway = Gateway::logged_in().await;
    let mut host = Host::live(&gateway).await;
    host.daemon.listens(Duration::from_millis(300)).await;
    let mut shown = BTreeSet::new();
    for example in page.lines().filter_map(|line| line.strip_prefix("    $ ")) {
        let here = example.replace("/run/tickled/control.sock", host.socket().to_str().unwrap());
        let ran = Command::new("sh").args(["-c", &format!("{here} --silent --show-error")]).output();
        let ran = timeout(SOON, ran).await.unwrap().unwrap();
        let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        let expected = page.split_once(&format!("    $ {example}\n")).unwrap().1.lines().next().unwrap().trim();
        let (start, end) = expected.split_once("...").unwrap_or((expected, ""));
        let first = out.lines().next().unwrap_or_default();
        assert!(first.starts_with(start) && first.ends_with(end), "{example}\n{out}{err}");
        let route = ROUTES.iter().find(|route| {
            let path =
                route.path.split('?').next().unwrap().replace("/hooks/NAME", "/hooks/bot").replace("NAME", "main");
            let is_post = example.contains("-X POST");
            is_post == (route.method == "POST") && example.split(['?', ' ', '"']).any(|word| word.ends_with(&path))
        });
        shown.insert(route.unwrap_or_else(|| panic!("{example} is no route")).path);
    }
    let all: BTreeSet<&str> = ROUTES.iter().map(|route| route.path).collect();
    assert_eq!(shown, all, "each route has its example");
    for route in ROUTES {
        let row = format!("| `{} {}` | {} |", route.method, route.path, route.what);
        assert!(page.contains(&row), "the page misses {row}");
    }
}

pub(crate) async fn says(host: &Host, request: &str) -> String {
    says_at(&host.socket(), request).await
}

/// The status as JSON.
pub(crate) async fn status(socket: &Path) -> String {
    let answer = says_at(socket, "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n").await;
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

async fn says_at(socket: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // Who closes before all was read resets the connection, and the answer may be lost with it.
    drop(timeout(SOON, stream.read_to_end(&mut answer)).await.unwrap());
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_in_words() {
    let gateway = Gateway::logged_in().await;
    let host = Host::live(&gateway).await;
    for (request, status, word) in [
        ("GET /v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n", "404", "there is no /v1/nothing: there are GET /v1/status"),
        ("GET /v1/gateways/ira HTTP/1.1\r\nHost: x\r\n\r\n", "404", "there is only main"),
        ("POST /v1/status HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "405", "takes GET, not POST"),
        ("GET /v1/gateways/main/pause HTTP/1.1\r\nHost: x\r\n\r\n", "405", "takes POST, not GET"),
        ("GET /v1/history?since=never HTTP/1.1\r\nHost: x\r\n\r\n", "400", "since: write it like 12h or 30d"),
        (
            "POST /v1/gateways/main/pause HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n{\"form\":\"30m\"",
            "400",
            "unknown field `form`",
        ),
        (
            "POST /v1/gateways/main/pause HTTP/1.1\r\nHost: x\r\nContent-Length: 32\r\n\r\n{\"until\":\"2020-01-01T00:00:00Z\"}",
            "400",
            "is in the past",
        ),
        ("nonsense\r\n\r\n", "400", ""),
    ] {
        let answer = says(&host, request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(word), "{request:?}: {answer}");
    }
    let long = format!("GET /v1/status HTTP/1.1\r\nX-Long: {}\r\n\r\n", "x".repeat(9000));
    assert!(!says(&host, &long).await.starts_with("HTTP/1.1 2"));
    let big = format!("POST /v1/check HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n{}", " ".repeat(5000));
    assert!(!says(&host, &big).await.starts_with("HTTP/1.1 2"));
    assert!(says(&host, "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n").await.starts_with("HTTP/1.1 200 "));
}

/// Connections that say nothing take no place from one that does, for longer than the head may take.
#[tokio::test]
async fn the_silent_keep_nobody_waiting() {
    let gateway = Gateway::logged_in().await;
    let host = Host::live(&gateway).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        let mut stream = UnixStream::connect(host.socket()).await.unwrap();
        stream.write_all(b"GET /v1/status HTTP/1.1\r\nX-").await.unwrap();
        silent.push(stream);
    }
    let before = gateway.asked().await.len();
    let started = Instant::now();
    drop(silent.drain(20..));
    let answer = says(&host, "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    let asked = gateway.asked().await.len() - before;
    assert!(asked <= 4, "{asked} requests upstream: those of the daemon's own pace");
}
