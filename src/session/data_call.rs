//! The data call that proves a session: what its answer means in each state.

use super::answer::Reading;
use super::context::{Context, Doubt, Unproved};
use super::phase::{Ask, Next, Phase, Recovery};
use super::{Accounts, Failure, Request, StateReason, Unavailability, WakeReason};
use super::{live, login_required, recovery, unavailable};
use std::time::Duration;

/// The answer to a data call that was sent at `sent_at`.
pub(super) fn on_accounts(
    cx: &mut Context,
    phase: Phase,
    sent_at: Duration,
    answer: Result<Accounts, Failure>,
) -> Next {
    match answer {
        Ok(accounts) if accounts.usable => {
            cx.facts.is_paper = accounts.is_paper;
            cx.unsupported.retain(|request| *request != Request::Accounts);
            cx.refute_stream(sent_at);
            live::enter(cx, phase, StateReason::DataConfirmed)
        }
        Ok(_) | Err(Failure::NoSession) => no_data(cx, phase),
        Err(Failure::Unsupported) if cx.is_unsupported(Request::Accounts) => {
            live::enter(cx, phase, StateReason::FlagsAlone)
        }
        Err(Failure::Unsupported) if cx.suspicion.data == Some(Unproved::Unsupported) => {
            let next = live::enter(cx, phase, StateReason::FlagsAlone);
            cx.unsupported.push(Request::Accounts);
            next
        }
        Err(Failure::Unsupported) => prove_again(cx, phase, Unproved::Unsupported),
        Err(failure @ (Failure::Unauthorized | Failure::LoginPage)) => {
            let next = no_data(cx, phase);
            if next.phase.is_watching() {
                cx.suspicion.flags = Some(Doubt::about(failure.reading()));
            }
            next
        }
        Err(Failure::Unavailable(cause)) => on_unavailable(cx, phase, cause),
    }
}

fn on_unavailable(cx: &mut Context, phase: Phase, cause: Unavailability) -> Next {
    cx.record(phase, Reading::Unknown(cause), None);
    match phase {
        Phase::Live(_) | Phase::Recovering(_) | Phase::Contested => {
            if cause.needs_no_confirmation() || cx.suspicion.data == Some(Unproved::Unavailable) {
                unavailable::enter(cx, phase, cause)
            } else if cause == Unavailability::NoAnswer {
                // The connection alone may be to blame: the check goes by another one.
                cx.suspicion.data = Some(Unproved::Unavailable);
                cx.suspicion.unavailable = true;
                Next::stay(cx, phase, Ask::Now(Request::Check, WakeReason::AskAgain))
            } else {
                prove_again(cx, phase, Unproved::Unavailable)
            }
        }
        Phase::Starting | Phase::Unavailable(_) | Phase::LoginRequired(_) => unavailable::enter(cx, phase, cause),
        Phase::Paused { .. } => Next::stay(cx, phase, Ask::Nothing),
    }
}

fn no_data(cx: &mut Context, phase: Phase) -> Next {
    if phase.is_watching() {
        cx.outage();
    }
    match phase {
        Phase::Starting | Phase::Live(_) | Phase::Contested | Phase::Unavailable(_) => {
            if cx.suspicion.data == Some(Unproved::NoData) {
                recovery::enter(cx, StateReason::NoData)
            } else {
                // The flags may have changed meanwhile: empty data is also how another client's session shows.
                prove_again(cx, phase, Unproved::NoData)
            }
        }
        Phase::Recovering(Recovery::Confirming(confirmation)) => recovery::confirm_again(cx, confirmation),
        Phase::Recovering(_) => recovery::next_attempt(cx, StateReason::NoData),
        Phase::LoginRequired(login) => login_required::watch(cx, login),
        Phase::Paused { .. } => Next::stay(cx, phase, Ask::Nothing),
    }
}

fn prove_again(cx: &mut Context, phase: Phase, why: Unproved) -> Next {
    cx.suspicion.data = Some(why);
    cx.ask_again(phase)
}
