//! While IBKR does not answer: what the gateway still holds of ours, and how IBKR's return is noticed.
//!
//! The gateway has five connections to IBKR. A proxied request that IBKR does not answer keeps one, also after its client has
//! hung up; with all five taken the gateway is wedged. So at most [`BUDGET`] of our requests are left unanswered, and instead of
//! a poll, while IBKR is silent, something is sent that takes none of the five: `GET /` to the gateway's process, a TLS handshake
//! with IBKR's host, a websocket. Once IBKR is known to be back, one proxied request goes first. If it stays unanswered as well,
//! the gateway is wedged, and nothing more is sent: a request in its queue is answered as soon as there is a connection for it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, Unit};

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
    /// When the last silence ended, and how many requests may have reached IBKR since.
    over: Option<(Duration, usize)>,
    /// When IBKR last gave a sign of life: an answer, or a message of the stream.
    pub(super) sign_at: Option<Duration>,
    /// It was seen in this silence, by other ways than requests, that IBKR does not answer.
    pub(super) is_shown: bool,
    written_off: Vec<WrittenOff>,
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
    /// The silence in which it was held is over, by the answer to another one that was sent together with it.
    has_outlived: bool,
}

/// A request that stayed unanswered while others were answered: the gateway holds it, and its answer is not awaited.
#[derive(Debug, Clone, Copy)]
struct WrittenOff {
    /// `None` for one of an earlier daemon, and once another request of its kind was answered.
    request: Option<Request>,
    since: Now,
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
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SilenceKey {
    flags: [bool; 7],
    step: SilenceStep,
    back: Option<HostSign>,
    websockets: u8,
    held: Vec<(Option<Request>, bool, bool, bool)>,
    written_off: Vec<(Option<Request>, bool)>,
}

impl Silence {
    pub(super) fn key(&self, now: Duration) -> SilenceKey {
        // All fields are named, so that a new one is decided about.
        let Self {
            is_on,
            has_listened,
            held,
            step,
            host_failed,
            back,
            is_inherited,
            is_request_unanswered,
            is_wedged,
            websockets,
            next_websocket: _,
            rounds: _,
            over: _,
            sign_at: _,
            is_shown,
            written_off,
        } = self;
        // Of two of the same kind the order matters: the older one is answered first.
        let of =
            |held: &UnansweredRequest| (held.request, held.is_open, held.is_open && held.counts, held.has_outlived);
        let mut held: Vec<_> = held.iter().map(of).collect();
        held.sort_by_key(|(request, is_open, ..)| (*request, *is_open));
        let written_off = written_off.iter().filter(|it| now < it.until);
        // A logout is never held back.
        let of = |it: &WrittenOff| {
            let request = it.request.filter(|request| *request != Request::EndSession);
            (request, request.is_some() && now < it.since.mono + RETRY)
        };
        let mut written_off: Vec<_> = written_off.map(of).collect();
        written_off.sort_unstable();
        SilenceKey {
            flags: [*is_on, *has_listened, *host_failed, *is_inherited, *is_request_unanswered, *is_wedged, *is_shown],
            step: *step,
            back: *back,
            websockets: *websockets,
            held,
            written_off,
        }
    }

    /// The requests whose answers may come late.
    pub(super) fn awaited(&self) -> impl Iterator<Item = Request> {
        self.held.iter().filter(|held| held.is_open).filter_map(|held| held.request)
    }

    /// How many requests the gateway is taken to hold.
    pub(super) fn count(&self, now: Duration) -> usize {
        self.held.iter().filter(|held| now < held.until).count()
    }

    /// How many requests are held on open connections.
    pub(super) fn open(&self) -> usize {
        self.held.iter().filter(|held| held.is_open).count()
    }

    /// Whether such a request is held.
    pub(super) fn holds(&self, request: Request) -> bool {
        self.held.iter().any(|held| held.request == Some(request))
    }

