//! The gateway's JSON exactly as it comes, and what an answer means. Pure.
//!
//! Field names in the code are Rust's; IBKR's own stand in each field's description. Every field but the three flags is
//! optional, a missing flag is false, a field of an unexpected type counts as missing. What is personal (MAC,
//! `hardware_info`, names, addresses) is not read at all.

use std::fmt;
use std::time::Duration;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::error_kind::ErrorKind;

/// The answer to a check, and to `open_brokerage`; also found inside a ping's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct AuthStatus {
    /// `authenticated`: the brokerage session is authenticated.
    #[serde(default, deserialize_with = "flag")]
    pub authenticated: bool,
    /// `connected`: the gateway is connected to IBKR's backend, authenticated or not.
    #[serde(default, deserialize_with = "flag")]
    pub connected: bool,
    /// `competing`: the user has a brokerage session elsewhere. True is reliable, false is no information.
    #[serde(default, deserialize_with = "flag")]
    pub competing: bool,
    /// `established`: login message and accounts have arrived. Only newer builds say so.
    #[serde(default, deserialize_with = "lenient")]
    pub established: Option<bool>,
    /// `message`: empty when all is well.
    #[serde(default, deserialize_with = "lenient")]
    pub message: Option<String>,
    /// `fail`: why authentication failed; empty when all is well.
    #[serde(default, deserialize_with = "lenient")]
    pub fail: Option<String>,
    /// `serverInfo`: absent or null when not authenticated.
    #[serde(default, rename = "serverInfo", deserialize_with = "lenient")]
    pub server_info: Option<ServerInfo>,
}

/// `serverInfo`: which of IBKR's servers holds the session.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct ServerInfo {
    /// `serverName`
    #[serde(default, rename = "serverName", deserialize_with = "lenient")]
    pub server_name: Option<String>,
    /// `serverVersion`
    #[serde(default, rename = "serverVersion", deserialize_with = "lenient")]
    pub server_version: Option<String>,
}

/// The answer to a ping.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Tickle {
    /// `session`: the id that opens the websocket, if the client keeps it.
    #[serde(default, deserialize_with = "session")]
    pub session: Option<SessionId>,
    /// `ssoExpires`: milliseconds until the single sign-on ends. It falls from about 600000 and jumps back: a low
    /// value alone is no alarm, and a high one says nothing about the brokerage session.
    #[serde(default, rename = "ssoExpires", deserialize_with = "lenient")]
    pub sso_expires: Option<i64>,
    /// `iserver.authStatus`: missing when the gateway has no session.
    #[serde(default, rename = "iserver", deserialize_with = "iserver")]
    pub auth_status: Option<AuthStatus>,
    /// `error`: as "no session", which does not prove that the login is gone.
    #[serde(default, deserialize_with = "lenient")]
    pub error: Option<String>,
}

/// A session id. It gives access to the session, so it is never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SessionId(String);

impl SessionId {
    /// The id itself, for the one place that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(..)")
    }
}

/// The answer to `reauthenticate`. None of these is success: only a later check is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reauthentication {
    /// `{"message":"triggered"}`: the gateway has begun, and says nothing about the outcome.
    Triggered,
    /// `{"message":"Authenticated"}`
    Authenticated,
    /// `{"message":"Reauthenticated.", ...}`
    Reauthenticated,
    /// `{"error":"not logged in"}`: no browser login went through this gateway process since it started.
    NotLoggedIn,
    /// Another `message` or `error`, at most 200 bytes of it.
    Other(String),
}

/// The answer to `validate_sso`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct SsoValidation {
    /// `RESULT`: whether the login is valid; some builds send a number. A single false is known to flicker.
    #[serde(default, rename = "RESULT", deserialize_with = "truth")]
    pub result: bool,
    /// `EXPIRES`: milliseconds to expiry, unless validated again.
    #[serde(default, rename = "EXPIRES", deserialize_with = "lenient")]
    pub expires: Option<i64>,
    /// `AUTH_TIME`: epoch milliseconds of the login.
    #[serde(default, rename = "AUTH_TIME", deserialize_with = "lenient")]
    pub auth_time: Option<i64>,
    /// `lastAccessed`: epoch milliseconds.
    #[serde(default, rename = "lastAccessed", deserialize_with = "lenient")]
    pub last_accessed: Option<i64>,
    /// `LOGIN_TYPE`: 1 live, 2 paper.
    #[serde(default, rename = "LOGIN_TYPE", deserialize_with = "lenient")]
    pub login_type: Option<i64>,
    /// `region`: as "NJ". Not documented as the midnight that applies.
    #[serde(default, deserialize_with = "lenient")]
    pub region: Option<String>,
    /// `CLIENT_APP`: null when the gateway holds the login, another application's name when that does.
    #[serde(default, rename = "CLIENT_APP", deserialize_with = "lenient")]
    pub client_app: Option<String>,
}

/// The answer to `accounts`. Which accounts they are is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct AccountsAnswer {
    /// The number of `accounts`. `None` for the answer `{}`, which comes while another client competes.
    #[serde(default, rename = "accounts", deserialize_with = "count")]
    pub count: usize,
    /// `isPaper`: the safest sign of a paper account.
    #[serde(default, rename = "isPaper", deserialize_with = "lenient")]
    pub is_paper: Option<bool>,
}

