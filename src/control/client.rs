//! The client of the control socket, for the verbs.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::SERVER;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::api::{ChannelTest, DaemonStatus, ErrorBody, GatewayStatus, Tried};
use super::listening::EventStream;
use super::paths::connect_at_once;
use crate::gateway::Trust;
use crate::history::report::HistoryReport;
use crate::http::SERVER_NAME;

/// A daemon that answers at a socket.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    socket: PathBuf,
}

/// Why a daemon did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No process listens there.
    #[error("no daemon answers at {}; is it running? `systemctl status tickled` shows it; --socket PATH names another socket", listed(.0))]
    NoDaemon(Vec<PathBuf>),
    /// This user may not use the socket.
    #[error(
        "this user may not use {}; join the group of the socket (`sudo usermod -aG tickled $USER`, and log in again), \
         or use sudo",
        .0.display()
    )]
    NotAllowed(PathBuf),
    /// The daemon does not answer.
    #[error("the daemon at {} {why}; `systemctl status tickled` says how it is", .socket.display())]
    Silent {
        /// The socket.
        socket: PathBuf,
        /// What went wrong.
        why: &'static str,
    },
    /// The daemon does not answer as it should.
    #[error("the daemon at {} {why}", .socket.display())]
    Broken {
        /// The socket.
        socket: PathBuf,
        /// What went wrong.
        why: String,
    },
    /// The daemon refused, for this reason.
    #[error("{0}")]
    Refused(String),
}

impl Client {
    /// Finds the first daemon that answers at one of these sockets. Does not wait.
    pub(crate) fn find(sockets: Vec<PathBuf>) -> Result<Self, Error> {
        let mut barred = None;
        for place in &sockets {
            match connect_at_once(place) {
                Ok(_) => return Self::at(place.clone()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let why = "accepts no connection: it is stopped or hangs";
                    return Err(Error::Silent { socket: place.clone(), why });
                }
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => barred = Some(place.clone()),
                Err(_) => {}
            }
        }
        Err(barred.map_or(Error::NoDaemon(sockets), Error::NotAllowed))
    }

    fn at(socket: PathBuf) -> Result<Self, Error> {
        let builder = reqwest::Client::builder().unix_socket(socket.clone()).no_proxy();
        // There is no TLS here, but reqwest needs a TLS backend to build a client.
        let tls = Trust::Loopback.config().map_err(|error| error.to_string());
        let built =
            tls.and_then(|tls| builder.tls_backend_preconfigured(tls).build().map_err(|error| error.to_string()));
        match built {
            Ok(http) => Ok(Self { http, socket }),
            Err(error) => Err(Error::Broken { socket, why: format!("cannot be asked: {error}") }),
        }
    }

    /// Returns the status of the daemon and of all gateways.
    pub(crate) async fn status(&self) -> Result<DaemonStatus, Error> {
        self.ask(Method::GET, "/v1/status", None).await
    }

    /// Returns the status of one gateway.
    pub(crate) async fn gateway(&self, name: &str) -> Result<GatewayStatus, Error> {
        self.ask(Method::GET, &of_gateway(name, "")?, None).await
    }

    /// Returns the history; `since` as `7d`.
    pub(crate) async fn history(&self, since: &str) -> Result<HistoryReport, Error> {
        self.ask(Method::GET, &format!("/v1/history?since={since}"), None).await
    }

    /// Listens to what happens.
    pub(crate) async fn listen(&self) -> Result<EventStream, Error> {
        let request = self.http.get("http://tickled/v1/events").send();
        let response = timeout(ANSWERED_WITHIN, request).await.map_err(|_| self.silent("does not answer in time"))?;
        let response = response.map_err(|error| self.silent(silence(&error)))?;
        match response.status() {
            StatusCode::OK => Ok(EventStream::new(response)),
            status => Err(self.broken(&format!("does not say what happens ({status})"))),
        }
    }

    /// Checks one gateway at once, or all.
    pub(crate) async fn check(&self, gateway: Option<&str>) -> Result<String, Error> {
        let path = gateway.map_or_else(|| Ok("/v1/check".to_owned()), |name| of_gateway(name, "/check"))?;
        self.have(&path, json!({})).await
    }

    /// Pauses a gateway, for a time such as `30m` or until it is resumed.
    pub(crate) async fn pause(&self, gateway: &str, over: Option<&str>) -> Result<String, Error> {
        let body = over.map_or_else(|| json!({}), |over| json!({ "for": over }));
        self.have(&of_gateway(gateway, "/pause")?, body).await
    }

    /// Ends a pause, or has the daemon try again.
    pub(crate) async fn resume(&self, gateway: &str) -> Result<String, Error> {
        self.have(&of_gateway(gateway, "/resume")?, json!({})).await
    }

