//! How much the daemon says about itself, and in which form.

use std::time::Duration;

/// The operator's choices for the log. [`Settings::default`] is the documented default of every key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The form of a line.
    pub format: Format,
    /// The least important lines that are still written.
    pub level: Level,
    /// Time between two lines that only say "still here"; zero is off.
    pub heartbeat_every: Duration,
}

/// The form of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// What suits the place the lines go to.
    Auto,
    /// For people.
    Text,
    /// One flat object a line.
    Json,
}

/// The least important lines that are still written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// A human is needed.
    Error,
    /// Being handled.
    Warn,
    /// One line a change of state.
    Info,
    /// Each request and decision.
    Debug,
    /// Each keep-alive.
    Trace,
}

impl Default for Settings {
    fn default() -> Self {
        Self { format: Format::Auto, level: Level::Info, heartbeat_every: Duration::from_secs(60 * 60) }
    }
}
