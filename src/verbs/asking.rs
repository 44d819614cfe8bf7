//! What asks a running daemon: status, check, pause, resume, logout, ack.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::{Exit, glance, past};
use crate::control::{self, Client, Error, Gateway, Status};
use crate::history::chart::svg;
use crate::session::StateKind;

/// What a verb says, and how it ended.
pub type Said = Result<(String, Exit), Error>;

/// How everything is, or some of the gateways.
///
/// # Errors
/// When no daemon answers, it may not be asked, or one of the gateways is not there.
pub async fn status(socket: Option<&Path>, gateways: &[String], form: Form) -> Said {
    let status = Client::find(socket)?.status().await?;
    shown(&chosen(status, gateways)?, form)
}

/// What a history says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// In the form that was asked for.
    pub text: String,
    /// As a picture.
    pub svg: String,
}

/// How everything was, or some of the gateways; `since` as `7d`.
///
/// # Errors
/// When no daemon answers, it may not be asked, it keeps no history, or one of the gateways is not there.
pub async fn history(socket: Option<&Path>, gateways: &[String], since: &str, form: Form) -> Result<Past, Error> {
    if control::span(since).is_none() {
        return Err(Error::Refused(format!("{since:?} is no time to look back; write it like 24h, 7d or 30d")));
    }
    let mut report = Client::find(socket)?.history(since).await?;
    let names: Vec<String> = report.gateways.iter().map(|gateway| gateway.gateway.clone()).collect();
    if let Some(unknown) = gateways.iter().find(|name| !names.contains(name)) {
        return Err(Error::Refused(format!(
            "nothing is known of {unknown:?} in that time: there are {}",
            names.join(", ")
        )));
    }
    report.gateways.retain(|gateway| gateways.is_empty() || gateways.contains(&gateway.gateway));
    let text = match form {
        Form::Json => json!(report).to_string() + "\n",
        Form::Text { width, unicode, .. } => past::text(&report, width, unicode),
    };
    Ok(Past { text, svg: svg(&report) })
}

/// Has the daemon check, waits for what comes of it, and says how things are.
///
/// # Errors
/// When no daemon answers, it may not be asked, or one of the gateways is not there.
pub async fn check(socket: Option<&Path>, gateways: &[String], form: Form) -> Said {
    let client = Client::find(socket)?;
    let before = chosen(client.status().await?, gateways)?;
    for gateway in &before.gateways {
        client.check(Some(&gateway.name)).await?;
    }
    let mut tries = 0;
    loop {
        let now = chosen(client.status().await?, gateways)?;
        tries += 1;
        if tries == LOOKS || now.gateways.iter().all(|gateway| is_answered(gateway, &before)) {
            return shown(&now, form);
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

/// Whether a gateway has said how it is since then, or will not be asked.
fn is_answered(gateway: &Gateway, before: &Status) -> bool {
    let asked = gateway.last_asked.as_ref().filter(|asked| asked.at > before.at);
    let tells = asked.is_some_and(|asked| asked.call == "check_auth_status" || asked.outcome != "ok");
    gateway.state == StateKind::Paused || tells
}

/// Has nothing sent to a gateway, for a time as `30m` or until it is resumed.
///
/// # Errors
/// When it is not done.
pub async fn pause(socket: Option<&Path>, gateway: &str, over: Option<&str>, as_json: bool) -> Said {
    Client::find(socket)?.pause(gateway, over).await.map(|done| acted(&done, as_json))
}

/// Ends a pause, or has the daemon try again.
///
/// # Errors
/// When it is not done.
pub async fn resume(socket: Option<&Path>, gateway: &str, as_json: bool) -> Said {
    Client::find(socket)?.resume(gateway).await.map(|done| acted(&done, as_json))
}

/// Ends a gateway's session on purpose, so that no alert comes of it.
///
/// # Errors
/// When it is not done.
pub async fn log_out(socket: Option<&Path>, gateway: &str, as_json: bool) -> Said {
    Client::find(socket)?.log_out(gateway).await.map(|done| acted(&done, as_json))
}

/// Has open alerts not told again until they are over.
///
/// # Errors
/// When it is not done.
pub async fn acknowledge(socket: Option<&Path>, gateway: Option<&str>, code: Option<&str>, as_json: bool) -> Said {
    Client::find(socket)?.acknowledge(gateway, code).await.map(|done| acted(&done, as_json))
}

/// Sends a marked test through the channels of the daemon, which alone may read its secrets. Nothing is said where there
/// is no channel.
///
/// # Errors
/// When it is not done.
pub async fn test(socket: Option<&Path>, channel: Option<&str>, code: Option<&str>) -> Said {
    let tests = Client::find(socket)?.test(channel, code).await?;
    if tests.is_empty() {
        return Ok((String::new(), Exit::HumanNeeded));
    }
    let exit = match tests.iter().find(|test| !test.told && !test.may_be_told) {
        Some(_) => Exit::HumanNeeded,
        None if tests.iter().all(|test| test.told) => Exit::Live,
        None => Exit::NotLive,
    };
    let said: Vec<String> = tests.into_iter().map(|test| test.said + "\n").collect();
    Ok((said.concat(), exit))
}

/// In what form the state of things is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One JSON object.
    Json,
    /// For people.
    Text {
        /// How many characters fit on a line.
        width: usize,
        /// Whether colours are understood.
        colours: bool,
        /// Whether the terminal has more than ASCII.
        unicode: bool,
    },
}

fn chosen(mut status: Status, gateways: &[String]) -> Result<Status, Error> {
    let names: Vec<String> = status.gateways.iter().map(|gateway| gateway.name.clone()).collect();
    if let Some(unknown) = gateways.iter().find(|name| !names.contains(name)) {
        return Err(Error::Refused(control::no_such_gateway(unknown, &names)));
    }
    if !gateways.is_empty() {
        status.gateways.retain(|gateway| gateways.contains(&gateway.name));
        let is_about = |name: &Option<String>| name.as_ref().is_none_or(|name| gateways.contains(name));
        status.alerts.retain(|alert| is_about(&alert.gateway));
    }
    Ok(status)
}

fn shown(status: &Status, form: Form) -> Said {
    let exit = status.gateways.iter().map(exit).max_by_key(|exit| exit.code()).unwrap_or(Exit::NotLive);
    let text = match form {
        Form::Json => json!(status).to_string() + "\n",
        Form::Text { width, colours, .. } => glance::text(status, width, colours),
    };
    Ok((text, exit))
}

/// What the state of one gateway says to a script.
fn exit(gateway: &Gateway) -> Exit {
    let is_for_humans = matches!(gateway.because.as_str(), "certificate" | "address-refused" | "edge-refused");
    match gateway.state {
        StateKind::Live => Exit::Live,
        StateKind::LoginRequired => Exit::HumanNeeded,
        StateKind::Unavailable if is_for_humans => Exit::HumanNeeded,
        StateKind::Unavailable
        | StateKind::Starting
        | StateKind::Recovering
        | StateKind::Contested
        | StateKind::Paused => Exit::NotLive,
    }
}

fn acted(done: &str, as_json: bool) -> (String, Exit) {
    let text = if as_json { json!({ "done": done }).to_string() } else { done.to_owned() };
    (text + "\n", Exit::Live)
}

/// What is to be said where nobody would be told.
pub const NO_CHANNEL: &str =
    "there is no [[alerts.channel]]: alerts stand in the log alone; `tickled config default` shows how one is written";

/// A check is answered within the gateway's limit; who waits longer learns how things stand.
const LOOKS: u32 = 100;
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
