//! The settings of the log, and the output format that follows from them.

use std::time::{Duration, SystemTime};

use tracing_subscriber::filter::LevelFilter;

/// The settings of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How a line is written.
    pub format: Format,
    /// The least severe level that is written.
    pub level: Level,
    /// Interval of the heartbeat line.
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
    /// Journal fields if standard error is the journal, text otherwise.
    Auto,
    /// For people: time, level, message, then `key=value`.
    Text,
    /// For programs: one flat JSON object per line.
    Json,
}

/// The severity of a line, most severe first.
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
    /// Its name in the configuration and in JSON lines.
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

/// The format of lines, chosen once for the sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    /// Text with time and level.
    Plain,
    /// Text with time and level, coloured for a terminal.
    Colour,
    /// Text after a priority such as `<6>`, without the time: the journal has its own.
    Journal,
    /// One flat JSON object per line.
    Json,
    /// One datagram of fields per line, in the journal's own protocol.
    Native,
}

/// The destination of standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sink {
    /// In the journal.
    Journal {
        /// Whether its own socket is available as well.
        has_socket: bool,
    },
    /// On a terminal.
    Terminal {
        /// Whether to use colours.
        is_coloured: bool,
    },
    /// A file or a pipe.
    Elsewhere,
}

impl OutputFormat {
    /// Chooses the format from the setting and the sink.
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
pub type LineClock = fn() -> SystemTime;

/// Whether a line is the daemon's own. Lines of libraries are logged from WARN up.
pub(super) fn is_ours(target: &str) -> bool {
    target.strip_prefix("tickled").is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}
