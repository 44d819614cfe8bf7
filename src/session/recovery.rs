//! The recovery sequence: check, reauthenticate, validate_sso, confirm; bounded, and ended at once by proof.

use std::time::Duration;

use super::answers::{Look, look};
use super::policy::{CONFIRM_WITHIN, FIRST_PAUSE, LONGEST_PAUSE};
use super::rate_limiter::{VALIDATE_GAP, backoff};
use super::{
    Cause, Competing, Machine, Method, Now, Observation, Request, State, StateReason, Step, Unavailability, WakeReason,
};

/// From the first bad observation to the next live one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Incident {
    pub(super) since: Now,
    /// Attempts begun since a human was last told.
    pub(super) attempts: u8,
    /// The next attempt begins no earlier: its pause, or the hour's budget.
    pub(super) not_before: Duration,
    /// Somebody else was seen to use the session.
    pub(super) contested: bool,
    /// When IBKR last refused the session because of somebody else.
    pub(super) refused: Option<Duration>,
    /// When `RESULT` was first false.
    pub(super) invalid_since: Option<Duration>,
    /// Checks in a row answered as if nobody were logged in, and when the first of them was.
    pub(super) proofs: u8,
    pub(super) proofs_since: Duration,
    /// The evidence on which a human was called.
    pub(super) no_login: bool,
    pub(super) connected: bool,
}

/// The questions after an attempt, until the session has come or the time is over.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Confirmation {
    since: Duration,
    /// How many delays are used up.
    delays: usize,
    /// The session was asked of IBKR itself, which answers at once.
    direct: bool,
    /// The session was taken from somebody else, so that their flag may stay up for some seconds.
    taking_over: bool,
}

impl Incident {
    /// Counts the checks in a row that were answered as if nobody were logged in.
    pub(super) const fn count_proof(&mut self, now: Now, no_login: bool) {
        if !no_login {
            self.proofs = 0;
            return;
        }
        if self.proofs == 0 {
            self.proofs_since = now.mono;
        }
        self.proofs = self.proofs.saturating_add(1);
    }
}

impl Machine {
    /// The session is gone, the login may stand: begins, or goes on with, the attempts of this incident.
    pub(super) fn recover(&mut self, now: Now, because: StateReason) {
        self.forget_doubts();
        self.incident_begins(now);
        self.next_attempt(now, because);
    }

    /// Authenticated and not established: the session is on its way, and is waited for before it is asked for.
    pub(super) fn recover_patiently(&mut self, now: Now) {
        let attempt = self.incident_begins(now).attempts.saturating_add(1);
        self.confirmation = Confirmation { since: now.mono, ..Confirmation::default() };
        self.enter(now, State::Recovering { attempt, step: Step::Check }, StateReason::NotEstablished);
        self.ask(Request::Check, now.mono + LAST_DELAY, WakeReason::ConfirmDue);
    }

    pub(super) fn incident_begins(&mut self, now: Now) -> &mut Incident {
        self.incident.get_or_insert(Incident {
            since: now,
            attempts: self.spent,
            not_before: Duration::ZERO,
            contested: false,
            refused: None,
            invalid_since: None,
            proofs: 0,
            proofs_since: now.mono,
            no_login: false,
            connected: false,
        })
    }

    /// The next attempt, if its pause is over, and if attempts and the hour's budget allow one. Until then it is only
    /// looked whether the session has come back by itself.
    pub(super) fn next_attempt(&mut self, now: Now, because: StateReason) {
        let incident = *self.incident_begins(now);
        if incident.attempts >= self.policy.recovery.attempts {
            return self.exhausted(now);
        }
        let attempt = incident.attempts + 1;
        let free = self.limits.may_ask(now.mono, self.policy.recovery.max_per_hour);
        let at = free.max(incident.not_before);
        if at > now.mono {
            let reason = if free > now.mono { WakeReason::BudgetSpent } else { WakeReason::AttemptDue };
            // Half a proof that the login is gone is no reason to wait: a human may have to be called.
            let is_half_proved = (1..PROOFS).contains(&incident.proofs);
            let look = if is_half_proved { PROOFS_SPAN } else { self.policy.watch_every };
            self.enter(now, State::Recovering { attempt, step: Step::Pause }, because);
            return self.ask(Request::Check, at.min(now.mono + look), reason);
        }
        self.incident_begins(now).attempts = attempt;
        let method = self.method(attempt);
        self.confirmation.direct = method != Some(Request::Reauthenticate);
        self.confirmation.taking_over = self.contending();
        match method {
            Some(request) => {
                self.enter(now, State::Recovering { attempt, step: Step::Reauthenticate }, because);
                self.ask(request, now.mono, WakeReason::NextStep);
            }
            None => {
                self.enter(now, State::Recovering { attempt, step: Step::ValidateSso }, because);
                self.validate(now);
            }
        }
    }

