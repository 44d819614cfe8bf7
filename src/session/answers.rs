//! What an answer means in each state.

use std::time::Duration;

use super::rate_limiter::needs_no_confirmation;
use super::{Cause, Machine, Now, Observation, Request, State, StateReason, Status, Step, Unavailability, WakeReason};

/// An unexpected answer that is asked again before it is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// The flags said that the session is gone.
    Session,
    /// The answer was that of a gateway without a login.
    Login,
    /// The login page came: proof, after one more check.
    LoginPage,
}

/// Why the last data call has not proved good flags. A good check does not end this: the flags may be good all the while, and
/// asked for ever the two would use up what may be asked at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unproved {
    /// It gave nothing, or was refused.
    NoData,
    /// Its answer said nothing about the session.
    Trouble,
    /// It is not known on the other side.
    Gone,
}

/// What an answer says about the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Good,
    NotEstablished,
    Competing,
    Lost,
    NoLogin { page: bool },
    Trouble(Unavailability),
}

impl Status {
    pub(super) fn look(self) -> Look {
        if self.competing {
            Look::Competing
        } else if !(self.authenticated && self.connected) {
            Look::Lost
        } else if self.established == Some(false) {
            Look::NotEstablished
        } else {
            Look::Good
        }
    }
}

impl Machine {
    /// Takes in the answer to `request`.
    pub(super) fn absorb(&mut self, now: Now, since: Duration, request: Request, observation: Observation) {
        if let Observation::Trouble(Unavailability::TooManyRequests { retry_after }) = observation {
            self.limits.quiet(now, retry_after);
        }
        if observation == Observation::Gone && request.can_be_left_out() && !self.is_gone(request) {
            self.gone.push(request);
        }
        match request {
            // A ping without a status proves nothing; the check beside it does.
            Request::Ping if matches!(observation, Observation::NoStatus | Observation::Gone) => {
                if self.check_in_vain || self.pings_alone.is_some() {
                    self.looked(now, request, (Look::Trouble(Unavailability::Nonsense), None));
                } else {
                    self.ask(Request::Check, now.mono, WakeReason::AskAgain);
                }
            }
            Request::Ping | Request::Check => self.looked(now, request, look(observation)),
            Request::Accounts => self.proof(now, since, observation),
            Request::Reauthenticate | Request::OpenBrokerage { .. } => self.asked(now, observation),
            Request::ValidateSso => self.validated(now, observation),
            Request::IsListening => self.listened(now, observation),
            Request::EndSession => self.ended(now, observation),
        }
    }

    /// An answer to a check or a ping, or what amounts to one.
    fn looked(&mut self, now: Now, request: Request, (look, status): (Look, Option<Status>)) {
        self.remember(now, look, status);
        self.compare(now, request, look);
        if let Some(cause) = self.concluding.take() {
            return match look {
                Look::Good => self.prove(now),
                Look::Competing => self.contest(now),
                Look::Trouble(trouble) => self.unavailable(now, trouble),
                Look::NotEstablished | Look::Lost | Look::NoLogin { .. } => self.login_required(now, cause),
            };
        }
        match self.state {
            State::Starting | State::Unavailable(_) => self.looked_from_nothing(now, look),
            State::Live => self.looked_while_live(now, request, look),
            State::Recovering { step, .. } => self.looked_while_recovering(now, step, look),
            State::Contested => self.looked_while_contested(now, look),
            State::LoginRequired(cause) => self.looked_while_login_required(now, cause, look),
            State::Paused { .. } => {}
        }
    }

    /// If a check cannot be understood and a ping can, pings stand in for checks, and keep the session alive.
    fn compare(&mut self, now: Now, request: Request, look: Look) {
        match (request, look) {
            (Request::Check, Look::Trouble(trouble)) => self.check_in_vain = says_nothing(trouble),
            (Request::Check, _) => (self.check_in_vain, self.pings_alone) = (false, None),
            (_, Look::Trouble(_)) => self.pings_alone = None,
            (_, _) if std::mem::take(&mut self.check_in_vain) => self.pings_alone = Some(now.mono + STAND_IN),
            (_, _) => {}
        }
    }

    /// Whether the ping is to be asked about what a check did not tell.
    pub(super) fn should_ping(&self) -> bool {
        self.check_in_vain && self.last_look == Request::Check && !self.is_gone(Request::Ping)
    }

