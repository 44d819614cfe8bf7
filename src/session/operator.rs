//! The operator's commands: pause, resume, log out.

use std::time::Duration;

use jiff::Timestamp;

use super::machine::Machine;
use super::phase::{Ask, Next, Phase};
use super::silence::Silence;
use super::{Cause, Failure, Now, Request, StateReason, Unavailability, WakeReason};

impl Machine {
    pub(super) fn pause(&mut self, until: Option<Timestamp>) {
        self.forget_plans();
        self.cx.outage = None;
        let now = self.cx.now;
        let left = until.map(|until| Duration::try_from(until.duration_since(now.wall)).unwrap_or_default());
        let deadline = left.map(|left| now.mono.saturating_add(left));
        let phase = Phase::Paused { until, deadline };
        self.apply(Next { phase, reason: StateReason::Operator, ask: Ask::Nothing });
    }

    /// Ends a pause, or starts again. While nothing answers, what was left unanswered is taken to be gone: the operator knows
    /// better.
    pub(super) fn resume(&mut self) {
        match self.phase {
            Phase::Paused { .. } | Phase::LoginRequired(_) => self.start_again(StateReason::Operator),
            Phase::Unavailable(_) => {
                self.abandon();
                self.cx.silence = Silence::default();
                self.on_check_command();
            }
            Phase::Starting | Phase::Live(_) | Phase::Recovering(_) | Phase::Contested => self.on_check_command(),
        }
    }

    pub(super) fn start_again(&mut self, reason: StateReason) {
        self.forget_plans();
        if self.cx.silence.is_broken() {
            // Most likely the gateway was restarted meanwhile, which was not watched.
            self.cx.silence.process_gone();
        }
        if let Some(outage) = &mut self.cx.outage {
            outage.attempts = 0;
        }
        self.apply(Next { phase: Phase::Starting, reason, ask: Ask::Now(Request::Check, WakeReason::Operator) });
    }

    pub(super) fn log_out(&mut self) {
        if self.awaited() == Some(Request::EndSession) {
            return;
        }
        if self.cx.silence.holds(Request::EndSession) {
            return self.on_session_ended(Err(Failure::Unavailable(Unavailability::NoAnswer)));
        }
        self.forget_plans();
        let ask = Ask::Now(Request::EndSession, WakeReason::Operator);
        self.apply(self.cx.stay(self.phase, ask));
    }

    pub(super) fn logged_out(&mut self) {
        self.forget_plans();
        self.cx.outage = None;
        let next = self.cx.require_login(Cause::ByOperator);
        self.apply(next);
    }

    /// The answer to the logout.
    pub(super) fn on_session_ended(&mut self, answer: Result<(), Failure>) {
        if matches!(self.phase, Phase::Paused { .. }) {
            self.apply(self.cx.stay(self.phase, Ask::Nothing));
        } else if may_have_ended(answer) {
            self.logged_out();
        } else {
            let ask = Ask::Now(Request::Check, WakeReason::AskAgain);
            self.apply(self.cx.stay(self.phase, ask));
        }
    }

    fn forget_plans(&mut self) {
        self.abandon();
        self.cx.suspicion.clear();
        if let Phase::LoginRequired(login) = &mut self.phase {
            login.seen_at = None;
        }
    }
}

/// Whether the session may have ended, so that taking it back would undo what the operator asked for. If it has not, the
/// next check is good.
const fn may_have_ended(answer: Result<(), Failure>) -> bool {
    match answer {
        Ok(()) | Err(Failure::Unauthorized | Failure::LoginPage | Failure::NoSession) => true,
        Err(Failure::Unavailable(cause)) => {
            matches!(cause, Unavailability::NoAnswer | Unavailability::IbkrError | Unavailability::Nonsense)
        }
        Err(Failure::Unsupported) => false,
    }
}

impl Phase {
    /// Whether a pause has ended, by either clock: one stands still while the host sleeps, the other may be set back.
    pub(super) fn is_pause_over(self, now: Now) -> bool {
        match self {
            Self::Paused { until, deadline } => {
                until.is_some_and(|until| now.wall >= until) || deadline.is_some_and(|deadline| now.mono >= deadline)
            }
            Self::Starting
            | Self::Live(_)
            | Self::Recovering(_)
            | Self::Contested
            | Self::Unavailable(_)
            | Self::LoginRequired(_) => false,
        }
    }

    /// When a pause is to be looked at again.
    pub(super) fn pause_wake_at(self, now: Now) -> Duration {
        let (until, deadline) = match self {
            Self::Paused { until, deadline } => (until, deadline),
            Self::Starting
            | Self::Live(_)
            | Self::Recovering(_)
            | Self::Contested
            | Self::Unavailable(_)
            | Self::LoginRequired(_) => (None, None),
        };
        let left = until.map(|until| Duration::try_from(until.duration_since(now.wall)).unwrap_or_default());
        let wake_at = now.mono + left.map_or(LONGEST_SLEEP, |left| left.min(LONGEST_SLEEP));
        deadline.map_or(wake_at, |deadline| wake_at.min(deadline))
    }
}

/// How long a pause sleeps at most before the wall clock is read again, which goes on while the host sleeps.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
