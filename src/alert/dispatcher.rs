//! Carries messages to the channels: each has a task and an outbox of its own, and none keeps anybody waiting.
//!
//! What is to be sent is in the spool before it is sent, and what was sent leaves the spool after it: a restart sends
//! at most what was just being sent once more. If the spool cannot be written in time the message is sent all the same.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::sync::{Notify, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::{debug, error, info, warn};

use super::channels::{self, Sender};
use super::keep::{Kept, KeptLetter};
use super::notice::{Message, Notice};
use super::outbox::{Outbox, Outcome, Verdict};
use super::settings::Channel;
use super::spool::{Spool, State};
use crate::log::{event, humane};
use crate::session::Now;

/// Reads the clocks.
pub type Clock = Rc<dyn Fn() -> Now>;

/// What a channel reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// It took a message.
    Delivered {
        /// Its name.
        channel: String,
    },
    /// It did not take a message, and that was given up.
    Undeliverable {
        /// Its name.
        channel: String,
        /// Why not, as part of a sentence.
        why: String,
    },
}

/// How a channel does, as the status shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelStatus {
    /// Its name.
    pub name: String,
    /// What kind it is of.
    pub kind: &'static str,
    /// How many messages wait.
    pub waiting: usize,
    /// How many messages it took since the daemon began.
    pub sent: u64,
    /// How many were given up since then.
    pub given_up: u64,
    /// Why its last try failed, unless a later one did not.
    pub last_failure: Option<String>,
}

/// Hands messages to the channels' tasks. Its tasks run on the [`LocalSet`](tokio::task::LocalSet) it was started in.
#[derive(Debug)]
pub struct Dispatcher {
    shared: Rc<Shared>,
    /// Each channel's task. None of them ever ends by itself; all of them end with the dispatcher.
    tasks: BTreeMap<String, AbortHandle>,
    keeper: Option<AbortHandle>,
    /// Ends them.
    set: JoinSet<()>,
}

struct Shared {
    clock: Clock,
    zone: RefCell<TimeZone>,
    host: String,
    spool: Spool,
    desk: RefCell<Kept>,
    posts: RefCell<Vec<Rc<Post>>>,
    heard: mpsc::UnboundedSender<Heard>,
    /// Counts the changes of what is to be kept, and how many of them are.
    changes: Cell<u64>,
    kept: Cell<u64>,
    changed: Notify,
    settled: Notify,
}

/// A channel with what it has to send.
struct Post {
    sender: Sender,
    settings: Channel,
    outbox: RefCell<Outbox>,
    busy: Cell<bool>,
    sent: Cell<u64>,
    given_up: Cell<u64>,
    filled: Notify,
}

impl Dispatcher {
    /// Starts the channels' tasks, with what an earlier run left in `state`.
    #[must_use]
    pub fn start(
        channels: &[Channel],
        zone: &TimeZone,
        host: &str,
        (spool, state): (Spool, State),
        clock: Clock,
        heard: mpsc::UnboundedSender<Heard>,
    ) -> Self {
        let State { desk, channels: mut left, .. } = state;
        let now = clock();
        let posts: Vec<Rc<Post>> = channels
            .iter()
            .map(|settings| Rc::new(Post::new(settings, host, left.remove(&settings.name).unwrap_or_default(), now)))
            .collect();
        let shared = Rc::new(Shared {
            clock,
            zone: RefCell::new(zone.clone()),
            host: host.to_owned(),
            spool,
            desk: RefCell::new(desk),
            posts: RefCell::new(posts.clone()),
            heard,
            changes: Cell::new(0),
            kept: Cell::new(0),
            changed: Notify::new(),
            settled: Notify::new(),
        });
        let mut dispatcher = Self { shared, tasks: BTreeMap::new(), keeper: None, set: JoinSet::new() };
        for post in posts {
            dispatcher.run(post);
        }
        if dispatcher.shared.spool.keeps() {
            let own = Rc::clone(&dispatcher.shared);
            dispatcher.keeper = Some(dispatcher.set.spawn_local(async move { own.keep().await }));
        }
        dispatcher
    }

