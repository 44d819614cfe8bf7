//! The dead man's switch: a service that raises an alarm when its pings stop. It works even when this host is down.

use std::collections::BTreeMap;
use std::time::Duration;

use super::time::Moment;
use crate::session::{Cause, Now, State};
use crate::status::Snapshot;

/// A sign for the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// All is well, or is being handled.
    Good,
    /// A human is needed.
    Fail,
}

/// Decides when a sign is due. Pure.
///
/// The sign fails while a human was notified that something has to be done, and it is not done. It is good while each
/// gateway is live and has answered a ping since the last sign, or is not live and `tickled` handles that: it recovers
/// the session, or holds the alert back on purpose. No sign is sent while a gateway was never checked or a driver is
/// late. The service then raises the alarm by itself.
#[derive(Debug, Clone)]
pub struct Deadman {
    every: Duration,
    gateways: BTreeMap<String, Watched>,
    last: Option<(Moment, Sign)>,
}

#[derive(Debug, Clone, Copy)]
struct Watched {
    health: GatewayHealth,
    /// When its driver reports again at the latest, by [`Now::mono`].
    promised: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GatewayHealth {
    /// It was never checked.
    Unknown,
    /// It is live, and has answered a ping since the last sign.
    Proved,
    /// It is live, and has not.
    Unproved,
    /// It is not live, and `tickled` handles it.
    Handled,
    /// It is not live because the operator wants that.
    Silenced,
}

impl Deadman {
    /// Signs for these gateways, at most one of each kind in `every`.
    #[must_use]
    pub fn new(every: Duration, gateways: impl Iterator<Item = String>) -> Self {
        let unknown = Watched { health: GatewayHealth::Unknown, promised: Duration::MAX };
        Self { every, gateways: gateways.map(|name| (name, unknown)).collect(), last: None }
    }

    /// Records the state of a gateway, and whether it has just answered a ping.
    pub fn on_snapshot(&mut self, snapshot: &Snapshot, good_ping: bool) {
        let before = self.gateways.get(&snapshot.gateway).map_or(GatewayHealth::Unknown, |watched| watched.health);
        let health = match snapshot.state {
            State::Live if good_ping || before == GatewayHealth::Proved => GatewayHealth::Proved,
            State::Live => GatewayHealth::Unproved,
            State::Starting => GatewayHealth::Unknown,
            State::Paused { .. } | State::LoginRequired(Cause::ByOperator) => GatewayHealth::Silenced,
            State::Contested | State::LoginRequired(_) | State::Recovering { .. } | State::Unavailable(_) => {
                GatewayHealth::Handled
            }
        };
        self.gateways.insert(snapshot.gateway.clone(), Watched { health, promised: snapshot.promised });
    }

    /// Which sign to send now, if one is due. `needs_human` says of a gateway whether a human was notified that
    /// something has to be done about it, and has not done it; `is_heard` whether alerts are delivered.
    pub fn poll(&mut self, now: Now, needs_human: impl Fn(&str) -> bool, is_heard: bool) -> Option<Sign> {
        let mut expected = self.gateways.iter().filter(|(_, watched)| watched.health != GatewayHealth::Silenced);
        let fails = !is_heard || expected.any(|(gateway, _)| needs_human(gateway));
        let sign = if fails { Sign::Fail } else { Sign::Good };
        let here = Moment::at(now.mono);
        let is_early =
            self.last.is_some_and(|(at, last)| at.until(here) < self.every && (last == sign || sign == Sign::Good));
        if is_early || (sign == Sign::Good && !self.is_well(now)) {
            return None;
        }
        self.last = Some((here, sign));
        for watched in self.gateways.values_mut().filter(|watched| watched.health == GatewayHealth::Proved) {
            watched.health = GatewayHealth::Unproved;
        }
        Some(sign)
    }

    /// When to call [`Deadman::poll`] at the latest, by [`Now::mono`].
    #[must_use]
    pub fn wake_at(&self, now: Now) -> Duration {
        let due = self.last.map_or(now.mono, |(at, _)| at.after(self.every).mono());
        if due > now.mono { due } else { now.mono + self.every }
    }

    fn is_well(&self, now: Now) -> bool {
        self.gateways.values().all(|watched| {
            let is_late = now.mono > watched.promised.saturating_add(GRACE);
            matches!(watched.health, GatewayHealth::Proved | GatewayHealth::Handled | GatewayHealth::Silenced)
                && !is_late
        })
    }
}

/// How far past its own deadline a driver may be.
const GRACE: Duration = Duration::from_secs(10);
