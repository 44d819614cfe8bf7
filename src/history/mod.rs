//! The history across restarts: the last state and the pause of each gateway, and a ledger of all changes.

pub mod chart;
mod ledger;
mod persisted;
mod record;
pub mod report;

pub use ledger::{Ledger, Read};
pub use persisted::{DriverInit, PersistedGateway, PersistedState};
pub use record::Record;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::session::{StateKind, Transition};

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What a line of the ledger tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum What {
    /// The daemon began. Nothing is known of the time between the earlier one's last sign and this.
    Began {
        /// When the earlier daemon was last seen at work, if there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_seen: Option<Timestamp>,
    },
    /// The daemon ended on a signal.
    Ended,
    /// A gateway is watched from here on.
    Watched {
        /// Which.
        gateway: String,
    },
    /// A gateway is not watched any more.
    Unwatched {
        /// Which.
        gateway: String,
    },
    /// A gateway was not observed until this moment, because the host slept, its clock was set or the daemon was stopped.
    Unobserved {
        /// Which.
        gateway: String,
        /// When it was last observed.
        since: Timestamp,
    },
    /// A gateway's state changed.
    Changed {
        /// Which.
        gateway: String,
        /// The state that was left.
        from: StateKind,
        /// The state that was entered.
        to: StateKind,
        /// Why: the code that stands in the log as well.
        because: String,
    },
}

impl What {
    /// The change that a transition is.
    #[must_use]
    pub fn changed(gateway: &str, transition: &Transition) -> Self {
        Self::Changed {
            gateway: gateway.to_owned(),
            from: transition.from.kind(),
            to: transition.to.kind(),
            because: transition.reason.code().to_owned(),
        }
    }

    /// The gateway that it is about, or all of them.
    #[must_use]
    pub fn gateway(&self) -> Option<&str> {
        match self {
            Self::Began { .. } | Self::Ended => None,
            Self::Watched { gateway }
            | Self::Unwatched { gateway }
            | Self::Unobserved { gateway, .. }
            | Self::Changed { gateway, .. } => Some(gateway),
        }
    }
}
