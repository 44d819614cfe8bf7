//! Reads the configuration again: validates it as a whole, and applies it gateway by gateway, or not at all.

use std::collections::BTreeSet;
use std::path::PathBuf;

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;
use tracing::{error, info};

use super::drivers::{self, Drivers};
use super::instance_lock::{GatewayLocks, LockDirs, TakenLocks, take_locks};
use super::supervisor::Supervisor;
use crate::alert;
use crate::config::{Config, Difference, Source};
use crate::gateway::{Client, IbkrHost};
use crate::log::event;
use crate::text::plural;

/// A reload in progress. Further requests meanwhile lead to one more reload.
#[derive(Debug, Default)]
pub(super) struct Reload {
    reading: Option<JoinHandle<PreparedReload>>,
    again: bool,
}

/// The new configuration and what applying it needs, or everything that is wrong with it.
pub(super) type PreparedReload = Result<Box<Prepared>, String>;

/// A configuration that can be applied without waiting for anything.
#[derive(Debug)]
pub(super) struct Prepared {
    config: Config,
    difference: Difference,
    /// For the gateways that are replaced, in their order.
    clients: Vec<Client>,
    /// IBKR's own host, if it has changed.
    ibkr: Option<Option<IbkrHost>>,
    locks: TakenLocks,
    /// Files with a secret that every user may read.
    exposed: Vec<PathBuf>,
}

impl Prepared {
    /// Does all disk I/O of a reload up front, so that a failure changes nothing and the loop never waits for the disk.
    fn read(source: &Source, before: &Config, dirs: &LockDirs, held: &BTreeSet<String>) -> PreparedReload {
        let config = source.load().map_err(|faults| faults.to_string())?;
        let difference = Difference::between(before, &config);
        let clients = difference.replaced.iter().map(drivers::client).collect::<Result<_, _>>();
        let clients = clients.map_err(|error| error.to_string())?;
        let ibkr = (config.ibkr != before.ibkr).then(|| drivers::ibkr_host(config.ibkr.host.as_deref()));
        let exposed = if difference.alerts { alert::world_readable_secrets(&config.alerts) } else { Vec::new() };
        let locks = take_locks(dirs, &config.gateways, held).map_err(|locked| locked.to_string())?;
        Ok(Box::new(Self { config, difference, clients, ibkr, locks, exposed }))
    }
}

impl Reload {
    /// Starts to read the configuration on another thread.
    pub(super) fn begin(
        &mut self,
        source: &Source,
        config: &Config,
        locks: &GatewayLocks,
        supervisor: &mut Supervisor,
    ) {
        if self.reading.is_some() {
            self.again = true;
            return;
        }
        supervisor.reload_started(Instant::now());
        let (source, before) = (source.clone(), config.clone());
        let (dirs, held) = (locks.dirs().clone(), locks.held());
        self.reading = Some(spawn_blocking(move || Prepared::read(&source, &before, &dirs, &held)));
    }

    /// Waits until the configuration is read.
    pub(super) async fn read(&mut self) -> PreparedReload {
        let Some(reading) = &mut self.reading else { return std::future::pending().await };
        reading.await.unwrap_or_else(|error| Err(format!("it cannot be read: {error}")))
    }

    /// Applies the configuration if it is valid, and ends the reload either way.
    pub(super) fn finish(
        &mut self,
        outcome: PreparedReload,
        source: &Source,
        config: &mut Config,
        drivers: &mut Drivers,
        locks: &mut GatewayLocks,
        supervisor: &mut Supervisor,
    ) {
        self.reading = None;
        match outcome {
            Ok(prepared) => {
                let changes = apply(config, *prepared, drivers, locks, supervisor);
                info!(event = event::CONFIG_RELOADED, changes, "the configuration was reloaded: {changes}");
                supervisor.config_accepted();
            }
            Err(faults) => {
                let count = faults.lines().count();
                for fault in faults.lines().map(str::trim).filter(|line| !line.is_empty()) {
                    error!(event = event::CONFIG_REJECTED, fault, "the old configuration stays in force: {fault}");
                }
                let first = faults.lines().next().unwrap_or_default();
                let more = if count > 1 { " (the log lists every fault)" } else { "" };
                supervisor.config_rejected(&source.path, &format!("{first}{more}"));
            }
        }
        supervisor.reload_finished();
        if std::mem::take(&mut self.again) {
            self.begin(source, config, locks, supervisor);
        }
    }
}

/// Applies the differences, and describes them. Unchanged gateways keep their driver, connection and alerts.
fn apply(
    config: &mut Config,
    prepared: Prepared,
    drivers: &mut Drivers,
    locks: &mut GatewayLocks,
    supervisor: &mut Supervisor,
) -> String {
    let Prepared { config: new, difference, clients, ibkr, locks: taken, exposed } = prepared;
    let Difference { removed, replaced, moved, alerts, hooks, endpoint, log } = difference;
    locks.add(taken);
    drivers.set_calendar(&new.maintenance);
    if let Some(ibkr) = ibkr {
        drivers.set_ibkr_host(ibkr);
    }
    for name in &removed {
        drivers.end(name);
        supervisor.remove(name);
    }
    locks.retain(&new.gateways);
    for (gateway, client) in replaced.iter().zip(clients) {
        let init = supervisor.register(&gateway.name);
        drivers.start(gateway, client, &init);
    }
    for gateway in &moved {
        drivers.relocate(gateway);
    }
    if alerts || !removed.is_empty() || !replaced.is_empty() {
        alert::warn_of_exposed(&exposed);
        supervisor.apply_alerts(&new);
    }
    if hooks {
        supervisor.hooks.apply(&new.hooks);
    }
    if config.log.heartbeat_every != new.log.heartbeat_every {
        supervisor.set_heartbeat(new.log.heartbeat_every);
    }
    let mut changes = vec![
        format!("{} new or changed", plural(replaced.len(), "gateway")),
        format!("{} removed", removed.len()),
        format!("{} as before", new.gateways.len() - replaced.len()),
    ];
    if alerts {
        changes.push("alerts changed".to_owned());
    }
    if hooks {
        changes.push("hooks changed".to_owned());
    }
    if endpoint {
        changes.push("the endpoint changed".to_owned());
    }
    if log {
        changes.push("the form and level of the log stay until a restart".to_owned());
    }
    *config = new;
    changes.join(", ")
}
