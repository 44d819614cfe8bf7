//! The channel that runs a program: the message in its environment and, as JSON, on its standard input.

use std::cell::RefCell;
use std::env;
use std::io::{self, Read};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{self, Child};
use tokio::time::timeout;
use tracing::info;

use super::super::notice::Message;
use super::super::outbox::Outcome;
use super::super::settings;
use crate::log::{event, human_duration, redact};

#[derive(Debug)]
pub(in crate::alert) struct Command {
    channel: String,
    settings: settings::Command,
}

impl Command {
    pub(super) fn new(channel: &str, settings: &settings::Command) -> Self {
        Self { channel: channel.to_owned(), settings: settings.clone() }
    }

    /// Runs the program. Kills its whole process group when it ends, takes too long, or the daemon ends.
    pub(super) async fn deliver(&self, message: &Message) -> Outcome {
        let Some((program, arguments)) = self.settings.argv.split_first() else {
            return Outcome::refused("there is no program to run");
        };
        let mut command = process::Command::new(program);
        command.args(arguments).env_clear().kill_on_drop(true).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.envs(INHERITED.iter().filter_map(|name| Some((name, env::var_os(name)?))));
        command.envs(variables(message));
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return cannot_run(program, &error),
        };
        let group = Group::of(&child);
        let ran = timeout(self.settings.within, run(child, json(message))).await;
        drop(group);
        match ran {
            Ok(Ok((status, said))) => self.judge(status, &said),
            Ok(Err(error)) => Outcome::passing(format!("{program} cannot be waited for: {error}")),
            Err(_) => Outcome::passing(format!("no answer within {}", human_duration(self.settings.within))),
        }
    }

    fn judge(&self, status: ExitStatus, said: &[u8]) -> Outcome {
        let said = redact(&String::from_utf8_lossy(said));
        let quoted = if said.is_empty() { String::new() } else { format!(", and said: {said}") };
        if !said.is_empty() {
            let channel = &self.channel;
            info!(event = event::ALERT_COMMAND_SAID, channel, said, "channel {channel}: the program said: {said}");
        }
        match status.code() {
            Some(0) => Outcome::Sent { answer: format!("the program ended well{quoted}"), except: None },
            Some(code) if is_final(code) => {
                Outcome::refused(format!("the program ended with exit code {code}{quoted}"))
            }
            Some(_) | None => Outcome::passing(format!("the program ended with {status}{quoted}")),
        }
    }
}

/// Writes the input of the program and reads its output until it ends.
async fn run(mut child: Child, input: String) -> io::Result<(ExitStatus, Vec<u8>)> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A program may well end without reading it.
            drop(stdin.write_all(input.as_bytes()).await);
        }
    };
    let said = RefCell::new(Vec::new());
    let mut pipes = Box::pin(async { tokio::join!(feed, read(stdout, &said), read(stderr, &said)) });
    let status = tokio::select! {
        _ = &mut pipes => child.wait().await,
        status = child.wait() => {
            // A background process may keep the pipes open.
            let _ = timeout(LAST_WORDS, pipes).await;
            status
        }
    };
    Ok((status?, said.take()))
}

/// The process group of the program. Killed when dropped.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| Pid::from_raw(id.cast_signed())))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It fails when the group is empty already.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Classifies a failure to start the program. Only a lack of resources passes by itself.
fn cannot_run(program: &str, error: &io::Error) -> Outcome {
    let errno = Errno::from_io_error(error);
    let interpreter = (errno == Some(Errno::NOENT)).then(|| interpreter(program)).flatten();
    let why = match (errno, interpreter) {
        (_, Some(interpreter)) => format!("its first line names {interpreter}, which is not there"),
        (Some(Errno::NOEXEC), None) => {
            "it is neither a program for this machine nor a script that begins with #!".to_owned()
        }
        (_, None) => error.to_string().split(" (os error").next().unwrap_or_default().to_owned(),
    };
    let why = format!("{program} cannot be run: {why}");
    match errno {
        None
        | Some(Errno::AGAIN | Errno::INTR | Errno::IO | Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::TXTBSY) => {
            Outcome::passing(why)
        }
        Some(_) => Outcome::refused(why),
    }
}

/// The interpreter that a script names in its first line.
fn interpreter(program: &str) -> Option<String> {
    let mut head = Vec::new();
    let file = std::fs::File::open(program).ok()?;
    Read::take(file, 256).read_to_end(&mut head).ok()?;
    let line = String::from_utf8_lossy(&head).lines().next()?.strip_prefix("#!")?.trim().to_owned();
    Some(redact(line.split_whitespace().next()?))
}

/// The environment variables of a message.
fn variables(message: &Message) -> Vec<(String, String)> {
    let serde_json::Value::Object(fields) = serde_json::json!(message) else { return Vec::new() };
    let variable = |(name, value): (String, serde_json::Value)| {
        let value = match value {
            serde_json::Value::String(text) => text,
            serde_json::Value::Null => String::new(),
            serde_json::Value::Bool(_)
            | serde_json::Value::Number(_)
            | serde_json::Value::Array(_)
            | serde_json::Value::Object(_) => value.to_string(),
        };
        (format!("TICKLED_ALERT_{}", name.to_uppercase()), value)
    };
    fields.into_iter().map(variable).collect()
}

fn json(message: &Message) -> String {
    format!("{}\n", serde_json::json!(message))
}

/// Keeps the beginning of the output. Reads the rest as well, so that the program does not block.
async fn read(pipe: Option<impl AsyncReadExt + Unpin>, said: &RefCell<Vec<u8>>) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = [0; 1024];
    while let Ok(n @ 1..) = pipe.read(&mut buffer).await {
        let mut said = said.borrow_mut();
        let room = LONGEST_OUTPUT.saturating_sub(said.len());
        said.extend(buffer.iter().take(n.min(room)));
    }
}

/// Whether another try cannot help: the codes of sysexits(3) except "temporary failure", and those of a shell that cannot
/// run a program.
const fn is_final(code: i32) -> bool {
    matches!(code, 64..=74 | 76..=78 | 126 | 127)
}

/// The variables that a program inherits: no secrets, nothing of the service manager.
const INHERITED: &[&str] =
    &["PATH", "HOME", "LANG", "TZ", "STATE_DIRECTORY", "RUNTIME_DIRECTORY", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"];
const LONGEST_OUTPUT: usize = 4 * 1024;
/// How long the last output of a program that has ended is waited for.
const LAST_WORDS: Duration = Duration::from_millis(200);
