//! The HTTP server of the sockets, on scripted connections in simulated time.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::future::pending;
use std::io;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, Response};
use tickled::control::Listener;
use tickled::history::{Record, What};
use tickled::http::{HEAD_WITHIN, Limits, Reply, serve};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::{Mutex, mpsc};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_test::io::Builder;

trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// A connection with a script, or one whose other end the test holds.
type Connection = Box<dyn Stream>;

const LIMITS: Limits = Limits { connections: 4, all_within: Duration::from_secs(10), streams: 2 };
const LONG: Duration = Duration::from_secs(60);

/// Serves these connections, one after the other, while the test does its part.
async fn serving<T>(connections: Vec<Connection>, part: impl Future<Output = T>) -> T {
    let (connect, accepted) = mpsc::unbounded_channel();
    connections.into_iter().for_each(|connection| connect.send(connection).unwrap());
    serving_all(accepted, part).await
}

/// Serves the connections that come while the test does its part.
async fn serving_all<T>(connections: mpsc::UnboundedReceiver<Connection>, part: impl Future<Output = T>) -> T {
    let connections = Mutex::new(connections);
    let accept = async || match connections.lock().await.recv().await {
        Some(connection) => Ok((connection, ())),
        None => pending::<io::Result<_>>().await,
    };
    let answer = async |request: Request<_>, ()| {
        let _: &hyper::body::Incoming = request.body();
        let response = Response::new(Full::new(Bytes::from(request.uri().path().to_owned())));
        if request.uri().path() != "/stream" {
            return Reply::Whole(response);
        }
        let body =
            |mut connection: Box<dyn tickled::http::Duplex>| -> futures_util::future::LocalBoxFuture<'static, ()> {
                Box::pin(async move {
                    while connection.write_all(b"tick ").await.is_ok() {
                        sleep(Duration::from_secs(20)).await;
                    }
                })
            };
        Reply::Stream(tickled::http::StreamReply {
            head: Some(Response::new(())),
            body: Box::new(body),
            busy: response,
        })
    };
    LocalSet::new()
        .run_until(async {
            tokio::select! {
                _ = serve(LIMITS, accept, answer) => panic!("it serves without an end"),
                done = timeout(LONG, part) => done.expect("the part of the test ends"),
            }
        })
        .await
}

fn connection() -> (DuplexStream, Connection) {
    let (client, server) = duplex(1024);
    (client, Box::new(server))
}

/// All that the server sends until it closes the connection.
async fn answer(client: &mut DuplexStream) -> String {
    let mut text = String::new();
    client.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test(start_paused = true)]
