//! The configuration read again: judged as a whole, and carried over gateway by gateway, or not at all.

use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{error, info};

use super::drivers::{self, Drivers};
use super::log_lines::counted;
use super::supervisor::Supervisor;
use crate::config::{Config, Difference, Source};
use crate::gateway::Client;
use crate::log::event;

/// A reload, while one is under way. However many are asked for in the meantime, one more follows.
#[derive(Debug, Default)]
pub(super) struct Reload {
    reading: Option<JoinHandle<Read>>,
    again: bool,
}

/// What reading the configuration brought: it, or all that is wrong with it.
pub(super) type Read = Result<Box<Fresh>, String>;

/// A configuration that was read, and what it takes to make it so.
#[derive(Debug)]
pub(super) struct Fresh {
    config: Config,
    difference: Difference,
    /// For those that are replaced, in their order.
    clients: Vec<Client>,
}

impl Fresh {
    /// All that is wanted of the disk. Nothing is touched before it is sure that all of it can be had.
    fn read(source: &Source, before: &Config) -> Read {
        let config = source.load().map_err(|faults| faults.to_string())?;
        let difference = Difference::between(before, &config);
        let clients = difference.replaced.iter().map(drivers::client).collect::<Result<_, _>>();
        let clients = clients.map_err(|error| error.to_string())?;
        Ok(Box::new(Self { config, difference, clients }))
    }
}

impl Reload {
    /// Begins to read. The loop never waits for the disk.
    pub(super) fn begin(&mut self, source: &Source, config: &Config, supervisor: &mut Supervisor) {
        if self.reading.is_some() {
            self.again = true;
            return;
        }
        supervisor.reloading(Instant::now());
        let (source, before) = (source.clone(), config.clone());
        self.reading = Some(tokio::task::spawn_blocking(move || Fresh::read(&source, &before)));
    }

    /// Waits for what is being read.
    pub(super) async fn read(&mut self) -> Read {
        let Some(reading) = &mut self.reading else { return std::future::pending().await };
        reading.await.unwrap_or_else(|error| Err(format!("it cannot be read: {error}")))
    }

    /// Takes over what was read, if it is good; in either case the reload is over.
    pub(super) fn end(
        &mut self,
        read: Read,
        source: &Source,
        config: &mut Config,
        drivers: &mut Drivers,
        supervisor: &mut Supervisor,
    ) {
        self.reading = None;
        let carried = read.and_then(|new| carry_over(config, *new, drivers, supervisor));
        match carried {
            Ok(told) => {
                info!(event = event::CONFIG_RELOADED, told, "the configuration was read again: {told}");
                supervisor.accepted();
            }
            Err(faults) => {
                let count = faults.lines().count();
                for fault in faults.lines().map(str::trim).filter(|line| !line.is_empty()) {
                    error!(event = event::CONFIG_REJECTED, fault, "the old configuration stays in force: {fault}");
                }
                let first = faults.lines().next().unwrap_or_default();
                let more = if count > 1 { " (the log has all that is wrong)" } else { "" };
                supervisor.refused(&format!("{first}{more}"));
            }
        }
        supervisor.reloaded();
        if std::mem::take(&mut self.again) {
            self.begin(source, config, supervisor);
        }
    }
}

/// Makes what is different so; what is the same keeps its driver, its connection, its incidents.
fn carry_over(
    config: &mut Config,
    fresh: Fresh,
    drivers: &mut Drivers,
    supervisor: &mut Supervisor,
) -> Result<String, String> {
    let Fresh { config: new, difference, clients } = fresh;
    let Difference { removed, replaced, moved, alerts, endpoint, log } = difference;
    drivers.hold(&new.gateways).map_err(|kept| kept.to_string())?;
    drivers.know(&new.maintenance);
    for name in &removed {
        drivers.end(name);
        supervisor.forget(name);
    }
    drivers.hold_only(&new.gateways);
    for (gateway, client) in replaced.iter().zip(clients) {
        let init = supervisor.expect(&gateway.name);
        drivers.start(gateway, client, &init);
    }
    for gateway in &moved {
        drivers.relocate(gateway);
    }
    if alerts || !removed.is_empty() || !replaced.is_empty() {
        supervisor.change(&new);
    }
    if config.log.heartbeat_every != new.log.heartbeat_every {
        supervisor.beat(new.log.heartbeat_every);
    }
    let mut told = vec![
        format!("{} new or changed", counted(replaced.len(), "gateway")),
        format!("{} removed", removed.len()),
        format!("{} as before", new.gateways.len() - replaced.len()),
    ];
    if alerts {
        told.push("alerts changed".to_owned());
    }
    if endpoint {
        told.push("the endpoint changed".to_owned());
    }
    if log {
        told.push("the form and level of the log stay until a restart".to_owned());
    }
    *config = new;
    Ok(told.join(", "))
}
