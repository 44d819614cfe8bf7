//! The channel that runs a program: the message in its environment and, as JSON, on its standard input.

use std::process::ExitStatus;

use tracing::info;

use super::super::notice::Message;
use super::super::outbox::Outcome;
use super::super::settings;
use crate::log::{event, human_duration};
use crate::program::{self, Ran};

#[derive(Debug)]
pub(in crate::alert) struct CommandChannel {
    channel: String,
    settings: settings::CommandSettings,
}

impl CommandChannel {
    pub(super) fn new(channel: &str, settings: &settings::CommandSettings) -> Self {
        Self { channel: channel.to_owned(), settings: settings.clone() }
    }

    /// Runs the program.
    pub(super) async fn deliver(&self, message: &Message) -> Outcome {
        let settings::CommandSettings { argv, within } = &self.settings;
        match program::run(argv, *within, PREFIX, message).await {
            Ran::Ended(status, output) => self.judge(status, &output),
            Ran::Late => Outcome::passing(format!("no answer within {}", human_duration(*within))),
            Ran::NotRun { why, may_pass: true } => Outcome::passing(why),
            Ran::NotRun { why, may_pass: false } => Outcome::refused(why),
        }
    }

    fn judge(&self, status: ExitStatus, said: &str) -> Outcome {
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

/// Whether another try cannot help: the codes of sysexits(3) except "temporary failure", and those of a shell that
/// cannot run a program.
const fn is_final(code: i32) -> bool {
    matches!(code, 64..=74 | 76..=78 | 126 | 127)
}

const PREFIX: &str = "TICKLED_ALERT_";
