//! Delivers messages to the channels. Each has a task and an outbox of its own, so that none delays another.
//!
//! A message is written to the spool before it is sent, and removed after it: a restart repeats at most the messages
//! that were being sent. If the spool cannot be written in time, the message is sent anyway.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::{debug, error, info, warn};

use super::channels::{self, Sender};
use super::lifecycle::Persisted;
use super::notice::{AlertPhase, Message, Notice, Origin, Who};
use super::outbox::{DeliveryVerdict, Outbox, Outcome, PersistedMessage};
use super::settings::{Channel, Settings};
use super::spool::{Spool, SpoolContent};
use crate::log::{event, human_duration};
use crate::session::Now;
use crate::write_behind::WriteBehind;

/// Reads the clocks.
pub type ReadClocks = Rc<dyn Fn() -> Now>;

/// A result of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryEvent {
    /// It delivered a message.
    Delivered {
        /// Its name.
        channel: String,
    },
    /// It could not deliver a message: the message was given up, or a human must fix something first.
    Undeliverable {
        /// Its name.
        channel: String,
        /// The title of that message.
        title: String,
        /// Why not, as part of a sentence.
        why: String,
    },
}

/// The state of a channel, as the control socket shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelStatus {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// How many messages wait.
    pub waiting: usize,
    /// How many messages it has delivered since the daemon started.
    pub sent: u64,
    /// How many were given up since then.
    pub given_up: u64,
    /// Why its last try failed; `None` after a success.
    pub last_failure: Option<String>,
}

/// Hands messages to the channels' tasks. Its tasks run on the [`LocalSet`](tokio::task::LocalSet) it was started in.
#[derive(Debug)]
pub struct Dispatcher {
    shared: Rc<DispatcherState>,
    /// Each channel's task. None of them ever ends by itself; all of them end with the dispatcher.
    tasks: BTreeMap<String, AbortHandle>,
    keeper: Option<AbortHandle>,
    /// Ends them.
    set: JoinSet<()>,
    /// The channels that an earlier run did not have.
    newcomers: Vec<String>,
}

struct DispatcherState {
    clock: ReadClocks,
    zone: RefCell<TimeZone>,
    origin: RefCell<Origin>,
    spool: Spool,
    alerts: RefCell<Persisted>,
    workers: RefCell<Vec<Rc<ChannelWorker>>>,
    events: mpsc::UnboundedSender<DeliveryEvent>,
    writer: WriteBehind,
    /// A channel has finished a try.
    idle: Notify,
}

/// A channel with its outbox.
struct ChannelWorker {
    sender: Sender,
    settings: Channel,
    outbox: RefCell<Outbox>,
    busy: Cell<bool>,
    sent: Cell<u64>,
    given_up: Cell<u64>,
    filled: Notify,
}

impl Dispatcher {
    /// Starts the channels' tasks, with the unsent messages of an earlier run.
    #[must_use]
    pub fn start(
        settings: &Settings,
        own_host: &str,
        (spool, state): (Spool, SpoolContent),
        clock: ReadClocks,
        events: mpsc::UnboundedSender<DeliveryEvent>,
    ) -> Self {
        let SpoolContent { alerts, channels: mut left, instance } = state;
        let channels = &settings.channels;
        let host = settings.host(own_host);
        let now = clock();
        let names = channels.iter().map(|channel| &channel.name);
        let newcomers = names.filter(|name| !left.contains_key(*name)).cloned().collect();
        let origin = Origin { host: host.to_owned(), instance };
        let workers: Vec<Rc<ChannelWorker>> = channels
            .iter()
            .map(|settings| {
                Rc::new(ChannelWorker::new(settings, host, left.remove(&settings.name).unwrap_or_default(), now))
            })
            .collect();
        let shared = Rc::new(DispatcherState {
            clock,
            zone: RefCell::new(settings.zone()),
            origin: RefCell::new(origin),
            spool,
            alerts: RefCell::new(alerts),
            workers: RefCell::new(workers.clone()),
            events,
            writer: WriteBehind::default(),
            idle: Notify::new(),
        });
        for (channel, messages) in left {
            for persisted in messages {
                shared.drop_unsent(&channel, &persisted.message);
            }
        }
        let mut dispatcher = Self { shared, tasks: BTreeMap::new(), keeper: None, set: JoinSet::new(), newcomers };
        for worker in workers {
            dispatcher.run(worker);
        }
        if dispatcher.shared.spool.keeps() {
            let own = Rc::clone(&dispatcher.shared);
            dispatcher.keeper = Some(dispatcher.set.spawn_local(async move { own.persist().await }));
        }
        dispatcher
    }

