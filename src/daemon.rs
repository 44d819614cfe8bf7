//! `run`: one driver a gateway, the alerts, the signals, and the word to systemd.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook_tokio::Signals;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, error, info, warn};

use crate::alert::{self, Alarm};
use crate::config::{self, Config, Gateway};
use crate::driver::{Answer, Clock, Command, Driver, Flow, HostClock, Report, StreamChange};
use crate::gateway::{Client, Fault, Fingerprint, Target, Trust};
use crate::log::{self, event, humane};
use crate::session::{Now, Request, State, Transition};
use crate::status::{Place, Snapshot, summary};
use crate::systemd::{self, Notifier};

/// Why a daemon ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to, by a signal.
    Asked,
    /// A driver ended, which none ever should.
    DriverLost,
}

/// What keeps a daemon from starting.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The signals cannot be caught.
    #[error("cannot catch signals: {0}")]
    Signals(std::io::Error),
    /// A gateway's client cannot be made.
    #[error("gateway {name}: {reason}")]
    Client {
        /// The gateway.
        name: String,
        /// Why not.
        reason: crate::gateway::BuildError,
    },
}

/// Keeps the sessions of all configured gateways alive until a signal ends it. Never logs out.
///
/// # Errors
/// When it cannot start. A gateway that is not there is no reason: it is waited for.
pub async fn run(config: &Config, config_name: &Path, notifier: Notifier) -> Result<Ended, Error> {
    let signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1]).map_err(Error::Signals)?;
    LocalSet::new().run_until(watch(config, config_name, notifier, signals)).await
}

async fn watch(config: &Config, config_name: &Path, notifier: Notifier, mut signals: Signals) -> Result<Ended, Error> {
    let clock = HostClock::start();
    info!(
        event = event::DAEMON_STARTED,
        version = env!("CARGO_PKG_VERSION"),
        gateways = config.gateways.len(),
        config = %config_name.display(),
        pid = std::process::id(),
        "tickled {} watches over {}",
        env!("CARGO_PKG_VERSION"),
        counted(config.gateways.len(), "gateway"),
    );
    let (reports, mut inbox) = mpsc::unbounded_channel();
    let mut drivers = JoinSet::new();
    let mut commands = Vec::new();
    let maintenance = Arc::new(config.maintenance.clone());
    for gateway in &config.gateways {
        let place = Place { region: gateway.region, maintenance: Arc::clone(&maintenance) };
        commands.push(start(gateway, place, clock, &mut drivers, reports.clone())?);
    }
    let names: Vec<String> = config.gateways.iter().map(|gateway| gateway.name.clone()).collect();
    let clocks: alert::Clock = Rc::new(move || clock.now());
    let (alarm, mut heard) = Alarm::start(&config.alerts, &host_name(), &names, alert::Spool::from_env(), clocks);
    let mut board = Board::new(config, clock, notifier, alarm);
    loop {
        let deadline = board.deadline();
        tokio::select! {
            biased;
            signal = signals.next() => match signal {
                Some(SIGUSR1) => {
                    info!(event = event::SIGNAL, name = "SIGUSR1", "asked by a signal to check at once");
                    for command in &commands {
                        // A driver whose inbox is full has been asked already.
                        let _ = command.try_send(Command::Check);
                    }
                }
                signal => {
                    let name = signal_name(signal);
                    board.notifier.stopping();
                    drivers.abort_all();
                    board.alarm.finish().await;
                    let ran = humane(clock.now().mono);
                    info!(event = event::DAEMON_STOPPED, because = name, ran, "ended by {name}; the sessions stay logged in");
                    return Ok(Ended::Asked);
                }
            },
            Some(report) = inbox.recv() => board.take(report),
            Some(heard) = heard.recv() => board.alarm.hear(clock.now(), &heard),
            Some(_) = drivers.join_next() => {
                let ran = humane(clock.now().mono);
                error!(event = event::DAEMON_STOPPED, because = "driver-lost", ran, "a driver ended by itself; please report this");
                return Ok(Ended::DriverLost);
            }
            () = sleep_until(deadline) => board.look(),
        }
    }
}

fn start(
    gateway: &Gateway,
    place: Place,
    clock: HostClock,
    drivers: &mut JoinSet<Snapshot>,
    reports: mpsc::UnboundedSender<Report>,
) -> Result<mpsc::Sender<Command>, Error> {
    let refused = |reason| Error::Client { name: gateway.name.clone(), reason };
    let client = Client::new(gateway.target.clone()).map_err(refused)?;
    let (name, url) = (&gateway.name, &gateway.target.url);
    info!(event = event::GATEWAY_WATCHED, gateway = name, url, "{name}: watching {url}");
    tell_trust(name, &gateway.target);
    let mut driver = Driver::new(name, url, gateway.policy.clone(), seed(), client, clock).at(place);
    if gateway.stream {
        driver = driver.listening(seed());
    }
    let (sender, commands) = mpsc::channel(COMMANDS);
    drivers.spawn_local(driver.run(
        commands,
        move |report| {
            if reports.send(report).is_ok() { Flow::GoOn } else { Flow::End }
        },
    ));
    Ok(sender)
}

