//! The six traps that an HTTP library lays for a client of this gateway, each as a conversation over a raw socket.

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use tickled::gateway::{AccountsAnswer, Error, ErrorKind};
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
        assert_eq!(asked.await.unwrap().unwrap_err().kind, ErrorKind::NoAnswer, "{head:?}");
        assert!(started.elapsed() >= HASTE, "{head:?}: it was not waited for");
        assert_eq!(server.heard().len(), 1, "{head:?}: what took too long is not asked twice");
    }
}

/// Memory is not the other side's to fill: neither by what it announces nor by what it sends.
#[tokio::test]
async fn no_body_is_read_past_its_limit() {
    let announced = "HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n".to_owned();
    let server = Raw::doing(move |_, _| Deed::Say(announced.clone())).await;
    let started = Instant::now();
    assert_is_too_long(&server.client().ping_server().await.unwrap_err(), 1024);
    assert!(started.elapsed() < PATIENCE, "an announced length needs no waiting");

    // What is no JSON object is read less far than what is one.
    for (begins, piece, limit) in [
        ("", " ", 64),
        ("", "<p>", 64),
        ("{", " ", 1024),
        ("{\"a\":\"", "x", 1024),
        ("{\"a\":[", "1,", 1024),
        ("{", "\"a\":1,", 64),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{begins}\r\n", begins.len());
        let head = if begins.is_empty() { head.replace("0\r\n\r\n", "") } else { head };
        let piece = piece.repeat(0x1000);
        let chunk = format!("{:x}\r\n{piece}\r\n", piece.len()).into_bytes();
        let server = Raw::doing(move |_, _| Deed::Flood(head.clone(), chunk.clone())).await;
        assert_is_too_long(&server.client().ping_server().await.unwrap_err(), limit);
    }
}

fn assert_is_too_long(error: &Error, kib: usize) {
    let detail = format!("a body of more than {kib} KiB");
    assert_eq!((error.kind, error.detail.as_str()), (ErrorKind::NotUnderstood, detail.as_str()));
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
        assert_eq!((error.kind, error.detail.as_str()), (ErrorKind::NotUnderstood, "a head of more than 64 KiB"));
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
    let fault = server.client().check_auth_status().await.unwrap_err().kind;
    assert_eq!(fault, ErrorKind::LoginPage);
    assert_eq!(server.lines(), ["POST /v1/api/iserver/auth/status"]);

    let elsewhere = Raw::doing(|_, _| json(LIVE)).await;
    let there = format!("Location: http://127.0.0.1:{}/\r\n", elsewhere.port());
    let server = Raw::doing(move |_, _| answer("307 Temporary Redirect", &there, "")).await;
    assert!(server.client().ping_server().await.is_err());
    assert_eq!(elsewhere.lines(), [""; 0]);
}

/// An advisor's accounts: hundreds of them, each with its properties, and the one field that is read at the end.
fn advisor(accounts: usize, properties: usize) -> String {
    let ids: Vec<String> = (0..accounts).map(|n| format!("DU{}", 1_000_000 + n)).collect();
    let property = "\"supportsFractions\":true,\"note\":\"\\\"}{][,\",".repeat(properties);
    let properties: Vec<String> =
        ids.iter().map(|id| format!("\"{id}\":{{{property}\"list\":[1,{{\"a\":[]}}]}}")).collect();
    format!(
        "{{\"accounts\":[\"{}\"],\"acctProps\":{{{}}},\"chart\":\"{}\",\"isPaper\":true}}",
        ids.join("\",\""),
        properties.join(","),
        "x".repeat(5000)
    )
}

/// Data and daemon must not fail because an advisor has many clients.
#[tokio::test]
async fn a_long_list_of_accounts_is_read_as_a_short_one() {
    for (accounts, properties) in [(1, 1), (300, 6), (1000, 20), (20_000, 0)] {
        let body = advisor(accounts, properties);
        assert!(body.len() < 1024 * 1024, "{}", body.len());
        for pieces in [1, 1 + body.len() / 700] {
            let said = in_chunks(&body, body.len().div_ceil(pieces));
            let server = Raw::doing(move |_, _| Deed::Say(said.clone())).await;
            let read = server.client().accounts().await.unwrap();
            assert!(read.count > 0 && read.is_paper == Some(true), "{accounts} accounts: {read:?}");
        }
    }
    // Without one it is none, however long it is.
    let body = format!("{{\"accounts\":[],\"x\":{:?},\"isPaper\":false}}", "y".repeat(200_000));
    let server = Raw::doing(move |_, _| json(&body)).await;
    let read = server.client().accounts().await.unwrap();
    assert_eq!((read.count, read.is_paper), (0, Some(false)));
}

