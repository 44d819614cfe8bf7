//! What the operator may choose about the log, and the format that follows from it.

use std::time::{Duration, SystemTime};

use tracing_subscriber::filter::LevelFilter;

/// What the operator may choose about the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How a line is written.
    pub format: Format,
    /// The least important level that is still written.
    pub level: Level,
    /// Time between two lines that say all is as it was; the daemon keeps it.
    pub heartbeat_every: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { format: Format::Auto, level: Level::Info, heartbeat_every: Duration::from_hours(1) }
    }
}

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::VariantArray, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Format {
    /// Whatever suits the place where standard error ends: the journal's own fields, or text.
    Auto,
    /// For people: time, level, message, then `key=value`.
    Text,
    /// For programs: one flat JSON object a line.
    Json,
}

/// How much a line matters, the most important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::VariantArray, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Level {
    /// A human is needed now.
    Error,
    /// Something is wrong and being handled.
    Warn,
    /// One line a state change.
    Info,
    /// Each request and decision.
    Debug,
    /// Each keep-alive.
    Trace,
}

impl Level {
    /// Its name as the configuration and the JSON lines write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    pub(super) fn filter(self) -> LevelFilter {
        match self {
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}

impl From<tracing::Level> for Level {
    fn from(level: tracing::Level) -> Self {
        match level {
            tracing::Level::ERROR => Self::Error,
            tracing::Level::WARN => Self::Warn,
            tracing::Level::INFO => Self::Info,
            tracing::Level::DEBUG => Self::Debug,
            tracing::Level::TRACE => Self::Trace,
        }
    }
}

/// The format of a line, chosen once for the sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    /// Text with time and level.
    Plain,
    /// Text with time and level, coloured for a terminal.
    Colour,
    /// Text behind a priority such as `<6>`, without the time: the journal keeps its own.
    Journal,
    /// One flat JSON object a line.
    Json,
    /// One datagram of fields a line, in the journal's own protocol.
    Native,
}

/// Where standard error ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sink {
    /// In the journal.
    Journal {
        /// Whether its own socket is available as well.
        has_socket: bool,
    },
    /// On a terminal.
    Terminal {
        /// Whether colours are wanted there.
        is_coloured: bool,
    },
    /// In a file, in a pipe.
    Elsewhere,
}

impl OutputFormat {
    /// The format of lines for the operator's choice and a sink.
    #[must_use]
    pub fn choose(format: Format, sink: Sink) -> Self {
        match (format, sink) {
            (Format::Json, _) => Self::Json,
            (Format::Auto, Sink::Journal { has_socket: true }) => Self::Native,
            (Format::Auto | Format::Text, Sink::Journal { .. }) => Self::Journal,
            (Format::Auto | Format::Text, Sink::Terminal { is_coloured: true }) => Self::Colour,
            (Format::Auto | Format::Text, Sink::Terminal { is_coloured: false } | Sink::Elsewhere) => Self::Plain,
        }
    }
}

/// Where the time of a line comes from.
pub type Clock = fn() -> SystemTime;

/// Whether a line is the daemon's own; those of its libraries are shown from WARN up.
pub(super) fn is_ours(target: &str) -> bool {
    target.strip_prefix("tickled").is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}
