//! The recovery sequence: check, reauthenticate, validate_sso, confirm. It is bounded, and proof ends it at once.

use std::time::Duration;

use super::answer::{Reading, Reauthentication};
use super::context::Context;
use super::phase::{Ask, Attempt, Confirmation, Next, Phase, Recovery};
use super::policy::{CONFIRM_WITHIN, FIRST_PAUSE, LONGEST_PAUSE};
use super::rate_limiter::{VALIDATE_GAP, backoff};
use super::{Cause, Competing, Failure, Method, Request, Sso, StateReason, Status, WakeReason};
use super::{contested, login_required, unavailable};

/// The session is gone, the login may stand: begins, or goes on with, the attempts of this outage.
pub(super) fn enter(cx: &mut Context, reason: StateReason) -> Next {
    cx.suspicion.clear();
    next_attempt(cx, reason)
}

/// Authenticated and not established: the session is on its way, and is waited for before it is asked for.
pub(super) fn settle(cx: &mut Context) -> Next {
    let attempt = cx.outage().attempts.saturating_add(1);
    let settling = Recovery::Settling { attempt, since: cx.now.mono };
    let ask = Ask::In(LAST_DELAY, Request::Check, WakeReason::ConfirmDue);
    Next { phase: Phase::Recovering(settling), reason: StateReason::NotEstablished, ask }
}

/// The next attempt, if its pause is over and the hour's budget allows one. Until then polls only see whether the session has
/// come back by itself.
pub(super) fn next_attempt(cx: &mut Context, reason: StateReason) -> Next {
    let outage = *cx.outage();
    if outage.attempts >= cx.policy.recovery.attempts {
        return exhausted(cx);
    }
    let now = cx.now.mono;
    let number = outage.attempts + 1;
    let free = cx.limits.may_ask(now, cx.policy.recovery.max_per_hour);
    let at = free.max(outage.not_before);
    if at > now {
        let wake = if free > now { WakeReason::BudgetSpent } else { WakeReason::AttemptDue };
        // Half a proof that the login is gone is no reason to wait: a human may have to be called.
        let is_half_proved = (1..PROOFS).contains(&outage.proofs);
        let poll = if is_half_proved { PROOFS_SPAN } else { cx.policy.watch_every };
        let phase = Phase::Recovering(Recovery::BackingOff { attempt: number });
        return Next { phase, reason, ask: Ask::At(at.min(now + poll), Request::Check, wake) };
    }
    cx.outage().attempts = number;
    let method = method(cx, number);
    let direct = method != Some(Request::Reauthenticate);
    let attempt = Attempt { number, direct, taking_over: cx.competes() };
    match method {
        Some(request) => {
            let phase = Phase::Recovering(Recovery::Requesting(attempt));
            Next { phase, reason, ask: Ask::Now(request, WakeReason::NextStep) }
        }
        None => validate(cx, attempt, reason),
    }
}

/// How the session is asked for in this attempt: the configured methods in turn, without those that are not supported and
/// those that would evict another client that is to be left alone.
fn method(cx: &Context, attempt: u8) -> Option<Request> {
    let contested = cx.outage.is_some_and(|outage| outage.contested);
    let yielding = cx.policy.competing == Competing::Yield && contested;
    let usable: Vec<Request> = cx
        .policy
        .recovery
        .methods
        .iter()
        .filter_map(|method| match method {
            // The gateway competes by itself, so only the direct way leaves another client alone.
            Method::Gateway if yielding && (cx.has_direct() || cx.facts.evidence.competing) => None,
            Method::Gateway => Some(Request::Reauthenticate),
            Method::Direct => Some(Request::OpenBrokerage { compete: cx.competes() }),
        })
        .filter(|request| !cx.is_unsupported(*request))
        .collect();
    let turn = usize::from(attempt.saturating_sub(1)) % usable.len().max(1);
    usable.get(turn).copied()
}

/// The answer to `reauthenticate`.
pub(super) fn on_reauthenticate(
    cx: &mut Context,
    recovery: Recovery,
    answer: Result<Reauthentication, Failure>,
) -> Next {
    let phase = Phase::Recovering(recovery);
    match answer {
        // The gateway knows of no login, and IBKR has just answered as if there were one: asking IBKR may work.
        Ok(Reauthentication::NotLoggedIn) if cx.has_direct() && !cx.facts.evidence.no_login => {
            cx.unsupported.push(Request::Reauthenticate);
            void(cx)
        }
        Ok(Reauthentication::NotLoggedIn) => cx.conclude(phase, Cause::NeverLoggedIn),
        Ok(Reauthentication::Accepted) => validate(cx, recovery.attempt(), cx.reason),
        Err(failure) => on_refused(cx, recovery, failure),
    }
}

