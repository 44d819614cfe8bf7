//! The data call that proves a session: what its answer means in each state.

use super::answer::Reading;
use super::context::{Context, Doubt, Unproved};
use super::phase::{Ask, Next, Phase, RecoveryPhase};
use super::{Accounts, Failure, Request, StateReason, Unavailability, WakeReason};
use std::time::Duration;

impl Context {
    /// The answer to a data call that was sent at `sent_at`.
    pub(super) fn on_accounts(&mut self, phase: Phase, sent_at: Duration, answer: Result<Accounts, Failure>) -> Next {
        match answer {
            // A late answer: the flags that it is to confirm may have changed.
            Ok(_)
                if !matches!(phase, Phase::Live(_))
                    && self.facts.last_good.is_none_or(|at| self.now.mono > at.mono + FRESH) =>
            {
                self.check_now(phase)
            }
            Ok(accounts) if accounts.usable => {
                self.facts.is_paper = accounts.is_paper;
                self.facts.last_data = Some(self.now);
                self.unsupported.retain(|request| *request != Request::Accounts);
                if matches!(phase, Phase::Live(_)) {
                    self.refute_stream(sent_at);
                }
                self.go_live(phase, StateReason::DataConfirmed)
            }
            Ok(_) | Err(Failure::NoSession) => self.no_data(phase),
            Err(Failure::Unsupported) if self.is_unsupported(Request::Accounts) => {
                self.go_live(phase, StateReason::FlagsAlone)
            }
            Err(Failure::Unsupported) if self.suspicion.data == Some(Unproved::Unsupported) => {
                let next = self.go_live(phase, StateReason::FlagsAlone);
                self.unsupported.push(Request::Accounts);
                next
            }
            Err(Failure::Unsupported) => self.prove_again(phase, Unproved::Unsupported),
            Err(failure @ (Failure::Unauthorized | Failure::LoginPage)) => {
                let next = self.no_data(phase);
                if next.phase.is_watching() {
                    self.suspicion.flags = Some(Doubt::about(failure.reading()));
                }
                next
            }
            Err(Failure::Unavailable(cause)) => self.on_data_unavailable(phase, cause),
        }
    }

    fn on_data_unavailable(&mut self, phase: Phase, cause: Unavailability) -> Next {
        self.record(phase, Reading::Unknown(cause), None);
        match phase {
            Phase::Live(_) | Phase::Recovering(_) | Phase::Contested => {
                if cause.needs_no_confirmation() || self.suspicion.data == Some(Unproved::Unavailable) {
                    self.become_unavailable(phase, cause)
                } else if cause == Unavailability::NoAnswer {
                    // The connection alone may be to blame: the check goes by another one.
                    self.suspicion.data = Some(Unproved::Unavailable);
                    self.suspicion.unavailable = true;
                    self.stay(phase, Ask::Now(Request::Check, WakeReason::AskAgain))
                } else {
                    self.prove_again(phase, Unproved::Unavailable)
                }
            }
            Phase::Starting | Phase::Unavailable(_) | Phase::LoginRequired(_) => self.become_unavailable(phase, cause),
            Phase::Paused { .. } => self.stay(phase, Ask::Nothing),
        }
    }

    fn no_data(&mut self, phase: Phase) -> Next {
        if phase.is_watching() {
            self.outage();
        }
        match phase {
            Phase::Starting | Phase::Live(_) | Phase::Contested | Phase::Unavailable(_) => {
                if self.suspicion.data == Some(Unproved::NoData) {
                    self.recover(StateReason::NoData)
                } else if self.stream.denied_at.is_some() {
                    // The stream and data deny the session, and the flags came before either.
                    (self.suspicion.data, self.suspicion.flags) = (Some(Unproved::NoData), Some(Doubt::Session));
                    self.stay(phase, Ask::Now(Request::Check, WakeReason::AskAgain))
                } else {
                    // The flags may have changed meanwhile: empty data is also how another client's session shows.
                    self.prove_again(phase, Unproved::NoData)
                }
            }
            Phase::Recovering(RecoveryPhase::Confirming(confirmation)) => {
                let is_denied = self.stream.denied_at.is_some_and(|at| at > confirmation.since);
                self.confirm_again(confirmation, !is_denied)
            }
            Phase::Recovering(_) => self.next_attempt(StateReason::NoData),
            Phase::LoginRequired(login) => self.watch_for_login(login),
            Phase::Paused { .. } => self.stay(phase, Ask::Nothing),
        }
    }

    fn prove_again(&mut self, phase: Phase, why: Unproved) -> Next {
        self.suspicion.data = Some(why);
        self.ask_again(phase)
    }
}

/// How long good flags can be confirmed by a data call.
const FRESH: Duration = Duration::from_secs(55);
