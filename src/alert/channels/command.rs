//! The channel that runs a program: the message in its environment and, as JSON, on its standard input.

use std::cell::RefCell;
use std::process::Stdio;
use std::time::Duration;
use std::{env, io};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process;
use tokio::time::timeout;
use tracing::info;

use super::super::notice::Message;
use super::super::outbox::Outcome;
use super::super::settings;
use crate::log::{event, redact};

#[derive(Debug)]
pub(super) struct Command {
    channel: String,
    settings: settings::Command,
}

impl Command {
    pub(super) fn new(channel: &str, settings: &settings::Command) -> Self {
        Self { channel: channel.to_owned(), settings: settings.clone() }
    }

    /// Runs it. The program ends with the try: it is killed when it takes too long.
    pub(super) async fn deliver(&self, message: &Message) -> Outcome {
        let Some((program, arguments)) = self.settings.argv.split_first() else {
            return Outcome::Refused { why: "there is no program to run".to_owned() };
        };
        let mut command = process::Command::new(program);
        command.args(arguments).env_clear().kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.envs(INHERITED.iter().filter_map(|name| Some((name, env::var_os(name)?))));
        command.envs(variables(message));
        let ran = async {
            let mut child = command.spawn()?;
            let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
            let feed = async {
                if let Some(mut stdin) = stdin {
                    // A program may well end without reading it.
                    drop(stdin.write_all(json(message).as_bytes()).await);
                }
            };
            let said = RefCell::new(Vec::new());
            let mut pipes = Box::pin(async { tokio::join!(feed, read(stdout, &said), read(stderr, &said)) });
            let ended = tokio::select! {
                _ = &mut pipes => child.wait().await,
                status = child.wait() => {
                    // What it has left running in the background may keep the pipes open as long as it likes.
                    let _ = timeout(LAST_WORDS, pipes).await;
                    status
                }
            };
            ended.map(|status| (status, said.take()))
        };
        match ran.await {
            Ok((status, said)) => {
                let said = redact(&String::from_utf8_lossy(&said));
                let quoted = if said.is_empty() { String::new() } else { format!(", and said: {said}") };
                if !said.is_empty() {
                    let channel = &self.channel;
                    info!(
                        event = event::ALERT_COMMAND_SAID,
                        channel, said, "channel {channel}: the program said: {said}"
                    );
                }
                match status.code() {
                    Some(0) => Outcome::Sent { answer: format!("the program ended well{quoted}"), except: None },
                    Some(code) if is_final(code) => {
                        Outcome::Refused { why: format!("the program ended with exit code {code}{quoted}") }
                    }
                    Some(_) | None => {
                        Outcome::TryAgain { why: format!("the program ended with {status}{quoted}"), after: None }
                    }
                }
            }
            Err(error) => {
                let why = format!("{program} cannot be run: {error}");
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) {
                    Outcome::Refused { why }
                } else {
                    Outcome::TryAgain { why, after: None }
                }
            }
        }
    }
}

/// The message as the program finds it in its environment.
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

/// The beginning of what a program says. The rest is read as well, so that it is not stuck.
async fn read(pipe: Option<impl AsyncReadExt + Unpin>, said: &RefCell<Vec<u8>>) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = [0; 1024];
    while let Ok(n @ 1..) = pipe.read(&mut buffer).await {
        let mut said = said.borrow_mut();
        let room = LONGEST_OUTPUT.saturating_sub(said.len());
        said.extend(buffer.iter().take(n.min(room)));
    }
}

/// Whether the exit code says that another try is of no use: by sysexits(3) all but "temporary failure", and what a
/// shell says of a program that it cannot run.
const fn is_final(code: i32) -> bool {
    matches!(code, 64..=74 | 76..=78 | 126 | 127)
}

/// What a program inherits; nothing that may be a secret or the service manager's.
const INHERITED: &[&str] = &["PATH", "HOME", "LANG", "TZ", "STATE_DIRECTORY", "RUNTIME_DIRECTORY"];
const LONGEST_OUTPUT: usize = 4 * 1024;
/// How long the last output of a program that has ended is waited for.
const LAST_WORDS: Duration = Duration::from_millis(200);
