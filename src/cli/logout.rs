//! `tickled logout`: ends a session on purpose.

use clap::Args;

use super::options::Daemon;
use super::output::done;
use crate::exit::Exit;

/// End the session of a gateway; this raises no alert
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tickled logout main")]
pub(super) struct LogoutArgs {
    /// The gateway
    gateway: String,
    #[command(flatten)]
    daemon: Daemon,
}

impl LogoutArgs {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        done(self.daemon.ask(async |client| client.log_out(&self.gateway).await).await, self.daemon.json)
    }
}