fn in_chunks(body: &str, size: usize) -> String {
    let mut said = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
    for chunk in body.as_bytes().chunks(size) {
        said.push_str(&format!("{:x}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).unwrap()));
    }
    said + "0\r\n\r\n"
}

/// What is cut off in its middle is not whole, wherever that is.
#[tokio::test]
async fn a_long_answer_that_is_cut_off_is_not_understood() {
    let body = advisor(2000, 5);
    for cut in [body.len() - 1, body.len() / 2, 70_000] {
        let part = body[..cut].to_owned();
        let server = Raw::doing(move |_, _| answer("200 OK", "", &part)).await;
        assert_eq!(server.client().accounts().await.unwrap_err().kind, ErrorKind::NotUnderstood, "{cut}");
    }
}

/// The end of a JSON object is its last brace: an answer is whole then, whatever becomes of the connection.
#[tokio::test]
async fn a_whole_object_counts_however_its_connection_ends() {
    let said = [
        ("without a length", format!("HTTP/1.1 200 OK\r\n\r\n{LIVE}")),
        ("a length that is too long", format!("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{LIVE}\n")),
        (
            "chunks without their end",
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{LIVE}\r\n", LIVE.len()),
        ),
    ];
    for (name, said) in said {
        let text = said.clone();
        let server = Raw::doing(move |_, _| Deed::Last(text.clone())).await;
        assert!(server.client().check_auth_status().await.unwrap().authenticated, "{name}");
        let half = said[..said.len() - 20].to_owned();
        let server = Raw::doing(move |_, _| Deed::Last(half.clone())).await;
        let error = server.client().check_auth_status().await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Broken | ErrorKind::NotUnderstood), "{name}: {error}");
    }
    // Nor does it take the other side to end the connection.
    let server = Raw::doing(|_, _| Deed::Say(format!("HTTP/1.1 200 OK\r\n\r\n{LIVE}"))).await;
    assert!(server.hasty_client().check_auth_status().await.unwrap().authenticated);
}

/// No header but the few that are read can make an answer unreadable.
#[tokio::test]
async fn a_header_that_is_not_read_does_no_harm() {
    for header in [
        "Set-Cookie: a=\u{1}b\r\n",
        "Set-Cookie: a\r\n b\r\n\tc\r\n",
        "X Name: with a blank\r\n",
        "X-Space : before the colon\r\n",
        "no colon at all\r\n",
        ": no name\r\n",
        "X-Late: \u{7f}\u{80}\u{ff}\r\n",
        "X-Nul: a\0b\r\n",
    ] {
        let server = Raw::doing(move |_, _| answer("200 OK", header, LIVE)).await;
        let client = server.client();
        for _ in 0..2 {
            let checked = client.check_auth_status().await;
            assert!(checked.as_ref().is_ok_and(|status| status.authenticated), "{header:?}: {checked:?}");
        }
    }
}

/// No request asks for a compressed answer.
#[tokio::test]
async fn a_content_encoding_is_named() {
    let server = Raw::doing(|_, _| answer("200 OK", "Content-Encoding: gzip\r\n", "\u{1f}\u{8b}")).await;
    let error = server.client().check_auth_status().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotUnderstood);
    assert!(error.detail.contains("Content-Encoding is \"gzip\""), "{error}");
    // One that only claims to be is read all the same.
    for encoding in ["identity", "gzip", "br"] {
        let server = Raw::doing(move |_, _| answer("200 OK", &format!("Content-Encoding: {encoding}\r\n"), LIVE)).await;
        assert!(server.client().check_auth_status().await.unwrap().authenticated, "{encoding}");
    }
}

/// Answers that only announce another one are limited: each costs work, and other gateways wait meanwhile.
#[tokio::test]
async fn a_flood_of_interim_answers_is_cut_off_early() {
    for status in ["100 Continue", "102 Processing", "103 Early Hints\r\nLink: </x>", "199 X"] {
        let piece = format!("HTTP/1.1 {status}\r\n\r\n").repeat(1000).into_bytes();
        let server = Raw::doing(move |_, _| Deed::Flood(String::new(), piece.clone())).await;
        let started = Instant::now();
        let error = server.client().check_auth_status().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotUnderstood, "{status}: {error}");
        assert!(started.elapsed() < PATIENCE / 2, "{status}");
    }
    // A few of them are in order.
    let few = "HTTP/1.1 100 Continue\r\n\r\n".repeat(5);
    let said = format!("{few}HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{LIVE}", LIVE.len());
    let server = Raw::doing(move |_, _| Deed::Say(said.clone())).await;
    assert!(server.client().check_auth_status().await.unwrap().authenticated);
}

