//! `tickled pause`: no requests to a gateway for a while.

use clap::Args;

use super::options::{Daemon, span};
use super::output::done;
use crate::exit::Exit;

/// Stop all requests to a gateway, e.g. while you trade by hand
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  tickled pause main --for 30m\n  tickled pause main    (until tickled resume main)"
)]
pub(super) struct PauseArgs {
    /// The gateway
    gateway: String,
    /// How long, such as 30m, 2h or 1d [default: until it is resumed]
    #[arg(long = "for", value_name = "TIME", allow_hyphen_values = true, value_parser = span)]
    over: Option<String>,
    #[command(flatten)]
    daemon: Daemon,
}

impl PauseArgs {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        done(
            self.daemon.ask(async |client| client.pause(&self.gateway, self.over.as_deref()).await).await,
            self.daemon.json,
        )
    }
}
