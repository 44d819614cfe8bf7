//! What must hold at every step, whatever happens: the budgets, the promises, and never falsely green.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::Said;
use crate::blindness::Blindness;
use tickled::alert::{AlertPhase, Code, Notice};
use tickled::session::{
    Cause, Competing, Machine, Plan, Policy, Request, State, Status, Transition, Unavailability, WakeReason,
};
use tickled::simulator::world::Truth;

/// What was seen so far, as far as the rules need it. All times are those of the machine's own clock.
#[derive(Debug, Default)]
pub struct Rules {
    pub sent: VecDeque<(Duration, Request)>,
    asked: VecDeque<Duration>,
    asked_in_incident: u8,
    pub silence_until: Duration,
    /// The same for the machine's plan, which keeps silent for others behind its address as well.
    quiet_until: Duration,
    last_answer: Option<(Request, Said)>,
    /// The one before it.
    previous_answer: Option<(Request, Said)>,
    last_good: Option<Duration>,
    accounts_gone: bool,
    dark_since: Option<Duration>,
    has_jumped: bool,
    bright_since: Option<Duration>,
    fair_since: Option<Duration>,
    needed_since: Option<Duration>,
    lapsed_since: Option<Duration>,
    /// It was live when it lapsed, and might be asked for.
    lapse_counts: bool,
    /// The first attempt of that lapse.
    first_attempt: Option<u8>,
    well_since: Option<Duration>,
    away_since: Option<Duration>,
    blindness: Blindness,
    /// When the last data call was sent that has had no answer.
    data_call: Option<Duration>,
    /// When anything was last wrong that a human could be notified of.
    last_wrong: Duration,
    raised: BTreeSet<Code>,
    /// How long others behind the same public address may have it wait.
    pub others: Duration,
    pub tally: Tally,
}

/// How often what happened: a rule that never had an occasion proves nothing.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    pub requests: u64,
    pub live: u64,
    pub recovering: u64,
    pub contested: u64,
    pub unavailable: u64,
    pub login_required: u64,
    pub paused: u64,
    pub raised: u64,
    pub resolved: u64,
    pub attempts: u64,
    pub silences: u64,
    pub fair_hours: u64,
    pub flapping: u64,
    pub taken_back: u64,
    pub needed: u64,
    pub well_hours: u64,
    pub away: u64,
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.live += other.live;
        self.recovering += other.recovering;
        self.contested += other.contested;
        self.unavailable += other.unavailable;
        self.login_required += other.login_required;
        self.paused += other.paused;
        self.raised += other.raised;
        self.resolved += other.resolved;
        self.attempts += other.attempts;
        self.silences += other.silences;
        self.fair_hours += other.fair_hours;
        self.flapping += other.flapping;
        self.taken_back += other.taken_back;
        self.needed += other.needed;
        self.well_hours += other.well_hours;
        self.away += other.away;
    }
}

/// How the world is at a step.
#[derive(Debug, Clone, Copy)]
pub struct Sky {
    pub truth: Truth,
    /// No disturbance is under way that the truth does not show.
    pub clear: bool,
}

/// Whether a rule holds, or what broke it.
pub type Verdict = Result<(), String>;

impl Rules {
    /// A request has come to its end: with an answer, or because its connection broke.
    pub fn ended(&mut self, now: Duration, request: Request, answer: Option<Said>) {
        if let Some(observation) = answer {
            self.data_call.take_if(|_| request == Request::Accounts);
            self.answered(now, request, observation);
        }
    }

    fn answered(&mut self, now: Duration, request: Request, observation: Said) {
        if let Said::Unavailable(Unavailability::TooManyRequests { .. }) = observation {
            self.silence_until = now + minute(15);
            self.tally.silences += 1;
        }
        if let Said::Status(status) = observation
            && is_good(status)
        {
            self.last_good = Some(now);
        }
        let asked = matches!(request, Request::Reauthenticate | Request::OpenBrokerage { .. });
        if asked && matches!(observation, Said::Unsupported | Said::NotLoggedIn) {
            // A request that the other side does not know, or knows of no login for, has asked for nothing.
            self.asked_in_incident -= 1;
        }
        self.accounts_gone |= (request, observation) == (Request::Accounts, Said::Unsupported);
        self.previous_answer = self.last_answer.replace((request, observation));
    }

    /// The stream pushed this status.
    pub fn pushed(&mut self, now: Duration, status: Status) {
        if is_good(status) {
            self.last_good = Some(now);
        }
    }

    /// Another daemon takes over, which knows the limits of the last one and nothing else.
    pub fn restarted(&mut self) {
        self.asked_in_incident = 0;
        self.lapse_counts = false;
        self.dark_since = None;
        self.data_call = None;
        self.blindness = Blindness::default();
    }

