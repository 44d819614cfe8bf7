//! The events of the daemon, as in the JSON of `GET /v1/events`. Pure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::api::{DaemonStatus, GatewayStatus};
use crate::alert::{AlertPhase, Code, Severity};
use crate::history::{EventId, Row, What};
use crate::session::{StateKind, StateReason};

/// Something that a listening program is notified of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Event {
    /// A gateway is in this state.
    State(StateEvent),
    /// A gateway's session is, or may be, a new one.
    Session(SessionEvent),
    /// A human was notified.
    Alert(AlertEvent),
    /// Events were missed. The present states follow.
    Resync {},
}

/// A gateway's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateEvent {
    /// The gateway.
    pub gateway: String,
    /// The state that was left; none in the present state that a listener receives first.
    pub from: Option<StateKind>,
    /// The state that it is in.
    pub to: StateKind,
    /// Why, by its code.
    pub because: StateReason,
    /// The number of its session, present or last.
    pub session: u64,
    /// Since when it is in this state.
    pub at: Timestamp,
}

/// A new session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEvent {
    /// The gateway.
    pub gateway: String,
    /// The number of the session.
    pub session: u64,
    /// Since when.
    pub at: Timestamp,
}

/// A notification of a human.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertEvent {
    /// The code of the alert.
    pub code: Code,
    /// Whether it begins, lasts or ends.
    pub phase: AlertPhase,
    /// Its severity.
    pub severity: Severity,
    /// The gateway it is about, if it is about one.
    pub gateway: Option<String>,
    /// The channel it is about, if it is about one.
    pub channel: Option<String>,
    /// The reason, as a stable word.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

impl Event {
    /// The event that a row of the ledger is, if it is one.
    #[must_use]
    pub fn of(row: &Row) -> Option<Self> {
        let at = row.at;
        match row.what.clone() {
            What::Changed { gateway, from, to, because, session } => {
                let session = session.unwrap_or_default();
                Some(Self::State(StateEvent { gateway, from: Some(from), to, because, session, at }))
            }
            What::Shown { gateway, from, to, because, session } => {
                Some(Self::State(StateEvent { gateway, from: Some(from), to, because, session, at }))
            }
            What::Session { gateway, session } => Some(Self::Session(SessionEvent { gateway, session, at })),
            What::Alert { code, phase, severity, gateway, channel, reason } => {
                Some(Self::Alert(AlertEvent { code, phase, severity, gateway, channel, reason, at }))
            }
            What::Began { .. }
            | What::Ended
            | What::Deadline { .. }
            | What::Watched { .. }
            | What::Unwatched { .. }
            | What::Unobserved { .. } => None,
        }
    }

    /// The present state of every gateway, or of one.
    pub fn present(status: &DaemonStatus, only: Option<&str>) -> impl Iterator<Item = Self> {
        let state = |gateway: &GatewayStatus| {
            Self::State(StateEvent {
                gateway: gateway.name.clone(),
                from: None,
                to: gateway.state,
                because: gateway.because,
                session: gateway.session,
                at: gateway.since,
            })
        };
        status.gateways.iter().filter(move |gateway| only.is_none_or(|name| name == gateway.name)).map(state)
    }

    /// Whether it is about this gateway, or about the daemon as a whole.
    #[must_use]
    pub fn concerns(&self, name: &str) -> bool {
        match self {
            Self::State(StateEvent { gateway, .. }) | Self::Session(SessionEvent { gateway, .. }) => gateway == name,
            Self::Alert(AlertEvent { gateway, .. }) => gateway.as_deref().is_none_or(|gateway| gateway == name),
            Self::Resync {} => true,
        }
    }

    /// Its name as a Server-Sent Event.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::State(_) => "state",
            Self::Session(_) => "session",
            Self::Alert(_) => "alert",
            Self::Resync {} => "resync",
        }
    }

    /// The event as a Server-Sent Event.
    #[must_use]
    pub fn text(&self, id: EventId) -> String {
        let data = match self {
            Self::State(event) => serde_json::to_string(event),
            Self::Session(event) => serde_json::to_string(event),
            Self::Alert(event) => serde_json::to_string(event),
            Self::Resync {} => Ok("{}".to_owned()),
        };
        format!("id: {id}\nevent: {}\ndata: {}\n\n", self.name(), data.unwrap_or_default())
    }

    /// The event of this name with this data; none if it is of a later version.
    #[must_use]
    pub fn read(name: &str, data: &str) -> Option<Self> {
        match name {
            "state" => serde_json::from_str(data).ok().map(Self::State),
            "session" => serde_json::from_str(data).ok().map(Self::Session),
            "alert" => serde_json::from_str(data).ok().map(Self::Alert),
            "resync" => Some(Self::Resync {}),
            _ => None,
        }
    }
}
