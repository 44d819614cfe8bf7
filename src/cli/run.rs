//! `tickled run`: the daemon.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::options::{ConfigFile, DirectoryOptions, environment};
use super::output::complain;
use super::runtime::runtime;
use crate::config::Source;
use crate::daemon::{self, Ended};
use crate::exit::Exit;
use crate::gateway::BuildError;
use crate::log;
use crate::systemd::Notifier;

/// Run the daemon
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    directories: DirectoryOptions,
}

impl RunArgs {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let source = Source { path: self.file.config, environment: environment() };
        let Some(config) = source.load().inspect_err(|faults| complain(&faults.to_string())).ok() else {
            return Ok(Exit::Configuration);
        };
        second_signal_ends().context("cannot catch signals")?;
        let guard = log::init(&config.log).context("cannot set up the log")?;
        for warning in &config.warnings {
            let fault = warning.to_string();
            tracing::warn!(event = log::event::CONFIG_WARNING, fault, "{fault}");
        }
        let notifier = Notifier::from_env().unwrap_or_else(|error| {
            let fault = error.to_string();
            tracing::warn!(
                event = log::event::SYSTEMD_UNREACHABLE,
                fault,
                "cannot speak to systemd: {fault}; going on without"
            );
            Notifier::default()
        });
        let runtime = runtime()?;
        let ended = runtime.block_on(daemon::run(config, source, notifier, self.directories.resolve().open()));
        // Exits even if a disk or a resolver hangs.
        runtime.shutdown_timeout(Duration::ZERO);
        drop(guard);
        match ended {
            Ok(Ended::Asked) => Ok(Exit::Live),
            Ok(Ended::DriverLost) => Ok(Exit::Internal),
            Err(daemon::Error::AlreadyLocked(locked)) => {
                complain(&locked.to_string());
                Ok(Exit::AnotherInstance)
            }
            // A file that it names has changed since it was read.
            Err(error @ daemon::Error::Client { reason: BuildError::Trust(_) | BuildError::Elsewhere(_), .. }) => {
                complain(&error.to_string());
                Ok(Exit::Configuration)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// A second SIGTERM or SIGINT ends the process at once, even if its loop hangs. The order matters: when the first
/// signal comes the flag is not set, and the second handler only sets it.
fn second_signal_ends() -> io::Result<()> {
    let first = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        let code = i32::from(Exit::SecondSignal.code());
        flag::register_conditional_shutdown(signal, code, Arc::clone(&first))?;
        flag::register(signal, Arc::clone(&first))?;
    }
    Ok(())
}
