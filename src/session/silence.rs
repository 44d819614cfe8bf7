//! While IBKR does not answer: what the gateway still holds of ours, and how IBKR's return is noticed.
//!
//! The gateway has five connections to IBKR. A proxied request that IBKR does not answer keeps one, also after its client has
//! hung up; with all five taken the gateway is wedged. So at most [`BUDGET`] of our requests are left unanswered, and instead of
//! a poll, while IBKR is silent, something is sent that takes none of the five: `GET /` to the gateway's process, a TLS handshake
//! with IBKR's host, a websocket. Once IBKR is known to be back, one proxied request goes first. If it stays unanswered as well,
//! the gateway is wedged, and nothing more is sent: a request in its queue is answered as soon as there is a connection for it.

use std::time::Duration;

use jiff::{Timestamp, Unit};

use super::{Now, Request, Unavailability};

#[derive(Debug, Clone, Default)]
pub(super) struct Silence {
    /// Whether IBKR is silent: no poll is sent.
    pub(super) is_on: bool,
    /// The gateway's process has answered `GET /` in this silence.
    pub(super) has_listened: bool,
    pub(super) held: Vec<UnansweredRequest>,
    pub(super) step: SilenceStep,
    /// A handshake with IBKR's host failed in this silence, so that one that succeeds is a sign of its return.
    pub(super) host_failed: bool,
    /// IBKR is known to be back, by this sign.
    pub(super) back: Option<HostSign>,
    /// An earlier daemon left requests unanswered, and IBKR has not been heard of since.
    pub(super) is_inherited: bool,
    /// The request that went first on IBKR's return is unanswered.
    pub(super) is_request_unanswered: bool,
    pub(super) is_wedged: bool,
    pub(super) websockets: u8,
    pub(super) next_websocket: Duration,
    pub(super) rounds: u32,
    /// When the last silence ended, and how many requests were sent since.
    over: Option<(Duration, usize)>,
    /// When IBKR last gave a sign of life: an answer, or a message of the stream.
    pub(super) sign_at: Option<Duration>,
    strikes: Vec<Strike>,
}

/// A request that IBKR has not answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct UnansweredRequest {
    /// `None` for one of an earlier daemon.
    pub(super) request: Option<Request>,
    pub(super) since: Now,
    /// Its connection is open, so that a late answer would arrive.
    is_open: bool,
    /// Until when the gateway is taken to hold it.
    until: Duration,
    /// Its answer matters. It does not if the machine has moved on.
    pub(super) counts: bool,
}

/// A kind of request that stays unanswered while others are answered.
#[derive(Debug, Clone, Copy)]
struct Strike {
    request: Request,
    count: u32,
    /// No such request is sent before.
    until: Duration,
}

/// What is sent instead of a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) enum SilenceStep {
    #[default]
    Watch,
    Handshake,
    Websocket,
    Request,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum HostSign {
    Handshake,
    Websocket,
}

/// What decides the next request in a silence, without times.
pub(super) type SilenceKey = (bool, bool, usize, SilenceStep, bool, Option<HostSign>, bool, bool, u8);

impl Silence {
    pub(super) fn key(&self) -> SilenceKey {
        let Self { is_on, has_listened, step, host_failed, back, is_request_unanswered, is_wedged, websockets, .. } =
            self;
        (
            *is_on,
            *has_listened,
            self.held.len(),
            *step,
            *host_failed,
            *back,
            *is_request_unanswered,
            *is_wedged,
            *websockets,
        )
    }

    /// How many requests the gateway is taken to hold.
    pub(super) fn count(&self, now: Duration) -> usize {
        self.held.iter().filter(|held| now < held.until).count()
    }

    /// How many requests are held on open connections.
    pub(super) fn open(&self) -> usize {
        self.held.iter().filter(|held| held.is_open).count()
    }