    /// Judges a request at the moment it is sent.
    pub fn sending(&mut self, now: Duration, request: Request, machine: &Machine) -> Verdict {
        let policy = machine.policy();
        self.tally.requests += 1;
        if request == Request::Accounts {
            self.data_call = Some(now);
        }
        self.within_budgets(now, request, policy)?;
        let asks = matches!(request, Request::Reauthenticate | Request::OpenBrokerage { .. });
        let state = machine.state();
        if matches!(state, State::Paused { .. }) && request != Request::EndSession {
            return Err("a request while paused".to_owned());
        }
        if asks && !matches!(state, State::Recovering { .. }) {
            return Err(format!("{request:?} while {state}"));
        }
        if !asks {
            return Ok(());
        }
        self.tally.attempts += 1;
        self.asked_in_incident += 1;
        if self.asked_in_incident > policy.recovery.attempts {
            return Err("more attempts in an incident than allowed before a human is told".to_owned());
        }
        let yielding = policy.competing == Competing::Yield;
        if yielding && request == (Request::OpenBrokerage { compete: true }) {
            return Err("competing under yield".to_owned());
        }
        if yielding && request == Request::Reauthenticate && machine.facts().evidence.competing {
            return Err("method gateway, which competes, while somebody else is flagged".to_owned());
        }
        Ok(())
    }

    fn within_budgets(&mut self, now: Duration, request: Request, policy: &Policy) -> Verdict {
        if now < self.silence_until {
            return Err(format!("{request:?} within the silence after 429"));
        }
        while self.sent.front().is_some_and(|(at, _)| now >= *at + minute(10)) {
            self.sent.pop_front();
        }
        self.sent.push_back((now, request));
        let within = |span: Duration| self.sent.iter().rev().take_while(move |(at, _)| now < *at + span);
        if within(second(1)).count() > 4 {
            return Err("more than 4 requests in a second".to_owned());
        }
        if self.sent.len() > 150 {
            return Err("more than 150 requests in ten minutes".to_owned());
        }
        if request == Request::Ping && within(second(1)).filter(|(_, r)| *r == Request::Ping).count() > 1 {
            return Err("two pings in a second".to_owned());
        }
        if request == Request::ValidateSso && within(minute(1)).filter(|(_, r)| *r == Request::ValidateSso).count() > 1
        {
            return Err("two validate_sso in a minute".to_owned());
        }
        if matches!(request, Request::Reauthenticate | Request::OpenBrokerage { .. }) {
            while self.asked.front().is_some_and(|at| now >= *at + hour(1)) {
                self.asked.pop_front();
            }
            self.asked.push_back(now);
            if self.asked.len() > usize::from(policy.recovery.max_per_hour) {
                return Err("more attempts in an hour than allowed".to_owned());
            }
        }
        Ok(())
    }

    /// Judges a step: its plan, its transition, and how the machine's picture agrees with the world.
    pub fn stepped(
        &mut self,
        now: Duration,
        machine: &Machine,
        plan: &Plan,
        sky: Sky,
        told: bool,
        held: impl Fn() -> Option<Duration>,
    ) -> Verdict {
        if plan.request.is_none() && plan.wake_at <= now {
            return Err(format!("a plan that wakes at once, for ever: {plan:?}"));
        }
        if plan.wake_at > now + hour(2) {
            return Err(format!("a plan that sleeps too long: {plan:?}"));
        }
        if plan.reason == WakeReason::Quiet {
            self.quiet_until = plan.wake_at;
        }
        if let Some(transition) = &plan.transition {
            self.changed(now, transition)?;
        }
        if machine.is_flapping() {
            self.tally.flapping += 1;
        }
        self.has_jumped |= plan.jumped.is_some();
        self.never_falsely_green(now, machine, sky)?;
        self.alive(now, machine, plan, sky, told, held)
    }

    fn changed(&mut self, now: Duration, transition: &Transition) -> Verdict {
        match transition.to {
            State::Live => {
                self.tally.live += 1;
                self.asked_in_incident = 0;
                let is_data = |answer| matches!(answer, Some((Request::Accounts, Said::Accounts(a))) if a.usable);
                let is_good_check = matches!(self.last_answer, Some((Request::Check, Said::Status(s))) if is_good(s));
                // Where both were under way at once, the check's answer may come last.
                let proved =
                    is_data(self.last_answer) || is_good_check && is_data(self.previous_answer) || self.accounts_gone;
                let good = self.last_good.is_some_and(|at| now <= at + minute(1));
                if !(proved && good) {
                    return Err(format!("live without proof: {:?}, good at {:?}", self.last_answer, self.last_good));
                }
            }
            State::Recovering { .. } => self.tally.recovering += 1,
            State::Contested => {
                self.tally.contested += 1;
                self.asked_in_incident = 0;
            }
            State::Unavailable(_) => self.tally.unavailable += 1,
            State::LoginRequired(_) => {
                self.tally.login_required += 1;
                self.asked_in_incident = 0;
            }
            State::Paused { .. } => self.tally.paused += 1,
            State::Starting => self.asked_in_incident = 0,
        }
        Ok(())
    }

