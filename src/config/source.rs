//! Where the configuration comes from, for whoever reads it again; and what is different then.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::{Config, Diagnostics, Gateway, load};

/// A file, and the environment that is laid over it.
#[derive(Debug, Clone)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// The environment, as it was when the process began.
    pub environment: BTreeMap<String, String>,
}

impl Source {
    /// Reads the configuration.
    ///
    /// # Errors
    /// Everything that is wrong, not only the first of it.
    pub fn load(&self) -> Result<Config, Diagnostics> {
        load(&self.path, &self.environment)
    }
}

/// What is different between two configurations. A gateway that is named nowhere here is the same in both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The names of those that are no more.
    pub removed: Vec<String>,
    /// Those that are new, or that another connection or another policy makes so.
    pub replaced: Vec<Gateway>,
    /// Those for which only the calendar is another.
    pub moved: Vec<Gateway>,
    /// Who is told, when, and how.
    pub alerts: bool,
    /// Where the state of things is shown.
    pub endpoint: bool,
    /// The form or the level of the log.
    pub log: bool,
}

/// Whether one driver does for both: where they differ, it need not know or can be told.
fn is_same_session(old: &Gateway, new: &Gateway) -> bool {
    Gateway { region: new.region, unit: new.unit.clone(), ..old.clone() } == *new
}

impl Difference {
    /// What has to be done to get from `old` to `new`.
    #[must_use]
    pub fn between(old: &Config, new: &Config) -> Self {
        let before = |name: &str| old.gateways.iter().find(|gateway| gateway.name == name);
        let names: BTreeSet<&str> = new.gateways.iter().map(|gateway| gateway.name.as_str()).collect();
        let gone = old.gateways.iter().filter(|gateway| !names.contains(gateway.name.as_str()));
        let (mut replaced, mut moved) = (Vec::new(), Vec::new());
        for gateway in &new.gateways {
            match before(&gateway.name) {
                Some(old) if !is_same_session(old, gateway) => {
                    replaced.push(gateway.clone());
                }
                None => replaced.push(gateway.clone()),
                Some(before) if before.region != gateway.region || old.maintenance != new.maintenance => {
                    moved.push(gateway.clone());
                }
                Some(_) => {}
            }
        }
        Self {
            removed: gone.map(|gateway| gateway.name.clone()).collect(),
            replaced,
            moved,
            alerts: old.alerts != new.alerts,
            endpoint: old.endpoint != new.endpoint,
            log: (old.log.format, old.log.level) != (new.log.format, new.log.level),
        }
    }
}
