//! The machine: its one step, and the plan that comes out.

use std::time::Duration;

use super::context::{Context, Facts, Polls, StreamTrust, Suspicion};
use super::flap_detector::{CALM, FlapDetector};
use super::phase::{Ask, Next, Phase};
use super::rate_limiter::{Priority, RateLimiter};
use super::shared_budget::{ClientId, SharedBudget};
use super::silence::{SLOW, Silence, to_second};
use super::{
    Account, Answer, Failure, Input, Now, Plan, Policy, RateLimitState, Request, State, StateReason, Transition,
    Unavailability, WakeReason,
};

/// Keeps one gateway's session. Feed it with [`Machine::step`], and carry out what it plans.
#[derive(Debug, Clone)]
pub struct Machine {
    pub(super) cx: Context,
    pub(super) phase: Phase,
    pub(super) question: Question,
    pub(super) in_flight: Option<InFlight>,
    /// A proxied request that was not answered in time, and is left standing. `GET /` goes beside it.
    pub(super) standing: Option<InFlight>,
    /// A data call that was sent right behind a check, because answers are late.
    pub(super) behind: Option<Behind>,
    /// When `GET /` was last answered beside it.
    pub(super) watched_at: Option<Duration>,
    /// A poll that was asked for while another request was under way, and has not been made yet.
    pub(super) wanted: Option<Wanted>,
    pub(super) last: Now,
}

/// A poll that was asked for while another request was under way.
pub(super) type Wanted = (WakeReason, Priority);

/// What is asked next, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    /// None only while paused.
    pub(super) request: Option<Request>,
    pub(super) at: Duration,
    pub(super) reason: WakeReason,
    pub(super) priority: Priority,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct InFlight {
    pub(super) request: Request,
    pub(super) sent_at: Duration,
    pub(super) due: Duration,
}

/// A data call behind a check, and its answer if that came before the check's: it counts once the flags are good.
#[derive(Debug, Clone, Copy)]
pub(super) struct Behind {
    pub(super) flight: InFlight,
    pub(super) early: Option<Answer>,
}

impl Machine {
    /// A machine that knows nothing yet. `seed` spreads its schedule; equal seeds give equal schedules.
    #[must_use]
    pub fn new(policy: Policy, seed: u64, now: Now) -> Self {
        let polls = Polls {
            last_at: now.mono,
            last: Request::Check,
            check_in_vain: false,
            pings_only_until: None,
            failed_probes: 0,
            answering_since: None,
        };
        let cx = Context {
            now,
            policy,
            limits: RateLimiter::new(seed, now),
            facts: Facts::default(),
            unsupported: Vec::new(),
            auth_time_stale: true,
            outage: None,
            suspicion: Suspicion::default(),
            polls,
            silence: Silence::default(),
            is_late: false,
            stream: StreamTrust::default(),
            flapping: FlapDetector::default(),
            login_expected_until: None,
            since: now,
            reason: StateReason::Started,
        };
        let question = Question {
            request: Some(Request::Check),
            at: now.mono,
            reason: WakeReason::CheckDue,
            priority: Priority::Routine,
        };
        Self {
            cx,
            phase: Phase::Starting,
            question,
            in_flight: None,
            standing: None,
            behind: None,
            watched_at: None,
            wanted: None,
            last: now,
        }
    }

    /// Handles an event at `now`, and returns what to do, for a gateway with a public address of its own.
    pub fn step(&mut self, now: Now, input: Input) -> Plan {
        let mut own = SharedBudget::default();
        let alone = own.register();
        self.step_shared(now, input, &mut own, alone)
    }

