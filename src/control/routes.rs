//! Paths, queries and bodies of the control socket on their way to a command. Pure.

use std::time::Duration;

use hyper::Method;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::api::{Command, Until};
use crate::alert::Code;

/// A request of the API.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// The method.
    pub method: &'static str,
    /// The path, with placeholders in capitals.
    pub path: &'static str,
    /// What it does.
    pub what: &'static str,
}

/// All requests of the API.
pub const ROUTES: &[Route] = &[
    Route { method: "GET", path: "/v1/status", what: "state of the daemon and of all gateways" },
    Route { method: "GET", path: "/v1/gateways/NAME", what: "state of one gateway" },
    Route { method: "GET", path: "/v1/history?since=7d", what: "states over time, outages, share of live time" },
    Route { method: "GET", path: "/v1/config", what: "the configuration in force, as TOML" },
    Route { method: "GET", path: "/v1/events?gateway=NAME", what: "what happens, as Server-Sent Events" },
    Route { method: "POST", path: "/v1/check", what: "checks all gateways at once" },
    Route { method: "POST", path: "/v1/gateways/NAME/check", what: "checks one gateway at once" },
    Route {
        method: "POST",
        path: "/v1/gateways/NAME/pause",
        what: "stops all requests to it, for a time or until it is resumed",
    },
    Route {
        method: "POST",
        path: "/v1/gateways/NAME/resume",
        what: "ends its pause, or retries a recovery that was given up",
    },
    Route {
        method: "POST",
        path: "/v1/gateways/NAME/ensure?within=30s",
        what: "checks it, and waits until its session is live or a human is needed",
    },
    Route { method: "POST", path: "/v1/gateways/NAME/logout", what: "ends its session; this raises no alert" },
    Route {
        method: "POST",
        path: "/v1/alerts/acknowledge",
        what: "acknowledges open alerts: no more repeats until they resolve",
    },
    Route { method: "POST", path: "/v1/hooks/NAME/test", what: "runs a hook as a test, and waits for its end" },
    Route { method: "POST", path: "/v1/alerts/test", what: "sends a marked test through the channels" },
];

/// What a request is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ParsedRequest {
    /// Something that the daemon's loop answers.
    Command(Command),
    /// The status of the gateway of that name.
    Gateway(String),
    /// The history of this much time, up to now.
    History(Duration),
    /// The events of all gateways, or of this one.
    Events(Option<String>),
    /// Wait for the session of this gateway, for so long.
    Ensure(String, Duration),
}

/// Why a request is rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BadRequest {
    /// The path does not exist.
    NoSuchPath,
    /// The path takes another method.
    OtherMethod(&'static str),
    /// Query or body make no sense, in words.
    Nonsense(String),
}

