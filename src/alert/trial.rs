//! A marked test through the channels, the same way as an alert goes, and what each of them answered.

use std::fmt;

use futures_util::future::join_all;

use super::channels::Sender;
use super::notice::Notice;
use super::outbox::Outcome;
use super::settings::Settings;
use crate::session::Now;

/// What became of a test on one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// The channel's name.
    pub channel: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// Sends a marked test through each channel, or through the one of that name. None waits for another.
pub async fn test(settings: &Settings, host: &str, now: Now, channel: Option<&str>) -> Vec<Trial> {
    let message = Notice::test(now.wall).message(&settings.zone, host);
    let chosen = settings.channels.iter().filter(|settings| channel.is_none_or(|name| settings.name == name));
    let trials = chosen.map(|settings| {
        let (sender, message) = (Sender::new(settings, host), &message);
        async move { Trial { channel: settings.name.clone(), outcome: sender.deliver(message).await } }
    });
    join_all(trials).await
}

impl Trial {
    /// Whether all whom the channel tells were told.
    #[must_use]
    pub fn is_told(&self) -> bool {
        matches!(self.outcome, Outcome::Sent { except: None, .. })
    }

    /// Whether the daemon would try it again.
    #[must_use]
    pub fn may_be_told(&self) -> bool {
        matches!(self.outcome, Outcome::TryAgain { .. })
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let channel = &self.channel;
        match &self.outcome {
            Outcome::Sent { answer, except: None } => write!(f, "{channel}: told: {answer}"),
            Outcome::Sent { answer, except: Some(why) } => {
                write!(f, "{channel}: told, but not everybody: {why}; for the others {answer}")
            }
            Outcome::TryAgain { why, .. } => {
                write!(f, "{channel}: NOT told: {why}; an alert would be tried again for a day")
            }
            Outcome::Refused { why } => write!(f, "{channel}: NOT told: {why}; an alert would be given up at once"),
        }
    }
}
