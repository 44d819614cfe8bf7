//! The gateway's port: connections, TLS, HTTP, and the ways an answer can fail to come.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_LENGTH, HeaderMap, USER_AGENT};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustix::net::sockopt::set_socket_linger;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::body::Page;
use super::browser;
use super::shared_world::SharedWorld;
use super::stream;
use super::world::{Answer, Call, Method, Reply, Route, What};

/// The gateway's port.
pub(super) struct Server {
    world: Arc<SharedWorld>,
    address: SocketAddr,
    acceptor: Option<TlsAcceptor>,
}

impl Server {
    pub(super) fn new(world: Arc<SharedWorld>, address: SocketAddr, acceptor: Option<TlsAcceptor>) -> Server {
        Server { world, address, acceptor }
    }

    /// Listens as long as a gateway process lives, then is not there, then listens for the next one.
    pub(super) async fn serve(self, first: TcpListener) -> io::Result<()> {
        let mut listener = first;
        loop {
            self.serve_process(&listener, self.world.process()).await;
            drop(listener);
            if !self.world.listens().await {
                return Ok(());
            }
            listener = TcpListener::bind(self.address).await?;
        }
    }

    /// Serves until the process with this number has ended; its connections end with it.
    async fn serve_process(&self, listener: &TcpListener, number: u32) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = self.world.ended(number) => return,
                accepted = listener.accept() => match accepted {
                    Ok((tcp, _)) => {
                        connections.spawn(connect(Arc::clone(&self.world), tcp, self.acceptor.clone()));
                    }
                    Err(error) => {
                        tracing::debug!(%error, "the simulated gateway cannot accept");
                        tokio::time::sleep(AFTER_ACCEPT_ERROR).await;
                    }
                },
                Some(_done) = connections.join_next() => {}
            }
        }
    }
}

async fn connect(world: Arc<SharedWorld>, tcp: TcpStream, acceptor: Option<TlsAcceptor>) {
    let (number, port) = (world.count_connection(), tcp.local_addr().map_or(0, |address| address.port()));
    drop(tcp.set_nodelay(true));
    let Ok(socket) = tcp.as_fd().try_clone_to_owned() else { return };
    let connection = Connection { world, number, port, socket: Arc::new(socket) };
    match acceptor {
        None => connection.serve(tcp).await,
        Some(acceptor) => match acceptor.accept(tcp).await {
            Ok(tls) => connection.serve(tls).await,
            Err(error) => tracing::debug!(%error, "no TLS with the simulated gateway"),
        },
    }
}

/// One connection of a client.
#[derive(Clone)]
struct Connection {
    world: Arc<SharedWorld>,
    number: u64,
    /// The gateway's port.
    port: u16,
    /// The same socket, to end it in a reset.
    socket: Arc<OwnedFd>,
}

impl Connection {
    async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, socket: S) {
        let service = service_fn(move |request| {
            let connection = self.clone();
            async move { connection.answer(request).await }
        });
        let http = hyper::server::conn::http1::Builder::new();
        if let Err(error) = http.serve_connection(TokioIo::new(socket), service).with_upgrades().await {
            tracing::debug!(%error, "a connection to the simulated gateway ended");
        }
    }

    async fn answer(self, mut request: Request<Incoming>) -> io::Result<Response<Page>> {
        let call = read(&mut request, self.port).await;
        let (Reply { after, mut what, .. }, late) =
            self.world.handle(&call, request.method().as_str(), request.uri().path(), self.number);
        tokio::time::sleep(after).await;
        if let Some(late) = late
            && let Ok(late) = late.await
        {
            tokio::time::sleep_until(self.world.moment(late.at)).await;
            what = late.what;
        }
        match what {
            What::Hang => pending().await,
            What::Reset | What::Refused => {
                // Without lingering, its close is a reset.
                let _ = set_socket_linger(&self.socket, Some(Duration::ZERO));
                Err(io::ErrorKind::ConnectionReset.into())
            }
            What::Answer(Answer::Upgrade) => Ok(stream::upgrade(&self.world, request)),
            What::Answer(answer) if call.route.is_own() || answer == Answer::AccessDenied => {
                Ok(respond(&answer, Page::Whole))
            }
            What::Answer(answer) => Ok(respond(&answer, Page::Chunked)),
            What::Cut(answer) => Ok(respond(&answer, |body| Page::cut(&body))),
            What::Drip(answer) => Ok(respond(&answer, |_| Page::drip())),
        }
    }
}

fn respond(answer: &Answer, page: impl FnOnce(Bytes) -> Page) -> Response<Page> {
    let rendered = answer.render();
    let mut response = Response::new(page(Bytes::from(rendered.body)));
    *response.status_mut() = StatusCode::from_u16(rendered.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in rendered.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<hyper::header::HeaderName>(), value.parse()) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// What the world needs to know of a request. Whatever a login posts is not read.
async fn read(request: &mut Request<Incoming>, port: u16) -> Call {
    let headers: &HeaderMap = request.headers();
    let mut call = Call {
        method: Method::parse(request.method().as_str()),
        content_length: headers.contains_key(CONTENT_LENGTH),
        user_agent: headers.get(USER_AGENT).is_some_and(|agent| !agent.is_empty()),
        query: request.uri().query().unwrap_or_default().to_owned(),
        ..Call::get(Route::parse(request.uri().path()))
    };
    call.foreign = browser::is_foreign(headers, &call, port);
    if call.method != Method::Get && !call.route.is_own() && call.route != Route::Dispatcher {
        let body = match Limited::new(request.body_mut(), LONGEST_BODY).collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => Bytes::new(),
        };
        call.body = serde_json::from_slice(&body).unwrap_or_default();
    }
    let is_true = |key: &str| call.body[key] == Value::Bool(true) || call.param(key).as_deref() == Some("true");
    let (publish, compete) = (is_true("publish"), is_true("compete"));
    Call { publish, compete, ..call }
}

const LONGEST_BODY: usize = 64 * 1024;
const AFTER_ACCEPT_ERROR: Duration = Duration::from_secs(1);
