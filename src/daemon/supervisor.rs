//! Supervises all gateways: passes what the drivers report on to the log, the alerts, the history, the metrics and systemd.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::gateway_restart::WedgeTracker;
use super::log_lines::{self, OnceLog};
use crate::alert::{self, About, AlertPhase, Code, Notice, Service};
use crate::config::Config;
use crate::control::{self, Asked, DaemonStatus, Event};
use crate::driver::{Clock, HostClock, Report};
use crate::endpoint::{Counts, View};
use crate::history::{DriverInit, Events, PersistedGateway, PersistedState, Record, What};
use crate::hook::Hooks;
use crate::log::{self, event};
use crate::session::{Now, Observation, Request, SessionNumber, SessionTracker, State, StateKind, StateReason};
use crate::status::{Snapshot, summary};
use crate::systemd::unit::UnitDown;
use crate::systemd::{self, Notifier};

/// The state of the whole daemon.
pub(super) struct Supervisor {
    clock: HostClock,
    pub(super) notifier: Notifier,
    gateways: BTreeMap<String, GatewayEntry>,
    pub(super) alerts: Service,
    record: Record,
    pub(super) hooks: Hooks,
    /// State of an earlier daemon.
    earlier: PersistedState,
    counts: Counts,
    /// When the daemon started.
    since: Timestamp,
    /// The configuration file, and when the configuration in force was read.
    config_file: String,
    config_read: Timestamp,
    /// Whether systemd was notified that the start is complete.
    ready: bool,
    /// A note at the beginning of systemd's status line.
    config_refused: Option<String>,
    status_line: String,
    heartbeat: Option<Timer>,
    watchdog: Option<Timer>,
}

/// The state of one gateway.
struct GatewayEntry {
    /// When its driver was started.
    started: Duration,
    /// The last report of its driver: when it was made, and the snapshot.
    last: Option<(Now, Snapshot)>,
    gap: Option<Gap>,
    session: SessionTracker,
    log: OnceLog,
    last_asked: Option<Asked>,
    wedges: WedgeTracker,
}

/// A span in which a live gateway was not observed. It ends with the next observation.
#[derive(Clone, Copy)]
struct Gap {
    since: Timestamp,
    ended: Duration,
}

impl GatewayEntry {
    fn new(started: Duration, session: SessionNumber, restarts: Vec<Timestamp>) -> Self {
        let (session, log) = (SessionTracker::new(session), OnceLog::default());
        Self { started, last: None, gap: None, session, log, last_asked: None, wedges: WedgeTracker::new(restarts) }
    }

    fn snapshot(&self) -> Option<&Snapshot> {
        self.last.as_ref().map(|(_, snapshot)| snapshot)
    }

    /// Whether the driver is past the deadline that it promised.
    fn is_late(&self, now: Now) -> bool {
        let promised = self.snapshot().map_or(self.started, |snapshot| snapshot.promised);
        now.mono > promised + GRACE
    }

    /// Whether the snapshot is older than it may be, by either clock: the drivers' clock stands still while the host
    /// sleeps.
    fn is_outdated(&self, now: Now) -> bool {
        let by_wall = |snapshot: &Snapshot| now.wall.duration_since(snapshot.next_at) > GRACE_BY_WALL;
        self.is_late(now) || self.snapshot().is_some_and(by_wall)
    }

    /// Records that the gateway was observed at `now` in the state of `snapshot`. When a span without observations is
    /// over, returns its beginning.
    fn close_gap(&mut self, now: Now, snapshot: &Snapshot) -> Option<Timestamp> {
        if let Some((seen, _)) = self.last.as_ref().filter(|_| self.is_outdated(now)) {
            let since = self.gap.map_or(seen.wall, |gap| gap.since).min(now.wall);
            self.gap = Some(Gap { since, ended: now.mono });
        }
        let gap = self.gap?;
        let is_proved = snapshot.facts.last_good.is_some_and(|good| good.mono >= gap.ended);
        (snapshot.state != State::Live || is_proved).then(|| {
            self.gap = None;
            gap.since
        })
    }

