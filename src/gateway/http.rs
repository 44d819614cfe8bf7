//! One HTTP request at a time over one kept connection, sent once and never repeated.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderMap, HeaderName, USER_AGENT};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout, timeout_at};

use super::body::{IncomingBody, TooLong};
use super::connect::{ConnectError, Connector, TlsError, wants_certificate};
use super::metered::{Meter, Metered};
use crate::text::root_cause;

/// A client for one gateway. Clones share the kept connection.
#[derive(Clone)]
pub(super) struct GatewayHttp {
    connector: Connector,
    kept: Arc<Mutex<Option<KeptConnection>>>,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct HttpAnswer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// The kept part of the body.
    pub(super) body: super::body::KeptParts,
}

/// Why a request has no answer.
#[derive(Debug)]
pub(super) enum HttpError {
    /// It was not sent: there is no connection.
    Connect(ConnectError),
    /// It was sent, and no answer came in time.
    TimedOut,
    /// The connection broke.
    Broken {
        /// What exactly went wrong.
        reason: String,
        /// Nothing has ever come over this connection.
        silent: bool,
        /// The request may have been sent.
        is_sent: bool,
    },
    /// What came is not HTTP.
    NotHttp {
        /// How it begins.
        first: Vec<u8>,
        /// It is TLS.
        is_tls: bool,
    },
    /// What came is not an answer that is believed, and why.
    Invalid(String),
}

/// A connection that can be reused.
struct KeptConnection {
    link: Link,
    since: Instant,
}

/// A connection, which works only while it is polled.
struct Link {
    sender: SendRequest<Full<Bytes>>,
    connection: Pin<Box<Connection<TokioIo<Metered>, Full<Bytes>>>>,
    is_over: bool,
    has_served: bool,
    meter: Arc<Meter>,
}

impl GatewayHttp {
    pub(super) fn new(connector: Connector) -> Self {
        Self { connector, kept: Arc::default() }
    }

    pub(super) const fn connector(&self) -> &Connector {
        &self.connector
    }

    /// Sends one request and reads its answer, both within this time. Without a limit, only a
    /// connection that cannot be made in time fails. A POST has a JSON body, a GET none.
    pub(super) async fn request(
        &self,
        path: &str,
        json: Option<&'static str>,
        body: IncomingBody,
        within: Option<Duration>,
    ) -> Result<HttpAnswer, HttpError> {
        let until = within.map(|within| Instant::now() + within);
        let request = self.head(path, json)?;
        let mut link = match self.take().await {
            Some(link) => link,
            None => self.open(within.map_or(CONNECT_WITHIN, |within| CONNECT_WITHIN.min(within))).await?,
        };
        link.meter.allow(ALLOWANCE);
        let answered = before(until, link.send(request)).await.ok_or(HttpError::TimedOut)?;
        let response = answered.map_err(|error| link.failed(&error))?;
        let (head, incoming) = response.into_parts();
        let body = link.read(incoming, body, until).await?;
        if body.is_finished && link.is_ready().await {
            self.keep(link);
        }
        Ok(HttpAnswer { status: head.status.as_u16(), headers: head.headers, body: body.kept })
    }

    fn head(&self, path: &str, json: Option<&'static str>) -> Result<Request<Full<Bytes>>, HttpError> {
        let mut request = Request::builder()
            .method(if json.is_some() { Method::POST } else { Method::GET })
            .uri(path)
            .header(HOST, self.connector.url().authority())
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, "*/*");
        if json.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = Full::new(Bytes::from_static(json.unwrap_or_default().as_bytes()));
        request.body(body).map_err(|error| HttpError::Invalid(format!("the request cannot be made: {error}")))
    }

    async fn open(&self, within: Duration) -> Result<Link, HttpError> {
        let io = self.connector.connect(within).await.map_err(HttpError::Connect)?.io.into_text();
        let meter = io.meter();
        let (sender, connection) = Builder::new()
            .max_buf_size(HEAD_LIMIT)
            .max_header_size(HEAD_LIMIT)
            // Headers that are not read do no harm.
            .ignore_invalid_headers_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .allow_spaces_after_header_name_in_responses(true)
            .handshake(TokioIo::new(io))
            .await
            .map_err(|error| HttpError::Broken { reason: error.to_string(), silent: true, is_sent: false })?;
        Ok(Link { sender, connection: Box::pin(connection), is_over: false, has_served: false, meter })
    }

    /// Takes the kept connection, if it is still open.
    async fn take(&self) -> Option<Link> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).take();
        let KeptConnection { mut link, .. } = kept.filter(|kept| kept.since.elapsed() < KEPT_ALIVE)?;
        link.alongside(std::future::ready(())).await;
        (!link.is_over && link.sender.is_ready()).then_some(link)
    }

    fn keep(&self, mut link: Link) {
        link.has_served = true;
        let kept = KeptConnection { link, since: Instant::now() };
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
    }
}

/// A body that was read.
struct ReadBody {
    kept: super::body::KeptParts,
    /// The connection can be reused.
    is_finished: bool,
}

