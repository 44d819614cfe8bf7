//! `tickled resume`: ends a pause.

use clap::Args;

use super::options::Daemon;
use super::output::done;
use crate::exit::Exit;

/// End a pause, or retry at once after tickled gave up or while IBKR is silent
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tickled resume main")]
pub(super) struct Resume {
    /// The gateway
    gateway: String,
    #[command(flatten)]
    daemon: Daemon,
}

impl Resume {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        done(self.daemon.ask(async |client| client.resume(&self.gateway).await).await, self.daemon.json)
    }
}
