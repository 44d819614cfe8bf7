//! The alerts of a daemon: tracker, channels and dead man's switch together.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_local;
use tracing::{info, warn};

use super::Code;
use super::channels;
use super::deadman::{Deadman, Sign};
use super::dispatcher::{ChannelStatus, DeliveryEvent, Dispatcher, ReadClocks};
use super::heartbeat::Heartbeat;
use super::notice::{About, Message, Notice};
use super::plan::{ActiveAlert, AlertInput};
use super::readiness::ReadinessReport;
use super::secret_file::world_readable_secrets;
use super::settings::{self, Settings};
use super::spool::Spool;
use super::tracker::Tracker;
use crate::log::event;
use crate::session::Now;
use crate::status::Snapshot;

/// Notifies humans. Its tasks run on a [`LocalSet`](tokio::task::LocalSet).
pub struct Service {
    tracker: Tracker,
    dispatcher: Dispatcher,
    deadman: Option<(Deadman, watch::Sender<Option<Sign>>)>,
    wake_at: Duration,
    clock: ReadClocks,
    host: String,
    /// Alerts of an earlier run that new channels have not got. They wait until the problem is seen again.
    unintroduced: BTreeSet<(About, Code)>,
    /// See [`Service::take_notified`].
    notified: Vec<Notice>,
    unproved: Vec<String>,
    reports: Vec<ReadinessReport>,
}

impl Service {
    /// Starts the channels, and restores the state of an earlier run from `spool`. The reports of the channels come out
    /// of the receiver; pass them to [`Service::on_delivery`].
    #[must_use]
    pub fn start(
        settings: &Settings,
        host: &str,
        gateways: &[String],
        spool: Spool,
        clock: ReadClocks,
    ) -> (Self, mpsc::UnboundedReceiver<DeliveryEvent>) {
        let mut state = spool.load().unwrap_or_else(|error| {
            let fault = error.to_string();
            warn!(
                event = event::ALERT_SPOOL,
                fault, "the saved state of the alerts is lost, so an alert may be sent again: {fault}"
            );
            super::spool::SpoolContent::default()
        });
        if state.instance.is_empty() {
            state.instance = spool.new_instance(host);
        }
        let settings = &settings.clone().on_host(&TimeZone::system());
        let (sender, events) = mpsc::unbounded_channel();
        warn_of_exposed(&world_readable_secrets(settings));
        let now = clock();
        let mut tracker = Tracker::new(settings.clone(), host);
        let withdrawn = tracker.restore(state.alerts.clone(), now, |about| is_there(settings, gateways, about));
        let left = (spool, state);
        let dispatcher = Dispatcher::start(settings, host, left, Rc::clone(&clock), sender);
        let (host, wake_at) = (host.to_owned(), now.mono);
        let unintroduced = if dispatcher.newcomers().is_empty() { BTreeSet::new() } else { tracker.notified() };
        let mut service = Self {
            tracker,
            dispatcher,
            deadman: None,
            wake_at,
            clock,
            host,
            unintroduced,
            notified: Vec::new(),
            unproved: Vec::new(),
            reports: Vec::new(),
        };
        service.finish_change(settings, gateways, &withdrawn);
        (service, events)
    }

    /// Applies changed settings and gateways. Open alerts stay open; channels that are new, or that take more than
    /// before, get them. Unchanged channels go on with what they are doing.
    pub fn apply(&mut self, settings: &Settings, gateways: &[String]) {
        let settings = &settings.clone().on_host(&TimeZone::system());
        let now = (self.clock)();
        let before = self.tracker.apply(settings).channels;
        let withdrawn = self.tracker.cancel(now, |about| !is_there(settings, gateways, about));
        let fresh = self.dispatcher.change(settings, &self.host);
        let had = |new: &settings::Channel, message: &Message| {
            before.iter().any(|old| old.name == new.name && channels::matches(old, message))
        };
        self.dispatcher
            .send_to(&self.tracker.ongoing(now), |new, message| fresh.contains(&new.name) || !had(new, message));
        self.finish_change(settings, gateways, &withdrawn);
    }

