//! One gateway's state as a value, and in words. Pure.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::calendar::{InMaintenance, Maintenance, Region};
use crate::log::human_duration;
use crate::session::{BUSY, Facts, Machine, Now, Plan, RateLimitState, SessionNumber, State, StateReason, WakeReason};
use crate::systemd::unit::UnitDown;

/// The state of one gateway at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The gateway's name in the configuration.
    pub gateway: String,
    /// Its address.
    pub url: String,
    /// The address by which people reach its login, if it is another.
    pub login_url: Option<String>,
    /// The systemd unit that runs it, if it is configured.
    pub service: Option<String>,
    /// The state of its session.
    pub state: State,
    /// Why that state was entered.
    pub reason: StateReason,
    /// When it was entered.
    pub since: Now,
    /// The number of its session, as the daemon numbers them.
    pub session: SessionNumber,
    /// When the present outage began.
    pub outage_since: Option<Now>,
    /// What else is known.
    pub facts: Facts,
    /// Details that the state does not have, such as both fingerprints of a certificate that is refused.
    pub detail: Option<String>,
    /// How the unit that runs the gateway ended, while that is why it does not answer.
    pub unit: Option<UnitDown>,
    /// When the daemon restarted the gateway, as far as that limits the next restart.
    pub restarts: Vec<Timestamp>,
    /// Whether the account is not of the configured kind.
    pub wrong_account: bool,
    /// Whether the session is flapping.
    pub flapping: bool,
    /// Whether the recovery attempts of this hour are used up.
    pub out_of_attempts: bool,
    /// When this login is expected to end, if that lies ahead.
    pub login_ends_at: Option<Timestamp>,
    /// The maintenance window that IBKR is in.
    pub maintenance: Option<InMaintenance>,
    /// Where IBKR serves the gateway, for its calendar.
    pub place: Option<Place>,
    /// Why the machine will wake.
    pub next: WakeReason,
    /// When, at the latest.
    pub next_at: Timestamp,
    /// The same on the monotonic clock. After that the driver is late.
    pub promised: Duration,
    /// Rate limits for the next driver of this gateway.
    pub rate_limits: RateLimitState,
}

/// Where IBKR serves a gateway, for its calendar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Whose midnight ends its logins.
    pub region: Region,
    /// The maintenance windows.
    pub maintenance: Arc<Maintenance>,
}

impl Snapshot {
    /// Puts together a snapshot after a step of the machine.
    #[must_use]
    pub fn of(gateway: &str, url: &str, machine: &Machine, plan: &Plan, now: Now, place: Option<&Place>) -> Self {
        let left = plan.wake_at.saturating_sub(now.mono);
        let held = place.and_then(|place| place.maintenance.at(place.region, now.wall));
        Self {
            gateway: gateway.to_owned(),
            url: url.to_owned(),
            login_url: None,
            service: None,
            state: machine.state(),
            reason: machine.reason(),
            since: machine.since(),
            session: SessionNumber::default(),
            outage_since: machine.outage_since(),
            facts: *machine.facts(),
            detail: machine.facts().answer_took.filter(|took| *took >= BUSY).map(|took| {
                format!("answers take {}: the gateway is busy", human_duration(Duration::from_secs(took.as_secs())))
            }),
            unit: None,
            restarts: Vec::new(),
            wrong_account: machine.is_wrong_account(),
            flapping: machine.is_flapping(),
            out_of_attempts: machine.is_out_of_attempts(),
            login_ends_at: place.and_then(|place| login_ends_at(place.region, machine, now)),
            place: place.cloned(),
            maintenance: held.filter(|held| now.wall < held.until),
            next: plan.reason,
            // In a pause the machine wakes earlier, to read the clock.
            next_at: machine
                .state()
                .paused_until()
                .flatten()
                .unwrap_or_else(|| now.wall.saturating_add(left).unwrap_or(now.wall)),
            promised: plan.wake_at,
            rate_limits: machine.rate_limit_state(now),
        }
    }
}

impl Place {
    /// Until when a maintenance window and the grace after it hold alerts, if one does at `at`.
    #[must_use]
    pub fn hold_until(&self, at: Timestamp) -> Option<Timestamp> {
        Some(self.maintenance.at(self.region, at)?.hold_until).filter(|until| *until > at)
    }
}

/// `None` without a login, and in a pause, in which the login is not watched.
fn login_ends_at(region: Region, machine: &Machine, now: Now) -> Option<Timestamp> {
    match machine.state() {
        State::LoginRequired(_) | State::Paused { .. } => None,
        State::Starting | State::Live | State::Recovering { .. } | State::Contested | State::Unavailable(_) => {
            machine.facts().auth_time.and_then(|login| region.login_ends(login)).filter(|end| *end > now.wall)
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
        let away = snapshot.maintenance.as_ref().map(|window| format!(", {}", in_maintenance(window)));
        parts.push(format!(
            "{}: {} since {since} ({}){}",
            snapshot.state,
            snapshot.gateway,
            snapshot.reason.sentence(),
            away.unwrap_or_default(),
        ));
    }
    if parts.is_empty() { "no gateway answered yet".to_owned() } else { parts.join("; ") }
}

/// In the window's own zone: `in maintenance until 01:45 America/New_York`.
fn in_maintenance(window: &InMaintenance) -> String {
    let known = TimeZone::get(&window.zone).ok();
    let (zone, name) = known.map_or((TimeZone::UTC, "UTC"), |zone| (zone, window.zone.as_str()));
    format!("in maintenance until {} {name}", zone.to_datetime(window.until).strftime("%H:%M"))
}
