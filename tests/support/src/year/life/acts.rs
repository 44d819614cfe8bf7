//! What the strategy does, and what comes of it.

use std::cmp::Reverse;
use std::time::Duration;

use tickled::alert::Code;
use tickled::session::{HostFailure, backoff};
use tickled::simulator::world::{Answer, Call, Reply, Route, What};

use super::super::almanac::epoch;
use super::super::assumptions::{Key, fixed};
use super::super::owner;
use super::super::strategies::{Act, Input, Outcome};
use super::super::tally::Wait;
use super::{Flight, Later, Life, Undelivered};

impl Life {
    pub(super) fn landing(&mut self) -> Option<Flight> {
        let due = self.flights.iter().position(|flight| flight.due() <= self.at)?;
        Some(self.flights.swap_remove(due))
    }

    pub(super) fn lands(&mut self, tag: u64, mut outcome: Outcome, is_login: bool) {
        if let Outcome::Answer(Answer::Validate(validate)) = &mut outcome {
            // The world does not know of the time that was skipped.
            let at = epoch() + self.logged_in_at;
            validate.auth_time_ms = u64::try_from(at.as_millisecond()).unwrap_or_default();
        }
        if outcome == Outcome::Answer(Answer::TooManyRequests) {
            self.penalty_until = self.at + PENALTY;
        }
        if is_login {
            if outcome == Outcome::Answer(Answer::LoginSucceeds) {
                self.tally.logins += 1;
                self.logged_in_at = self.at;
                self.waits_for = Wait::FreshLogin;
            } else if self.chance.is(self.assumptions.get(Key::Typed)) {
                let locks = self.chance.is(self.assumptions.get(Key::Locks));
                if locks {
                    self.tally.locks += 1;
                    self.locked_until = self.at + fixed::LOCKED_FOR;
                }
                outcome = Outcome::PasswordRefused;
            }
        }
        self.step(Input::Answer(tag, outcome));
    }

    /// Has the strategy see something, and does what it wants.
    pub(super) fn step(&mut self, input: Input) {
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
            Act::Call(name) => self.call(name, true),
            Act::Repeat(name) => self.call(name, false),
            Act::Message(name) => {
                self.undelivered.retain(|call| call.name != name);
                self.tally.messages += 1;
            }
            Act::OpenStream(session) => self.open_stream(session.as_deref()),
            Act::CloseStream => self.close_stream(),
            Act::RestartGateway => {
                self.tell(|| "the strategy restarts the gateway".to_owned());
                self.restart(fixed::STRATEGY_RESTART);
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

    pub(super) fn close_stream(&mut self) {
        if let Some((id, _, _)) = self.stream.take() {
            self.world.close_stream(id);
        }
    }

    /// A call to the owner, or a repeated one. Without a network it is tried again with the pauses of the alert outbox.
    pub(super) fn call(&mut self, name: &'static str, is_new: bool) {
        let earlier = self.undelivered.iter().position(|call| call.name == name);
        let earlier = earlier.map(|nth| self.undelivered.swap_remove(nth));
        let is_new = is_new || earlier.is_some_and(|call| call.is_new);
        if !self.has_network {
            let tries = earlier.map_or(0, |call| call.tries) + 1;
            self.undelivered.push(Undelivered { name, is_new, tries });
            let pause = backoff(tries, Duration::from_secs(5), Duration::from_secs(600));
            self.agenda.push(Reverse((self.at + pause, Later::CallAgain(name))));
            return;
        }
        let truth = self.truth;
        let is_needed = self.need.is_some()
            || !truth.login
            || !truth.logged_in_here
            || truth.held_elsewhere
            // The owner has asked for it.
            || (name == Code::NotReady.name() && !truth.live);
        self.tell(|| format!("call, needed: {is_needed}, new: {is_new}"));
        if is_new && !is_needed {
            self.tally.needless += 1;
        }
        if let Some(need) = self.need.as_mut().filter(|need| !need.is_called) {
            need.is_called = true;
            self.tally.needed += 1;
            self.tally.late.push(self.at - need.since);
        }
        if self.almanac.sleeps_until(self.at).is_some_and(|wakes| wakes > self.at + fixed::NEARLY_AWAKE) {
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

/// How long IBKR answers 429 after too many requests in a second, at most.
const PENALTY: Duration = Duration::from_secs(15 * 60);
