//! The endpoint's server: few connections, short heads, no bodies, and no waiting for anybody.

use std::cell::RefCell;
use std::net::IpAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::header::{REFERRER_POLICY, SERVER, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use hyper::{Method, Request, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};
use tracing::debug;

use super::health::{Health, livez, readyz};
use super::page::Pictures;
use super::{Hosts, Look, View, html, metrics};
use crate::history::Ledger;
use crate::history::report::report;
use crate::serving::{self, Limits};

/// Serves until it is dropped. `folder` is where the ledger is, if one is kept. Lives in a
/// [`LocalSet`](tokio::task::LocalSet).
pub async fn serve(listener: TcpListener, hosts: Hosts, folder: Option<PathBuf>, looks: mpsc::Sender<Look>) {
    let desk = Desk { hosts, folder, looks, last: RefCell::default(), pictures: Mutex::default() };
    let accept = async || {
        let (stream, _) = listener.accept().await?;
        let ours = stream.local_addr().ok().map(|address| address.ip());
        Ok((stream, ours))
    };
    serving::serve(LIMITS, accept, async move |request: Request<Incoming>, ours| {
        let mut response = desk.answer(&request, ours).await;
        if request.method() == Method::HEAD {
            *response.body_mut() = Full::default();
        }
        response
    })
    .await;
}

struct Desk {
    hosts: Hosts,
    folder: Option<PathBuf>,
    looks: mpsc::Sender<Look>,
    /// However many ask, the loop is asked this seldom.
    last: RefCell<Option<(Instant, Rc<View>)>>,
    /// However many ask, the ledger is read by one.
    pictures: Mutex<Option<(Instant, Option<Pictures>)>>,
}

impl Desk {
    async fn answer(&self, request: &Request<Incoming>, ours: Option<IpAddr>) -> Response<Full<Bytes>> {
        let host = request.headers().get(HOST).map(|host| host.to_str().unwrap_or("?"));
        if !self.hosts.admit(host.or_else(|| request.uri().host()), ours) {
            let text = "this is not the host you mean; `hosts` under [endpoint] in the configuration names more\n";
            return plain(StatusCode::MISDIRECTED_REQUEST, text.to_owned());
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "this only answers GET\n".to_owned());
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let path = request.uri().path();
        if !PATHS.contains(&path) {
            return plain(StatusCode::NOT_FOUND, format!("there are {}\n", PATHS.join(", ")));
        }
        let Some(view) = self.look().await else {
            return plain(StatusCode::SERVICE_UNAVAILABLE, "the daemon's loop does not answer\n".to_owned());
        };
        match path {
            "/livez" => health(livez(&view)),
            "/readyz" => {
                let (gateway, is_verbose) = query(request.uri().query().unwrap_or_default());
                health(readyz(&view, gateway.as_deref(), is_verbose))
            }
            "/status" => match serde_json::to_string(&view.status) {
                Ok(text) => respond(StatusCode::OK, "application/json", text + "\n"),
                Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
            },
            "/metrics" => respond(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", metrics(&view)),
            _ => {
                let pictures = self.pictures(&view).await;
                respond(StatusCode::OK, "text/html; charset=utf-8", html(&view, pictures.as_ref()))
            }
        }
    }

    /// What there is to see, by the daemon's loop; nothing if it does not answer.
    async fn look(&self) -> Option<Rc<View>> {
        let fresh = |(at, view): &(Instant, Rc<View>)| (at.elapsed() < VIEW_FOR).then(|| Rc::clone(view));
        if let Some(view) = self.last.borrow().as_ref().and_then(fresh) {
            return Some(view);
        }
        let (answer, answered) = oneshot::channel();
        let asked = async {
            self.looks.send(Look(answer)).await.ok()?;
            answered.await.ok()
        };
        let view = Rc::new(timeout(LOOK_WITHIN, asked).await.ok()??);
        *self.last.borrow_mut() = Some((Instant::now(), Rc::clone(&view)));
        Some(view)
    }

    /// The last day and the last thirty, out of the ledger.
    async fn pictures(&self, view: &View) -> Option<Pictures> {
        let folder = self.folder.clone()?;
        let mut last = self.pictures.lock().await;
        if let Some((_, pictures)) = last.as_ref().filter(|(at, _)| at.elapsed() < PICTURES_FOR) {
            return pictures.clone();
        }
        let to = view.now.wall;
        // The disk may be slow, and a year of rows takes a moment.
        let drawn = spawn_blocking(move || {
            let read = Ledger::new(&folder).read()?;
            Ok(Pictures { day: report(&read.rows, to - DAY, to), month: report(&read.rows, to - MONTH, to) })
        });
        let drawn = drawn.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        let drawn = drawn.inspect_err(|error| debug!(%error, "the ledger cannot be read")).ok();
        *last = Some((Instant::now(), drawn.clone()));
        drawn
    }
}

/// Which gateway is asked after, and whether a person asks.
fn query(query: &str) -> (Option<String>, bool) {
    let mut asked = (None, false);
    for part in query.split('&') {
        match part.split_once('=').unwrap_or((part, "")) {
            // Names have no letter that a query would write otherwise.
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

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", text)
}

fn respond(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

const PATHS: [&str; 5] = ["/", "/livez", "/readyz", "/status", "/metrics"];
const HEADERS: [(HeaderName, &str); 6] = [
    (SERVER, concat!("tickled/", env!("CARGO_PKG_VERSION"))),
    (CACHE_CONTROL, "no-store"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
];
const LIMITS: Limits = Limits { connections: 64, all_within: Duration::from_secs(10) };
const LOOK_WITHIN: Duration = Duration::from_secs(2);
const VIEW_FOR: Duration = Duration::from_millis(200);
const PICTURES_FOR: Duration = Duration::from_secs(15);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);
