//! The rows of the ledger, which are also the events that programs receive.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::event_id::EventId;
use crate::alert::{self, AlertPhase, Code, Notice, Severity};
use crate::session::{StateKind, StateReason, Transition};

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// When.
    pub at: Timestamp,
    /// Its id as an event; `None` in a line of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<EventId>,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// The content of a line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum What {
    /// The daemon began. Nothing is known of the time between the earlier one's last sign and this.
    Began {
        /// When the earlier daemon was last known to run, if there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_seen: Option<Timestamp>,
    },
    /// The daemon ended on a signal.
    Ended,
    /// A gateway was added.
    Watched {
        /// Which.
        gateway: String,
    },
    /// A gateway was removed.
    Unwatched {
        /// Which.
        gateway: String,
    },
    /// A gateway was not observed until this moment, because the host slept, its clock was set or the daemon was
    /// stopped.
    Unobserved {
        /// Which.
        gateway: String,
        /// When it was last observed.
        since: Timestamp,
    },
    /// A gateway's state changed.
    Changed {
        /// Which.
        gateway: String,
        /// The state that was left.
        from: StateKind,
        /// The state that was entered.
        to: StateKind,
        /// Why: the code that stands in the log as well.
        because: StateReason,
        /// The number of its session; `None` in a line of an earlier version.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<u64>,
    },
    /// A gateway is shown in another state, and has not changed: it was not observed for too long, or is observed
    /// again.
    Shown {
        /// Which.
        gateway: String,
        /// The state that was shown.
        from: StateKind,
        /// The state that is shown.
        to: StateKind,
        /// Why, by its code.
        because: StateReason,
        /// The number of its session.
        session: u64,
    },
    /// A gateway's session is, or may be, a new one.
    Session {
        /// Which.
        gateway: String,
        /// Its number.
        session: u64,
    },
    /// The deadline of the day has passed.
    Deadline {
        /// The gateways that were ready.
        ready: Vec<String>,
        /// The gateways that were not.
        not_ready: Vec<String>,
    },
    /// A human was notified.
    Alert {
        /// The code of the alert.
        code: Code,
        /// Whether it begins, lasts or ends.
        phase: AlertPhase,
        /// Its severity.
        severity: Severity,
        /// The gateway it is about, if it is about one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gateway: Option<String>,
        /// The channel it is about, if it is about one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        channel: Option<String>,
        /// The reason, as a stable word.
        reason: String,
    },
}

impl Row {
    /// A line that is no event yet.
    #[must_use]
    pub const fn new(at: Timestamp, what: What) -> Self {
        Self { at, id: None, what }
    }
}

impl What {
    /// How the sessions were at a deadline.
    #[must_use]
    pub fn deadline(report: alert::ReadinessReport) -> Self {
        Self::Deadline { ready: report.ready, not_ready: report.not_ready }
    }

    /// The change that a transition is.
    #[must_use]
    pub fn changed(gateway: &str, transition: &Transition, session: u64) -> Self {
        Self::Changed {
            gateway: gateway.to_owned(),
            from: transition.from.kind(),
            to: transition.to.kind(),
            because: transition.reason,
            session: Some(session),
        }
    }

    /// The recorded part of a notification.
    #[must_use]
    pub fn notified(notice: &Notice) -> Self {
        let [gateway, channel] = [notice.about.gateway(), notice.about.channel()].map(|name| name.map(str::to_owned));
        let Notice { code, phase, severity, reason, .. } = notice;
        Self::Alert { code: *code, phase: *phase, severity: *severity, gateway, channel, reason: reason.clone() }
    }

    /// The gateway that it is about, or all of them.
    #[must_use]
    pub fn gateway(&self) -> Option<&str> {
        match self {
            Self::Began { .. } | Self::Ended | Self::Deadline { .. } => None,
            Self::Watched { gateway }
            | Self::Unwatched { gateway }
            | Self::Unobserved { gateway, .. }
            | Self::Changed { gateway, .. }
            | Self::Shown { gateway, .. }
            | Self::Session { gateway, .. } => Some(gateway),
            Self::Alert { gateway, .. } => gateway.as_deref(),
        }
    }
}
