//! For how long the machine may take the gateway to be wedged, or IBKR to be silent, when neither is so.

use std::time::Duration;

use tickled::session::{Machine, State, Unavailability};

use crate::rules::{Sky, hour, minute};

/// Since when what the machine believes of IBKR's connections is wrong.
#[derive(Debug, Default)]
pub(crate) struct Blindness {
    since: Option<Duration>,
    /// The gateway's process that was taken to be wedged.
    process: Option<u32>,
    /// Since when another process is there, which holds nothing, and could be noticed.
    restarted_since: Option<Duration>,
}

impl Blindness {
    /// Whether the machine takes the gateway to be wedged, or IBKR to be silent where no handshake shows its return. An error
    /// if it should know better: a restarted gateway is noticed soon, and what IBKR closed counts as held for nine hours.
    pub(crate) fn judge(
        &mut self,
        now: Duration,
        machine: &Machine,
        sky: Sky,
        is_silent: bool,
    ) -> Result<bool, String> {
        let trouble = machine.facts().trouble;
        let is_wedged = trouble == Some(Unavailability::GatewayWedged);
        let is_blind = is_wedged || (!machine.policy().knows_ibkr_host && trouble == Some(Unavailability::IbkrSilent));
        let truth = sky.truth;
        if !(is_blind && truth.reachable && truth.listening && !truth.wedged) {
            let process = is_wedged.then(|| self.process.unwrap_or(truth.process));
            *self = Self { process, ..Self::default() };
            return Ok(is_blind);
        }
        let since = *self.since.get_or_insert(now);
        let is_another = is_wedged && self.process.is_some_and(|process| process != truth.process);
        let is_calm = sky.clear && !is_silent && !matches!(machine.state(), State::Paused { .. });
        self.restarted_since = (is_another && is_calm).then(|| self.restarted_since.unwrap_or(now));
        if now > since + hour(9) + minute(11) || self.restarted_since.is_some_and(|at| now > at + minute(12)) {
            return Err(format!("IBKR has been back since {since:?}, and that is not noticed: {trouble:?}"));
        }
        Ok(true)
    }
}
