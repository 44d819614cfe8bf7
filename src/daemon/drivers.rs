//! The drivers: one per gateway, started, replaced and ended by the gateway's name.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tracing::{info, warn};

use super::error::Error;
use super::log_lines;
use crate::calendar::Maintenance;
use crate::config::Gateway;
use crate::driver::{Driver, DriverCommand, Flow, HostClock, Report, WithIbkrHost};
use crate::gateway::{Client, IbkrHost, Trust};
use crate::history::DriverInit;
use crate::log::event;
use crate::session::{Policy, SharedBudget};
use crate::status::{Place, Snapshot};

/// All drivers. Dropping this ends them.
pub(super) struct Drivers {
    clock: HostClock,
    maintenance: Arc<Maintenance>,
    /// IBKR's own host, for gateways on this host.
    ibkr: Option<IbkrHost>,
    /// Request budgets by the operator's names for the addresses. One without gateways is kept: its rate limit still
    /// counts.
    addresses: BTreeMap<String, Rc<RefCell<SharedBudget>>>,
    handles: BTreeMap<String, DriverHandle>,
    tasks: JoinSet<Snapshot>,
    reports: mpsc::UnboundedSender<(u64, Report)>,
    /// The number of the last driver. A late report of a replaced driver is recognised by its number.
    last: u64,
}

struct DriverHandle {
    number: u64,
    commands: mpsc::Sender<DriverCommand>,
    task: AbortHandle,
}

impl Drivers {
    pub(super) fn new(clock: HostClock, maintenance: &Maintenance) -> (Self, mpsc::UnboundedReceiver<(u64, Report)>) {
        let (reports, inbox) = mpsc::unbounded_channel();
        let maintenance = Arc::new(maintenance.clone());
        let (addresses, handles) = (BTreeMap::new(), BTreeMap::new());
        (Self { clock, maintenance, ibkr: None, addresses, handles, tasks: JoinSet::new(), reports, last: 0 }, inbox)
    }

    /// Starts the driver of `gateway` with its client (see [`client`]). Replaces an earlier driver.
    pub(super) fn start(&mut self, gateway: &Gateway, client: Client, init: &DriverInit) {
        let (name, url) = (&gateway.name, gateway.target.url.as_str());
        self.end(name);
        info!(event = event::GATEWAY_WATCHED, gateway = name, url, "{name}: watching {url}");
        log_lines::trust(name, &gateway.target);
        let address = self.addresses.entry(gateway.public_address.clone()).or_default();
        let ibkr = self.ibkr.clone().filter(|_| gateway.target.url.is_loopback());
        let policy = Policy { knows_ibkr_host: ibkr.is_some(), ..gateway.policy.clone() };
        let port = WithIbkrHost { client: client.without_time_limit(), ibkr };
        let mut driver = Driver::new(name, url, policy, seed(), port, self.clock)
            .sharing(Rc::clone(address))
            .at(self.place(gateway))
            .with_limits(&init.rate_limits);
        if gateway.stream {
            driver = driver.listening(seed());
        }
        if let Some(until) = init.pause {
            driver = driver.paused(until);
        }
        if init.logged_out {
            driver = driver.logged_out();
        }
        self.last += 1;
        let (number, reports) = (self.last, self.reports.clone());
        let (sender, commands) = mpsc::channel(COMMANDS);
        let task =
            self.tasks.spawn_local(driver.run(commands, move |report| {
                if reports.send((number, report)).is_ok() { Flow::GoOn } else { Flow::End }
            }));
        self.handles.insert(name.clone(), DriverHandle { number, commands: sender, task });
    }

    /// Ends the driver of a gateway. The session stays logged in.
    pub(super) fn end(&mut self, name: &str) {
        if let Some(handle) = self.handles.remove(name) {
            handle.task.abort();
        }
    }

    /// Ends all drivers.
    pub(super) fn end_all(&mut self) {
        self.handles.clear();
        self.tasks.abort_all();
    }

    /// Sends a command to one driver. Returns false if there is no such driver, or if its inbox is full because it
    /// hangs.
    pub(super) fn command(&self, name: &str, command: DriverCommand) -> bool {
        self.handles.get(name).is_some_and(|handle| handle.commands.try_send(command).is_ok())
    }

    /// Asks all drivers to check at once.
    pub(super) fn check_all(&self) {
        for handle in self.handles.values() {
            // A full inbox already holds such a command.
            drop(handle.commands.try_send(DriverCommand::Check));
        }
    }

    /// Wakes every driver, because the host slept or its clock was set.
    pub(super) fn wake_all(&self) {
        for handle in self.handles.values() {
            // A driver with a full inbox wakes anyway.
            drop(handle.commands.try_send(DriverCommand::Wake));
        }
    }

    /// Sets the calendar for drivers that are started later.
    pub(super) fn set_calendar(&mut self, maintenance: &Maintenance) {
        self.maintenance = Arc::new(maintenance.clone());
    }

    /// Sets IBKR's host for the drivers that are started after this (see [`ibkr_host`]).
    pub(super) fn set_ibkr_host(&mut self, ibkr: Option<IbkrHost>) {
        self.ibkr = ibkr;
    }

    /// Sends a driver a changed region or calendar.
    pub(super) fn relocate(&self, gateway: &Gateway) {
        self.command(&gateway.name, DriverCommand::Relocate(self.place(gateway)));
    }

    fn place(&self, gateway: &Gateway) -> Place {
        Place { region: gateway.region, maintenance: Arc::clone(&self.maintenance) }
    }

    /// Whether a report with this number comes from the current driver of the gateway.
    pub(super) fn is_current(&self, number: u64, name: &str) -> bool {
        self.handles.get(name).is_some_and(|handle| handle.number == number)
    }

    /// Waits until a driver ends by itself, which would be a bug.
    pub(super) async fn lost(&mut self) {
        loop {
            match self.tasks.join_next().await {
                Some(Err(error)) if error.is_cancelled() => {}
                Some(_) => return,
                None => std::future::pending().await,
            }
        }
    }
}

/// IBKR's own host as configured, if it can be used. Blocks: the system's certificates are read.
pub(super) fn ibkr_host(host: Option<&str>) -> Option<IbkrHost> {
    host.and_then(|host| match IbkrHost::new(host, &Trust::System) {
        Ok(ibkr) => Some(ibkr),
        Err(error) => {
            warn!("no handshake with {host} is possible, which only matters while IBKR is silent: {error}");
            None
        }
    })
}

/// The client for a gateway.
pub(super) fn client(gateway: &Gateway) -> Result<Client, Error> {
    let client = Client::new(gateway.target.clone());
    let client = client.map_err(|reason| Error::Client { name: gateway.name.clone(), reason })?;
    Ok(if gateway.stream { client.with_session_ids() } else { client })
}

/// A seed for jitter, different for every driver, so that they do not send requests in step.
fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// How many commands may wait for one driver.
const COMMANDS: usize = 8;
