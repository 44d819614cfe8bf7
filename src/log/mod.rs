//! The log on standard error: formats, levels, event names, and a writer that never blocks the caller.
//!
//! The caller renders a line and passes it to one writer thread through a bounded queue. When standard error is
//! slow, closed or full, the line is lost and counted, and the count is logged as soon as there is room again.
//! Only [`Settings::level`] decides what is logged; `RUST_LOG` is not read.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;
use std::{env, fs};

use tracing::Subscriber;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Registry, fmt};

pub use duration::human_duration;
pub use event::{EVENTS, EventKind};
use journal::JournalSocket;
pub use redact::redact;
use settings::is_ours;
pub use settings::{Format, Level, LineClock, OutputFormat, Settings, Sink};
pub use writer::Guard;

mod duration;
pub mod escape;
pub mod event;
pub mod journal;
mod line;
mod redact;
mod settings;
pub mod tables;
mod writer;

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
/// When standard error cannot be used, no thread can be started, or the process has a log already.
pub fn init(settings: &Settings) -> Result<Guard, OpenError> {
    // A duplicated descriptor: a writer thread stuck in a write must not hold the lock of `io::stderr()`, which a panic
    // message needs.
    let stream = io::stderr().as_fd().try_clone_to_owned().map_err(OpenError::Stream)?;
    let stream = fs::File::from(stream);
    let journal = is_journal(&stream).then(|| JournalSocket::at(Path::new(journal::SOCKET)).ok());
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

/// A log that writes to `out`, for tests and for processes with a subscriber of their own.
///
/// # Errors
/// When the writer thread cannot be started.
pub fn subscriber<W: Write + Send + 'static>(
    settings: &Settings,
    format: OutputFormat,
    clock: LineClock,
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

/// Whether `JOURNAL_STREAM` names this stream. A child whose standard error was redirected inherits the variable too.
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

/// The time for the timestamps of lines.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a line is stamped where it is written; no decision rests on it")]
pub fn wall_clock() -> SystemTime {
    SystemTime::now()
}