    /// The same for one of several gateways behind a public address. They share its limits, and its silence after 429.
    pub fn step_shared(&mut self, now: Now, input: Input, budget: &mut SharedBudget, client: ClientId) -> Plan {
        let (from, since) = (self.state(), self.cx.since);
        self.cx.now = now;
        let jumped = self.jump(now);
        if let Some(by) = jumped {
            self.on_clock_jump(by);
        }
        if self.phase.is_pause_over(now) {
            self.start_again(StateReason::PauseOver);
        }
        match input {
            Input::Wake => self.on_wake(),
            Input::Answer(answer) => self.on_answer(answer),
            Input::Unanswered(request) => self.on_unanswered(request),
            Input::Push(status) => self.on_push(status),
            Input::Check => self.on_check_command(),
            Input::Pause { until } => self.pause(until),
            Input::Resume => self.resume(),
            Input::Prove => self.on_prove_command(),
            Input::ExpectLogin => self.on_login_expected(),
            Input::Logout => self.log_out(),
            Input::LoggedOut => self.logged_out(),
        }
        self.settle_behind();
        budget.silence_until(self.cx.limits.quiet_until());
        if budget.is_quiet(now.mono) {
            self.enter_rate_limited();
        }
        self.last = now;
        let to = self.state();
        let held = now.mono.saturating_sub(since.mono);
        let transition = (from.name() != to.name()).then_some(Transition { from, to, reason: self.cx.reason, held });
        if let Some(transition) = &transition {
            self.cx.flapping.count(now.mono, transition);
        }
        if to == State::Live {
            if now.mono >= self.cx.since.mono + CALM {
                self.cx.flapping.forget();
            }
        } else {
            self.cx.stream.refuted = 0;
            self.cx.stream.denied_at.take_if(|_| !matches!(to, State::Recovering { .. }));
        }
        let (request, wake_at, reason) = self.decide(now, budget, client);
        let awaiting = self.awaited().is_some();
        Plan { request, awaiting, standing: self.count_standing(), wake_at, reason, transition, jumped }
    }

    /// The present state.
    #[must_use]
    pub const fn state(&self) -> State {
        self.phase.state()
    }

    /// When the present state was entered.
    #[must_use]
    pub const fn since(&self) -> Now {
        self.cx.since
    }

    /// Why the present state was entered.
    #[must_use]
    pub const fn reason(&self) -> StateReason {
        self.cx.reason
    }

