//! Only a human can help: one slow poll, and nothing else.

use std::time::Duration;

use super::answer::Reading;
use super::context::Context;
use super::phase::{Ask, LoginRequired, Next, Phase};
use super::{Cause, Request, StateReason, WakeReason, contested, recovery};

/// A human is called.
pub(super) fn enter(cx: &mut Context, cause: Cause) -> Next {
    cx.suspicion.clear();
    match cause {
        Cause::Expired | Cause::NeverLoggedIn | Cause::LoggedOut => {
            cx.facts.lived = false;
            cx.facts.auth_time = None;
            cx.facts.sso = None;
        }
        Cause::Borrowed | Cause::NotEnabled | Cause::Exhausted | Cause::ByOperator => {}
    }
    if cause != Cause::ByOperator {
        cx.outage();
    }
    let login = cx.login_required(cause);
    Next { reason: StateReason::Cause(cause), ..watch(cx, login) }
}

/// Waits for the next slow poll.
pub(super) fn watch(cx: &mut Context, login: LoginRequired) -> Next {
    let watch_every = cx.policy.watch_every;
    let spacing = if login.seen_at.is_some() {
        cx.policy.check_every.min(watch_every)
    } else if login.cause == Cause::Borrowed {
        // Any request keeps a borrowed login alive, and alive it is of no use here.
        watch_every.max(IDLED_OUT)
    } else {
        watch_every
    };
    let ask = Ask::In(cx.limits.jitter(spacing), Request::Check, WakeReason::WatchDue);
    Next::stay(cx, Phase::LoginRequired(login), ask)
}

pub(super) fn on_reading(cx: &mut Context, login: LoginRequired, reading: Reading) -> Next {
    let phase = Phase::LoginRequired(login);
    match reading {
        Reading::Good => cx.prove(phase),
        Reading::Competing if login.cause != Cause::ByOperator => contested::enter(cx, phase),
        Reading::Unknown(_) if cx.should_ping() => Next::stay(cx, phase, Ask::Now(Request::Ping, WakeReason::NextStep)),
        Reading::Competing | Reading::Unknown(_) => watch(cx, login),
        // The other application's login is over, so that a new one is all it takes.
        Reading::NoLogin { .. } if login.cause == Cause::Borrowed => enter(cx, Cause::Expired),
        Reading::NoLogin { .. } => watch(cx, LoginRequired { seen_at: None, had_no_login: true, ..login }),
        Reading::NotEstablished | Reading::Lost => login_may_be_back(cx, login),
    }
}

/// Better evidence than that on which a human was called: a login, which the gateway itself turns into a session within
/// seconds. If it has not after a minute, another recovery is worth a try.
fn login_may_be_back(cx: &mut Context, login: LoginRequired) -> Next {
    let is_better = login.had_no_login || (cx.facts.evidence.connected && !login.was_connected);
    if login.cause == Cause::ByOperator || !is_better {
        return watch(cx, login);
    }
    let seen_at = login.seen_at.unwrap_or(cx.now.mono);
    if cx.now.mono < seen_at + HANDS_OFF {
        return watch(cx, LoginRequired { seen_at: Some(seen_at), ..login });
    }
    if let Some(outage) = &mut cx.outage {
        outage.attempts = 0;
    }
    recovery::enter(cx, StateReason::LoginSeen)
}

/// How long a fresh login is left to the gateway: asking for the session in this time is known to disturb it.
const HANDS_OFF: Duration = Duration::from_secs(60);
/// IBKR ends what has been silent for about six minutes; a fifth more than that, for the jitter.
const IDLED_OUT: Duration = Duration::from_secs(460);