/// The answer of IBKR itself to an attempt.
pub(super) fn on_open_brokerage(cx: &mut Context, recovery: Recovery, answer: Result<Status, Failure>) -> Next {
    let attempt = recovery.attempt();
    match answer.map(Status::reading) {
        Ok(Reading::Good) => confirm(cx, attempt, cx.reason),
        Ok(Reading::Competing) if !attempt.taking_over => {
            cx.outage().refused = Some(cx.now.mono);
            let next = contested::enter(cx, Phase::Recovering(recovery));
            // Leaving another client alone is no failure: only fights use attempts up.
            if next.phase == Phase::Contested {
                let outage = cx.outage();
                outage.attempts = outage.attempts.saturating_sub(1);
            }
            next
        }
        Ok(_) => validate(cx, attempt, cx.reason),
        Err(failure) => on_refused(cx, recovery, failure),
    }
}

fn on_refused(cx: &mut Context, recovery: Recovery, failure: Failure) -> Next {
    let phase = Phase::Recovering(recovery);
    match failure {
        Failure::LoginPage => cx.conclude(phase, Cause::Expired),
        Failure::Unsupported => void(cx),
        Failure::Unavailable(cause) if cause.is_on_the_way() => unavailable::enter(cx, phase, cause),
        // Whatever IBKR thinks of this one request, the next check tells how the session is.
        Failure::Unauthorized | Failure::NoSession | Failure::Unavailable(_) => {
            validate(cx, recovery.attempt(), cx.reason)
        }
    }
}

/// This request asked for nothing, so it was no attempt: the next one.
fn void(cx: &mut Context) -> Next {
    let outage = cx.outage();
    outage.attempts = outage.attempts.saturating_sub(1);
    next_attempt(cx, StateReason::SessionLapsed)
}

/// Asks whether the login stands, unless that was asked within the minute: then the last answer stands.
fn validate(cx: &mut Context, attempt: Attempt, reason: StateReason) -> Next {
    if cx.is_unsupported(Request::ValidateSso) || !cx.limits.may_validate(cx.now.mono) {
        return confirm(cx, attempt, reason);
    }
    let phase = Phase::Recovering(Recovery::Validating(attempt));
    Next { phase, reason, ask: Ask::Now(Request::ValidateSso, WakeReason::NextStep) }
}

/// The answer to `validate_sso` in an attempt.
pub(super) fn on_sso(cx: &mut Context, recovery: Recovery, answer: Result<Sso, Failure>) -> Next {
    let (phase, attempt) = (Phase::Recovering(recovery), recovery.attempt());
    match answer {
        Ok(sso) if sso.valid => {
            cx.outage().invalid_since = None;
            confirm(cx, attempt, cx.reason)
        }
        Ok(_) => {
            let now = cx.now.mono;
            let since = *cx.outage().invalid_since.get_or_insert(now);
            if now >= since + VALIDATE_GAP {
                cx.conclude(phase, how_it_ended(cx))
            } else {
                confirm(cx, attempt, cx.reason)
            }
        }
        Err(Failure::Unauthorized | Failure::LoginPage) => cx.conclude(phase, how_it_ended(cx)),
        Err(Failure::Unavailable(cause)) if cause.is_on_the_way() => unavailable::enter(cx, phase, cause),
        Err(Failure::NoSession | Failure::Unsupported | Failure::Unavailable(_)) => confirm(cx, attempt, cx.reason),
    }
}

const fn how_it_ended(cx: &Context) -> Cause {
    let last = cx.facts.evidence;
    if last.no_login || last.connected { Cause::Expired } else { Cause::LoggedOut }
}

fn confirm(cx: &Context, attempt: Attempt, reason: StateReason) -> Next {
    let confirmation = Confirmation { attempt, since: cx.now.mono, delays: usize::from(!attempt.direct) };
    let delay = if attempt.direct { Duration::ZERO } else { DELAYS[0] };
    let phase = Phase::Recovering(Recovery::Confirming(confirmation));
    Next { phase, reason, ask: Ask::In(delay, Request::Check, WakeReason::ConfirmDue) }
}

