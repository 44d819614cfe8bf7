//! The machine's states with the data that belongs to each, and what a handler returns.

use std::time::Duration;

use jiff::Timestamp;

use super::rate_limiter::Priority;
use super::{Cause, Request, State, StateReason, Step, Unavailability, WakeReason};

/// A state, with all that matters in it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    Starting,
    Live(Live),
    Recovering(RecoveryPhase),
    Contested,
    Unavailable(Unavailability),
    LoginRequired(LoginRequired),
    Paused {
        /// When the pause ends by the wall clock, which may be set.
        until: Option<Timestamp>,
        /// The same by the clock of the schedules, which stands still while the host sleeps.
        deadline: Option<Duration>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Live {
    /// When a data call last proved the session.
    pub(super) data_ok_at: Duration,
    /// A data call was requested.
    pub(super) is_proof_wanted: bool,
}

/// Where a recovery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum RecoveryPhase {
    /// Authenticated and not yet established: the session is given some time before it is asked for.
    Settling { attempt: u8, since: Duration },
    /// The session is being asked for.
    Requesting(Attempt),
    /// The login is being validated.
    Validating(Attempt),
    /// An attempt is being confirmed.
    Confirming(Confirmation),
    /// The next attempt is not yet allowed.
    BackingOff { attempt: u8 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Attempt {
    /// Counts from 1 in an outage.
    pub(super) number: u8,
    /// IBKR itself is asked for the session, which answers at once.
    pub(super) direct: bool,
    /// The session is taken from another client, whose flag may stay up for some seconds.
    pub(super) taking_over: bool,
    /// The stream, which had denied the session, has reported it since it was asked for.
    pub(super) is_back: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Confirmation {
    pub(super) attempt: Attempt,
    pub(super) since: Duration,
    /// How many of the delays between two checks are used up.
    pub(super) delays: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct LoginRequired {
    pub(super) cause: Cause,
    /// When a login was seen that has not become a session.
    pub(super) seen_at: Option<Duration>,
    /// There was no login when this state was entered.
    pub(super) had_no_login: bool,
    /// IBKR was connected when this state was entered.
    pub(super) was_connected: bool,
}

/// What one input leads to.
#[derive(Debug, Clone, Copy)]
#[must_use = "a handler's result moves the machine"]
pub(super) struct Next {
    pub(super) phase: Phase,
    pub(super) reason: StateReason,
    pub(super) ask: Ask,
}

/// The next question.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ask {
    Now(Request, WakeReason),
    In(Duration, Request, WakeReason),
    At(Duration, Request, WakeReason),
    /// A poll out of turn, at once.
    Extra(Request, WakeReason, Priority),
    /// Nothing, until a pause is over.
    Nothing,
}

impl Phase {
    /// What others see of it.
    pub(super) const fn state(self) -> State {
        match self {
            Self::Starting => State::Starting,
            Self::Live(_) => State::Live,
            Self::Recovering(recovery) => recovery.state(),
            Self::Contested => State::Contested,
            Self::Unavailable(cause) => State::Unavailable(cause),
            Self::LoginRequired(login) => State::LoginRequired(login.cause),
            Self::Paused { until, .. } => State::Paused { until },
        }
    }

    /// Where the recovery is, if there is one.
    pub(super) const fn recovering(self) -> Option<RecoveryPhase> {
        if let Self::Recovering(recovery) = self { Some(recovery) } else { None }
    }

    /// Whether a bad answer in this state begins an outage.
    pub(super) const fn is_watching(self) -> bool {
        match self {
            Self::Starting | Self::Live(_) | Self::Recovering(_) | Self::Contested | Self::Unavailable(_) => true,
            Self::LoginRequired(_) | Self::Paused { .. } => false,
        }
    }

    /// Whether a poll out of turn makes sense.
    pub(super) const fn may_be_polled(self) -> bool {
        match self {
            Self::Paused { .. } | Self::Recovering(RecoveryPhase::Requesting(_) | RecoveryPhase::Validating(_)) => {
                false
            }
            Self::Starting
            | Self::Live(_)
            | Self::Recovering(
                RecoveryPhase::Settling { .. } | RecoveryPhase::Confirming(_) | RecoveryPhase::BackingOff { .. },
            )
            | Self::Contested
            | Self::Unavailable(_)
            | Self::LoginRequired(_) => true,
        }
    }

    /// The same without times, for comparing two machines by what they will do.
    pub(super) const fn without_times(self) -> Self {
        const NEVER: Duration = Duration::ZERO;
        match self {
            Self::Live(live) => Self::Live(Live { data_ok_at: NEVER, ..live }),
            Self::Recovering(RecoveryPhase::Settling { attempt, .. }) => {
                Self::Recovering(RecoveryPhase::Settling { attempt, since: NEVER })
            }
            Self::Recovering(RecoveryPhase::Confirming(confirmation)) => {
                Self::Recovering(RecoveryPhase::Confirming(Confirmation { since: NEVER, delays: 0, ..confirmation }))
            }
            Self::LoginRequired(login) => {
                let seen_at = if login.seen_at.is_some() { Some(NEVER) } else { None };
                Self::LoginRequired(LoginRequired { seen_at, ..login })
            }
            Self::Paused { until, deadline } => {
                let until = if until.is_some() { Some(Timestamp::UNIX_EPOCH) } else { None };
                let deadline = if deadline.is_some() { Some(NEVER) } else { None };
                Self::Paused { until, deadline }
            }
            Self::Starting | Self::Recovering(_) | Self::Contested | Self::Unavailable(_) => self,
        }
    }
}

impl RecoveryPhase {
    const fn state(self) -> State {
        let (attempt, step) = match self {
            Self::Settling { attempt, .. } => (attempt, Step::Check),
            Self::Requesting(attempt) => (attempt.number, Step::Reauthenticate),
            Self::Validating(attempt) => (attempt.number, Step::ValidateSso),
            Self::Confirming(confirmation) => (confirmation.attempt.number, Step::Confirm),
            Self::BackingOff { attempt } => (attempt, Step::Pause),
        };
        State::Recovering { attempt, step }
    }
}
