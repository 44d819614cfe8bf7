//! What the daemon knows of all its gateways, and whom it tells: the log, the alerts, systemd.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tracing::{debug, error, info, trace, warn};

use super::log_lines::{self, Said};
use super::units;
use crate::alert::{self, Service};
use crate::config::Config;
use crate::control::{self, Asked, Status};
use crate::driver::{Answer, Clock, HostClock, Report};
use crate::endpoint::{Counts, View};
use crate::history::{DriverInit, PersistedGateway, PersistedState, Record, What};
use crate::log::{self, event};
use crate::session::{Now, Request, State, StateKind};
use crate::status::{Snapshot, summary};
use crate::systemd::unit::Down;
use crate::systemd::{self, Notifier};

/// What is known of the gateways, and the ways to tell it.
pub(super) struct Supervisor {
    clock: HostClock,
    pub(super) notifier: Notifier,
    gateways: BTreeMap<String, Known>,
    pub(super) alerts: Service,
    record: Record,
    earlier: PersistedState,
    counts: Counts,
    /// When the configuration in force was read.
    config_read: Timestamp,
    ready: bool,
    /// What stands before everything else in the status line, while it is so.
    trouble: Option<String>,
    told: String,
    heartbeat: Option<Deadline>,
    watchdog: Option<Deadline>,
}

/// What is known of one gateway.
struct Known {
    /// None until its driver has reported.
    snapshot: Option<Snapshot>,
    /// When its driver has last reported.
    seen: Option<Now>,
    /// A time in which it was not observed, while it was live before and has not been found so since.
    gap: Option<Gap>,
    /// When its driver was started.
    started: Duration,
    said: Said,
    last_asked: Option<Asked>,
    /// How its unit ended, while it does not answer.
    down: Option<Down>,
}

#[derive(Clone, Copy)]
struct Gap {
    /// When the gateway was last observed before.
    since: Timestamp,
    ended: Duration,
}

impl Known {
    /// Whether the driver is past the deadline that it promised.
    fn is_late(&self, now: Now) -> bool {
        let promised = self.snapshot.as_ref().map_or(self.started, |snapshot| snapshot.promised);
        now.mono > promised + GRACE
    }

    /// Whether what is known is older than it may be, by either clock: the one of the drivers stands still while the host
    /// sleeps.
    fn is_outdated(&self, now: Now) -> bool {
        let by_wall = |snapshot: &Snapshot| now.wall.duration_since(snapshot.next_at) > GRACE_BY_WALL;
        self.is_late(now) || self.snapshot.as_ref().is_some_and(by_wall)
    }
}

#[derive(Clone, Copy)]
struct Deadline {
    every: Duration,
    at: Instant,
}

impl Deadline {
    fn every(every: Duration) -> Option<Self> {
        (!every.is_zero()).then(|| Self { every, at: Instant::now() + every })
    }
}

impl Supervisor {
    pub(super) fn new(
        config: &Config,
        clock: HostClock,
        notifier: Notifier,
        alerts: Service,
        state: Option<PathBuf>,
    ) -> Self {
        let (record, earlier) = Record::begin(state, clock.now().wall);
        record.keep_only(&config.names());
        let mut supervisor = Self {
            clock,
            notifier,
            gateways: BTreeMap::new(),
            alerts,
            record,
            earlier,
            counts: Counts::default(),
            config_read: clock.now().wall,
            ready: false,
            trouble: None,
            told: String::new(),
            heartbeat: Deadline::every(config.log.heartbeat_every),
            watchdog: systemd::watchdog_interval().and_then(Deadline::every),
        };
        supervisor.notifier.status("waiting for the first answers");
        supervisor
    }

