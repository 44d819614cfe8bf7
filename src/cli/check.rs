//! `tickled check`: whether sessions are live, asked of the daemon or of a gateway itself.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::json;
use tokio::time::sleep;

use super::options::{ConfigFile, Daemon, WITHOUT_DAEMON, load, target};
use super::output::{complain, failed, say, tell};
use super::status::{fetch, print};
use crate::auth::{self, Checked};
use crate::control::{self, Error, GatewayStatus, no_such_gateway};
use crate::exit::Exit;
use crate::gateway::{Client, Target};
use crate::session::{Cause, State, StateKind, StateReason, Step};

/// Check whether sessions are live: through the running daemon, or directly
///
/// With --url, that gateway is asked once, and nothing is changed. Without it, the daemon checks at once and the result
/// is printed. If no daemon answers, the gateways of the configuration are asked directly.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  tickled check\n  tickled check --url https://localhost:5000")]
pub(super) struct CheckArgs {
    /// Only these gateways
    #[arg(conflicts_with = "url")]
    gateways: Vec<String>,
    /// Ask this gateway directly, such as https://localhost:5000
    #[arg(long)]
    url: Option<String>,
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    daemon: Daemon,
}

impl CheckArgs {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        if let Some(url) = &self.url {
            let Some(target) = target(url) else { return Ok(Exit::Usage) };
            return direct(target, self.daemon.json).await;
        }
        match self.through_daemon().await {
            Err(Error::NoDaemon(_)) if !self.daemon.socket.is_named() && self.file.is_usable() => {
                self.configured().await
            }
            Err(error @ Error::NoDaemon(_)) => {
                complain(&format!("{error}; {WITHOUT_DAEMON}"));
                Ok(Exit::NothingAnswers)
            }
            Err(error) => Ok(failed(&error)),
            Ok(status) => print(Ok(status), self.daemon.form()),
        }
    }

    /// Makes the daemon check, and waits for the answers.
    async fn through_daemon(&self) -> Result<control::DaemonStatus, Error> {
        let client = self.daemon.client()?;
        let before = fetch(&client, &self.gateways).await?;
        for gateway in &before.gateways {
            client.check(Some(&gateway.name)).await?;
        }
        let mut tries = 0;
        loop {
            let now = fetch(&client, &self.gateways).await?;
            tries += 1;
            if tries == TRIES || now.gateways.iter().all(|gateway| is_answered(gateway, &before)) {
                return Ok(now);
            }
            sleep(BETWEEN_TRIES).await;
        }
    }

    /// Asks the gateways of the configuration without a daemon.
    async fn configured(&self) -> anyhow::Result<Exit> {
        let names = &self.gateways;
        let Some(config) = load(&self.file.config) else { return Ok(Exit::Configuration) };
        if let Some(unknown) = names.iter().find(|name| !config.names().contains(name)) {
            complain(&no_such_gateway(unknown, &config.names()));
            return Ok(Exit::Usage);
        }
        complain("no daemon answers, so the gateways are asked directly");
        let mut exits = Vec::new();
        for gateway in config.gateways.iter().filter(|gateway| names.is_empty() || names.contains(&gateway.name)) {
            exits.push(direct(gateway.target.clone(), self.daemon.json).await?);
        }
        Ok(Exit::worst(exits))
    }
}

/// Whether a gateway has answered since then, or will not be asked.
fn is_answered(gateway: &GatewayStatus, before: &control::DaemonStatus) -> bool {
    let asked = gateway.last_asked.as_ref().filter(|asked| asked.at > before.at);
    let tells = asked.is_some_and(|asked| asked.call == "check_auth_status" || asked.outcome != "ok");
    gateway.state == StateKind::Paused || tells
}

/// Asks the gateway once, and changes nothing.
async fn direct(target: Target, as_json: bool) -> anyhow::Result<Exit> {
    let client = Client::new(target).context("cannot ask the gateway")?;
    let checked = auth::check(&client).await;
    let exit = Exit::of(checked.snapshot.state.kind(), checked.snapshot.reason);
    if as_json {
        say(&(machine_line(&checked, exit) + "\n"))?;
    } else {
        tell(&line(&checked))?;
    }
    Ok(exit)
}

/// The result as a line for people.
fn line(checked: &Checked) -> String {
    let snapshot = &checked.snapshot;
    let url = &snapshot.url;
    let detail = checked.error.as_ref().map(|error| format!(" [{error}]")).unwrap_or_default();
    match snapshot.state {
        State::Live => format!("live: {url} is authenticated and connected, and account data arrives"),
        // A single check cannot distinguish an expired login from one that never was.
        State::LoginRequired(Cause::Expired) => format!("manual login required: not logged in; log in at {url}"),
        State::LoginRequired(cause) => format!("manual login required: {}; log in at {url}", cause.sentence()),
        State::Contested => format!("contested: another client uses the brokerage session of {url}"),
        State::Recovering { step: Step::Check, .. } | State::Starting => {
            format!("not live: {} at {url}", snapshot.reason.sentence())
        }
        State::Recovering { .. } if snapshot.reason == StateReason::NoData => {
            format!("not live: {url} is authenticated, but account data does not arrive")
        }
        State::Recovering { .. } => {
            format!(
                "not live: {} ({url}); the login is still valid, so it can be recovered",
                snapshot.reason.sentence()
            )
        }
        State::Unavailable(trouble) => format!("unavailable: {} ({url}){detail}", trouble.sentence()),
        State::Paused { .. } => format!("paused: {url}"),
    }
}

/// The result as JSON on one line.
fn machine_line(checked: &Checked, exit: Exit) -> String {
    let snapshot = &checked.snapshot;
    json!({
        "url": snapshot.url,
        "state": snapshot.state.name(),
        "because": snapshot.reason,
        "paper": snapshot.facts.is_paper,
        "detail": checked.error.as_ref().map(ToString::to_string),
        "exit": exit.code(),
    })
    .to_string()
}

/// The daemon's check is answered within the gateway's time limit. After this many tries the state is printed as it is.
const TRIES: u32 = 100;
const BETWEEN_TRIES: Duration = Duration::from_millis(200);