/// What the daemon knows of all its gateways, and whom it has told.
struct Board {
    clock: HostClock,
    notifier: Notifier,
    gateways: BTreeMap<String, Option<Snapshot>>,
    /// What was last not understood, by gateway: said once per change.
    puzzles: BTreeMap<String, String>,
    alarm: Alarm,
    ready: bool,
    told: String,
    heartbeat: Option<Deadline>,
    watchdog: Option<Deadline>,
}

#[derive(Clone, Copy)]
struct Deadline {
    every: Duration,
    at: Instant,
}

impl Board {
    fn new(config: &Config, clock: HostClock, notifier: Notifier, alarm: Alarm) -> Self {
        let every = |every: Duration| (!every.is_zero()).then(|| Deadline { every, at: Instant::now() + every });
        let mut board = Self {
            clock,
            notifier,
            gateways: config.gateways.iter().map(|gateway| (gateway.name.clone(), None)).collect(),
            puzzles: BTreeMap::new(),
            alarm,
            ready: false,
            told: String::new(),
            heartbeat: every(config.log.heartbeat_every),
            watchdog: systemd::watchdog_interval().and_then(every),
        };
        board.notifier.status("waiting for the first answers");
        board
    }

    /// Takes in what a driver reports.
    fn take(&mut self, report: Report) {
        let Report { snapshot, transition, jumped, answered, sending: _, stream } = report;
        let name = snapshot.gateway.clone();
        if let Some(by) = jumped {
            warn!(event = event::CLOCK_JUMPED, gateway = name, by = %by, "{name}: the clock jumped, or the host slept: checking at once");
        }
        let mut good_ping = false;
        if let Some((request, answer, took)) = answered {
            good_ping = request == Request::Ping && answer.error.is_none();
            self.answered(&name, request, &answer, took);
        }
        if let Some(transition) = transition {
            tell_transition(&snapshot, &transition);
        }
        if let Some(change) = stream {
            tell_stream(&name, &change);
        }
        self.alarm.see(self.clock.now(), &snapshot, good_ping);
        self.gateways.insert(name, Some(snapshot));
        self.tell_systemd();
    }

    /// Does what a deadline asks for.
    fn look(&mut self) {
        let now = Instant::now();
        self.alarm.step(self.clock.now(), alert::Input::Wake);
        if let Some(heartbeat) = self.heartbeat.as_mut().filter(|deadline| deadline.at <= now) {
            heartbeat.at = now + heartbeat.every;
            let snapshots: Vec<&Snapshot> = self.gateways.values().flatten().collect();
            let live = snapshots.iter().filter(|snapshot| snapshot.state == State::Live).count();
            let told = summary(&snapshots);
            let total = self.gateways.len();
            info!(event = event::HEARTBEAT, live, total, summary = told, "{live} of {total} live");
        }
        if let Some(watchdog) = self.watchdog.as_mut().filter(|deadline| deadline.at <= now) {
            watchdog.at = now + watchdog.every;
            if let Some(late) = self.late(self.clock.now()) {
                error!(
                    event = event::DRIVER_LATE,
                    gateway = late,
                    "{late}: the driver is past its own deadline: no sign of life to systemd"
                );
            } else {
                self.notifier.watchdog();
            }
        }
        self.tell_systemd();
    }

    fn deadline(&self) -> Instant {
        let now = Instant::now();
        let alert = Some(now + self.alarm.wake_at().saturating_sub(self.clock.now().mono));
        let ready = (!self.ready).then(|| now + FIRST_ROUND.saturating_sub(self.clock.now().mono));
        let own = [self.heartbeat, self.watchdog].map(|deadline| deadline.map(|deadline| deadline.at));
        own.into_iter().chain([alert, ready]).flatten().min().unwrap_or(now + LONG)
    }

    /// The first driver that is past the deadline it promised.
    fn late(&self, now: Now) -> Option<&str> {
        let late = |snapshot: &&Snapshot| now.mono > snapshot.promised + GRACE;
        self.gateways.values().flatten().find(late).map(|snapshot| snapshot.gateway.as_str())
    }

