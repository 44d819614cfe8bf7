//! The paths outside of the configuration that a daemon uses.

use std::path::PathBuf;

use crate::control;

/// Each path may be missing: then the daemon does without.
#[derive(Debug, Clone, Default)]
pub struct Paths {
    /// The directory for what must survive a restart.
    pub state: Option<PathBuf>,
    /// The control socket.
    pub socket: Option<PathBuf>,
}

impl Paths {
    /// The paths of this process: the first directory of `$STATE_DIRECTORY`, which systemd sets for `StateDirectory=`, and
    /// the control socket where verbs look for it.
    #[must_use]
    pub fn from_env() -> Self {
        let folders = std::env::var_os("STATE_DIRECTORY").unwrap_or_default();
        let state = std::env::split_paths(&folders).next().filter(|folder| folder.is_absolute());
        Self { state, socket: Some(control::default_socket()) }
    }
}
