//! Input and output of the tracker. Pure.

use std::time::Duration;

use jiff::Timestamp;

use super::notice::{About, Notice};
use super::pipeline::{AlertWakeReason, Held};
use super::readiness::ReadinessReport;
use super::{Code, Severity};
use crate::status::Snapshot;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertInput<'a> {
    /// The deadline of the last plan came. A wake-up that is early or not needed is harmless.
    Wake,
    /// The state of a gateway.
    Snapshot(&'a Snapshot),
    /// This is no longer in the configuration.
    Forget(&'a About),
    /// A changed configuration was refused, for this reason.
    ConfigRejected {
        /// The configuration file.
        file: &'a str,
        /// The first error.
        why: &'a str,
    },
    /// A changed configuration was applied.
    ConfigAccepted,
    /// A channel did not deliver a message.
    Undeliverable {
        /// The channel's name.
        channel: &'a str,
        /// The title of the message.
        title: &'a str,
        /// Why not, as part of a sentence.
        why: &'a str,
    },
    /// A channel delivered a message.
    Delivered {
        /// The channel's name.
        channel: &'a str,
    },
    /// A human acknowledged an alert.
    Acknowledge {
        /// The subject of the alert.
        about: &'a About,
        /// Its code; `None` for all.
        code: Option<Code>,
    },
}

/// What the caller must do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "without the plan no human is notified"]
pub struct AlertPlan {
    /// Send these, in this order.
    pub notices: Vec<Notice>,
    /// Call [`Tracker::step`](super::Tracker::step) with [`AlertInput::Wake`] at this time
    /// ([`Now::mono`](crate::session::Now::mono)) at the latest.
    pub wake_at: Duration,
    /// Why then.
    pub because: AlertWakeReason,
    /// Prove these live sessions by a data call: their deadline comes.
    pub prove: Vec<String>,
    /// The sessions at a deadline that has passed.
    pub report: Option<ReadinessReport>,
    /// Log that these are open and not sent.
    pub held: Vec<ActiveAlert>,
    /// [`Tracker::snapshot`](super::Tracker::snapshot) has changed.
    pub changed: bool,
}

/// An open alert as the status shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveAlert {
    /// Its subject.
    pub about: About,
    /// Its code.
    pub code: Code,
    /// When it began.
    pub started_at: Timestamp,
    /// Whether a human was notified.
    pub notified: bool,
    /// Whether a human has acknowledged it.
    pub acknowledged: bool,
    /// Why it is not sent, if it is not.
    pub held: Option<Held>,
    /// Its severity.
    pub severity: Severity,
    /// What is wrong, or that it is no longer seen: a sentence without its capital and its full stop.
    pub summary: String,
    /// What to do about it, likewise; empty when it is no longer seen.
    pub action_text: String,
}
