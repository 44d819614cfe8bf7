//! What of the alerts survives a restart. Pure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::lifecycle::AlertGroup;
use super::outbox::Progress;
use super::{About, Message, Notice};

/// The state of a [`Tracker`](super::Tracker) on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Persisted {
    pub(super) groups: Vec<(About, AlertGroup<Timestamp>)>,
    pub(super) deferred: Vec<Notice>,
}

/// What one channel's [`Outbox`](super::Outbox) keeps of a message across restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersistedMessage {
    /// The message to send.
    pub message: Message,
    /// Since when it waits.
    pub since: Timestamp,
    /// Its incident is over, and the beginning never arrived.
    pub start_undelivered: bool,
    /// Which receivers are done.
    #[serde(default)]
    pub progress: Progress,
}
