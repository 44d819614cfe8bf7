//! A server that keeps every byte it was sent, and does with each request exactly what a test says.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tickled::gateway::{Client, Target, Trust};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// How long the clients of these tests wait for one answer: longer than any machine needs for a good one.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How long they wait where no answer in time is what they are to see.
pub(crate) const HASTE: Duration = Duration::from_secs(2);

/// What is done with one request.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    /// These bytes; the connection stays.
    Say(String),
    /// The same, for what is no text.
    Bytes(Vec<u8>),
    /// These bytes, and then the connection ends.
    Last(String),
    /// These bytes at first, and then the second again and again, until the client hangs up.
    Flood(String, Vec<u8>),
    /// These bytes at first, and then a dot again and again, with this pause before each.
    Drip(String, Duration),
    /// These bytes, as soon as so many requests have come in all.
    Late(usize, String),
    /// The connection ends without a word.
    Close,
    /// The connection is reset.
    Reset,
    /// Nothing, without end.
    Hang,
}

/// The server; it ends with the test.
#[derive(Debug)]
pub(crate) struct Raw {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
    closed: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    /// The connection's number, from 0.
    pub(crate) connection: usize,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Heard {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Method and path.
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1")
    }
}

impl Raw {
    /// Listens on IPv4, and asks `what` for each request: the request, and how many came before it.
    pub(crate) async fn doing(what: impl Fn(&Heard, usize) -> Deed + Send + Sync + 'static) -> Self {
        Self::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), what).await
    }

    /// Listens at `address`.
    pub(crate) async fn at(address: SocketAddr, what: impl Fn(&Heard, usize) -> Deed + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let closed = Arc::new(AtomicUsize::new(0));
        let (kept, what, ended) = (Arc::clone(&heard), Arc::new(what), Arc::clone(&closed));
        let accepting = tokio::spawn(async move {
            for connection in 0.. {
                let Ok((stream, _)) = listener.accept().await else { return };
                let (ended, kept, what) = (Arc::clone(&ended), Arc::clone(&kept), Arc::clone(&what));
                tokio::spawn(async move {
                    serve(stream, connection, kept, what).await;
                    ended.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, heard, closed, accepting }
    }

    pub(crate) const fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many connections it has ended until now.
    pub(crate) fn closed(&self) -> usize {
        self.closed.load(Ordering::SeqCst)
    }

    /// All requests until now.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// The method and path of each request until now.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.heard().iter().map(|heard| heard.line().to_owned()).collect()
    }

    /// A client of it that knows the server by its address.
    pub(crate) fn client(&self) -> Client {
        client(&format!("http://{}", self.address))
    }

    /// The same, and no answer is waited for longer than [`HASTE`].
    pub(crate) fn hasty_client(&self) -> Client {
        let url = format!("http://{}", self.address);
        Client::new(Target { url: url.parse().unwrap(), answer_within: HASTE, trust: Trust::Loopback }).unwrap()
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A client without TLS, for sockets that need none to misbehave.
pub(crate) fn client(url: &str) -> Client {
    Client::new(Target { url: url.parse().unwrap(), answer_within: PATIENCE, trust: Trust::Loopback }).unwrap()
}

/// A whole answer with a JSON body.
pub(crate) fn json(body: &str) -> Deed {
    answer("200 OK", "Content-Type: application/json;charset=UTF-8\r\n", body)
}

/// A whole answer.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Deed {
    Deed::Say(format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()))
}

async fn serve<W: Fn(&Heard, usize) -> Deed>(
    mut stream: TcpStream,
    connection: usize,
    heard: Arc<Mutex<Vec<Heard>>>,
    what: Arc<W>,
) {
    let mut bytes = Vec::new();
    while let Some(request) = next(&mut stream, &mut bytes, connection).await {
        let before = {
            let mut heard = heard.lock().unwrap();
            heard.push(request.clone());
            heard.len() - 1
        };
        let went = match what(&request, before) {
            Deed::Say(text) => stream.write_all(text.as_bytes()).await,
            Deed::Bytes(bytes) => stream.write_all(&bytes).await,
            Deed::Last(text) => {
                drop(stream.write_all(text.as_bytes()).await);
                return;
            }
            Deed::Flood(head, piece) => flood(&mut stream, &head, &piece).await,
            Deed::Drip(head, pause) => drip(&mut stream, &head, pause).await,
            Deed::Late(requests, text) => {
                while heard.lock().unwrap().len() < requests {
                    sleep(Duration::from_millis(5)).await;
                }
                stream.write_all(text.as_bytes()).await
            }
            Deed::Close => return,
            Deed::Reset => return stream.set_zero_linger().unwrap(),
            Deed::Hang => std::future::pending().await,
        };
        if went.is_err() {
            return;
        }
    }
}

async fn flood(stream: &mut TcpStream, head: &str, piece: &[u8]) -> std::io::Result<()> {
    stream.write_all(head.as_bytes()).await?;
    loop {
        stream.write_all(piece).await?;
    }
}

async fn drip(stream: &mut TcpStream, head: &str, pause: Duration) -> std::io::Result<()> {
    stream.write_all(head.as_bytes()).await?;
    loop {
        sleep(pause).await;
        stream.write_all(b".").await?;
    }
}

/// The next whole request, or nothing when the client has gone.
async fn next(stream: &mut TcpStream, bytes: &mut Vec<u8>, connection: usize) -> Option<Heard> {
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let mut request = Heard { connection, head, body: String::new() };
            let length = request.header("Content-Length").map_or(0, |length| length.parse().unwrap());
            let whole = end + 4 + length;
            if bytes.len() >= whole {
                request.body = String::from_utf8_lossy(&bytes[end + 4..whole]).into_owned();
                bytes.drain(..whole);
                return Some(request);
            }
        }
        if stream.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    }
}