    /// Applies changed channels. An unchanged channel continues. Unsent messages of a changed channel are sent with the
    /// new settings; those of a removed channel are dropped. Returns the names of the channels that need the open
    /// alerts: new ones, and those whose last try failed before the change.
    #[must_use = "a new channel does not know what is open"]
    pub fn change(&mut self, settings: &Settings, own_host: &str) -> Vec<String> {
        let channels = &settings.channels;
        let host = settings.host(own_host);
        host.clone_into(&mut self.shared.origin.borrow_mut().host);
        let mut fresh = Vec::new();
        let now = (self.shared.clock)();
        self.shared.zone.replace(settings.zone());
        let mut before: BTreeMap<String, Rc<ChannelWorker>> =
            self.shared.workers.take().into_iter().map(|worker| (worker.settings.name.clone(), worker)).collect();
        for settings in channels {
            let worker = match before.remove(&settings.name) {
                Some(worker) if worker.settings == *settings => worker,
                earlier => {
                    if let Some(task) = self.tasks.remove(&settings.name) {
                        task.abort();
                    }
                    if earlier.as_ref().is_none_or(|worker| worker.outbox.borrow().last_failure().is_some()) {
                        fresh.push(settings.name.clone());
                    }
                    let left = earlier.map(|worker| worker.outbox.borrow().keep(now)).unwrap_or_default();
                    let worker = Rc::new(ChannelWorker::new(settings, host, left, now));
                    self.run(Rc::clone(&worker));
                    worker
                }
            };
            self.shared.workers.borrow_mut().push(worker);
        }
        for (name, worker) in before {
            if let Some(task) = self.tasks.remove(&name) {
                task.abort();
            }
            for message in worker.outbox.borrow().messages() {
                self.shared.drop_unsent(&name, message);
            }
        }
        self.shared.touch();
        fresh
    }

    fn run(&mut self, worker: Rc<ChannelWorker>) {
        let (shared, name) = (Rc::clone(&self.shared), worker.settings.name.clone());
        self.tasks.insert(name, self.set.spawn_local(async move { shared.run(&worker).await }));
    }

    /// The channels that an earlier run did not have.
    pub(super) fn newcomers(&self) -> &[String] {
        &self.newcomers
    }

    /// Queues notices of open alerts for the channels that `is_meant` selects, if they match and do not have them
    /// already. Never waits.
    pub fn send_to(&self, notices: &[Notice], is_meant: impl Fn(&Channel, &Message) -> bool) {
        for notice in notices {
            self.shared.put(notice, |worker, message| {
                let has_it = worker.outbox.borrow().messages().any(|waiting| waiting.id == message.id);
                is_meant(&worker.settings, message) && !has_it
            });
        }
        self.shared.touch();
    }

    /// Hands the notices to the channels that take them, and persists the alerts as they are after them. Never waits.
    pub fn send(&self, notices: &[Notice], alerts: Persisted) {
        let shared = &self.shared;
        for notice in notices {
            // The log received the end of the alert when it came.
            if notice.audience.who != Who::People && notice.phase != AlertPhase::Acknowledged {
                channels::log::write(notice);
            }
            shared.put(notice, |_, _| true);
        }
        shared.alerts.replace(alerts);
        shared.touch();
    }

    /// Whether every channel still has its task.
    pub fn is_whole(&mut self) -> bool {
        while self.set.try_join_next().is_some() {}
        !self.tasks.values().chain(&self.keeper).any(AbortHandle::is_finished)
    }

