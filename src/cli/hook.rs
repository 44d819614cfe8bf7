//! `tickled hook test`: runs a hook, marked as a test.

use clap::{Args, Subcommand};
use serde_json::json;

use super::options::Daemon;
use super::output::{failed, say, tell};
use crate::exit::Exit;

#[derive(Debug, Subcommand)]
pub(super) enum HookArgs {
    Test(HookTestArgs),
}

impl HookArgs {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        match self {
            Self::Test(test) => test.run().await,
        }
    }
}

/// Run a hook now, marked as a test, and print how it ended
///
/// The daemon runs it as it does on a change: as the same user and in the same sandbox.
///
/// Exit code 0 if its program ended with 0, else 1.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  tickled hook test bot\n  tickled hook test bot --gateway main")]
pub(super) struct HookTestArgs {
    /// The hook
    name: String,
    /// The gateway that it runs for [default: the first one]
    #[arg(long, value_name = "NAME")]
    gateway: Option<String>,
    #[command(flatten)]
    daemon: Daemon,
}

impl HookTestArgs {
    async fn run(self) -> anyhow::Result<Exit> {
        let answer = self.daemon.ask(async |client| client.test_hook(&self.name, self.gateway.as_deref()).await).await;
        let tried = match answer {
            Ok(tried) => tried,
            Err(error) => return Ok(failed(&error)),
        };
        if self.daemon.json {
            say(&(json!(tried).to_string() + "\n"))?;
        } else {
            tell(&format!("hook {}: {}", tried.hook, tried.result))?;
        }
        Ok(if tried.is_good { Exit::Live } else { Exit::NotLive })
    }
}
