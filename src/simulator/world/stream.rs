//! The websockets: what they say, in which order, and when they fall silent.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::answer::AuthStatus;
use super::control::{Streaming, Times};
use super::ibkr::Ibkr;
use super::millis;
use super::trading::Subscriptions;

/// One open websocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// A frame that goes out on a websocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// When, since the world began; never before the call that made it.
    pub at: Duration,
    /// On which websocket.
    pub stream: StreamId,
    /// What.
    pub frame: Frame,
}

/// What a frame says. All of them but the closing go out as binary frames with JSON in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// `waiting for session`: the first one, at once.
    Waiting,
    /// `system` with `success`: the websocket is ready.
    Ready {
        /// The paper user's name.
        paper: bool,
    },
    /// `sts`: the flags, once on connect and again whenever they change.
    Sts {
        /// The flags.
        flags: AuthStatus,
        /// The paper user's name.
        paper: bool,
    },
    /// `system` with `hb`: every 10 s, with or without a brokerage session.
    Heartbeat {
        /// Epoch milliseconds.
        at_ms: u64,
    },
    /// The answer to a `tic`.
    Tic {
        /// Epoch milliseconds.
        at_ms: u64,
    },
    /// `act`: the accounts, once on connect.
    Act {
        /// The paper user's account.
        paper: bool,
    },
    /// Data of a subscription: invented, and marked as such.
    Data(Arc<Value>),
    /// The close frame with this code.
    Close(u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Opened while IBKR is silent, which has not heard of it.
    Handshake {
        /// IBKR will serve it: see [`Streams::open`].
        known: bool,
    },
    /// Waits for a login.
    Waiting,
    /// Will be ready then; drops whatever it is sent until it is.
    Opening { ready_at: Duration },
    /// Serves.
    Ready { heartbeat_at: Duration },
    /// Open and silent: its upstream connection is gone.
    Dead,
}

#[derive(Clone, Debug)]
struct Stream {
    id: StreamId,
    phase: Phase,
    subscriptions: Subscriptions,
}

impl Stream {
    fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready { .. })
    }
}

/// All open websockets.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    open: Vec<Stream>,
    out: VecDeque<Push>,
    reported: AuthStatus,
    mode: Streaming,
    /// IBKR is silent: none of them says anything.
    silent: bool,
    /// The connections on which a handshake waits for IBKR, also those whose client has gone.
    handshakes: usize,
    /// The next subscriptions are refused.
    pub(super) refusing: Times,
    /// When the subscribers get data again.
    data_at: Option<Duration>,
    ids: u64,
    epoch_ms: u64,
}

impl Streams {
    pub(super) fn new(epoch_ms: u64) -> Streams {
        Streams {
            open: Vec::new(),
            out: VecDeque::new(),
            reported: AuthStatus::default(),
            mode: Streaming::Serves,
            silent: false,
            handshakes: 0,
            refusing: Times::NEVER,
            data_at: None,
            ids: 0,
            epoch_ms,
        }
    }

    /// When the next frame falls due by itself.
    pub(super) fn next(&self) -> Option<Duration> {
        if self.silent {
            return None;
        }
        let due = |stream: &Stream| match stream.phase {
            Phase::Opening { ready_at } => Some(ready_at),
            Phase::Ready { heartbeat_at } => Some(heartbeat_at),
            Phase::Handshake { .. } | Phase::Waiting | Phase::Dead => None,
        };
        self.open.iter().filter_map(due).chain(self.data_at).min()
    }

