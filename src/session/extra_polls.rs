//! Polls out of turn: for the operator, for the stream, and after a jump of the clock.

use std::time::Duration;

use jiff::SignedDuration;

use super::answer::Reading;
use super::context::{Doubt, REFUTED};
use super::machine::Machine;
use super::phase::{Ask, Attempt, Phase, RecoveryPhase};
use super::rate_limiter::Priority;
use super::{Now, Request, Status, WakeReason};

impl Machine {
    pub(super) fn on_check_command(&mut self) {
        if self.may_be_polled() {
            self.poll_soon(WakeReason::Operator, Priority::Pressing);
        }
    }

    /// Sends a data call when the session is live, at once or after what is under way.
    pub(super) fn on_prove_command(&mut self) {
        let Phase::Live(live) = &mut self.phase else { return };
        live.is_proof_wanted = true;
        let is_routine =
            matches!(self.question.reason, WakeReason::PingDue | WakeReason::CheckDue | WakeReason::LoginAge);
        if self.awaited().is_none() && is_routine && !self.cx.is_unsupported(Request::Accounts) {
            let ask = Ask::Extra(Request::Accounts, WakeReason::ProofDue, Priority::Pressing);
            self.apply(self.cx.stay(self.phase, ask));
        }
    }

    /// Checks for a login more often for a while.
    pub(super) fn on_login_expected(&mut self) {
        self.cx.login_expected_until = Some(self.cx.now.mono + LOGIN_EXPECTED);
        if let Phase::LoginRequired(login) = self.phase
            && self.question.reason == WakeReason::WatchDue
        {
            let planned = self.question.at;
            let next = self.cx.watch_for_login(login);
            self.apply(next);
            self.question.at = self.question.at.min(planned);
        }
    }

    /// A push is a reason to ask: of a bad flag one check, or else data, decides. The push of a stream that was refuted
    /// again and again is not urgent, and good flags refute it.
    pub(super) fn on_push(&mut self, status: Status) {
        let is_live = matches!(self.phase, Phase::Live(_));
        if let Phase::Recovering(recovery) = self.phase
            && !self.is_ending()
            && self.on_push_while_recovering(recovery, status)
        {
            return;
        }
        if !self.may_be_polled() || (is_live && status.reading() == Reading::Good) {
            return;
        }
        if is_live {
            self.cx.stream.denied_at.get_or_insert(self.cx.now.mono);
        }
        if is_live && self.cx.stream.refuted < REFUTED {
            self.cx.suspicion.flags.get_or_insert(Doubt::Session);
            self.poll_soon(WakeReason::AskAgain, Priority::Confirming);
        } else {
            self.poll_soon(WakeReason::AskAgain, Priority::Pressing);
        }
    }

    /// Good flags after bad ones, once the session has been asked for, stand for the check that confirms the attempt.
    /// Returns whether no poll is needed.
    fn on_push_while_recovering(&mut self, recovery: RecoveryPhase, status: Status) -> bool {
        let is_good = status.reading() == Reading::Good;
        if !is_good {
            self.cx.stream.denied_at.get_or_insert(self.cx.now.mono);
        } else if self.cx.stream.denied_at.take().is_none() {
            return false;
        }
        match recovery {
            RecoveryPhase::Requesting(attempt) if self.awaited().is_some_and(Request::is_attempt) => {
                let attempt = Attempt { is_back: is_good, ..attempt };
                self.phase = Phase::Recovering(RecoveryPhase::Requesting(attempt));
                if is_good {
                    self.record_push(status);
                }
                true
            }
            RecoveryPhase::Confirming(_) if is_good && self.awaited().is_none() => {
                self.record_push(status);
                let next = self.cx.prove(self.phase);
                self.apply(next);
                true
            }
            RecoveryPhase::Settling { .. }
            | RecoveryPhase::Requesting(_)
            | RecoveryPhase::Validating(_)
            | RecoveryPhase::Confirming(_)
            | RecoveryPhase::BackingOff { .. } => false,
        }
    }

    /// Such a push is as good as a poll of this moment.
    fn record_push(&mut self, status: Status) {
        self.cx.record(self.phase, status.reading(), Some(status));
        self.cx.polls.last_at = self.cx.now.mono;
    }

