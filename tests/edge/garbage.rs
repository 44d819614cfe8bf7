//! Answers that are not from a gateway, not HTTP or not TLS: each is distinguished, and none is believed, followed or
//! fatal.

use std::net::Ipv4Addr;
use std::time::Duration;

use tickled::gateway::{Client, ErrorKind, Target, Trust};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::raw::{Deed, Raw, client};

/// What is sent back, and what it is taken for.
fn garbage() -> Vec<(&'static str, Vec<u8>, ErrorKind)> {
    let ok = |headers: &str, body: &str| format!("HTTP/1.1 200 OK\r\n{headers}\r\n{body}").into_bytes();
    let long = "x".repeat(2 * 1024 * 1024);
    let many: String = (0..500).map(|n| format!("X-{n}: y\r\n")).collect();
    vec![
        ("no HTTP at all", b"hello\n".to_vec(), ErrorKind::NotAGateway),
        ("a mail server", b"220 mail.example ESMTP\r\n".to_vec(), ErrorKind::NotAGateway),
        ("binary", (0..=255).collect(), ErrorKind::NotAGateway),
        ("HTTP/2 by itself", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), ErrorKind::NotAGateway),
        ("a TLS alert", b"\x15\x03\x03\x00\x02\x02\x46".to_vec(), ErrorKind::Tls),
        ("a header of 2 MB", ok(&format!("X: {long}\r\n"), ""), ErrorKind::NotUnderstood),
        ("a header without an end", format!("HTTP/1.1 200 OK\r\nX: {long}").into_bytes(), ErrorKind::NotUnderstood),
        ("500 headers", ok(&many, ""), ErrorKind::NotUnderstood),
        ("two lengths", ok("Content-Length: 2\r\nContent-Length: 3\r\n", "{}{"), ErrorKind::NotUnderstood),
        ("a length below zero", ok("Content-Length: -2\r\n", "{}"), ErrorKind::NotUnderstood),
        (
            "a length beyond all numbers",
            ok(&format!("Content-Length: 1{}\r\n", "0".repeat(30)), ""),
            ErrorKind::NotUnderstood,
        ),
        ("status 1000", b"HTTP/1.1 1000 What\r\n\r\n".to_vec(), ErrorKind::NotUnderstood),
        ("status 99", b"HTTP/1.1 099 What\r\n\r\n".to_vec(), ErrorKind::NotUnderstood),
        ("a chunk of no size", ok("Transfer-Encoding: chunked\r\n", "zz\r\n{}\r\n0\r\n\r\n"), ErrorKind::NotUnderstood),
        (
            "a chunk beyond all numbers",
            ok("Transfer-Encoding: chunked\r\n", "ffffffffffffffffff\r\n{}"),
            ErrorKind::NotUnderstood,
        ),
    ]
}

#[tokio::test]
async fn what_is_no_http_is_told_apart_and_asked_once() {
    for (name, bytes, meaning) in garbage() {
        let server = Raw::doing(move |_, _| Deed::Bytes(bytes.clone())).await;
        let error = server.client().check_auth_status().await.unwrap_err();
        assert_eq!(error.kind, meaning, "{name}: {error}");
        assert_eq!(server.heard().len(), 1, "{name}: asked once");
        assert!(error.to_string().len() < 400, "{name}: {error}");
    }
}

/// A server that reads what comes, says this, and then keeps the line.
async fn saying(bytes: &'static [u8]) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut heard = [0; 1024];
                let read = tcp.read(&mut heard).await.unwrap_or_default();
                drop(tcp.write_all(bytes).await);
                while read > 0 && tcp.read(&mut heard).await.is_ok_and(|read| read > 0) {}
            });
        }
    });
    port
}

#[tokio::test]
async fn what_speaks_no_tls_is_told_how_to_ask_it() {
    let port = saying(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
    let error = client(&format!("https://127.0.0.1:{port}")).check_auth_status().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Tls, "{error}");
    let plain = format!("url = \"http://127.0.0.1:{port}\"");
    assert!(error.detail.contains("speaks plain HTTP") && error.detail.contains(&plain), "{error}");
    let port = saying(b"\x15\x03\x03\x00\x02\x02\x46").await;
    let error = client(&format!("http://127.0.0.1:{port}")).check_auth_status().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Tls, "{error}");
    let encrypted = format!("url = \"https://127.0.0.1:{port}\"");
    assert!(error.detail.contains("speaks TLS") && error.detail.contains(&encrypted), "{error}");
}

/// The limit for a connection is shorter than that for an answer, for which IBKR itself may need ten seconds.
#[tokio::test]
async fn a_greeting_without_an_answer_is_given_up_after_three_seconds() {
    let port = saying(b"").await;
    let target = Target {
        url: format!("https://127.0.0.1:{port}").parse().unwrap(),
        answer_within: Duration::from_secs(60),
        trust: Trust::Loopback,
    };
    let started = Instant::now();
    let error = Client::new(target).unwrap().check_auth_status().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NoAnswer, "{error}");
    let took = started.elapsed();
    assert!((3..30).contains(&took.as_secs()), "{took:?}");
}

#[tokio::test]
async fn a_name_that_leads_nowhere_is_a_matter_of_the_network() {
    let target = Target {
        url: "https://no-such-host.invalid:5000".parse().unwrap(),
        answer_within: Duration::from_secs(5),
        trust: Trust::System,
    };
    let error = Client::new(target).unwrap().check_auth_status().await.unwrap_err();
    // Where there is a resolver it says no; where there is none it may not answer.
    assert!(matches!(error.kind, ErrorKind::Network | ErrorKind::NoAnswer), "{error}");
}

/// A server that answers everything with one and the same, as another program on the port does.
#[tokio::test]
async fn another_program_is_not_taken_for_a_gateway() {
    for (status, body) in [("200 OK", "<html>It works!</html>"), ("403 Forbidden", ""), ("404 Not Found", "nothing")] {
        let text = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let server = Raw::doing(move |_, _| Deed::Say(text.clone())).await;
        let client = server.client();
        assert_eq!(client.is_listening().await.unwrap_err().kind, ErrorKind::NotAGateway, "{status}");
        assert!(client.check_auth_status().await.is_err() && client.ping_server().await.is_err(), "{status}");
    }
}
