//! One year of one strategy, in simulated time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use jiff::SignedDuration;
use tickled::session::{HostFailure, Now};
use tickled::simulator::world::{
    Answer, Call, Control, Frame, Options, Reply, RequestId, Route, StreamId, Truth, What, World,
};

use super::Run;
use super::almanac::{Almanac, Event, epoch};
use super::assumptions::{Assumptions, Key};
use super::draw::Draw;
use super::owner;
use super::strategies::{Act, Input, Name, Outcome, Strategy};
use super::tally::Tally;

mod events;

pub(super) struct Life {
    seed: u64,
    assumptions: Assumptions,
    in_full: bool,
    almanac: Almanac,
    /// The next event of the almanac.
    event: usize,
    end: Duration,
    /// What the strategy and the owner have caused.
    agenda: BinaryHeap<Reverse<(Duration, Later)>>,
    world: World,
    strategy: Box<dyn Strategy>,
    acts: Vec<Act>,
    flights: Vec<Flight>,
    stream: Option<(StreamId, bool, Duration)>,
    at: Duration,
    /// How much of the time the world has not seen.
    skipped: Duration,
    /// How far the wall clock is off.
    off: SignedDuration,
    /// The truth since the last step.
    truth: Truth,
    /// When the strategy was first woken since the truth changed, and how many requests had been sent by then.
    calm: Option<(Duration, f64)>,
    trading: usize,
    host_up: bool,
    is_silent: bool,
    is_failing: Option<u16>,
    has_network: bool,
    /// IBKR does not answer the gateway, for one of these reasons.
    is_away: bool,
    /// The owner uses another program, since so many evictions.
    trades_since: Option<u32>,
    need: Option<Need>,
    not_live_since: Duration,
    logged_in_at: Duration,
    locked_until: Duration,
    /// The owner is on the way.
    is_coming: bool,
    /// Calls that wait for the network.
    undelivered: Vec<bool>,
    chance: Draw,
    tally: Tally,
    pub(super) story: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Later {
    OwnerComes,
    OwnerLogsIn,
}

/// A problem that only a human can solve.
struct Need {
    since: Duration,
    is_called: bool,
}

struct Flight {
    tag: u64,
    awaits: Option<RequestId>,
    lands: Option<(Duration, Outcome)>,
    gives_up: Duration,
    is_login: bool,
}

impl Life {
    pub(super) fn new(seed: u64, run: &Run, name: Name) -> Self {
        let assumptions = run.assumptions.clone();
        let almanac = Almanac::of(seed, run.days, &assumptions);
        let latency = Duration::from_secs_f64(assumptions.get(Key::Latency) / 1000.0);
        let options = Options {
            epoch_ms: u64::try_from(epoch().as_millisecond()).unwrap(),
            seed,
            latency,
            login_lasts: None,
            ..Options::default()
        };
        let mut world = World::new(&options);
        world.set(Duration::ZERO, Control::LogIn);
        let strategy = name.strategy(seed, almanac.region);
        let truth = world.truth();
        Self {
            seed,
            assumptions,
            in_full: run.in_full,
            event: 0,
            end: Duration::from_secs(run.days as u64 * 86_400),
            agenda: BinaryHeap::new(),
            world,
            strategy,
            acts: Vec::new(),
            flights: Vec::new(),
            stream: None,
            at: Duration::ZERO,
            skipped: Duration::ZERO,
            off: SignedDuration::ZERO,
            truth,
            calm: None,
            trading: 0,
            host_up: true,
            is_silent: false,
            is_failing: None,
            has_network: true,
            is_away: false,
            trades_since: None,
            need: None,
            not_live_since: Duration::ZERO,
            logged_in_at: Duration::ZERO,
            locked_until: Duration::ZERO,
            is_coming: false,
            undelivered: Vec::new(),
            chance: Draw::new(seed, 1 << 30),
            tally: Tally { days: f64::from(run.days), ..Tally::default() },
            almanac,
            story: None,
        }
    }

    pub(super) fn live(mut self) -> Tally {
        self.go();
        self.tally
    }

