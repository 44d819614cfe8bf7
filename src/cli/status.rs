//! `tickled status`: the state of all gateways, as the daemon sees them.

use clap::Args;
use serde_json::json;

use super::options::Daemon;
use super::output::{failed, say};
use super::status_text;
use super::terminal::OutputForm;
use crate::control::{self, Client, Error};
use crate::exit::Exit;

/// Show the state of all gateways, as the daemon sees them
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  tickled status\n  tickled status main\n  tickled status --json | jq '.gateways[].state'"
)]
pub(super) struct StatusArgs {
    /// Only these gateways
    gateways: Vec<String>,
    #[command(flatten)]
    daemon: Daemon,
}

impl StatusArgs {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        let status = self.daemon.ask(async |client| fetch(&client, &self.gateways).await).await;
        print(status, self.daemon.form())
    }
}

/// The state of all gateways, or of some.
pub(super) async fn fetch(client: &Client, gateways: &[String]) -> Result<control::DaemonStatus, Error> {
    chosen(client.status().await?, gateways)
}

/// Prints it, and ends with the worst state's code.
pub(super) fn print(status: Result<control::DaemonStatus, Error>, form: OutputForm) -> anyhow::Result<Exit> {
    match status {
        Ok(status) => {
            say(&text(&status, form))?;
            let exits = status.gateways.iter().map(|gateway| Exit::of(gateway.state, gateway.because));
            // A daemon without a gateway keeps nothing alive.
            Ok(if status.gateways.is_empty() { Exit::NotLive } else { Exit::worst(exits) })
        }
        Err(error) => Ok(failed(&error)),
    }
}

/// Formats the status as requested.
pub(super) fn text(status: &control::DaemonStatus, form: OutputForm) -> String {
    match form {
        OutputForm::Json => json!(status).to_string() + "\n",
        OutputForm::Text { width, colours, .. } => status_text::text(status, width, colours),
    }
}

fn chosen(mut status: control::DaemonStatus, gateways: &[String]) -> Result<control::DaemonStatus, Error> {
    let names = status.names();
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
