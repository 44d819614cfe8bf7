//! Programs that listen to the real daemon, over both of its doors, and one that waits for a session.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tickled::control::{Event, StateEvent};
use tickled::session::StateKind;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout};

use crate::Host;
use crate::endpoint::{config, get, listens};
use support::{Gateway, SOON};

trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// A program that listens.
struct Listening {
    stream: Box<dyn Stream>,
    text: String,
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
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{last}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut listening = Self { stream, text: String::new(), last_id: last_id.to_owned() };
        let head = listening.paragraph("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("content-type: text/event-stream\r\n") && !head.contains("content-length"), "{head}");
        assert_eq!(listening.paragraph("\n\n").await, "retry: 1000\n\n");
        listening
    }

    /// All up to this end.
    async fn paragraph(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.text.find(end) {
                let rest = self.text.split_off(at + end.len());
                return std::mem::replace(&mut self.text, rest);
            }
            let mut part = [0; 1024];
            let n = timeout(SOON, self.stream.read(&mut part)).await.expect("an event in time").unwrap();
            assert_ne!(n, 0, "hung up after {:?}", self.text);
            self.text += std::str::from_utf8(&part[..n]).unwrap();
        }
    }

    async fn next(&mut self) -> Event {
        let text = self.paragraph("\n\n").await;
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
            line.unwrap_or_else(|| panic!("no {name} in {text:?}"))
        };
        self.last_id = field("id").to_owned();
        Event::read(field("event"), field("data")).unwrap_or_else(|| panic!("{text}"))
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
    // It is killed, and nobody knows what that daemon still saw.
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

/// The answer to `ensure`: its status, its result, and how long it took.
async fn ensure(host: &Host, within: &str) -> (u16, Value, Duration) {
    let started = Instant::now();
    let request = format!("POST /v1/gateways/main/ensure?within={within} HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = crate::socket::says(host, &request).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap(), started.elapsed())
}

#[tokio::test]
async fn a_program_asks_for_a_session_and_waits_until_it_is_there() {
    let gateway = Gateway::logged_in().await;
    let mut host = Host::start(&config(&gateway));
    host.daemon.becomes("live", SOON).await;
    let checks = gateway.asked_for("/v1/api/iserver/auth/status").await;
    let (status, said, _) = ensure(&host, "30s").await;
    assert_eq!((status, &said["result"]), (200, &"already-authenticated".into()), "{said}");
    assert_eq!(gateway.asked_for("/v1/api/iserver/auth/status").await, checks + 1, "it is not taken from memory");
    // The daemon, which checks every five minutes, does not know of the lapse yet.
    gateway.set("lapse").await;
    let before = said["gateway"]["session"].as_u64().unwrap();
    let (status, said, _) = ensure(&host, "30s").await;
    assert_eq!((status, &said["result"]), (200, &"reauthenticated".into()), "{said}");
    assert_eq!(said["gateway"]["session"], before + 1);
    // Several ask at once, and that is no more for the gateway.
    gateway.set("expire-login").await;
    let before = gateway.asked().await.len();
    let many = futures_util::future::join_all((0..8).map(|_| ensure(&host, "30s"))).await;
    for (status, said, _) in many {
        assert_eq!((status, &said["result"]), (503, &"login-required".into()), "{said}");
        let error = said["error"].as_str().unwrap();
        assert!(error.contains(&gateway.url()) && error.contains("login required"), "{error}");
    }
    let asked = gateway.asked().await.len() - before;
    assert!(asked <= 8, "{asked} requests");
    gateway.set("away").await;
    let (status, said, took) = ensure(&host, "1s").await;
    assert_eq!((status, &said["result"]), (503, &"login-required".into()), "{said}");
    assert!(took >= Duration::from_secs(1), "nothing is known since: {took:?}");
    gateway.set("back?unanswered=answered").await;
    crate::socket::says(&host, "POST /v1/gateways/main/pause HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}").await;
    host.daemon.becomes("paused", SOON).await;
    let (status, said, _) = ensure(&host, "30s").await;
    assert_eq!((status, &said["result"]), (503, &"paused".into()), "{said}");
    let (status, said, _) = ensure(&host, "2m").await;
    assert_eq!((status, said["error"].as_str().unwrap()), (400, "within: write it like 30s, 1m at most"));
}

/// How long a wait has to last for it to be seen to last.
const MOMENT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn wait_ends_when_it_is_so_when_a_human_is_needed_and_when_the_time_is_over() {
    let gateway = Gateway::logged_in().await;
    let mut host = Host::start(&config(&gateway).replace("check_every = \"5m\"", "check_every = \"1s\""));
    let socket = host.socket();
    host.daemon.hears(&[("event", "control-open")], SOON).await;
    assert_eq!(host.asks(&["wait", "main", "--within", "30s"]).await.code, Some(0));
    assert_eq!(host.asks(&["wait", "--until", "lost", "--within", "300ms"]).await.code, Some(1), "the time is over");
    assert_eq!(host.asks(&["wait", "ira"]).await.code, Some(64));
    let waits = |arguments: &[&str]| {
        let mut verb = support::tickled(arguments);
        verb.env("TICKLED_SOCKET", &socket).kill_on_drop(true).stdout(std::process::Stdio::piped());
        verb.spawn().unwrap()
    };
    let ends = async |mut verb: tokio::process::Child| timeout(SOON, verb.wait()).await.unwrap().unwrap().code();

    let mut lost = waits(&["wait", "--until", "lost"]);
    assert!(timeout(MOMENT, lost.wait()).await.is_err(), "it is live");
    assert_eq!(host.asks(&["pause", "main"]).await.code, Some(0));
    assert_eq!(ends(lost).await, Some(0));
    // Until the daemon is another one and the session is back.
    let mut live = waits(&["wait", "main", "--json"]);
    assert!(timeout(MOMENT, live.wait()).await.is_err(), "it is paused");
    host.daemon.signal("TERM");
    host.daemon.ends(SOON).await;
    assert_eq!(host.asks(&["wait"]).await.code, Some(3), "no daemon");
    assert!(timeout(MOMENT, live.wait()).await.is_err(), "it waits for the next daemon");
    host.daemon = Host::daemon(&host.config, &host.place);
    host.daemon.hears(&[("event", "control-open")], SOON).await;
    assert_eq!(host.asks(&["resume", "main"]).await.code, Some(0));
    let said = timeout(SOON * 2, live.wait_with_output()).await.unwrap().unwrap();
    assert_eq!(said.status.code(), Some(0));
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!((&said["result"], &said["gateways"][0]["state"]), (&"live".into(), &"live".into()));

    let mut lost = waits(&["wait", "main", "--until", "lost"]);
    assert!(timeout(MOMENT, lost.wait()).await.is_err());
    gateway.set("expire-login").await;
    assert_eq!(ends(lost).await, Some(0));
    let asked = host.asks(&["wait", "main", "--within", "30s"]).await;
    assert_eq!(asked.code, Some(2), "{asked:?}");
    assert_eq!(asked.err, "tickled: main: login-required: the login has expired\n");
}

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
