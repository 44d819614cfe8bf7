//! Sends a marked test through the channels and the dead man's switch, in the way of an alert, and collects the
//! answers.

use std::fmt;
use std::time::Duration;

use futures_util::future::{join, join_all};
use tokio::time::timeout;

use super::channels::{self, Sender};
use super::heartbeat::Heartbeat;
use super::notice::{AlertPhase, Message, Notice, Origin};
use super::outbox::{Outcome, Progress};
use super::settings::Settings;
use super::{Code, Sign};
use crate::session::Now;

/// The result of a test on one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestResult {
    /// The channel's name, or [`DEADMAN`].
    pub channel: String,
    /// The outcome.
    pub outcome: Outcome,
}

/// Sends a marked test through each channel and the dead man's switch at once, or through the one of that name. With a
/// code it has the priority of that alert and goes to the channels that match it.
pub async fn test(
    settings: &Settings,
    own_host: &str,
    now: Now,
    channel: Option<&str>,
    code: Option<Code>,
) -> Vec<TestResult> {
    let host = settings.host(own_host);
    let message = Notice::test(now.wall).message(&settings.zone(), &Origin::from(host));
    let message = code.map_or(message.clone(), |code| rehearsal(message, code));
    let alert = Message { phase: AlertPhase::Raised, ..message.clone() };
    let is_meant = |name: &str| channel.is_none_or(|channel| channel == name);
    let takes_it = |settings: &&super::settings::Channel| {
        is_meant(&settings.name) && (code.is_none() || channel.is_some() || channels::matches(settings, &alert))
    };
    let chosen: Vec<_> = settings.channels.iter().filter(takes_it).collect();
    let no_receiver = code.filter(|_| chosen.is_empty() && channel != Some(DEADMAN)).map(|code| TestResult {
        channel: "alert test".to_owned(),
        outcome: Outcome::refused(format!("no channel takes {code}: look at min_severity and codes")),
    });
    let tests = chosen.into_iter().map(|settings| {
        let (sender, message) = (Sender::new(settings, host), &message);
        async move {
            let mut progress = Progress::default();
            let outcome = limited(sender.deliver(message, &mut progress)).await;
            TestResult { channel: settings.name.clone(), outcome }
        }
    });
    let is_free = !settings.channels.iter().any(|channel| channel.name == DEADMAN);
    let deadman = settings.deadman.as_ref().filter(|_| is_free && code.is_none() && is_meant(DEADMAN));
    let heartbeat = async {
        let outcome = limited(Heartbeat::new(deadman?).send(Sign::Good)).await;
        Some(TestResult { channel: DEADMAN.to_owned(), outcome })
    };
    let (mut results, heartbeat) = join(join_all(tests), heartbeat).await;
    results.extend(heartbeat.into_iter().chain(no_receiver));
    results
}

/// Returns the names that can be tested.
#[must_use]
pub fn testable(settings: &Settings) -> Vec<&str> {
    let channels = settings.channels.iter().map(|channel| channel.name.as_str());
    let mut names: Vec<&str> = channels.collect();
    if settings.deadman.is_some() && !names.contains(&DEADMAN) {
        names.push(DEADMAN);
    }
    names
}

/// Gives the test the priority of this alert.
fn rehearsal(message: Message, code: Code) -> Message {
    let entry = code.entry();
    Message {
        code: code.name().to_owned(),
        severity: entry.severity,
        title: format!("TEST: {}", entry.title),
        text: format!("This is only a test of how {code} arrives.\n{}", message.text),
        ..message
    }
}

async fn limited(outcome: impl Future<Output = Outcome>) -> Outcome {
    timeout(TEST_WITHIN, outcome).await.unwrap_or_else(|_| {
        Outcome::passing(format!("no answer within {}s; an alert would wait longer", TEST_WITHIN.as_secs()))
    })
}

impl TestResult {
    /// Whether all recipients were reached.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        matches!(self.outcome, Outcome::Sent { except: None, .. })
    }

    /// Whether the failure may pass by itself, so that the daemon's next tries may succeed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.outcome, Outcome::TryAgain { needs_human: false, .. })
    }
}

impl fmt::Display for TestResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let channel = &self.channel;
        match &self.outcome {
            Outcome::Sent { answer, except: None } => write!(f, "{channel}: delivered: {answer}"),
            Outcome::Sent { answer, except: Some(why) } => {
                write!(f, "{channel}: delivered, but not to all recipients: {why}; for the others {answer}")
            }
            Outcome::TryAgain { why, needs_human: false, .. } => {
                write!(f, "{channel}: NOT delivered: {why}; an alert would be retried")
            }
            Outcome::TryAgain { why, needs_human: true, .. } => {
                write!(
                    f,
                    "{channel}: NOT delivered: {why}; an alert would be retried with growing pauses until this is fixed"
                )
            }
            Outcome::Refused { why } => {
                write!(f, "{channel}: NOT delivered: {why}; an alert would be given up at once")
            }
        }
    }
}

/// The name under which the dead man's switch is tested.
pub const DEADMAN: &str = "deadman";
/// How long a test of one channel may take: the operator waits for it.
const TEST_WITHIN: Duration = Duration::from_secs(30);
