//! The six traps that an HTTP library lays for a client of this gateway, each as a conversation over a raw socket.

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use tickled::gateway::{Error, Fault};
use tokio::time::{Instant, timeout};

use crate::raw::{Deed, HASTE, PATIENCE, Raw, answer, json};

const LIVE: &str = r#"{"authenticated":true,"competing":false,"connected":true,"message":""}"#;

/// A POST without a length is answered with 411, and one with an empty body has none of reqwest's own.
#[tokio::test]
async fn every_post_says_how_long_it_is() {
    let server = Raw::doing(|_, _| json(LIVE)).await;
    let client = server.client();
    client.check_auth_status().await.unwrap();
    client.ping_server().await.unwrap();
    drop(client.reauthenticate().await);
    client.open_brokerage(true).await.unwrap();
    drop(client.end_session().await);
    let heard = server.heard();
    assert_eq!(
        server.lines(),
        [
            "POST /v1/api/iserver/auth/status",
            "POST /v1/api/tickle",
            "POST /v1/api/iserver/reauthenticate",
            "POST /v1/api/iserver/auth/ssodh/init",
            "POST /v1/api/logout",
        ]
    );
    for request in &heard {
        let length = request.header("Content-Length").map(|length| length.parse().unwrap());
        assert_eq!(length, Some(request.body.len()), "{}", request.line());
        assert_eq!(request.header("Content-Type"), Some("application/json"), "{}", request.line());
        assert_eq!(request.header("Transfer-Encoding"), None, "{}", request.line());
    }
    assert_eq!(heard[1].body, "{}");
    assert_eq!(heard[3].body, r#"{"publish":true,"compete":true}"#);
}

/// IBKR's edge refuses a request without one, or with an empty one.
#[tokio::test]
async fn every_request_names_its_user_agent() {
    let server = Raw::doing(|_, _| json(LIVE)).await;
    let client = server.client();
    client.check_auth_status().await.unwrap();
    drop(client.accounts().await);
    drop(client.validate_sso().await);
    drop(client.is_listening().await);
    let heard = server.heard();
    assert_eq!(heard.len(), 4);
    for request in heard {
        assert_eq!(request.header("User-Agent"), Some(concat!("tickled/", env!("CARGO_PKG_VERSION"))));
    }
}

/// A proxy that a host has for its browsers must not see, or swallow, what goes to the gateway.
#[tokio::test]
async fn no_proxy_is_asked_whatever_the_environment_says() {
    let server = Raw::doing(|_, _| json(LIVE)).await;
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let url = format!("http://127.0.0.1:{}", server.port());
    let mut check = Command::new(env!("CARGO_BIN_EXE_tickled"));
    check.args(["check", "--url", &url]);
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        check.env(name, &address);
    }
    // Where these are set, no proxy would be asked in any case.
    check.env_remove("no_proxy").env_remove("NO_PROXY");
    let check = tokio::task::spawn_blocking(move || check.output().unwrap()).await.unwrap();
    let refusal = proxy.accept().unwrap_err();
    assert_eq!(refusal.kind(), std::io::ErrorKind::WouldBlock, "the proxy was asked");
    assert!(!server.heard().is_empty(), "the gateway was not asked: {}", String::from_utf8_lossy(&check.stderr));
}

/// A limit between two bytes would never end an answer that drips.
#[tokio::test]
async fn the_limit_is_for_the_whole_answer() {
    for head in ["HTTP/1.1 200 OK\r\nX-Slow: ", "HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n"] {
        let server = Raw::doing(move |_, _| Deed::Drip(head.to_owned(), Duration::from_millis(20))).await;
        let started = Instant::now();
        let client = server.hasty_client();
        let asked = timeout(PATIENCE * 3, client.check_auth_status());
        assert_eq!(asked.await.unwrap().unwrap_err().fault, Fault::NoAnswer, "{head:?}");
        assert!(started.elapsed() >= HASTE, "{head:?}: it was not waited for");
        assert_eq!(server.heard().len(), 1, "{head:?}: what took too long is not asked twice");
    }
}

/// Memory is not the other side's to fill: neither by what it announces nor by what it sends.
#[tokio::test]
async fn no_body_is_read_past_the_limit() {
    let announced = "HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n".to_owned();
    let server = Raw::doing(move |_, _| Deed::Say(announced.clone())).await;
    let started = Instant::now();
    assert_is_too_long(&server.client().ping_server().await.unwrap_err());
    assert!(started.elapsed() < PATIENCE, "an announced length needs no waiting");

    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = [b"4000\r\n".as_slice(), &[b' '; 0x4000], b"\r\n"].concat();
    let server = Raw::doing(move |_, _| Deed::Flood(head.to_owned(), chunk.clone())).await;
    assert_is_too_long(&server.client().ping_server().await.unwrap_err());
}

fn assert_is_too_long(error: &Error) {
    assert_eq!((error.fault, error.detail.as_str()), (Fault::NotUnderstood, "a body of more than 64 KiB"));
}

/// A head is kept as long as its answer, and looked through for what may be shown.
#[tokio::test]
async fn no_head_past_the_limit_is_believed() {
    let live = |headers: String| format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n{LIVE}", LIVE.len());
    let one = format!("X-Long: {}\r\n", "x".repeat(100 * 1024));
    let many = (0..50).map(|n| format!("X-{n}: {}\r\n", "y".repeat(2 * 1024))).collect::<String>();
    for headers in [one, many] {
        let said = live(headers);
        let server = Raw::doing(move |_, _| Deed::Say(said.clone())).await;
        let error = server.client().check_auth_status().await.unwrap_err();
        assert_eq!((error.fault, error.detail.as_str()), (Fault::NotUnderstood, "a head of more than 64 KiB"));
        assert_eq!(server.heard().len(), 1, "asked once");
    }
    let said = live(format!("X-Long: {}\r\n", "x".repeat(60 * 1024)));
    let server = Raw::doing(move |_, _| Deed::Say(said.clone())).await;
    assert!(server.client().check_auth_status().await.unwrap().authenticated);
}

/// The gateway sends whom it does not know to its login page: that is an answer, and no place to go.
#[tokio::test]
async fn no_redirect_is_followed() {
    let server = Raw::doing(|_, before| match before {
        0 => answer("302 Found", "Location: /sso/Login?forwardTo=22&RL=1\r\n", ""),
        _ => json(LIVE),
    })
    .await;
    let fault = server.client().check_auth_status().await.unwrap_err().fault;
    assert_eq!(fault, Fault::LoginPage);
    assert_eq!(server.lines(), ["POST /v1/api/iserver/auth/status"]);

    let elsewhere = Raw::doing(|_, _| json(LIVE)).await;
    let there = format!("Location: http://127.0.0.1:{}/\r\n", elsewhere.port());
    let server = Raw::doing(move |_, _| answer("307 Temporary Redirect", &there, "")).await;
    assert!(server.client().ping_server().await.is_err());
    assert_eq!(elsewhere.lines(), [""; 0]);
}