    /// The state of each channel.
    #[must_use]
    pub fn channels(&self) -> Vec<ChannelStatus> {
        let status = |worker: &ChannelWorker| {
            let outbox = worker.outbox.borrow();
            ChannelStatus {
                name: worker.settings.name.clone(),
                kind: worker.settings.kind.name().to_owned(),
                waiting: outbox.len(),
                sent: worker.sent.get(),
                given_up: worker.given_up.get(),
                last_failure: outbox.last_failure().map(str::to_owned),
            }
        };
        self.shared.workers.borrow().iter().map(|worker| status(worker)).collect()
    }

    /// Waits briefly for tries and writes in progress. Unsent messages stay in the spool.
    pub async fn finish(&self) {
        let shared = &self.shared;
        let is_busy = || shared.workers.borrow().iter().any(|worker| worker.busy.get());
        let done = async {
            while is_busy() {
                shared.idle.notified().await;
            }
            shared.writer.settle().await;
        };
        // The end of the daemon must not take longer.
        let _ = timeout(FAREWELL, done).await;
    }
}

impl ChannelWorker {
    /// Creates a channel with the unsent messages of an earlier one of its name.
    fn new(settings: &Channel, host: &str, left: Vec<PersistedMessage>, now: Now) -> Self {
        let mut outbox = Outbox::default();
        outbox.restore(left, now);
        Self {
            sender: Sender::new(settings, host),
            settings: settings.clone(),
            outbox: RefCell::new(outbox),
            busy: Cell::new(false),
            sent: Cell::new(0),
            given_up: Cell::new(0),
            filled: Notify::new(),
        }
    }
}

impl DispatcherState {
    /// Puts the notice into the outboxes of the chosen channels that take it.
    fn put(&self, notice: &Notice, is_chosen: impl Fn(&ChannelWorker, &Message) -> bool) {
        let now = (self.clock)();
        let message = notice.message(&self.zone.borrow(), &self.origin.borrow());
        let is_meant =
            |worker: &&Rc<ChannelWorker>| notice.is_for(&worker.settings, &message) && is_chosen(worker, &message);
        for worker in self.workers.borrow().iter().filter(is_meant) {
            if let Some(lost) = worker.outbox.borrow_mut().put(now, message.clone()) {
                self.give_up(worker, &lost, "too many alerts wait for it");
            }
            worker.filled.notify_one();
        }
    }

    async fn run(&self, worker: &ChannelWorker) {
        loop {
            let now = (self.clock)();
            let Some((message, mut progress)) = worker.outbox.borrow_mut().due(now) else {
                let wake_at = worker.outbox.borrow().wake_at();
                let pause = wake_at.map_or(LONGEST_SLEEP, |at| at.saturating_sub(now.mono));
                tokio::select! {
                    () = worker.filled.notified() => {}
                    () = sleep(pause) => {}
                }
                continue;
            };
            worker.busy.set(true);
            // A disk that hangs does not delay an alert.
            let _ = timeout(KEPT_WITHIN, self.writer.settle()).await;
            let outcome = worker.sender.deliver(&message, &mut progress).await;
            let verdict = worker.outbox.borrow_mut().done((self.clock)(), &message, progress, &outcome);
            worker.busy.set(false);
            self.touch();
            self.idle.notify_waiters();
            self.report(worker, &message, outcome, &verdict);
        }
    }

    /// Writes the state whenever it changes.
    async fn persist(&self) {
        let spool = self.spool.clone();
        let write = move |state: SpoolContent| {
            let saved = spool.save(&state);
            (state, saved)
        };
        let report = |fault: &str| {
            warn!(
                event = event::ALERT_SPOOL,
                fault, "alerts are not on disk, so a restart may repeat or lose one: {fault}"
            );
        };
        self.writer.run(|| self.state(), write, drop, report).await;
    }

