//! The recovery sequence: check, reauthenticate, validate_sso, confirm. It is bounded, and proof ends it at once.

use std::time::Duration;

use super::answer::{Reading, Reauth};
use super::backoff::backoff;
use super::context::{Context, PROOFS};
use super::phase::{Ask, Attempt, Confirmation, Next, Phase, RecoveryPhase};
use super::policy::{CONFIRM_WITHIN, FIRST_PAUSE, LONGEST_PAUSE};
use super::rate_limiter::VALIDATE_GAP;
use super::{Cause, Competing, Failure, Method, Request, Sso, StateReason, Status, WakeReason};

impl Context {
    /// The session is gone, the login may stand: begins, or goes on with, the attempts of this outage.
    pub(super) fn recover(&mut self, reason: StateReason) -> Next {
        self.suspicion.clear();
        self.next_attempt(reason)
    }

    /// Authenticated and not established: the session is on its way, and is waited for before it is asked for.
    pub(super) fn settle(&mut self) -> Next {
        let attempt = self.outage().attempts.saturating_add(1);
        let settling = RecoveryPhase::Settling { attempt, since: self.now.mono };
        let ask = Ask::In(LAST_DELAY, Request::Check, WakeReason::ConfirmDue);
        Next { phase: Phase::Recovering(settling), reason: StateReason::NotEstablished, ask }
    }

    /// The next attempt, if its pause is over and the hour's budget allows one. Until then polls only see whether the
    /// session has come back by itself.
    pub(super) fn next_attempt(&mut self, reason: StateReason) -> Next {
        self.next_attempt_by(None, reason)
    }

    /// The same by this method, or by the one whose turn it is.
    fn next_attempt_by(&mut self, method: Option<Request>, reason: StateReason) -> Next {
        let outage = *self.outage();
        if outage.attempts >= self.policy.recovery.attempts {
            return self.exhausted();
        }
        let now = self.now.mono;
        let number = outage.attempts + 1;
        let free = self.limits.may_ask(now, self.policy.recovery.max_per_hour);
        let at = free.max(outage.not_before);
        if at > now {
            let wake = if free > now { WakeReason::OutOfAttempts } else { WakeReason::AttemptDue };
            // Half a proof that the login is gone is no reason to wait: a human may have to be called.
            let is_half_proved = (1..PROOFS).contains(&outage.proofs);
            let poll = if is_half_proved { PROOFS_SPAN } else { self.policy.watch_every };
            let phase = Phase::Recovering(RecoveryPhase::BackingOff { attempt: number });
            return Next { phase, reason, ask: Ask::At(at.min(now + poll), Request::Check, wake) };
        }
        self.outage().attempts = number;
        let method = method.or_else(|| self.request_of_attempt(number));
        let direct = method != Some(Request::Reauthenticate);
        let attempt = Attempt { number, direct, taking_over: self.competes(), is_back: false };
        match method {
            Some(request) => {
                let phase = Phase::Recovering(RecoveryPhase::Requesting(attempt));
                Next { phase, reason, ask: Ask::Now(request, WakeReason::NextStep) }
            }
            None => self.validate_login(attempt, reason),
        }
    }

    /// The request of this attempt: the usable methods in turn.
    fn request_of_attempt(&self, attempt: u8) -> Option<Request> {
        let usable = self.usable_methods();
        let turn = usize::from(attempt.saturating_sub(1)) % usable.len().max(1);
        usable.get(turn).copied()
    }

    /// Whether this attempt is followed by another method without a pause, once it has come to nothing. After the last
    /// method there is a pause, and the first one again.
    fn is_another_method_next(&self, attempt: Attempt) -> bool {
        let is_last = usize::from(attempt.number).is_multiple_of(self.usable_methods().len().max(1));
        !is_last && attempt.number < self.policy.recovery.attempts
    }

