//! The simulator's shell over real sockets: what only a socket can show.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod client;
mod ibind;
mod phone;
mod tls;

use std::io;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tickled::simulator::{Settings, serve};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use client::{answer_on, ask, ask_on, get, is_silent, post, read_until, sent, start};

#[tokio::test]
async fn it_does_not_listen_beyond_loopback() {
    for (listen, control) in [("0.0.0.0:0", "127.0.0.1:0"), ("127.0.0.1:0", "[::]:0")] {
        let settings = Settings::new(listen.parse().unwrap(), control.parse().unwrap());
        let refused = serve(settings, |_| panic!("it listens"), std::future::pending()).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
        assert!(refused.to_string().contains("loopback"), "{refused}");
    }
}

#[tokio::test]
async fn it_ends_when_told_to_and_frees_its_ports() {
    let running = start(true).await;
    let mut hanging = sent(running.addresses.gateway, &get("/status")).await;
    assert!(is_silent(&mut hanging).await);
    running.stop.send(()).unwrap();
    running.task.await.unwrap().unwrap();
    assert!(TcpStream::connect(running.addresses.gateway).await.is_err());
    assert!(TcpStream::connect(running.addresses.control).await.is_err());
    assert!(matches!(timeout(PATIENCE, hanging.read(&mut [0])).await, Ok(Ok(0) | Err(_))));
}

#[tokio::test]
async fn its_own_answers_have_a_length_and_proxied_ones_come_in_chunks_on_a_connection_that_stays() {
    let running = start(true).await;
    running.log_in().await;
    let before = running.read("/world").await["connections"].as_u64().unwrap();
    let mut tcp = TcpStream::connect(running.addresses.gateway).await.unwrap();
    let root = ask_on(&mut tcp, &get("/")).await;
    assert_eq!(root.status, 302);
    assert!(root.head.contains("location: /sso/login?forwardto=22&rl=1"), "{}", root.head);
    assert!(root.head.contains("content-length: 0") && !root.head.contains("chunked"));
    for _ in 0..3 {
        let tickle = ask_on(&mut tcp, &post("/v1/api/tickle")).await;
        assert_eq!(tickle.status, 200);
        assert!(tickle.head.contains("transfer-encoding: chunked") && !tickle.head.contains("content-length"));
        let body: Value = serde_json::from_str(&tickle.body).unwrap();
        assert_eq!(body["iserver"]["authStatus"]["authenticated"], true);
    }
    assert_eq!(running.read("/world").await["connections"], before + 1);
}

#[tokio::test]
async fn headers_that_are_missing_are_answered_as_ibkr_answers_them() {
    let running = start(true).await;
    let gateway = running.addresses.gateway;
    let unauthorized = ask(gateway, &post("/v1/api/iserver/auth/status")).await;
    assert_eq!((unauthorized.status, unauthorized.body.as_str()), (401, ""));
    let no_length = "POST /v1/api/tickle HTTP/1.1\r\nHost: localhost\r\nUser-Agent: test\r\n\r\n";
    assert_eq!(ask(gateway, no_length).await.status, 411);
    let no_agent = "GET /v1/api/tickle HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(ask(gateway, no_agent).await.status, 403);
    let empty_agent = "GET /v1/api/tickle HTTP/1.1\r\nHost: localhost\r\nUser-Agent:\r\n\r\n";
    assert_eq!(ask(gateway, empty_agent).await.status, 403);
}

#[tokio::test]
async fn the_button_of_the_login_page_logs_in() {
    let running = start(true).await;
    let gateway = running.addresses.gateway;
    let page = ask(gateway, &get("/sso/Login?forwardTo=22&RL=1&ip2loc=on")).await;
    assert!(page.body.contains("method=\"post\" action=\"/sso/Dispatcher\""), "{}", page.body);
    assert!(!page.body.contains("<input"), "it must not ask for anything");
    let done = ask(gateway, &post("/sso/Dispatcher")).await;
    assert_eq!(done.body, "Client login succeeds");
    assert_eq!(running.read("/world").await["truth"]["login"], true);
}