    fn remember(&mut self, now: Now, look: Look, status: Option<Status>) {
        if look == Look::Good {
            self.known.last_good = Some(now);
        } else if self.state.is_watching() {
            self.incident_begins(now).count_proof(now, matches!(look, Look::NoLogin { .. }));
        }
        if let Look::Trouble(trouble) = look {
            self.known.trouble = Some(trouble);
            self.answering_since = None;
            return;
        }
        self.known.trouble = None;
        self.troubled = false;
        let since = *self.answering_since.get_or_insert(now.mono);
        if now.mono >= since + STEADY {
            self.unanswered = 0;
        }
        self.known.evidence.no_login = matches!(look, Look::NoLogin { .. });
        self.known.evidence.connected = status.is_some_and(|s| s.connected);
        self.known.evidence.competing = status.is_some_and(|s| s.competing);
    }

    fn looked_from_nothing(&mut self, now: Now, look: Look) {
        match look {
            Look::Good => self.prove(now),
            Look::Competing => self.contest(now),
            Look::NotEstablished | Look::Lost | Look::NoLogin { .. } => {
                if self.doubt.is_some() {
                    self.believe(now, look);
                } else {
                    self.doubt(now, doubt_about(look));
                }
            }
            Look::Trouble(trouble) => self.unavailable(now, trouble),
        }
    }

    fn looked_while_live(&mut self, now: Now, request: Request, look: Look) {
        match look {
            // Of two answers that contradict each other neither is believed: data decides.
            Look::Good if self.doubt.is_some() || self.unproved.is_some() => self.prove(now),
            Look::Good => {
                self.refute(self.looked);
                self.incident = None;
                self.stay_live(now);
            }
            Look::Competing => self.contest(now),
            Look::NotEstablished | Look::Lost | Look::NoLogin { .. } if self.doubt.is_some() => self.believe(now, look),
            // Two different questions with the same answer are as good as one asked twice, and a second faster.
            Look::NotEstablished | Look::Lost if !self.is_gone(Request::Ping) => {
                self.doubt = Some(Doubt::Session);
                let other = if request == Request::Ping { Request::Check } else { Request::Ping };
                self.ask(other, now.mono, WakeReason::AskAgain);
            }
            Look::NotEstablished | Look::Lost | Look::NoLogin { .. } => self.doubt(now, doubt_about(look)),
            Look::Trouble(trouble) => self.trouble_twice(now, trouble),
        }
    }

    fn looked_while_contested(&mut self, now: Now, look: Look) {
        match look {
            Look::Good => self.prove(now),
            Look::Competing => self.contest(now),
            Look::NotEstablished | Look::Lost if self.refused_lately(now) => self.wait_for_the_other(now),
            Look::NotEstablished | Look::Lost | Look::NoLogin { .. } => {
                if self.doubt.is_some() {
                    self.believe(now, look);
                } else {
                    self.doubt(now, doubt_about(look));
                }
            }
            Look::Trouble(trouble) => self.trouble_twice(now, trouble),
        }
    }

    fn looked_while_login_required(&mut self, now: Now, cause: Cause, look: Look) {
        match look {
            Look::Good => self.prove(now),
            Look::Competing if cause != Cause::ByOperator => self.contest(now),
            Look::Trouble(_) if self.should_ping() => self.ask(Request::Ping, now.mono, WakeReason::NextStep),
            Look::Competing | Look::Trouble(_) => self.watch(now),
            // The other application's login is over, so that a new one is all it takes.
            Look::NoLogin { .. } if cause == Cause::Borrowed => self.login_required(now, Cause::Expired),
            Look::NoLogin { .. } => {
                self.login_seen = None;
                if let Some(incident) = &mut self.incident {
                    incident.no_login = true;
                }
                self.watch(now);
            }
            Look::NotEstablished | Look::Lost => self.login_may_be_back(now, cause),
        }
    }

    /// An answer to the data call.
    fn proof(&mut self, now: Now, since: Duration, observation: Observation) {
        match observation {
            Observation::Accounts(accounts) if accounts.usable => {
                self.known.is_paper = accounts.is_paper;
                self.gone.retain(|gone| *gone != Request::Accounts);
                self.refute(since);
                self.live(now, StateReason::DataConfirmed);
            }
            Observation::Gone if self.is_gone(Request::Accounts) => self.live(now, StateReason::FlagsAlone),
            Observation::Gone if self.unproved == Some(Unproved::Gone) => {
                self.live(now, StateReason::FlagsAlone);
                self.gone.push(Request::Accounts);
            }
            Observation::Gone => self.ask_for_proof_again(now, Unproved::Gone),
            Observation::Accounts(_) => self.no_data(now),
            Observation::Unauthorized | Observation::LoginPage => {
                self.no_data(now);
                if self.state.is_watching() {
                    self.doubt = Some(doubt_about(look(observation).0));
                }
            }
            Observation::Trouble(trouble) => self.proof_in_trouble(now, trouble),
            Observation::Status(_)
            | Observation::NoStatus
            | Observation::Accepted
            | Observation::NotLoggedIn
            | Observation::Sso(_)
            | Observation::Listening
            | Observation::Ended => self.proof_in_trouble(now, Unavailability::Nonsense),
        }
    }

