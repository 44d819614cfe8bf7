//! How a request is answered: at once, or by a stream that keeps its connection.

use std::fmt;

use futures_util::future::LocalBoxFuture;
use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

/// The connection of a client.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

/// How a request is answered.
#[derive(Debug)]
pub enum Reply {
    /// With this response. Then the connection is closed.
    Whole(Response<Full<Bytes>>),
    /// With a stream.
    Stream(Stream),
}

/// A response without an end. It costs the daemon a task and its connection, and nothing of an HTTP library.
pub struct Stream {
    /// The head of the response.
    pub head: Response<()>,
    /// Writes what follows.
    pub body: Body,
    /// The response to send instead if there are too many streams already.
    pub busy: Response<Full<Bytes>>,
}

/// Writes the body of a stream until it returns or is dropped.
pub type Body = Box<dyn FnOnce(Box<dyn Duplex>) -> LocalBoxFuture<'static, ()>>;

impl Stream {
    /// Writes the head and then the body. Its end is that of the connection.
    pub(super) async fn send(self, mut connection: Box<dyn Duplex>) {
        let mut head = format!("HTTP/1.1 {}\r\n", self.head.status());
        for (name, value) in self.head.headers() {
            head += &format!("{name}: {}\r\n", value.to_str().unwrap_or_default());
        }
        head += "connection: close\r\n\r\n";
        if connection.write_all(head.as_bytes()).await.is_ok() {
            (self.body)(connection).await;
        }
    }
}

impl From<Response<Full<Bytes>>> for Reply {
    fn from(response: Response<Full<Bytes>>) -> Self {
        Self::Whole(response)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("head", &self.head).finish_non_exhaustive()
    }
}
