//! A data call right behind a check. In the gateway's queue each request waits for its turn, so where answers are late the
//! two that confirm an attempt wait together.

use super::machine::{Behind, InFlight, Machine};
use super::phase::{Confirmation, Phase, RecoveryPhase};
use super::shared_budget::{ClientId, SharedBudget};
use super::{Answer, Now, Request};

impl Machine {
    /// Whether a data call is to follow this request at once: the first check after IBKR has granted the session.
    pub(super) fn may_follow(&self, flight: InFlight) -> bool {
        flight.request == Request::Check
            && self.confirming().is_some_and(|confirmation| confirmation.attempt.direct && confirmation.delays == 0)
            && self.cx.is_busy()
            && self.behind.is_none()
            && self.standing.is_none()
            && self.cx.silence.may_go_beside(self.cx.now.mono)
            && !self.cx.is_unsupported(Request::Accounts)
    }

    /// Whether the budgets have room for this request.
    pub(super) fn may_send(&self, now: Now, request: Request, budget: &mut SharedBudget, client: ClientId) -> bool {
        let limits = self.cx.limits.earliest(now.mono, request, self.priority()).max(budget.quiet_until());
        limits <= now.mono && budget.acquire(now.mono, client, true) <= now.mono
    }

    /// The data call behind, while it is not answered.
    pub(super) fn unanswered_behind(&self) -> Option<InFlight> {
        self.behind.filter(|behind| behind.early.is_none()).map(|behind| behind.flight)
    }

    /// Whether this answers the data call behind, whose answer then waits for that of the check.
    pub(super) fn is_answered_behind(&mut self, answer: Answer) -> bool {
        let Some(flight) = self.unanswered_behind().filter(|flight| answer.answers(flight.request)) else {
            return false;
        };
        self.behind = Some(Behind { flight, early: Some(answer) });
        if answer.is_from_ibkr() {
            self.cx.facts.answer_took = Some(self.cx.now.mono.saturating_sub(flight.sent_at));
            self.cx.silence.sign_at = Some(self.cx.now.mono);
        }
        self.cx.heed_penalty(answer);
        true
    }

    /// Once the check is answered, the data call behind it takes its place, or is left to itself.
    pub(super) fn settle_behind(&mut self) {
        let Some(Behind { flight, early }) = self.behind else { return };
        if self.confirming().is_some() && self.awaited() == Some(Request::Check) {
            return;
        }
        self.behind = None;
        let now = self.cx.now;
        let is_next = self.question.request == Some(Request::Accounts) && self.question.at <= now.mono;
        let is_next = is_next && self.confirming().is_some() && self.awaited().is_none();
        match early {
            // What is no proof is asked again after good flags.
            Some(answer) if is_next && is_proof(&answer) => self.handle(flight, answer),
            Some(_) => {}
            None if is_next && now.mono < flight.due => self.in_flight = Some(flight),
            None if is_next => (self.standing, self.watched_at) = (Some(flight), None),
            None => {
                let counts = self.cx.silence.is_on;
                self.cx.silence.hold(flight.request, now.at(flight.sent_at), true, counts);
            }
        }
    }

    pub(super) const fn confirming(&self) -> Option<Confirmation> {
        if let Phase::Recovering(RecoveryPhase::Confirming(confirmation)) = self.phase {
            Some(confirmation)
        } else {
            None
        }
    }
}

/// Whether this answer proves a session whose flags are good.
pub(super) const fn is_proof(answer: &Answer) -> bool {
    matches!(answer, Answer::Accounts(Ok(accounts)) if accounts.usable)
}
