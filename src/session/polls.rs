//! What the answer to a check or a ping means in each state.

use super::answer::Reading;
use super::context::{Context, Doubt};
use super::phase::{Ask, Next, Phase};
use super::{Cause, Failure, Request, StateReason, Status, Unavailability, WakeReason};
use super::{contested, live, login_required, recovery, starting, unavailable};

/// The answer to a ping. One without a status proves nothing; the check after it does.
pub(super) fn on_ping(cx: &mut Context, phase: Phase, answer: Result<Status, Failure>) -> Next {
    match answer {
        Ok(status) => on_reading(cx, phase, Request::Ping, status.reading(), Some(status)),
        Err(Failure::NoSession | Failure::Unsupported) => {
            if cx.polls.check_in_vain || cx.polls.pings_only_until.is_some() {
                on_reading(cx, phase, Request::Ping, Reading::Unknown(Unavailability::Nonsense), None)
            } else {
                Next::stay(cx, phase, Ask::Now(Request::Check, WakeReason::AskAgain))
            }
        }
        Err(failure) => on_reading(cx, phase, Request::Ping, failure.reading(), None),
    }
}

/// The answer to a check.
pub(super) fn on_check(cx: &mut Context, phase: Phase, answer: Result<Status, Failure>) -> Next {
    match answer {
        Ok(status) => on_reading(cx, phase, Request::Check, status.reading(), Some(status)),
        Err(failure) => on_reading(cx, phase, Request::Check, failure.reading(), None),
    }
}

fn on_reading(cx: &mut Context, phase: Phase, asked: Request, reading: Reading, status: Option<Status>) -> Next {
    cx.record(phase, reading, status);
    cx.compare_polls(asked, reading);
    if let Some(cause) = cx.suspicion.login_gone.take() {
        return match reading {
            Reading::Good => cx.prove(phase),
            Reading::Competing => contested::enter(cx, phase),
            Reading::Unknown(why) => unavailable::enter(cx, phase, why),
            Reading::NotEstablished | Reading::Lost | Reading::NoLogin { .. } => login_required::enter(cx, cause),
        };
    }
    match phase {
        Phase::Starting | Phase::Unavailable(_) => starting::on_reading(cx, phase, reading),
        Phase::Live(live) => live::on_reading(cx, live, asked, reading),
        Phase::Recovering(recovery) => recovery::on_reading(cx, recovery, reading),
        Phase::Contested => contested::on_reading(cx, reading),
        Phase::LoginRequired(login) => login_required::on_reading(cx, login, reading),
        Phase::Paused { .. } => Next::stay(cx, phase, Ask::Nothing),
    }
}

/// The second bad reading: it is believed.
pub(super) fn believe(cx: &mut Context, reading: Reading) -> Next {
    let page = cx.suspicion.flags == Some(Doubt::LoginPage) || reading == Reading::NoLogin { page: true };
    if page {
        return login_required::enter(cx, Cause::Expired);
    }
    cx.suspicion.flags = None;
    match reading {
        Reading::NoLogin { .. } => recovery::enter(cx, StateReason::NoLogin),
        Reading::NotEstablished => recovery::settle(cx),
        Reading::Good | Reading::Competing | Reading::Lost | Reading::Unknown(_) => {
            recovery::enter(cx, StateReason::SessionLapsed)
        }
    }
}