    /// The gateway as the control socket and the endpoint show it. One that was last live longer ago than it may be is
    /// not shown as live.
    fn status(&self, now: Now) -> Option<control::GatewayStatus> {
        let snapshot = self.snapshot()?;
        let mut gateway = control::GatewayStatus::new(snapshot, self.last_asked.clone());
        if snapshot.state == State::Live && (self.is_outdated(now) || self.gap.is_some()) {
            gateway.state = StateKind::Starting;
            gateway.because = StateReason::Outdated;
            StateReason::Outdated.sentence().clone_into(&mut gateway.why);
        }
        Some(gateway)
    }
}

#[derive(Clone, Copy)]
struct Timer {
    every: Duration,
    at: Instant,
}

impl Timer {
    fn every(every: Duration) -> Option<Self> {
        (!every.is_zero()).then(|| Self { every, at: Instant::now() + every })
    }
}

impl Supervisor {
    pub(super) fn new(
        config: &Config,
        config_file: &Path,
        clock: HostClock,
        notifier: Notifier,
        alerts: Service,
        state: Option<PathBuf>,
    ) -> Self {
        let now = clock.now().wall;
        let (record, earlier) = Record::begin(state, now);
        record.keep_only(&config.names());
        let mut hooks = Hooks::default();
        hooks.apply(&config.hooks);
        let mut supervisor = Self {
            clock,
            notifier,
            gateways: BTreeMap::new(),
            alerts,
            record,
            hooks,
            earlier,
            counts: Counts::default(),
            since: now,
            config_file: config_file.display().to_string(),
            config_read: now,
            ready: false,
            config_refused: None,
            status_line: String::new(),
            heartbeat: Timer::every(config.log.heartbeat_every),
            watchdog: systemd::watchdog_interval().and_then(Timer::every),
        };
        supervisor.notifier.status("waiting for the first answers");
        supervisor
    }

    /// Registers a gateway whose driver is about to start or be replaced. Returns what the new driver inherits.
    pub(super) fn register(&mut self, name: &str) -> DriverInit {
        let now = self.clock.now();
        let session = self.gateways.get(name).map(|entry| entry.session.current());
        let session = session.unwrap_or_else(|| self.earlier.session(name, now.wall));
        let restarts = self.gateways.get(name).map_or_else(
            || self.earlier.gateways.get(name).map(|gateway| gateway.restarts.clone()).unwrap_or_default(),
            |entry| entry.wedges.restarts().to_vec(),
        );
        let entry = GatewayEntry::new(now.mono, session, restarts);
        let before = self.gateways.insert(name.to_owned(), entry).and_then(|entry| entry.last);
        self.record.note(now.wall, What::Watched { gateway: name.to_owned() });
        match before {
            Some((_, before)) => {
                let mut init = PersistedGateway::from(&before).init(now.wall);
                // The earlier driver may have sent a request that it has not reported yet.
                init.rate_limits.unrecorded = 1;
                init
            }
            None => self.earlier.init(name, now.wall),
        }
    }

    /// Removes a gateway that was removed from the configuration.
    pub(super) fn remove(&mut self, name: &str) {
        self.gateways.remove(name);
        self.earlier.gateways.remove(name);
        self.counts.forget(name);
        let now = self.clock.now();
        self.record.forget(now.wall, name);
        self.alerts.step(now, alert::AlertInput::Forget(&About::Gateway(name.to_owned())));
    }

    /// Applies changed alert settings, or a changed list of gateways.
    pub(super) fn apply_alerts(&mut self, config: &Config) {
        self.alerts.apply(&config.alerts, &config.names());
    }

    /// Applies a changed interval of the heartbeat line.
    pub(super) fn set_heartbeat(&mut self, every: Duration) {
        self.heartbeat = Timer::every(every);
    }