    fn never_falsely_green(&mut self, now: Duration, machine: &Machine, sky: Sky) -> Verdict {
        if machine.state() != State::Live || sky.truth.live {
            (self.dark_since, self.has_jumped) = (None, false);
            return Ok(());
        }
        let since = *self.dark_since.get_or_insert(now);
        let policy = machine.policy();
        // A request is left standing for 45 s before IBKR is believed to be silent.
        let unanswered = second(45).max(policy.answer_within * 2);
        // When the clock jumps, what is under way is asked again.
        let again = if self.has_jumped { policy.answer_within } else { Duration::ZERO };
        let limit = policy.check_every.max(second(8)) + unanswered + again + second(2) + self.others * 2;
        if now > since + limit {
            return Err(format!("live since {since:?} although it is not: {:?}", sky.truth));
        }
        Ok(())
    }

    /// A session that can be live is live in time, and for one that needs a human, a human was notified.
    fn alive(
        &mut self,
        now: Duration,
        machine: &Machine,
        plan: &Plan,
        sky: Sky,
        told: bool,
        held: impl Fn() -> Option<Duration>,
    ) -> Verdict {
        let policy = machine.policy();
        let excused = self.blindness.judge(now, machine, sky, now < self.silence_until)?
            || matches!(machine.state(), State::Paused { .. })
            || now < self.silence_until.max(self.quiet_until)
            // The gateway may hold the data call for nine hours; until then another one may have to wait.
            || (machine.state() != State::Live
                && plan.reason == WakeReason::ProofDue
                && self.data_call.is_some_and(|sent| now < sent + hour(9) + minute(5)));
        let since = |field: &mut Option<Duration>, holds: bool| {
            if !holds || excused {
                *field = None;
                return None;
            }
            Some(now.saturating_sub(*field.get_or_insert(now)))
        };
        let truth = sky.truth;
        // A borrowed login is kept alive by every question.
        let borrowed = machine.state() == State::LoginRequired(Cause::Borrowed);
        let watch_every = if borrowed { policy.watch_every.max(second(460)) } else { policy.watch_every };
        let slack = policy.answer_within * 2 + second(10) + self.others * 3;

        if excused || !sky.clear || !truth.live {
            self.last_wrong = now;
        }
        let was_live = self.lapsed_since.is_none() && machine.state() == State::Live;
        let in_hand = truth.listening && truth.reachable && truth.login && !truth.held_elsewhere && !truth.borrowed;
        let lapsed = since(&mut self.lapsed_since, in_hand && !truth.live && sky.clear);
        if lapsed == Some(Duration::ZERO) {
            let an_hour_ago = self.asked.iter().filter(|at| now < **at + hour(1)).count();
            // The gateway may log itself out in the very moment in which an attempt succeeds (it tickles twice a
            // minute, and a lapse seen there has it do so), so that nothing is promised when only one attempt is left.
            let left = usize::from(policy.recovery.max_per_hour).saturating_sub(an_hour_ago);
            self.lapse_counts = was_live && left > 1 && policy.recovery.attempts > 1;
            self.first_attempt = None;
        }
        // The same where the attempts of the lapse before count, because it was so short ago.
        if let (Some(_), State::Recovering { attempt, .. }) = (lapsed, machine.state()) {
            let first = *self.first_attempt.get_or_insert(attempt);
            self.lapse_counts &= first < policy.recovery.attempts;
        }
        let taken_back_within = policy.check_every.max(second(8)) + slack + second(15);
        if let Some(span) = lapsed
            && self.lapse_counts
            && machine.state() != State::Live
            && span > taken_back_within
        {
            return Err(format!("lost for {span:?}, and not taken back: {:?}", machine.state()));
        }
        self.tally.taken_back += u64::from(lapsed.is_none() && std::mem::take(&mut self.lapse_counts));

        let well = since(&mut self.well_since, truth.live && sky.clear);
        if well.is_some_and(|span| span > hour(1)) {
            if machine.state() != State::Live || !self.raised.is_empty() {
                return Err(format!("all has been well for {well:?}: {:?}, open {:?}", machine.state(), self.raised));
            }
            self.tally.well_hours += 1;
            self.well_since = None;
        }
        let by_operator = machine.state() == State::LoginRequired(Cause::ByOperator);
        let away = since(&mut self.away_since, machine.state() != State::Live && !by_operator);
        if away.is_some_and(|span| span > minute(15)) {
            if let Some(left) = held() {
                // It counts from the end of the maintenance window.
                self.away_since = Some(now + left);
            } else if self.raised.is_empty() {
                return Err(format!("not live for {away:?}, and nobody was told: {:?}", machine.state()));
            } else {
                self.tally.away += 1;
                self.away_since = None;
            }
        }

        let bright = since(&mut self.bright_since, truth.live && sky.clear);
        if machine.state() != State::Live
            && bright.is_some_and(|span| span > watch_every.max(policy.check_every) + slack)
        {
            return Err(format!("the session has been good for {bright:?}, and is called {:?}", machine.state()));
        }
        let fair = since(&mut self.fair_since, in_hand && lapsed != Some(Duration::ZERO) && sky.clear && !by_operator);
        if fair.is_some_and(|span| span > hour(1) + minute(10)) {
            let live = machine.state() == State::Live;
            // An attempt may be under way after the human was notified.
            let is_in_hand = matches!(machine.state(), State::LoginRequired(_) | State::Recovering { .. });
            if !(live || (told || held().is_some()) && is_in_hand) {
                return Err(format!("nothing was wrong for {fair:?}, and it is {:?}, told {told}", machine.state()));
            }
            self.tally.fair_hours += u64::from(live);
            self.fair_since = None;
        }
        let nobody = truth.listening && truth.reachable && !truth.login && !truth.borrowed;
        let needed = since(&mut self.needed_since, nobody && sky.clear && !by_operator);
        let promise = watch_every.max(policy.check_every) + slack + second(60);
        if needed.is_some_and(|span| span > promise) && told {
            let others: Vec<&Code> = self.raised.iter().filter(|code| OUTAGES.contains(code)).collect();
            if others != [&Code::LoginRequired] {
                return Err(format!("a human is needed for a login, and open are {others:?}"));
            }
            self.tally.needed += 1;
            self.needed_since = None;
        } else if needed.is_some_and(|span| span > promise) {
            // In a maintenance window the alert waits for its end.
            if let Some(left) = held() {
                self.needed_since = Some(now + left);
                return Ok(());
            }
            return Err(format!(
                "nobody has been logged in for {needed:?}, and nobody was told: {:?}",
                machine.state()
            ));
        }
        Ok(())
    }