impl Link {
    async fn send(&mut self, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>, hyper::Error> {
        let (meter, seen) = (Arc::clone(&self.meter), Arc::new(AtomicUsize::new(0)));
        hyper::ext::on_informational(&mut request, move |_| {
            if seen.fetch_add(1, Ordering::Relaxed) >= INFORMATIONAL {
                meter.exhaust();
            }
        });
        let response = self.sender.send_request(request);
        self.alongside(response).await
    }

    async fn read(
        &mut self,
        mut incoming: Incoming,
        mut body: IncomingBody,
        until: Option<Instant>,
    ) -> Result<ReadBody, HttpError> {
        let announced = incoming.size_hint().lower();
        body.announce(announced).map_err(|error| HttpError::Invalid(too_long("body", error)))?;
        loop {
            // A whole object needs no length and no end of the connection.
            let ends_at = body.is_whole_object().then(|| Instant::now() + READY_WITHIN);
            let until = until.into_iter().chain(ends_at).min();
            let frame = before(until, self.alongside(incoming.frame())).await;
            let failed = match frame {
                Some(None) => return Ok(ReadBody { kept: body.finish(), is_finished: true }),
                Some(Some(Ok(frame))) => {
                    if let Some(piece) = frame.data_ref() {
                        body.push(piece).map_err(|error| HttpError::Invalid(too_long("body", error)))?;
                    }
                    continue;
                }
                Some(Some(Err(error))) => self.failed(&error),
                None => HttpError::TimedOut,
            };
            if body.is_whole_object() {
                return Ok(ReadBody { kept: body.finish(), is_finished: false });
            }
            return Err(failed);
        }
    }

    /// Whether the connection can be reused. hyper knows that at once or not at all.
    async fn is_ready(&mut self) -> bool {
        let ready = poll_fn(|context| {
            if self.is_over || self.connection.as_mut().poll(context).is_ready() {
                self.is_over = true;
                return Poll::Ready(false);
            }
            self.sender.poll_ready(context).map(|ready| ready.is_ok())
        });
        timeout(READY_WITHIN, ready).await.unwrap_or(false)
    }

    /// Polls the connection before the future, which waits for what the connection does.
    async fn alongside<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|context| {
            if !self.is_over && self.connection.as_mut().poll(context).is_ready() {
                self.is_over = true;
            }
            future.as_mut().poll(context)
        })
        .await
    }

    fn failed(&self, error: &hyper::Error) -> HttpError {
        let first = self.meter.first();
        let cause = io_error(error);
        if cause.is_some_and(|io| io.kind() == io::ErrorKind::QuotaExceeded) {
            return HttpError::Invalid("more than is read of any answer".to_owned());
        }
        let tls = cause.and_then(|io| io.get_ref()).and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(error) = tls.filter(|error| wants_certificate(error)) {
            return HttpError::Connect(TlsError::WantsCertificate(error.to_string()).into());
        }
        if error.is_parse_too_large() {
            return HttpError::Invalid(too_long("head", TooLong { limit: HEAD_LIMIT }));
        }
        if !first.is_empty() && !first.starts_with(b"HTTP/") {
            return HttpError::NotHttp { first, is_tls: self.meter.is_tls() };
        }
        let is_invalid =
            cause.is_some_and(|io| matches!(io.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData));
        if error.is_parse() || is_invalid {
            return HttpError::Invalid(root_cause(error));
        }
        HttpError::Broken {
            reason: root_cause(error),
            silent: first.is_empty() && !self.has_served,
            is_sent: !error.is_canceled(),
        }
    }
}

impl fmt::Debug for GatewayHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("connector", &self.connector).finish_non_exhaustive()
    }
}

/// Awaits the future until this time, if there is a limit.
async fn before<F: Future>(until: Option<Instant>, future: F) -> Option<F::Output> {
    match until {
        Some(until) => timeout_at(until, future).await.ok(),
        None => Some(future.await),
    }
}

fn io_error(error: &hyper::Error) -> Option<&io::Error> {
    std::error::Error::source(error)?.downcast_ref()
}

fn too_long(what: &str, TooLong { limit }: TooLong) -> String {
    format!("a {what} of more than {} KiB", limit / 1024)
}

/// A header's value, if it is text.
pub(super) fn named<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// An empty `User-Agent` is refused by IBKR's edge.
pub(super) const AGENT: &str = concat!("tickled/", env!("CARGO_PKG_VERSION"));
pub(super) const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// How long the end of a complete answer may take.
const READY_WITHIN: Duration = Duration::from_secs(1);
const KEPT_ALIVE: Duration = Duration::from_secs(90);
/// No head that is worth reading is longer.
const HEAD_LIMIT: usize = 64 * 1024;
/// How many answers like "100 Continue" may come before the answer.
const INFORMATIONAL: usize = 8;
/// All that may come for one request: the longest head and body, and what chunks cost.
const ALLOWANCE: u64 = 2 * 1024 * 1024;
