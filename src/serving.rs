//! HTTP for a handful of askers who may misbehave: few at once, short heads, one answer each, and no waiting for anybody.

use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};
use tracing::debug;

/// What one asker may take of the daemon.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many may be connected at once; others wait.
    pub connections: usize,
    /// How long a connection may take from its first byte to its last.
    pub all_within: Duration,
}

/// Serves until it is dropped: `accept` gives one connection after the other, with whatever is to be known of it, and
/// `answer` answers. Lives in a [`LocalSet`](tokio::task::LocalSet).
pub async fn serve<S, C, A>(limits: Limits, accept: impl AsyncFn() -> io::Result<(S, C)>, answer: A)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    C: Copy + 'static,
    A: AsyncFn(Request<Incoming>, C) -> Response<Full<Bytes>> + 'static,
{
    let room = Arc::new(Semaphore::new(limits.connections));
    let answer = Rc::new(answer);
    loop {
        let Ok(seat) = Arc::clone(&room).acquire_owned().await else { return };
        match accept().await {
            Ok((stream, known)) => {
                let answer = Rc::clone(&answer);
                spawn_local(async move {
                    let service = service_fn(move |request| {
                        let answer = Rc::clone(&answer);
                        async move { Ok::<_, Infallible>(answer(request, known).await) }
                    });
                    let mut http = http1::Builder::new();
                    http.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN);
                    http.max_buf_size(LONGEST_HEAD).keep_alive(false);
                    let served = timeout(limits.all_within, http.serve_connection(TokioIo::new(stream), service));
                    if let Ok(Err(error)) = served.await {
                        debug!(%error, "a connection that was served ended");
                    }
                    drop(seat);
                });
            }
            Err(error) => {
                debug!(%error, "no connection can be accepted");
                sleep(AFTER_ACCEPT_ERROR).await;
            }
        }
    }
}

/// How long a head, and likewise a body, may take to come.
pub const HEAD_WITHIN: Duration = Duration::from_secs(2);
const LONGEST_HEAD: usize = 8 * 1024;
const AFTER_ACCEPT_ERROR: Duration = Duration::from_millis(500);
