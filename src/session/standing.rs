//! Requests that are left standing: beside one that is not answered in time only the gateway's process is watched,
//! until the answer comes or the request is given up.

use std::time::Duration;

use super::machine::{InFlight, Machine};
use super::phase::Phase;
use super::rate_limiter::Priority;
use super::shared_budget::{ClientId, SharedBudget};
use super::silence::SilenceStep;
use super::{Answer, Failure, Now, Request, Unavailability, WakeReason};

impl Machine {
    /// Drops what is awaited. What is proxied to IBKR is left standing, and its answer is ignored.
    pub(super) fn abandon(&mut self) {
        let awaited = [self.in_flight.take(), self.standing.take()].into_iter().flatten();
        for flight in awaited.filter(|flight| flight.request.is_proxied()) {
            self.cx.silence.hold(flight.request, self.cx.now.at(flight.sent_at), true, false);
        }
        self.wanted = None;
        self.cx.silence.step = SilenceStep::Watch;
    }

    /// The request whose answer is awaited.
    pub(super) fn awaited(&self) -> Option<Request> {
        self.standing.or(self.in_flight).map(|flight| flight.request)
    }

    /// IBKR answers the gateway: a message came on the stream.
    pub const fn on_sign_of_life(&mut self, now: Now) {
        self.cx.silence.sign_at = Some(now.mono);
    }

    pub(super) fn count_standing(&self) -> usize {
        let awaited = [self.in_flight, self.standing, self.unanswered_behind()].into_iter().flatten();
        self.cx.silence.open() + awaited.filter(|flight| flight.request.is_proxied()).count()
    }

    /// When a request that is left standing is given up: the silence has lasted, and nothing else came from IBKR.
    pub(super) fn given_up_at(&self, standing: InFlight) -> Duration {
        let is_alive = self.cx.silence.sign_at.is_some_and(|at| at > standing.sent_at);
        let within = self.cx.policy.answer_within;
        standing.sent_at + within.max(if is_alive { (within * 8).min(WEDGED) } else { (within * 3).min(SILENT) })
    }

    /// Beside a request that is left standing only the gateway's process is watched.
    pub(super) fn watch(
        &mut self,
        now: Now,
        standing: InFlight,
        budget: &mut SharedBudget,
        client: ClientId,
    ) -> (Option<Request>, Duration, WakeReason) {
        let until = self.given_up_at(standing);
        if matches!(self.phase, Phase::Paused { .. }) {
            budget.release(client);
            return (None, until.min(self.phase.pause_wake_at(now)), WakeReason::AnswerDue);
        }
        let (watch, priority) = (Request::IsListening, Priority::Confirming);
        let due = self.watched_at.map_or(now.mono, |at| at + WATCH_GAP);
        let at = due.max(self.cx.limits.earliest(now.mono, watch, priority));
        if at >= until || at > now.mono {
            budget.release(client);
            return (None, at.min(until), WakeReason::AnswerDue);
        }
        let turn = budget.acquire(now.mono, client, true);
        if turn > now.mono {
            return (None, turn.min(until), WakeReason::OthersFirst);
        }
        let due = self.send(now, watch, priority).min(until);
        (Some(watch), due, WakeReason::AnswerDue)
    }

    /// The connection of a request broke before IBKR answered: the gateway may hold it without end.
    pub(super) fn on_unanswered(&mut self, request: Request) {
        let is_it = |flight: &mut InFlight| flight.request == request;
        let no_answer = Answer::failed(request, Failure::Unavailable(Unavailability::NoAnswer));
        let flight = self.in_flight.take_if(is_it).or_else(|| self.standing.take_if(is_it));
        match flight {
            Some(flight) => {
                self.cx.silence.hold(request, self.cx.now.at(flight.sent_at), false, false);
                self.handle(flight, no_answer);
            }
            None if self.is_answered_behind(no_answer) => {
                let sent_at = self.behind.map_or(self.cx.now.mono, |behind| behind.flight.sent_at);
                self.cx.silence.hold(request, self.cx.now.at(sent_at), false, false);
            }
            None => {
                let Some((request, held)) = self.cx.silence.take(|held| held == request) else { return };
                self.cx.silence.hold(request, held.since, false, false);
                self.watch_at_once();
            }
        }
    }

    /// The gateway's process may be gone, and with it all that it held: the next round comes at once.
    fn watch_at_once(&mut self) {
        let is_watching = self.cx.silence.is_on && self.awaited().is_none() && !self.is_ending();
        if is_watching && self.question.request.is_some() {
            self.cx.silence.step = SilenceStep::Watch;
            self.question.at = self.cx.now.mono;
        }
    }

    /// `GET /` was answered, or not, while a request is left standing.
    pub(super) fn on_watched(&mut self, standing: InFlight, answer: Result<(), Failure>) {
        let Err(failure) = answer else {
            self.watched_at = Some(self.cx.now.mono);
            self.cx.silence.has_listened = true;
            return;
        };
        self.standing = None;
        self.cx.silence.hold(standing.request, self.cx.now.at(standing.sent_at), true, false);
        (self.cx.suspicion.unavailable, self.cx.silence.step) = (true, SilenceStep::Watch);
        let cause = match failure {
            Failure::Unavailable(cause) => cause,
            Failure::Unauthorized | Failure::LoginPage | Failure::NoSession | Failure::Unsupported => {
                Unavailability::NotAGateway
            }
        };
        self.handle(standing, Answer::failed(standing.request, Failure::Unavailable(cause)));
    }
}

/// How long a request is left standing before IBKR is believed to be silent: three times what one answer may take, and
/// at most this. If something else comes from IBKR meanwhile, it is eight times, until the gateway is believed to be
/// wedged.
const SILENT: Duration = Duration::from_secs(45);
const WEDGED: Duration = Duration::from_secs(120);
/// How often the gateway's process is watched meanwhile.
const WATCH_GAP: Duration = Duration::from_secs(10);
