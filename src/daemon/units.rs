//! The units that run the gateways: what one left as its last word is looked for when its gateway does not answer.

use std::collections::BTreeMap;

use tokio::sync::mpsc;

use crate::config::Config;
use crate::driver::may_be_down;
use crate::status::Snapshot;
use crate::systemd::unit::{self, Down};

/// How a gateway's unit ended; none if it runs, or if nothing is known.
pub(super) type Answer = (String, Option<Down>);

/// The gateways whose units are known by name.
pub(super) struct Units {
    named: BTreeMap<String, String>,
    answers: mpsc::UnboundedSender<Answer>,
}

impl Units {
    /// Answers come out of the receiver.
    pub(super) fn new(config: &Config) -> (Self, mpsc::UnboundedReceiver<Answer>) {
        let (answers, inbox) = mpsc::unbounded_channel();
        let mut units = Self { named: BTreeMap::new(), answers };
        units.know(config);
        (units, inbox)
    }

    /// Other units run the gateways from here on.
    pub(super) fn know(&mut self, config: &Config) {
        let named = |gateway: &crate::config::Gateway| Some((gateway.name.clone(), gateway.unit.clone()?));
        self.named = config.gateways.iter().filter_map(named).collect();
    }

    /// Looks for the last word of the unit of a gateway whose process may be gone. The loop goes on meanwhile.
    pub(super) fn ask_about(&self, snapshot: &Snapshot) {
        let Some(unit) = self.named.get(&snapshot.gateway).filter(|_| may_be_down(snapshot.state)) else { return };
        let (gateway, unit, answers) = (snapshot.gateway.clone(), unit.clone(), self.answers.clone());
        tokio::task::spawn_local(async move {
            let down = unit::ask(&unit).await;
            // Nobody is there to hear it when the daemon ends.
            drop(answers.send((gateway, down)));
        });
    }
}
