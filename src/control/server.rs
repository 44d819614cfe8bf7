//! The server of the control socket. Connections, heads and bodies are limited, and no client can block it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use jiff::Timestamp;
use serde::Serialize;
use tokio::net::UnixListener;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use super::ROUTES;
use super::api::{self, Command, DaemonStatus, ErrorBody};
use super::ensure::{EnsureResult, verdict};
use super::listen::Listener;
use super::routes::{BadRequest, ParsedRequest, read};
use crate::history::report::report;
use crate::history::{Events, Ledger};
use crate::http::{self, EVENT_STREAM, HEAD_WITHIN, LAST_EVENT_ID, Limits, Reply, SharedResult, StreamReply, response};

/// Serves until it is dropped. `folder` is where the ledger is, if one is kept. Lives in a
/// [`LocalSet`](tokio::task::LocalSet).
pub async fn serve(
    listener: UnixListener,
    folder: Option<PathBuf>,
    events: Rc<Events>,
    requests: mpsc::Sender<super::ControlRequest>,
) {
    let handler = ControlHandler {
        folder,
        events,
        requests,
        history: SharedResult::default(),
        latest: Mutex::default(),
        checks: Mutex::default(),
    };
    let handler = Rc::new(handler);
    let accept = async || listener.accept().await.map(|(stream, _)| (stream, ()));
    http::serve(LIMITS, accept, async move |request, ()| ControlHandler::answer(&handler, request).await).await;
}

/// A history as JSON: of how long, until when.
type CachedHistory = (Duration, Timestamp, Result<Bytes, String>);

struct ControlHandler {
    folder: Option<PathBuf>,
    events: Rc<Events>,
    requests: mpsc::Sender<super::ControlRequest>,
    history: SharedResult<CachedHistory>,
    /// The latest status for programs that wait, and after how many observations it was taken.
    latest: Mutex<Option<(u64, Rc<DaemonStatus>)>>,
    /// The latest check of each gateway for programs that wait: when it was asked for, and the status before.
    checks: Mutex<BTreeMap<String, (Instant, Rc<DaemonStatus>)>>,
}

impl ControlHandler {
    async fn answer(this: &Rc<Self>, request: Request<Incoming>) -> Reply {
        let (head, body) = request.into_parts();
        match this.parse(&head, body).await {
            Ok(ParsedRequest::Events(gateway)) => this.events(gateway, &head.headers).await,
            Ok(ParsedRequest::Command(command)) => this.ask(command).await.map_or_else(stopping, respond_done).into(),
            Ok(ParsedRequest::Gateway(name)) => {
                this.status().await.map_or_else(stopping, |status| gateway(&status, &name)).into()
            }
            Ok(ParsedRequest::History(since)) => this.history(since).await.into(),
            Ok(ParsedRequest::Ensure(name, within)) => {
                let handler = Rc::clone(this);
                Reply::Stream(StreamReply::late(async move { handler.ensure(&name, within).await }, busy()))
            }
            Err(refused) => refused.into(),
        }
    }

