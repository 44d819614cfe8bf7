//! The source of the configuration, for reloads, and the difference between two configurations.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::{Config, Diagnostics, Gateway, load};

/// A file, and the environment that overrides it.
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
    /// Everything that is wrong, not only the first fault.
    pub fn load(&self) -> Result<Config, Diagnostics> {
        load(&self.path, &self.environment)
    }
}

/// The difference between two configurations. Gateways that are not named are the same in both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The names of removed gateways.
    pub removed: Vec<String>,
    /// Gateways that are new, or whose connection or policy has changed.
    pub replaced: Vec<Gateway>,
    /// Gateways for which only the calendar has changed.
    pub moved: Vec<Gateway>,
    /// Whether the alert settings have changed.
    pub alerts: bool,
    /// Whether the hooks have changed.
    pub hooks: bool,
    /// Whether the endpoint has changed.
    pub endpoint: bool,
    /// Whether the format or level of the log has changed.
    pub log: bool,
}

/// Whether the driver can stay: it can be given the other differences.
fn is_same_session(old: &Gateway, new: &Gateway) -> bool {
    Gateway { region: new.region, unit: new.unit.clone(), ..old.clone() } == *new
}

impl Difference {
    /// Compares two configurations.
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
            hooks: old.hooks != new.hooks,
            endpoint: old.endpoint != new.endpoint,
            log: (old.log.format, old.log.level) != (new.log.format, new.log.level),
        }
    }
}
