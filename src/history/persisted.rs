//! The last known state of each gateway, with the operator's pause or logout: one small file, replaced as a whole.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::atomic_file::{AtomicFile, LoadError};
use crate::session::{Cause, RateLimitState, SessionNumber, StateKind, StateReason};
use crate::status::Snapshot;

/// What a daemon knows of an earlier one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersistedState {
    /// When the daemon was last running.
    pub seen: Option<Timestamp>,
    /// The gateways, by name.
    pub gateways: BTreeMap<String, PersistedGateway>,
}

/// The persisted state of one gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersistedGateway {
    /// Its state.
    pub state: StateKind,
    /// Why it was in it.
    pub because: StateReason,
    /// Since when.
    pub since: Timestamp,
    /// While it is paused: when the pause ends by itself, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The number of its session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionNumber>,
    /// When the daemon restarted it because it was wedged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restarts: Vec<Timestamp>,
    /// The rate limits for its next driver.
    #[serde(default, skip_serializing_if = "is_free")]
    pub rate_limits: RateLimitState,
}

/// The state that a gateway's driver inherits from its predecessor, in this daemon or an earlier one: the operator's
/// pause or logout, and the rate limits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DriverInit {
    /// The pause that it is in, with its end if it has one.
    pub pause: Option<Option<Timestamp>>,
    /// The session was ended on purpose.
    pub logged_out: bool,
    /// The rate limits.
    pub rate_limits: RateLimitState,
}

impl PersistedState {
    /// The state of a daemon that runs without gateways.
    #[must_use]
    pub fn seen_at(now: Timestamp) -> Self {
        Self { seen: Some(now), ..Self::default() }
    }

    /// Loads the state from `folder`; the default if there is none. Blocks.
    ///
    /// # Errors
    /// When there is something, and it cannot be used.
    pub fn load(folder: &Path) -> Result<Self, LoadError> {
        file(folder).load()
    }

    /// Replaces the state in `folder`. Blocks.
    ///
    /// # Errors
    /// When it cannot be written; the earlier state is still there.
    pub fn save(&self, folder: &Path) -> io::Result<()> {
        file(folder).save(self)
    }

    /// What a daemon that starts at `now` records: a gateway that has not reported yet is as it was, and new numbers
    /// may be given out before the disk takes them.
    #[must_use]
    pub(super) fn restarted(&self, now: Timestamp) -> Self {
        let mut gateways = self.gateways.clone();
        for (name, gateway) in &mut gateways {
            gateway.session = Some(SessionNumber { unrecorded: UNRECORDED, ..self.session(name, now) });
        }
        Self { seen: Some(now), gateways }
    }

    /// The session number with which the gateway's next daemon begins.
    #[must_use]
    pub fn session(&self, gateway: &str, now: Timestamp) -> SessionNumber {
        SessionNumber::after(self.gateways.get(gateway).and_then(|gateway| gateway.session), now)
    }

    /// What the gateway's next driver inherits.
    #[must_use]
    pub fn init(&self, gateway: &str, now: Timestamp) -> DriverInit {
        self.gateways.get(gateway).map(|remembered| remembered.init(now)).unwrap_or_default()
    }
}

impl PersistedGateway {
    /// What the gateway's next driver inherits.
    #[must_use]
    pub fn init(&self, now: Timestamp) -> DriverInit {
        let lasts = self.until.is_none_or(|until| until > now);
        DriverInit {
            pause: (self.state == StateKind::Paused && lasts).then_some(self.until),
            logged_out: self.state == StateKind::LoginRequired && self.because == StateReason::Cause(Cause::ByOperator),
            rate_limits: self.rate_limits.clone(),
        }
    }
}

impl From<&Snapshot> for PersistedGateway {
    fn from(snapshot: &Snapshot) -> Self {
        Self {
            state: snapshot.state.kind(),
            because: snapshot.reason,
            since: snapshot.since.wall,
            until: snapshot.state.paused_until().flatten(),
            session: Some(SessionNumber { unrecorded: UNRECORDED, ..snapshot.session }),
            restarts: snapshot.restarts.clone(),
            rate_limits: RateLimitState { unrecorded: UNRECORDED, ..snapshot.rate_limits.clone() },
        }
    }
}

impl PersistedGateway {
    /// Whether this entry on disk need not be written again for the gateway to be as in `present`: only requests were
    /// sent since, and fewer of them than the entry allows for.
    #[must_use]
    pub fn covers(&self, present: &Self) -> bool {
        let last = self.rate_limits.requests.last();
        let since = present.rate_limits.requests.iter().filter(|at| last.is_none_or(|last| *at > last)).count();
        let requests = &present.rate_limits.requests;
        let as_written = Self {
            rate_limits: RateLimitState { requests: requests.clone(), unrecorded: 0, ..self.rate_limits.clone() },
            ..self.clone()
        };
        let present =
            Self { rate_limits: RateLimitState { unrecorded: 0, ..present.rate_limits.clone() }, ..present.clone() };
        as_written == present && since < usize::from(self.rate_limits.unrecorded).saturating_sub(MARGIN)
    }
}

fn is_free(rate_limits: &RateLimitState) -> bool {
    *rate_limits == RateLimitState::default()
}

fn file(folder: &Path) -> AtomicFile {
    AtomicFile::new(folder, "state.json", VERSION)
}

/// Requests that may be sent to a gateway before its entry is written again, because a disk write for each request
/// would be too many. After a crash all of them count as sent. So do as many session numbers, which may have been given
/// out while the disk was slow.
const UNRECORDED: u8 = 15;
/// Of these, requests that may be sent while the entry is being written.
const MARGIN: usize = 5;
const VERSION: u32 = 1;