    fn answered(&mut self, name: &str, request: Request, answer: &Answer, took: Duration) {
        let outcome = answer.error.as_ref().map_or_else(|| "ok".to_owned(), ToString::to_string);
        let (call, took_ms) = (request.name(), took.as_millis());
        debug!(event = event::REQUEST, gateway = name, call, outcome, took_ms, "{name}: {call}: {outcome}");
        let puzzling = answer.error.as_ref().filter(|error| error.fault == Fault::NotUnderstood);
        let Some(error) = puzzling else {
            if answer.error.is_none() {
                self.puzzles.remove(name);
            }
            return;
        };
        let puzzle = format!("{} {:?} {}", request.name(), error.status, error.detail);
        if self.puzzles.get(name) != Some(&puzzle) {
            let sample = log::redact(&String::from_utf8_lossy(&error.sample));
            warn!(
                event = event::ANSWER_NOT_UNDERSTOOD,
                gateway = name,
                call,
                status = error.status,
                sample,
                "{name}: {error}"
            );
            self.puzzles.insert(name.to_owned(), puzzle);
        }
    }

    fn tell_systemd(&mut self) {
        let snapshots: Vec<&Snapshot> = self.gateways.values().flatten().collect();
        let known = |snapshot: &&&Snapshot| snapshot.state != State::Starting;
        let first_round = snapshots.iter().filter(known).count() == self.gateways.len();
        let told = summary(&snapshots);
        if told != self.told {
            self.notifier.status(&told);
            self.told = told;
        }
        if !self.ready && (first_round || self.clock.now().mono >= FIRST_ROUND) {
            self.ready = true;
            self.notifier.ready();
        }
        self.notifier.retry();
    }
}

fn tell_transition(snapshot: &Snapshot, transition: &Transition) {
    let gateway = &snapshot.gateway;
    let (from, to, because) = (transition.from.name(), transition.to.name(), transition.because);
    let held = humane(transition.held);
    info!(
        event = event::STATE_CHANGED,
        gateway,
        from,
        to,
        because = because.code(),
        held,
        "{gateway}: {from} -> {to}: {}",
        because.sentence(),
    );
}

fn tell_stream(gateway: &str, change: &StreamChange) {
    match change {
        StreamChange::Up => info!(event = event::STREAM_UP, gateway, "{gateway}: the stream tells of losses at once"),
        StreamChange::Down { because, pause } => {
            let (code, pause) = (because.code(), humane(*pause));
            warn!(
                event = event::STREAM_DOWN,
                gateway,
                because = code,
                pause,
                "{gateway}: no stream: {because}; the session is watched by asking alone, and the stream is tried again \
                 after {pause} or more"
            );
        }
    }
}

/// Says once whom the gateway's connection trusts, and when that proves little.
fn tell_trust(gateway: &str, target: &Target) {
    let far = !config::is_loopback(&target.url);
    match &target.trust {
        Trust::Loopback => {
            info!(
                event = event::TRUST,
                gateway,
                trust = "loopback",
                "{gateway}: any certificate will do: it is this host's own"
            );
        }
        Trust::Pin(pins) if far && pins.contains(&Fingerprint::STOCK) => warn!(
            event = event::TRUST,
            gateway,
            trust = "pin",
            "{gateway}: pinned is the certificate that every gateway comes with, and everybody has its key: give this \
             gateway a certificate of its own (sslCert in its conf.yaml)",
        ),
        Trust::Pin(_) => {
            info!(event = event::TRUST, gateway, trust = "pin", "{gateway}: only the pinned certificate will do");
        }
        Trust::CaFile(path) => {
            info!(
                event = event::TRUST,
                gateway,
                trust = "ca-file",
                "{gateway}: only certificates signed by {}",
                path.display()
            );
        }
        Trust::System => {
            info!(
                event = event::TRUST,
                gateway,
                trust = "system",
                "{gateway}: only certificates that this system trusts"
            );
        }
    }
}

fn signal_name(signal: Option<i32>) -> &'static str {
    match signal {
        Some(SIGTERM) => "SIGTERM",
        Some(SIGINT) => "SIGINT",
        Some(SIGHUP) => "SIGHUP",
        Some(_) | None => "a signal",
    }
}

fn counted(n: usize, what: &str) -> String {
    if n == 1 { format!("{n} {what}") } else { format!("{n} {what}s") }
}

/// The name by which people reach this host.
fn host_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").map_or_else(|_| "HOST".to_owned(), |name| name.trim().to_owned())
}

/// Different for every driver, so that many do not ask in step.
fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Commands that wait for one driver.
const COMMANDS: usize = 8;
/// How long systemd waits at most for the first round of answers.
const FIRST_ROUND: Duration = Duration::from_secs(10);
/// How far past its own deadline a driver may be before it counts as hung.
const GRACE: Duration = Duration::from_secs(5);
const LONG: Duration = Duration::from_secs(3600);
