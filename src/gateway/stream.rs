//! The gateway's websocket. It reports a lapse within milliseconds, long before the next poll.
//!
//! It only reports trouble sooner. Whether all is well is decided by a check and a data call; a stream that is silent,
//! broken or unintelligible says nothing about the session.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use reqwest::header::{COOKIE, HeaderValue, USER_AGENT};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message as Frame};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::http::AGENT;
use super::metered::{Meter, Metered};
use super::{AuthStatus, Client, SessionId};

/// How long a stream may be silent, and how much it may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long it may take until it is ready, and between two heartbeats, which come every ten seconds.
    pub heartbeat_within: Duration,
    /// How often a `tic` is sent, which keeps it open.
    pub tic_every: Duration,
    /// How many bytes may come between two `tic`s.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { heartbeat_within: Duration::from_secs(30), tic_every: Duration::from_secs(60), bytes: 1024 * 1024 }
    }
}

/// What one frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamMessage {
    /// `system` with `hb`: the stream is alive.
    Heartbeat,
    /// `system` with `success`: the stream is ready. The user name in it is not kept.
    Ready,
    /// `waiting for session`
    Waiting,
    /// `sts`: the flags. They may be those of a moment ago: a false one is a reason to act, a good one none to believe.
    Status(AuthStatus),
    /// Something that says nothing about the session.
    Other,
    /// Not JSON, or JSON that is no object.
    Nonsense,
}

/// A message of a stream that is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Push {
    /// It is ready. Comes once, and first.
    Ready,
    /// It is alive.
    Heartbeat,
    /// The flags.
    Status(AuthStatus),
}

/// Why there is no stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamDown {
    /// No connection, or none with TLS.
    Unreachable(String),
    /// The gateway answered the request for it with this status.
    Refused(u16),
    /// It was opened, and was not ready in time.
    NeverReady,
    /// No heartbeat came in time.
    Silent,
    /// The gateway closed it, with this code where it gave one.
    Closed(Option<u16>),
    /// The connection broke.
    Broken(String),
    /// Frames or messages too large, or too many.
    TooMuch,
    /// A message could not be understood.
    Nonsense,
}

impl StreamDown {
    /// The name for machines.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Refused(_) => "refused",
            Self::NeverReady => "never-ready",
            Self::Silent => "silent",
            Self::Closed(_) => "closed",
            Self::Broken(_) => "broken",
            Self::TooMuch => "too-much",
            Self::Nonsense => "nonsense",
        }
    }
}

impl fmt::Display for StreamDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "it cannot be opened: {why}"),
            Self::Refused(status) => write!(f, "it is refused with status {status}"),
            Self::NeverReady => f.write_str("it was opened and did not become ready"),
            Self::Silent => f.write_str("no heartbeat came"),
            Self::Closed(Some(code)) => write!(f, "the gateway closed it with code {code}"),
            Self::Closed(None) => f.write_str("the gateway closed it"),
            Self::Broken(why) => write!(f, "the connection broke: {why}"),
            Self::TooMuch => f.write_str("more came than is reasonable"),
            Self::Nonsense => f.write_str("what came makes no sense"),
        }
    }
}

impl std::error::Error for StreamDown {}

/// Reads a frame, text or binary: both carry JSON in text.
#[must_use]
pub fn read(frame: &[u8]) -> StreamMessage {
    let Ok(value @ Value::Object(_)) = serde_json::from_slice::<Value>(frame) else {
        return StreamMessage::Nonsense;
    };
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    match text("topic") {
        Some("system") if value.get("success").is_some() => StreamMessage::Ready,
        Some("system") if value.get("hb").is_some() => StreamMessage::Heartbeat,
        Some("sts") => value.get("args").and_then(flags).map_or(StreamMessage::Other, StreamMessage::Status),
        None if text("message") == Some("waiting for session") => StreamMessage::Waiting,
        Some(_) | None => StreamMessage::Other,
    }
}

/// The flags, where there is one that says something. `connected` is often left out, and then says nothing either way.
fn flags(args: &Value) -> Option<AuthStatus> {
    let flag = |key: &str| args.get(key).and_then(Value::as_bool);
    let competing = flag("competing").unwrap_or_default();
    let authenticated = match flag("authenticated") {
        Some(authenticated) => authenticated,
        None if competing => false,
        None => return None,
    };
    let connected = flag("connected").unwrap_or(authenticated);
    Some(AuthStatus { authenticated, connected, competing, established: flag("established"), ..AuthStatus::default() })
}