    fn proof_in_trouble(&mut self, now: Now, trouble: Unavailability) {
        self.remember(now, Look::Trouble(trouble), None);
        match self.state {
            State::Live | State::Recovering { .. } | State::Contested => {
                if needs_no_confirmation(trouble) || self.unproved == Some(Unproved::Trouble) {
                    self.unavailable(now, trouble);
                } else if trouble == Unavailability::NoAnswer {
                    // It may be the connection alone: the check goes by another one.
                    (self.unproved, self.troubled) = (Some(Unproved::Trouble), true);
                    self.ask(Request::Check, now.mono, WakeReason::AskAgain);
                } else {
                    self.ask_for_proof_again(now, Unproved::Trouble);
                }
            }
            State::Starting | State::Unavailable(_) | State::LoginRequired(_) => self.unavailable(now, trouble),
            State::Paused { .. } => {}
        }
    }

    /// What was asked at that time worked: what the stream said before it was not so.
    fn refute(&mut self, since: Duration) {
        if self.denied.take_if(|denied| since >= *denied).is_some() {
            self.refuted = self.refuted.saturating_add(1);
            self.refutations = self.refutations.saturating_add(1);
        }
    }

    fn no_data(&mut self, now: Now) {
        if self.state.is_watching() {
            self.incident_begins(now);
        }
        match self.state {
            State::Starting | State::Live | State::Contested | State::Unavailable(_) => {
                if self.unproved == Some(Unproved::NoData) {
                    self.recover(now, StateReason::NoData);
                } else {
                    // The flags may have changed meanwhile: empty data is also how somebody else's session shows.
                    self.ask_for_proof_again(now, Unproved::NoData);
                }
            }
            State::Recovering { step: Step::Confirm, .. } => self.confirm_again(now),
            State::Recovering { .. } => self.next_attempt(now, StateReason::NoData),
            State::LoginRequired(_) => self.watch(now),
            State::Paused { .. } => {}
        }
    }

    /// The flags are good: one data call shows whether they are true.
    pub(super) fn prove(&mut self, now: Now) {
        self.doubt = None;
        self.ask(Request::Accounts, now.mono, WakeReason::ProofDue);
    }

    fn live(&mut self, now: Now, because: StateReason) {
        self.forget_doubts();
        if self.denied.is_some() && self.refuted < REFUTED {
            self.doubt = Some(Doubt::Session);
        }
        self.login_seen = None;
        self.proved = now.mono;
        // The attempt that led here has not failed; those before it have.
        let failed = self.incident.take().map_or(0, |incident| incident.attempts.saturating_sub(1));
        self.spent = self.spent.max(failed);
        if matches!(self.state, State::LoginRequired(_)) {
            // A new login may have come with a new gateway: what the old one did not know, this one may.
            self.gone.clear();
            self.spent = 0;
        }
        self.known.lived = true;
        self.enter(now, State::Live, because);
        self.stay_live(now);
    }

    /// Schedules the next question while live. A ping reports as a check does, so it takes the place of one.
    pub(super) fn stay_live(&mut self, now: Now) {
        let check = self.looked + self.limits.routine(now.mono, self.policy.check_every);
        let ping = self.limits.pinged().map_or(now.mono, |t| t + self.policy.ping_every);
        let ping_due = ping < check + self.policy.check_every && !self.is_gone(Request::Ping);
        let proof = self.proved + self.policy.confirm_every;
        let (routine, at, because) = if ping_due {
            (Request::Ping, ping.min(check), WakeReason::PingDue)
        } else {
            (Request::Check, check, WakeReason::CheckDue)
        };
        // What comes first goes first: neither question may make a ping late.
        if !self.policy.confirm_every.is_zero() && proof <= at {
            self.ask(Request::Accounts, proof, WakeReason::ProofDue);
        } else if let Some(age) = self.age_due().filter(|age| *age <= at) {
            self.ask(Request::ValidateSso, age, WakeReason::LoginAge);
        } else {
            self.ask(routine, at, because);
        }
    }

    /// When the login's age is to be asked: it tells when this login will end.
    fn age_due(&self) -> Option<Duration> {
        if !self.age_is_old || self.is_gone(Request::ValidateSso) {
            return None;
        }
        let first = self.since.mono + LOGIN_AGE;
        let asked = self.limits.validated().filter(|t| *t >= self.since.mono);
        Some(asked.map_or(first, |t| t + AGE_AGAIN))
    }