    /// The configured methods, without those that are not supported and those that would evict another client that is
    /// to be left alone.
    fn usable_methods(&self) -> Vec<Request> {
        let contested = self.outage.is_some_and(|outage| outage.contested);
        let yielding = self.policy.competing == Competing::Yield && contested;
        self.policy
            .recovery
            .methods
            .iter()
            .filter_map(|method| match method {
                // The gateway competes by itself, so only the direct way leaves another client alone.
                Method::Gateway if yielding && (self.has_direct() || self.facts.evidence.competing) => None,
                Method::Gateway => Some(Request::Reauthenticate),
                Method::Direct => Some(Request::OpenBrokerage { compete: self.competes() }),
            })
            .filter(|request| !self.is_unsupported(*request))
            .collect()
    }

    /// The answer to `reauthenticate`.
    pub(super) fn on_reauthenticate(&mut self, recovery: RecoveryPhase, answer: Result<Reauth, Failure>) -> Next {
        let phase = Phase::Recovering(recovery);
        match answer {
            // The gateway knows of no login, and IBKR has just answered as if there were one: asking IBKR may work.
            Ok(Reauth::NotLoggedIn) if self.has_direct() && !self.facts.evidence.no_login => {
                self.unsupported.push(Request::Reauthenticate);
                self.void_attempt()
            }
            Ok(Reauth::NotLoggedIn) => self.conclude(phase, Cause::NeverLoggedIn),
            Ok(Reauth::Accepted) => self.validate_login(recovery.attempt(), self.reason),
            Err(failure) => self.on_attempt_refused(recovery, failure),
        }
    }

    /// The answer of IBKR itself to an attempt.
    pub(super) fn on_open_brokerage(&mut self, recovery: RecoveryPhase, answer: Result<Status, Failure>) -> Next {
        let attempt = recovery.attempt();
        match answer.map(Status::reading) {
            Ok(Reading::Good) => {
                let next = self.confirm_attempt(attempt, self.reason);
                if attempt.is_back { self.prove(next.phase) } else { next }
            }
            Ok(Reading::Competing) if !attempt.taking_over => {
                let now = self.now.mono;
                let outage = self.outage();
                outage.refused = Some(now);
                outage.refusals = outage.refusals.saturating_add(1);
                outage.flag_seen = false;
                let next = self.contest(Phase::Recovering(recovery));
                // Leaving another client alone is no failure: only fights use attempts up.
                if next.phase == Phase::Contested {
                    let outage = self.outage();
                    outage.attempts = outage.attempts.saturating_sub(1);
                }
                next
            }
            Ok(Reading::Lost) if self.is_another_method_next(attempt) => self.next_attempt(self.reason),
            Ok(_) => self.validate_login(attempt, self.reason),
            Err(failure) => self.on_attempt_refused(recovery, failure),
        }
    }

    fn on_attempt_refused(&mut self, recovery: RecoveryPhase, failure: Failure) -> Next {
        let phase = Phase::Recovering(recovery);
        match failure {
            Failure::LoginPage => self.conclude(phase, Cause::Expired),
            Failure::Unsupported => self.void_attempt(),
            Failure::Unavailable(cause) if cause.is_on_the_way() => self.become_unavailable(phase, cause),
            // Without a login the gateway's own method evicts no client, and reports whether a browser has ever logged in.
            Failure::Unauthorized | Failure::NoSession | Failure::Unavailable(_)
                if self.is_another_method_next(recovery.attempt()) =>
            {
                self.next_attempt(self.reason)
            }
            // Whatever IBKR thinks of this one request, the next check tells how the session is.
            Failure::Unauthorized | Failure::NoSession | Failure::Unavailable(_) => {
                self.validate_login(recovery.attempt(), self.reason)
            }
        }
    }

    /// This request asked for nothing, so it was no attempt: the next one.
    fn void_attempt(&mut self) -> Next {
        let outage = self.outage();
        outage.attempts = outage.attempts.saturating_sub(1);
        self.next_attempt(StateReason::SessionLapsed)
    }