    /// The way to ask for the session in this attempt: the configured methods in turn, without those that are gone and
    /// those that would evict somebody who is to be left alone.
    fn method(&self, attempt: u8) -> Option<Request> {
        let contested = self.incident.as_ref().is_some_and(|incident| incident.contested);
        let yielding = self.policy.competing == Competing::Yield && contested;
        let direct = Request::OpenBrokerage { compete: self.contending() };
        let methods = &self.policy.recovery.methods;
        let has_direct = methods.contains(&Method::Direct) && !self.is_gone(direct);
        let usable: Vec<Request> = methods
            .iter()
            .filter_map(|method| match method {
                // The gateway competes by itself, so with somebody about only the direct way leaves them alone.
                Method::Gateway if yielding && (has_direct || self.known.evidence.competing) => None,
                Method::Gateway => Some(Request::Reauthenticate),
                Method::Direct => Some(direct),
            })
            .filter(|request| !self.is_gone(*request))
            .collect();
        let turn = usize::from(attempt.saturating_sub(1)) % usable.len().max(1);
        usable.get(turn).copied()
    }

    /// Whether asking for the session takes it from somebody else, on purpose.
    pub(super) fn contending(&self) -> bool {
        self.policy.competing == Competing::TakeOver
            && self.incident.as_ref().is_some_and(|incident| incident.contested)
    }

    /// Whether `request` is one that the other side no longer knows.
    pub(super) fn is_gone(&self, request: Request) -> bool {
        self.gone.iter().any(|gone| gone.name() == request.name())
    }

    /// Whether IBKR lately refused the session because of somebody else: their flag may be down while they still use it.
    /// Asked so seldom, an hour's attempts last the hour, and their leaving is never noticed much later than that.
    pub(super) fn refused_lately(&self, now: Now) -> bool {
        let recovery = &self.policy.recovery;
        let apart = LONGEST_PAUSE.max(HOUR / u32::from(recovery.max_per_hour.max(1)));
        let refused = self.incident.as_ref().and_then(|incident| incident.refused);
        refused.is_some_and(|t| now.mono < t + apart)
    }

    /// The answer to an attempt.
    pub(super) fn asked(&mut self, now: Now, observation: Observation) {
        match observation {
            Observation::NotLoggedIn if self.is_known_past_the_gateway() => {
                self.gone.push(Request::Reauthenticate);
                self.came_to_nothing(now);
            }
            Observation::NotLoggedIn => self.conclude(now, Cause::NeverLoggedIn),
            Observation::LoginPage => self.conclude(now, Cause::Expired),
            Observation::Status(_) => match look(observation).0 {
                Look::Good => self.confirm(now),
                Look::Competing if !self.confirmation.taking_over => {
                    self.incident_begins(now).refused = Some(now.mono);
                    self.contest(now);
                    // Leaving somebody alone is no failure: only fights use attempts up.
                    if self.state == State::Contested {
                        let incident = self.incident_begins(now);
                        incident.attempts = incident.attempts.saturating_sub(1);
                    }
                }
                Look::Competing | Look::NotEstablished | Look::Lost | Look::NoLogin { .. } | Look::Trouble(_) => {
                    self.validate(now);
                }
            },
            Observation::Gone => self.came_to_nothing(now),
            Observation::Trouble(trouble) if is_about_the_way(trouble) => self.unavailable(now, trouble),
            // Whatever IBKR thinks of this one request, the next check tells how it is.
            Observation::NoStatus
            | Observation::Accepted
            | Observation::Sso(_)
            | Observation::Accounts(_)
            | Observation::Listening
            | Observation::Ended
            | Observation::Unauthorized
            | Observation::Trouble(_) => self.validate(now),
        }
    }

