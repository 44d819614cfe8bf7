//! What verbs print: results on standard output, everything else on standard error.

use std::io::{self, IsTerminal, Write};

use anyhow::Context;
use serde_json::json;

use super::terminal::{terminal, width_of};
use crate::control::Error;
use crate::exit::Exit;
use crate::text::wrap;

/// Writes to standard output. A reader that has closed the pipe has read enough, as `head` does: the verb goes on, and
/// its exit code stays what it would have been.
pub(super) fn say(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}

/// Writes lines for people, wrapped on a terminal.
pub(super) fn tell(text: &str) -> anyhow::Result<()> {
    say(&(wrap(text, 0, terminal()) + "\n"))
}

/// Writes what is wrong to standard error.
pub(super) fn complain(text: &str) {
    let text = format!("tickled: {text}");
    let width = io::stderr().is_terminal().then(|| width_of(io::stderr()));
    let text = if width.is_some() { wrap(&text, 0, width) } else { text };
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// Prints what a daemon did.
pub(super) fn done(answer: Result<String, Error>, as_json: bool) -> anyhow::Result<Exit> {
    match answer {
        Ok(done) if as_json => say(&(json!({ "done": done }).to_string() + "\n"))?,
        Ok(done) => tell(&done)?,
        Err(error) => return Ok(failed(&error)),
    }
    Ok(Exit::Live)
}

/// Prints why a daemon did not do it.
pub(super) fn failed(error: &Error) -> Exit {
    complain(&error.to_string());
    match error {
        Error::NoDaemon(_) | Error::NotAllowed(_) | Error::Silent { .. } => Exit::NothingAnswers,
        Error::Broken { .. } => Exit::Internal,
        Error::Refused(_) => Exit::Usage,
    }
}