    /// Asks whether the login stands, unless that was asked within the minute: then the last answer stands.
    fn validate_login(&mut self, attempt: Attempt, reason: StateReason) -> Next {
        if self.is_unsupported(Request::ValidateSso) || !self.limits.may_validate(self.now.mono) {
            return self.confirm_attempt(attempt, reason);
        }
        let phase = Phase::Recovering(RecoveryPhase::Validating(attempt));
        Next { phase, reason, ask: Ask::Now(Request::ValidateSso, WakeReason::NextStep) }
    }

    /// The answer to `validate_sso` in an attempt.
    pub(super) fn on_sso_while_recovering(&mut self, recovery: RecoveryPhase, answer: Result<Sso, Failure>) -> Next {
        let (phase, attempt) = (Phase::Recovering(recovery), recovery.attempt());
        match answer {
            Ok(sso) if sso.valid => {
                self.outage().invalid_since = None;
                self.confirm_attempt(attempt, self.reason)
            }
            Ok(_) => {
                let now = self.now.mono;
                let since = *self.outage().invalid_since.get_or_insert(now);
                if now >= since + VALIDATE_GAP {
                    self.conclude(phase, self.how_it_ended())
                } else {
                    self.confirm_attempt(attempt, self.reason)
                }
            }
            Err(Failure::Unauthorized | Failure::LoginPage) => self.conclude(phase, self.how_it_ended()),
            Err(Failure::Unavailable(cause)) if cause.is_on_the_way() => self.become_unavailable(phase, cause),
            Err(Failure::NoSession | Failure::Unsupported | Failure::Unavailable(_)) => {
                self.confirm_attempt(attempt, self.reason)
            }
        }
    }

    const fn how_it_ended(&self) -> Cause {
        let last = self.facts.evidence;
        if last.no_login || last.connected { Cause::Expired } else { Cause::LoggedOut }
    }

    fn confirm_attempt(&self, attempt: Attempt, reason: StateReason) -> Next {
        let (now, attempt) = (self.now.mono, Attempt { is_back: false, ..attempt });
        let confirmation = Confirmation { attempt, since: now, delays: usize::from(!attempt.direct) };
        let at = if attempt.direct { now } else { now + DELAYS[0] };
        // The check waits until its data call can follow at once. Meanwhile the stream may make it needless.
        let at = if self.stream.denied_at.is_some() { at.max(self.limits.earliest_for_two()) } else { at };
        let phase = Phase::Recovering(RecoveryPhase::Confirming(confirmation));
        Next { phase, reason, ask: Ask::At(at, Request::Check, WakeReason::ConfirmDue) }
    }

    /// The session has not come yet: checks again, or gives this attempt up. `is_coming`: there are signs that it will.
    pub(super) fn confirm_again(&mut self, confirmation: Confirmation, is_coming: bool) -> Next {
        let now = self.now.mono;
        let attempt = confirmation.attempt;
        // A busy gateway that logs itself out after a lapse does so when the session may be back, and its own way would be
        // five requests in a row, each of which waits for its turn.
        let is_lost_again = !is_coming && attempt.direct && self.is_busy() && self.has_direct();
        if is_lost_again && now >= confirmation.since + IN_VAIN && attempt.number < self.policy.recovery.attempts {
            let direct = Request::OpenBrokerage { compete: self.competes() };
            return self.next_attempt_by(Some(direct), self.reason);
        }
        let is_another_next = !is_coming && self.is_another_method_next(attempt);
        let over = confirmation.since + if is_another_next { IN_VAIN } else { CONFIRM_WITHIN };
        if now >= over {
            return if is_another_next { self.next_attempt(self.reason) } else { self.attempt_failed() };
        }
        let delay = DELAYS.get(confirmation.delays).copied().unwrap_or(LAST_DELAY);
        let confirmation = Confirmation { delays: confirmation.delays + 1, ..confirmation };
        let ask = Ask::At((now + delay).min(over), Request::Check, WakeReason::ConfirmDue);
        self.stay(Phase::Recovering(RecoveryPhase::Confirming(confirmation)), ask)
    }

