//! The machine itself: what it remembers, its one step, and the plan that comes out.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::answers::{Doubt, Unproved};
use super::flap_detector::{CALM, FlapDetector};
use super::rate_limiter::{Priority, RateLimiter};
use super::recovery::{Confirmation, Incident};
use super::shared_budget::{ClientId, SharedBudget};
use super::{
    Account, Cause, Input, Now, Observation, Plan, Policy, RateLimitState, Request, Sso, State, StateReason,
    Transition, Unavailability, WakeReason,
};

/// Watches over one gateway's session. Feed it with [`Machine::step`], carry out what it plans.
#[derive(Debug, Clone)]
pub struct Machine {
    pub(super) policy: Policy,
    pub(super) limits: RateLimiter,
    pub(super) state: State,
    pub(super) because: StateReason,
    pub(super) since: Now,
    last: Now,
    pub(super) next: Next,
    pub(super) awaiting: Option<Flight>,
    pub(super) known: Facts,
    /// What the other side does not know any more.
    pub(super) gone: Vec<Request>,
    pub(super) doubt: Option<Doubt>,
    pub(super) unproved: Option<Unproved>,
    /// The last answer said nothing about the session, and is asked again before that is believed.
    pub(super) troubled: bool,
    /// What the session was last asked with.
    pub(super) last_look: Request,
    /// The last check was answered, and not with anything that could be understood.
    pub(super) check_in_vain: bool,
    /// Until when pings stand in for checks, because only pings are understood.
    pub(super) pings_alone: Option<Duration>,
    /// When the stream last said of a live session that it is none, until that turns out to be so or not.
    pub(super) denied: Option<Duration>,
    /// How often in a row data refuted that.
    pub(super) refuted: u32,
    /// The same over the whole life of this machine.
    pub(super) refutations: u32,
    /// A look that was asked for while something else was under way, and has not been had yet.
    pub(super) wanted: Option<(WakeReason, Priority)>,
    pub(super) concluding: Option<Cause>,
    pub(super) confirmation: Confirmation,
    pub(super) incident: Option<Incident>,
    changes: FlapDetector,
    /// Failed attempts that a short life between two incidents does not give back.
    pub(super) spent: u8,
    /// Probes in a row without an answer that says something; forgotten only when answers have lasted.
    pub(super) unanswered: u32,
    pub(super) answering_since: Option<Duration>,
    /// When a login was seen that has not become a session.
    pub(super) login_seen: Option<Duration>,
    /// When the pause ends by itself, by the clock of the schedules.
    pub(super) pause_over: Option<Duration>,
    /// The login may be another than that whose age is known.
    pub(super) age_is_old: bool,
    /// When the session was last lost to somebody else, newest last.
    pub(super) taken_away: Vec<Duration>,
    /// When the last question about the session was sent.
    pub(super) looked: Duration,
    /// When the last data call proved the session.
    pub(super) proved: Duration,
}

/// What is known beside the state, for status and alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts {
    /// When the flags were last good.
    pub last_good: Option<Now>,
    /// Whether the session has been live since the present login.
    pub lived: bool,
    /// What the last look at the session said.
    pub evidence: LastReading,
    /// `isPaper`, as the last data call had it.
    pub is_paper: Option<bool>,
    /// What `validate_sso` said last, and when.
    pub sso: Option<(Duration, Sso)>,
    /// When the human logged in.
    pub auth_time: Option<Timestamp>,
    /// The last trouble, while it lasts.
    pub trouble: Option<Unavailability>,
}