    /// What a request asks for, or why it is refused.
    async fn parse(&self, head: &Parts, body: Incoming) -> Result<ParsedRequest, Response<Full<Bytes>>> {
        let body = match timeout(HEAD_WITHIN, Limited::new(body, LONGEST_BODY).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) => return Err(failed(StatusCode::BAD_REQUEST, format!("the body cannot be read: {error}"))),
            Err(_) => return Err(failed(StatusCode::REQUEST_TIMEOUT, "the body does not come".to_owned())),
        };
        let parsed = read(&head.method, head.uri.path(), head.uri.query().unwrap_or_default(), &body);
        parsed.map_err(|refused| match refused {
            BadRequest::NoSuchPath => {
                let all: Vec<String> = ROUTES.iter().map(|route| format!("{} {}", route.method, route.path)).collect();
                failed(StatusCode::NOT_FOUND, format!("there is no {}: there are {}", head.uri.path(), all.join(", ")))
            }
            BadRequest::OtherMethod(method) => {
                let error = format!("{} takes {method}, not {}", head.uri.path(), head.method);
                let mut response = failed(StatusCode::METHOD_NOT_ALLOWED, error);
                response.headers_mut().insert(ALLOW, HeaderValue::from_static(method));
                response
            }
            BadRequest::Nonsense(error) => failed(StatusCode::BAD_REQUEST, error),
        })
    }

    async fn events(&self, gateway: Option<String>, headers: &HeaderMap) -> Reply {
        let Some(status) = self.status().await else { return stopping().into() };
        let names = status.names();
        if let Some(unknown) = gateway.as_ref().filter(|name| !names.contains(name)) {
            return failed(StatusCode::NOT_FOUND, no_such_gateway(unknown, &names)).into();
        }
        let last = headers.get(LAST_EVENT_ID).map(HeaderValue::as_bytes);
        let listener = Listener::new(Rc::clone(&self.events), &status, gateway, last).await;
        let mut head = response(StatusCode::OK, EVENT_STREAM, "").map(|_| ());
        head.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Reply::Stream(StreamReply { head: Some(head), body: listener.body(), busy: busy() })
    }

    /// Makes the driver check the gateway, and waits until the session is live or waiting does not help. Sends only
    /// what the machine sends for a check.
    async fn ensure(&self, name: &str, within: Duration) -> Response<Full<Bytes>> {
        let deadline = Instant::now() + within;
        let before = match self.check(name).await {
            Ok(before) => before,
            Err(refused) => return refused,
        };
        let mut is_last = false;
        loop {
            let news = self.events.observed();
            // At the end of the time, what has become outdated without an observation counts too.
            let present = if is_last { self.status().await.map(Rc::from) } else { self.observed().await };
            let Some(present) = present else { return stopping() };
            if let Some(ensured) = verdict(&before, &present, name, is_last) {
                return respond_ensured(&ensured);
            }
            if is_last {
                return failed(StatusCode::SERVICE_UNAVAILABLE, format!("{name} has not reported yet"));
            }
            is_last = timeout_at(deadline, news).await.is_err();
        }
    }

    /// Has a gateway checked, and returns the status before. Programs that ask before it has answered share one check.
    async fn check(&self, name: &str) -> Result<Rc<DaemonStatus>, Response<Full<Bytes>>> {
        let mut checks = self.checks.lock().await;
        let present = self.observed().await.ok_or_else(stopping)?;
        let answered =
            |status: &DaemonStatus| status.gateway(name).and_then(|gateway| gateway.last_asked.as_ref()?.at.into());
        if let Some((asked, before)) = checks.get(name)
            && asked.elapsed() < SHARED_FOR
            && answered(before) == answered(&present)
        {
            return Ok(Rc::clone(before));
        }
        let before = Rc::from(self.status().await.ok_or_else(stopping)?);
        match self.ask(Command::Check(Some(name.to_owned()))).await {
            Some(api::Response::Done(_)) => {}
            refused => return Err(refused.map_or_else(stopping, respond_done)),
        }
        checks.insert(name.to_owned(), (Instant::now(), Rc::clone(&before)));
        Ok(before)
    }

    /// The status after the latest observation: one for all who wait.
    async fn observed(&self) -> Option<Rc<DaemonStatus>> {
        let observations = self.events.observations();
        let mut latest = self.latest.lock().await;
        if let Some((_, status)) = latest.as_ref().filter(|(taken, _)| *taken >= observations) {
            return Some(Rc::clone(status));
        }
        let status = Rc::from(self.status().await?);
        *latest = Some((observations, Rc::clone(&status)));
        Some(status)
    }

    /// The reply of the daemon's loop; `None` if the loop is ending.
    async fn ask(&self, command: Command) -> Option<api::Response> {
        let (reply, response) = oneshot::channel();
        self.requests.send(super::ControlRequest { command, reply }).await.ok()?;
        response.await.ok()
    }

    async fn status(&self) -> Option<Box<DaemonStatus>> {
        match self.ask(Command::Status).await? {
            api::Response::Status(status) => Some(status),
            api::Response::Config(_)
            | api::Response::Done(_)
            | api::Response::Tested(_)
            | api::Response::Tried(_)
            | api::Response::Unknown(_)
            | api::Response::Invalid(_)
            | api::Response::Refused(_) => None,
        }
    }

    async fn history(&self, since: Duration) -> Response<Full<Bytes>> {
        let Some(folder) = self.folder.clone() else {
            let error = "no history is kept: the daemon has no state directory; start it with --state-dir DIR";
            return failed(StatusCode::NOT_FOUND, error.to_owned());
        };
        let Some(status) = self.status().await else { return stopping() };
        let to = status.at;
        // The disk may be slow, and a year of rows takes a moment.
        let make = move || {
            let read = Ledger::new(&folder).read().map_err(|error| error.to_string());
            let text =
                read.and_then(|read| text(&report(&read.rows, to - since, to)).map_err(|error| error.to_string()));
            (since, to, text)
        };
        let is_fresh =
            |(of, at, _): &CachedHistory| *of == since && to.duration_since(*at).unsigned_abs() < HISTORY_FOR;
        match self.history.get(is_fresh, make).await {
            Some((_, _, Ok(text))) => response(StatusCode::OK, "application/json", text),
            Some((_, _, Err(error))) => {
                failed(StatusCode::INTERNAL_SERVER_ERROR, format!("the ledger cannot be read: {error}"))
            }
            None => failed(StatusCode::INTERNAL_SERVER_ERROR, "the ledger cannot be read".to_owned()),
        }
    }
}

