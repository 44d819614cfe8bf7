//! The bodies of the simulator's answers: whole, in chunks, cut off, or without end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// A body as it goes out.
#[derive(Debug)]
pub(super) enum Page {
    /// With a Content-Length: what the gateway answers by itself.
    Whole(Bytes),
    /// In chunks, without a Content-Length: what is proxied.
    Chunked(Bytes),
    /// The first half, then an end that is none.
    Cut {
        /// The bytes that are not sent yet.
        half: Option<Bytes>,
        /// It is on its way.
        sent: bool,
    },
    /// One byte at a time, without end.
    Drip(Interval),
}

impl Page {
    pub(super) fn cut(body: &Bytes) -> Page {
        let half = body.len().div_ceil(2);
        Page::Cut { half: Some(body.slice(..half)), sent: false }
    }

    pub(super) fn drip() -> Page {
        let mut pace = interval(BETWEEN_BYTES);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Page::Drip(pace)
    }
}

impl Body for Page {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut *self {
            Page::Whole(bytes) | Page::Chunked(bytes) => {
                let bytes = std::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Page::Cut { half, sent } => {
                if let Some(half) = half.take().filter(|half| !half.is_empty()) {
                    Poll::Ready(Some(Ok(Frame::data(half))))
                } else if *sent {
                    Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())))
                } else {
                    // Pending makes hyper send what it has buffered so far.
                    *sent = true;
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
            }
            Page::Drip(pace) => {
                ready!(pace.poll_tick(context));
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b" ")))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Page::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Page::Whole(bytes) => SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            Page::Chunked(_) | Page::Cut { .. } | Page::Drip(_) => SizeHint::new(),
        }
    }
}

const BETWEEN_BYTES: Duration = Duration::from_millis(200);