/// The answer to `end_session`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Logout {
    /// `status`
    #[serde(default)]
    pub status: bool,
}

/// An answer as it came: enough of it to tell what it means.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RawReply<'a> {
    /// The HTTP status; IBKR also uses 601.
    pub status: u16,
    /// `Location`
    pub location: Option<&'a str>,
    /// `Retry-After`
    pub retry_after: Option<Duration>,
    /// The body, whole.
    pub body: &'a [u8],
}

/// Whether a value with this key is read in any answer. No other needs to be kept, or to be valid.
pub(super) fn is_read(key: &[u8]) -> bool {
    KEYS.iter().any(|known| known.as_bytes() == key)
}

/// An answer that is not the one that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What it means.
    pub kind: ErrorKind,
    /// What is wrong with an answer that is not understood; otherwise empty.
    pub detail: String,
}

impl From<ErrorKind> for Refusal {
    fn from(kind: ErrorKind) -> Self {
        Self { kind, detail: String::new() }
    }
}

fn not_understood(detail: impl Into<String>) -> Refusal {
    Refusal { kind: ErrorKind::NotUnderstood, detail: detail.into() }
}

/// Reads the answer to a call that answers with `T`.
///
/// # Errors
/// What the answer means when it is not a `T`.
pub fn read<T: DeserializeOwned>(reply: &RawReply<'_>) -> Result<T, Refusal> {
    refusal(reply)?;
    let value = json(reply.body)?;
    if let Some(refused) = refusal_in(&value) {
        return Err(refused);
    }
    serde_json::from_value(value).map_err(|_| of_another_shape())
}

/// serde's message would quote the answer, which may be personal.
fn of_another_shape() -> Refusal {
    not_understood("JSON of another shape")
}

/// Reads the answer to `check_auth_status` and to `open_brokerage`.
///
/// # Errors
/// What the answer means when it is not a status: without a single flag it is not three false ones.
pub fn read_status(reply: &RawReply<'_>) -> Result<AuthStatus, Refusal> {
    let value: Value = read(reply)?;
    let has = |key| value.get(key).is_some();
    if !has("authenticated") && (has("error") || !has("connected") && !has("competing")) {
        return Err(not_understood("no flags in the place of a status"));
    }
    serde_json::from_value(value).map_err(|_| of_another_shape())
}

/// Reads the answer to `reauthenticate`.
///
/// # Errors
/// What the answer means when it is neither a message nor an error of the gateway's.
pub fn read_reauthentication(reply: &RawReply<'_>) -> Result<Reauthentication, Refusal> {
    refusal(reply)?;
    let value = json(reply.body)?;
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    match (text("message"), text("error")) {
        (Some("triggered"), _) => Ok(Reauthentication::Triggered),
        (Some("Authenticated"), _) => Ok(Reauthentication::Authenticated),
        (Some("Reauthenticated."), _) => Ok(Reauthentication::Reauthenticated),
        (_, Some("not logged in")) => Ok(Reauthentication::NotLoggedIn),
        (Some(other), _) | (None, Some(other)) => Ok(Reauthentication::Other(other.chars().take(50).collect())),
        (None, None) => Err(not_understood("neither a message nor an error in it")),
    }
}

/// Reads the answer to `GET /`: a gateway sends every visitor to its login page, whatever IBKR does.
///
/// # Errors
/// What the answer means when it is not a gateway's.
pub fn read_listening(reply: &RawReply<'_>) -> Result<(), Refusal> {
    match refusal(reply) {
        Err(Refusal { kind: ErrorKind::LoginPage, .. }) => Ok(()),
        Err(refused) if matches!(refused.kind, ErrorKind::AddressRefused | ErrorKind::TooManyRequests { .. }) => {
            Err(refused)
        }
        Ok(()) if is_login_page(reply.body) => Ok(()),
        Ok(()) | Err(_) => Err(ErrorKind::NotAGateway.into()),
    }
}

/// What the status line and headers alone refuse.
fn refusal(reply: &RawReply<'_>) -> Result<(), Refusal> {
    let denied = contains(reply.body, "access denied");
    match reply.status {
        200..=299 => Ok(()),
        300..=399 => Err(redirect(reply.location.unwrap_or_default())),
        400 => Err(json(reply.body)
            .ok()
            .and_then(|value| refusal_in(&value))
            .unwrap_or_else(|| not_understood("status 400"))),
        401 => Err(ErrorKind::Unauthorized { denied }.into()),
        403 => Err(ErrorKind::EdgeRefused.into()),
        404 if denied => Err(ErrorKind::AddressRefused.into()),
        404 | 405 | 410 => Err(ErrorKind::Gone.into()),
        411 => Err(not_understood("status 411: the length of an empty body was missing")),
        429 => Err(ErrorKind::TooManyRequests { retry_after: reply.retry_after }.into()),
        500..=599 => Err(ErrorKind::Ibkr.into()),
        601 => Err(ErrorKind::NoBrokerageSession.into()),
        other => Err(not_understood(format!("status {other}"))),
    }
}