    fn ended(&mut self, now: Now, observation: Observation) {
        if matches!(self.state, State::Paused { .. }) {
            self.rest(now);
        } else if observation == Observation::Ended {
            self.logged_out(now);
        } else {
            self.ask(Request::Check, now.mono, WakeReason::AskAgain);
        }
    }

    fn doubt(&mut self, now: Now, doubt: Doubt) {
        self.doubt = Some(doubt);
        self.ask_again(now);
    }

    fn ask_for_proof_again(&mut self, now: Now, unproved: Unproved) {
        self.unproved = Some(unproved);
        self.ask_again(now);
    }

    /// Has an unexpected answer followed by a check, before it is believed.
    pub(super) fn ask_again(&mut self, now: Now) {
        self.ask(Request::Check, now.mono + ASK_AGAIN, WakeReason::AskAgain);
    }

    /// What was suspected has come to an end, one way or the other.
    pub(super) const fn forget_doubts(&mut self) {
        self.doubt = None;
        self.unproved = None;
        self.troubled = false;
        self.concluding = None;
    }

    /// The second answer of its kind: no more doubt.
    fn believe(&mut self, now: Now, look: Look) {
        let page = self.doubt == Some(Doubt::LoginPage) || look == Look::NoLogin { page: true };
        if page {
            return self.login_required(now, Cause::Expired);
        }
        self.doubt = None;
        match look {
            Look::NoLogin { .. } => self.recover(now, StateReason::NoLogin),
            Look::NotEstablished => self.recover_patiently(now),
            Look::Good | Look::Competing | Look::Lost | Look::Trouble(_) => {
                self.recover(now, StateReason::SessionLapsed)
            }
        }
    }
}

impl Request {
    /// Whether the session can be kept without this one: if the other side does not know it any more, it is left out from
    /// then on, until a login brings hope of another gateway.
    #[must_use]
    pub const fn can_be_left_out(self) -> bool {
        match self {
            Self::Ping | Self::Reauthenticate | Self::OpenBrokerage { .. } | Self::ValidateSso => true,
            Self::Check | Self::Accounts | Self::IsListening | Self::EndSession => false,
        }
    }
}

impl State {
    /// Whether a bad answer in this state begins an incident.
    const fn is_watching(self) -> bool {
        match self {
            Self::Starting | Self::Live | Self::Recovering { .. } | Self::Contested | Self::Unavailable(_) => true,
            Self::LoginRequired(_) | Self::Paused { .. } => false,
        }
    }
}

pub(super) fn look(observation: Observation) -> (Look, Option<Status>) {
    match observation {
        Observation::Status(status) => (status.look(), Some(status)),
        Observation::NoStatus => (Look::Lost, None),
        Observation::Unauthorized => (Look::NoLogin { page: false }, None),
        Observation::LoginPage => (Look::NoLogin { page: true }, None),
        Observation::Trouble(trouble) => (Look::Trouble(trouble), None),
        Observation::Accepted
        | Observation::NotLoggedIn
        | Observation::Sso(_)
        | Observation::Accounts(_)
        | Observation::Listening
        | Observation::Ended
        | Observation::Gone => (Look::Trouble(Unavailability::Nonsense), None),
    }
}

const fn doubt_about(look: Look) -> Doubt {
    match look {
        Look::NoLogin { page: true } => Doubt::LoginPage,
        Look::NoLogin { page: false } => Doubt::Login,
        Look::Good | Look::NotEstablished | Look::Competing | Look::Lost | Look::Trouble(_) => Doubt::Session,
    }
}

/// Whether something answers, and not with anything that says how the session is; another question may do better.
pub(super) const fn says_nothing(trouble: Unavailability) -> bool {
    match trouble {
        Unavailability::Nonsense | Unavailability::EdgeRefused | Unavailability::IbkrError => true,
        Unavailability::NothingListens
        | Unavailability::NoAnswer
        | Unavailability::NotAGateway
        | Unavailability::Tls
        | Unavailability::Certificate
        | Unavailability::AddressRefused
        | Unavailability::Network
        | Unavailability::IbkrSilent
        | Unavailability::TooManyRequests { .. } => false,
    }
}

/// How often in a row data refutes the stream before its word counts no more.
pub(super) const REFUTED: u32 = 2;
/// How long pings stand in for checks before a check is tried again.
const STAND_IN: Duration = Duration::from_secs(3600);
/// How long after an unexpected answer it is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How long answers must last before the past is forgotten.
const STEADY: Duration = Duration::from_secs(60);
/// How long after the session became live the login's age is asked.
const LOGIN_AGE: Duration = Duration::from_secs(60);
/// And how long after a question about it that had no answer of use it is asked again.
const AGE_AGAIN: Duration = Duration::from_secs(3600);
