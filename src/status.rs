//! One gateway's state as a value, and in words. Pure.

use jiff::Timestamp;

use crate::session::{Because, Known, Machine, Now, Plan, Reason, State};

/// All that is to be said about one gateway at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The gateway's name in the configuration.
    pub gateway: String,
    /// Its address.
    pub url: String,
    /// The state of its session.
    pub state: State,
    /// Why that state was entered.
    pub because: Because,
    /// Since when it holds.
    pub since: Now,
    /// Since when the session has not been live, while it is not.
    pub incident_since: Option<Now>,
    /// What else is known.
    pub known: Known,
    /// Whether the account is not of the kind that was configured.
    pub wrong_account: bool,
    /// Whether the session comes and goes more often than it should.
    pub flapping: bool,
    /// When this login is expected to end.
    pub login_ends_at: Option<Timestamp>,
    /// Until when alerts wait, because IBKR is in a maintenance window.
    pub hold_until: Option<Timestamp>,
    /// Why the machine will wake.
    pub next: Reason,
    /// When, at the latest.
    pub next_at: Timestamp,
    /// The same by the clock that never jumps: past it, the driver is late.
    pub promised: std::time::Duration,
}

impl Snapshot {
    /// What the machine knows after a step, and what it plans.
    #[must_use]
    pub fn of(gateway: &str, url: &str, machine: &Machine, plan: &Plan, now: Now) -> Self {
        let left = plan.wake_at.saturating_sub(now.mono);
        Self {
            gateway: gateway.to_owned(),
            url: url.to_owned(),
            state: machine.state(),
            because: machine.because(),
            since: machine.since(),
            incident_since: machine.incident_since(),
            known: *machine.known(),
            wrong_account: machine.is_wrong_account(),
            flapping: machine.is_flapping(),
            login_ends_at: None,
            hold_until: None,
            next: plan.because,
            next_at: now.wall.saturating_add(left).unwrap_or(now.wall),
            promised: plan.wake_at,
        }
    }
}

/// One line about all gateways: `live: main, paper; login-required: ira since 00:12`.
#[must_use]
pub fn summary(snapshots: &[&Snapshot]) -> String {
    let live: Vec<&str> =
        snapshots.iter().filter(|s| s.state == State::Live).map(|snapshot| snapshot.gateway.as_str()).collect();
    let mut parts = Vec::new();
    if !live.is_empty() {
        parts.push(format!("live: {}", live.join(", ")));
    }
    for snapshot in snapshots.iter().filter(|s| s.state != State::Live) {
        let since = snapshot.since.wall.strftime("%Y-%m-%d %H:%M UTC");
        parts.push(format!("{}: {} since {since} ({})", snapshot.state, snapshot.gateway, snapshot.because.sentence()));
    }
    if parts.is_empty() { "no gateway answered yet".to_owned() } else { parts.join("; ") }
}