fn redirect(location: &str) -> Refusal {
    let location = location.to_ascii_lowercase();
    let (page, query) = location.split_once('?').unwrap_or((&location, ""));
    let (host, path) = match page.split_once("://") {
        Some((_, rest)) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", page),
    };
    let host = host.split(':').next().unwrap_or_default();
    let is_ibkr = ["ibkr.com", "interactivebrokers.com", "ibllc.com"]
        .iter()
        .any(|domain| host.strip_suffix(domain).is_some_and(|left| left.is_empty() || left.ends_with('.')));
    // A proxy's own login may be at such a path too, on a host of its own.
    let is_gateway = host.is_empty() || is_ibkr || query.contains("forwardto=");
    if is_gateway && ["/sso/login", "/sso/dispatcher"].iter().any(|login| path.starts_with(login)) {
        ErrorKind::LoginPage.into()
    } else if is_ibkr {
        ErrorKind::Gone.into()
    } else {
        ErrorKind::NotAGateway.into()
    }
}

fn json(body: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(body).map_err(|e| {
        if is_login_page(body) {
            ErrorKind::LoginPage.into()
        } else if contains(body, "access denied") {
            ErrorKind::EdgeRefused.into()
        } else if body.is_empty() {
            not_understood("an empty body")
        } else {
            not_understood(format!("not JSON: {e}"))
        }
    })
}

/// A refusal that comes with status 200, in the words of IBKR's servers.
fn refusal_in(value: &Value) -> Option<Refusal> {
    if !value.is_object() {
        return Some(not_understood("JSON, and not an object"));
    }
    let error = value.get("error").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
    if value.get("statusCode").and_then(Value::as_u64) == Some(401) {
        Some(ErrorKind::Unauthorized { denied: false }.into())
    } else if error.contains("no bridge") || error.contains("init session first") {
        Some(ErrorKind::NoBrokerageSession.into())
    } else {
        None
    }
}

/// Whether it is the login page, which is shown only without a login. Many other pages link to it.
fn is_login_page(body: &[u8]) -> bool {
    if !body.trim_ascii_start().starts_with(b"<") {
        return false;
    }
    let mut tags =
        body.split(|byte| *byte == b'<').map(|piece| piece.split(|byte| *byte == b'>').next().unwrap_or_default());
    let asks_for_password = |tag: &[u8]| is_named(tag, "input") && contains(tag, "password");
    let posts_a_login = |tag: &[u8]| is_named(tag, "form") && contains(tag, "/sso/dispatcher");
    let is_ibkrs = ["/sso/", "user_name"].iter().any(|sign| contains(body, sign));
    tags.any(|tag| posts_a_login(tag) || is_ibkrs && asks_for_password(tag))
}

/// Whether what stands behind a `<` is an element of that name.
fn is_named(tag: &[u8], name: &str) -> bool {
    tag.split_at_checked(name.len()).is_some_and(|(begins, rest)| {
        begins.eq_ignore_ascii_case(name.as_bytes()) && rest.first().is_none_or(u8::is_ascii_whitespace)
    })
}

/// Whether `body` holds `needle` (in lower case), whatever the case there.
fn contains(body: &[u8], needle: &str) -> bool {
    body.windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle.as_bytes()))
}

/// A field that may be missing, null, or of an unexpected type.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(from)?).ok())
}

/// A flag: one that is null says as little as one that is missing.
fn flag<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    Ok(Option::<bool>::deserialize(from)?.unwrap_or_default())
}

fn truth<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::Bool(result) => result,
        Value::Number(number) => number.as_f64().is_some_and(|number| number > 0.0),
        Value::String(word) => word.eq_ignore_ascii_case("true"),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    })
}

fn session<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SessionId>, D::Error> {
    Ok(lenient(from)?.filter(|SessionId(id)| !id.is_empty()))
}

fn count<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    let list: Option<Vec<IgnoredAny>> = lenient(from)?;
    Ok(list.map_or(0, |list| list.len()))
}

/// A status inside a ping: its flags must be flags, or the whole answer is not understood.
fn iserver<'de, D: Deserializer<'de>>(from: D) -> Result<Option<AuthStatus>, D::Error> {
    match Value::deserialize(from)?.get_mut("authStatus").map(Value::take) {
        Some(status @ Value::Object(_)) => serde_json::from_value(status).map(Some).map_err(serde::de::Error::custom),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) | None => Ok(None),
    }
}

/// Every key that this file reads.
const KEYS: [&str; 25] = [
    "authenticated",
    "connected",
    "competing",
    "established",
    "message",
    "fail",
    "serverInfo",
    "serverName",
    "serverVersion",
    "session",
    "ssoExpires",
    "iserver",
    "authStatus",
    "error",
    "statusCode",
    "status",
    "RESULT",
    "EXPIRES",
    "AUTH_TIME",
    "lastAccessed",
    "LOGIN_TYPE",
    "region",
    "CLIENT_APP",
    "accounts",
    "isPaper",
];
