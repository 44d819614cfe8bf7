//! The kinds of states, without their data: for storage, status and metrics.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::State;

/// Defines the kinds, their names and the list of all once.
macro_rules! kinds {
    ($($(#[$meaning:meta])* $kind:ident = $name:literal),+ $(,)?) => {
        /// A state without its data.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum StateKind {
            $($(#[$meaning])* #[serde(rename = $name)] $kind),+
        }

        impl StateKind {
            /// All kinds, in the order of the session's life.
            pub const ALL: &[Self] = &[$(Self::$kind),+];

            /// The name in logs, status, alerts, metrics and files.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name),+
                }
            }
        }
    };
}

kinds! {
    /// Nothing is known yet.
    Starting = "starting",
    /// The session works.
    Live = "live",
    /// The session is being recovered.
    Recovering = "recovering",
    /// Another client uses the session.
    Contested = "contested",
    /// No answer says anything about the session.
    Unavailable = "unavailable",
    /// A human must log in.
    LoginRequired = "login-required",
    /// The operator paused requests.
    Paused = "paused",
}

impl fmt::Display for StateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl State {
    /// The kind of this state.
    #[must_use]
    pub const fn kind(self) -> StateKind {
        match self {
            Self::Starting => StateKind::Starting,
            Self::Live => StateKind::Live,
            Self::Recovering { .. } => StateKind::Recovering,
            Self::Contested => StateKind::Contested,
            Self::Unavailable(_) => StateKind::Unavailable,
            Self::LoginRequired(_) => StateKind::LoginRequired,
            Self::Paused { .. } => StateKind::Paused,
        }
    }

    /// Returns the end of a pause, `Some(None)` for a pause without one, and `None` in every other state.
    #[must_use]
    pub const fn paused_until(self) -> Option<Option<Timestamp>> {
        match self {
            Self::Paused { until } => Some(until),
            Self::Starting
            | Self::Live
            | Self::Recovering { .. }
            | Self::Contested
            | Self::Unavailable(_)
            | Self::LoginRequired(_) => None,
        }
    }

    /// The state's name, as it stands in logs, status, alerts and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.kind().name()
    }
}
