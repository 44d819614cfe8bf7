//! The one world of a simulated gateway, the clock that drives it, and a record of its clients.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;

use super::world::{Arrival, Call, Control, Late, Options, Push, Reply, RequestId, StreamId, What, Who, World, millis};

/// What all tasks of a simulated gateway share.
#[derive(Debug)]
pub(super) struct SharedWorld {
    inner: Mutex<Inner>,
    changed: Notify,
    process: watch::Receiver<ProcessState>,
    began: Instant,
}

/// The gateway's process as its connections need to know it: they end with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ProcessState {
    number: u32,
    listening: bool,
}

/// Lets the world's own events happen when they are due. Ends every connection and websocket when it is dropped.
#[derive(Debug)]
pub(super) struct Clock {
    process: watch::Sender<ProcessState>,
}

#[derive(Debug)]
struct Inner {
    world: World,
    received: VecDeque<ReceivedRequest>,
    counts: BTreeMap<String, u64>,
    total: u64,
    connections: u64,
    streams: BTreeMap<StreamId, mpsc::Sender<Push>>,
    waiting: BTreeMap<RequestId, Waiting>,
}

/// A client that waits for a late answer.
#[derive(Debug)]
struct Waiting {
    /// The number of its request.
    number: u64,
    sender: oneshot::Sender<Late>,
}

/// One request of a client.
#[derive(Debug, Serialize)]
struct ReceivedRequest {
    at_ms: u64,
    method: String,
    path: String,
    status: Value,
    connection: u64,
}

impl SharedWorld {
    pub(super) fn new(options: &Options) -> (SharedWorld, Clock) {
        let (sender, process) = watch::channel(ProcessState { number: 1, listening: true });
        let inner = Inner {
            world: World::new(options),
            received: VecDeque::new(),
            counts: BTreeMap::new(),
            total: 0,
            connections: 0,
            streams: BTreeMap::new(),
            waiting: BTreeMap::new(),
        };
        let world = SharedWorld { inner: Mutex::new(inner), changed: Notify::new(), process, began: Instant::now() };
        (world, Clock { process: sender })
    }

    /// How long the world has existed.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// The moment that is `at` since the world began.
    pub(super) fn moment(&self, at: Duration) -> Instant {
        self.began + at
    }

    /// Which process the gateway is.
    pub(super) fn process(&self) -> u32 {
        self.process.borrow().number
    }

    /// Waits until this process of the gateway has ended. What belonged to it ends with it.
    pub(super) async fn ended(&self, number: u32) {
        drop(self.process.clone().wait_for(|process| process.number != number).await);
    }

    /// Waits until a process of the gateway listens. False: none ever will.
    pub(super) async fn listens(&self) -> bool {
        self.process.clone().wait_for(|process| process.listening).await.is_ok()
    }

    /// Counts a new connection and gives its number.
    pub(super) fn count_connection(&self) -> u64 {
        let mut inner = self.lock();
        inner.connections += 1;
        inner.connections
    }

    /// Answers a request of a client, and remembers it. A late answer comes by the receiver, if it ever comes.
    pub(super) fn handle(
        &self,
        call: &Call,
        method: &str,
        path: &str,
        connection: u64,
    ) -> (Reply, Option<oneshot::Receiver<Late>>) {
        let at = self.now();
        let mut inner = self.lock();
        let reply = inner.world.handle(at, call);
        let path: String = path.chars().take(LONGEST_PATH).collect();
        inner.total += 1;
        if inner.counts.len() < MOST_PATHS || inner.counts.contains_key(&path) {
            *inner.counts.entry(path.clone()).or_default() += 1;
        }
        if inner.received.len() == MOST_RECEIVED {
            inner.received.pop_front();
        }
        let method = method.chars().take(LONGEST_PATH).collect();
        inner.received.push_back(ReceivedRequest {
            at_ms: millis(at),
            method,
            path,
            status: outcome(&reply.what),
            connection,
        });
        let late = reply.awaits.map(|id| {
            let (sender, late) = oneshot::channel();
            let number = inner.total;
            inner.waiting.insert(id, Waiting { number, sender });
            late
        });
        drop(inner);
        self.changed.notify_one();
        (reply, late)
    }

    pub(super) fn set(&self, control: Control) {
        self.lock().world.set(self.now(), control);
        self.changed.notify_one();
    }