    /// The gateway knows of no login, and IBKR has just answered as if there were one: the way past the gateway may lead
    /// there, if the operator allows it.
    fn is_known_past_the_gateway(&self) -> bool {
        let direct = Request::OpenBrokerage { compete: self.contending() };
        let has_direct = self.policy.recovery.methods.contains(&Method::Direct) && !self.is_gone(direct);
        has_direct && !self.known.evidence.no_login
    }

    /// This way of asking asked for nothing, so that it was no attempt either: the next one.
    fn came_to_nothing(&mut self, now: Now) {
        let incident = self.incident_begins(now);
        incident.attempts = incident.attempts.saturating_sub(1);
        self.next_attempt(now, StateReason::SessionLapsed);
    }

    /// Asks whether the login stands, unless that was asked within the minute: then the last answer stands.
    fn validate(&mut self, now: Now) {
        if self.is_gone(Request::ValidateSso) || !self.limits.may_validate(now.mono) {
            return self.confirm(now);
        }
        self.step_to(now, Step::ValidateSso);
        self.ask(Request::ValidateSso, now.mono, WakeReason::NextStep);
    }

    /// What was said of the login.
    pub(super) fn validated(&mut self, now: Now, observation: Observation) {
        if let Observation::Sso(sso) = observation {
            self.known.sso = Some((now.mono, sso));
            if sso.valid {
                self.known.auth_time = sso.auth_time;
                self.age_is_old = sso.auth_time.is_none();
            }
        }
        match self.state {
            State::Recovering { .. } => self.validated_in_recovery(now, observation),
            State::Live => match observation {
                Observation::Unauthorized | Observation::LoginPage => {
                    self.ask(Request::Check, now.mono, WakeReason::AskAgain);
                }
                Observation::Trouble(trouble) if is_about_the_way(trouble) => self.trouble_twice(now, trouble),
                Observation::Status(_)
                | Observation::NoStatus
                | Observation::Accepted
                | Observation::NotLoggedIn
                | Observation::Sso(_)
                | Observation::Accounts(_)
                | Observation::Listening
                | Observation::Ended
                | Observation::Gone
                | Observation::Trouble(_) => self.stay_live(now),
            },
            State::Starting
            | State::Contested
            | State::Unavailable(_)
            | State::LoginRequired(_)
            | State::Paused { .. } => {}
        }
    }

    fn validated_in_recovery(&mut self, now: Now, observation: Observation) {
        match observation {
            Observation::Sso(sso) if sso.valid => {
                self.incident_begins(now).invalid_since = None;
                self.confirm(now);
            }
            Observation::Sso(_) => {
                let since = *self.incident_begins(now).invalid_since.get_or_insert(now.mono);
                if now.mono >= since + VALIDATE_GAP {
                    self.conclude(now, self.how_it_ended());
                } else {
                    self.confirm(now);
                }
            }
            Observation::Unauthorized | Observation::LoginPage => self.conclude(now, self.how_it_ended()),
            Observation::Trouble(trouble) if is_about_the_way(trouble) => self.unavailable(now, trouble),
            Observation::Status(_)
            | Observation::NoStatus
            | Observation::Accepted
            | Observation::NotLoggedIn
            | Observation::Accounts(_)
            | Observation::Listening
            | Observation::Ended
            | Observation::Gone
            | Observation::Trouble(_) => self.confirm(now),
        }
    }

    /// Proof that the login is gone: one confirming check, and a human is called.
    fn conclude(&mut self, now: Now, cause: Cause) {
        self.concluding = Some(cause);
        self.ask_again(now);
    }

    const fn how_it_ended(&self) -> Cause {
        let evidence = self.known.evidence;
        if evidence.no_login || evidence.connected { Cause::Expired } else { Cause::LoggedOut }
    }

    fn confirm(&mut self, now: Now) {
        self.step_to(now, Step::Confirm);
        self.confirmation.since = now.mono;
        self.confirmation.delays = usize::from(!self.confirmation.direct);
        let delay = if self.confirmation.direct { Duration::ZERO } else { DELAYS[0] };
        self.ask(Request::Check, now.mono + delay, WakeReason::ConfirmDue);
    }

