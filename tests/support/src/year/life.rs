//! One year of one strategy, in simulated time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use jiff::SignedDuration;
use tickled::session::Now;
use tickled::simulator::world::{Control, Frame, Options, RequestId, StreamId, Truth, World};

use super::Run;
use super::almanac::{Almanac, Event, epoch};
use super::assumptions::{Assumptions, Key};
use super::draw::Draw;
use super::strategies::{Act, Input, Name, Outcome, Strategy};
use super::tally::{Tally, Wait};

mod acts;
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
    /// What the session waits for once it can be asked for.
    waits_for: Wait,
    logged_in_at: Duration,
    locked_until: Duration,
    /// IBKR answers 429 until then.
    penalty_until: Duration,
    /// When requests of the strategy reached IBKR within the last second.
    second: VecDeque<Duration>,
    /// How many have.
    sent: u64,
    /// The owner is on the way.
    is_coming: bool,
    /// Calls that wait for the network.
    undelivered: Vec<Undelivered>,
    chance: Draw,
    tally: Tally,
    pub(super) story: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Later {
    OwnerComes,
    OwnerLogsIn,
    /// The next try to deliver a call.
    CallAgain(&'static str),
}

/// A call that waits for the network.
#[derive(Clone, Copy)]
struct Undelivered {
    name: &'static str,
    is_new: bool,
    tries: u32,
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
            waits_for: Wait::FreshLogin,
            logged_in_at: Duration::ZERO,
            locked_until: Duration::ZERO,
            penalty_until: Duration::ZERO,
            second: VecDeque::new(),
            sent: 0,
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
                    Later::CallAgain(name) => {
                        if self.undelivered.iter().any(|call| call.name == name) {
                            self.call(name, false);
                        }
                    }
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
            self.count();
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
            && self.at >= self.penalty_until
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

    /// Counts the strategy's requests that have reached IBKR within this last second.
    fn count(&mut self) {
        let sent = self.world.load().from_clients;
        if sent == self.sent {
            return;
        }
        self.second.retain(|then| *then + Duration::from_secs(1) > self.at);
        for _ in self.sent..sent {
            self.second.push_back(self.at);
        }
        self.sent = sent;
        self.tally.busiest_own = self.tally.busiest_own.max(self.second.len());
    }

    /// Counts a time without a session.
    fn lose(&mut self, from: Duration, to: Duration) {
        // A session that the owner uses elsewhere is not lost.
        if (self.truth.live && self.host_up) || self.trades_since.is_some() {
            return;
        }
        self.tally.lost += to - from;
        let truth = &self.truth;
        let wait = if !self.host_up || !truth.reachable || !truth.listening {
            Wait::Away
        } else if !truth.login || !truth.logged_in_here || truth.wedged {
            Wait::Human
        } else {
            self.waits_for
        };
        let trading = &self.almanac.trading;
        while trading.get(self.trading).is_some_and(|(_, closes)| *closes <= from) {
            self.trading += 1;
        }
        for (opens, closes) in trading[self.trading.min(trading.len())..].iter().take_while(|(opens, _)| *opens < to) {
            let lost = (*closes).min(to).saturating_sub((*opens).max(from));
            self.tally.lost_trading += lost;
            self.tally.lost_to[wait as usize] += lost;
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
