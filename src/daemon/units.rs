//! Finds out how the unit of a gateway ended when the gateway does not answer.

use std::collections::BTreeMap;

use tokio::sync::mpsc;

use crate::config::Config;
use crate::driver::may_be_down;
use crate::status::Snapshot;
use crate::systemd::unit::{self, UnitDown};

/// A gateway, and how its unit ended. `None` if the unit runs or nothing is known.
pub(super) type UnitAnswer = (String, Option<UnitDown>);

/// The units by gateway.
pub(super) struct Units {
    named: BTreeMap<String, String>,
    answers: mpsc::UnboundedSender<UnitAnswer>,
}

impl Units {
    /// Answers arrive at the receiver.
    pub(super) fn new(config: &Config) -> (Self, mpsc::UnboundedReceiver<UnitAnswer>) {
        let (answers, inbox) = mpsc::unbounded_channel();
        let mut units = Self { named: BTreeMap::new(), answers };
        units.set_config(config);
        (units, inbox)
    }

    /// Applies a changed configuration.
    pub(super) fn set_config(&mut self, config: &Config) {
        let named = |gateway: &crate::config::Gateway| Some((gateway.name.clone(), gateway.unit.clone()?));
        self.named = config.gateways.iter().filter_map(named).collect();
    }

    /// Finds out how the unit ended if the gateway's process may be down, without blocking the loop.
    pub(super) fn ask_about(&self, snapshot: &Snapshot) {
        let Some(unit) = self.named.get(&snapshot.gateway).filter(|_| may_be_down(snapshot.state)) else { return };
        let (gateway, unit, answers) = (snapshot.gateway.clone(), unit.clone(), self.answers.clone());
        tokio::task::spawn_local(async move {
            let down = unit::ask(&unit).await;
            // The receiver is gone when the daemon ends.
            drop(answers.send((gateway, down)));
        });
    }
}
