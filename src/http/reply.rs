//! How a request is answered: at once, or by a stream that keeps its connection.

use std::fmt;

use futures_util::future::LocalBoxFuture;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue, SERVER};
use hyper::{Response, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The connection of a client.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

/// How a request is answered.
#[derive(Debug)]
pub enum Reply {
    /// With this response. Then the connection is closed.
    Whole(Response<Full<Bytes>>),
    /// With a stream.
    Stream(StreamReply),
}

/// A response without an end, or one that is not known yet. It costs the daemon a task and its connection, and nothing
/// of an HTTP library.
pub struct StreamReply {
    /// The head of the response; `None` if `body` writes it.
    pub head: Option<Response<()>>,
    /// Writes what follows.
    pub body: StreamBody,
    /// The response to send instead if there are too many streams already.
    pub busy: Response<Full<Bytes>>,
}

/// Writes the body of a stream until it returns or is dropped.
pub type StreamBody = Box<dyn FnOnce(Box<dyn Duplex>) -> LocalBoxFuture<'static, ()>>;

/// A response with this text, of this media type.
pub fn response(status: StatusCode, kind: &'static str, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(SERVER, HeaderValue::from_static(SERVER_NAME));
    response
}

impl StreamReply {
    /// Sends a response once it is known, unless the client hangs up before.
    pub fn late(response: impl Future<Output = Response<Full<Bytes>>> + 'static, busy: Response<Full<Bytes>>) -> Self {
        let send = async move |mut connection: Box<dyn Duplex>| {
            let mut ignored = 0;
            let response = tokio::select! {
                response = response => response,
                () = hung_up(&mut connection, &mut ignored) => return,
            };
            let (head, body) = response.into_parts();
            let body = body.into_inner().unwrap_or_default();
            let text = lines(&Response::from_parts(head, ()), Some(body.len()));
            drop(connection.write_all(&[text.as_bytes(), &body].concat()).await);
        };
        Self { head: None, body: Box::new(|connection| Box::pin(send(connection))), busy }
    }

    /// Writes the head and then the body. Its end is that of the connection.
    pub(super) async fn send(self, mut connection: Box<dyn Duplex>) {
        let head = self.head.as_ref().map(|head| lines(head, None)).unwrap_or_default();
        if connection.write_all(head.as_bytes()).await.is_ok() {
            (self.body)(connection).await;
        }
    }
}

/// Waits until a client that has its answer hangs up. What it sends is ignored and counted, and too much of it is the same.
pub async fn hung_up(connection: &mut Box<dyn Duplex>, ignored: &mut usize) {
    let mut bytes = [0; 64];
    while let Ok(n @ 1..) = connection.read(&mut bytes).await {
        *ignored += n;
        if *ignored > MOST_IGNORED {
            return;
        }
    }
}

/// The head of a response, whose body has this length if it is known.
fn lines(head: &Response<()>, length: Option<usize>) -> String {
    let mut text = format!("HTTP/1.1 {}\r\n", head.status());
    for (name, value) in head.headers() {
        text += &format!("{name}: {}\r\n", value.to_str().unwrap_or_default());
    }
    if let Some(length) = length {
        text += &format!("content-length: {length}\r\n");
    }
    text + "connection: close\r\n\r\n"
}

impl From<Response<Full<Bytes>>> for Reply {
    fn from(response: Response<Full<Bytes>>) -> Self {
        Self::Whole(response)
    }
}

impl fmt::Debug for StreamReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamReply").field("head", &self.head).finish_non_exhaustive()
    }
}

/// The header `Server` of every response.
pub const SERVER_NAME: &str = concat!("tickled/", env!("CARGO_PKG_VERSION"));
/// The media type of Server-Sent Events, and the header with which a client continues them.
pub const EVENT_STREAM: &str = "text/event-stream";
/// See [`EVENT_STREAM`].
pub const LAST_EVENT_ID: &str = "last-event-id";
/// How many bytes a client may send after its request.
const MOST_IGNORED: usize = 4096;