    /// Judges what the desk tells.
    pub fn told(&mut self, now: Duration, sky: Sky, notice: &Notice) -> Verdict {
        if !sky.clear || !sky.truth.live || now < self.silence_until.max(self.quiet_until) {
            self.last_wrong = now;
        }
        match notice.phase {
            AlertPhase::Raised => {
                self.tally.raised += 1;
                if now > self.last_wrong + minute(10) {
                    return Err(format!(
                        "{} raised, and nothing has been wrong since {:?}",
                        notice.code, self.last_wrong
                    ));
                }
                if !self.raised.insert(notice.code) {
                    return Err(format!("{} raised twice", notice.code));
                }
            }
            AlertPhase::Repeated if !self.raised.contains(&notice.code) => {
                return Err(format!("{} repeated without having been raised", notice.code));
            }
            AlertPhase::Repeated => {}
            AlertPhase::Acknowledged => return Err("acknowledged, and nobody did that".to_owned()),
            AlertPhase::Test => return Err("a test that nobody asked for".to_owned()),
            AlertPhase::Withdrawn => return Err("called off, and the gateway is still there".to_owned()),
            AlertPhase::Resolved | AlertPhase::Replaced => {
                self.tally.resolved += u64::from(notice.phase == AlertPhase::Resolved);
                // One trouble may follow another, which is then held back for as long as its own kind is.
                self.away_since = None;
                if !self.raised.remove(&notice.code) {
                    return Err(format!("{} resolved without having been raised", notice.code));
                }
            }
        }
        Ok(())
    }
}

fn is_good(status: Status) -> bool {
    status.authenticated && status.connected && !status.competing && status.established != Some(false)
}

/// What a human can be notified of in an outage: one of these at a time.
const OUTAGES: [Code; 7] = [
    Code::GatewayWedged,
    Code::LoginRequired,
    Code::SessionContested,
    Code::GatewayUnreachable,
    Code::CertificateChanged,
    Code::AccessDenied,
    Code::IbkrUnavailable,
];

pub const fn second(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub const fn minute(n: u64) -> Duration {
    second(60 * n)
}

pub const fn hour(n: u64) -> Duration {
    minute(60 * n)
}