    /// Sends open alerts of an earlier run to the channels that it did not have, except for those that were just `sent`.
    fn introduce(&mut self, now: Now, sent: &[Notice]) {
        if self.unintroduced.is_empty() {
            return;
        }
        let key = |notice: &Notice| (notice.about.clone(), notice.code);
        for notice in sent {
            self.unintroduced.remove(&key(notice));
        }
        let mut ongoing = self.tracker.ongoing(now);
        ongoing.retain(|notice| self.unintroduced.remove(&key(notice)));
        let newcomers = self.dispatcher.newcomers();
        self.dispatcher.send_to(&ongoing, |channel, _| newcomers.contains(&channel.name));
    }

    /// Sends what a change of the configuration closes, and starts the dead man's switch again.
    fn finish_change(&mut self, settings: &Settings, gateways: &[String], withdrawn: &[Notice]) {
        let now = (self.clock)();
        if !withdrawn.is_empty() {
            self.notified.extend_from_slice(withdrawn);
            self.dispatcher.send(withdrawn, self.tracker.snapshot(now));
        }
        self.deadman = settings.deadman.as_ref().map(|settings| {
            let (signs, inbox) = watch::channel(None);
            spawn_local(Heartbeat::new(settings).run(inbox));
            (Deadman::new(settings.every, gateways.iter().cloned()), signs)
        });
        // A daemon that starts or reloads has accepted its configuration.
        self.step(now, AlertInput::ConfigAccepted);
    }

    /// The name of this host for people.
    #[must_use]
    pub fn host(&self) -> &str {
        self.tracker.host()
    }

    /// Whether every channel still has its task.
    pub fn is_whole(&mut self) -> bool {
        self.dispatcher.is_whole()
    }

    /// Handles the state of a gateway, and whether it has just answered a ping well.
    pub fn on_snapshot(&mut self, now: Now, snapshot: &Snapshot, good_ping: bool) {
        if let Some((deadman, _)) = &mut self.deadman {
            deadman.on_snapshot(snapshot, good_ping);
        }
        self.step(now, AlertInput::Snapshot(snapshot));
    }

    /// Handles the report of a channel.
    pub fn on_delivery(&mut self, now: Now, event: &DeliveryEvent) {
        match event {
            DeliveryEvent::Delivered { channel } => self.step(now, AlertInput::Delivered { channel }),
            DeliveryEvent::Undeliverable { channel, title, why } => {
                self.step(now, AlertInput::Undeliverable { channel, title, why });
            }
        }
    }

    /// Handles anything else that happened.
    pub fn step(&mut self, now: Now, input: AlertInput<'_>) {
        let plan = self.tracker.step(now, input);
        self.wake_at = plan.wake_at;
        self.unproved.extend(plan.prove);
        plan.held.iter().for_each(|alert| log_held(alert, &self.tracker.zone(), now.wall));
        if let Some(report) = plan.report {
            log_report(&report, &self.tracker.zone());
            self.reports.push(report);
        }
        if plan.changed || !plan.notices.is_empty() {
            self.dispatcher.send(&plan.notices, self.tracker.snapshot(now));
        }
        self.introduce(now, &plan.notices);
        self.notified.extend(plan.notices);
        self.sign(now);
    }

    /// Sends a sign of life, if one is due and every channel has its task.
    fn sign(&mut self, now: Now) {
        let Some((deadman, signs)) = &mut self.deadman else { return };
        let (tracker, is_heard) = (&self.tracker, !self.tracker.has_failed_channel());
        if self.dispatcher.is_whole()
            && let Some(sign) = deadman.poll(now, |gateway| tracker.needs_human(gateway), is_heard)
        {
            signs.send_replace(Some(sign));
        }
        self.wake_at = self.wake_at.min(deadman.wake_at(now));
    }