    pub(super) fn go(&mut self) {
        self.step(Input::Start);
        while self.at < self.end {
            self.skip();
            let next = self.next().min(self.end);
            self.advance(next);
            if self.at >= self.end {
                break;
            }
            self.deliver();
            if self.event < self.almanac.events.len() && self.almanac.events[self.event].0 <= self.at {
                let event = self.almanac.events[self.event].1;
                self.event += 1;
                self.happens(event);
            } else if self.agenda.peek().is_some_and(|Reverse((at, _))| *at <= self.at) {
                let Some(Reverse((_, later))) = self.agenda.pop() else { continue };
                match later {
                    Later::OwnerComes => {
                        self.is_coming = false;
                        self.owner_comes(true);
                    }
                    Later::OwnerLogsIn => self.owner_logs_in(),
                }
            } else if let Some(flight) = self.landing() {
                let outcome = match flight.lands {
                    Some((at, outcome)) if at <= self.at => outcome,
                    _ => Outcome::Timeout,
                };
                self.lands(flight.tag, outcome, flight.is_login);
            } else if self.host_up && self.strategy.wake_at() <= self.at {
                self.calm.get_or_insert((self.at, self.world.load().from_clients as f64));
                self.step(Input::Wake);
            }
            self.look();
        }
        let load = self.world.load();
        self.tally.requests += load.from_clients as f64;
        self.tally.busiest = load.busiest_second;
        self.tally.in_penalty = load.refused;
        self.tally.evictions = u64::from(self.truth.evictions);
    }

    fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            let wall = self.almanac.zone.to_datetime(epoch() + self.at);
            story.push(format!("{} {}", wall.strftime("%a %m-%d %H:%M:%S%.3f"), line()));
        }
    }

    fn now(&self) -> Now {
        let wall = epoch() + self.at;
        Now { mono: self.at, wall: wall.saturating_add(self.off).unwrap_or(wall) }
    }

    fn next(&self) -> Duration {
        let event = self.almanac.events.get(self.event).map(|(at, _)| *at);
        let later = self.agenda.peek().map(|Reverse((at, _))| *at);
        let world = self.world.next_event().map(|at| at + self.skipped);
        let wake = self.host_up.then(|| self.strategy.wake_at());
        let flight = self.flights.iter().map(Flight::due).min();
        let silent = self.stream.map(|(_, _, heard)| heard + STREAM_SILENT + self.skipped);
        let next = [event, later, world, wake, flight, silent].into_iter().flatten().min().unwrap_or(self.end);
        next.max(self.at)
    }

    /// Leaves out the middle of a long quiet stretch. Only its requests are counted, at the rate of its beginning.
    fn skip(&mut self) {
        let Some((since, requests)) = self.calm else { return };
        let wakes = self.strategy.wake_at();
        let settled = self.strategy.period() * 3 + SETTLED;
        let is_quiet = !self.in_full
            && wakes >= since + settled
            && self.next() == wakes
            && self.flights.is_empty()
            && self.host_up
            && self.truth.reachable
            && self.truth.listening
            && !self.truth.wedged
            && !self.truth.held_elsewhere
            && (self.truth.live || self.need.is_some())
            && self.strategy.is_settled(self.now());
        if !is_quiet {
            return;
        }
        let event = self.almanac.events[self.event..]
            .iter()
            .find(|(_, event)| !matches!(event, Event::Looks) || !self.truth.live);
        let later = self.agenda.peek().map(|Reverse((at, _))| *at);
        let next = event.map(|(at, _)| *at).into_iter().chain(later).chain([self.end, self.strategy.alarm()]).min();
        // The phase in which the strategy meets the next event must not depend on the skip.
        let lead = self.strategy.period().mul_f64(self.chance.between(1.0, 2.0)) + Duration::from_secs(1);
        let Some(to) = next.and_then(|next| next.checked_sub(lead)).filter(|to| *to > self.at + SHORTEST_SKIP) else {
            return;
        };
        let gap = to - self.at;
        let sent = self.world.load().from_clients as f64 - requests;
        self.tally.requests += sent * gap.as_secs_f64() / (wakes - since).as_secs_f64();
        self.lose(self.at, to);
        self.at = to;
        self.skipped += gap - SHORTEST_SKIP;
        while self.almanac.events.get(self.event).is_some_and(|(at, _)| *at < to) {
            self.event += 1;
        }
    }

    /// Lets the world go on to `to`.
    fn advance(&mut self, to: Duration) {
        self.lose(self.at, to);
        self.at = to;
        self.world.advance(to - self.skipped);
    }

    /// Counts a time without a session.
    fn lose(&mut self, from: Duration, to: Duration) {
        // A session that the owner uses elsewhere is not lost.
        if (self.truth.live && self.host_up) || self.trades_since.is_some() {
            return;
        }
        self.tally.lost += to - from;
        let trading = &self.almanac.trading;
        while trading.get(self.trading).is_some_and(|(_, closes)| *closes <= from) {
            self.trading += 1;
        }
        for (opens, closes) in trading[self.trading.min(trading.len())..].iter().take_while(|(opens, _)| *opens < to) {
            self.tally.lost_trading += (*closes).min(to).saturating_sub((*opens).max(from));
        }
    }

    /// Handles the events of the world.
    fn deliver(&mut self) {
        for late in self.world.late_answers() {
            let at = late.at + self.skipped;
            if let Some(flight) = self.flights.iter_mut().find(|flight| flight.awaits == Some(late.id)) {
                flight.lands = Some((at.max(self.at), Outcome::of(late.what)));
            }
        }
        let here = self.at - self.skipped;
        let Some((id, mut ready, mut heard)) = self.stream else {
            drop(self.world.pushes());
            return;
        };
        let mut inputs = Vec::new();
        for push in self.world.pushes().into_iter().filter(|push| push.stream == id) {
            let input = match push.frame {
                Frame::Ready { .. } => Some(Input::Ready),
                Frame::Sts { flags, .. } => ready.then_some(Input::Flags(flags)),
                Frame::Heartbeat { .. } => ready.then_some(Input::Heartbeat),
                Frame::Close(_) => Some(Input::StreamDown),
                Frame::Waiting | Frame::Tic { .. } | Frame::Act { .. } | Frame::Data(_) => None,
            };
            ready |= input == Some(Input::Ready);
            if input.is_some() {
                heard = here;
                inputs.extend(input);
            }
        }
        self.stream = Some((id, ready, heard));
        if here >= heard + STREAM_SILENT {
            inputs.push(Input::StreamDown);
        }
        for input in inputs {
            if input == Input::StreamDown {
                self.close_stream();
            }
            self.step(input);
        }
    }

    fn landing(&mut self) -> Option<Flight> {
        let due = self.flights.iter().position(|flight| flight.due() <= self.at)?;
        Some(self.flights.swap_remove(due))
    }

    fn lands(&mut self, tag: u64, mut outcome: Outcome, is_login: bool) {
        if let Outcome::Answer(Answer::Validate(validate)) = &mut outcome {
            // The world does not know of the time that was skipped.
            let at = epoch() + self.logged_in_at;
            validate.auth_time_ms = u64::try_from(at.as_millisecond()).unwrap_or_default();
        }
        if is_login {
            if outcome == Outcome::Answer(Answer::LoginSucceeds) {
                self.tally.logins += 1;
                self.logged_in_at = self.at;
            } else if self.chance.is(self.assumptions.get(Key::Typed)) {
                let locks = self.chance.is(self.assumptions.get(Key::Locks));
                if locks {
                    self.tally.locks += 1;
                    self.locked_until = self.at + Duration::from_secs(86_400);
                }
                outcome = Outcome::PasswordRefused;
            }
        }
        self.step(Input::Answer(tag, outcome));
    }

    /// Has the strategy see something, and does what it wants.
    fn step(&mut self, input: Input) {
        if !self.host_up {
            return;
        }
        let mut acts = std::mem::take(&mut self.acts);
        self.strategy.step(self.now(), input, &mut acts);
        for act in acts.drain(..) {
            self.act(act);
        }
        self.acts = acts;
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Send { tag, call, within } => self.send(tag, &call, within),
            Act::HangUp { tag } => self.flights.retain(|flight| flight.tag != tag),
            Act::Handshake { tag } => {
                let (after, host) = match (self.has_network, self.is_silent) {
                    (false, _) => (0, Err(HostFailure::NoWay)),
                    (true, true) => (5, Err(HostFailure::NoAnswer)),
                    (true, false) => (0, Ok(())),
                };
                self.comes(tag, Duration::from_secs(after), Outcome::Host(host));
            }
            Act::ProbeWebsocket { tag } => {
                // What it leaves behind at the gateway is left out: no other websocket is opened there.
                let truth = self.world.truth();
                let after = Duration::from_secs(if truth.listening && !truth.reachable { 10 } else { 0 });
                self.comes(tag, after, Outcome::Websocket(truth.listening.then_some(truth.reachable)));
            }
            Act::Call => self.call(true),
            Act::Repeat => self.call(false),
            Act::Message => self.tally.messages += 1,
            Act::OpenStream(session) => self.open_stream(session.as_deref()),
            Act::CloseStream => self.close_stream(),
            Act::RestartGateway => {
                self.tell(|| "the strategy restarts the gateway".to_owned());
                self.restart(Duration::from_secs(20));
            }
            Act::Note(line) => self.tell(|| line),
        }
    }

    fn send(&mut self, tag: u64, call: &Call, within: Option<Duration>) {
        let is_login = call.route == Route::Dispatcher;
        let here = self.at - self.skipped;
        let Reply { after, what, awaits } = if is_login && self.at < self.locked_until {
            Reply { after: Duration::from_secs(1), what: What::Answer(Answer::Trouble(403)), awaits: None }
        } else {
            self.world.handle(here, call)
        };
        self.tell(|| format!("  {:?} -> {what:?}", call.route));
        let lands = match what {
            What::Hang | What::Drip(_) => None,
            other => Some((self.at + after, Outcome::of(other))),
        };
        let gives_up = within.map_or(Duration::MAX, |within| self.at + within);
        self.flights.push(Flight { tag, awaits, lands, gives_up, is_login });
    }

    /// Something that is no request to the gateway comes of an act.
    fn comes(&mut self, tag: u64, after: Duration, outcome: Outcome) {
        let lands = Some((self.at + after + Duration::from_millis(30), outcome));
        self.flights.push(Flight { tag, awaits: None, lands, gives_up: Duration::MAX, is_login: false });
    }

    fn open_stream(&mut self, session: Option<&str>) {
        let here = self.at - self.skipped;
        self.close_stream();
        let reply = self.world.handle(here, &Call::get(Route::Stream));
        if reply.what == What::Answer(Answer::Upgrade) {
            let id = self.world.open_stream(here, session);
            self.stream = Some((id, false, here));
        } else {
            self.step(Input::StreamDown);
        }
    }

    fn close_stream(&mut self) {
        if let Some((id, _, _)) = self.stream.take() {
            self.world.close_stream(id);
        }
    }

    /// A call to the owner, or a repeated one.
    fn call(&mut self, is_new: bool) {
        if !self.has_network {
            self.undelivered.push(is_new);
            return;
        }
        let truth = self.truth;
        let is_needed = self.need.is_some() || !truth.login || !truth.logged_in_here || truth.held_elsewhere;
        self.tell(|| format!("call, needed: {is_needed}, new: {is_new}"));
        if is_new && !is_needed {
            self.tally.needless += 1;
        }
        if let Some(need) = self.need.as_mut().filter(|need| !need.is_called) {
            need.is_called = true;
            self.tally.needed += 1;
            self.tally.late.push(self.at - need.since);
        }
        if self.almanac.sleeps_until(self.at).is_some() {
            self.tally.at_night += 1;
        }
        if !self.is_coming {
            self.is_coming = true;
            let past = &self.almanac.events[..self.event];
            let cause = past.iter().rposition(|(_, event)| event.needs_a_human()).unwrap_or_default() as u64;
            let comes = owner::comes_at(&self.almanac, &self.assumptions, self.seed, cause, self.at);
            self.agenda.push(Reverse((comes, Later::OwnerComes)));
        }
    }
}

impl Flight {
    fn due(&self) -> Duration {
        self.lands.as_ref().map_or(self.gives_up, |(at, _)| self.gives_up.min(*at))
    }
}

/// How long a stream may be silent.
const STREAM_SILENT: Duration = Duration::from_secs(30);
/// How long nothing must have happened before a quiet stretch is shortened.
const SETTLED: Duration = Duration::from_secs(180);
/// The shortest stretch that is left out; as much is left, so that what comes after it is not taken for the same
/// minute.
const SHORTEST_SKIP: Duration = Duration::from_secs(61);