    /// Notifies systemd that a reload has begun. Before the start is complete there is no notification for that.
    pub(super) fn reload_started(&mut self, at: Instant) {
        if self.ready {
            self.notifier.reloading(systemd::monotonic_usec(at.into_std()));
        }
    }

    /// Notifies systemd that the reload is over, whatever its outcome.
    pub(super) fn reload_finished(&mut self) {
        if self.ready {
            self.notifier.ready();
        }
    }

    /// The changed configuration in `file` was refused, for this reason.
    pub(super) fn config_rejected(&mut self, file: &Path, why: &str) {
        let file = file.display().to_string();
        self.alerts.step(self.clock.now(), alert::AlertInput::ConfigRejected { file: &file, why });
        self.config_refused = Some("the changed configuration is refused, the old one stays in force".to_owned());
        self.notify_systemd();
    }

    /// The changed configuration is in force.
    pub(super) fn config_accepted(&mut self) {
        let now = self.clock.now();
        self.alerts.step(now, alert::AlertInput::ConfigAccepted);
        self.config_refused = None;
        self.config_read = now.wall;
        self.notify_systemd();
    }

    /// Handles the report of a driver. All of it is as of the time of the report.
    pub(super) fn handle_report(&mut self, report: Report) {
        self.counts.add(&report);
        let Report { at: now, mut snapshot, transition, jumped, answered, sending: _, stream } = report;
        let name = snapshot.gateway.clone();
        self.alerts.complete(&mut snapshot);
        let Some(entry) = self.gateways.get_mut(&name) else { return };
        if let Some(by) = jumped {
            warn!(event = event::CLOCK_JUMPED, gateway = name, by = %by, "{name}: the clock jumped, or the host slept: checking at once");
        }
        let mut good_ping = false;
        if let Some((request, answer, took)) = answered {
            good_ping = request == Request::Ping && answer.error.is_none();
            entry.log.answered(&name, request, answer.error.as_ref());
            entry.last_asked = Some(log_lines::request(&name, now.wall, request, &answer, took));
        }
        let was_outdated = entry.gap.is_some();
        let gap = entry.close_gap(now, &snapshot);
        let (state, login) = (snapshot.state, snapshot.facts.auth_time);
        let seen = Observation { state, transition, was_unobserved: gap.is_some(), login };
        let is_new = entry.session.observe(now.wall, &seen).is_some();
        snapshot.session = entry.session.current();
        entry.wedges.observe(now, state);
        entry.wedges.restarts().clone_into(&mut snapshot.restarts);
        let session = snapshot.session.number;
        let mut events = Vec::new();
        let mut note = |what: What| events.extend(Event::of(&self.record.note(now.wall, what)));
        if let Some(since) = gap {
            note(What::Unobserved { gateway: name.clone(), since });
        }
        if is_new {
            log_lines::session(&snapshot);
            note(What::Session { gateway: name.clone(), session });
        }
        if let Some(transition) = transition {
            log_lines::transition(&snapshot, &transition);
            note(What::changed(&name, &transition, session));
        } else if state == State::Live && was_outdated != entry.gap.is_some() {
            let (from, to, because) = if was_outdated {
                (StateKind::Starting, StateKind::Live, snapshot.reason)
            } else {
                (StateKind::Live, StateKind::Starting, StateReason::Outdated)
            };
            note(What::Shown { gateway: name.clone(), from, to, because, session });
        }
        if let Some(change) = stream {
            log_lines::stream(&name, &change);
        }
        log_lines::step(entry.snapshot(), &snapshot);
        log_lines::unit(entry.snapshot(), &snapshot);
        self.record.see(now.wall, &snapshot);
        self.alerts.on_snapshot(now, &snapshot, good_ping);
        entry.last = Some((now, snapshot));
        if let Some(gateway) = entry.status(now) {
            events.iter().for_each(|event| self.hooks.on_event(event, &gateway));
        }
        self.notify_systemd();
    }

