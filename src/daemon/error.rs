//! How the daemon ends, and errors that prevent its start.

use super::instance_lock::AlreadyLocked;
use crate::gateway::BuildError;

/// Why a daemon ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// On a signal.
    Asked,
    /// A driver ended by itself, which is a bug.
    DriverLost,
}

/// An error that prevents the daemon from starting.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The signals cannot be caught.
    #[error("cannot catch signals: {0}")]
    Signals(std::io::Error),
    /// Another daemon on this host manages one of the gateways.
    #[error(transparent)]
    AlreadyLocked(#[from] AlreadyLocked),
    /// A gateway's client cannot be made.
    #[error("gateway {name}: {reason}")]
    Client {
        /// The gateway.
        name: String,
        /// Why not.
        reason: BuildError,
    },
}