type WebSocket = WebSocketStream<Metered>;

/// An open stream. Dropping it closes it.
#[derive(Debug)]
pub struct Stream {
    socket: WebSocket,
    meter: Arc<Meter>,
    limits: Limits,
    ready: bool,
    alive_until: Instant,
    tic_at: Instant,
    /// How many messages in a row could not be understood.
    nonsense: u8,
}

impl Client {
    /// Opens the gateway's stream: GET /v1/api/ws, with the session id of the last ping. It has a connection of
    /// its own, and does not affect other streams.
    ///
    /// # Errors
    /// Why there is none. The session is as it was.
    pub async fn stream(&self, session: &SessionId, limits: Limits) -> Result<Stream, StreamDown> {
        let late = |_| StreamDown::Unreachable("no answer in time".to_owned());
        let (socket, meter) =
            timeout(self.target.answer_within, self.open_websocket(Some(session))).await.map_err(late)??;
        meter.allow(limits.bytes);
        let now = Instant::now();
        Ok(Stream {
            socket,
            meter,
            limits,
            ready: false,
            alive_until: now + limits.heartbeat_within,
            tic_at: now + limits.tic_every,
            nonsense: 0,
        })
    }

    /// Asks whether IBKR answers the gateway: opens a websocket without a session, waits for one message, and closes
    /// it. It takes none of the gateway's five connections, so it is answered by a gateway all of whose connections are
    /// taken. While IBKR is silent each one leaves something behind in the gateway: use it rarely.
    ///
    /// # Errors
    /// [`StreamDown::NeverReady`] when it was opened and nothing came: IBKR does not answer. Anything else says nothing about
    /// IBKR.
    pub async fn probe_websocket(&self, within: Duration) -> Result<(), StreamDown> {
        let until = Instant::now() + within;
        let late = |_| StreamDown::Unreachable("no answer in time".to_owned());
        let (mut socket, _) = timeout_at(until, self.open_websocket(None)).await.map_err(late)??;
        let message = timeout_at(until, first_message(&mut socket)).await.unwrap_or(Err(StreamDown::NeverReady));
        // The gateway is notified of the end, if it reads.
        drop(timeout(FAREWELL, socket.close(None)).await);
        message
    }

    async fn open_websocket(&self, session: Option<&SessionId>) -> Result<(WebSocket, Arc<Meter>), StreamDown> {
        let request = request(self.target.url.as_str(), session)?;
        let connection = self.http.connector().connect(self.target.answer_within).await;
        let pipe = connection.map_err(|error| StreamDown::Unreachable(error.to_string()))?.io;
        let meter = pipe.meter();
        meter.allow(HANDSHAKE);
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(0)
            .max_write_buffer_size(LARGEST)
            .max_message_size(Some(LARGEST))
            .max_frame_size(Some(LARGEST));
        let (socket, _) = client_async_with_config(request, pipe, Some(config)).await.map_err(handshake_failed)?;
        meter.allow(HANDSHAKE);
        Ok((socket, meter))
    }
}

/// Waits for a message that makes sense.
async fn first_message(socket: &mut WebSocket) -> Result<(), StreamDown> {
    for _ in 0..=NONSENSE {
        let frame = loop {
            match socket.next().await.ok_or(StreamDown::Closed(None))?.map_err(broken)? {
                Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_) => {}
                Frame::Close(close) => return Err(StreamDown::Closed(close.map(|close| close.code.into()))),
                frame @ (Frame::Text(_) | Frame::Binary(_)) => break frame,
            }
        };
        if read(&frame.into_data()) != StreamMessage::Nonsense {
            return Ok(());
        }
    }
    Err(StreamDown::Nonsense)
}

fn request(url: &str, session: Option<&SessionId>) -> Result<Request, StreamDown> {
    // A URL begins with http or https, and its websocket's with ws or wss.
    let url = format!("ws{}{PATH}", url.strip_prefix("http").unwrap_or(url));
    let mut request = url.into_client_request().map_err(|error| StreamDown::Unreachable(error.to_string()))?;
    if let Some(session) = session {
        let cookie = format!("api={}", json!({ "session": session.expose() }));
        let unfit = |_| StreamDown::Unreachable("the session id cannot be sent".to_owned());
        let mut cookie = HeaderValue::try_from(cookie).map_err(unfit)?;
        cookie.set_sensitive(true);
        request.headers_mut().insert(COOKIE, cookie);
    }
    request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
    Ok(request)
}