    pub(super) fn advance(&mut self, at: Duration, ibkr: &Ibkr) {
        if self.silent {
            return;
        }
        let mut out = Vec::new();
        for stream in &mut self.open {
            match stream.phase {
                Phase::Opening { ready_at } if ready_at <= at => {
                    stream.phase = Phase::Ready { heartbeat_at: at + HEARTBEAT };
                    let paper = ibkr.is_paper();
                    out.push((stream.id, Frame::Ready { paper }));
                    if ibkr.connected {
                        out.push((stream.id, Frame::Sts { flags: ibkr.flags(), paper }));
                    }
                    if ibkr.view().live {
                        out.push((stream.id, Frame::Act { paper }));
                    }
                }
                Phase::Ready { heartbeat_at } if heartbeat_at <= at => {
                    stream.phase = Phase::Ready { heartbeat_at: heartbeat_at + HEARTBEAT };
                    out.push((stream.id, Frame::Heartbeat { at_ms: self.epoch_ms + millis(at) }));
                }
                Phase::Handshake { .. }
                | Phase::Opening { .. }
                | Phase::Ready { .. }
                | Phase::Waiting
                | Phase::Dead => {}
            }
        }
        if self.data_at.is_some_and(|due| due <= at) {
            for stream in self.open.iter_mut().filter(|stream| stream.is_ready()) {
                let data = stream.subscriptions.tick(ibkr.view(), at);
                out.extend(data.into_iter().map(|data| (stream.id, Frame::Data(Arc::new(data)))));
            }
            self.await_data(at);
        }
        for (stream, frame) in out {
            self.push(at, stream, frame);
        }
    }

    /// `known`: the session id the client gave is that of the login, or it gave none, and no penalty stands.
    pub(super) fn open(&mut self, at: Duration, ibkr: &Ibkr, known: bool) -> StreamId {
        self.ids += 1;
        let id = StreamId(self.ids);
        let wedged = self.is_wedged();
        if self.silent && !wedged {
            self.handshakes += 1;
        }
        let phase = match self.mode {
            // It waits for a connection, behind handshakes that IBKR has never answered.
            _ if wedged && !self.silent => Phase::Dead,
            _ if self.silent => Phase::Handshake { known },
            Streaming::Silent => Phase::Dead,
            Streaming::Closes => {
                self.push(at, id, Frame::Waiting);
                self.push(at, id, Frame::Close(1000));
                return id;
            }
            Streaming::Serves if !known => Phase::Dead,
            Streaming::Serves if ibkr.good_login().is_some() => Phase::Opening { ready_at: at + OPENING },
            Streaming::Serves => Phase::Waiting,
        };
        if self.open.is_empty() {
            self.reported = ibkr.flags();
        }
        self.open.push(Stream { id, phase, subscriptions: Subscriptions::default() });
        if self.mode == Streaming::Serves && !self.silent && !wedged {
            self.push(at, id, Frame::Waiting);
        }
        id
    }

    /// A message of the client: a `tic`, or a subscription. Before `system`/`success` everything is dropped.
    pub(super) fn hear(&mut self, at: Duration, id: StreamId, text: &str, ibkr: &Ibkr) {
        let open = self.open.iter_mut().find(|stream| stream.id == id && stream.is_ready());
        let Some(stream) = open.filter(|_| !self.silent) else {
            return;
        };
        if text == "tic" {
            self.push(at, id, Frame::Tic { at_ms: self.epoch_ms + millis(at) });
            return;
        }
        let subscribes = ["smd+", "sor", "spl"].iter().any(|verb| text.starts_with(verb));
        let refused = subscribes && self.refusing.take();
        let data = stream.subscriptions.hear(text, ibkr.view(), at, refused);
        self.await_data(at);
        if let Some(data) = data {
            self.push(at, id, Frame::Data(Arc::new(data)));
        }
    }

    pub(super) fn close(&mut self, id: StreamId) {
        self.open.retain(|stream| stream.id != id);
        self.out.retain(|push| push.stream != id);
    }

    /// The gateway's process ended, and every connection with it.
    pub(super) fn close_all(&mut self) {
        self.open.clear();
        self.out.clear();
        self.handshakes = 0;
    }

    /// IBKR falls silent, and they with it.
    pub(super) fn go_silent(&mut self) {
        self.silent = true;
    }

    /// IBKR answers again. They go on where it answers what it left unanswered, the handshakes as well; otherwise they
    /// stay open and say nothing more.
    pub(super) fn hear_again(&mut self, at: Duration, go_on: bool, ibkr: &Ibkr) {
        self.silent = false;
        self.data_at = self.data_at.map(|due| due.max(at + DATA_EVERY));
        if !go_on {
            self.end_upstream();
            return;
        }
        self.handshakes = 0;
        let login = ibkr.good_login().is_some();
        let mut waiting = Vec::new();
        for stream in &mut self.open {
            match &mut stream.phase {
                Phase::Ready { heartbeat_at } => *heartbeat_at = (*heartbeat_at).max(at + HEARTBEAT),
                Phase::Opening { ready_at } => *ready_at = (*ready_at).max(at + OPENING),
                Phase::Handshake { known } => {
                    waiting.push(stream.id);
                    stream.phase = match (*known, login) {
                        (false, _) => Phase::Dead,
                        (true, true) => Phase::Opening { ready_at: at + OPENING },
                        (true, false) => Phase::Waiting,
                    };
                }
                Phase::Waiting | Phase::Dead => {}
            }
        }
        for id in waiting {
            self.push(at, id, Frame::Waiting);
        }
    }