async fn a_request_may_come_byte_by_byte() {
    let (mut client, server) = connection();
    let said = serving(vec![server], async {
        for byte in b"GET /here HTTP/1.1\r\nHost: x\r\n\r\n" {
            client.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        answer(&mut client).await
    });
    let said = said.await;
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n") && said.ends_with("/here"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn half_a_head_is_closed_in_its_time() {
    let (mut client, server) = connection();
    let (said, took) = serving(vec![server], async {
        client.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
        let since = Instant::now();
        (answer(&mut client).await, since.elapsed())
    })
    .await;
    assert!(!said.contains("200"), "{said}");
    assert!((HEAD_WITHIN..HEAD_WITHIN * 2).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_holds_up_no_other() {
    let broken = || -> Connection {
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        Box::new(Builder::new().read(b"GET / HTTP/1.1\r\n").wait(Duration::from_secs(1)).read_error(reset).build())
    };
    let (mut client, server) = connection();
    // More than may be open at once, and one that asks.
    let connections = (0..LIMITS.connections * 2).map(|_| broken()).chain([server]).collect();
    let (said, took) = serving(connections, async {
        let since = Instant::now();
        client.write_all(b"GET /after HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        (answer(&mut client).await, since.elapsed())
    })
    .await;
    assert!(said.ends_with("/after"), "{said}");
    assert!(took < HEAD_WITHIN, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_lasts_and_takes_no_place_from_a_request() {
    let (connect, accepted) = mpsc::unbounded_channel();
    let ask = async |path: &str| {
        let (mut client, server) = connection();
        connect.send(server).unwrap();
        client.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
        client
    };
    let stream = async || {
        let (mut client, mut head) = (ask("/stream").await, [0; HEAD.len()]);
        client.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, HEAD);
        client
    };
    serving_all(accepted, async {
        let mut streams = Vec::new();
        for _ in 0..LIMITS.streams {
            streams.push(stream().await);
        }
        assert!(answer(&mut ask("/stream").await).await.ends_with("/stream"), "the other answer");
        // Longer than any other connection may last.
        sleep(LIMITS.all_within * 2 + Duration::from_secs(1)).await;
        assert!(answer(&mut ask("/after").await).await.ends_with("/after"));
        let mut said = [0; 64];
        let n = streams[0].read(&mut said).await.unwrap();
        assert_eq!(&said[..n], b"tick tick ");
        // One that has hung up makes room.
        streams.truncate(1);
        sleep(Duration::from_secs(30)).await;
        stream().await;
    })
    .await;
}

const HEAD: &[u8; 38] = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";

/// Events of gateways a, b, a, b, and so on.
fn happens(record: &Record, session: u64) {
    let gateway = if session.is_multiple_of(2) { "a" } else { "b" }.to_owned();
    record.note(jiff::Timestamp::UNIX_EPOCH, What::Session { gateway, session });
}

/// A listener of `gateway`, or of all, and what it reads.
async fn listening<T>(gateway: Option<&str>, room: usize, part: impl AsyncFnOnce(Record, DuplexStream) -> T) -> T {
    let status = serde_json::json!({
        "version": "1", "host": "h", "pid": 1, "at": "1970-01-01T00:00:00Z", "since": "1970-01-01T00:00:00Z",
        "config": "c", "config_refused": null, "last_event": "0-1", "gateways": [], "alerts": [], "channels": [],
    });
    LocalSet::new()
        .run_until(async {
            let (record, _) = Record::begin(None, jiff::Timestamp::UNIX_EPOCH);
            let (client, server) = duplex(room);
            let status = serde_json::from_value(status).unwrap();
            let listener = Listener::new(record.events(), &status, gateway.map(str::to_owned), None).await;
            tokio::task::spawn_local(listener.body()(Box::new(server)));
            timeout(LONG, part(record, client)).await.expect("the part of the test ends")
        })
        .await
}

#[tokio::test(start_paused = true)]
async fn a_listener_receives_what_concerns_it_and_a_sign_of_life() {
    listening(Some("b"), 1024, async |record, mut client| {
        for session in 1..=4 {
            happens(&record, session);
        }
        let since = Instant::now();
        let mut text = String::new();
        while !text.ends_with("\n:\n\n") {
            let mut part = [0; 512];
            let n = client.read(&mut part).await.unwrap();
            text += std::str::from_utf8(&part[..n]).unwrap();
        }
        assert_eq!(since.elapsed(), Duration::from_secs(15), "{text}");
        let data = |session| {
            format!(
                "id: 0-{}\nevent: session\ndata: {{\"gateway\":\"b\",\"session\":{session},\"at\":\"1970-01-01T00:00:00Z\"}}\n\n",
                session + 1
            )
        };
        assert_eq!(text, format!("retry: 1000\n\n{}{}:\n\n", data(1), data(3)));
        // However much happens that does not concern it.
        let others = async {
            loop {
                sleep(Duration::from_secs(10)).await;
                happens(&record, 2);
            }
        };
        let mut comment = [0; 3];
        tokio::select! {
            () = others => {}
            read = client.read_exact(&mut comment) => assert_eq!(read.unwrap(), 3),
        }
        assert_eq!((&comment, since.elapsed()), (b":\n\n", Duration::from_secs(30)));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_does_not_read_is_cut_off() {
    listening(None, 256, async |record, mut client| {
        let since = Instant::now();
        for session in 1..=100 {
            happens(&record, session);
        }
        // It reads nothing for longer than it may.
        sleep(Duration::from_secs(6)).await;
        let text = answer(&mut client).await;
        assert!(text.len() <= 256, "{text}");
        assert!(since.elapsed() < Duration::from_secs(7), "{:?}", since.elapsed());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_reads_too_slowly_is_sent_to_begin_anew() {
    listening(None, 64, async |record, mut client| {
        // The first byte of each event is read in time, and the memory of events is overrun.
        let mut text = String::new();
        for session in 1..=2000 {
            happens(&record, session);
            tokio::task::yield_now().await;
        }
        let read = client.read_to_string(&mut text).await;
        assert!(read.is_ok() && text.ends_with("event: resync\ndata: {}\n\n"), "{text}");
    })
    .await;
}
