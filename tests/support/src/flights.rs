//! The requests under way, as a driver keeps them, in simulated time.

use std::time::Duration;

use tickled::session::{HostFailure, Input, Plan, Request};
use tickled::simulator::world::{Late, RequestId, What, World};

use crate::port::{self, Outcome};
use crate::{Said, said};

/// The requests under way.
#[derive(Debug, Default)]
pub struct Flights {
    under_way: Vec<Flight>,
    process: u32,
    /// This host has no way to IBKR's host.
    pub has_no_way: bool,
}

#[derive(Debug)]
struct Flight {
    request: Request,
    /// When it ends, if that is known, and with which answer; none if its connection breaks.
    lands: Option<(Duration, Option<Said>)>,
    id: Option<RequestId>,
}

impl Flights {
    /// Carries out a plan, except for the request to send.
    pub fn keep(&mut self, plan: &Plan) {
        if plan.request.is_some_and(|request| !request.is_proxied()) || !plan.awaiting {
            self.under_way.retain(|flight| flight.request.is_proxied());
        }
        let new = usize::from(plan.request.is_some_and(Request::is_proxied));
        let mut excess = (self.standing() + new).saturating_sub(plan.standing);
        self.under_way.retain(|flight| {
            let is_dropped = excess > 0 && flight.request.is_proxied();
            excess -= usize::from(is_dropped);
            !is_dropped
        });
    }

    /// Sends a request.
    pub fn send(&mut self, world: &mut World, at: Duration, request: Request) {
        self.process = world.truth().process;
        if request == Request::HandshakeIbkr && self.has_no_way {
            let lands = Some((at + Duration::from_millis(5), Some(Said::Host(Err(HostFailure::NoWay)))));
            self.under_way.push(Flight { request, lands, id: None });
            return;
        }
        let (lands, id) = match port::send(world, at, request) {
            Outcome::Answered(after, said) => (Some((at + after, Some(said))), None),
            Outcome::Broken(after) => (Some((at + after, None)), None),
            Outcome::Stands(id) => (None, id),
        };
        self.under_way.push(Flight { request, lands, id });
    }

    /// Handles what happened to the world up to `at`. Returns the late answers to the requests of others.
    pub fn update(&mut self, world: &mut World, at: Duration) -> Vec<Late> {
        let mut others = world.late_answers();
        others.retain(|late| {
            let Some(flight) = self.under_way.iter_mut().find(|flight| flight.id == Some(late.id)) else { return true };
            if let What::Answer(answer) = &late.what {
                flight.lands = Some((late.at, Some(port::quickly(flight.request, answer))));
            }
            false
        });
        let process = world.truth().process;
        if process != self.process {
            self.process = process;
            for flight in self.under_way.iter_mut().filter(|flight| flight.request.is_proxied()) {
                flight.lands.get_or_insert((at, None));
            }
        }
        others
    }

    /// When the next one ends, or may.
    #[must_use]
    pub fn next(&self, world: &World) -> Duration {
        let lands = self.under_way.iter().filter_map(|flight| flight.lands).map(|(at, _)| at).min();
        let stands = self.under_way.iter().any(|flight| flight.lands.is_none());
        let world = world.next_event().filter(|_| stands);
        lands.into_iter().chain(world).min().unwrap_or(Duration::MAX)
    }

    /// The one that has ended, with its answer if it has one.
    pub fn land(&mut self, at: Duration) -> Option<(Request, Option<Said>)> {
        let has_landed = |flight: &Flight| flight.lands.is_some_and(|(lands, _)| lands <= at);
        let index = self.under_way.iter().position(has_landed)?;
        let flight = self.under_way.remove(index);
        Some((flight.request, flight.lands.and_then(|(_, said)| said)))
    }

    /// How many proxied requests are under way.
    #[must_use]
    pub fn standing(&self) -> usize {
        self.under_way.iter().filter(|flight| flight.request.is_proxied()).count()
    }
}

/// The machine's input at the end of a request.
#[must_use]
pub fn input(request: Request, answer: Option<Said>) -> Input {
    answer.map_or(Input::Unanswered(request), |answer| said(request, answer))
}