    pub(super) fn open_stream(&self, session: Option<&str>) -> (StreamId, mpsc::Receiver<Push>) {
        let (sender, receiver) = mpsc::channel(MOST_UNSENT);
        let mut inner = self.lock();
        let id = inner.world.open_stream(self.now(), session);
        inner.streams.insert(id, sender);
        drop(inner);
        self.changed.notify_one();
        (id, receiver)
    }

    pub(super) fn hear(&self, id: StreamId, text: &str) {
        self.lock().world.hear(self.now(), id, text);
        self.changed.notify_one();
    }

    pub(super) fn close_stream(&self, id: StreamId) {
        let mut inner = self.lock();
        inner.streams.remove(&id);
        inner.world.close_stream(id);
    }

    /// The true state, and the counters.
    pub(super) fn world_json(&self) -> Value {
        let at = self.now();
        let mut inner = self.lock();
        inner.world.advance(at);
        json!({
            "at_ms": millis(at),
            "truth": inner.world.truth(),
            "load": inner.world.load(),
            "requests": inner.total,
            "counts": inner.counts,
            "connections": inner.connections,
            "streams": inner.streams.len(),
        })
    }

    /// The requests of the clients, oldest first.
    pub(super) fn requests_json(&self) -> Value {
        json!(self.lock().received)
    }

    /// The requests that reached IBKR, oldest first: all of them, or only those the gateway made by itself.
    pub(super) fn arrivals_json(&self, all: bool) -> Value {
        let at = self.now();
        let mut inner = self.lock();
        inner.world.advance(at);
        inner.world.arrivals().filter(|arrival| all || arrival.who == Who::Gateway).map(arrival_json).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Handles everything that is due, sends what is ready, and returns the time of the next call.
    fn turn(&self, process: &watch::Sender<ProcessState>) -> Option<Duration> {
        let mut inner = self.lock();
        inner.world.advance(self.now());
        for push in inner.world.pushes() {
            let id = push.stream;
            let overrun = inner.streams.get(&id).is_some_and(|stream| stream.try_send(push).is_err());
            if overrun {
                inner.streams.remove(&id);
            }
        }
        for late in inner.world.late_answers() {
            inner.deliver(late);
        }
        inner.waiting.retain(|_, waiting| !waiting.sender.is_closed());
        let truth = inner.world.truth();
        let now = ProcessState { number: truth.process, listening: truth.listening };
        process.send_if_modified(|then| std::mem::replace(then, now) != now);
        inner.world.next_event()
    }
}

impl Inner {
    /// Passes a late answer on to its client, if that has not hung up.
    fn deliver(&mut self, late: Late) {
        let Some(Waiting { number, sender }) = self.waiting.remove(&late.id) else {
            return;
        };
        let age = usize::try_from(self.total.saturating_sub(number)).unwrap_or(usize::MAX);
        let nth = self.received.len().checked_sub(age.saturating_add(1));
        let status = outcome(&late.what);
        if sender.send(late).is_ok()
            && let Some(request) = nth.and_then(|nth| self.received.get_mut(nth))
        {
            request.status = status;
        }
    }
}

impl Clock {
    pub(super) async fn run(self, world: &SharedWorld) -> Infallible {
        loop {
            match world.turn(&self.process) {
                Some(next) => tokio::select! {
                    () = tokio::time::sleep_until(world.moment(next)) => {}
                    () = world.changed.notified() => {}
                },
                None => world.changed.notified().await,
            }
        }
    }
}

fn arrival_json(arrival: &Arrival) -> Value {
    json!({
        "at_ms": millis(arrival.at),
        "who": match arrival.who { Who::Client => "client", Who::Gateway => "gateway" },
        "method": arrival.method.name(),
        "path": arrival.route.path(),
        "status": arrival.status,
    })
}

fn outcome(what: &What) -> Value {
    match what {
        What::Answer(answer) => json!(answer.status()),
        What::Cut(_) => json!("cut"),
        What::Drip(_) => json!("drip"),
        What::Hang => json!("hang"),
        What::Refused => json!("refused"),
        What::Reset => json!("reset"),
    }
}

const MOST_RECEIVED: usize = 100_000;
const MOST_PATHS: usize = 1_000;
const MOST_UNSENT: usize = 256;
const LONGEST_PATH: usize = 200;