/// The session has not come yet: asks again, or gives this attempt up.
pub(super) fn confirm_again(cx: &mut Context, confirmation: Confirmation) -> Next {
    let now = cx.now.mono;
    let over = confirmation.since + CONFIRM_WITHIN;
    if now >= over {
        return attempt_failed(cx);
    }
    let delay = DELAYS.get(confirmation.delays).copied().unwrap_or(LAST_DELAY);
    let confirmation = Confirmation { delays: confirmation.delays + 1, ..confirmation };
    let ask = Ask::At((now + delay).min(over), Request::Check, WakeReason::ConfirmDue);
    Next::stay(cx, Phase::Recovering(Recovery::Confirming(confirmation)), ask)
}

fn attempt_failed(cx: &mut Context) -> Next {
    let attempts = u32::from(cx.outage().attempts);
    let pause = cx.limits.jitter(backoff(attempts, FIRST_PAUSE, LONGEST_PAUSE));
    cx.outage().not_before = cx.now.mono + pause;
    next_attempt(cx, StateReason::SessionLapsed)
}

/// No proof, and no more attempts: a human is called, with the cause that it looks like; unless another client will not let go
/// of the session.
fn exhausted(cx: &mut Context) -> Next {
    if cx.competes() && cx.facts.evidence.competing {
        cx.outage().attempts = 0;
        return contested::wait(cx, StateReason::Outfought);
    }
    let cause = match cx.facts.sso {
        Some((_, sso)) if sso.borrowed => Cause::Borrowed,
        Some((_, sso)) if !sso.valid => Cause::LoggedOut,
        Some(_) if !cx.facts.lived => Cause::NotEnabled,
        Some(_) | None => Cause::Exhausted,
    };
    login_required::enter(cx, cause)
}

pub(super) fn on_reading(cx: &mut Context, recovery: Recovery, reading: Reading) -> Next {
    let phase = Phase::Recovering(recovery);
    let now = cx.now.mono;
    let outage = cx.outage();
    let (proofs, lasted) = (outage.proofs, now >= outage.proofs_since + PROOFS_SPAN);
    match reading {
        Reading::Good => cx.prove(phase),
        Reading::Unknown(cause) => unavailable::confirm(cx, phase, cause),
        Reading::Competing if !matches!(recovery, Recovery::Confirming(c) if c.attempt.taking_over) => {
            contested::enter(cx, phase)
        }
        Reading::NoLogin { page: true } => cx.conclude(phase, Cause::Expired),
        Reading::NoLogin { .. } if proofs >= PROOFS && lasted => {
            let never = !cx.facts.lived && cx.facts.sso.is_some_and(|(_, sso)| sso.valid);
            login_required::enter(cx, if never { Cause::NotEnabled } else { Cause::Expired })
        }
        Reading::Competing | Reading::NotEstablished | Reading::Lost | Reading::NoLogin { .. } => match recovery {
            Recovery::Confirming(confirmation) => confirm_again(cx, confirmation),
            Recovery::Settling { since, .. } if reading == Reading::NotEstablished && now < since + CONFIRM_WITHIN => {
                Next::stay(cx, phase, Ask::In(LAST_DELAY, Request::Check, WakeReason::ConfirmDue))
            }
            Recovery::Settling { .. }
            | Recovery::BackingOff { .. }
            | Recovery::Requesting(_)
            | Recovery::Validating(_) => next_attempt(cx, StateReason::SessionLapsed),
        },
    }
}

impl Recovery {
    /// The attempt under way.
    const fn attempt(self) -> Attempt {
        match self {
            Self::Requesting(attempt) | Self::Validating(attempt) => attempt,
            Self::Confirming(confirmation) => confirmation.attempt,
            Self::Settling { attempt, .. } | Self::BackingOff { attempt } => {
                Attempt { number: attempt, direct: false, taking_over: false }
            }
        }
    }
}

/// When the outcome of an attempt is asked, each counted from the one before. They are dense around the three seconds that the
/// gateway's own way takes. After `direct` the first check comes at once.
const DELAYS: [Duration; 6] = [
    Duration::from_millis(500),
    Duration::from_millis(1000),
    Duration::from_millis(1000),
    Duration::from_millis(750),
    Duration::from_millis(750),
    Duration::from_millis(1000),
];
const LAST_DELAY: Duration = Duration::from_secs(2);
/// Checks in a row without a login, over this span, that are proof by themselves while `validate_sso` may not be asked.
const PROOFS: u8 = 3;
const PROOFS_SPAN: Duration = Duration::from_secs(5);
