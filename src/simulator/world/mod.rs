//! The pure world: a Client Portal Gateway and IBKR behind it, without clock, network or chance.
//!
//! Time is an argument: every call says how long after the world's beginning it happens. The same calls give the
//! same answers, always. What the gateway does was measured on a real one; what IBKR does is from its documentation
//! and from what others have seen of it. Where neither says enough, the world is the less pleasant of the two.
//!
//! ```
//! use std::time::Duration;
//! use tickled::simulator::world::{Answer, Call, Control, Options, Route, What, World};
//!
//! let mut world = World::new(&Options::default());
//! world.set(Duration::ZERO, Control::LogIn);
//! let reply = world.handle(Duration::from_secs(4), &Call::post(Route::Status));
//! assert!(matches!(reply.what, What::Answer(Answer::Status(flags)) if flags.is_usable()));
//! ```

mod answer;
mod call;
mod control;
mod ibkr;
mod names;
mod pacing;
mod places;
mod process;
mod proxy;
mod render;
mod stream;
#[cfg(test)]
mod tests;
mod trading;
mod traffic;

use std::time::Duration;

use serde::Serialize;

pub use answer::{Answer, AuthStatus, Late, Raw, Reply, RequestId, SessionId, Tickle, Validate, Verdict, What};
pub(in crate::simulator) use call::decode;
pub use call::{Call, Method, Route};
pub use control::{
    Competitor, Control, Does, Established, Limits, LoginFault, Reach, Rule, Shows, Streaming, Times, Unanswered, Who,
};
pub use places::{PLACES, PlaceId, Places};
pub(in crate::simulator) use render::COOKIE;
pub use render::Rendered;
pub use stream::{Frame, Push, StreamId};
pub use traffic::{Arrival, Load};

use ibkr::Ibkr;
use process::Process;
use proxy::Proxied;
use stream::Streams;
use traffic::Traffic;

/// What a world is like from its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Wall time of the beginning, epoch milliseconds.
    pub epoch_ms: u64,
    /// Makes the invented session ids.
    pub seed: u64,
    /// How long IBKR takes to answer.
    pub latency: Duration,
    /// `authDelay` of conf.yaml: how long the gateway waits before it asks for the status (real: 3 s).
    pub auth_delay: Duration,
    /// How long a brokerage session lives without a request ("approximately 6 minutes").
    pub idle_after: Duration,
    /// How long a login lives at most (24 h); `None` for no limit.
    pub login_lasts: Option<Duration>,
    /// How long `competing` stays true after an eviction ("some seconds").
    pub fight_lasts: Duration,
    /// A paper account.
    pub paper: bool,
    /// The rate limits that IBKR enforces.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            epoch_ms: 1_800_000_000_000,
            seed: 0,
            latency: Duration::from_millis(20),
            auth_delay: Duration::from_secs(3),
            idle_after: Duration::from_secs(6 * 60),
            login_lasts: Some(Duration::from_secs(24 * 60 * 60)),
            fight_lasts: Duration::from_secs(2),
            paper: true,
            limits: Limits::Second,
        }
    }
}

/// The true state, whatever the answers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Truth {
    /// Everything holds that a client may call a live session, and it can be reached.
    pub live: bool,
    /// Which process the gateway is, counted from 1.
    pub process: u32,
    /// The gateway's process listens.
    pub listening: bool,
    /// IBKR answers as it should.
    pub reachable: bool,
    /// All of the gateway's connections wait for an answer that does not come: every proxied request hangs.
    pub wedged: bool,
    /// A browser login went through this process.
    pub logged_in_here: bool,
    /// A login stands and is worth something.
    pub login: bool,
    /// Another application holds the login.
    pub borrowed: bool,
    /// The brokerage session is authenticated.
    pub authenticated: bool,
    /// The bridge is up.
    pub connected: bool,
    /// IBKR flags a fight.
    pub competing: bool,
    /// The account data is loaded.
    pub established: bool,
    /// Another client has the brokerage session, flagged or not.
    pub held_elsewhere: bool,
    /// How often another client was evicted from the session.
    pub evictions: u32,
}

/// A gateway and IBKR behind it.
#[derive(Clone, Debug)]
pub struct World {
    now: Duration,
    latency: Duration,
    reach: Reach,
    denied: bool,
    rules: control::Rules,
    ibkr: Ibkr,
    process: Process,
    streams: Streams,
    places: Places<Proxied>,
    traffic: Traffic,
    requests: u64,
    late: Vec<Late>,
}

impl World {
    /// A world at its beginning: the gateway runs, without a login.
    #[must_use]
    pub fn new(options: &Options) -> World {
        World {
            now: Duration::ZERO,
            latency: options.latency,
            reach: Reach::Here,
            denied: false,
            rules: control::Rules::default(),
            ibkr: Ibkr::new(options),
            process: Process::new(options.auth_delay),
            streams: Streams::new(options.epoch_ms),
            places: Places::new(),
            traffic: Traffic::default(),
            requests: 0,
            late: Vec::new(),
        }
    }