    fn attempt_failed(&mut self) -> Next {
        let attempts = u32::from(self.outage().attempts);
        let pause = self.limits.jitter(backoff(attempts, FIRST_PAUSE, LONGEST_PAUSE));
        self.outage().not_before = self.now.mono + pause;
        self.next_attempt(StateReason::SessionLapsed)
    }

    /// The attempts are used up: a human is called, with the most likely cause, unless another client keeps taking the session.
    fn exhausted(&mut self) -> Next {
        if self.competes() && self.facts.evidence.competing {
            self.outage().attempts = 0;
            return self.wait_for_other_client(StateReason::Outfought);
        }
        let cause = match self.facts.sso {
            Some((_, sso)) if sso.borrowed => Cause::Borrowed,
            Some((_, sso)) if !sso.valid => Cause::LoggedOut,
            Some(_) if !self.facts.lived => Cause::NotEnabled,
            Some(_) | None => Cause::Exhausted,
        };
        self.require_login(cause)
    }

    pub(super) fn on_reading_while_recovering(&mut self, recovery: RecoveryPhase, reading: Reading) -> Next {
        let phase = Phase::Recovering(recovery);
        let now = self.now.mono;
        let outage = self.outage();
        let (proofs, lasted) = (outage.proofs, now >= outage.proofs_since + PROOFS_SPAN);
        match reading {
            Reading::Good => self.prove(phase),
            Reading::Unknown(cause) => self.confirm_unavailable(phase, cause),
            Reading::Competing if !matches!(recovery, RecoveryPhase::Confirming(c) if c.attempt.taking_over) => {
                self.contest(phase)
            }
            Reading::NoLogin { page: true } => self.conclude(phase, Cause::Expired),
            Reading::NoLogin { .. } if proofs >= PROOFS && lasted => {
                let never = !self.facts.lived && self.facts.sso.is_some_and(|(_, sso)| sso.valid);
                self.require_login(if never { Cause::NotEnabled } else { Cause::Expired })
            }
            Reading::Competing | Reading::NotEstablished | Reading::Lost | Reading::NoLogin { .. } => match recovery {
                RecoveryPhase::Confirming(confirmation) => {
                    self.confirm_again(confirmation, matches!(reading, Reading::Competing | Reading::NotEstablished))
                }
                RecoveryPhase::Settling { since, .. }
                    if reading == Reading::NotEstablished && now < since + CONFIRM_WITHIN =>
                {
                    self.stay(phase, Ask::In(LAST_DELAY, Request::Check, WakeReason::ConfirmDue))
                }
                RecoveryPhase::Settling { .. }
                | RecoveryPhase::BackingOff { .. }
                | RecoveryPhase::Requesting(_)
                | RecoveryPhase::Validating(_) => self.next_attempt(StateReason::SessionLapsed),
            },
        }
    }
}

impl RecoveryPhase {
    /// The attempt under way.
    const fn attempt(self) -> Attempt {
        match self {
            Self::Requesting(attempt) | Self::Validating(attempt) => attempt,
            Self::Confirming(confirmation) => confirmation.attempt,
            Self::Settling { attempt, .. } | Self::BackingOff { attempt } => {
                Attempt { number: attempt, direct: false, taking_over: false, is_back: false }
            }
        }
    }
}

/// When the outcome of an attempt is asked, each counted from the one before. They are dense around the three seconds
/// that the gateway's own way takes. After `direct` the first check comes at once.
const DELAYS: [Duration; 6] = [
    Duration::from_millis(500),
    Duration::from_millis(1000),
    Duration::from_millis(1000),
    Duration::from_millis(750),
    Duration::from_millis(750),
    Duration::from_millis(1000),
];

/// How long an attempt is given before the next method is tried. The gateway's own run takes 3.1 s by its default settings.
const IN_VAIN: Duration = Duration::from_secs(6);
const LAST_DELAY: Duration = Duration::from_secs(2);

/// The span of [`PROOFS`], which are proof by themselves while `validate_sso` may not be asked.
const PROOFS_SPAN: Duration = Duration::from_secs(5);
