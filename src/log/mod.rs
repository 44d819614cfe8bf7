//! The daemon's voice on standard error: formats, levels, event names, and a writer that never makes the caller wait.
//!
//! A line is rendered where it is said and handed to one writer thread through a bounded queue. When standard error is
//! slow, closed or full, the line is lost, counted, and the count is told as soon as there is room again.
//! Only [`Settings::level`] decides what is said: no environment variable changes it.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};
use std::{env, fs};

use tracing::Subscriber;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Registry, fmt};

pub use event::{EVENTS, Event};
use journal::Socket;
pub use redact::redact;
pub use writer::Guard;

pub mod event;
pub mod journal;
mod line;
mod redact;
mod writer;

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
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    fn filter(self) -> LevelFilter {
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
        /// Whether its own socket can be had as well.
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

/// Why the log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Standard error has no usable descriptor.
    #[error("log: cannot use standard error: {0}")]
    Stream(#[source] io::Error),
    /// The writer thread did not start.
    #[error("log: cannot start its writer thread: {0}")]
    Thread(#[source] io::Error),
    /// The process has a log already.
    #[error("log: it is open already, and a process has one")]
    AlreadyOpen,
}

/// Opens the log of the whole process on standard error; call it once. Where that is the journal, lines go to the
/// journal's own socket instead, unless another format is asked for; if there is no such socket, to standard error as
/// text. Never to both.
///
/// Keep the [`Guard`] to the end of the process: dropping it waits a moment for the last lines.
///
/// # Errors
/// When standard error or a thread cannot be had, or the process has a log already.
pub fn init(settings: &Settings) -> Result<Guard, OpenError> {
    // A descriptor of our own: a writer thread stuck in a write must not hold the lock of `io::stderr()`,
    // which a panic message needs.
    let stream = io::stderr().as_fd().try_clone_to_owned().map_err(OpenError::Stream)?;
    let stream = fs::File::from(stream);
    let journal = is_journal(&stream).then(|| Socket::at(Path::new(journal::SOCKET)).ok());
    let sink = match &journal {
        Some(socket) => Sink::Journal { has_socket: socket.is_some() },
        None if stream.is_terminal() => Sink::Terminal { is_coloured: wants_colour() },
        None => Sink::Elsewhere,
    };
    let format = OutputFormat::choose(settings.format, sink);
    let out: Box<dyn Write + Send> = match (format, journal.flatten()) {
        (OutputFormat::Native, Some(socket)) => Box::new(socket),
        (_, _) => Box::new(stream),
    };
    let (subscriber, guard) = subscriber(settings, format, wall_clock, out)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| OpenError::AlreadyOpen)?;
    Ok(guard)
}

/// A log that writes to `out`, for a process that keeps its own subscriber, and for tests.
///
/// # Errors
/// When the writer thread cannot be started.
pub fn subscriber<W: Write + Send + 'static>(
    settings: &Settings,
    format: OutputFormat,
    clock: Clock,
    out: W,
) -> Result<(impl Subscriber + Send + Sync + 'static, Guard), OpenError> {
    let line = line::Line { format, clock, with_millis: settings.level >= Level::Debug };
    let (lines, guard) = writer::start(out, line).map_err(OpenError::Thread)?;
    let (ours, theirs) = (settings.level.filter(), settings.level.min(Level::Warn).filter());
    let wanted = filter_fn(move |event| *event.level() <= if is_ours(event.target()) { ours } else { theirs });
    let wanted = wanted.with_max_level_hint(ours);
    // Without `log_internal_errors(false)` a failed write is reported by `eprintln!`, which panics when
    // standard error is gone as well.
    let layer = fmt::layer().log_internal_errors(false).event_format(line).with_writer(lines);
    Ok((Registry::default().with(wanted).with(layer), guard))
}

/// A duration as a person says it: `340ms`, `3.2s`, `12s`, `4m 10s`, `3h 2m`, `2d 5h`. What is left over is cut off.
#[must_use]
pub fn human_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let pair = |big: u64, big_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{big}{big_unit}"),
        small => format!("{big}{big_unit} {small}{small_unit}"),
    };
    match seconds {
        0 if duration.is_zero() => "0s".to_owned(),
        0 => format!("{}ms", duration.as_millis()),
        1..10 => match duration.subsec_millis() / 100 {
            0 => format!("{seconds}s"),
            tenths => format!("{seconds}.{tenths}s"),
        },
        10..60 => format!("{seconds}s"),
        60..HOUR => pair(seconds / 60, "m", seconds % 60, "s"),
        HOUR..DAY => pair(seconds / HOUR, "h", seconds % HOUR / 60, "m"),
        DAY.. => pair(seconds / DAY, "d", seconds % DAY / HOUR, "h"),
    }
}

/// Whether a line is the daemon's own; those of its libraries are shown from WARN up.
fn is_ours(target: &str) -> bool {
    target.strip_prefix("tickled").is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Whether `JOURNAL_STREAM` names this very stream: a child with its standard error elsewhere inherits the variable.
fn is_journal(stream: &fs::File) -> bool {
    let Some(journal) = env::var("JOURNAL_STREAM").ok() else {
        return false;
    };
    stream.metadata().is_ok_and(|seen| journal == format!("{}:{}", seen.dev(), seen.ino()))
}

fn wants_colour() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// The time of day, for the stamps of lines.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a line is stamped where it is written; no decision rests on it")]
pub fn wall_clock() -> SystemTime {
    SystemTime::now()
}

const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;
