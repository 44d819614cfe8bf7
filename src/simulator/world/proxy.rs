//! The way of a request through the gateway: answered by itself, or proxied to IBKR over one of its five connections.

use std::time::Duration;

use super::World;
use super::answer::{Answer, Late, Reply, RequestId, What};
use super::call::{Call, Route};
use super::control::{Does, Reach, Who};
use super::places::PlaceId;
use super::process::Errand;

/// A request that takes a place among the gateway's connections, or waits for one.
#[derive(Clone, Debug)]
pub(super) struct Proxied {
    id: RequestId,
    call: Call,
    from: From,
    /// Its number among those that reached IBKR; 0 until it has.
    arrival: u64,
}

/// Who made a request, and what its answer is for.
#[derive(Clone, Copy, Debug)]
enum From {
    Client,
    Gateway(Errand),
}

impl From {
    fn who(self) -> Who {
        match self {
            From::Client => Who::Client,
            From::Gateway(_) => Who::Gateway,
        }
    }
}

impl Proxied {
    pub(super) fn is_of_gateway(&self) -> bool {
        self.from.who() == Who::Gateway
    }

    pub(super) fn whose(&self) -> (Who, &Route) {
        (self.from.who(), &self.call.route)
    }
}

impl World {
    pub(super) fn route(&mut self, call: &Call) -> Reply {
        if self.process.listens_at.is_some() {
            return Reply::new(Duration::ZERO, What::Refused);
        }
        if self.denied {
            return Reply::new(OWN, What::Answer(Answer::AccessDenied));
        }
        if call.route == Route::Stream {
            return self.upgrade(call);
        }
        if !call.route.is_own() {
            return self.proxy(call.clone(), From::Client);
        }
        let script = self.rules.take(Who::Client, call);
        scripted(script, OWN, || {
            if call.route == Route::Root {
                What::Answer(Answer::LoginRedirect)
            } else if call.route == Route::Reauthenticate {
                What::Answer(self.process.reauthenticate(self.now))
            } else if let Route::Unknown(path) = &call.route {
                What::Answer(Answer::IbkrRedirect(path.clone()))
            } else {
                What::Hang
            }
        })
    }

    /// A request that the gateway makes by itself.
    pub(super) fn run_errand(&mut self, errand: Errand, call: Call) {
        drop(self.proxy(call, From::Gateway(errand)));
    }

    /// Sends what waits in the gateway and has a place now.
    pub(super) fn send_waiting(&mut self) {
        while let Some((place, request)) = self.places.next_request(self.now) {
            let id = request.id;
            let from = request.from;
            let reply = self.send(place, request);
            self.deliver(id, from, reply);
        }
    }

    /// IBKR answers what it has left unanswered.
    pub(super) fn answer_late(&mut self) {
        let mut unanswered = self.places.take_unanswered();
        unanswered.sort_by_key(|(_, request)| request.id);
        for (place, request) in unanswered {
            let answer = self.ibkr.answer(self.now, &request.call, request.from.who(), false);
            let reply = self.answered(place, &request, Reply::new(self.latency, What::Answer(answer)));
            self.deliver(request.id, request.from, Some(reply));
        }
    }

    fn deliver(&mut self, id: RequestId, from: From, reply: Option<Reply>) {
        if let (From::Client, Some(reply)) = (from, reply) {
            self.late.push(Late { id, at: self.now + reply.after, what: reply.what });
        }
    }

    /// Proxies a request to IBKR, at once or when there is a place for it.
    fn proxy(&mut self, call: Call, from: From) -> Reply {
        self.requests += 1;
        let id = RequestId(self.requests);
        let request = Proxied { id, call, from, arrival: 0 };
        let reply = match self.places.request(self.now, request) {
            Some((place, request)) => self.send(place, request),
            None => None,
        };
        reply.unwrap_or(Reply { after: Duration::ZERO, what: What::Hang, awaits: Some(id) })
    }

    /// A request reaches IBKR. `None`: IBKR does not answer it, for the present.
    fn send(&mut self, place: PlaceId, mut request: Proxied) -> Option<Reply> {
        let who = request.from.who();
        let (arrival, in_a_second) = self.traffic.arrive(self.now, &request.call, who);
        request.arrival = arrival;
        let refused = self.ibkr.pacing.refuses(self.now, &request.call.route, who, in_a_second);
        let script = self.rules.take(who, &request.call);
        if matches!(script, Some((Does::Hang, _))) {
            self.places.keep(place, request);
            return None;
        }
        if let Some((Does::Say(raw), after)) = script {
            let reply = Reply::new(after.unwrap_or(self.latency), What::Answer(Answer::Raw(raw)));
            return Some(self.answered(place, &request, reply));
        }
        let reply = match self.reach {
            Reach::Here => {
                let answer = || What::Answer(self.ibkr.answer(self.now, &request.call, who, refused));
                scripted(script, self.latency, answer)
            }
            Reach::Away => {
                self.places.keep(place, request);
                return None;
            }
            Reach::Failing { status, after } => Reply::new(after, What::Answer(Answer::Trouble(status))),
        };
        let endless = matches!(reply.what, What::Drip(_));
        let reply = self.answered(place, &request, reply);
        if endless {
            self.places.keep(place, request);
        }
        Some(reply)
    }

    /// The answer to a request is on its way back, which frees its place.
    fn answered(&mut self, place: PlaceId, request: &Proxied, reply: Reply) -> Reply {
        let known = self.now + reply.after;
        self.places.answer(place, self.now, reply.after);
        if let What::Answer(answer) = &reply.what {
            self.traffic.answer(request.arrival, answer.status());
        }
        match request.from {
            From::Gateway(errand) => self.process.take(known, errand, &reply.what),
            From::Client if reply.what == What::Answer(Answer::LoginSucceeds) => self.process.log_in(known),
            From::Client => {}
        }
        reply
    }

    /// The handshake of a websocket, which has a connection of its own. While IBKR is silent it opens too.
    fn upgrade(&mut self, call: &Call) -> Reply {
        if !self.streams.is_wedged() {
            let (_, in_a_second) = self.traffic.arrive(self.now, call, Who::Client);
            self.ibkr.pacing.refuses(self.now, &call.route, Who::Client, in_a_second);
        }
        let script = self.rules.take(Who::Client, call);
        match self.reach {
            Reach::Failing { status, after } if !matches!(script, Some((Does::Say(_), _))) => {
                Reply::new(after, What::Answer(Answer::Trouble(status)))
            }
            Reach::Here | Reach::Away | Reach::Failing { .. } => {
                scripted(script, self.latency, || What::Answer(Answer::Upgrade))
            }
        }
    }
}

/// What a script makes of the usual reply.
fn scripted(script: Option<(Does, Option<Duration>)>, takes: Duration, usual: impl FnOnce() -> What) -> Reply {
    let Some((does, after)) = script else { return Reply::new(takes, usual()) };
    let what = if let Does::Say(raw) = does {
        What::Answer(Answer::Raw(raw))
    } else {
        match (does, usual()) {
            (Does::Hang, _) => What::Hang,
            (Does::Reset, _) => What::Reset,
            (Does::Cut, What::Answer(answer)) => What::Cut(answer),
            (Does::Drip, What::Answer(answer)) => What::Drip(answer),
            (_, usual) => usual,
        }
    };
    Reply::new(after.unwrap_or(takes), what)
}

/// How long the gateway takes for what it answers by itself.
const OWN: Duration = Duration::from_millis(5);
