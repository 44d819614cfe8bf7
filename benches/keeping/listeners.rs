//! Programs that listen to the endpoint's events and do nothing else: what they cost, and how soon all of them are notified.

use std::net::TcpListener;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use support::Gateway;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::daemon::Daemon;
use crate::times;

const PING_EVERY: Duration = Duration::from_secs(10);
const WATCHED: Duration = Duration::from_secs(65);

pub(crate) async fn measure(count: usize) -> Value {
    let gateway = Gateway::logged_in().await;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let daemon = Daemon::run(&format!(
        "[endpoint]\nlisten = \"127.0.0.1:{port}\"\n[log]\nlevel = \"trace\"\n[gateway.g]\nurl = \"{}\"\n\
         session.ping_every = \"{}s\"\nstream.enabled = true\n",
        gateway.url(),
        PING_EVERY.as_secs()
    ));
    let mut states = daemon.states("g");
    states.becomes("live").await;
    sleep(Duration::from_secs(5)).await;
    let alone = daemon.usage().resident_kib;
    let mut listening = Vec::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        listening.push(spawn_local(until_lost(stream)));
    }
    // Comments come every 15 seconds.
    sleep(WATCHED).await;
    let (usage, late) = (daemon.usage(), daemon.latest_ping(PING_EVERY));
    gateway.set("lapse").await;
    let mut received = Vec::new();
    for listener in listening {
        received.push(listener.await.unwrap());
    }
    states.becomes("recovering").await;
    let known = daemon.changes("g").iter().rfind(|(to, _)| to == "recovering").unwrap().1;
    let delays: Vec<Duration> =
        received.iter().map(|at| Duration::try_from(at.duration_since(known)).unwrap_or_default()).collect();
    json!({
        "listeners": count,
        "resident_kib_without": alone,
        "resident_kib_with": usage.resident_kib,
        "threads": usage.threads,
        "latest_ping_ms": late.map(|late| late.as_millis()),
        "from the log line to each listener": times(&delays),
    })
}

/// Reads until the session is lost, and returns when that was received.
async fn until_lost(mut stream: TcpStream) -> Timestamp {
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).contains("\"to\":\"recovering\"") {
        assert_ne!(stream.read_buf(&mut text).await.unwrap(), 0, "{}", String::from_utf8_lossy(&text));
    }
    Timestamp::now()
}
