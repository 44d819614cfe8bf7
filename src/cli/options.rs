//! Options that several verbs share, and what they select: the configuration, a gateway, a daemon.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;

use super::output::complain;
use super::terminal::{OutputForm, form};
use crate::alert;
use crate::config::{self, Config, Diagnostics};
use crate::control::{self, Client, Error};
use crate::directories::Directories;
use crate::gateway::{GatewayUrl, Target, Trust};
use crate::session::Policy;

/// How a daemon is reached, and in what form it answers.
#[derive(Debug, Args)]
pub(super) struct Daemon {
    #[command(flatten)]
    pub(super) socket: SocketArgs,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

impl Daemon {
    pub(super) fn client(&self) -> Result<Client, Error> {
        self.socket.client()
    }

    /// Asks the daemon, if one answers.
    pub(super) async fn ask<T>(&self, ask: impl AsyncFnOnce(Client) -> Result<T, Error>) -> Result<T, Error> {
        ask(self.client()?).await
    }

    pub(super) fn form(&self) -> OutputForm {
        if self.json { OutputForm::Json } else { form() }
    }
}

/// The control socket of a daemon.
#[derive(Debug, Args)]
pub(super) struct SocketArgs {
    /// Control socket of the daemon [default: in its runtime directory]
    #[arg(long, env = "TICKLED_SOCKET", value_name = "PATH")]
    socket: Option<PathBuf>,
    #[command(flatten)]
    directories: DirectoryOptions,
}

impl SocketArgs {
    pub(super) fn client(&self) -> Result<Client, Error> {
        let sockets = || control::sockets(&self.directories.resolve());
        Client::find(self.socket.as_ref().map_or_else(sockets, |socket| vec![socket.clone()]))
    }

    /// Whether a daemon was named, so that nothing else is tried.
    pub(super) const fn is_named(&self) -> bool {
        self.socket.is_some() || self.directories.runtime_dir.is_some() || self.directories.state_dir.is_some()
    }
}

/// The directories of a daemon.
#[derive(Debug, Args)]
pub(super) struct DirectoryOptions {
    /// State directory of the daemon
    ///
    /// Without this option: $STATE_DIRECTORY, else $XDG_STATE_HOME/tickled, else ~/.local/state/tickled, else
    /// /var/lib/tickled.
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Runtime directory of the daemon, for its control socket and its locks
    ///
    /// Without this option: $RUNTIME_DIRECTORY, else $XDG_RUNTIME_DIR/tickled, else run/ in the state directory.
    #[arg(long, value_name = "DIR")]
    runtime_dir: Option<PathBuf>,
}

impl DirectoryOptions {
    pub(super) fn resolve(&self) -> Directories {
        Directories::from_env(self.state_dir.clone(), self.runtime_dir.clone())
    }
}

/// The configuration file of a verb that can do without a daemon.
#[derive(Debug, Args)]
pub(super) struct ConfigFile {
    /// Configuration file
    #[arg(long, env = "TICKLED_CONFIG", value_name = "FILE", default_value = USUAL_CONFIG)]
    pub(super) config: PathBuf,
}

impl ConfigFile {
    /// Whether it is to be used where no daemon answers: it exists, or was named explicitly.
    pub(super) fn is_usable(&self) -> bool {
        exists_or_named(&self.config)
    }
}

pub(super) fn exists_or_named(config: &Path) -> bool {
    config.exists() || config != Path::new(USUAL_CONFIG)
}

/// The configuration, or every fault of it on standard error.
pub(super) fn load(path: &Path) -> Option<Config> {
    or_complain(config::load(path, &environment()))
}

/// The same of a configuration that was read already, with its warnings.
pub(super) fn or_complain(read: Result<Config, Diagnostics>) -> Option<Config> {
    let config = read.inspect_err(|faults| complain(&faults.to_string())).ok()?;
    for warning in &config.warnings {
        complain(&format!("warning: {warning}"));
    }
    Some(config)
}

/// The environment. Invalid UTF-8 is replaced, and no key accepts the replacement character.
pub(super) fn environment() -> BTreeMap<String, String> {
    let text = |text: OsString| text.to_string_lossy().into_owned();
    env::vars_os().map(|(key, value)| (text(key), text(value))).collect()
}

/// The gateway with a URL from the command line; what is wrong with the URL, on standard error.
pub(super) fn target(url: &str) -> Option<Target> {
    let url: GatewayUrl = url.parse().inspect_err(|error| complain(&format!("--url: {error}"))).ok()?;
    let trust = if url.is_loopback() { Trust::Loopback } else { Trust::System };
    Some(Target { url, answer_within: Policy::default().answer_within, trust })
}

/// A length of time that is not zero, as the daemon reads it.
pub(super) fn span(text: &str) -> Result<String, String> {
    let is_span = control::span(text).is_some_and(|span| !span.is_zero());
    is_span.then(|| text.to_owned()).ok_or_else(|| "write it like 30m, 2h or 1d".to_owned())
}

/// Warns of files with secrets that every user of this host may read.
pub(super) fn warn_of_exposed(alerts: &alert::Settings) {
    for file in alert::world_readable_secrets(alerts) {
        let file = file.display();
        complain(&format!("{file} holds a secret, and every user of this host may read it: `chmod o-r {file}`"));
    }
}

pub(super) const USUAL_CONFIG: &str = "/etc/tickled/tickled.toml";
/// What a verb does without a daemon.
pub(super) const WITHOUT_DAEMON: &str = "--url https://localhost:5000 asks a gateway without a daemon";