/// What a request asks for.
pub(super) fn read(method: &Method, path: &str, query: &str, body: &[u8]) -> Result<ParsedRequest, BadRequest> {
    // Names contain no character that a URL would have to escape.
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let is_post = match *parts {
        ["v1", "status" | "config" | "history" | "events"] | ["v1", "gateways", _] => false,
        ["v1", "check"]
        | ["v1", "gateways", _, "check" | "pause" | "resume" | "logout" | "ensure"]
        | ["v1", "alerts", "acknowledge" | "test"]
        | ["v1", "hooks", _, "test"] => true,
        _ => return Err(BadRequest::NoSuchPath),
    };
    match (is_post, method) {
        (true, &Method::POST) | (false, &Method::GET) => {}
        (true, _) => return Err(BadRequest::OtherMethod("POST")),
        (false, _) => return Err(BadRequest::OtherMethod("GET")),
    }
    let command = match *parts {
        ["v1", "status"] => Command::Status,
        ["v1", "config"] => Command::Config,
        ["v1", "history"] => return history(query),
        ["v1", "events"] => return Ok(ParsedRequest::Events(parameter(query, "gateway", "NAME")?.map(str::to_owned))),
        ["v1", "gateways", name, "ensure"] => {
            nothing(body).map(|Nothing {}| ())?;
            return ensure(name, query);
        }
        ["v1", "gateways", name] => return Ok(ParsedRequest::Gateway(name.to_owned())),
        ["v1", "check"] => nothing(body).map(|Nothing {}| Command::Check(None))?,
        ["v1", "gateways", name, "check"] => nothing(body).map(|Nothing {}| Command::Check(Some(name.to_owned())))?,
        ["v1", "gateways", name, "resume"] => nothing(body).map(|Nothing {}| Command::Resume(name.to_owned()))?,
        ["v1", "gateways", name, "logout"] => nothing(body).map(|Nothing {}| Command::Logout(name.to_owned()))?,
        ["v1", "gateways", name, "pause"] => Command::Pause(name.to_owned(), parsed::<PauseBody>(body)?.until()?),
        ["v1", "hooks", name, "test"] => {
            let TestHook { gateway } = parsed(body)?;
            Command::TestHook(name.to_owned(), gateway)
        }
        ["v1", "alerts", "acknowledge"] => {
            let Acknowledge { gateway, code } = parsed(body)?;
            Command::Acknowledge(gateway, code_of(code.as_deref())?)
        }
        ["v1", "alerts", "test"] => {
            let TestBody { channel, code } = parsed(body)?;
            Command::Test { channel, code: code_of(code.as_deref())? }
        }
        _ => return Err(BadRequest::NoSuchPath),
    };
    Ok(ParsedRequest::Command(command))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PauseBody {
    #[serde(rename = "for")]
    over: Option<String>,
    until: Option<Timestamp>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Acknowledge {
    gateway: Option<String>,
    code: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TestBody {
    channel: Option<String>,
    #[serde(rename = "as")]
    code: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TestHook {
    gateway: Option<String>,
}

impl PauseBody {
    fn until(self) -> Result<Until, BadRequest> {
        match (self.over, self.until) {
            (None, None) => Ok(Until::Resumed),
            (None, Some(until)) => Ok(Until::At(until)),
            (Some(over), None) => {
                let fault = || BadRequest::Nonsense(format!("for: write it like 30m, 2h or 1d, {MOST} at most"));
                span(&over).map(Until::Over).ok_or_else(fault)
            }
            (Some(_), Some(_)) => Err(BadRequest::Nonsense("for and until say the same: give one of them".to_owned())),
        }
    }
}

fn history(query: &str) -> Result<ParsedRequest, BadRequest> {
    let fault = || BadRequest::Nonsense(format!("since: write it like 12h or 30d, {MOST} at most"));
    let since = parameter(query, "since", "7d")?.map(|since| span(since).ok_or_else(fault)).transpose()?;
    Ok(ParsedRequest::History(since.unwrap_or(DEFAULT_HISTORY)))
}

fn ensure(name: &str, query: &str) -> Result<ParsedRequest, BadRequest> {
    let fault = || BadRequest::Nonsense("within: write it like 30s, 1m at most".to_owned());
    let short = |within: &str| span(within).filter(|within| *within <= ENSURED_WITHIN).ok_or_else(fault);
    let within = parameter(query, "within", "30s")?.map(short).transpose()?;
    Ok(ParsedRequest::Ensure(name.to_owned(), within.unwrap_or(DEFAULT_ENSURED_WITHIN)))
}

/// The value of the only parameter that is known, if it is given.
fn parameter<'q>(query: &'q str, known: &str, example: &str) -> Result<Option<&'q str>, BadRequest> {
    let mut found = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if key != known {
            return Err(BadRequest::Nonsense(format!("{key} is not known here: give {known}={example}, or nothing")));
        }
        found = Some(value);
    }
    Ok(found)
}

/// Parses `30m`, `2h` or `7d`. A day has 24 hours.
#[must_use]
pub fn span(text: &str) -> Option<Duration> {
    let days = || DAY.checked_mul(text.strip_suffix('d')?.parse().ok()?);
    let span = text.parse::<SignedDuration>().ok().and_then(|span| Duration::try_from(span).ok()).or_else(days)?;
    (!span.is_zero() && span <= LONGEST).then_some(span)
}

fn nothing(body: &[u8]) -> Result<Nothing, BadRequest> {
    if body.iter().all(u8::is_ascii_whitespace) { Ok(Nothing {}) } else { parsed(body) }
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, BadRequest> {
    let body = if body.iter().all(u8::is_ascii_whitespace) { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| BadRequest::Nonsense(format!("the body makes no sense: {error}")))
}

fn code_of(name: Option<&str>) -> Result<Option<Code>, BadRequest> {
    name.map(str::parse).transpose().map_err(BadRequest::Nonsense)
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const DEFAULT_HISTORY: Duration = DAY.saturating_mul(7);
const LONGEST: Duration = DAY.saturating_mul(366);
const DEFAULT_ENSURED_WITHIN: Duration = Duration::from_secs(30);
/// The longest time that a request may wait for a session.
const ENSURED_WITHIN: Duration = Duration::from_secs(60);
const MOST: &str = "366d";
