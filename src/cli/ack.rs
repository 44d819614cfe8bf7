//! `tickled ack`: acknowledges alerts.

use clap::Args;

use super::options::Daemon;
use super::output::done;
use crate::exit::Exit;

/// Acknowledge open alerts: no more repeats until they resolve
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  tickled ack\n  tickled ack main --code login-required")]
pub(super) struct Ack {
    /// Only alerts about this gateway
    gateway: Option<String>,
    /// Only alerts with this code, such as login-required
    #[arg(long)]
    code: Option<String>,
    #[command(flatten)]
    daemon: Daemon,
}

impl Ack {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        done(
            self.daemon
                .ask(async |client| client.acknowledge(self.gateway.as_deref(), self.code.as_deref()).await)
                .await,
            self.daemon.json,
        )
    }
}