impl Stream {
    /// Returns the next message. Heartbeats are expected whatever else comes.
    ///
    /// # Errors
    /// Why the stream has ended.
    pub async fn next(&mut self) -> Result<Push, StreamDown> {
        loop {
            let frame = tokio::select! {
                biased;
                () = sleep_until(self.alive_until) => {
                    return Err(if self.ready { StreamDown::Silent } else { StreamDown::NeverReady });
                }
                () = sleep_until(self.tic_at) => {
                    self.tic().await?;
                    continue;
                }
                frame = self.socket.next() => frame.ok_or(StreamDown::Closed(None))?.map_err(broken)?,
            };
            let message = match &frame {
                Frame::Text(_) | Frame::Binary(_) => read(&frame.into_data()),
                Frame::Close(close) => return Err(StreamDown::Closed(close.as_ref().map(|close| close.code.into()))),
                Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_) => continue,
            };
            if let Some(push) = self.take(message)? {
                return Ok(push);
            }
        }
    }

    fn take(&mut self, message: StreamMessage) -> Result<Option<Push>, StreamDown> {
        self.nonsense = if message == StreamMessage::Nonsense { self.nonsense.saturating_add(1) } else { 0 };
        let push = match message {
            StreamMessage::Nonsense if self.nonsense > NONSENSE => return Err(StreamDown::Nonsense),
            // Before it is ready, the flags are not those of the session.
            StreamMessage::Status(_) | StreamMessage::Heartbeat if !self.ready => return Ok(None),
            StreamMessage::Nonsense | StreamMessage::Other | StreamMessage::Waiting => return Ok(None),
            StreamMessage::Ready if self.ready => Push::Heartbeat,
            StreamMessage::Ready => Push::Ready,
            StreamMessage::Heartbeat => Push::Heartbeat,
            StreamMessage::Status(status) => return Ok(Some(Push::Status(status))),
        };
        self.ready = true;
        self.alive_until = Instant::now() + self.limits.heartbeat_within;
        Ok(Some(push))
    }

    /// Keeps the stream open once it is ready; anything sent before is lost.
    async fn tic(&mut self) -> Result<(), StreamDown> {
        self.tic_at = Instant::now() + self.limits.tic_every;
        self.meter.allow(self.limits.bytes);
        if !self.ready {
            return Ok(());
        }
        let sent = timeout_at(self.alive_until, self.socket.send(Frame::text("tic"))).await;
        sent.map_err(|_| StreamDown::Silent)?.map_err(broken)
    }
}

fn handshake_failed(error: tungstenite::Error) -> StreamDown {
    if let tungstenite::Error::Http(response) = error {
        return StreamDown::Refused(response.status().as_u16());
    }
    let down = broken(error);
    if let StreamDown::Broken(why) = down { StreamDown::Unreachable(why) } else { down }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the list is the websocket library's, and grows")]
fn broken(error: tungstenite::Error) -> StreamDown {
    match error {
        tungstenite::Error::ConnectionClosed
        | tungstenite::Error::AlreadyClosed
        | tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => StreamDown::Closed(None),
        tungstenite::Error::Capacity(_) | tungstenite::Error::AttackAttempt => StreamDown::TooMuch,
        tungstenite::Error::Io(error) if error.kind() == io::ErrorKind::QuotaExceeded => StreamDown::TooMuch,
        tungstenite::Error::Io(error) => StreamDown::Broken(error.to_string()),
        tungstenite::Error::Protocol(_) | tungstenite::Error::Utf8(_) => StreamDown::Nonsense,
        other => StreamDown::Broken(other.to_string()),
    }
}

/// How long the closing of a websocket may take.
const FAREWELL: Duration = Duration::from_secs(1);
const PATH: &str = "/v1/api/ws";
/// No message worth reading is longer.
const LARGEST: usize = 64 * 1024;
/// All that may come before the stream is open.
const HANDSHAKE: u64 = 64 * 1024;
/// What is read at once; messages are a few hundred bytes.
const BUFFER: usize = 4 * 1024;
/// How many messages in a row may be unintelligible.
const NONSENSE: u8 = 8;