    /// Moves what is remembered over a restart, and the start of the present state and outage, with a clock that was set. A host
    /// that slept goes neither backwards nor on by months.
    fn correct_times(&mut self, by: SignedDuration) {
        self.cx.limits.move_wall(by);
        self.cx.silence.move_wall(by);
        if by.is_negative() || by > LONGEST_SLEEP {
            let outage = self.cx.outage.as_mut().map(|outage| &mut outage.since.wall);
            for wall in outage.into_iter().chain([&mut self.cx.since.wall]) {
                *wall = wall.checked_add(by).unwrap_or(*wall);
            }
        }
    }

    /// By how much the wall clock left the other one since the last step, if that is a jump.
    pub(super) fn jump(&self, now: Now) -> Option<SignedDuration> {
        let passed = SignedDuration::try_from(now.mono.saturating_sub(self.last.mono)).unwrap_or(SignedDuration::MAX);
        let by = now.wall.duration_since(self.last.wall).saturating_sub(passed);
        (by.unsigned_abs() > JUMP).then_some(by)
    }

    /// All that is known may be old: asks at once, or after the answer to a request that must not be repeated.
    pub(super) fn on_clock_jump(&mut self, by: SignedDuration) {
        self.correct_times(by);
        if !self.may_be_polled() {
            return;
        }
        let suspicion = &mut self.cx.suspicion;
        (suspicion.flags, suspicion.data, suspicion.unavailable) = (None, None, false);
        match self.awaited() {
            // What is left unanswered is not repeated.
            Some(_) if self.cx.silence.is_on => {}
            Some(_) if self.standing.is_some() => self.poll_soon(WakeReason::ClockJumped, Priority::Confirming),
            None
            | Some(
                Request::Ping
                | Request::Check
                | Request::Accounts
                | Request::IsListening
                | Request::HandshakeIbkr
                | Request::ProbeWebsocket,
            ) => {
                self.abandon();
                let ask = Ask::Now(Request::Check, WakeReason::ClockJumped);
                self.apply(self.cx.stay(self.phase, ask));
            }
            Some(
                Request::Reauthenticate | Request::OpenBrokerage { .. } | Request::ValidateSso | Request::EndSession,
            ) => self.poll_soon(WakeReason::ClockJumped, Priority::Confirming),
        }
    }

    /// Makes the poll that was requested meanwhile, unless the next request is a poll.
    pub(super) fn poll_as_wanted(&mut self) {
        let Some((reason, priority)) = self.wanted.take() else { return };
        let is_next = self.question.request.is_some_and(Request::is_poll) && self.question.at <= self.cx.now.mono;
        if self.may_be_polled() && !is_next {
            self.poll_soon(reason, priority);
        }
    }

    /// Polls as soon as allowed: at once, or after the answer to the request in flight, if that is no poll.
    fn poll_soon(&mut self, reason: WakeReason, priority: Priority) {
        match self.awaited() {
            Some(request) if request.is_poll() => {}
            Some(_) => self.wanted = Some((reason, priority)),
            None => {
                let now = self.cx.now.mono;
                let poll = self.cx.extra_poll(self.phase);
                let soon = self.cx.limits.earliest(now, poll, priority);
                let is_planned = self.question.request.filter(|planned| planned.is_poll()).is_some_and(|planned| {
                    let at = self.question.at.max(self.cx.limits.earliest(now, planned, self.priority()));
                    at > now && at <= soon
                });
                if !is_planned {
                    self.apply(self.cx.stay(self.phase, Ask::Extra(poll, reason, priority)));
                }
            }
        }
    }

    /// Whether a poll out of turn makes sense. While the operator's logout is under way, the other side reports what
    /// the logout has done.
    fn may_be_polled(&self) -> bool {
        self.phase.may_be_polled() && !self.is_ending()
    }
}

/// How long a human is expected to log in after an alert.
const LOGIN_EXPECTED: Duration = Duration::from_mins(30);
/// A difference between the clocks that is not drift.
const JUMP: Duration = Duration::from_secs(10);
/// 31 days.
const LONGEST_SLEEP: SignedDuration = SignedDuration::from_hours(744);
