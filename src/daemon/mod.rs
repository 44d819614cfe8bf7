//! The daemon: one driver per gateway, the supervisor, and the tasks for signals, reload, control socket and endpoint.

mod clock_watch;
mod control_task;
mod drivers;
mod endpoint_task;
mod error;
mod file_limit;
mod gateway_restart;
mod host;
mod instance_lock;
mod log_lines;
mod polled_fd;
mod reaper;
mod reload;
mod runtime_dir;
mod state_lock;
mod supervisor;
mod terminal;
mod units;

use std::rc::Rc;

use futures_util::StreamExt;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook_tokio::Signals;
use tokio::task::LocalSet;
use tokio::time::sleep_until;
use tracing::{error, info};

use crate::alert::{self, Service};
use crate::config::{Config, Source};
use crate::directories::Chosen;
use crate::driver::{Clock, DriverCommand, HostClock};
use crate::endpoint::ViewRequest;
use crate::log::{event, human_duration};
use crate::systemd::Notifier;
use crate::text::plural;
use clock_watch::ClockWatch;
use control_task::ControlTask;
use drivers::Drivers;
use endpoint_task::EndpointTask;
pub use error::{Ended, Error};
use gateway_restart::Restarts;
pub use host::host_name;
pub use instance_lock::AlreadyLocked;
use instance_lock::{GatewayLocks, LockDirs, LockWait};
use reaper::Reaper;
use reload::Reload;
use runtime_dir::RuntimeDir;
use state_lock::StateLock;
use supervisor::Supervisor;
use terminal::Terminal;
use units::Units;

/// Keeps the sessions of all configured gateways alive until a signal ends it. Never logs out. On SIGHUP it reads
/// `source`
/// again; an invalid configuration changes nothing.
///
/// # Errors
/// When it cannot start. A gateway that is down is waited for.
pub async fn run(config: Config, source: Source, notifier: Notifier, directories: Chosen) -> Result<Ended, Error> {
    file_limit::raise();
    let (reaper, terminal) = (Reaper::new(), Terminal::new());
    let ended_children = reaper.is_init().then_some(SIGCHLD);
    let signals = [SIGTERM, SIGINT, SIGHUP, SIGUSR1].into_iter().chain(ended_children);
    let signals = Signals::new(signals).map_err(Error::Signals)?;
    LocalSet::new().run_until(watch(config, source, notifier, directories, signals, reaper, terminal)).await
}

