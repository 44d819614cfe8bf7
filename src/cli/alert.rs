//! `tickled alert test`: a marked test through the channels of alerts.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::options::{SocketArgs, USUAL_CONFIG, exists_or_named, load, warn_of_exposed};
use super::output::{complain, failed, tell};
use crate::alert::{self, Code};
use crate::config::Config;
use crate::control::{self, Error};
use crate::daemon;
use crate::driver::{Clock, HostClock};
use crate::exit::Exit;

#[derive(Debug, Subcommand)]
pub(super) enum AlertArgs {
    Test(AlertTestArgs),
}

impl AlertArgs {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        match self {
            Self::Test(test) => test.run().await,
        }
    }
}

/// Send a marked test through all channels and the dead man's switch, and print each answer
///
/// A running daemon sends the test, because often only the daemon can read the secrets. If no daemon answers, this
/// command sends it.
///
/// Exit code 0 if every channel delivered it, 1 if a failure may pass by itself, 2 if something must be fixed.
#[derive(Debug, Args)]
pub(super) struct AlertTestArgs {
    /// Send it from this command, with this configuration
    #[arg(long)]
    config: Option<PathBuf>,
    /// Only this channel
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// Send it with the priority of this alert, e.g. login-required, to the channels that send that alert
    #[arg(long = "as", value_name = "CODE")]
    code: Option<String>,
    #[command(flatten)]
    socket: SocketArgs,
}

impl AlertTestArgs {
    async fn run(self) -> anyhow::Result<Exit> {
        let code = match self.code.as_deref().map(str::parse).transpose() {
            Ok(code) => code,
            Err(why) => {
                complain(&format!("--as: {why}"));
                return Ok(Exit::Usage);
            }
        };
        if self.config.is_none() {
            let tested = self.through_daemon().await;
            let is_alone = !self.socket.is_named() && matches!(tested, Err(Error::NoDaemon(_)));
            if !is_alone || !exists_or_named(Path::new(USUAL_CONFIG)) {
                return answered(tested);
            }
        }
        let file = self.config.as_deref().unwrap_or(Path::new(USUAL_CONFIG));
        self.without_daemon(file, code).await
    }

    /// The daemon sends the test, because only it may read its secrets.
    async fn through_daemon(&self) -> Result<Vec<control::ChannelTest>, Error> {
        self.socket.client()?.test(self.channel.as_deref(), self.code.as_deref()).await
    }

    /// This process sends the test.
    async fn without_daemon(&self, file: &Path, code: Option<Code>) -> anyhow::Result<Exit> {
        let Some(Config { alerts, .. }) = load(file) else { return Ok(Exit::Configuration) };
        let names = alert::testable(&alerts);
        if names.is_empty() {
            complain(&format!("{}: {NO_CHANNEL}", file.display()));
            return Ok(Exit::HumanNeeded);
        }
        let channel = self.channel.as_deref();
        if let Some(name) = channel.filter(|name| !names.contains(name)) {
            complain(&format!(
                "--channel: there is no channel {name:?} in {}: there are {}",
                file.display(),
                names.join(", ")
            ));
            return Ok(Exit::Usage);
        }
        let host = daemon::host_name();
        warn_of_exposed(&alerts);
        let results = alert::test(&alerts, &host, HostClock::start().now(), channel, code).await;
        for result in &results {
            tell(&result.to_string())?;
        }
        Ok(exit(results.iter().map(|result| (result.is_delivered(), result.is_retryable()))))
    }
}

/// Prints what the daemon's channels answered.
fn answered(tested: Result<Vec<control::ChannelTest>, Error>) -> anyhow::Result<Exit> {
    let tests = match tested {
        Ok(tests) => tests,
        Err(error) => return Ok(failed(&error)),
    };
    if tests.is_empty() {
        complain(NO_CHANNEL);
        return Ok(Exit::HumanNeeded);
    }
    for test in &tests {
        tell(&test.result)?;
    }
    Ok(exit(tests.iter().map(|test| (test.delivered, test.retryable))))
}

/// Delivered or not, and whether a failure may pass by itself.
fn exit(results: impl Iterator<Item = (bool, bool)>) -> Exit {
    Exit::worst(results.map(|result| match result {
        (true, _) => Exit::Live,
        (false, true) => Exit::NotLive,
        (false, false) => Exit::HumanNeeded,
    }))
}

const NO_CHANNEL: &str = "there is no [[alerts.channel]]: alerts are only logged; `tickled config default` shows how to \
                          write one";
