//! `tickled doctor`: what is wrong, and what to do.

use std::path::PathBuf;

use clap::Args;

use super::options::{ConfigFile, environment};
use super::output::say;
use super::terminal::terminal;
use crate::daemon;
use crate::doctor::{self, Options};
use crate::exit::Exit;

/// Diagnose problems: named checks, each with its finding and what to do
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Doctor {
    #[command(flatten)]
    file: ConfigFile,
    /// Check only the files and programs of this host: send no requests
    #[arg(long)]
    offline: bool,
    /// Directory of the unpacked gateway: check its conf.yaml and its Java too
    #[arg(long, value_name = "DIR")]
    gateway_dir: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        let Self { file, offline, gateway_dir, json } = self;
        let options = Options {
            config: file.config,
            environment: environment(),
            offline,
            gateway_dir,
            host: daemon::host_name(),
        };
        let report = doctor::run(&options).await;
        say(&if json { report.json() + "\n" } else { report.text(terminal()) })?;
        Ok(report.exit())
    }
}

const EXAMPLES: &str = "\
Examples:
  tickled doctor                                check everything, with the installed configuration
  tickled doctor --config my.toml --offline     check only this host
  tickled doctor --gateway-dir ~/clientportal   check the gateway's own conf.yaml and its Java too

Nothing is changed, no session is logged out, and no alert is sent.
";
