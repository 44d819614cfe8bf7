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
        let answer = match self.daemon.client() {
            Ok(client) => client.log_out(&self.gateway).await,
            Err(error) => Err(error),
        };
        done(answer, self.daemon.json)
    }
}