    /// A driver is about to be started for this gateway, in the place of an earlier one if there was one. Returns what it
    /// inherits from the earlier driver or daemon.
    pub(super) fn expect(&mut self, name: &str) -> DriverInit {
        let now = self.clock.now();
        let known = Known {
            snapshot: None,
            seen: None,
            gap: None,
            started: now.mono,
            said: Said::default(),
            last_asked: None,
            down: None,
        };
        let before = self.gateways.insert(name.to_owned(), known).and_then(|known| known.snapshot);
        self.record.note(now.wall, What::Watched { gateway: name.to_owned() });
        match before {
            Some(before) => {
                let mut init = PersistedGateway::from(&before).init(now.wall);
                // The earlier driver may have sent a request that it has not reported yet.
                init.rate_limits.unrecorded = 1;
                init
            }
            None => self.earlier.init(name, now.wall),
        }
    }

    /// This gateway is not watched any more.
    pub(super) fn forget(&mut self, name: &str) {
        self.gateways.remove(name);
        self.earlier.gateways.remove(name);
        self.counts.forget(name);
        let now = self.clock.now();
        self.record.forget(now.wall, name);
        self.alerts.step(now, alert::Input::Forget(&alert::About::Gateway(name.to_owned())));
    }

    /// Other people are told, or of other gateways, from here on.
    pub(super) fn change(&mut self, config: &Config) {
        self.alerts.change(&config.alerts, &config.names());
    }

    /// The heartbeat comes this often from here on.
    pub(super) fn beat(&mut self, every: Duration) {
        self.heartbeat = Deadline::every(every);
    }

    /// A reload has begun. Before the start is over systemd has no word for that.
    pub(super) fn reloading(&mut self, at: Instant) {
        if self.ready {
            self.notifier.reloading(systemd::monotonic_usec(at.into_std()));
        }
    }

    /// The reload is over, whatever came of it.
    pub(super) fn reloaded(&mut self) {
        if self.ready {
            self.notifier.ready();
        }
    }

    /// The changed configuration was refused, for this reason.
    pub(super) fn refused(&mut self, why: &str) {
        self.alerts.step(self.clock.now(), alert::Input::ConfigRejected(why));
        self.trouble = Some("the changed configuration is refused, the old one stays in force".to_owned());
        self.tell_systemd();
    }

    /// The changed configuration was taken over.
    pub(super) fn accepted(&mut self) {
        self.alerts.step(self.clock.now(), alert::Input::ConfigAccepted);
        self.trouble = None;
        self.config_read = self.clock.now().wall;
        self.tell_systemd();
    }

    /// Takes in what a driver reports.
    pub(super) fn take(&mut self, report: Report) {
        let now = self.clock.now();
        self.counts.take(now, &report);
        let Report { mut snapshot, transition, jumped, answered, sending: _, stream } = report;
        let name = snapshot.gateway.clone();
        if let Some(by) = jumped {
            warn!(event = event::CLOCK_JUMPED, gateway = name, by = %by, "{name}: the clock jumped, or the host slept: checking at once");
        }
        let mut good_ping = false;
        if let Some((request, answer, took)) = answered {
            good_ping = request == Request::Ping && answer.error.is_none();
            self.answered(&name, request, &answer, took);
        }
        self.note_gap(now, &snapshot);
        if let Some(transition) = transition {
            log_lines::transition(&snapshot, &transition);
            self.record.note(now.wall, What::changed(&name, &transition));
        }
        if let Some(change) = stream {
            log_lines::stream(&name, &change);
        }
        if let Some(known) = self.gateways.get_mut(&name) {
            known.down = known.down.take().filter(|_| units::is_suspect(snapshot.state));
            snapshot.unit.clone_from(&known.down);
        }
        self.record.see(now.wall, &snapshot);
        self.alerts.on_snapshot(now, &snapshot, good_ping);
        if let Some(known) = self.gateways.get_mut(&name) {
            log_lines::step(known.snapshot.as_ref(), &snapshot);
            known.snapshot = Some(snapshot);
            known.seen = Some(now);
        }
        self.tell_systemd();
    }

