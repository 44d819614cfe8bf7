//! `tickled config`: validates and prints configurations.

use std::env;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::options::{USUAL_CONFIG, environment, load, or_complain, warn_of_exposed};
use super::output::{say, tell};
use crate::config;
use crate::exit::Exit;

#[derive(Debug, Subcommand)]
pub(super) enum ConfigArgs {
    /// Print every key with its default and its meaning
    Default,
    /// Validate a configuration without running it: every fault, with its line
    ///
    /// Also checks what the configuration names on this host: files, programs, hosts and units. What another user or
    /// another host may see differently is a warning and does not change the exit code.
    Check(FileArgs),
    /// Print the configuration in force: file, environment and defaults together
    Show(FileArgs),
}

#[derive(Debug, Args)]
pub(super) struct FileArgs {
    /// The configuration [default: $TICKLED_CONFIG, else /etc/tickled/tickled.toml]
    file: Option<PathBuf>,
    /// The same as FILE
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    config: Option<PathBuf>,
}

impl FileArgs {
    fn path(self) -> PathBuf {
        let variable = || env::var_os("TICKLED_CONFIG").filter(|value| !value.is_empty()).map(PathBuf::from);
        self.file.or(self.config).or_else(variable).unwrap_or_else(|| USUAL_CONFIG.into())
    }
}

impl ConfigArgs {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        match self {
            Self::Default => say(config::DEFAULT).map(|()| Exit::Live),
            Self::Check(file) => check(&file.path()),
            Self::Show(file) => show(&file.path()),
        }
    }
}

fn check(file: &Path) -> anyhow::Result<Exit> {
    let checked = config::check(file, &environment());
    let Some(config) = or_complain(checked) else { return Ok(Exit::Configuration) };
    let names: Vec<&str> = config.gateways.iter().map(|gateway| gateway.name.as_str()).collect();
    let channels: Vec<&str> = config.alerts.channels.iter().map(|channel| channel.name.as_str()).collect();
    let destinations =
        if channels.is_empty() { "the log only".to_owned() } else { format!("the log, {}", channels.join(", ")) };
    warn_of_exposed(&config.alerts);
    tell(&format!("{} is valid; gateways: {}; alerts go to: {destinations}", file.display(), names.join(", ")))?;
    Ok(Exit::Live)
}

fn show(file: &Path) -> anyhow::Result<Exit> {
    let Some(config) = load(file) else { return Ok(Exit::Configuration) };
    say(&config::show(&config))?;
    Ok(Exit::Live)
}
