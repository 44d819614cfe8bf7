//! Looks at the session out of turn: for the operator, for the stream, and after a jump of the clock.

use super::answers::{Doubt, Look, REFUTED};
use super::machine::Next;
use super::rate_limiter::Priority;
use super::{Machine, Now, Request, State, Status, Step, WakeReason};

impl Machine {
    pub(super) fn check_on_demand(&mut self, now: Now) {
        if self.may_look() {
            self.look_soon(now, WakeReason::Operator, Priority::Pressing);
        }
    }

    /// The stream's word is a reason to ask: of a bad flag one check, or else data, decides. That of a stream that was refuted
    /// again and again is no urgent one, and good flags refute it.
    pub(super) fn pushed(&mut self, now: Now, status: Status) {
        if !self.may_look() || (self.state == State::Live && status.look() == Look::Good) {
            return;
        }
        if self.state == State::Live {
            self.denied.get_or_insert(now.mono);
        }
        if self.state == State::Live && self.refuted < REFUTED {
            self.doubt.get_or_insert(Doubt::Session);
            self.look_soon(now, WakeReason::AskAgain, Priority::Confirming);
        } else {
            self.look_soon(now, WakeReason::AskAgain, Priority::Pressing);
        }
    }

    /// What to look with, out of turn: whoever wants to know again and again must not keep a ping from its turn.
    pub(super) fn extra_look(&self, now: Now) -> Request {
        let is_ping_due = self.limits.pinged().is_some_and(|t| now.mono >= t + self.policy.ping_every);
        if self.state == State::Live && is_ping_due && !self.is_gone(Request::Ping) {
            Request::Ping
        } else {
            Request::Check
        }
    }

    /// Has the session looked at as soon as may be: at once, or after the answer to what is in flight, which no look is.
    pub(super) fn look_soon(&mut self, now: Now, because: WakeReason, priority: Priority) {
        match self.awaiting.map(|flight| flight.request) {
            Some(Request::Check | Request::Ping) => {}
            Some(_) => self.wanted = Some((because, priority)),
            None => {
                let look = self.extra_look(now);
                let next = self.next;
                let soon = self.limits.earliest(now.mono, look, priority);
                let is_planned = next.request.is_some_and(|planned| {
                    let at = next.at.max(self.limits.earliest(now.mono, planned, self.priority()));
                    matches!(planned, Request::Check | Request::Ping) && at > now.mono && at <= soon
                });
                if !is_planned {
                    self.next = Next { request: Some(look), at: now.mono, because, priority };
                }
            }
        }
    }

    /// Has the look that was asked for meanwhile, unless what comes next is one.
    pub(super) fn look_as_wanted(&mut self, now: Now) {
        let Some((because, priority)) = self.wanted.take() else { return };
        let is_look = matches!(self.next.request, Some(Request::Check | Request::Ping));
        if self.may_look() && !(is_look && self.next.at <= now.mono) {
            self.look_soon(now, because, priority);
        }
    }

    /// Whether an extra look makes sense.
    pub(super) const fn may_look(&self) -> bool {
        match self.state {
            State::Paused { .. } | State::Recovering { step: Step::Reauthenticate | Step::ValidateSso, .. } => false,
            State::Starting
            | State::Live
            | State::Recovering { step: Step::Check | Step::Confirm | Step::Pause, .. }
            | State::Contested
            | State::Unavailable(_)
            | State::LoginRequired(_) => !self.is_ending(),
        }
    }

    /// All that is known may be old: ask at once, unless the answer is on its way to something that must not be repeated.
    pub(super) fn distrust(&mut self, now: Now) {
        if !self.may_look() {
            return;
        }
        (self.doubt, self.unproved, self.troubled) = (None, None, false);
        match self.awaiting.map(|flight| flight.request) {
            None | Some(Request::Ping | Request::Check | Request::Accounts | Request::IsListening) => {
                self.abandon();
                self.ask(Request::Check, now.mono, WakeReason::ClockJumped);
            }
            Some(
                Request::Reauthenticate | Request::OpenBrokerage { .. } | Request::ValidateSso | Request::EndSession,
            ) => self.wanted = Some((WakeReason::ClockJumped, Priority::Confirming)),
        }
    }
}
