//! A connection with a limit on received bytes, which remembers the first of them.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Any byte stream.
pub(super) trait Pipe: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Pipe for T {}

/// A metered connection. What is past its allowance is an error of the kind [`io::ErrorKind::QuotaExceeded`].
pub(super) struct Metered {
    pipe: Pin<Box<dyn Pipe>>,
    meter: Arc<Meter>,
    is_text: bool,
}

/// The count of received bytes.
#[derive(Debug)]
pub(super) struct Meter(Mutex<ByteCount>);

#[derive(Debug)]
struct ByteCount {
    left: u64,
    first: Vec<u8>,
}

impl Metered {
    /// Meters a connection, without a limit at first.
    pub(super) fn new(pipe: Pin<Box<dyn Pipe>>) -> Self {
        Self {
            pipe,
            meter: Arc::new(Meter(Mutex::new(ByteCount { left: u64::MAX, first: Vec::new() }))),
            is_text: false,
        }
    }

    /// Reads a NUL as a space: it means nothing in HTTP, nor in JSON, and no parser takes one.
    pub(super) fn into_text(self) -> Self {
        Self { is_text: true, ..self }
    }

    pub(super) fn meter(&self) -> Arc<Meter> {
        Arc::clone(&self.meter)
    }
}

impl Meter {
    /// Starts a new count: allows this many bytes.
    pub(super) fn allow(&self, bytes: u64) {
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *count = ByteCount { left: bytes, first: Vec::new() };
    }

    /// Stops all further bytes.
    pub(super) fn exhaust(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).left = 0;
    }

    /// Returns the first bytes since the last [`Meter::allow`], 64 at most.
    pub(super) fn first(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).first.clone()
    }

    /// Whether what came since the last [`Meter::allow`] is TLS.
    pub(super) fn is_tls(&self) -> bool {
        matches!(self.first().as_slice(), [0x15 | 0x16, 0x03, ..])
    }

    fn count(&self, came: &[u8]) -> io::Result<()> {
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = FIRST - count.first.len();
        count.first.extend(came.iter().take(room));
        count.left = count.left.checked_sub(came.len() as u64).ok_or(io::ErrorKind::QuotaExceeded)?;
        Ok(())
    }
}

impl fmt::Debug for Metered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metered").field("meter", &self.meter).finish_non_exhaustive()
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = self.pipe.as_mut().poll_read(context, buffer);
        if self.is_text {
            buffer.filled_mut()[before..].iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b' ');
        }
        match self.meter.count(&buffer.filled()[before..]) {
            Ok(()) => read,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.pipe.as_mut().poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pipe.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pipe.as_mut().poll_shutdown(context)
    }
}

/// How many of the first bytes are remembered.
const FIRST: usize = 64;