    /// Notes a request that stays unanswered.
    pub(super) fn hold(&mut self, request: Request, since: Now, is_open: bool, counts: bool) {
        self.held.push(UnansweredRequest {
            request: Some(request),
            since,
            is_open,
            until: since.mono + HELD_FOR,
            counts,
        });
        self.is_on |= self.count(since.mono) >= BUDGET;
    }

    /// Takes the oldest open request of this kind.
    pub(super) fn take(&mut self, is_it: impl Fn(Request) -> bool) -> Option<(Request, UnansweredRequest)> {
        let is_it = |held: &UnansweredRequest| held.is_open && held.request.is_some_and(&is_it);
        let held = self.held.remove(self.held.iter().position(is_it)?);
        held.request.map(|request| (request, held))
    }

    /// IBKR answered such a request: the silence is over. What is still held was closed by IBKR without an answer, or
    /// is of a kind that IBKR does not answer.
    pub(super) fn answered(&mut self, now: Duration, answered: Request) {
        self.strikes.retain(|strike| strike.request.name() != answered.name());
        if self.is_on {
            let unanswered = self.held.iter().filter_map(|held| held.request);
            for request in unanswered.filter(|request| request.name() != answered.name()) {
                let strikes = &mut self.strikes;
                let index = strikes.iter().position(|strike| strike.request.name() == request.name());
                let index = index.unwrap_or_else(|| {
                    strikes.push(Strike { request, count: 0, until: Duration::ZERO });
                    strikes.len() - 1
                });
                let strike = &mut strikes[index];
                strike.count += 1;
                if strike.count > 1 {
                    let block = BLOCKED * 6_u32.saturating_pow((strike.count - 2).min(3));
                    strike.until = now + block.min(LONGEST_BLOCK);
                }
            }
        }
        let over = if self.is_on { Some((now, 0)) } else { self.over };
        *self = Self { sign_at: Some(now), strikes: std::mem::take(&mut self.strikes), over, ..Self::default() };
    }

    /// A request is sent.
    pub(super) const fn sent(&mut self) {
        if let Some((_, sent)) = &mut self.over {
            *sent += 1;
        }
    }

    /// When another request may be sent: in the second after IBKR's return everything arrives there that has waited.
    pub(super) fn earliest(&self) -> Duration {
        self.over.filter(|(_, sent)| *sent >= AT_ONCE).map_or(Duration::ZERO, |(at, _)| at + CROWDED)
    }

    /// Whether the connections of all that is held have broken, to a process that used to answer.
    pub(super) fn is_broken(&self) -> bool {
        self.has_listened
            && !self.held.is_empty()
            && self.held.iter().all(|held| held.request.is_some() && !held.is_open)
    }

    /// The gateway's process is gone, and all that it held.
    pub(super) fn process_gone(&mut self) {
        *self = Self::default();
    }

    /// Whether this kind of request stays unanswered while others are answered.
    pub(super) fn is_blocked(&self, now: Duration, request: Request) -> bool {
        self.strikes.iter().any(|strike| strike.request.name() == request.name() && now < strike.until)
    }

    /// What is sent for `wanted`.
    pub(super) fn substitute(&self, wanted: Request) -> Request {
        if !self.is_on || !wanted.is_proxied() || wanted == Request::EndSession {
            return wanted;
        }
        match self.step {
            SilenceStep::Watch => Request::IsListening,
            SilenceStep::Handshake => Request::HandshakeIbkr,
            SilenceStep::Websocket => Request::ProbeWebsocket,
            SilenceStep::Request if self.held.iter().any(|held| held.request == Some(Request::Check)) => Request::Ping,
            SilenceStep::Request => Request::Check,
        }
    }

