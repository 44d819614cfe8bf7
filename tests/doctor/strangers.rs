//! What else may be behind the name and the port: nothing, another program, another protocol, another certificate.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::visit::Visit;
use support::{Gateway, closed_port};

/// Something that listens, hears a little, and says this to everybody.
async fn says(words: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut heard = [0; 1024];
                drop(tcp.read(&mut heard).await);
                drop(tcp.write_all(words.as_bytes()).await);
            });
        }
    });
    address
}

#[tokio::test]
async fn macos_port_5000_is_airplay() {
    let airplay = says("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nServer: AirTunes/870.14.1\r\n\r\n").await;
    for scheme in ["https", "http"] {
        let visit = Visit::at(&format!("{scheme}://{airplay}")).await;
        visit.is_first("macOS port 5000", "port", 3, &["AirPlay Receiver", "turn off", "listenPort"]);
    }
}

#[tokio::test]
async fn another_web_server_is_no_gateway() {
    let nginx = says("HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nContent-Length: 2\r\n\r\nhi").await;
    let visit = Visit::at(&format!("https://{nginx}")).await;
    visit.is_first("another web server", "port", 3, &["nginx/1.22.1", "ss -ltnp"]);
    let visit = Visit::at(&format!("http://{nginx}")).await;
    visit.is_first("another web server, plain", "gateway", 3, &["nginx/1.22.1", "not a gateway"]);
}

#[tokio::test]
async fn another_protocol_is_no_gateway_and_a_terminal_is_safe_from_it() {
    let ssh = says("SSH-2.0-\u{1b}[31mOpenSSH_9.2\r\n").await;
    let visit = Visit::at(&format!("https://{ssh}")).await;
    visit.is_first("another program", "port", 3, &["SSH-2.0-", "OpenSSH_9.2"]);
    assert!(!visit.report.to_string().contains("\\u001b"), "{}", visit.report);
}

#[tokio::test]
async fn a_port_that_says_nothing_is_told() {
    let mute = says("").await;
    let visit = Visit::at(&format!("https://{mute}")).await;
    visit.is_first("mute", "port", 3, &["answers neither TLS nor HTTP"]);
}

#[tokio::test]
async fn nothing_that_listens_is_told() {
    let (_socket, free) = closed_port();
    let visit = Visit::at(&format!("https://{free}")).await;
    visit.is_first("connection refused", "port", 3, &["nothing listens", "bin/run.sh", "listenPort", "container"]);
    assert_eq!(visit.of("tls")["verdict"], "not-asked");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_told() {
    let visit = Visit::with(
        "[gateway.main]\nurl = \"https://no-such-host.invalid:5000\"\n[gateway.main.tls]\ntrust = \"system\"\n",
    )
    .await;
    visit.is_first("name", "name", 3, &["no-such-host.invalid does not resolve", "getent"]);
    assert_eq!(visit.of("port")["verdict"], "not-asked");
}

#[tokio::test]
async fn the_scheme_must_be_the_gateways() {
    let plain = Gateway::with(|settings| settings.plain = true).await;
    let visit = Visit::at(&plain.url().replace("http:", "https:")).await;
    visit.is_first("listenSsl: false", "tls", 78, &["speaks plain HTTP", &plain.url()]);
    let spoken = Gateway::quick().await;
    let visit = Visit::at(&spoken.url().replace("https:", "http:")).await;
    visit.is_first("listenSsl: true", "tls", 78, &["speaks TLS", &spoken.url()]);
    let visit = Visit::at(&plain.url()).await;
    visit.is_first("listenSsl: false, as configured", "login", 2, &["not logged in"]);
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_shown_with_the_pin_to_write() {
    let gateway = Gateway::quick_logged_in().await;
    let pinned = "13:DA:F8:9A:07:12:B9:62:C3:EC:AA:5E:DE:34:41:00:AE:E0:D3:B5:DE:C5:A7:9A:BD:76:02:A8:12:ED:A3:BE";
    let of = |tls: &str| format!("[gateway.main]\nurl = \"{}\"\n[gateway.main.tls]\n{tls}\n", gateway.url());
    let visit = Visit::with(&of(&format!("trust = \"pin\"\npins = [\"{pinned}\"]"))).await;
    visit.is_first(
        "whose certificate",
        "tls",
        2,
        &["of its own, O=", "CN=Client Portal Web API", "expired on 2019-05-11", "trust = \"pin\"", pinned],
    );
    let before = gateway.asked_lines().await;
    assert!(
        before.iter().all(|line| line.ends_with("/sso/Dispatcher")),
        "nothing is sent to whom is not trusted: {before:?}"
    );

    // What the doctor said to write is what helps.
    let remedy = visit.findings()[0]["remedy"].as_str().unwrap();
    let (_, pins) = remedy.split_once("pins = ").unwrap();
    let (pins, _) = pins.split_once(';').unwrap();
    Visit::with(&of(&format!("trust = \"pin\"\npins = {pins}"))).await.is_well();
}
