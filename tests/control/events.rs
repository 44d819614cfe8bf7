//! Programs that listen to the real daemon, at its control socket and at its endpoint.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tickled::control::{Event, StateEvent};
use tickled::session::StateKind;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::Host;
use crate::endpoint::{config, get, listens};
use crate::event_source::{EventSource, Received};
use support::{Gateway, SOON};

trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// A program that listens, by the rules of `EventSource`.
struct Listening {
    stream: Box<dyn Stream>,
    source: EventSource,
    received: VecDeque<Received>,
    last_id: String,
}

impl Listening {
    async fn at_socket(host: &Host, query: &str, last_id: &str) -> Self {
        let stream = UnixStream::connect(host.socket()).await.unwrap();
        Self::open(Box::new(stream), &format!("/v1/events{query}"), "x", last_id).await
    }

    async fn at_endpoint(at: SocketAddr) -> Self {
        let stream = TcpStream::connect(at).await.unwrap();
        Self::open(Box::new(stream), "/events", &at.to_string(), "").await
    }

    async fn open(mut stream: Box<dyn Stream>, path: &str, host: &str, last_id: &str) -> Self {
        let last = if last_id.is_empty() { String::new() } else { format!("Last-Event-ID: {last_id}\r\n") };
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n{last}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(timeout(SOON, stream.read_u8()).await.expect("a head in time").unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("content-type: text/event-stream\r\n") && !head.contains("content-length"), "{head}");
        // A page of another origin cannot read it.
        assert!(!head.contains("access-control-"), "{head}");
        Self { stream, source: EventSource::default(), received: VecDeque::new(), last_id: last_id.to_owned() }
    }

    async fn next(&mut self) -> Event {
        while self.received.is_empty() {
            let mut part = [0; 7];
            let n = timeout(SOON, self.stream.read(&mut part)).await.expect("an event in time").unwrap();
            assert_ne!(n, 0, "hung up after {:?}", self.source);
            self.received.extend(self.source.push(&part[..n]));
        }
        assert_eq!(self.source.retry_ms, Some(1000));
        let received = self.received.pop_front().unwrap();
        self.last_id.clone_from(&received.last_id);
        Event::read(&received.name, &received.data).unwrap_or_else(|| panic!("{received:?}"))
    }

    /// The next events until a gateway is in this state: their names, with states and numbers.
    async fn until(&mut self, state: StateKind) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            let event = self.next().await;
            seen.push(match &event {
                Event::State(StateEvent { from, to, .. }) => {
                    format!("{} -> {to}", from.map_or("present", StateKind::name))
                }
                Event::Session(event) => format!("session {}", event.session),
                Event::Alert(_) | Event::Resync {} => event.name().to_owned(),
            });
            if matches!(event, Event::State(StateEvent { to, .. }) if to == state) {
                return seen;
            }
        }
    }
}

async fn session(host: &Host) -> u64 {
    let status: Value = serde_json::from_str(&crate::socket::status(&host.socket()).await).unwrap();
    status["gateways"][0]["session"].as_u64().unwrap()
}

#[tokio::test]
async fn a_program_learns_of_a_new_session_and_misses_nothing_that_is_known() {
    let gateway = Gateway::logged_in().await;
    let mut host = Host::start(&config(&gateway).replace("check_every = \"5m\"", "check_every = \"1s\""));
    let at = listens(&mut host.daemon).await;
    host.daemon.becomes("live", SOON).await;
    let first = session(&host).await;
    let mut listeners = [Listening::at_socket(&host, "?gateway=main", "").await, Listening::at_endpoint(at).await];
    for listener in &mut listeners {
        assert_eq!(listener.until(StateKind::Live).await, ["present -> live"]);
    }
    gateway.set("lapse").await;
    for listener in &mut listeners {
        assert_eq!(listener.until(StateKind::Recovering).await, ["live -> recovering"]);
        let number = format!("session {}", first + 1);
        assert_eq!(listener.until(StateKind::Live).await, [number.as_str(), "recovering -> live"]);
    }
    // The daemon ends in order, and one that was cut off continues where it was.
    let [listener, _] = listeners;
    host.daemon.signal("TERM");
    host.daemon.ends(SOON).await;
    host.daemon = Host::daemon(&host.config, &host.place);
    host.daemon.becomes("live", SOON).await;
    let mut listener = Listening::at_socket(&host, "", &listener.last_id).await;
    let seen = listener.until(StateKind::Live).await;
    assert_eq!(seen, [&format!("session {}", first + 2), "starting -> live"], "a restart may have missed something");
    assert_eq!(listener.until(StateKind::Live).await, ["present -> live"]);
    // It is killed, and what it still saw is unknown.
    host.killed_and_started_again().await;
    host.daemon.becomes("live", SOON).await;
    let third = session(&host).await;
    assert!(third > first + 2, "{third}");
    let mut listener = Listening::at_socket(&host, "", &listener.last_id).await;
    assert_eq!(listener.until(StateKind::Live).await, ["resync", "present -> live"]);
    // The state directory is lost.
    host.daemon.killed().await;
    std::fs::remove_dir_all(host.place.join("state")).unwrap();
    std::fs::create_dir(host.place.join("state")).unwrap();
    host.daemon = Host::daemon(&host.config, &host.place);
    let at = listens(&mut host.daemon).await;
    host.daemon.becomes("live", SOON).await;
    assert!(session(&host).await > third);
    // What is refused, at the endpoint as well.
    assert_eq!(get(at, "/events?gateway=ira").await.status, 404);
    let unknown = crate::socket::says(&host, "GET /v1/events?gateway=ira HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(unknown.starts_with("HTTP/1.1 404") && unknown.contains("there is only main"), "{unknown}");
    let foreign = crate::endpoint::ask(at, "GET /events HTTP/1.1\r\nHost: evil.example\r\n\r\n").await;
    assert_eq!(foreign.status, 421);
    let head = crate::endpoint::ask(at, &format!("HEAD /events HTTP/1.1\r\nHost: {at}\r\n\r\n")).await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

/// The time between two looks.
const MOMENT: Duration = Duration::from_millis(300);

/// A human who was asked to log in is expected: the check runs every ten seconds rather than every thirty.
#[tokio::test]
async fn after_an_alert_about_a_login_the_login_is_noticed_sooner() {
    let gateway = Gateway::logged_in().await;
    let mut host = Host::live(&gateway).await;
    gateway.set("expire-login").await;
    host.daemon.hears(&[("event", "alert"), ("code", "login-required")], SOON * 4).await;
    let before = gateway.asked_for("/v1/api/iserver/auth/status").await;
    let checked_again = async {
        while gateway.asked_for("/v1/api/iserver/auth/status").await < before + 3 {
            tokio::time::sleep(MOMENT).await;
        }
    };
    timeout(SOON + SOON / 3, checked_again).await.expect("three checks in forty seconds");
}
