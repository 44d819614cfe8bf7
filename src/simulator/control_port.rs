//! The second port: sets the world and tells what was seen, over plain HTTP.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::control;
use super::shared_world::SharedWorld;

/// Serves until it is dropped.
pub(super) async fn serve(world: Arc<SharedWorld>, listener: TcpListener, address: SocketAddr) -> io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((tcp, _)) => {
                    connections.spawn(connect(Arc::clone(&world), tcp, address));
                }
                Err(error) => {
                    tracing::debug!(%error, "the simulator's control port cannot accept");
                    tokio::time::sleep(AFTER_ACCEPT_ERROR).await;
                }
            },
            Some(_done) = connections.join_next() => {}
        }
    }
}

async fn connect(world: Arc<SharedWorld>, tcp: TcpStream, address: SocketAddr) {
    let service = service_fn(move |request| {
        let world = Arc::clone(&world);
        async move { Ok::<_, Infallible>(answer(&world, request, address).await) }
    });
    let http = hyper::server::conn::http1::Builder::new();
    if let Err(error) = http.serve_connection(TokioIo::new(tcp), service).await {
        tracing::debug!(%error, "a connection to the simulator's control port ended");
    }
}

async fn answer(world: &SharedWorld, request: Request<Incoming>, address: SocketAddr) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    match (&head.method, head.uri.path()) {
        (&Method::GET, "/") => text(StatusCode::OK, control::help(&address.to_string())),
        (&Method::GET, "/world") => json(&world.world_json()),
        (&Method::GET, "/requests") => json(&world.requests_json()),
        (&Method::GET, "/upstream") => json(&world.arrivals_json(false)),
        (&Method::GET, "/ibkr") => json(&world.arrivals_json(true)),
        (&Method::POST, path) => {
            let body = match Limited::new(body, LONGEST_BODY).collect().await {
                Ok(body) => body.to_bytes().to_vec(),
                Err(error) => {
                    return text(StatusCode::BAD_REQUEST, format!("the body cannot be read: {error}\n"));
                }
            };
            let name = path.strip_prefix('/').unwrap_or(path);
            match control::parse(name, head.uri.query().unwrap_or_default(), body, world.now()) {
                Ok(control) => {
                    tracing::debug!(?control, "the simulated world is set");
                    world.set(control);
                    json(&world.world_json())
                }
                Err(fault) => refuse(&fault, address),
            }
        }
        (method, path) => refuse(&format!("{method} {path} is not known here"), address),
    }
}

fn refuse(fault: &str, address: SocketAddr) -> Response<Full<Bytes>> {
    text(StatusCode::BAD_REQUEST, format!("{fault}\n\n{}", control::help(&address.to_string())))
}

fn text(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", text)
}

fn json(value: &Value) -> Response<Full<Bytes>> {
    respond(StatusCode::OK, "application/json", format!("{value}\n"))
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

const LONGEST_BODY: usize = 16 * 1024 * 1024;
const AFTER_ACCEPT_ERROR: Duration = Duration::from_secs(1);