    fn state(&self) -> SpoolContent {
        let now = (self.clock)();
        let workers = self.workers.borrow();
        // Includes channels with an empty queue, so that the next run can recognise new channels.
        let kept = workers.iter().map(|worker| (worker.settings.name.clone(), worker.outbox.borrow().keep(now)));
        let channels = kept.collect();
        SpoolContent { alerts: self.alerts.borrow().clone(), channels, instance: self.origin.borrow().instance.clone() }
    }

    /// The state has changed.
    fn touch(&self) {
        if self.spool.keeps() {
            self.writer.changed();
        }
    }

    fn report(&self, worker: &ChannelWorker, message: &Message, outcome: Outcome, verdict: &DeliveryVerdict) {
        let channel = &worker.settings.name;
        let (gateway, code, phase) = (message.gateway.as_deref(), &message.code, message.phase.name());
        match (outcome, verdict) {
            (Outcome::Sent { answer, except }, DeliveryVerdict::Sent { tries }) => {
                worker.sent.set(worker.sent.get() + 1);
                info!(
                    event = event::ALERT_SENT,
                    channel, gateway, code, phase, tries, answer, "channel {channel}: delivered"
                );
                match except {
                    Some(why) => self.give_up(worker, message, &why),
                    None => self.emit(DeliveryEvent::Delivered { channel: channel.clone() }),
                }
            }
            (Outcome::TryAgain { why: fault, .. }, DeliveryVerdict::Waits { pause, is_news, report }) => {
                let pause = human_duration(*pause);
                macro_rules! delayed {
                    ($level:ident) => {
                        $level!(
                            event = event::ALERT_DELAYED,
                            channel,
                            gateway,
                            code,
                            phase,
                            fault,
                            pause,
                            "channel {channel}: not delivered yet, next try in {pause}: {fault}",
                        )
                    };
                }
                if *is_news || *report {
                    delayed!(warn);
                } else {
                    delayed!(debug);
                }
                if *report {
                    self.emit(DeliveryEvent::Undeliverable {
                        channel: channel.clone(),
                        title: message.title.clone(),
                        why: fault,
                    });
                }
            }
            (Outcome::Refused { why } | Outcome::TryAgain { why, .. }, _) => self.give_up(worker, message, &why),
            (Outcome::Sent { .. }, DeliveryVerdict::Waits { .. } | DeliveryVerdict::GivenUp) => {}
        }
    }

    fn give_up(&self, worker: &ChannelWorker, message: &Message, fault: &str) {
        let channel = &worker.settings.name;
        let (gateway, code, phase) = (message.gateway.as_deref(), &message.code, message.phase.name());
        worker.given_up.set(worker.given_up.get() + 1);
        error!(
            event = event::ALERT_GIVEN_UP,
            channel, gateway, code, phase, fault, "channel {channel}: an alert is given up: {fault}"
        );
        self.emit(DeliveryEvent::Undeliverable {
            channel: channel.clone(),
            title: message.title.clone(),
            why: fault.to_owned(),
        });
    }

    /// Logs that a message is dropped because its channel was removed.
    fn drop_unsent(&self, channel: &str, message: &Message) {
        let (gateway, code, phase) = (message.gateway.as_deref(), &message.code, message.phase.name());
        let fault = "it was taken out of the configuration before this alert was sent";
        error!(
            event = event::ALERT_GIVEN_UP,
            channel, gateway, code, phase, fault, "channel {channel}: an unsent alert is dropped: {fault}"
        );
    }

    fn emit(&self, event: DeliveryEvent) {
        // The receiver is gone when the daemon ends.
        drop(self.events.send(event));
    }
}

impl fmt::Debug for DispatcherState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("origin", &self.origin)
            .field("channels", &self.workers.borrow().len())
            .finish_non_exhaustive()
    }
}

/// How long a message waits for the disk.
const KEPT_WITHIN: Duration = Duration::from_secs(2);
/// How long the end of the daemon waits for tries and writes in progress.
const FAREWELL: Duration = Duration::from_secs(1);
const LONGEST_SLEEP: Duration = Duration::from_hours(24);