    /// Ends a gateway's session on purpose.
    pub(crate) async fn log_out(&self, gateway: &str) -> Result<String, Error> {
        self.have(&of_gateway(gateway, "/logout")?, json!({})).await
    }

    /// Acknowledges open alerts, which are then not repeated: of one gateway or all, of one kind or all.
    pub(crate) async fn acknowledge(&self, gateway: Option<&str>, code: Option<&str>) -> Result<String, Error> {
        self.have("/v1/alerts/acknowledge", json!({ "gateway": gateway, "code": code })).await
    }

    /// Sends a marked test through one channel, or all, with the weight of the alert `code`.
    pub(crate) async fn test(&self, channel: Option<&str>, code: Option<&str>) -> Result<Vec<ChannelTest>, Error> {
        let body = json!({ "channel": channel, "as": code });
        self.ask_within(TESTED_WITHIN, Method::POST, "/v1/alerts/test", Some(body)).await
    }

    /// Runs a hook as a test, for one gateway or for the first one, and waits for its end.
    pub(crate) async fn test_hook(&self, hook: &str, gateway: Option<&str>) -> Result<Tried, Error> {
        let path = named("hook", hook, "/test")?;
        self.ask_within(HOOK_TESTED_WITHIN, Method::POST, &path, Some(json!({ "gateway": gateway }))).await
    }

    async fn have(&self, path: &str, body: Value) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct Done {
            done: String,
        }
        self.ask(Method::POST, path, Some(body)).await.map(|Done { done }| done)
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<Value>) -> Result<T, Error> {
        self.ask_within(ANSWERED_WITHIN, method, path, body).await
    }

    async fn ask_within<T: DeserializeOwned>(
        &self,
        limit: Duration,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<T, Error> {
        let mut request = self.http.request(method, format!("http://tickled{path}")).timeout(limit);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.map_err(|error| self.silent(silence(&error)))?;
        let (status, server) = (response.status(), response.headers().get(SERVER).cloned());
        let text = response.bytes().await.map_err(|error| self.broken(&format!("breaks off: {error}")))?;
        let server = server.as_ref().and_then(|server| server.to_str().ok()).unwrap_or("something else");
        let read = if status == StatusCode::OK {
            serde_json::from_slice(&text)
        } else {
            match serde_json::from_slice(&text) {
                // Both sides know the same paths, if they are of the same version.
                Ok(ErrorBody { error }) if server == SERVER_NAME => return Err(Error::Refused(error)),
                Ok(ErrorBody { error }) => {
                    let why = format!("is {server}, and this is {SERVER_NAME}: {error}; {}", way_out(server));
                    return Err(self.broken(&why));
                }
                Err(error) => Err(error),
            }
        };
        read.map_err(|error| {
            let why = format!("is {server}, and {SERVER_NAME} cannot read its answer ({status}): {error}");
            self.broken(&format!("{why}; {}", way_out(server)))
        })
    }

    fn silent(&self, why: &'static str) -> Error {
        Error::Silent { socket: self.socket.clone(), why }
    }

    fn broken(&self, why: &str) -> Error {
        Error::Broken { socket: self.socket.clone(), why: why.to_owned() }
    }
}

/// The path of a gateway. An invalid name must not become another path, such as `main/logout#`.
fn of_gateway(name: &str, rest: &str) -> Result<String, Error> {
    named("gateway", name, rest)
}

/// The same for anything with a name.
fn named(what: &str, name: &str, rest: &str) -> Result<String, Error> {
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if is_name {
        Ok(format!("/v1/{what}s/{name}{rest}"))
    } else {
        Err(Error::Refused(format!("there is no {what} {name:?}: a name has letters, digits, - and _")))
    }
}

fn listed(places: &[PathBuf]) -> String {
    let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
    places.join(" or ")
}

/// Why there was no answer.
fn silence(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() { "does not answer in time" } else { "hangs up before it answers" }
}

/// What to do when both sides do not understand each other.
fn way_out(server: &str) -> &'static str {
    if server == SERVER_NAME {
        "that is a fault of tickled; please report it"
    } else if server.starts_with("tickled/") {
        "`sudo systemctl restart tickled` starts the installed version"
    } else {
        "name the socket of the daemon: --socket PATH"
    }
}

/// Most answers come from memory; the history comes from a disk that may be slow.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// A test of a hook may wait for another run of it.
const HOOK_TESTED_WITHIN: Duration = Duration::from_secs(60);
/// A test of all channels takes longest.
const TESTED_WITHIN: Duration = Duration::from_secs(35);