    /// Takes over changed channels. One that is the same goes on with what it is doing; what a changed one has not sent
    /// yet is sent the new way.
    pub fn change(&mut self, channels: &[Channel], zone: &TimeZone) {
        let now = (self.shared.clock)();
        self.shared.zone.replace(zone.clone());
        let mut before: BTreeMap<String, Rc<Post>> =
            self.shared.posts.take().into_iter().map(|post| (post.settings.name.clone(), post)).collect();
        for settings in channels {
            let post = match before.remove(&settings.name) {
                Some(post) if post.settings == *settings => post,
                earlier => {
                    if let Some(task) = self.tasks.remove(&settings.name) {
                        task.abort();
                    }
                    let left = earlier.map(|post| post.outbox.borrow().keep(now)).unwrap_or_default();
                    let post = Rc::new(Post::new(settings, &self.shared.host, left, now));
                    self.run(Rc::clone(&post));
                    post
                }
            };
            self.shared.posts.borrow_mut().push(post);
        }
        for name in before.into_keys() {
            if let Some(task) = self.tasks.remove(&name) {
                task.abort();
            }
        }
        self.shared.touch();
    }

    fn run(&mut self, post: Rc<Post>) {
        let (shared, name) = (Rc::clone(&self.shared), post.settings.name.clone());
        self.tasks.insert(name, self.set.spawn_local(async move { shared.run(&post).await }));
    }

    /// Hands the notices to the channels that take them, and keeps the desk as it is after them. Never waits.
    pub fn send(&self, notices: &[Notice], desk: Kept) {
        let shared = &self.shared;
        let now = (shared.clock)();
        for notice in notices {
            channels::log::tell(notice);
            let message = notice.message(&shared.zone.borrow(), &shared.host);
            for post in shared.posts.borrow().iter().filter(|post| channels::takes(&post.settings, &message)) {
                if let Some(lost) = post.outbox.borrow_mut().put(now, message.clone()) {
                    shared.give_up(post, &lost, "too many alerts wait for it");
                }
                post.filled.notify_one();
            }
        }
        shared.desk.replace(desk);
        shared.touch();
    }

    /// Whether every channel still has its task.
    pub fn is_whole(&mut self) -> bool {
        while self.set.try_join_next().is_some() {}
        !self.tasks.values().chain(&self.keeper).any(AbortHandle::is_finished)
    }

    /// How each channel does.
    #[must_use]
    pub fn channels(&self) -> Vec<ChannelStatus> {
        let status = |post: &Post| {
            let outbox = post.outbox.borrow();
            ChannelStatus {
                name: post.settings.name.clone(),
                kind: post.settings.kind.name(),
                waiting: outbox.len(),
                sent: post.sent.get(),
                given_up: post.given_up.get(),
                last_failure: outbox.last_failure().map(str::to_owned),
            }
        };
        self.shared.posts.borrow().iter().map(|post| status(post)).collect()
    }

    /// Waits a moment for what is being sent or written; what is not sent then stays in the spool.
    pub async fn finish(&self) {
        let shared = &self.shared;
        let is_done = || shared.is_settled() && !shared.posts.borrow().iter().any(|post| post.busy.get());
        let done = async {
            while !is_done() {
                shared.settled.notified().await;
            }
        };
        // Whoever ends the daemon waits for it.
        let _ = timeout(FAREWELL, done).await;
    }
}

