//! Runs a program of the operator: with a message in its environment and on its standard input, for a limited time, and with
//! nothing left of it afterwards.

use std::cell::RefCell;
use std::env;
use std::io::{self, Read};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::log::redact;

/// How a program ended.
#[derive(Debug)]
pub enum Ran {
    /// With this status, after this output, whose secrets are masked.
    Ended(ExitStatus, String),
    /// It was killed, because it took too long.
    Late,
    /// It could not be started, for this reason.
    NotRun {
        /// Why not.
        why: String,
        /// Whether that may pass by itself.
        may_pass: bool,
    },
}

/// Runs a program. Kills its whole process group when it ends, takes too long, or this is dropped. The fields of `message` are
/// in its environment, their names after `prefix`, and as JSON on its standard input.
pub async fn run(argv: &[String], within: Duration, prefix: &str, message: &impl Serialize) -> Ran {
    let Some((program, arguments)) = argv.split_first() else {
        return Ran::NotRun { why: "there is no program to run".to_owned(), may_pass: false };
    };
    let message = serde_json::json!(message);
    let mut command = Command::new(program);
    command.args(arguments).env_clear().kill_on_drop(true).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.envs(INHERITED.iter().filter_map(|name| Some((name, env::var_os(name)?))));
    command.envs(variables(prefix, &message));
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return cannot_run(program, &error),
    };
    let group = Group::of(&child);
    let ran = timeout(within, talk(child, format!("{message}\n"))).await;
    drop(group);
    match ran {
        Ok(Ok((status, output))) => Ran::Ended(status, redact(&String::from_utf8_lossy(&output))),
        Ok(Err(error)) => Ran::NotRun { why: format!("{program} cannot be waited for: {error}"), may_pass: true },
        Err(_) => Ran::Late,
    }
}

/// Writes the input of the program and reads its output until it ends.
async fn talk(mut child: Child, input: String) -> io::Result<(ExitStatus, Vec<u8>)> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A program may well end without reading it.
            drop(stdin.write_all(input.as_bytes()).await);
        }
    };
    let output = RefCell::new(Vec::new());
    let mut pipes = Box::pin(async { tokio::join!(feed, read(stdout, &output), read(stderr, &output)) });
    let status = tokio::select! {
        _ = &mut pipes => child.wait().await,
        status = child.wait() => {
            // A background process may keep the pipes open.
            let _ = timeout(LAST_OUTPUT, pipes).await;
            status
        }
    };
    Ok((status?, output.take()))
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
fn cannot_run(program: &str, error: &io::Error) -> Ran {
    let errno = Errno::from_io_error(error);
    let interpreter = (errno == Some(Errno::NOENT)).then(|| interpreter(program)).flatten();
    let why = match (errno, interpreter) {
        (_, Some(interpreter)) => format!("its first line names {interpreter}, which is not there"),
        (Some(Errno::NOEXEC), None) => {
            "it is neither a program for this machine nor a script that begins with #!".to_owned()
        }
        (_, None) => error.to_string().split(" (os error").next().unwrap_or_default().to_owned(),
    };
    let may_pass = matches!(
        errno,
        None | Some(
            Errno::AGAIN | Errno::INTR | Errno::IO | Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::TXTBSY
        )
    );
    Ran::NotRun { why: format!("{program} cannot be run: {why}"), may_pass }
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
fn variables(prefix: &str, message: &serde_json::Value) -> Vec<(String, String)> {
    let fields = message.as_object().into_iter().flatten();
    let variable = |(name, value): (&String, &serde_json::Value)| {
        let value = match value {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Null => String::new(),
            serde_json::Value::Bool(_)
            | serde_json::Value::Number(_)
            | serde_json::Value::Array(_)
            | serde_json::Value::Object(_) => value.to_string(),
        };
        (format!("{prefix}{}", name.to_uppercase()), value)
    };
    fields.map(variable).collect()
}

/// Keeps the beginning of the output. Reads the rest as well, so that the program does not block.
async fn read(pipe: Option<impl AsyncReadExt + Unpin>, output: &RefCell<Vec<u8>>) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = [0; 1024];
    while let Ok(n @ 1..) = pipe.read(&mut buffer).await {
        let mut output = output.borrow_mut();
        let room = LONGEST_OUTPUT.saturating_sub(output.len());
        output.extend(buffer.iter().take(n.min(room)));
    }
}

/// The variables that a program inherits: no secrets, nothing of the service manager.
const INHERITED: &[&str] = &["PATH", "HOME", "LANG", "TZ", "STATE_DIRECTORY", "RUNTIME_DIRECTORY"];
const LONGEST_OUTPUT: usize = 4 * 1024;
/// How long the last output of a program that has ended is waited for.
const LAST_OUTPUT: Duration = Duration::from_millis(200);
