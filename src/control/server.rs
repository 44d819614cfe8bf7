//! The server of the control socket. Connections, heads and bodies are limited, and no client can block it.

use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, SERVER};
use hyper::{Request, Response, StatusCode};
use jiff::Timestamp;
use serde::Serialize;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::ROUTES;
use super::api::{self, Command, Failure, Status};
use super::routes::{BadRequest, Parsed, read};
use crate::history::Ledger;
use crate::history::report::report;
use crate::http::{self, HEAD_WITHIN, Limits, Shared};

/// Serves until it is dropped. `folder` is where the ledger is, if one is kept. Lives in a
/// [`LocalSet`](tokio::task::LocalSet).
pub async fn serve(listener: UnixListener, folder: Option<PathBuf>, requests: mpsc::Sender<super::Request>) {
    let handler = Handler { folder, requests, history: Shared::default() };
    let accept = async || listener.accept().await.map(|(stream, _)| (stream, ()));
    http::serve(LIMITS, accept, async move |request, ()| handler.answer(request).await).await;
}

/// A history as JSON: of how long, until when.
type History = (Duration, Timestamp, Result<Bytes, String>);

struct Handler {
    folder: Option<PathBuf>,
    requests: mpsc::Sender<super::Request>,
    history: Shared<History>,
}

impl Handler {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let body = match timeout(HEAD_WITHIN, Limited::new(body, LONGEST_BODY).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) => return failed(StatusCode::BAD_REQUEST, format!("the body cannot be read: {error}")),
            Err(_) => return failed(StatusCode::REQUEST_TIMEOUT, "the body does not come".to_owned()),
        };
        match read(&head.method, head.uri.path(), head.uri.query().unwrap_or_default(), &body) {
            Ok(Parsed::Command(command)) => self.ask(command).await.map_or_else(stopping, told),
            Ok(Parsed::Gateway(name)) => self.status().await.map_or_else(stopping, |status| gateway(*status, &name)),
            Ok(Parsed::History(since)) => self.history(since).await,
            Err(BadRequest::NoSuchPath) => {
                let all: Vec<String> = ROUTES.iter().map(|route| format!("{} {}", route.method, route.path)).collect();
                failed(StatusCode::NOT_FOUND, format!("there is no {}: there are {}", head.uri.path(), all.join(", ")))
            }
            Err(BadRequest::OtherMethod(method)) => {
                let error = format!("{} takes {method}, not {}", head.uri.path(), head.method);
                let mut response = failed(StatusCode::METHOD_NOT_ALLOWED, error);
                response.headers_mut().insert(ALLOW, HeaderValue::from_static(method));
                response
            }
            Err(BadRequest::Nonsense(error)) => failed(StatusCode::BAD_REQUEST, error),
        }
    }

    /// What the daemon's loop says; nothing if it is ending.
    async fn ask(&self, command: Command) -> Option<api::Response> {
        let (reply, response) = oneshot::channel();
        self.requests.send(super::Request { command, reply }).await.ok()?;
        response.await.ok()
    }

    async fn status(&self) -> Option<Box<Status>> {
        match self.ask(Command::Status).await? {
            api::Response::Status(status) => Some(status),
            api::Response::Config(_)
            | api::Response::Done(_)
            | api::Response::Tested(_)
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
        let is_fresh = |(of, at, _): &History| *of == since && to.duration_since(*at).unsigned_abs() < HISTORY_FOR;
        match self.history.get(is_fresh, make).await {
            Some((_, _, Ok(text))) => respond(StatusCode::OK, "application/json", text),
            Some((_, _, Err(error))) => {
                failed(StatusCode::INTERNAL_SERVER_ERROR, format!("the ledger cannot be read: {error}"))
            }
            None => failed(StatusCode::INTERNAL_SERVER_ERROR, "the ledger cannot be read".to_owned()),
        }
    }
}

fn told(answer: api::Response) -> Response<Full<Bytes>> {
    match answer {
        api::Response::Status(status) => json(StatusCode::OK, &status),
        api::Response::Config(text) => respond(StatusCode::OK, "application/toml", text),
        api::Response::Done(done) => json(StatusCode::OK, &serde_json::json!({ "done": done })),
        api::Response::Tested(tests) => json(StatusCode::OK, &tests),
        api::Response::Unknown(error) => failed(StatusCode::NOT_FOUND, error),
        api::Response::Invalid(error) => failed(StatusCode::BAD_REQUEST, error),
        api::Response::Refused(error) => failed(StatusCode::SERVICE_UNAVAILABLE, error),
    }
}

fn gateway(status: Status, name: &str) -> Response<Full<Bytes>> {
    let names: Vec<String> = status.gateways.iter().map(|gateway| gateway.name.clone()).collect();
    match status.gateways.into_iter().find(|gateway| gateway.name == name) {
        Some(gateway) => json(StatusCode::OK, &gateway),
        None => failed(StatusCode::NOT_FOUND, no_such_gateway(name, &names)),
    }
}

/// What to say of a gateway that is none of these.
#[must_use]
pub fn no_such_gateway(name: &str, names: &[String]) -> String {
    match names {
        [only] => format!("there is no gateway {name:?}: there is only {only}"),
        names => format!("there is no gateway {name:?}: there are {}", names.join(", ")),
    }
}

fn stopping() -> Response<Full<Bytes>> {
    failed(StatusCode::SERVICE_UNAVAILABLE, "the daemon is ending".to_owned())
}

fn failed(status: StatusCode, error: String) -> Response<Full<Bytes>> {
    json(status, &Failure { error })
}

fn json(status: StatusCode, value: &impl Serialize) -> Response<Full<Bytes>> {
    match text(value) {
        Ok(text) => respond(status, "application/json", text),
        Err(error) => respond(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", error.to_string()),
    }
}

fn text(value: &impl Serialize) -> serde_json::Result<Bytes> {
    serde_json::to_string(value).map(|text| Bytes::from(text + "\n"))
}

fn respond(status: StatusCode, kind: &'static str, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(SERVER, HeaderValue::from_static(NAME));
    response
}

const NAME: &str = concat!("tickled/", env!("CARGO_PKG_VERSION"));
/// A test of all channels takes longest: each has ten seconds.
const LIMITS: Limits = Limits { connections: 16, all_within: Duration::from_secs(30) };
/// However often a history is asked for, it is made this seldom.
const HISTORY_FOR: Duration = Duration::from_secs(1);
const LONGEST_BODY: usize = 4 * 1024;
