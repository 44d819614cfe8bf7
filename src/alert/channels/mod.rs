//! The kinds of channels: the log, a web request, a mail, a program.

mod command;
mod email;
pub(super) mod http;
pub mod log;
mod preset;
mod response_text;
mod smtp;
mod smtp_replies;
mod template;
mod webhook;

pub use email::is_mailbox;
pub use preset::Call;
pub use template::check as check_body;
pub use webhook::{TOKEN, is_exposed};

use std::time::Duration;

use super::Code;
use super::notice::{AlertPhase, Message};
use super::outbox::{Outcome, Progress};
use super::settings::{self, Channel};

/// Sends messages through one channel.
#[derive(Debug)]
pub(super) enum Sender {
    Webhook(Box<webhook::WebhookChannel>),
    Email(Box<email::EmailChannel>),
    Command(command::CommandChannel),
}

impl Sender {
    pub(super) fn new(settings: &Channel, host: &str) -> Self {
        match &settings.kind {
            settings::ChannelKind::Webhook(webhook) => Self::Webhook(Box::new(webhook::WebhookChannel::new(webhook))),
            settings::ChannelKind::Email(email) => Self::Email(Box::new(email::EmailChannel::new(email, host))),
            settings::ChannelKind::Command(command) => {
                Self::Command(command::CommandChannel::new(&settings.name, command))
            }
        }
    }

    /// Tries once, in a time that each kind of channel limits. Receivers that need no further try go into `progress`.
    pub(super) async fn deliver(&self, message: &Message, progress: &mut Progress) -> Outcome {
        match self {
            Self::Webhook(webhook) => webhook.deliver(message).await,
            Self::Email(email) => email.deliver(message, progress).await,
            Self::Command(command) => command.deliver(message).await,
        }
    }
}

/// Whether the channel is used for this message.
pub(super) fn matches(channel: &Channel, message: &Message) -> bool {
    if message.phase == AlertPhase::Test {
        return true;
    }
    let Some(code) = Code::named(&message.code) else { return false };
    let is_own = message.channel.as_deref() == Some(&channel.name);
    let is_far = message.gateway.as_ref().is_some_and(|name| !channel.gateways.contains(name));
    let is_end_unsaid = matches!(message.phase, AlertPhase::Replaced | AlertPhase::Acknowledged)
        || (message.phase.is_end() && !code.has_end());
    message.severity >= channel.min_severity
        && !is_own
        && (channel.gateways.is_empty() || !is_far)
        && (channel.codes.is_empty() || channel.codes.contains(&code))
        && (!is_end_unsaid || channel.kind.keeps_incidents())
        // An incident that never ends is none.
        && (code.has_end() || !channel.kind.opens_incidents())
}

/// How long one run of a program may take by default.
pub const WITHIN: Duration = Duration::from_secs(10);
