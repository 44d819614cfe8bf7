//! The endpoint's server. Connections and heads are limited, and expensive answers are rendered once a second on
//! another thread.

use std::net::IpAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, HeaderValue};
use hyper::header::{REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use hyper::{Method, Request, Response, StatusCode};
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::timeout;
use tracing::debug;

use super::health::{Health, livez, readyz};
use super::page::Timelines;
use super::{Hosts, View, ViewRequest, html, metrics};
use crate::control::{Listener, no_such_gateway};
use crate::driver::{Clock, HostClock};
use crate::history::report::report;
use crate::history::{Events, Ledger, Row};
use crate::http::{self, EVENT_STREAM, LAST_EVENT_ID, Limits, Reply, SharedResult, StreamReply};
use crate::session::Now;

/// Serves until it is dropped. `folder` is where the ledger is, if one is kept. Lives in a
/// [`LocalSet`](tokio::task::LocalSet).
pub async fn serve(
    listener: TcpListener,
    hosts: Hosts,
    clock: HostClock,
    folder: Option<PathBuf>,
    events: Rc<Events>,
    looks: mpsc::Sender<ViewRequest>,
) {
    let handler = EndpointHandler {
        hosts,
        clock,
        folder,
        events,
        looks,
        view: Mutex::default(),
        status: SharedResult::default(),
        metrics: SharedResult::default(),
        page: SharedResult::default(),
        timelines: SharedResult::default(),
    };
    let accept = async || {
        let (stream, _) = listener.accept().await?;
        // An event leaves at once, and a listener that is gone is noticed. Neither can be refused on a new connection.
        drop(stream.set_nodelay(true));
        let _ = set_tcp_user_timeout(&stream, GONE_AFTER_MS);
        let ours = stream.local_addr().ok().map(|address| address.ip());
        Ok((stream, ours))
    };
    http::serve(LIMITS, accept, async move |request: Request<Incoming>, ours| {
        let reply = handler.answer(&request, ours).await;
        if request.method() != Method::HEAD {
            return reply;
        }
        match reply {
            Reply::Whole(response) => response.map(|_| Full::default()).into(),
            Reply::Stream(stream) => stream.head.unwrap_or_default().map(|()| Full::default()).into(),
        }
    })
    .await;
}

/// A text that was rendered, and of which moment it is.
type Rendered = (Now, Result<Bytes, String>);

struct EndpointHandler {
    hosts: Hosts,
    clock: HostClock,
    folder: Option<PathBuf>,
    events: Rc<Events>,
    looks: mpsc::Sender<ViewRequest>,
    /// The daemon's loop is asked, and each text rendered, at most this often, for any number of clients.
    view: Mutex<Option<Arc<View>>>,
    status: SharedResult<Rendered>,
    metrics: SharedResult<Rendered>,
    page: SharedResult<Rendered>,
    timelines: SharedResult<(Now, Option<Arc<Timelines>>)>,
}

impl EndpointHandler {
    async fn answer(&self, request: &Request<Incoming>, ours: Option<IpAddr>) -> Reply {
        match self.admit(request, ours).await {
            Ok(view) if request.uri().path() == EVENTS => self.events(request, &view).await,
            Ok(view) => self.show(request, &view).await.into(),
            Err(refused) => refused.into(),
        }
    }

    /// The view to answer with, or why nothing is shown.
    async fn admit(
        &self,
        request: &Request<Incoming>,
        ours: Option<IpAddr>,
    ) -> Result<Arc<View>, Response<Full<Bytes>>> {
        let host = request.headers().get(HOST).map(|host| host.to_str().unwrap_or("?"));
        if !self.hosts.admit(host.or_else(|| request.uri().host()), ours) {
            let text = "this is not the host you mean; `hosts` under [endpoint] in the configuration names more\n";
            return Err(plain(StatusCode::MISDIRECTED_REQUEST, text));
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "this only answers GET\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Err(response);
        }
        let path = request.uri().path();
        if !PATHS.contains(&path) {
            return Err(plain(StatusCode::NOT_FOUND, format!("there are {}\n", PATHS.join(", "))));
        }
        let view = self.look().await;
        view.ok_or_else(|| plain(StatusCode::SERVICE_UNAVAILABLE, "the daemon's loop does not answer\n"))
    }

    async fn events(&self, request: &Request<Incoming>, view: &View) -> Reply {
        let (gateway, _) = query(request.uri().query().unwrap_or_default());
        if let Some(unknown) = gateway.as_ref().filter(|name| !view.gateways.contains(name)) {
            return plain(StatusCode::NOT_FOUND, no_such_gateway(unknown, &view.gateways) + "\n").into();
        }
        let last = request.headers().get(LAST_EVENT_ID).map(HeaderValue::as_bytes);
        let listener = Listener::new(Rc::clone(&self.events), &view.status, gateway, last).await;
        let head = respond(StatusCode::OK, EVENT_STREAM, Bytes::new()).map(|_| ());
        let busy = plain(StatusCode::SERVICE_UNAVAILABLE, "too many programs listen here already; try again later\n");
        Reply::Stream(StreamReply { head: Some(head), body: listener.body(), busy })
    }

    async fn show(&self, request: &Request<Incoming>, view: &Arc<View>) -> Response<Full<Bytes>> {
        match request.uri().path() {
            "/livez" => health(livez(view)),
            "/readyz" => {
                let (gateway, is_verbose) = query(request.uri().query().unwrap_or_default());
                health(readyz(view, gateway.as_deref(), is_verbose))
            }
            "/status" => {
                let json = |view: &View| serde_json::to_string(&view.status).map(|text| text + "\n");
                self.rendered(&self.status, "application/json", view, move |view| {
                    json(view).map_err(|error| error.to_string())
                })
                .await
            }
            "/metrics" => {
                let kind = "text/plain; version=0.0.4; charset=utf-8";
                self.rendered(&self.metrics, kind, view, |view| Ok(metrics(view))).await
            }
            _ => {
                let timelines = self.timelines(view).await;
                let page = move |view: &View| html(view, timelines.as_deref()).map_err(|error| error.to_string());
                self.rendered(&self.page, "text/html; charset=utf-8", view, page).await
            }
        }
    }

    /// The latest text of its kind, or a new one of `view`, rendered on another thread.
    async fn rendered(
        &self,
        latest: &SharedResult<Rendered>,
        kind: &'static str,
        view: &Arc<View>,
        render: impl FnOnce(&View) -> Result<String, String> + Send + 'static,
    ) -> Response<Full<Bytes>> {
        let (now, of) = (self.clock.now(), Arc::clone(view));
        let made =
            latest.get(|(at, _)| is_within(*at, now, RENDERED_FOR), move || (of.now, render(&of).map(Bytes::from)));
        match made.await {
            Some((_, Ok(text))) => respond(StatusCode::OK, kind, text),
            Some((_, Err(error))) => plain(StatusCode::INTERNAL_SERVER_ERROR, error),
            None => plain(StatusCode::INTERNAL_SERVER_ERROR, "it could not be rendered\n"),
        }
    }

    /// The latest view, or a new one of the daemon's loop; none if the loop does not answer.
    async fn look(&self) -> Option<Arc<View>> {
        let mut last = self.view.lock().await;
        let now = self.clock.now();
        if let Some(view) = last.as_ref().filter(|view| is_within(view.now, now, VIEW_FOR)) {
            return Some(Arc::clone(view));
        }
        let (answer, answered) = oneshot::channel();
        let asked = async {
            self.looks.send(ViewRequest(answer)).await.ok()?;
            answered.await.ok()
        };
        let view = Arc::new(timeout(LOOK_WITHIN, asked).await.ok()??);
        *last = Some(Arc::clone(&view));
        Some(view)
    }

    /// The last day and the last thirty days, from the ledger. A slow disk does not delay the page for long.
    async fn timelines(&self, view: &View) -> Option<Arc<Timelines>> {
        let folder = self.folder.clone()?;
        let now = view.now;
        let draw = move || {
            let read = Ledger::new(&folder).read().inspect_err(|error| debug!(%error, "the ledger cannot be read"));
            let to = now.wall;
            let timelines =
                |rows: &[Row]| Timelines { day: report(rows, to - DAY, to), month: report(rows, to - MONTH, to) };
            (now, read.ok().map(|read| Arc::new(timelines(&read.rows))))
        };
        let drawn = self.timelines.get(|(at, _)| is_within(*at, now, TIMELINES_FOR), draw);
        timeout(DRAWN_WITHIN, drawn).await.ok()??.1
    }
}

/// Whether less time than this has passed by both clocks: one of them stands still while the host sleeps.
fn is_within(then: Now, now: Now, limit: Duration) -> bool {
    let by_wall = now.wall.duration_since(then.wall).unsigned_abs();
    now.mono.saturating_sub(then.mono) < limit && by_wall < limit + SLACK
}

/// The gateway of the query, and whether a person reads the answer.
fn query(query: &str) -> (Option<String>, bool) {
    let mut asked = (None, false);
    for part in query.split('&') {
        match part.split_once('=').unwrap_or((part, "")) {
            // Names contain no character that a query would escape.
            ("gateway", name) => asked.0 = Some(name.to_owned()),
            ("verbose", value) => asked.1 = value != "0" && value != "false",
            _ => {}
        }
    }
    asked
}

fn health(health: Health) -> Response<Full<Bytes>> {
    match health {
        Health::Good(text) => plain(StatusCode::OK, text),
        Health::Bad(text) => plain(StatusCode::SERVICE_UNAVAILABLE, text),
        Health::Unknown(text) => plain(StatusCode::NOT_FOUND, text),
    }
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", text.into())
}

fn respond(status: StatusCode, kind: &'static str, text: Bytes) -> Response<Full<Bytes>> {
    let mut response = http::response(status, kind, text);
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

const PATHS: [&str; 6] = ["/", "/livez", "/readyz", "/status", EVENTS, "/metrics"];
const EVENTS: &str = "/events";
const HEADERS: [(HeaderName, &str); 5] = [
    (CACHE_CONTROL, "no-store"),
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
];
const LIMITS: Limits = Limits { connections: 64, all_within: Duration::from_secs(10), streams: 1024 };
/// How long sent data may stay unacknowledged.
const GONE_AFTER_MS: u32 = 30_000;
const LOOK_WITHIN: Duration = Duration::from_secs(2);
const DRAWN_WITHIN: Duration = Duration::from_secs(2);
const VIEW_FOR: Duration = Duration::from_millis(200);
const RENDERED_FOR: Duration = Duration::from_secs(1);
const TIMELINES_FOR: Duration = Duration::from_secs(15);
/// How far the wall clock may be slewed.
const SLACK: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);