    /// What is known beside the state.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        &self.cx.facts
    }

    /// When the present outage began: the first bad answer since the session was last live.
    #[must_use]
    pub fn outage_since(&self) -> Option<Now> {
        self.cx.outage.as_ref().map(|outage| outage.since)
    }

    /// Whether the session is flapping; until it has been live for five minutes.
    #[must_use]
    pub const fn is_flapping(&self) -> bool {
        self.cx.flapping.is_flapping()
    }

    /// Whether the hour's attempts are used up, so that polls only see whether the session is back by itself.
    #[must_use]
    pub const fn is_out_of_attempts(&self) -> bool {
        matches!(self.question.reason, WakeReason::OutOfAttempts)
    }

    /// Whether the last data call reported another kind of account than the operator chose.
    #[must_use]
    pub fn is_wrong_account(&self) -> bool {
        match self.cx.policy.account {
            Account::Any => false,
            Account::Live => self.cx.facts.is_paper == Some(true),
            Account::Paper => self.cx.facts.is_paper == Some(false),
        }
    }

    /// How often data refuted what the stream said of a live session.
    #[must_use]
    pub const fn refutations(&self) -> u32 {
        self.cx.stream.refutations
    }

    /// Whether IBKR is in maintenance. Transitions in maintenance do not count as flapping.
    pub const fn in_maintenance(&mut self, is_so: bool) {
        self.cx.flapping.in_maintenance(is_so);
    }

    /// Rate-limit state to restore after a restart.
    #[must_use]
    pub fn rate_limit_state(&self, now: Now) -> RateLimitState {
        let mut state = self.cx.limits.state(now.mono);
        state.unanswered = self.cx.silence.state();
        state.written_off = self.cx.silence.written_off(now.mono);
        let slow = [self.in_flight, self.standing, self.unanswered_behind()]
            .into_iter()
            .flatten()
            .filter(|flight| flight.request.is_proxied() && now.mono >= flight.sent_at + SLOW);
        state.unanswered.extend(slow.map(|flight| to_second(now.at(flight.sent_at))));
        state
    }

    /// Restores the rate limits of an earlier machine, so that no restart asks for more than is allowed.
    pub fn restore_limits(&mut self, now: Now, kept: &RateLimitState) {
        self.cx.limits.restore(now, kept);
        self.cx.silence.restore(now, &kept.unanswered, &kept.written_off);
    }

    /// The operator's choices.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.cx.policy
    }

    /// Whether the operator's logout is under way.
    pub(super) const fn is_ending(&self) -> bool {
        matches!(self.question.request, Some(Request::EndSession))
    }

    /// Moves the machine. A state of the same kind keeps its beginning.
    pub(super) fn apply(&mut self, next: Next) {
        let Next { phase, reason, ask } = next;
        let (from, to) = (self.phase.state().name(), phase.state().name());
        if from != to {
            self.cx.since = self.cx.now;
        }
        if from != to || matches!(phase, Phase::Live(_) | Phase::Unavailable(_) | Phase::LoginRequired(_)) {
            self.cx.reason = reason;
        }
        self.cx.auth_time_stale |= match phase {
            Phase::Starting | Phase::Unavailable(_) | Phase::LoginRequired(_) | Phase::Paused { .. } => true,
            Phase::Live(_) | Phase::Recovering(_) | Phase::Contested => false,
        };
        self.phase = phase;
        let now = self.cx.now.mono;
        self.question = match ask {
            Ask::Now(request, reason) => Question::new(request, now, reason),
            Ask::In(delay, request, reason) => Question::new(request, now + delay, reason),
            Ask::At(at, request, reason) => Question::new(request, at, reason),
            Ask::Extra(request, reason, priority) => Question { request: Some(request), at: now, reason, priority },
            Ask::Nothing => {
                Question { request: None, at: now, reason: WakeReason::PauseOver, priority: Priority::Routine }
            }
        };
    }

    /// How urgent the next request is.
    pub(super) fn priority(&self) -> Priority {
        let asked = self.question.priority;
        if matches!(self.phase, Phase::Recovering(_)) && asked != Priority::Pressing {
            asked.max(Priority::Recovery)
        } else {
            asked
        }
    }

    fn decide(
        &mut self,
        now: Now,
        budget: &mut SharedBudget,
        client: ClientId,
    ) -> (Option<Request>, Duration, WakeReason) {
        if let Some(flight) = self.in_flight {
            if self.may_follow(flight) && self.may_send(now, Request::Accounts, budget, client) {
                let wake_at = self.send(now, Request::Accounts, self.priority());
                self.behind = self.in_flight.replace(flight).map(|flight| Behind { flight, early: None });
                return (Some(Request::Accounts), wake_at.min(flight.due), WakeReason::AnswerDue);
            }
            budget.release(client);
            // From then on it is to be remembered over a restart.
            let slow = flight.sent_at + SLOW;
            let is_noted = !flight.request.is_proxied() || now.mono >= slow;
            let due = if is_noted { flight.due } else { flight.due.min(slow) };
            let wake_at = self.standing.map_or(due, |standing| due.min(self.given_up_at(standing)));
            return (None, wake_at, WakeReason::AnswerDue);
        }
        if let Some(standing) = self.standing {
            return self.watch(now, standing, budget, client);
        }
        let Some(wanted) = self.question.request else {
            budget.release(client);
            return (None, self.phase.pause_wake_at(now), WakeReason::PauseOver);
        };
        // A data call that had to wait for its turn proves flags that may have changed meanwhile: they are asked again
        // first.
        let is_live = matches!(self.phase, Phase::Live(_));
        let is_stale = wanted == Request::Accounts && !is_live && now.mono > self.cx.polls.last_at + FRESH;
        let wanted = if is_stale { Request::Check } else { wanted };
        let wanted = self.cx.silence.substitute(now.mono, wanted);
        let is_check_useless = self.cx.is_pings_only() || self.cx.is_check_blocked();
        let request = if wanted == Request::Check && is_check_useless { Request::Ping } else { wanted };
        let priority = self.priority();
        let limits = self.cx.limits.earliest(now.mono, request, priority).max(self.cx.silence.earliest());
        let at = self.question.at.max(limits).max(budget.quiet_until());
        if at > now.mono {
            budget.release(client);
            let is_quiet = budget.is_quiet(now.mono);
            return (None, at, if is_quiet { WakeReason::Quiet } else { self.question.reason });
        }
        let turn = budget.acquire(now.mono, client, priority != Priority::Routine);
        if turn > now.mono {
            return (None, turn, WakeReason::OthersFirst);
        }
        let due = self.send(now, request, priority);
        let is_followed = self.in_flight.is_some_and(|flight| self.may_follow(flight));
        (Some(request), if is_followed { now.mono } else { due }, WakeReason::AnswerDue)
    }

    pub(super) fn send(&mut self, now: Now, request: Request, priority: Priority) -> Duration {
        self.cx.limits.sent(now, request, priority, self.cx.competes());
        self.cx.silence.sent();
        if request.is_poll() {
            (self.cx.polls.last_at, self.cx.polls.last) = (now.mono, request);
        }
        let overdue = if request.is_proxied() { Duration::ZERO } else { OVERDUE };
        let due = now.mono + self.cx.policy.answer_within + overdue;
        self.in_flight = Some(InFlight { request, sent_at: now.mono, due });
        if request.is_proxied() { due.min(now.mono + SLOW) } else { due }
    }

    /// Silence is due at this public address, so nothing that was known can be known any longer.
    fn enter_rate_limited(&mut self) {
        match self.phase {
            Phase::Unavailable(_) | Phase::LoginRequired(_) | Phase::Paused { .. } => {}
            Phase::Starting | Phase::Live(_) | Phase::Recovering(_) | Phase::Contested => {
                if self.awaited().is_none() && !self.is_ending() {
                    let cause = Unavailability::TooManyRequests { retry_after: None };
                    self.cx.facts.trouble = Some(cause);
                    let next = self.cx.become_unavailable(self.phase, cause);
                    self.apply(next);
                }
            }
        }
    }

    fn on_wake(&mut self) {
        let now = self.cx.now.mono;
        if let Some(flight) = self.in_flight.filter(|flight| now >= flight.due) {
            if flight.request.is_proxied() {
                (self.in_flight, self.standing, self.watched_at) = (None, Some(flight), None);
            } else {
                self.on_answer(Answer::failed(flight.request, Failure::Unavailable(Unavailability::NoAnswer)));
            }
        }
        if let Some(standing) = self.standing.filter(|standing| now >= self.given_up_at(*standing)) {
            (self.standing, self.in_flight) = (None, None);
            let is_alive = self.cx.silence.sign_at.is_some_and(|at| at > standing.sent_at);
            self.cx.silence.give_up(standing.request, self.cx.now.at(standing.sent_at));
            self.cx.silence.is_wedged |= is_alive;
            self.cx.silence.is_request_unanswered |= is_alive;
            let cause = self.cx.silence.cause();
            self.handle(standing, Answer::failed(standing.request, Failure::Unavailable(cause)));
        }
    }

    fn on_answer(&mut self, answer: Answer) {
        let is_it = |flight: &mut InFlight| answer.answers(flight.request);
        self.cx.is_late = false;
        let (flight, counts) = if let Some(flight) = self.in_flight.take_if(is_it) {
            (flight, true)
        } else if let Some(flight) = self.standing.take_if(is_it) {
            (flight, true)
        } else if self.is_answered_behind(answer) {
            return;
        } else if let Some((request, held)) = self.cx.silence.take(|request| answer.answers(request)) {
            (InFlight { request, sent_at: held.since.mono, due: self.cx.now.mono }, held.counts)
        } else {
            return;
        };
        if let (Some(standing), Answer::IsListening(watch)) = (self.standing, answer) {
            return self.on_watched(standing, watch);
        }
        if flight.request.is_proxied() && answer.is_from_ibkr() {
            self.cx.is_late = self.cx.silence.is_on;
            let within = self.cx.policy.answer_within;
            self.cx.silence.answered(self.cx.now.mono, flight.request, flight.sent_at, within);
            self.cx.facts.answer_took = Some(self.cx.now.mono.saturating_sub(flight.sent_at));
            self.in_flight.take_if(|flight| !flight.request.is_proxied());
        }
        let is_obsolete = self.is_ending() || matches!(self.phase, Phase::Paused { .. });
        if counts && (!is_obsolete || flight.request == Request::EndSession) {
            self.handle(flight, answer);
        } else {
            self.cx.heed_penalty(answer);
        }
    }

    pub(super) fn handle(&mut self, flight: InFlight, answer: Answer) {
        if answer.failure() == Some(Failure::Unavailable(Unavailability::NothingListens)) {
            self.cx.silence.process_gone();
            self.behind = None;
        }
        self.cx.heed_penalty(answer);
        let is_unsupported = answer.failure() == Some(Failure::Unsupported) && flight.request.can_be_left_out();
        if is_unsupported && !self.cx.is_unsupported(flight.request) {
            self.cx.unsupported.push(flight.request);
        }
        let (cx, phase) = (&mut self.cx, self.phase);
        let next = match answer {
            Answer::Ping(answer) => cx.on_ping(phase, answer),
            Answer::Check(answer) => cx.on_check(phase, answer),
            Answer::Accounts(answer) => cx.on_accounts(phase, flight.sent_at, answer),
            Answer::IsListening(answer) => cx.on_listening(phase, answer),
            Answer::Reauthenticate(answer) => match phase.recovering() {
                Some(recovery) => cx.on_reauthenticate(recovery, answer),
                None => cx.check_now(phase),
            },
            Answer::OpenBrokerage(answer) => match phase.recovering() {
                Some(recovery) => cx.on_open_brokerage(recovery, answer),
                None => cx.check_now(phase),
            },
            Answer::ValidateSso(answer) => {
                if let Ok(sso) = answer {
                    cx.record_sso(sso);
                }
                match phase {
                    Phase::Recovering(recovery) => cx.on_sso_while_recovering(recovery, answer),
                    Phase::Live(live) => cx.on_sso_while_live(live, answer),
                    Phase::Starting
                    | Phase::Contested
                    | Phase::Unavailable(_)
                    | Phase::LoginRequired(_)
                    | Phase::Paused { .. } => cx.check_now(phase),
                }
            }
            Answer::EndSession(answer) => return self.on_session_ended(answer),
            Answer::HandshakeIbkr(answer) => cx.on_handshake(phase, answer),
            Answer::ProbeWebsocket(answer) => cx.on_websocket(phase, answer),
        };
        self.apply(next);
        self.poll_as_wanted();
    }
}

impl Question {
    const fn new(request: Request, at: Duration, reason: WakeReason) -> Self {
        let priority = if matches!(reason, WakeReason::AskAgain | WakeReason::ClockJumped) {
            Priority::Confirming
        } else if matches!(reason, WakeReason::Operator) {
            Priority::Pressing
        } else {
            Priority::Routine
        };
        Self { request: Some(request), at, reason, priority }
    }
}

/// How long after the client's own limit an answer is given up for lost.
const OVERDUE: Duration = Duration::from_secs(5);
/// How long good flags may be confirmed by a data call.
const FRESH: Duration = Duration::from_secs(30);