#[tokio::test]
async fn an_init_is_read_from_its_body_or_its_query() {
    let running = start(true).await;
    running.log_in().await;
    let gateway = running.addresses.gateway;
    let path = "/v1/api/iserver/auth/ssodh/init";
    assert_eq!(ask(gateway, &post(path)).await.status, 500);
    assert_eq!(ask(gateway, &post(&format!("{path}?publish=true&compete=false"))).await.status, 200);
    running.set("/compete").await;
    let with = |body: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: l\r\nUser-Agent: t\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let yielding = ask(gateway, &with(r#"{"publish":true,"compete":false}"#)).await;
    assert!(yielding.body.contains(r#""competing":true"#), "{}", yielding.body);
    assert_eq!(running.read("/world").await["truth"]["evictions"], 0);
    let taking = ask(gateway, &with(r#"{"publish":true,"compete":true}"#)).await;
    assert!(taking.body.contains(r#""authenticated":true"#), "{}", taking.body);
    assert_eq!(running.read("/world").await["truth"]["evictions"], 1);
}

#[tokio::test]
async fn away_hangs_for_ever_while_the_root_answers() {
    let running = start(true).await;
    running.log_in().await;
    running.set("/away").await;
    let mut hanging = sent(running.addresses.gateway, &post("/v1/api/tickle")).await;
    assert!(is_silent(&mut hanging).await);
    assert_eq!(ask(running.addresses.gateway, &get("/")).await.status, 302);
    running.set("/back").await;
    assert_eq!(ask(running.addresses.gateway, &post("/v1/api/tickle")).await.status, 200);
    assert!(is_silent(&mut hanging).await, "what hangs stays so");
    let requests = running.read("/requests").await;
    let statuses: Vec<&Value> = requests.as_array().unwrap().iter().map(|seen| &seen["status"]).collect();
    assert_eq!(statuses, [&Value::from("hang"), &Value::from(302), &Value::from(200)]);
}

#[tokio::test]
async fn a_restart_closes_what_is_open_refuses_and_comes_back_on_the_same_port() {
    let running = start(true).await;
    running.log_in().await;
    let mut hanging = sent(running.addresses.gateway, &get("/status")).await;
    let mut idle = TcpStream::connect(running.addresses.gateway).await.unwrap();
    assert!(is_silent(&mut hanging).await);
    running.set("/restart?down=1h").await;
    for tcp in [&mut hanging, &mut idle] {
        assert!(timeout(PATIENCE, tcp.read_u8()).await.unwrap().is_err());
    }
    assert!(TcpStream::connect(running.addresses.gateway).await.is_err());
    running.set("/restart?down=0s").await;
    while TcpStream::connect(running.addresses.gateway).await.is_err() {
        sleep(Duration::from_millis(5)).await;
    }
    let again = ask(running.addresses.gateway, &post("/v1/api/iserver/reauthenticate")).await;
    assert_eq!(again.body, r#"{"error":"not logged in"}"#);
}

#[tokio::test]
async fn answers_can_be_anything_or_fail_half_way() {
    let running = start(true).await;
    let gateway = running.addresses.gateway;
    let tickle = post("/v1/api/tickle");
    let script = "/answer?path=/v1/api/tickle&status=601&type=text/plain&header=Retry-After:60";
    let control = format!("POST {script} HTTP/1.1\r\nHost: l\r\nContent-Length: 15\r\n\r\nSession Expired");
    assert_eq!(ask(running.addresses.control, &control).await.status, 200);
    let expired = ask(gateway, &tickle).await;
    assert_eq!((expired.status, expired.body.as_str()), (601, "Session Expired"));
    assert!(expired.head.contains("retry-after: 60") && expired.head.contains("content-type: text/plain"));
    assert_eq!(ask(gateway, &tickle).await.status, 401, "once is the default");

    running.set("/reset?path=/v1/api/tickle").await;
    let reset = sent(gateway, &tickle).await.read_u8().await.unwrap_err();
    assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset);

    running.log_in().await;
    running.set("/cut?path=/v1/api/tickle").await;
    let mut text = String::new();
    sent(gateway, &tickle).await.read_to_string(&mut text).await.unwrap();
    assert!(text.contains("200 OK") && text.contains("{\"collission\""), "{text}");
    assert!(!text.ends_with("0\r\n\r\n"), "{text}");

    running.set("/drip?path=/v1/api/tickle").await;
    let mut dripping = sent(gateway, &tickle).await;
    assert!(read_until(&mut dripping, "\r\n\r\n").await.contains("200 OK"));
    assert_eq!(read_until(&mut dripping, "\r\n").await, "1\r\n");
}

#[tokio::test]
async fn the_control_port_explains_itself_and_refuses_what_it_does_not_know() {
    let running = start(true).await;
    let control = running.addresses.control;
    let help = ask(control, &get("/")).await;
    assert!(help.body.contains(&format!("curl -X POST 'http://{control}/lapse'")));
    for wrong in ["/relapse", "/restart?up=1s", "/compete?shows=off", "/answer", "/latency?is=fast"] {
        let refused = ask(control, &post(wrong)).await;
        assert_eq!(refused.status, 400, "{wrong}");
        assert!(refused.body.contains("fail-reauthenticate"), "{wrong}: {}", refused.body);
    }
}

#[tokio::test]
async fn what_the_page_about_rehearsing_names_is_there() {
    let page = include_str!("../../docs/rehearse.md");
    let running = start(true).await;
    let is_no_command =
        |word: &&str| ["/sso", "/v1", "/iserver", "/world", "/ibkr", "/requests"].iter().any(|no| word.starts_with(no));
    let mut tried = 0;
    let words = page.split('`').skip(1).step_by(2).filter(|word| word.starts_with('/') && !is_no_command(word));
    for command in words {
        let answer = ask(running.addresses.control, &post(command)).await;
        assert_eq!(answer.status, 200, "{command}: {}", answer.body);
        tried += 1;
    }
    assert!(tried >= 15, "{tried} commands");

    let running = start(true).await;
    running.log_in().await;
    let rows = page.lines().skip_while(|line| !line.contains("paths, below")).take_while(|line| line.starts_with('|'));
    let mut found = 0;
    for path in rows.flat_map(|row| row.split('`').skip(1).step_by(2)).filter(|word| word.contains('/')) {
        if path.starts_with('/') {
            continue;
        }
        let path = path.replace("CONID", "1").replace("ID", "DU0000000").replace("ORDER", "1").replace("QUESTION", "1");
        let path = format!("/v1/api/{path}");
        let mut statuses = Vec::new();
        for request in [get(&path), post(&path)] {
            statuses.push(ask(running.addresses.gateway, &request).await.status);
        }
        assert!(statuses.iter().any(|status| ![404, 405].contains(status)), "{path}: {statuses:?}");
        found += 1;
    }
    assert!(found >= 18, "{found} paths");
}

#[tokio::test]
async fn a_late_answer_comes_to_a_client_that_stayed() {
    let running = start(true).await;
    running.log_in().await;
    let gateway = running.addresses.gateway;
    running.set("/away").await;
    let mut gone = Vec::new();
    for _ in 0..4 {
        gone.push(sent(gateway, &post("/v1/api/tickle")).await);
    }
    running.is_asked(4).await;
    drop(gone);
    let mut stayed = sent(gateway, &post("/v1/api/iserver/auth/status")).await;
    assert!(is_silent(&mut stayed).await);
    let mut queued = sent(gateway, &get("/v1/api/portfolio/accounts")).await;
    assert!(is_silent(&mut queued).await);
    let load = running.read("/world").await["load"].clone();
    assert_eq!((&load["places_taken"], &load["queue"]), (&Value::from(5), &Value::from(1)));
    running.set("/back?unanswered=answered").await;
    let status = timeout(PATIENCE, answer_on(&mut stayed)).await.unwrap();
    assert!(status.status == 200 && status.body.contains(r#""authenticated":true"#), "{}", status.body);
    assert_eq!(timeout(PATIENCE, answer_on(&mut queued)).await.unwrap().status, 200);
    let requests = running.read("/requests").await;
    let statuses: Vec<&Value> = requests.as_array().unwrap().iter().map(|seen| &seen["status"]).collect();
    let (hang, ok) = (Value::from("hang"), Value::from(200));
    assert_eq!(statuses, [&hang, &hang, &hang, &hang, &ok, &ok], "four had gone when it came");
    assert_eq!(ask(gateway, &post("/v1/api/tickle")).await.status, 200);
}

#[tokio::test]
async fn a_wedged_gateway_is_freed_when_its_connections_are_closed_and_its_queue_is_a_storm() {
    let running = start(true).await;
    running.log_in().await;
    let gateway = running.addresses.gateway;
    running.set("/pacing?limits=second").await;
    running.set("/away").await;
    let mut gone = Vec::new();
    for _ in 0..30 {
        gone.push(sent(gateway, &post("/v1/api/tickle")).await);
    }
    running.is_asked(30).await;
    drop(gone);
    running.set("/back?unanswered=kept").await;
    let world = running.read("/world").await;
    assert_eq!((&world["truth"]["wedged"], &world["load"]["queue"]), (&Value::Bool(true), &Value::from(25)));
    assert_eq!(ask(gateway, &get("/")).await.status, 302);
    let mut hanging = sent(gateway, &post("/v1/api/tickle")).await;
    assert!(is_silent(&mut hanging).await);
    running.set("/close").await;
    assert_eq!(timeout(PATIENCE, answer_on(&mut hanging)).await.unwrap().status, 429);
    let ibkr = running.read("/ibkr").await;
    let theirs = |arrival: &&Value| arrival["who"] == "client" && arrival["path"] == "/v1/api/tickle";
    let arrived = ibkr.as_array().unwrap().iter().filter(theirs).count();
    assert_eq!(arrived, 31, "the requests of clients that gave up have all been sent");
    assert!(running.read("/world").await["load"]["busiest_second"].as_u64().unwrap() >= 26);
}

#[tokio::test]
async fn what_the_gateway_asks_by_itself_is_told_apart_from_what_clients_ask() {
    let running = start(true).await;
    running.log_in().await;
    let upstream = running.read("/upstream").await;
    let paths: Vec<&str> = upstream.as_array().unwrap().iter().filter_map(|entry| entry["path"].as_str()).collect();
    assert_eq!(paths[..2], ["/v1/api/sso/validate", "/v1/api/iserver/auth/ssodh/init"]);
    assert_eq!(running.read("/requests").await, Value::Array(Vec::new()));
}

#[tokio::test]
async fn the_websocket_sends_binary_json_and_tells_of_a_lapse_at_once() {
    let running = start(true).await;
    running.log_in().await;
    let tcp = TcpStream::connect(running.addresses.gateway).await.unwrap();
    let url = format!("ws://{}/v1/api/ws", running.addresses.gateway);
    let (mut socket, _) = tokio_tungstenite::client_async(url, tcp).await.unwrap();
    let mut texts = Vec::new();
    for _ in 0..4 {
        let message = timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap();
        assert!(message.is_binary());
        texts.push(message.into_text().unwrap().to_string());
    }
    assert!(texts[0].contains("waiting for session") && texts[1].contains("success"));
    assert!(texts[2].contains("sts") && texts[3].contains("act"));
    socket.send(Message::text("tic")).await.unwrap();
    let tic = timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap();
    assert!(tic.into_text().unwrap().contains(r#""topic":"tic""#));
    running.set("/lapse").await;
    let sts = timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap();
    assert!(sts.into_text().unwrap().contains(r#""authenticated":false"#));
    running.set("/restart").await;
    let ended = timeout(PATIENCE, socket.next()).await.unwrap();
    assert!(!matches!(ended, Some(Ok(_))), "{ended:?}");
}

const PATIENCE: Duration = Duration::from_secs(5);
