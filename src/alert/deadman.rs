//! The sign of life for a service that raises the alarm when it stays away: the only alarm that works when this host is dead.

use std::collections::BTreeMap;
use std::time::Duration;

use super::clockwork::Moment;
use crate::session::{Cause, Now, State};
use crate::status::Snapshot;

/// A sign for the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// All is well.
    Good,
    /// A human is needed.
    Fail,
}

/// Decides when a sign is due. Pure.
///
/// A good one is due when each gateway that ought to be live is, and has answered a ping well since the last sign.
/// Gateways that somebody else uses or that the operator has silenced ought not to be. While a login is required the
/// sign is that of failure, and while nothing is known there is none: then the service's own patience decides.
#[derive(Debug, Clone)]
pub struct Deadman {
    every: Duration,
    gateways: BTreeMap<String, Standing>,
    last: Option<(Moment, Sign)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Unknown,
    Silenced,
    Proved,
    Unproved,
    LoginRequired,
}

impl Deadman {
    /// Signs for these gateways, at most one of each kind in `every`.
    #[must_use]
    pub fn new(every: Duration, gateways: impl Iterator<Item = String>) -> Self {
        Self { every, gateways: gateways.map(|name| (name, Standing::Unknown)).collect(), last: None }
    }

    /// Takes in how a gateway is, and whether a ping was just answered well; says which sign to send.
    pub fn step(&mut self, now: Now, snapshot: &Snapshot, good_ping: bool) -> Option<Sign> {
        let standing = self.gateways.entry(snapshot.gateway.clone()).or_insert(Standing::Unknown);
        *standing = match snapshot.state {
            State::Live if good_ping || *standing == Standing::Proved => Standing::Proved,
            State::Live => Standing::Unproved,
            State::LoginRequired(Cause::ByOperator) | State::Paused { .. } | State::Contested => Standing::Silenced,
            // Within a maintenance window a human is told later.
            State::LoginRequired(_) if snapshot.hold_until.is_some_and(|until| until > now.wall) => Standing::Unknown,
            State::LoginRequired(_) => Standing::LoginRequired,
            State::Starting | State::Recovering { .. } | State::Unavailable(_) => Standing::Unknown,
        };
        let is_any = |wanted| self.gateways.values().any(|standing| *standing == wanted);
        let sign = if is_any(Standing::LoginRequired) {
            Sign::Fail
        } else if is_any(Standing::Unknown) || is_any(Standing::Unproved) {
            return None;
        } else {
            Sign::Good
        };
        let here = Moment::at(now.mono);
        let is_early =
            self.last.is_some_and(|(at, last)| at.until(here) < self.every && (last == sign || sign == Sign::Good));
        if is_early {
            return None;
        }
        self.last = Some((here, sign));
        for standing in self.gateways.values_mut().filter(|standing| **standing == Standing::Proved) {
            *standing = Standing::Unproved;
        }
        Some(sign)
    }

    /// The gateway is not watched any more.
    pub fn forget(&mut self, gateway: &str) {
        self.gateways.remove(gateway);
    }
}