async fn watch(
    mut config: Config,
    source: Source,
    mut notifier: Notifier,
    directories: Chosen,
    mut signals: Signals,
    mut reaper: Reaper,
    mut terminal: Terminal,
) -> Result<Ended, Error> {
    let clock = HostClock::start();
    let (mut drivers, mut inbox) = Drivers::new(clock, &config.maintenance);
    drivers.set_ibkr_host(drivers::ibkr_host(config.ibkr.host.as_deref()));
    let dirs = LockDirs { own: directories.locks.clone(), others: directories.other_locks.clone() };
    let (mut locks, mut state_lock) = (GatewayLocks::new(dirs), StateLock::new(directories.state.clone()));
    let acquire = || locks.acquire(&config.gateways).and_then(|()| state_lock.acquire());
    if instance_lock::acquire_or_wait(acquire, &mut notifier, &mut signals).await? == LockWait::Interrupted {
        return Ok(Ended::Asked);
    }
    log_lines::directories(&directories);
    info!(
        event = event::DAEMON_STARTED,
        version = env!("CARGO_PKG_VERSION"),
        gateways = config.gateways.len(),
        config = %source.path.display(),
        pid = std::process::id(),
        "tickled {} monitors {}",
        env!("CARGO_PKG_VERSION"),
        plural(config.gateways.len(), "gateway"),
    );
    let clients = config.gateways.iter().map(drivers::client).collect::<Result<Vec<_>, _>>()?;
    let clocks: alert::ReadClocks = Rc::new(move || clock.now());
    let names = config.names();
    let spool = alert::Spool::new(directories.state.clone());
    let (alerts, mut deliveries) = Service::start(&config.alerts, &host_name(), &names, spool, clocks);
    let mut supervisor = Supervisor::new(&config, &source.path, clock, notifier, alerts, directories.state.clone());
    for (gateway, client) in config.gateways.iter().zip(clients) {
        let init = supervisor.register(&gateway.name);
        drivers.start(gateway, client, &init);
    }
    let (mut units, mut unit_answers) = Units::new(&config);
    let mut restarts = Restarts::new(&config);
    let mut reload = Reload::default();
    let (mut endpoint_task, mut view_requests) =
        EndpointTask::open(&config.endpoint, clock, directories.state.clone(), supervisor.events());
    let (mut control_task, mut requests) = ControlTask::open(clock, directories, supervisor.events());
    let clock_watch = ClockWatch::start();
    let mut runtime_dir = RuntimeDir::new(&locks, &control_task, state_lock);
    loop {
        runtime_dir.tend(&mut locks, &mut control_task);
        for gateway in supervisor.publish_alerts() {
            drivers.command(&gateway, DriverCommand::ExpectLogin);
        }
        terminal.tend();
        for gateway in supervisor.alerts.take_unproved() {
            drivers.command(&gateway, DriverCommand::Prove);
        }
        let deadline = supervisor.deadline().min(runtime_dir.deadline());
        let deadline = reaper.deadline().map_or(deadline, |at| at.min(deadline));
        tokio::select! {
            biased;
            signal = signals.next() => match signal {
                Some(SIGUSR1) => {
                    info!(event = event::SIGNAL, name = "SIGUSR1", "asked by a signal to check at once");
                    drivers.check_all();
                }
                Some(SIGCHLD) => reaper.child_ended(),
                Some(SIGHUP) if !terminal.was_closed() => {
                    info!(event = event::SIGNAL, name = "SIGHUP", "asked by a signal to read the configuration again");
                    reload.begin(&source, &config, &locks, &mut supervisor);
                }
                signal => {
                    let name = signal_name(signal);
                    supervisor.notifier.stopping();
                    drivers.end_all();
                    supervisor.finish().await;
                    let ran = human_duration(clock.now().mono);
                    info!(event = event::DAEMON_STOPPED, because = name, ran, "ended by {name}; the sessions stay logged in");
                    return Ok(Ended::Asked);
                }
            },
            read = reload.read() => {
                let before = config.endpoint.clone();
                reload.finish(read, &source, &mut config, &mut drivers, &mut locks, &mut supervisor);
                units.set_config(&config);
                restarts = Restarts::new(&config);
                if config.endpoint != before {
                    endpoint_task.change(&config.endpoint);
                }
            }
            Some((number, report)) = inbox.recv() => {
                if drivers.is_current(number, &report.snapshot.gateway) {
                    units.ask_about(&report.snapshot);
                    let gateway = report.snapshot.gateway.clone();
                    supervisor.handle_report(report);
                    restarts.run_if(&gateway, |gateway| supervisor.take_due_restart(gateway));
                }
            }
            () = clock_watch.jumped() => drivers.wake_all(),
            change = runtime_dir.changed() => runtime_dir.restore(change, &mut locks, &mut control_task),
            Some(request) = requests.recv() => {
                wake_outdated(&supervisor, &drivers);
                control_task.handle(request, &config, &drivers, &mut supervisor);
            }
            Some(ViewRequest(answer)) = view_requests.recv() => {
                wake_outdated(&supervisor, &drivers);
                // A caller that has hung up needs no answer.
                drop(answer.send(supervisor.view()));
            }
            Some(event) = deliveries.recv() => supervisor.alerts.on_delivery(clock.now(), &event),
            Some((gateway, down)) = unit_answers.recv() => {
                // The report that follows asks about the unit again.
                if supervisor.unit(&gateway) != down.as_ref() {
                    drivers.command(&gateway, DriverCommand::Unit(down));
                }
            }
            () = drivers.lost() => {
                let ran = human_duration(clock.now().mono);
                error!(event = event::DAEMON_STOPPED, because = "driver-lost", ran, "a driver ended by itself; please report this");
                return Ok(Ended::DriverLost);
            }
            () = sleep_until(deadline) => {
                reaper.look();
                supervisor.handle_deadline();
            }
        }
    }
}

/// Wakes the drivers if the state of a gateway is older than it may be.
fn wake_outdated(supervisor: &Supervisor, drivers: &Drivers) {
    if supervisor.has_outdated() {
        drivers.wake_all();
    }
}

fn signal_name(signal: Option<i32>) -> &'static str {
    match signal {
        Some(SIGTERM) => "SIGTERM",
        Some(SIGINT) => "SIGINT",
        Some(SIGHUP) => "the end of its terminal",
        Some(_) | None => "a signal",
    }
}
