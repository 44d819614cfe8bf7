//! The states by kind, without what each of them holds: what is stored, shown and counted.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::State;

/// Defines the kinds once, so that a new one is missing nowhere.
macro_rules! kinds {
    ($($(#[$meaning:meta])* $kind:ident = $name:literal),+ $(,)?) => {
        /// A state without its particulars.
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
    /// Only a human can help.
    LoginRequired = "login-required",
    /// The operator asked for silence.
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

    /// The state's name, as it stands in logs, status, alerts and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.kind().name()
    }
}
