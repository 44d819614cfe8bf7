//! The ids of events.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Names one row among all of this host's daemons: the daemon by its start, and a number that grows by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventId {
    /// When the daemon started, in milliseconds since 1970.
    pub(super) daemon: i64,
    pub(super) number: u64,
}

impl EventId {
    /// Whether this row came after the other one, at the same daemon.
    #[must_use]
    pub const fn is_after(self, other: Self) -> bool {
        self.daemon == other.daemon && self.number > other.number
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.daemon, self.number)
    }
}

impl FromStr for EventId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts =
            text.rsplit_once('-').and_then(|(daemon, number)| Some((daemon.parse().ok()?, number.parse().ok()?)));
        parts.map(|(daemon, number)| Self { daemon, number }).ok_or("not an event id")
    }
}

impl TryFrom<String> for EventId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<EventId> for String {
    fn from(id: EventId) -> Self {
        id.to_string()
    }
}
