//! The HTTP server of the sockets, on scripted connections in simulated time.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::cell::RefCell;
use std::future::pending;
use std::io;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, Response};
use tickled::http::{HEAD_WITHIN, Limits, serve};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::LocalSet;
use tokio::time::{Instant, timeout};
use tokio_test::io::Builder;

trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// A connection with a script, or one whose other end the test holds.
type Connection = Box<dyn Stream>;

const LIMITS: Limits = Limits { connections: 4, all_within: Duration::from_secs(10) };
const LONG: Duration = Duration::from_secs(60);

/// Serves these connections, one after the other, while the test does its part.
async fn serving<T>(connections: Vec<Connection>, part: impl Future<Output = T>) -> T {
    let waiting = RefCell::new(connections.into_iter());
    let accept = async || {
        let next = waiting.borrow_mut().next();
        match next {
            Some(connection) => Ok((connection, ())),
            None => pending::<io::Result<_>>().await,
        }
    };
    let answer = async |request: Request<_>, ()| {
        let _: &hyper::body::Incoming = request.body();
        Response::new(Full::new(Bytes::from(request.uri().path().to_owned())))
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
