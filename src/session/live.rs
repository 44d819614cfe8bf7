//! The session works.

use std::time::Duration;

use super::answer::Reading;
use super::context::{Context, Doubt, REFUTED};
use super::phase::{Ask, Live, Next, Phase};
use super::{Failure, Request, Sso, StateReason, WakeReason};
use super::{contested, polls, unavailable};

/// Good flags, and data that confirms them.
pub(super) fn enter(cx: &mut Context, from: Phase, reason: StateReason) -> Next {
    cx.suspicion.clear();
    if cx.stream.denied_at.is_some() && cx.stream.refuted < REFUTED {
        cx.suspicion.flags = Some(Doubt::Session);
    }
    // The attempt that led here has not failed; those before it have.
    let failed = cx.outage.take().map_or(0, |outage| outage.attempts.saturating_sub(1));
    cx.flapping.carry_attempts(failed);
    if matches!(from, Phase::LoginRequired(_)) {
        // A new login may have come with a new gateway: what the old one did not know, this one may.
        cx.unsupported.clear();
        cx.flapping.forget_attempts();
    }
    cx.facts.lived = true;
    let since = if matches!(from, Phase::Live(_)) { cx.since.mono } else { cx.now.mono };
    let live = Live { data_ok_at: cx.now.mono };
    let ask = next_poll(cx, live, since);
    Next { phase: Phase::Live(live), reason, ask }
}

pub(super) fn on_reading(cx: &mut Context, live: Live, asked: Request, reading: Reading) -> Next {
    let phase = Phase::Live(live);
    match reading {
        // Of two answers that contradict each other neither is believed: data decides.
        Reading::Good if cx.suspicion.flags.is_some() || cx.suspicion.data.is_some() => cx.prove(phase),
        Reading::Good => {
            cx.refute_stream(cx.polls.last_at);
            cx.outage = None;
            stay(cx, live)
        }
        Reading::Competing => contested::enter(cx, phase),
        Reading::NotEstablished | Reading::Lost | Reading::NoLogin { .. } if cx.suspicion.flags.is_some() => {
            polls::believe(cx, reading)
        }
        // Two different requests with the same answer prove as much as one that is repeated, and a second sooner.
        Reading::NotEstablished | Reading::Lost if !cx.is_unsupported(Request::Ping) => {
            cx.suspicion.flags = Some(Doubt::Session);
            let other = if asked == Request::Ping { Request::Check } else { Request::Ping };
            Next::stay(cx, phase, Ask::Now(other, WakeReason::AskAgain))
        }
        Reading::NotEstablished | Reading::Lost | Reading::NoLogin { .. } => cx.doubt(phase, reading),
        Reading::Unknown(cause) => unavailable::confirm(cx, phase, cause),
    }
}

/// What `validate_sso` answered when the login's age was asked.
pub(super) fn on_sso(cx: &mut Context, live: Live, answer: Result<Sso, Failure>) -> Next {
    let phase = Phase::Live(live);
    match answer {
        Err(Failure::Unauthorized | Failure::LoginPage) => {
            Next::stay(cx, phase, Ask::Now(Request::Check, WakeReason::AskAgain))
        }
        Err(Failure::Unavailable(cause)) if cause.is_on_the_way() => unavailable::confirm(cx, phase, cause),
        Ok(_) | Err(Failure::NoSession | Failure::Unsupported | Failure::Unavailable(_)) => stay(cx, live),
    }
}

fn stay(cx: &mut Context, live: Live) -> Next {
    let ask = next_poll(cx, live, cx.since.mono);
    Next::stay(cx, Phase::Live(live), ask)
}

/// Schedules the next request. A ping reports as a check does, so it takes the place of one.
fn next_poll(cx: &mut Context, live: Live, live_since: Duration) -> Ask {
    let now = cx.now.mono;
    let check = cx.polls.last_at + cx.limits.poll_interval(now, cx.policy.check_every);
    let ping = cx.limits.pinged().map_or(now, |t| t + cx.policy.ping_every);
    let ping_due = ping < check + cx.policy.check_every && !cx.is_unsupported(Request::Ping);
    let proof = live.data_ok_at + cx.policy.confirm_every;
    let (poll, at, reason) = if ping_due {
        (Request::Ping, ping.min(check), WakeReason::PingDue)
    } else {
        (Request::Check, check, WakeReason::CheckDue)
    };
    // The earliest goes first: none of the others may delay a ping.
    if !cx.policy.confirm_every.is_zero() && proof <= at {
        Ask::At(proof, Request::Accounts, WakeReason::ProofDue)
    } else if let Some(age) = login_age_due(cx, live_since).filter(|age| *age <= at) {
        Ask::At(age, Request::ValidateSso, WakeReason::LoginAge)
    } else {
        Ask::At(at, poll, reason)
    }
}

/// When the login's age is to be asked, which tells when this login will end.
fn login_age_due(cx: &Context, live_since: Duration) -> Option<Duration> {
    if !cx.auth_time_stale || cx.is_unsupported(Request::ValidateSso) {
        return None;
    }
    let first = live_since + LOGIN_AGE;
    let asked = cx.limits.validated().filter(|t| *t >= live_since);
    Some(asked.map_or(first, |t| t + AGE_AGAIN))
}

/// How long after the session became live the login's age is asked.
const LOGIN_AGE: Duration = Duration::from_secs(60);
/// And how long after an answer that did not tell it is asked again.
const AGE_AGAIN: Duration = Duration::from_secs(3600);