    /// Whether the gateway is to be restarted now. If so, the restart is recorded.
    pub(super) fn take_due_restart(&mut self, gateway: &str) -> bool {
        let now = self.clock.now();
        let Some(entry) = self.gateways.get_mut(gateway) else { return false };
        let Some((_, snapshot)) = &mut entry.last else { return false };
        let is_due = entry.wedges.take_due(now, snapshot.since);
        if is_due {
            entry.wedges.restarts().clone_into(&mut snapshot.restarts);
            self.record.see(now.wall, snapshot);
        }
        is_due
    }

    /// How the unit of a gateway ended, as far as its driver knows.
    pub(super) fn unit(&self, gateway: &str) -> Option<&UnitDown> {
        self.gateways.get(gateway)?.snapshot()?.unit.as_ref()
    }

    /// Whether the snapshot of a gateway is older than it may be.
    pub(super) fn has_outdated(&self) -> bool {
        self.gateways.values().any(|entry| entry.is_outdated(self.clock.now()))
    }

    /// The events, for programs that listen.
    pub(super) fn events(&self) -> Rc<Events> {
        self.record.events()
    }

    /// Publishes the notifications since the last call as events. Returns the gateways for whose login a human was just
    /// asked.
    pub(super) fn publish_alerts(&mut self) -> Vec<String> {
        let mut awaited = Vec::new();
        for notice in self.alerts.take_notified() {
            self.record.note(notice.at, What::notified(&notice));
            if let Notice {
                about: About::Gateway(gateway),
                code: Code::LoginRequired | Code::NotReady,
                phase: AlertPhase::Raised | AlertPhase::Repeated,
                ..
            } = notice
            {
                awaited.push(gateway);
            }
        }
        for report in self.alerts.take_reports() {
            self.record.note(self.clock.now().wall, What::deadline(report));
        }
        awaited
    }

