//! What the answer to a check or a ping means in each state.

use super::answer::Reading;
use super::context::{Context, Doubt};
use super::phase::{Ask, Next, Phase};
use super::{Cause, Failure, Request, StateReason, Status, Unavailability, WakeReason};

impl Context {
    /// The answer to a ping. One without a status proves nothing; the check after it does.
    pub(super) fn on_ping(&mut self, phase: Phase, answer: Result<Status, Failure>) -> Next {
        match answer {
            Ok(status) => {
                self.unsupported.retain(|request| *request != Request::Ping);
                self.on_reading(phase, Request::Ping, status.reading(), Some(status))
            }
            Err(Failure::NoSession | Failure::Unsupported) => {
                if self.polls.check_in_vain || self.polls.pings_only_until.is_some() || self.is_check_blocked() {
                    self.on_reading(phase, Request::Ping, Reading::Unknown(Unavailability::Nonsense), None)
                } else {
                    self.stay(phase, Ask::Now(Request::Check, WakeReason::AskAgain))
                }
            }
            Err(failure) => self.on_reading(phase, Request::Ping, failure.reading(), None),
        }
    }

    /// The answer to a check.
    pub(super) fn on_check(&mut self, phase: Phase, answer: Result<Status, Failure>) -> Next {
        match answer {
            Ok(status) => self.on_reading(phase, Request::Check, status.reading(), Some(status)),
            Err(failure) => self.on_reading(phase, Request::Check, failure.reading(), None),
        }
    }

    fn on_reading(&mut self, phase: Phase, asked: Request, reading: Reading, status: Option<Status>) -> Next {
        self.record(phase, reading, status);
        self.compare_polls(asked, reading);
        if let Some(cause) = self.suspicion.login_gone.take() {
            return match reading {
                Reading::Good => self.prove(phase),
                Reading::Competing => self.contest(phase),
                Reading::Unknown(why) => self.become_unavailable(phase, why),
                Reading::NotEstablished | Reading::Lost | Reading::NoLogin { .. } => self.require_login(cause),
            };
        }
        match phase {
            Phase::Starting | Phase::Unavailable(_) => self.on_reading_from_nothing(phase, reading),
            Phase::Live(live) => self.on_reading_while_live(live, asked, reading),
            Phase::Recovering(recovery) => self.on_reading_while_recovering(recovery, reading),
            Phase::Contested => self.on_reading_while_contested(reading),
            Phase::LoginRequired(login) => self.on_reading_while_login_required(login, reading),
            Phase::Paused { .. } => self.stay(phase, Ask::Nothing),
        }
    }

    /// The second bad reading: it is believed.
    pub(super) fn believe(&mut self, reading: Reading) -> Next {
        let page = self.suspicion.flags == Some(Doubt::LoginPage) || reading == Reading::NoLogin { page: true };
        if page {
            return self.require_login(Cause::Expired);
        }
        self.suspicion.flags = None;
        match reading {
            Reading::NoLogin { .. } => self.recover(StateReason::NoLogin),
            Reading::NotEstablished => self.settle(),
            Reading::Good | Reading::Competing | Reading::Lost | Reading::Unknown(_) => {
                self.recover(StateReason::SessionLapsed)
            }
        }
    }
}