    /// Records that a gateway was not observed, if its driver reports later than it promised: the host slept, its clock
    /// was set, or the process was stopped. That time lasts until the session is found live again, or anything else.
    fn note_gap(&mut self, now: Now, snapshot: &Snapshot) {
        let Some(known) = self.gateways.get_mut(&snapshot.gateway) else { return };
        if known.is_outdated(now)
            && let Some(seen) = known.seen
        {
            let since = known.gap.map_or(seen.wall, |gap| gap.since);
            known.gap = Some(Gap { since: since.min(now.wall), ended: now.mono });
        }
        let Some(gap) = known.gap else { return };
        let is_proved = snapshot.known.last_good.is_some_and(|good| good.mono >= gap.ended);
        if snapshot.state != State::Live || is_proved {
            known.gap = None;
            let gateway = snapshot.gateway.clone();
            self.record.note(now.wall, What::Unobserved { gateway, since: gap.since });
        }
    }

    /// How each gateway is that has reported, as the control socket has it. A gateway that was live longer ago than it may
    /// be is not called live.
    pub(super) fn gateways(&self) -> impl Iterator<Item = control::Gateway> {
        let now = self.clock.now();
        self.gateways.values().filter_map(move |known| {
            let snapshot = known.snapshot.as_ref()?;
            let mut gateway = control::Gateway::new(snapshot, known.last_asked.clone());
            if snapshot.state == State::Live && (known.is_outdated(now) || known.gap.is_some()) {
                gateway.state = StateKind::Starting;
                "outdated".clone_into(&mut gateway.because);
                "its last check is older than it may be: the host slept, or the driver is late"
                    .clone_into(&mut gateway.why);
            }
            Some(gateway)
        })
    }

    /// Whether what is known of a gateway is older than it may be.
    pub(super) fn has_outdated(&self) -> bool {
        let now = self.clock.now();
        self.gateways.values().any(|known| known.is_outdated(now))
    }

    /// What the endpoint shows of this moment, `status` among it.
    pub(super) fn view(&self, status: Status) -> View {
        let now = self.clock.now();
        View {
            now,
            status: shown(status),
            gateways: self.gateways.keys().cloned().collect(),
            late: self
                .gateways
                .iter()
                .filter(|(_, known)| known.is_outdated(now))
                .map(|(name, _)| name.clone())
                .collect(),
            config_read: self.config_read,
            counts: self.counts.clone(),
        }
    }