    /// The status of the daemon and all gateways, as the control socket shows it.
    pub(super) fn status(&self) -> DaemonStatus {
        let now = self.clock.now();
        DaemonStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: self.alerts.host().to_owned(),
            pid: std::process::id(),
            at: now.wall,
            since: self.since,
            config: self.config_file.clone(),
            config_refused: self.config_refused.clone(),
            last_event: self.record.events().last(),
            zone: self.alerts.zone().iana_name().map(str::to_owned),
            gateways: self.gateways.values().filter_map(|entry| entry.status(now)).collect(),
            alerts: self.alerts.active().map(control::OpenAlert::from).collect(),
            channels: self.alerts.channels(),
        }
    }

    /// The state of everything as the endpoint shows it.
    pub(super) fn view(&self) -> View {
        let now = self.clock.now();
        let late = self.gateways.iter().filter(|(_, entry)| entry.is_outdated(now)).map(|(name, _)| name.clone());
        View {
            now,
            status: without_private_details(self.status()),
            gateways: self.gateways.keys().cloned().collect(),
            late: late.collect(),
            config_read: self.config_read,
            counts: self.counts.clone(),
        }
    }

    /// Acknowledges an open alert: it is not repeated until it resolves.
    pub(super) fn acknowledge(&mut self, about: &About, code: Code) {
        self.alerts.step(self.clock.now(), alert::AlertInput::Acknowledge { about, code: Some(code) });
    }

    /// Handles everything that is due.
    pub(super) fn handle_deadline(&mut self) {
        let now = Instant::now();
        self.alerts.step(self.clock.now(), alert::AlertInput::Wake);
        if let Some(heartbeat) = self.heartbeat.as_mut().filter(|deadline| deadline.at <= now) {
            heartbeat.at = now + heartbeat.every;
            let snapshots: Vec<&Snapshot> = self.snapshots().collect();
            let live = snapshots.iter().filter(|snapshot| snapshot.state == State::Live).count();
            let (summary, total) = (summary(&snapshots), self.gateways.len());
            info!(event = event::HEARTBEAT, live, total, summary, "{live} of {total} live");
        }
        if let Some(watchdog) = self.watchdog.as_mut().filter(|deadline| deadline.at <= now) {
            // After the whole process was stopped, its drivers get a moment to catch up.
            let stopped = now > watchdog.at + GRACE;
            watchdog.at = now + if stopped { RECOVERY_TIME.min(watchdog.every) } else { watchdog.every };
            if !stopped {
                self.notify_watchdog();
            }
        }
        self.notify_systemd();
    }

    /// When [`Supervisor::handle_deadline`] is to be called at the latest.
    pub(super) fn deadline(&self) -> Instant {
        let now = Instant::now();
        let running = self.clock.now().mono;
        let alert = Some(now + self.alerts.wake_at().saturating_sub(running));
        let ready = (!self.ready).then(|| now + FIRST_ROUND.saturating_sub(running));
        let own = [self.heartbeat, self.watchdog].map(|deadline| deadline.map(|deadline| deadline.at));
        own.into_iter().chain([alert, ready]).flatten().min().unwrap_or(now + LONG)
    }

    /// Gives pending writes and deliveries a moment to finish.
    pub(super) async fn finish(&self) {
        tokio::join!(self.alerts.finish(), self.record.end(self.clock.now().wall));
    }

    fn snapshots(&self) -> impl Iterator<Item = &Snapshot> {
        self.gateways.values().filter_map(GatewayEntry::snapshot)
    }

    /// Notifies systemd's watchdog if all of the daemon works: the loop turns, no driver is past the deadline of its
    /// own plan, and every channel has its task.
    fn notify_watchdog(&mut self) {
        let now = self.clock.now();
        if let Some((late, _)) = self.gateways.iter().find(|(_, entry)| entry.is_late(now)) {
            error!(
                event = event::DRIVER_LATE,
                gateway = late,
                "{late}: the driver is past its own deadline, so systemd's watchdog is not notified"
            );
        } else if !self.alerts.is_whole() {
            error!(
                event = event::CHANNEL_LOST,
                "the task of a channel has ended, so systemd's watchdog is not notified"
            );
        } else {
            self.notifier.watchdog();
        }
    }

    fn notify_systemd(&mut self) {
        let snapshots: Vec<&Snapshot> = self.snapshots().collect();
        let is_known = |snapshot: &&&Snapshot| snapshot.state != State::Starting;
        let first_round = snapshots.iter().filter(is_known).count() == self.gateways.len();
        let mut line = summary(&snapshots);
        if let Some(refused) = &self.config_refused {
            line = format!("{refused}; {line}");
        }
        if line != self.status_line {
            self.notifier.status(&line);
            self.status_line = line;
        }
        if !self.ready && (first_round || self.clock.now().mono >= FIRST_ROUND) {
            self.ready = true;
            self.notifier.ready();
        }
        self.notifier.retry();
    }
}

/// The status without what only the operator may know: where files are, and what others sent word for word.
fn without_private_details(mut status: DaemonStatus) -> DaemonStatus {
    status.config = Path::new(&status.config).file_name().unwrap_or_default().to_string_lossy().into_owned();
    for asked in status.gateways.iter_mut().filter_map(|gateway| gateway.last_asked.as_mut()) {
        asked.outcome = log::redact(&asked.outcome);
    }
    for failure in status.channels.iter_mut().filter_map(|channel| channel.last_failure.as_mut()) {
        *failure = log::redact(failure);
    }
    status
}

/// How long systemd waits at most for the first round of answers.
const FIRST_ROUND: Duration = Duration::from_secs(10);
/// How far past its own deadline a driver may be before it counts as hung.
const GRACE: Duration = Duration::from_secs(5);
/// The same by the wall clock.
const GRACE_BY_WALL: SignedDuration = SignedDuration::from_secs(5);
/// How long the drivers have after the whole process was stopped.
const RECOVERY_TIME: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(3600);
