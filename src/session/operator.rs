//! What the operator asks for: silence, another try, the end of the session.

use std::time::Duration;

use jiff::Timestamp;

use super::machine::Next;
use super::rate_limiter::Priority;
use super::{Cause, Machine, Now, Request, State, StateReason, WakeReason};

impl Machine {
    pub(super) fn pause(&mut self, now: Now, until: Option<Timestamp>) {
        self.forget_plans();
        self.incident = None;
        let left = until.map(|until| Duration::try_from(until.duration_since(now.wall)).unwrap_or_default());
        self.pause_over = left.map(|left| now.mono.saturating_add(left));
        self.enter(now, State::Paused { until }, StateReason::Operator);
        self.rest(now);
    }

    /// Asks nothing until the pause is over.
    pub(super) const fn rest(&mut self, now: Now) {
        self.next = Next { request: None, at: now.mono, because: WakeReason::PauseOver, priority: Priority::Routine };
    }

    pub(super) fn resume(&mut self, now: Now) {
        match self.state {
            State::Paused { .. } | State::LoginRequired(_) => self.start_again(now, StateReason::Operator),
            State::Starting | State::Live | State::Recovering { .. } | State::Contested | State::Unavailable(_) => {
                self.check_on_demand(now);
            }
        }
    }

    pub(super) fn start_again(&mut self, now: Now, because: StateReason) {
        self.forget_plans();
        if let Some(incident) = &mut self.incident {
            incident.attempts = 0;
        }
        self.enter(now, State::Starting, because);
        self.ask(Request::Check, now.mono, WakeReason::Operator);
    }

    pub(super) fn logout(&mut self, now: Now) {
        self.forget_plans();
        self.ask(Request::EndSession, now.mono, WakeReason::Operator);
    }

    pub(super) fn logged_out(&mut self, now: Now) {
        self.forget_plans();
        self.incident = None;
        self.login_required(now, Cause::ByOperator);
    }

    fn forget_plans(&mut self) {
        self.abandon();
        self.forget_doubts();
        self.login_seen = None;
    }

    pub(super) fn is_pause_over(&self, now: Now) -> bool {
        match self.state {
            // By either clock: one stands still while the host sleeps, the other may be set back.
            State::Paused { until } => {
                until.is_some_and(|until| now.wall >= until) || self.pause_over.is_some_and(|over| now.mono >= over)
            }
            State::Starting
            | State::Live
            | State::Recovering { .. }
            | State::Contested
            | State::Unavailable(_)
            | State::LoginRequired(_) => false,
        }
    }

    pub(super) fn pause_ends(&self, now: Now) -> Duration {
        let left = match self.state {
            State::Paused { until: Some(until) } => {
                Duration::try_from(until.duration_since(now.wall)).unwrap_or_default()
            }
            State::Paused { until: None }
            | State::Starting
            | State::Live
            | State::Recovering { .. }
            | State::Contested
            | State::Unavailable(_)
            | State::LoginRequired(_) => LOOK_UP,
        };
        let look_up = now.mono + left.min(LOOK_UP);
        self.pause_over.map_or(look_up, |over| look_up.min(over))
    }
}

/// How long a pause sleeps at most before it looks at the wall clock again, which goes on while the host sleeps.
const LOOK_UP: Duration = Duration::from_secs(60);
