//! Another client uses the brokerage session.

use std::time::Duration;

use super::answer::Reading;
use super::context::Context;
use super::phase::{Ask, Next, Phase};
use super::policy::LONGEST_PAUSE;
use super::{Competing, Request, StateReason, WakeReason};
use super::{polls, recovery, unavailable};

/// Another client was seen to use the session. By policy it is left alone, or the session is taken back.
pub(super) fn enter(cx: &mut Context, from: Phase) -> Next {
    if matches!(from, Phase::Live(_)) {
        cx.flapping.evicted(cx.now.mono);
    }
    cx.suspicion.clear();
    cx.outage().contested = true;
    let outfought = cx.flapping.is_outfought();
    if cx.policy.competing == Competing::TakeOver && !outfought && cx.limits.may_take_over(cx.now.mono) {
        return recovery::enter(cx, StateReason::TakenOver);
    }
    wait(cx, if outfought { StateReason::Outfought } else { StateReason::SomebodyElse })
}

/// Waits for the other client to leave.
pub(super) fn wait(cx: &mut Context, reason: StateReason) -> Next {
    cx.suspicion.clear();
    let at = cx.now.mono + cx.limits.poll_interval(cx.now.mono, cx.policy.check_every);
    Next { phase: Phase::Contested, reason, ask: Ask::At(at, Request::Check, WakeReason::OtherDue) }
}

pub(super) fn on_reading(cx: &mut Context, reading: Reading) -> Next {
    let phase = Phase::Contested;
    match reading {
        Reading::Good => cx.prove(phase),
        Reading::Competing => enter(cx, phase),
        Reading::NotEstablished | Reading::Lost if was_refused_lately(cx) => wait(cx, cx.reason),
        Reading::NotEstablished | Reading::Lost | Reading::NoLogin { .. } if cx.suspicion.flags.is_some() => {
            polls::believe(cx, reading)
        }
        Reading::NotEstablished | Reading::Lost | Reading::NoLogin { .. } => cx.doubt(phase, reading),
        Reading::Unknown(cause) => unavailable::confirm(cx, phase, cause),
    }
}

/// Whether IBKR refused the session because of another client a short time ago: the client's flag may be down while it still
/// uses the session. Asked this seldom, an hour's attempts last the hour, and its leaving is noticed at most that much later.
fn was_refused_lately(cx: &Context) -> bool {
    let apart = LONGEST_PAUSE.max(HOUR / u32::from(cx.policy.recovery.max_per_hour.max(1)));
    let refused = cx.outage.and_then(|outage| outage.refused);
    refused.is_some_and(|t| cx.now.mono < t + apart)
}

const HOUR: Duration = Duration::from_secs(3600);