    /// When to call [`Service::step`] with [`AlertInput::Wake`] at the latest, by [`Now::mono`].
    #[must_use]
    pub const fn wake_at(&self) -> Duration {
        self.wake_at
    }

    /// The notifications since the last call.
    pub fn take_notified(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notified)
    }

    /// The open alerts.
    pub fn active(&self) -> impl Iterator<Item = ActiveAlert> {
        self.tracker.active((self.clock)())
    }

    /// The zone of all times shown to people.
    #[must_use]
    pub fn zone(&self) -> TimeZone {
        self.tracker.zone()
    }

    /// The live sessions that are to be proved by a data call now, because their deadline comes.
    pub fn take_unproved(&mut self) -> Vec<String> {
        std::mem::take(&mut self.unproved)
    }

    /// Adds to a snapshot what is configured for people: the address of the login, and the unit that runs the gateway.
    pub fn complete(&self, snapshot: &mut Snapshot) {
        let settings = self.tracker.settings();
        snapshot.login_url = settings.login_urls.get(&snapshot.gateway).cloned();
        snapshot.service = settings.units.get(&snapshot.gateway).cloned();
    }

    /// How the sessions were at the deadlines since the last call.
    pub fn take_reports(&mut self) -> Vec<ReadinessReport> {
        std::mem::take(&mut self.reports)
    }

    /// The state of each channel.
    #[must_use]
    pub fn channels(&self) -> Vec<ChannelStatus> {
        self.dispatcher.channels()
    }

    /// Waits a moment for messages and writes that are under way.
    pub async fn finish(&self) {
        self.dispatcher.finish().await;
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("tracker", &self.tracker).field("host", &self.host).finish_non_exhaustive()
    }
}

/// Whether the subject of an alert is in the configuration.
fn is_there(settings: &Settings, gateways: &[String], about: &About) -> bool {
    match about {
        About::Gateway(name) => gateways.contains(name),
        About::Channel(name) => settings.channels.iter().any(|channel| channel.name == *name),
        About::Daemon => true,
    }
}

/// Logs that an alert is open and held.
fn log_held(alert: &ActiveAlert, zone: &TimeZone, now: Timestamp) {
    let Some(held) = alert.held else { return };
    let (gateway, channel) = (alert.about.gateway(), alert.about.channel());
    let (about, code, because) = (&alert.about, alert.code.name(), held.by.name());
    let until = held.until.map(|until| until.to_string());
    let text = held.sentence(zone, now);
    info!(event = event::ALERT_HELD, gateway, channel, code, because, until, "{about}: {code} {text}");
}

/// Logs whether the sessions were ready at their deadline.
fn log_report(report: &ReadinessReport, zone: &TimeZone) {
    let ReadinessReport { deadline, ready, not_ready } = report;
    let time = deadline.to_zoned_datetime(zone.clone()).strftime("%H:%M %Z").to_string();
    let (live, total) = (ready.len(), ready.len() + not_ready.len());
    let missing = if not_ready.is_empty() { String::new() } else { format!(", not ready: {}", not_ready.join(", ")) };
    info!(event = event::READY, live, total, "{live} of {total} ready at {time}{missing}");
}

/// Logs the files with a secret that every user of this host may read.
pub fn warn_of_exposed(files: &[PathBuf]) {
    for file in files {
        let file = file.display().to_string();
        warn!(
            event = event::SECRET_EXPOSED,
            file, "{file} holds a secret, and every user of this host may read it: `chmod o-r {file}`"
        );
    }
}

impl Notice {
    /// Whether a channel is used for this notice, as that message.
    #[must_use]
    pub fn is_for(&self, channel: &settings::Channel, message: &Message) -> bool {
        self.audience.includes(channel) && channels::matches(channel, message)
    }
}