    /// Answers a request that arrives at the gateway at `at`. Where IBKR does not answer, or where no connection to it
    /// is free, the reply is [`What::Hang`] and names what [`World::late_answers`] may tell later. A client that hangs
    /// up changes nothing.
    pub fn handle(&mut self, at: Duration, call: &Call) -> Reply {
        self.advance(at);
        let reply = self.route(call);
        self.streams.tell(self.now, &self.ibkr);
        reply
    }

    /// Lets everything happen that happens by itself up to `at`. A time before the last one is taken as the last one.
    pub fn advance(&mut self, at: Duration) {
        while let Some(due) = self.next_event().filter(|due| *due <= at) {
            self.now = self.now.max(due);
            self.ibkr.advance(self.now);
            self.send_waiting();
            if let Some((errand, call)) = self.process.advance(self.now) {
                self.run_errand(errand, call);
            }
            self.streams.tell(self.now, &self.ibkr);
            self.streams.advance(self.now, &self.ibkr);
        }
        self.now = self.now.max(at);
    }

    /// When something happens by itself next. Asking [`World::advance`] earlier, or more often, changes nothing.
    #[must_use]
    pub fn next_event(&self) -> Option<Duration> {
        [self.ibkr.next(), self.process.next(), self.streams.next(), self.places.next()].into_iter().flatten().min()
    }

    /// The true state now.
    #[must_use]
    pub fn truth(&self) -> Truth {
        let listening = self.process.listens_at.is_none();
        let reachable = self.reach == Reach::Here;
        let wedged = self.places.unanswered() == PLACES;
        let ibkr = &self.ibkr;
        let usable = ibkr.authenticated && ibkr.connected && ibkr.established && !ibkr.competing;
        Truth {
            live: listening && reachable && !wedged && !self.denied && usable,
            process: self.process.number,
            listening,
            reachable,
            wedged,
            logged_in_here: self.process.logged_in,
            login: ibkr.good_login().is_some(),
            borrowed: ibkr.is_borrowed(),
            authenticated: ibkr.authenticated,
            connected: ibkr.connected,
            competing: ibkr.competing,
            established: ibkr.established,
            held_elsewhere: ibkr.holder.is_some(),
            evictions: ibkr.evictions,
        }
    }

    /// How much has reached IBKR, and how much is on its way.
    #[must_use]
    pub fn load(&self) -> Load {
        let (busiest_second, busiest_at) = self.traffic.busiest;
        Load {
            places_taken: self.places.taken(self.now),
            unanswered: self.places.unanswered(),
            queue: self.places.waiting(),
            websockets_unanswered: self.streams.handshakes(),
            waiting_of_gateway: self.places.iter().filter(|request| request.is_of_gateway()).count(),
            arrived: self.traffic.total,
            from_clients: self.traffic.from_clients,
            refused: self.traffic.refused,
            busiest_second,
            busiest_at_ms: millis(busiest_at),
        }
    }

    /// The requests that have reached IBKR, oldest first; the last ten thousand.
    #[must_use]
    pub fn arrivals(&self) -> impl DoubleEndedIterator<Item = &Arrival> {
        self.traffic.log()
    }

    /// Where the requests go that the gateway holds: those that IBKR does not answer, and those that wait for a connection.
    pub fn held(&self) -> impl Iterator<Item = (Who, &Route)> {
        self.places.iter().map(Proxied::whose)
    }

    /// Returns, once each, the answers to requests that had to wait, with the time at which they arrive. A request that
    /// IBKR never answers is never among them.
    pub fn late_answers(&mut self) -> Vec<Late> {
        std::mem::take(&mut self.late)
    }

    /// Opens a websocket, after [`Answer::Upgrade`]. `session` is what the client's cookie `api` says, if it sent one:
    /// one that is not the login's, or any while IBKR refuses requests with 429, gets a websocket that never says more
    /// than that it waits.
    pub fn open_stream(&mut self, at: Duration, session: Option<&str>) -> StreamId {
        self.advance(at);
        let ours = self.ibkr.good_login().map(|login| login.session.to_string());
        let known =
            session.is_none_or(|given| ours.is_none_or(|ours| given == ours)) && !self.ibkr.pacing.is_penalty(self.now);
        self.streams.open(self.now, &self.ibkr, known)
    }

    /// A text or binary message of the client on a websocket.
    pub fn hear(&mut self, at: Duration, stream: StreamId, text: &str) {
        self.advance(at);
        self.streams.hear(self.now, stream, text, &self.ibkr);
    }

    /// The client closed a websocket.
    pub fn close_stream(&mut self, stream: StreamId) {
        self.streams.close(stream);
    }

    /// The frames since this was asked last, in the order in which they go out.
    pub fn pushes(&mut self) -> Vec<Push> {
        self.streams.take()
    }

    /// IBKR answers again, if it was silent, or answers in another way.
    fn come_back(&mut self, reach: Reach, unanswered: Unanswered) {
        let was_silent = self.reach == Reach::Away;
        self.reach = reach;
        match unanswered {
            Unanswered::Closed => {
                self.places.close();
                self.streams.close_handshakes();
            }
            Unanswered::Answered => self.answer_late(),
            Unanswered::Kept => {}
        }
        if was_silent {
            self.streams.hear_again(self.now, unanswered == Unanswered::Answered, &self.ibkr);
        }
    }
}

/// Whole milliseconds, as IBKR writes times.
pub(in crate::simulator) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