    /// `request` has been unanswered for too long.
    pub(super) fn give_up(&mut self, request: Request, since: Now) {
        self.hold(request, since, true, true);
        let was_first = self.is_on && self.step == SilenceStep::Request;
        self.is_inherited = false;
        (self.is_on, self.step) = (true, SilenceStep::Watch);
        if was_first && self.back.is_some() {
            self.is_request_unanswered = true;
            match self.back {
                // A handshake proves a way to IBKR's edge only.
                Some(HostSign::Handshake) if self.is_websocket_due(since.mono + GRACE) => {
                    self.step = SilenceStep::Websocket;
                }
                Some(HostSign::Websocket | HostSign::Handshake) => self.is_wedged = true,
                None => {}
            }
        }
    }

    /// Unanswered requests to remember over a restart, by the time they were sent.
    pub(super) fn state(&self) -> Vec<Timestamp> {
        self.held.iter().map(|held| to_second(held.since)).collect()
    }

    /// Takes over what an earlier daemon left unanswered.
    pub(super) fn restore(&mut self, now: Now, unanswered: &[Timestamp]) {
        let held = |at: &Timestamp| {
            let left = HELD_FOR.checked_sub(now.wall.duration_since(*at).unsigned_abs())?;
            let since = Now { mono: now.mono, wall: *at };
            Some(UnansweredRequest { request: None, since, is_open: false, until: now.mono + left, counts: false })
        };
        self.held.extend(unanswered.iter().filter_map(held));
        self.is_inherited = !self.held.is_empty();
        self.is_on |= self.is_inherited;
    }

    /// Whether one request may go first, since IBKR is known to be back: one beyond the budget, because only that shows whether
    /// the gateway is wedged. A daemon that is started again and again sends one in ten minutes.
    pub(super) fn may_go_first(&self, now: Duration) -> bool {
        self.count(now) <= BUDGET || (self.is_inherited && self.is_older_than(now, LAST_RESORT))
    }

    /// Whether a request may go although nothing shows that IBKR is back.
    pub(super) fn may_go_as_last_resort(&self, now: Duration) -> bool {
        self.count(now) < BUDGET && self.is_older_than(now, LAST_RESORT)
    }

    /// What is wrong, as far as it is known.
    pub(super) const fn cause(&self) -> Unavailability {
        if self.is_wedged { Unavailability::GatewayWedged } else { Unavailability::IbkrSilent }
    }

    /// Whether the last request that is unanswered was sent so long ago.
    pub(super) fn is_older_than(&self, now: Duration, span: Duration) -> bool {
        self.held.iter().all(|held| now >= held.since.mono + span)
    }

    pub(super) fn is_websocket_due(&self, now: Duration) -> bool {
        self.websockets < WEBSOCKETS && now >= self.next_websocket
    }
}

/// To the second, so that the same request has the same time whenever it is written.
pub(super) fn to_second(sent: Now) -> Timestamp {
    sent.wall.round(Unit::Second).unwrap_or(sent.wall)
}

/// How many of our requests may be unanswered at the gateway while IBKR is silent.
pub(super) const BUDGET: usize = 2;
/// A request is given up this long after it was sent at most.
const GRACE: Duration = Duration::from_secs(120);
/// How long the gateway is taken to hold a request that nothing has been heard of since.
const HELD_FOR: Duration = Duration::from_secs(9 * 3600);
/// How long after the last one another request is sent where nothing shows IBKR's return.
pub(super) const LAST_RESORT: Duration = Duration::from_secs(600);
/// How many websockets are opened in one silence. One that is opened while IBKR is silent leaves a connection behind.
const WEBSOCKETS: u8 = 3;
/// How long a kind of request is not sent after it stayed unanswered twice while others were answered. Each keeps one of the
/// five connections, so the time grows sixfold.
const BLOCKED: Duration = Duration::from_secs(600);
const LONGEST_BLOCK: Duration = HELD_FOR;
/// How many requests are sent in this time after a silence, beside those that were in the gateway's queue.
const AT_ONCE: usize = 2;
const CROWDED: Duration = Duration::from_secs(1);
/// How long a request must have been unanswered to be remembered over a restart.
pub(super) const SLOW: Duration = Duration::from_secs(5);