fn respond_ensured(ensured: &EnsureResult) -> Response<Full<Bytes>> {
    json(if ensured.error.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, ensured)
}

fn respond_done(answer: api::Response) -> Response<Full<Bytes>> {
    match answer {
        api::Response::Status(status) => json(StatusCode::OK, &status),
        api::Response::Config(text) => response(StatusCode::OK, "application/toml", text),
        api::Response::Done(done) => json(StatusCode::OK, &serde_json::json!({ "done": done })),
        api::Response::Tested(tests) => json(StatusCode::OK, &tests),
        api::Response::Tried(tried) => json(StatusCode::OK, &tried),
        api::Response::Unknown(error) => failed(StatusCode::NOT_FOUND, error),
        api::Response::Invalid(error) => failed(StatusCode::BAD_REQUEST, error),
        api::Response::Refused(error) => failed(StatusCode::SERVICE_UNAVAILABLE, error),
    }
}

fn gateway(status: &DaemonStatus, name: &str) -> Response<Full<Bytes>> {
    match status.gateway(name) {
        Some(gateway) => json(StatusCode::OK, gateway),
        None => failed(StatusCode::NOT_FOUND, no_such_gateway(name, &status.names())),
    }
}

/// The message about a gateway that is not among these.
#[must_use]
pub fn no_such_gateway(name: &str, names: &[String]) -> String {
    match names {
        [only] => format!("there is no gateway {name:?}: there is only {only}"),
        names => format!("there is no gateway {name:?}: there are {}", names.join(", ")),
    }
}

fn busy() -> Response<Full<Bytes>> {
    failed(StatusCode::SERVICE_UNAVAILABLE, "too many programs wait here already; try again in a moment".to_owned())
}

fn stopping() -> Response<Full<Bytes>> {
    failed(StatusCode::SERVICE_UNAVAILABLE, "the daemon is ending".to_owned())
}

fn failed(status: StatusCode, error: String) -> Response<Full<Bytes>> {
    json(status, &ErrorBody { error })
}

fn json(status: StatusCode, value: &impl Serialize) -> Response<Full<Bytes>> {
    match text(value) {
        Ok(text) => response(status, "application/json", text),
        Err(error) => response(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", error.to_string()),
    }
}

fn text(value: &impl Serialize) -> serde_json::Result<Bytes> {
    serde_json::to_string(value).map(|text| Bytes::from(text + "\n"))
}

/// A test of a hook may take longest.
const LIMITS: Limits = Limits { connections: 16, all_within: Duration::from_secs(65), streams: 1024 };
/// How long a check that is not answered is shared.
const SHARED_FOR: Duration = Duration::from_secs(1);
/// A history is computed at most this often.
const HISTORY_FOR: Duration = Duration::from_secs(1);
const LONGEST_BODY: usize = 4 * 1024;
