//! Replies of a mail server in the one form that lettre understands. A server may also send a code without a text
//! (RFC 5321, section 4.2), text in any encoding, or lines that end with a bare line feed.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The connection to a mail server, whose replies come as lettre understands them, and are not endless.
#[derive(Debug)]
pub(super) struct Replies<S> {
    stream: S,
    peer: SocketAddr,
    /// What lettre has not read yet.
    ready: Vec<u8>,
    /// How long the present line is.
    column: usize,
    /// How much more the server may send.
    left: usize,
}

impl<S> Replies<S> {
    pub(super) fn new(stream: S, peer: SocketAddr, greeting: &[u8]) -> Self {
        Self { stream, peer, ready: greeting.to_owned(), column: 0, left: LONGEST_SESSION }
    }

    fn push(&mut self, byte: u8) {
        match byte {
            b'\r' => {}
            b'\n' => {
                // lettre takes the first word for the server's name.
                self.ready.extend_from_slice(match self.column {
                    3 => b" .\r\n",
                    4 => b".\r\n",
                    _ => b"\r\n",
                });
                self.column = 0;
            }
            _ => {
                self.ready.push(if byte.is_ascii() { byte } else { b'?' });
                self.column += 1;
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Replies<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let own = self.get_mut();
        while own.ready.is_empty() {
            // lettre parses a reply anew with each line, so an endless one would occupy the loop.
            if own.left == 0 {
                return Poll::Ready(Err(io::Error::other("the server sends too much")));
            }
            let mut bytes = [0; 1024];
            let most = bytes.len().min(own.left);
            let mut part = ReadBuf::new(bytes.get_mut(..most).unwrap_or_default());
            ready!(Pin::new(&mut own.stream).poll_read(cx, &mut part))?;
            if part.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            own.left -= part.filled().len();
            part.filled().iter().for_each(|byte| own.push(*byte));
        }
        let now = own.ready.len().min(buffer.remaining());
        buffer.put_slice(&own.ready[..now]);
        own.ready.drain(..now);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Replies<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug> AsyncTokioStream for Replies<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

/// More than a session with many receivers needs.
const LONGEST_SESSION: usize = 32 * 1024;