/// Some builds know the check by GET alone. Each try is a call of its own; what works stays.
#[tokio::test]
async fn a_check_that_is_refused_by_post_is_asked_by_get() {
    let refusals = [
        ("400 Bad Request", "Bad Request"),
        ("400 X", r#"{"error":"Bad Request","statusCode":400}"#),
        ("405 X", ""),
        ("404 X", ""),
    ];
    for (status, body) in refusals {
        let server = Raw::doing(
            move |heard, _| {
                if heard.line().starts_with("POST") { answer(status, "", body) } else { json(LIVE) }
            },
        )
        .await;
        let client = server.client();
        let error = client.check_auth_status().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotUnderstood, "{status}: {error}");
        for _ in 0..2 {
            assert!(client.check_auth_status().await.unwrap().authenticated, "{status}");
        }
        let path = "/v1/api/iserver/auth/status";
        assert_eq!(server.lines(), [format!("POST {path}"), format!("GET {path}"), format!("GET {path}")]);
    }
    // One that refuses both is asked by either in turn, and a refusal for another reason is no reason to change.
    let server =
        Raw::doing(|_, before| if before < 3 { answer("405 X", "", "") } else { answer("401 X", "", "") }).await;
    let client = server.client();
    for _ in 0..5 {
        client.check_auth_status().await.unwrap_err();
    }
    let methods: Vec<String> = server.lines().iter().map(|line| line[..4].trim().to_owned()).collect();
    assert_eq!(methods, ["POST", "GET", "POST", "GET", "GET"]);
}

/// A name in another encoding, a number that is none, a byte order mark: what is not read does no harm.
#[tokio::test]
async fn an_answer_may_be_odd_where_nothing_is_read() {
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let oddities: [&[u8]; 12] = [
        b"\"M\xfcller\"",
        b"NaN",
        b"-Infinity",
        b"1e400",
        b"00.",
        br#""\ud83d""#,
        b"\"a\tb\0\"",
        br#""\x41\"""#,
        br#"["]", "}", {"a":[1,2,{"b":"\\"}]}]"#,
        b"undefined",
        deep.as_bytes(),
        b"{}",
    ];
    for odd in oddities {
        for begins in ["", "\u{feff}", "\r\n \u{feff}"] {
            // Odd as a value, inside other values, and as a key.
            let key = if odd.starts_with(b"\"") { odd } else { b"\"a\"" };
            let parts: [&[u8]; 11] = [
                begins.as_bytes(), b"{\"aliases\": ", odd, b", \"acctProps\": {\"DU1\": [", odd, b", {\"x\":", odd, b"}]}, ", key,
                b": 1, \"accounts\": [\"DU1\"], \"authenticated\": true, \"isPaper\": true, \"iserver\": {\"authStatus\": {\"hmds\": ",
                &[odd, b", \"authenticated\": true}}}"].concat(),
            ];
            let body = parts.concat();
            let mut said = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
            said.extend(body);
            let server = Raw::doing(move |_, _| Deed::Bytes(said.clone())).await;
            let client = server.client();
            let what = String::from_utf8_lossy(&odd[..odd.len().min(20)]);
            let accounts = client.accounts().await;
            let is_read = |accounts: &AccountsAnswer| (accounts.count, accounts.is_paper) == (1, Some(true));
            assert!(accounts.as_ref().is_ok_and(is_read), "{what}: {accounts:?}");
            let checked = client.check_auth_status().await;
            assert!(checked.as_ref().is_ok_and(|status| status.authenticated), "{what}: {checked:?}");
            let ping = client.ping_server().await;
            assert!(ping.is_ok_and(|ping| ping.auth_status.is_some_and(|status| status.authenticated)), "{what}");
        }
    }
    // A text that is read may be in another encoding too.
    let body = b"{\"authenticated\":true,\"connected\":true,\"message\":\"verf\xfcgbar\"}";
    let mut said = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    said.extend(body);
    let server = Raw::doing(move |_, _| Deed::Bytes(said.clone())).await;
    assert!(server.client().check_auth_status().await.unwrap().authenticated);
}

/// The session id gives access to the session: without a use for it, it is not even read.
#[tokio::test]
async fn a_session_id_is_kept_only_for_who_listens_to_the_stream() {
    let body = format!(r#"{{ "session" : "5ecret", "iserver":{{"authStatus":{LIVE}}},"x":"session","y":"z"}}"#);
    let server = Raw::doing(move |_, _| json(&body)).await;
    let kept = server.client().with_session_ids().ping_server().await.unwrap();
    assert_eq!(kept.session.map(|session| session.expose().to_owned()).as_deref(), Some("5ecret"));
    let left = server.client().ping_server().await.unwrap();
    assert_eq!(left.session, None);
    assert!(left.auth_status.unwrap().authenticated);
    // Nor does it get into what is shown of an answer that is not understood.
    let server =
        Raw::doing(|_, _| json(r#"{"session":"5ecret","iserver":{"authStatus":{"authenticated":"maybe"}}}"#)).await;
    let error = server.client().ping_server().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotUnderstood);
    assert!(!String::from_utf8_lossy(&error.sample).contains("5ecret"), "{error:?}");
}