impl Post {
    /// A channel with what an earlier one of its name has not sent.
    fn new(settings: &Channel, host: &str, left: Vec<KeptLetter>, now: Now) -> Self {
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

impl Shared {
    async fn run(&self, post: &Post) {
        loop {
            let now = (self.clock)();
            let Some(message) = post.outbox.borrow_mut().due(now) else {
                let wake_at = post.outbox.borrow().wake_at();
                let pause = wake_at.map_or(LONGEST_SLEEP, |at| at.saturating_sub(now.mono));
                tokio::select! {
                    () = post.filled.notified() => {}
                    () = sleep(pause) => {}
                }
                continue;
            };
            post.busy.set(true);
            // A disk that hangs keeps no alert back.
            let _ = timeout(KEPT_WITHIN, self.settle()).await;
            let outcome = post.sender.deliver(&message).await;
            let verdict = post.outbox.borrow_mut().done((self.clock)(), &message, &outcome);
            post.busy.set(false);
            self.touch();
            self.tell(post, &message, outcome, &verdict);
        }
    }

    /// Keeps what is to be kept, each time it changes. The loop never waits for the disk.
    async fn keep(&self) {
        let mut last_fault = String::new();
        loop {
            while self.is_settled() {
                if last_fault.is_empty() {
                    self.changed.notified().await;
                } else if timeout(KEPT_AGAIN_AFTER, self.changed.notified()).await.is_err() {
                    break;
                }
            }
            let upto = self.changes.get();
            let (spool, state) = (self.spool.clone(), self.state());
            let saved = tokio::task::spawn_blocking(move || spool.save(&state)).await;
            let fault = match saved {
                Ok(Ok(())) => String::new(),
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            if !fault.is_empty() && fault != last_fault {
                warn!(
                    event = event::ALERT_SPOOL,
                    fault, "alerts cannot be kept on disk, so a restart may repeat or lose one: {fault}"
                );
            }
            last_fault = fault;
            self.kept.set(upto);
            self.settled.notify_waiters();
        }
    }

    fn state(&self) -> State {
        let now = (self.clock)();
        let posts = self.posts.borrow();
        let kept = posts.iter().map(|post| (post.settings.name.clone(), post.outbox.borrow().keep(now)));
        let channels = kept.filter(|(_, letters)| !letters.is_empty()).collect();
        State { desk: self.desk.borrow().clone(), channels }
    }

    fn touch(&self) {
        self.changes.set(self.changes.get() + 1);
        if !self.spool.keeps() {
            self.kept.set(self.changes.get());
        }
        self.changed.notify_one();
        self.settled.notify_waiters();
    }

    fn is_settled(&self) -> bool {
        self.kept.get() >= self.changes.get()
    }

    /// Waits until all that is so at the moment is kept.
    async fn settle(&self) {
        let upto = self.changes.get();
        while self.kept.get() < upto {
            self.settled.notified().await;
        }
    }

    fn tell(&self, post: &Post, message: &Message, outcome: Outcome, verdict: &Verdict) {
        let channel = &post.settings.name;
        let (gateway, code, phase) = (message.gateway.as_deref(), &message.code, message.phase.name());
        match (outcome, verdict) {
            (Outcome::Sent { answer, except }, Verdict::Sent { tries }) => {
                post.sent.set(post.sent.get() + 1);
                info!(
                    event = event::ALERT_SENT,
                    channel, gateway, code, phase, tries, answer, "channel {channel}: told"
                );
                match except {
                    Some(why) => self.give_up(post, message, &why),
                    None => self.hear(Heard::Delivered { channel: channel.clone() }),
                }
            }
            (Outcome::TryAgain { why: fault, .. }, Verdict::Waits { pause, is_news }) => {
                let pause = humane(*pause);
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
                            "channel {channel}: not told yet, next try in {pause}: {fault}",
                        )
                    };
                }
                if *is_news { delayed!(warn) } else { delayed!(debug) }
            }
            (Outcome::Refused { why } | Outcome::TryAgain { why, .. }, _) => self.give_up(post, message, &why),
            (Outcome::Sent { .. }, Verdict::Waits { .. } | Verdict::GivenUp) => {}
        }
    }

    fn give_up(&self, post: &Post, message: &Message, fault: &str) {
        let channel = &post.settings.name;
        let (gateway, code, phase) = (message.gateway.as_deref(), &message.code, message.phase.name());
        post.given_up.set(post.given_up.get() + 1);
        error!(
            event = event::ALERT_GIVEN_UP,
            channel, gateway, code, phase, fault, "channel {channel}: an alert is given up: {fault}"
        );
        self.hear(Heard::Undeliverable { channel: channel.clone(), why: fault.to_owned() });
    }

    fn hear(&self, heard: Heard) {
        // Nobody listens any more when the daemon ends.
        drop(self.heard.send(heard));
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("host", &self.host)
            .field("channels", &self.posts.borrow().len())
            .finish_non_exhaustive()
    }
}

/// How long a message waits for the disk.
const KEPT_WITHIN: Duration = Duration::from_secs(2);
/// How long what the disk did not take waits for another attempt, where nothing new comes before.
const KEPT_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// How long the daemon's end waits for what is under way.
const FAREWELL: Duration = Duration::from_secs(1);
const LONGEST_SLEEP: Duration = Duration::from_hours(24);
