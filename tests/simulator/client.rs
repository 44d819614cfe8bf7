//! A running simulator, and the smallest HTTP client that hides nothing.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tickled::simulator::world::{Limits, Options};
use tickled::simulator::{Addresses, Settings, serve};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

pub(crate) const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
const SILENCE: Duration = Duration::from_millis(200);

/// A running simulator whose world is quicker than the real one.
pub(crate) struct Running {
    pub(crate) addresses: Addresses,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) task: JoinHandle<io::Result<()>>,
}

pub(crate) async fn start(plain: bool) -> Running {
    let options = Options {
        latency: Duration::from_millis(1),
        auth_delay: Duration::from_millis(30),
        limits: Limits::Off,
        ..Options::default()
    };
    let settings = Settings { plain, options, ..Settings::new(LOOPBACK, LOOPBACK) };
    let (ready, addresses) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let task =
        tokio::spawn(serve(
            settings,
            move |addresses| ready.send(addresses).unwrap(),
            async move { drop(stopped.await) },
        ));
    Running { addresses: addresses.await.unwrap(), stop, task }
}

impl Running {
    /// Does something to the world.
    pub(crate) async fn set(&self, command: &str) -> Value {
        let answer = ask(self.addresses.control, &post(command)).await;
        assert_eq!(answer.status, 200, "{command}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    pub(crate) async fn read(&self, page: &str) -> Value {
        serde_json::from_str(&ask(self.addresses.control, &get(page)).await.body).unwrap()
    }

    /// Waits until clients have asked so often.
    pub(crate) async fn is_asked(&self, requests: usize) {
        while self.read("/requests").await.as_array().unwrap().len() < requests {
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// A human logs in, and the gateway has made a session of it by itself, to its last request.
    pub(crate) async fn log_in(&self) {
        self.set("/login").await;
        for _ in 0..400 {
            let own = self.read("/upstream").await;
            let last = own.as_array().and_then(|own| own.last());
            let done = last.is_some_and(|last| last["path"] == "/v1/api/iserver/accounts" && last["status"] == 200);
            if done && self.read("/world").await["truth"]["live"] == true {
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
        panic!("the login made no session");
    }
}

/// An answer, its chunks put together.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: test\r\n\r\n")
}

pub(crate) fn post(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: test\r\nContent-Length: 2\r\n\r\n{{}}")
}

/// One request on a connection of its own.
pub(crate) async fn ask(address: SocketAddr, request: &str) -> Answered {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    ask_on(&mut tcp, request).await
}

/// One request on a connection that stays.
pub(crate) async fn ask_on(socket: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &str) -> Answered {
    socket.write_all(request.as_bytes()).await.unwrap();
    timeout(Duration::from_secs(10), answer_on(socket)).await.expect("no answer")
}

pub(crate) async fn answer_on(socket: &mut (impl AsyncRead + Unpin)) -> Answered {
    let head = read_until(socket, "\r\n\r\n").await.to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut body = Vec::new();
    if head.contains("transfer-encoding: chunked") {
        loop {
            let size = usize::from_str_radix(read_until(socket, "\r\n").await.trim(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            socket.read_exact(&mut chunk).await.unwrap();
            if size == 0 {
                break;
            }
            body.extend_from_slice(&chunk[..size]);
        }
    } else if let Some((_, length)) = head.split_once("content-length: ") {
        body = vec![0; length.split('\r').next().unwrap().parse().unwrap()];
        socket.read_exact(&mut body).await.unwrap();
    }
    Answered { status, head, body: String::from_utf8(body).unwrap() }
}

pub(crate) async fn read_until(socket: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        bytes.push(socket.read_u8().await.expect("the connection ended"));
    }
    String::from_utf8(bytes).unwrap()
}

/// A connection on which a request was sent.
pub(crate) async fn sent(address: SocketAddr, request: &str) -> TcpStream {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    tcp.write_all(request.as_bytes()).await.unwrap();
    tcp
}

pub(crate) async fn is_silent(tcp: &mut TcpStream) -> bool {
    timeout(SILENCE, tcp.read_u8()).await.is_err()
}