    /// IBKR or the network closes the connections on which a handshake waits.
    pub(super) fn close_handshakes(&mut self) {
        self.handshakes = 0;
        for stream in &mut self.open {
            if matches!(stream.phase, Phase::Handshake { .. }) {
                stream.phase = Phase::Dead;
            }
        }
    }

    /// No connection is left for another handshake.
    pub(super) fn is_wedged(&self) -> bool {
        self.handshakes == CONNECTIONS
    }

    /// How many connections have a handshake that IBKR has not answered.
    pub(super) fn handshakes(&self) -> usize {
        self.handshakes
    }

    /// What they hung on upstream is gone: they stay open and say nothing more.
    fn end_upstream(&mut self) {
        for stream in &mut self.open {
            stream.phase = Phase::Dead;
        }
    }

    pub(super) fn set_mode(&mut self, at: Duration, mode: Streaming) {
        self.mode = mode;
        match mode {
            Streaming::Serves => {}
            Streaming::Silent => self.end_upstream(),
            Streaming::Closes => {
                for stream in std::mem::take(&mut self.open) {
                    self.push(at, stream.id, Frame::Close(1000));
                }
            }
        }
    }

    /// Tells every listener about flags that changed, and wakes those that waited for a login.
    pub(super) fn tell(&mut self, at: Duration, ibkr: &Ibkr) {
        if self.open.is_empty() || self.silent {
            return;
        }
        let login = ibkr.good_login().is_some();
        let flags = ibkr.flags();
        let changed = flags != self.reported;
        self.reported = flags;
        let mut ready = Vec::new();
        let mut data = Vec::new();
        for stream in &mut self.open {
            if stream.is_ready()
                && let Some(changed) = stream.subscriptions.changed(ibkr.view())
            {
                data.push((stream.id, changed));
            }
            match stream.phase {
                Phase::Waiting if login => stream.phase = Phase::Opening { ready_at: at + OPENING },
                Phase::Opening { .. } if !login => stream.phase = Phase::Waiting,
                Phase::Ready { .. } => {
                    if changed {
                        ready.push(stream.id);
                    }
                    if !login {
                        stream.phase = Phase::Dead;
                    }
                }
                Phase::Handshake { .. } | Phase::Waiting | Phase::Opening { .. } | Phase::Dead => {}
            }
        }
        for id in ready {
            self.push(at + TELLING, id, Frame::Sts { flags, paper: ibkr.is_paper() });
        }
        for (id, changed) in data {
            self.push(at + TELLING, id, Frame::Data(Arc::new(changed)));
        }
    }

    pub(super) fn take(&mut self) -> Vec<Push> {
        self.out.drain(..).collect()
    }

    /// Schedules the data of the next second while there is a subscription.
    fn await_data(&mut self, at: Duration) {
        let wanted = self.open.iter().any(|stream| !stream.subscriptions.is_empty());
        let due = self.data_at.filter(|due| *due > at).unwrap_or(at + DATA_EVERY);
        self.data_at = wanted.then_some(due);
    }

    fn push(&mut self, at: Duration, stream: StreamId, frame: Frame) {
        if self.out.len() == MOST_UNSENT {
            self.out.pop_front();
        }
        self.out.push_back(Push { at, stream, frame });
    }
}

const OPENING: Duration = Duration::from_millis(50);
const TELLING: Duration = Duration::from_millis(10);
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How many connections to IBKR the gateway has for websockets whose handshake is not answered.
const CONNECTIONS: usize = 5;
const DATA_EVERY: Duration = Duration::from_secs(1);
const MOST_UNSENT: usize = 4096;