    /// What keeps a changed configuration from being in force.
    pub(super) fn refusal(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// A human knows of this, and wants no more of it until it is over.
    pub(super) fn acknowledge(&mut self, about: &alert::About, code: alert::Code) {
        self.alerts.step(self.clock.now(), alert::Input::Acknowledge { about, code: Some(code) });
    }

    /// Takes in how a gateway's unit ended, unless the gateway answers again.
    pub(super) fn hear_of_unit(&mut self, name: &str, down: Option<Down>) {
        let now = self.clock.now();
        let Some(known) = self.gateways.get_mut(name) else { return };
        let Some(snapshot) = known.snapshot.as_mut().filter(|snapshot| units::is_suspect(snapshot.state)) else {
            return;
        };
        if let Some(down) = down.as_ref().filter(|down| known.down.as_ref() != Some(down)) {
            log_lines::unit(name, down);
        }
        snapshot.unit.clone_from(&down);
        known.down = down;
        self.alerts.on_snapshot(now, snapshot, false);
    }

    /// Does what a deadline asks for.
    pub(super) fn look(&mut self) {
        let now = Instant::now();
        self.alerts.step(self.clock.now(), alert::Input::Wake);
        if let Some(heartbeat) = self.heartbeat.as_mut().filter(|deadline| deadline.at <= now) {
            heartbeat.at = now + heartbeat.every;
            let snapshots: Vec<&Snapshot> = self.snapshots().collect();
            let live = snapshots.iter().filter(|snapshot| snapshot.state == State::Live).count();
            let told = summary(&snapshots);
            let total = self.gateways.len();
            info!(event = event::HEARTBEAT, live, total, summary = told, "{live} of {total} live");
        }
        if let Some(watchdog) = self.watchdog.as_mut().filter(|deadline| deadline.at <= now) {
            // After a stop of the whole process nobody has had a chance to keep a promise: judged a moment later.
            let stopped = now > watchdog.at + GRACE;
            watchdog.at = now + if stopped { RECOLLECT.min(watchdog.every) } else { watchdog.every };
            if !stopped {
                self.sign_of_life();
            }
        }
        self.tell_systemd();
    }

    /// When [`Supervisor::look`] is to be called at the latest.
    pub(super) fn deadline(&self) -> Instant {
        let now = Instant::now();
        let alert = Some(now + self.alerts.wake_at().saturating_sub(self.clock.now().mono));
        let ready = (!self.ready).then(|| now + FIRST_ROUND.saturating_sub(self.clock.now().mono));
        let own = [self.heartbeat, self.watchdog].map(|deadline| deadline.map(|deadline| deadline.at));
        own.into_iter().chain([alert, ready]).flatten().min().unwrap_or(now + LONG)
    }

    /// Ends what is written and sent, for a moment at most.
    pub(super) async fn end(&self) {
        tokio::join!(self.alerts.finish(), self.record.end(self.clock.now().wall));
    }

    fn snapshots(&self) -> impl Iterator<Item = &Snapshot> {
        self.gateways.values().filter_map(|known| known.snapshot.as_ref())
    }

    /// Tells systemd that the daemon lives, if all of it does: the loop turns, no driver is past the deadline that its
    /// own plan promised, and every channel has its task.
    fn sign_of_life(&mut self) {
        if let Some(late) = self.late(self.clock.now()) {
            error!(
                event = event::DRIVER_LATE,
                gateway = late,
                "{late}: the driver is past its own deadline: no sign of life to systemd"
            );
        } else if !self.alerts.is_whole() {
            error!(event = event::CHANNEL_LOST, "the task of a channel has ended: no sign of life to systemd");
        } else {
            self.notifier.watchdog();
        }
    }

    /// The first driver that hangs.
    fn late(&self, now: Now) -> Option<&str> {
        self.gateways.iter().find(|(_, known)| known.is_late(now)).map(|(name, _)| name.as_str())
    }

    fn answered(&mut self, name: &str, request: Request, answer: &Answer, took: Duration) {
        let outcome = answer.error.as_ref().map_or_else(|| "ok".to_owned(), ToString::to_string);
        let (call, took_ms) = (request.name(), u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        let keeps_alive = answer.error.is_none() && matches!(request, Request::Ping | Request::Check);
        if keeps_alive {
            trace!(event = event::REQUEST, gateway = name, call, outcome, took_ms, "{name}: {call}: {outcome}");
        } else {
            debug!(event = event::REQUEST, gateway = name, call, outcome, took_ms, "{name}: {call}: {outcome}");
        }
        let at = self.clock.now().wall;
        let Some(known) = self.gateways.get_mut(name) else { return };
        known.said.answered(name, request, answer.error.as_ref());
        known.last_asked = Some(Asked { at, call: call.to_owned(), outcome, took_ms });
    }

    fn tell_systemd(&mut self) {
        let snapshots: Vec<&Snapshot> = self.snapshots().collect();
        let known = |snapshot: &&&Snapshot| snapshot.state != State::Starting;
        let first_round = snapshots.iter().filter(known).count() == self.gateways.len();
        let mut told = summary(&snapshots);
        if let Some(trouble) = &self.trouble {
            told = format!("{trouble}; {told}");
        }
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

/// The same without what only the operator may know: where files are, and what others said word for word.
fn shown(mut status: Status) -> Status {
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
/// How long after a stop of the whole process its parts are judged again.
const RECOLLECT: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(3600);
