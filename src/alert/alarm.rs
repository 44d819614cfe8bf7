//! All of it together, for a daemon: what it sees goes in, and humans are told.

use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tracing::warn;

use super::channels::{self, Sender};
use super::deadman::{Deadman, Sign};
use super::desk::{Desk, Input, Standing};
use super::dispatcher::{ChannelStatus, Clock, DeliveryEvent, Dispatcher};
use super::heartbeat::Heartbeat;
use super::notice::{About, Notice};
use super::secret::SecretFile;
use super::settings::{self, Settings};
use super::spool::Spool;
use crate::log::event;
use crate::session::Now;
use crate::status::Snapshot;

/// Tells humans what they must know. Lives in a [`LocalSet`](tokio::task::LocalSet).
pub struct Alarm {
    desk: Desk,
    dispatcher: Dispatcher,
    deadman: Option<(Deadman, watch::Sender<Option<Sign>>)>,
    wake_at: Duration,
    clock: Clock,
    host: String,
}

impl Alarm {
    /// Starts the channels, and takes back what an earlier run left in `spool`. What the channels report comes out of
    /// the receiver, and goes into [`Alarm::hear`].
    #[must_use]
    pub fn start(
        settings: &Settings,
        host: &str,
        gateways: &[String],
        spool: Spool,
        clock: Clock,
    ) -> (Self, mpsc::UnboundedReceiver<DeliveryEvent>) {
        let mut state = spool.load().unwrap_or_else(|error| {
            let fault = error.to_string();
            warn!(
                event = event::ALERT_SPOOL,
                fault, "what was kept of alerts is lost, so one may be told again: {fault}"
            );
            super::spool::State::default()
        });
        if state.instance.is_empty() {
            state.instance = spool.new_instance(host);
        }
        let (sender, heard) = mpsc::unbounded_channel();
        warn_of_exposed(settings, host);
        let now = clock();
        let mut desk = Desk::new(settings.clone(), host);
        let withdrawn = desk.restore(state.desk.clone(), now, |about| is_there(settings, gateways, about));
        let left = (spool, state);
        let dispatcher = Dispatcher::start(&settings.channels, &settings.zone, host, left, Rc::clone(&clock), sender);
        let (host, wake_at) = (host.to_owned(), now.mono);
        let mut alarm = Self { desk, dispatcher, deadman: None, wake_at, clock, host };
        alarm.take_over(settings, gateways, &withdrawn);
        (alarm, heard)
    }

    /// Applies changed settings and gateways. What is open stays open, and new channels are told of it; what is unsent is
    /// sent by the channels that still are, and those that did not change go on with what they are doing.
    pub fn change(&mut self, settings: &Settings, gateways: &[String]) {
        warn_of_exposed(settings, &self.host);
        let now = (self.clock)();
        self.desk.settings = settings.clone();
        let withdrawn = self.desk.withdraw(now, |about| !is_there(settings, gateways, about));
        let fresh = self.dispatcher.change(&settings.channels, &settings.zone);
        self.dispatcher.send_to(&fresh, &self.desk.ongoing(now));
        self.take_over(settings, gateways, &withdrawn);
    }

    fn take_over(&mut self, settings: &Settings, gateways: &[String], withdrawn: &[Notice]) {
        let now = (self.clock)();
        if !withdrawn.is_empty() {
            self.dispatcher.send(withdrawn, self.desk.keep(now));
        }
        self.deadman = settings.deadman.as_ref().map(|settings| {
            let (signs, inbox) = watch::channel(None);
            tokio::task::spawn_local(Heartbeat::new(settings).run(inbox));
            (Deadman::new(settings.every, gateways.iter().cloned()), signs)
        });
        // A daemon that starts, or has changed, has accepted its configuration.
        self.step(now, Input::ConfigAccepted);
    }

    /// Whether every channel still has its task.
    pub fn is_whole(&mut self) -> bool {
        self.dispatcher.is_whole()
    }

    /// Takes in how a gateway is, and whether it has just answered a ping well.
    pub fn see(&mut self, now: Now, snapshot: &Snapshot, good_ping: bool) {
        self.step(now, Input::Snapshot(snapshot));
        if let Some((deadman, signs)) = &mut self.deadman
            && let Some(sign) = deadman.step(now, snapshot, good_ping)
        {
            signs.send_replace(Some(sign));
        }
    }

    /// Takes in what a channel reports.
    pub fn hear(&mut self, now: Now, heard: &DeliveryEvent) {
        match heard {
            DeliveryEvent::Delivered { channel } => self.step(now, Input::Delivered { channel }),
            DeliveryEvent::Undeliverable { channel, why } => self.step(now, Input::Undeliverable { channel, why }),
        }
    }

    /// Takes in anything else that happened.
    pub fn step(&mut self, now: Now, input: Input<'_>) {
        let plan = self.desk.step(now, input);
        self.wake_at = plan.wake_at;
        if plan.changed || !plan.notices.is_empty() {
            self.dispatcher.send(&plan.notices, self.desk.keep(now));
        }
    }

    /// When to call [`Alarm::step`] with [`Input::Wake`] at the latest, by [`Now::mono`].
    #[must_use]
    pub const fn wake_at(&self) -> Duration {
        self.wake_at
    }

    /// All incidents, told or not.
    pub fn standing(&self) -> impl Iterator<Item = Standing> {
        self.desk.standing()
    }

    /// How each channel does.
    #[must_use]
    pub fn channels(&self) -> Vec<ChannelStatus> {
        self.dispatcher.channels()
    }

    /// Waits a moment for what is being sent or written.
    pub async fn finish(&self) {
        self.dispatcher.finish().await;
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alarm").field("desk", &self.desk).field("host", &self.host).finish_non_exhaustive()
    }
}

/// Whether what an incident is about is in the configuration.
fn is_there(settings: &Settings, gateways: &[String], about: &About) -> bool {
    match about {
        About::Gateway(name) => gateways.contains(name),
        About::Channel(name) => settings.channels.iter().any(|channel| channel.name == *name),
        About::Daemon => true,
    }
}

fn warn_of_exposed(settings: &Settings, host: &str) {
    for file in exposed(settings, host) {
        let file = file.display().to_string();
        warn!(
            event = event::SECRET_EXPOSED,
            file, "{file} holds a secret, and every user of this host may read it: `chmod o-r {file}`"
        );
    }
}

/// The files with a secret that every user of this host may read.
#[must_use]
pub fn exposed(settings: &Settings, host: &str) -> Vec<PathBuf> {
    let channels = settings.channels.iter().map(|channel| Sender::new(channel, host));
    let deadman = settings.deadman.iter().filter_map(|deadman| SecretFile::new(&deadman.url_file).exposed());
    channels.flat_map(|sender| sender.exposed()).chain(deadman).collect()
}

/// Whether a channel would be used for a message: for whoever shows that.
#[must_use]
pub fn takes(channel: &settings::Channel, message: &super::Message) -> bool {
    channels::takes(channel, message)
}