    /// Notes a request that stays unanswered.
    pub(super) fn hold(&mut self, request: Request, since: Now, is_open: bool, counts: bool) {
        self.held.push(UnansweredRequest {
            request: Some(request),
            since,
            is_open,
            until: since.mono + HELD_FOR,
            counts,
            has_outlived: false,
        });
        self.is_on |= self.count(since.mono) >= BUDGET;
    }

    /// Takes the oldest open request of this kind.
    pub(super) fn take(&mut self, is_it: impl Fn(Request) -> bool) -> Option<(Request, UnansweredRequest)> {
        let is_it = |held: &UnansweredRequest| held.is_open && held.request.is_some_and(&is_it);
        let held = self.held.remove(self.held.iter().position(is_it)?);
        held.request.map(|request| (request, held))
    }

    /// IBKR answered such a request, which was sent at `sent_at`: the silence is over. What is still held was closed by IBKR
    /// without an answer; or, if nothing else showed a silence, it is of a kind that IBKR does not answer. What was sent within
    /// `within` of it may be answered next.
    pub(super) fn answered(&mut self, now: Duration, answered: Request, sent_at: Duration, within: Duration) {
        let mut written_off = std::mem::take(&mut self.written_off);
        let (is_shown, is_on) = (self.is_shown, self.is_on);
        let mut held = std::mem::take(&mut self.held);
        // What is still held may be sent from the gateway's queue at the same time.
        let queued = held.len();
        held.retain(|held| {
            // Of two of one kind it is not known which one was answered.
            let is_same = held.request.is_none_or(|request| held.has_outlived && request.name() == answered.name());
            !is_shown && !is_same && (is_on || held.has_outlived)
        });
        let passed_over = held
            .extract_if(.., |held| held.has_outlived || !held.is_open || sent_at.abs_diff(held.since.mono) >= within);
        written_off.extend(passed_over.map(|UnansweredRequest { request, since, until, .. }| WrittenOff {
            request,
            since,
            until,
        }));
        for late in &mut held {
            (late.counts, late.has_outlived) = (false, true);
        }
        written_off.retain(|it| now < it.until);
        // It was answered, so they have left it a connection.
        written_off.drain(..written_off.len().saturating_sub(MOST));
        for it in &mut written_off {
            it.request.take_if(|request| request.name() == answered.name());
        }
        let over = if self.is_on { Some((now, queued)) } else { self.over };
        *self = Self { held, sign_at: Some(now), written_off, over, ..Self::default() };
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

    /// Whether the connections of all that this daemon knows to be held have broken, to a process that used to answer.
    pub(super) fn is_broken(&self) -> bool {
        let mut own = self.held.iter().filter(|held| held.request.is_some()).peekable();
        self.has_listened && own.peek().is_some() && own.all(|held| !held.is_open)
    }

    /// The gateway's process is gone, and all that it held.
    pub(super) fn process_gone(&mut self) {
        *self = Self::default();
    }

    /// Whether this kind of request is not sent, because it stays unanswered while others are answered. It is tried twice, and once
    /// more an hour later; and not again while the gateway holds that many.
    pub(super) fn is_blocked(&self, now: Duration, request: Request) -> bool {
        let is_it = |it: &&WrittenOff| it.request.is_some_and(|written_off| written_off.name() == request.name());
        let kind = || self.written_off.iter().filter(|it| now < it.until).filter(is_it);
        let is_recent = kind().any(|it| now < it.since.mono + RETRY);
        kind().count() > 0 && (self.count_written_off(now) > BUDGET || (kind().count() == BUDGET && is_recent))
    }

    fn count_written_off(&self, now: Duration) -> usize {
        self.written_off.iter().filter(|it| now < it.until).count()
    }

    /// What is sent for `wanted`.
    pub(super) fn substitute(&self, now: Duration, wanted: Request) -> Request {
        if !self.is_on || !wanted.is_proxied() || wanted == Request::EndSession {
            return wanted;
        }
        match self.step {
            SilenceStep::Watch => Request::IsListening,
            SilenceStep::Handshake => Request::HandshakeIbkr,
            SilenceStep::Websocket => Request::ProbeWebsocket,
            SilenceStep::Request if self.holds(Request::Check) && !self.is_blocked(now, Request::Ping) => Request::Ping,
            SilenceStep::Request => Request::Check,
        }
    }

    /// `request` has been unanswered for too long.
    pub(super) fn give_up(&mut self, request: Request, since: Now) {
        self.hold(request, since, true, true);
        let was_first = self.step == SilenceStep::Request;
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

    /// The same for those that were written off.
    pub(super) fn written_off(&self, now: Duration) -> Vec<Timestamp> {
        self.written_off.iter().filter(|it| now < it.until).map(|it| to_second(it.since)).collect()
    }

    /// The wall clock jumped: what was sent before it was sent that long ago by the new time.
    pub(super) fn move_wall(&mut self, by: SignedDuration) {
        let held = self.held.iter_mut().map(|held| &mut held.since.wall);
        for wall in held.chain(self.written_off.iter_mut().map(|it| &mut it.since.wall)) {
            *wall = wall.saturating_add(by).unwrap_or(*wall);
        }
    }

    /// Takes over what an earlier daemon left unanswered.
    pub(super) fn restore(&mut self, now: Now, unanswered: &[Timestamp], written_off: &[Timestamp]) {
        let held = |at: &Timestamp| {
            let left = HELD_FOR.checked_sub(now.wall.duration_since(*at).unsigned_abs())?;
            Some((Now { mono: now.mono, wall: *at }, now.mono + left))
        };
        self.held.extend(unanswered.iter().filter_map(held).map(|(since, until)| UnansweredRequest {
            request: None,
            since,
            is_open: false,
            until,
            counts: false,
            has_outlived: false,
        }));
        let written_off = written_off.iter().filter_map(held);
        self.written_off.extend(written_off.map(|(since, until)| WrittenOff { request: None, since, until }));
        self.is_inherited = !self.held.is_empty();
        self.is_on |= self.is_inherited;
    }

    /// Whether one request may go first, since IBKR is known to be back: one beyond the budget, because only that shows whether
    /// the gateway is wedged. A daemon that is started again and again sends one in ten minutes.
    pub(super) fn may_go_first(&self, now: Duration) -> bool {
        let is_in_budget = self.count(now) <= BUDGET && (self.has_room(now) || self.is_older_than(now, RETRY));
        is_in_budget || (self.is_inherited && self.is_older_than(now, LAST_RESORT))
    }

    /// The same if only a handshake shows it.
    pub(super) fn may_go_by_handshake(&self, now: Duration) -> bool {
        self.count(now) < BUDGET && self.has_room(now)
    }

    /// Whether a request may go although nothing shows that IBKR is back.
    pub(super) fn may_go_as_last_resort(&self, now: Duration) -> bool {
        self.may_go_by_handshake(now) && self.is_older_than(now, LAST_RESORT)
    }

    /// Whether a second request may go beside one that is under way: the gateway holds no other.
    pub(super) fn may_go_beside(&self, now: Duration) -> bool {
        self.held.is_empty() && self.count_written_off(now) + 1 < MOST
    }

    /// Whether the gateway may hold one more of our requests: one of its connections is left to others.
    fn has_room(&self, now: Duration) -> bool {
        self.count(now) + self.count_written_off(now) < MOST
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
const HELD_FOR: Duration = Duration::from_hours(9);
/// How long after the last one another request is sent where nothing shows IBKR's return.
pub(super) const LAST_RESORT: Duration = Duration::from_secs(600);
/// How many websockets are opened in one silence. One that is opened while IBKR is silent leaves a connection behind.
const WEBSOCKETS: u8 = 3;
/// How many of the gateway's five connections are taken by our requests at most.
const MOST: usize = 4;
/// When a request is sent all the same that is held back because too many stayed unanswered.
const RETRY: Duration = Duration::from_secs(3600);
/// How many requests may reach IBKR in this time after a silence, beside the one that was answered.
const AT_ONCE: usize = 2;
const CROWDED: Duration = Duration::from_secs(1);
/// How long a request must have been unanswered to be remembered over a restart.
pub(super) const SLOW: Duration = Duration::from_secs(5);
