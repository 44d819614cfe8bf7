//! The rounds of probes while IBKR is silent: the gateway's process, IBKR's host, a websocket, and at last one request.

use std::time::Duration;

use super::backoff::backoff;
use super::context::Context;
use super::phase::{Ask, Next, Phase};
use super::silence::{HostSign, SilenceStep};
use super::{Failure, HostFailure, Request, StateReason, Unavailability, WakeReason};

impl Context {
    /// `GET /` was answered, or not.
    pub(super) fn on_watch(&mut self, phase: Phase, failed: Option<Unavailability>) -> Next {
        self.silence.has_listened |= failed.is_none();
        match failed {
            None if self.silence.is_wedged => self.end_round(phase, self.silence.cause()),
            None if self.policy.knows_ibkr_host => self.go_on(phase, SilenceStep::Handshake),
            None => self.try_websocket(phase),
            Some(cause) => {
                let is_broken = cause == Unavailability::NoAnswer && self.silence.is_broken();
                let is_confirmed = std::mem::take(&mut self.suspicion.unavailable);
                if is_broken && !is_confirmed {
                    // It went by a connection that broke with the others. The next one is fresh.
                    self.suspicion.unavailable = true;
                    return self.go_on(phase, SilenceStep::Watch);
                }
                if is_broken || cause == Unavailability::NothingListens {
                    self.silence.process_gone();
                }
                self.end_round(phase, cause)
            }
        }
    }

    /// The answer to a handshake with IBKR's host. That it succeeds is a sign only after it has failed: in front of
    /// IBKR is an edge that answers also when IBKR does not.
    pub(super) fn on_handshake(&mut self, phase: Phase, answer: Result<(), HostFailure>) -> Next {
        if !self.silence.is_on {
            return self.check_now(phase);
        }
        match answer {
            // One more than the budget goes only with the better proof of a websocket.
            Ok(()) if self.silence.host_failed && self.silence.may_go_by_handshake(self.now.mono) => {
                (self.silence.host_failed, self.silence.back) = (false, Some(HostSign::Handshake));
                self.go_on(phase, SilenceStep::Request)
            }
            Ok(()) => {
                self.silence.host_failed = false;
                self.try_websocket(phase)
            }
            Err(failure) => {
                (self.silence.host_failed, self.silence.is_shown) = (true, true);
                match failure {
                    HostFailure::NoWay => self.end_round(phase, Unavailability::IbkrUnreachable),
                    HostFailure::NoAnswer => self.end_round(phase, Unavailability::IbkrSilent),
                }
            }
        }
    }

    /// The outcome of a websocket: a message, which IBKR sent; silence; or nothing that says anything about IBKR.
    pub(super) fn on_websocket(&mut self, phase: Phase, answer: Result<bool, Failure>) -> Next {
        let silence = &mut self.silence;
        if !silence.is_on {
            return self.check_now(phase);
        }
        silence.next_websocket =
            self.now.mono + WEBSOCKET_GAP * 20_u32.saturating_pow(u32::from(silence.websockets.min(1)));
        silence.websockets = silence.websockets.saturating_add(1);
        match answer {
            Ok(true) if silence.is_request_unanswered => silence.is_wedged = true,
            Ok(true) => {
                silence.back = Some(HostSign::Websocket);
                if silence.may_go_first(self.now.mono) {
                    return self.go_on(phase, SilenceStep::Request);
                }
                // So many are held that no other request finds a connection.
                silence.is_wedged = true;
            }
            Ok(false) => {
                (silence.back, silence.is_request_unanswered, silence.is_shown) = (None, false, true);
            }
            Err(_) => silence.is_wedged = silence.is_request_unanswered,
        }
        let cause = silence.cause();
        self.end_round(phase, cause)
    }

    /// A request stays unanswered: the rounds begin, or go on.
    pub(super) fn begin_rounds(&mut self, phase: Phase, cause: Unavailability) -> Next {
        self.outage();
        self.facts.trouble = Some(cause);
        if cause == Unavailability::GatewayWedged {
            return self.end_round(phase, cause);
        }
        let ask = Ask::Now(Request::Check, WakeReason::NextStep);
        Next { phase: Phase::Unavailable(cause), reason: StateReason::Trouble(cause), ask }
    }

    fn try_websocket(&mut self, phase: Phase) -> Next {
        if self.silence.is_websocket_due(self.now.mono) {
            return self.go_on(phase, SilenceStep::Websocket);
        }
        self.end_round(phase, self.silence.cause())
    }

    fn go_on(&mut self, phase: Phase, step: SilenceStep) -> Next {
        self.silence.step = step;
        self.stay(phase, Ask::Now(Request::Check, WakeReason::NextStep))
    }

    /// The next round comes later. As a last resort it is another proxied request.
    pub(super) fn end_round(&mut self, phase: Phase, cause: Unavailability) -> Next {
        let now = self.now.mono;
        let silence = &mut self.silence;
        silence.rounds = silence.rounds.saturating_add(1);
        let is_host_silent = silence.host_failed && cause == Unavailability::IbkrSilent;
        let is_proved = silence.is_wedged && silence.is_request_unanswered;
        let is_back = silence.back.is_some() && !is_proved && silence.may_go_first(now);
        let may_ask = is_back || (silence.may_go_as_last_resort(now) && !is_host_silent);
        silence.step = if may_ask && silence.is_on { SilenceStep::Request } else { SilenceStep::Watch };
        let spacing = backoff(silence.rounds, FIRST_ROUND, self.policy.watch_every);
        self.facts.trouble = Some(cause);
        match phase {
            Phase::LoginRequired(login) => self.watch_for_login(login),
            Phase::Paused { .. } => self.stay(phase, Ask::Nothing),
            Phase::Starting | Phase::Live(_) | Phase::Recovering(_) | Phase::Contested | Phase::Unavailable(_) => {
                self.outage();
                let ask = Ask::In(self.limits.jitter(spacing), Request::Check, WakeReason::RetryDue);
                Next { phase: Phase::Unavailable(cause), reason: StateReason::Trouble(cause), ask }
            }
        }
    }
}

/// The gap between the first two websockets. The third one comes an hour later. The request of the last resort lies between.
const WEBSOCKET_GAP: Duration = Duration::from_secs(180);
/// The gap between the first two rounds. It doubles.
const FIRST_ROUND: Duration = Duration::from_secs(5);