/// What a look at the session said about the login behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LastReading {
    /// The answer was that of a gateway without a login.
    pub no_login: bool,
    /// The `connected` flag.
    pub connected: bool,
    /// The `competing` flag.
    pub competing: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Next {
    /// None only while paused.
    pub(super) request: Option<Request>,
    pub(super) at: Duration,
    pub(super) because: WakeReason,
    pub(super) priority: Priority,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Flight {
    pub(super) request: Request,
    since: Duration,
    due: Duration,
}

impl Machine {
    /// A machine that knows nothing yet. `seed` spreads its schedule; equal seeds give equal schedules.
    #[must_use]
    pub fn new(policy: Policy, seed: u64, now: Now) -> Self {
        Self {
            policy,
            limits: RateLimiter::new(seed, now),
            state: State::Starting,
            because: StateReason::Started,
            since: now,
            last: now,
            next: Next {
                request: Some(Request::Check),
                at: now.mono,
                because: WakeReason::CheckDue,
                priority: Priority::Routine,
            },
            awaiting: None,
            known: Facts::default(),
            gone: Vec::new(),
            doubt: None,
            unproved: None,
            troubled: false,
            last_look: Request::Check,
            check_in_vain: false,
            pings_alone: None,
            denied: None,
            refuted: 0,
            refutations: 0,
            wanted: None,
            concluding: None,
            confirmation: Confirmation::default(),
            incident: None,
            changes: FlapDetector::default(),
            spent: 0,
            unanswered: 0,
            answering_since: None,
            login_seen: None,
            pause_over: None,
            age_is_old: true,
            taken_away: Vec::new(),
            looked: now.mono,
            proved: now.mono,
        }
    }

    /// Takes in what happened at `now`, and says what to do, for a gateway that has its public address for itself.
    pub fn step(&mut self, now: Now, input: Input) -> Plan {
        let mut own = SharedBudget::default();
        let alone = own.register();
        self.step_shared(now, input, &mut own, alone)
    }

    /// The same for one of several gateways behind a public address: they share its limits, and its silence after 429.
    pub fn step_shared(&mut self, now: Now, input: Input, address: &mut SharedBudget, client: ClientId) -> Plan {
        let (from, since) = (self.state, self.since);
        let jumped = self.jump(now);
        if jumped.is_some() {
            self.distrust(now);
        }
        if self.is_pause_over(now) {
            self.start_again(now, StateReason::PauseOver);
        }
        match input {
            Input::Wake => self.wake(now),
            Input::Answer(request, observation) => self.answered(now, request, observation),
            Input::Push(status) => self.pushed(now, status),
            Input::Check => self.check_on_demand(now),
            Input::Pause { until } => self.pause(now, until),
            Input::Resume => self.resume(now),
            Input::Logout => self.logout(now),
            Input::LoggedOut => self.logged_out(now),
        }
        address.silence_until(self.limits.quiet_until());
        if address.is_quiet(now.mono) {
            self.fall_silent(now);
        }
        self.last = now;
        let transition = (from.name() != self.state.name()).then(|| Transition {
            from,
            to: self.state,
            because: self.because,
            held: now.mono.saturating_sub(since.mono),
        });
        if let Some(transition) = &transition {
            self.changes.count(now.mono, transition);
        }
        if self.state != State::Live {
            (self.denied, self.refuted) = (None, 0);
        }
        if self.state == State::Live && now.mono >= self.since.mono + CALM {
            self.changes.forget();
            self.spent = 0;
        }
        let (request, wake_at, because) = self.decide(now, address, client);
        Plan { request, awaiting: self.awaiting.is_some(), wake_at, because, transition, jumped }
    }

    /// The present state.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Since when the present state holds.
    #[must_use]
    pub const fn since(&self) -> Now {
        self.since
    }

    /// Why the present state was entered.
    #[must_use]
    pub const fn because(&self) -> StateReason {
        self.because
    }

    /// What is known beside the state.
    #[must_use]
    pub const fn known(&self) -> &Facts {
        &self.known
    }

    /// When the present incident began: the first bad observation since the session was last live.
    #[must_use]
    pub fn incident_since(&self) -> Option<Now> {
        self.incident.as_ref().map(|incident| incident.since)
    }

    /// Whether the session comes and goes more often than the policy lets pass; until it has been live for five minutes.
    #[must_use]
    pub const fn is_flapping(&self) -> bool {
        self.changes.are_too_many()
    }

    /// Whether the hour's attempts are spent, so that it is only looked whether the session is back by itself.
    #[must_use]
    pub const fn is_spent(&self) -> bool {
        matches!(self.next.because, WakeReason::BudgetSpent)
    }

    /// Whether the account is not of the kind that the operator chose, as far as the last data call told.
    #[must_use]
    pub fn is_wrong_account(&self) -> bool {
        match self.policy.account {
            Account::Any => false,
            Account::Live => self.known.is_paper == Some(true),
            Account::Paper => self.known.is_paper == Some(false),
        }
    }

    /// How often the data of a live session refuted what its stream said of it.
    #[must_use]
    pub const fn refutations(&self) -> u32 {
        self.refutations
    }

    /// Whether IBKR is in maintenance: what comes and goes then is no pattern.
    pub const fn in_maintenance(&mut self, is_so: bool) {
        self.changes.excuse(is_so);
    }

    /// What of its past an heir of this machine is bound by.
    #[must_use]
    pub fn rate_limit_state(&self, now: Now) -> RateLimitState {
        self.limits.rate_limit_state(now.mono)
    }

    /// Binds this machine by what bound an earlier one, so that no restart asks for more than is allowed.
    pub fn restore_limits(&mut self, now: Now, kept: &RateLimitState) {
        self.limits.restore_limits(now, kept);
    }

    /// What the operator chose.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Sets what is asked next. If something is in flight, its answer decides that anew.
    pub(super) const fn ask(&mut self, request: Request, at: Duration, because: WakeReason) {
        let priority = match because {
            WakeReason::AskAgain | WakeReason::ClockJumped => Priority::Confirming,
            WakeReason::Operator => Priority::Pressing,
            WakeReason::AnswerDue
            | WakeReason::PingDue
            | WakeReason::CheckDue
            | WakeReason::ProofDue
            | WakeReason::LoginAge
            | WakeReason::NextStep
            | WakeReason::ConfirmDue
            | WakeReason::AttemptDue
            | WakeReason::BudgetSpent
            | WakeReason::RetryDue
            | WakeReason::Quiet
            | WakeReason::OthersFirst
            | WakeReason::WatchDue
            | WakeReason::OtherDue
            | WakeReason::PauseOver => Priority::Routine,
        };
        self.next = Next { request: Some(request), at, because, priority };
    }

    /// Drops whatever is in flight.
    pub(super) const fn abandon(&mut self) {
        self.awaiting = None;
        self.wanted = None;
    }

    /// Whether the operator's logout is under way. What the other side says meanwhile may be what the logout has done.
    pub(super) const fn is_ending(&self) -> bool {
        matches!(self.next.request, Some(Request::EndSession))
    }

    /// Enters a state; a state of the same name keeps its beginning.
    pub(super) fn enter(&mut self, now: Now, state: State, because: StateReason) {
        self.age_is_old |= match state {
            State::Starting | State::Unavailable(_) | State::LoginRequired(_) | State::Paused { .. } => true,
            State::Live | State::Recovering { .. } | State::Contested => false,
        };
        if self.state.name() != state.name() {
            self.since = now;
            self.because = because;
        } else if matches!(state, State::Live | State::Unavailable(_) | State::LoginRequired(_)) {
            self.because = because;
        }
        self.state = state;
    }

    fn decide(
        &mut self,
        now: Now,
        address: &mut SharedBudget,
        client: ClientId,
    ) -> (Option<Request>, Duration, WakeReason) {
        if let Some(flight) = self.awaiting {
            address.release(client);
            return (None, flight.due, WakeReason::AnswerDue);
        }
        let Some(wanted) = self.next.request else {
            address.release(client);
            return (None, self.pause_ends(now), WakeReason::PauseOver);
        };
        // A proof that had to wait for its turn proves flags that may have changed meanwhile: they are asked again first.
        let stale = wanted == Request::Accounts && self.state != State::Live && now.mono > self.looked + FRESH;
        let wanted = if stale { Request::Check } else { wanted };
        let is_stood_in_for = wanted == Request::Check && self.pings_alone.is_some_and(|until| now.mono < until);
        let request = if is_stood_in_for { Request::Ping } else { wanted };
        let priority = self.priority();
        let at = self.next.at.max(self.limits.earliest(now.mono, request, priority)).max(address.quiet_until());
        if at > now.mono {
            address.release(client);
            let quiet = address.is_quiet(now.mono);
            return (None, at, if quiet { WakeReason::Quiet } else { self.next.because });
        }
        let turn = address.acquire(now.mono, client, priority != Priority::Routine);
        if turn > now.mono {
            return (None, turn, WakeReason::OthersFirst);
        }
        self.limits.sent(now, request, priority, self.contending());
        if matches!(request, Request::Check | Request::Ping) {
            (self.looked, self.last_look) = (now.mono, request);
        }
        let due = now.mono + self.policy.answer_within + OVERDUE;
        self.awaiting = Some(Flight { request, since: now.mono, due });
        (Some(request), due, WakeReason::AnswerDue)
    }

    /// How urgent the next question is.
    pub(super) fn priority(&self) -> Priority {
        let asked = self.next.priority;
        if matches!(self.state, State::Recovering { .. }) && asked != Priority::Pressing {
            asked.max(Priority::Recovery)
        } else {
            asked
        }
    }

    /// Silence is due at this public address, so nothing that was known can be known any longer.
    fn fall_silent(&mut self, now: Now) {
        match self.state {
            State::Unavailable(_) | State::LoginRequired(_) | State::Paused { .. } => {}
            State::Starting | State::Live | State::Recovering { .. } | State::Contested => {
                if self.awaiting.is_none() && !self.is_ending() {
                    let trouble = Unavailability::TooManyRequests { retry_after: None };
                    self.known.trouble = Some(trouble);
                    self.unavailable(now, trouble);
                }
            }
        }
    }

    fn wake(&mut self, now: Now) {
        if let Some(flight) = self.awaiting
            && now.mono >= flight.due
        {
            self.answered(now, flight.request, Observation::Trouble(Unavailability::NoAnswer));
        }
    }

    fn answered(&mut self, now: Now, request: Request, observation: Observation) {
        // An answer that nobody waits for is a late one: whatever it says is about a plan that was dropped.
        if let Some(flight) = self.awaiting.take_if(|flight| flight.request == request) {
            if matches!(request, Request::Check | Request::Ping) {
                self.wanted = None;
            }
            self.absorb(now, flight.since, request, observation);
            self.look_as_wanted(now);
        }
    }

    /// By how much the wall clock left the other one since the last step, if that is a jump.
    fn jump(&self, now: Now) -> Option<SignedDuration> {
        let passed = SignedDuration::try_from(now.mono.saturating_sub(self.last.mono)).unwrap_or(SignedDuration::MAX);
        let by = now.wall.duration_since(self.last.wall).saturating_sub(passed);
        (by.unsigned_abs() > JUMP).then_some(by)
    }
}

/// How long after the client's own limit an answer is given up for lost.
const OVERDUE: Duration = Duration::from_secs(5);
/// A difference between the clocks that is not drift.
const JUMP: Duration = Duration::from_secs(10);
/// How long good flags are good enough to be proved by a data call.
const FRESH: Duration = Duration::from_secs(30);