    /// The session has not come yet: asks again, or gives this attempt up.
    pub(super) fn confirm_again(&mut self, now: Now) {
        let over = self.confirmation.since + CONFIRM_WITHIN;
        if now.mono >= over {
            return self.attempt_failed(now);
        }
        let delay = DELAYS.get(self.confirmation.delays).copied().unwrap_or(LAST_DELAY);
        self.confirmation.delays += 1;
        self.ask(Request::Check, (now.mono + delay).min(over), WakeReason::ConfirmDue);
    }

    fn attempt_failed(&mut self, now: Now) {
        let attempts = u32::from(self.incident_begins(now).attempts);
        let pause = backoff(attempts, FIRST_PAUSE, LONGEST_PAUSE);
        let pause = self.limits.jitter(pause);
        self.incident_begins(now).not_before = now.mono + pause;
        self.next_attempt(now, StateReason::SessionLapsed);
    }

    /// No proof, and no more attempts: a human is called, with the cause that it looks like; unless it is somebody else who
    /// will not let go of the session.
    fn exhausted(&mut self, now: Now) {
        if self.contending() && self.known.evidence.competing {
            self.incident_begins(now).attempts = 0;
            self.enter(now, State::Contested, StateReason::Outfought);
            return self.wait_for_the_other(now);
        }
        let cause = match self.known.sso {
            Some((_, sso)) if sso.borrowed => Cause::Borrowed,
            Some((_, sso)) if !sso.valid => Cause::LoggedOut,
            Some(_) if !self.known.lived => Cause::NotEnabled,
            Some(_) | None => Cause::Exhausted,
        };
        self.login_required(now, cause);
    }

    /// A check's answer in the middle of a recovery.
    pub(super) fn looked_while_recovering(&mut self, now: Now, step: Step, look: Look) {
        let incident = self.incident_begins(now);
        let (proofs, lasted) = (incident.proofs, now.mono >= incident.proofs_since + PROOFS_SPAN);
        match look {
            Look::Good => self.prove(now),
            Look::Trouble(trouble) => self.trouble_twice(now, trouble),
            Look::Competing if step != Step::Confirm || !self.confirmation.taking_over => self.contest(now),
            Look::NoLogin { page: true } => self.conclude(now, Cause::Expired),
            Look::NoLogin { .. } if proofs >= PROOFS && lasted => {
                let never = !self.known.lived && self.known.sso.is_some_and(|(_, sso)| sso.valid);
                self.login_required(now, if never { Cause::NotEnabled } else { Cause::Expired });
            }
            Look::Competing | Look::NotEstablished | Look::Lost | Look::NoLogin { .. } => match step {
                Step::Confirm => self.confirm_again(now),
                Step::Check if look == Look::NotEstablished && !self.patience_over(now) => {
                    self.ask(Request::Check, now.mono + LAST_DELAY, WakeReason::ConfirmDue);
                }
                Step::Check | Step::Pause | Step::Reauthenticate | Step::ValidateSso => {
                    self.next_attempt(now, StateReason::SessionLapsed);
                }
            },
        }
    }

    fn patience_over(&self, now: Now) -> bool {
        now.mono >= self.confirmation.since + CONFIRM_WITHIN
    }

    fn step_to(&mut self, now: Now, step: Step) {
        let attempt = self.incident_begins(now).attempts;
        self.enter(now, State::Recovering { attempt, step }, self.because);
    }
}

/// Whether the trouble is with the way to IBKR, so that the next question would only meet it again.
const fn is_about_the_way(trouble: Unavailability) -> bool {
    match trouble {
        Unavailability::NothingListens
        | Unavailability::NoAnswer
        | Unavailability::NotAGateway
        | Unavailability::Certificate
        | Unavailability::Tls
        | Unavailability::AddressRefused
        | Unavailability::Network
        | Unavailability::IbkrSilent
        | Unavailability::TooManyRequests { .. } => true,
        Unavailability::IbkrError | Unavailability::EdgeRefused | Unavailability::Nonsense => false,
    }
}

/// When the outcome of an attempt is asked, each counted from the one before; dense around the three seconds that the
/// gateway's own way takes. After `direct` the first question comes at once.
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
const HOUR: Duration = Duration::from_secs(3600);
