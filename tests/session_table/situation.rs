//! Machines brought to where something is to be seen.

use std::time::Duration;

use jiff::Timestamp;
use support::{Said, said};
use tickled::session::{
    Accounts, Input, Machine, Method, Now, Plan, Policy, Recovery, Request, Sso, State, Status, Unavailability,
};

pub(crate) const GOOD: Status = Status { authenticated: true, connected: true, competing: false, established: None };
pub(crate) const LOST: Status = Status { authenticated: false, connected: true, competing: false, established: None };
pub(crate) const COMPETING: Status =
    Status { authenticated: true, connected: true, competing: true, established: None };
pub(crate) const NOT_ESTABLISHED: Status =
    Status { authenticated: true, connected: true, competing: false, established: Some(false) };
pub(crate) const VALID: Sso = Sso { valid: true, borrowed: false, auth_time: None };
pub(crate) const USABLE: Accounts = Accounts { usable: true, is_paper: None };
pub(crate) const ERROR: Said = Said::Unavailable(Unavailability::IbkrError);
pub(crate) const REFUSED: Said = Said::Unavailable(Unavailability::NothingListens);
pub(crate) const SILENCE: Said = Said::Unavailable(Unavailability::NoAnswer);
pub(crate) const EMPTY: Accounts = Accounts { usable: false, is_paper: None };

/// A machine brought somewhere, with the time there and the plan that it made.
#[derive(Clone)]
pub(crate) struct Situation {
    pub(crate) machine: Machine,
    pub(crate) now: Now,
    pub(crate) plan: Plan,
}

impl Situation {
    pub(crate) fn start(seed: u64) -> Self {
        Self::with(recovering(&[Method::Gateway, Method::Direct], 3), seed)
    }

    pub(crate) fn with(policy: Policy, seed: u64) -> Self {
        let now = Now { mono: Duration::ZERO, wall: Timestamp::UNIX_EPOCH };
        let mut machine = Machine::new(policy, seed, now);
        let plan = machine.step(now, Input::Wake);
        Self { machine, now, plan }
    }

    pub(crate) fn step(mut self, input: Input) -> Self {
        self.plan = self.machine.step(self.now, input);
        self
    }

    pub(crate) fn wait(mut self, for_: Duration) -> Self {
        self.now = Now { mono: self.now.mono + for_, wall: self.now.wall + for_ };
        self
    }

    /// Lets time pass until the machine asks something, and checks that it is `request`.
    pub(crate) fn asks(self, request: Request) -> Self {
        let (_, asked, asking) = self.next();
        assert_eq!(asked, request, "in state {:?}", asking.state());
        asking
    }

    pub(crate) fn answered(self, request: Request, observation: Said) -> Self {
        self.asks(request).step(said(request, observation))
    }

    pub(crate) fn checked(self, status: Status) -> Self {
        self.answered(Request::Check, Said::Status(status))
    }

    /// The answer to the check that is under way.
    pub(crate) fn checked_now(self, status: Status) -> Self {
        self.step(said(Request::Check, Said::Status(status)))
    }

    /// The stream says so, and the check that follows does too.
    pub(crate) fn denied(self, status: Status) -> Self {
        let (_, request, asking) = self.step(Input::Push(status)).next();
        assert!(matches!(request, Request::Check | Request::Ping), "{request:?}");
        asking.step(said(request, Said::Status(status)))
    }

    pub(crate) fn live(self) -> Self {
        self.checked(GOOD)
            .answered(Request::Accounts, Said::Accounts(USABLE))
            .answered(Request::Ping, Said::Status(GOOD))
    }

    pub(crate) fn lapsed(self) -> Self {
        self.live().checked(LOST).answered(Request::Ping, Said::Status(LOST))
    }

    pub(crate) fn confirming(self) -> Self {
        self.lapsed().answered(Request::Reauthenticate, Said::Accepted).answered(Request::ValidateSso, Said::Sso(VALID))
    }
}

/// Every state, with every question that can be out in it.
pub(crate) fn situations(seed: u64) -> Vec<(&'static str, Request, Situation)> {
    let new = || Situation::start(seed);
    let unauthorized = |s: Situation| s.answered(Request::Check, Said::Unauthorized);
    let expired = || {
        let asked = unauthorized(unauthorized(new())).answered(Request::Reauthenticate, Said::Accepted);
        unauthorized(asked.answered(Request::ValidateSso, Said::Unauthorized))
    };
    let direct = Request::OpenBrokerage { compete: false };
    let mut second_attempt = new().confirming();
    while second_attempt.plan.request != Some(direct) {
        second_attempt = match second_attempt.plan.request {
            Some(Request::Check) => second_attempt.checked(LOST),
            None => {
                let left = second_attempt.plan.wake_at - second_attempt.now.mono;
                second_attempt.wait(left).step(Input::Wake)
            }
            other => panic!("unexpected {other:?}"),
        };
    }
    let aging = new().live().well_until(Request::ValidateSso);
    let mut pausing = new().confirming();
    while !matches!(pausing.machine.state(), State::Recovering { step: tickled::session::Step::Pause, .. }) {
        let (_, request, asking) = pausing.next();
        pausing = asking.step(said(request, Said::Status(LOST)));
    }
    vec![
        ("starting", Request::Check, new()),
        ("starting, asking again", Request::Check, new().checked(LOST).asks(Request::Check)),
        ("starting, proving", Request::Accounts, new().checked(GOOD).asks(Request::Accounts)),
        ("live", Request::Check, new().live().asks(Request::Check)),
        ("live, asking again", Request::Ping, new().live().checked(LOST).asks(Request::Ping)),
        ("live, proving again", Request::Accounts, new().live().well_until(Request::Accounts)),
        ("live, asking the login's age", Request::ValidateSso, aging),
        ("live, the stream denies it", Request::Check, new().live().wait(seconds(5)).step(Input::Push(LOST))),
        (
            "live, another connection after silence",
            Request::IsListening,
            new().live().answered(Request::Check, SILENCE),
        ),
        (
            "live, a ping after a check that cannot be understood",
            Request::Ping,
            new().live().answered(Request::Check, ERROR).asks(Request::Ping),
        ),
        ("live, logging out", Request::EndSession, new().live().step(Input::Logout)),
        (
            "recovering: check",
            Request::Check,
            new().checked(NOT_ESTABLISHED).checked(NOT_ESTABLISHED).asks(Request::Check),
        ),
        (
            "recovering: reauthenticate, by the gateway",
            Request::Reauthenticate,
            new().lapsed().asks(Request::Reauthenticate),
        ),
        ("recovering: reauthenticate, direct", direct, second_attempt),
        (
            "recovering: validate_sso",
            Request::ValidateSso,
            new().lapsed().answered(Request::Reauthenticate, Said::Accepted).asks(Request::ValidateSso),
        ),
        (
            "recovering: validate_sso, after proof that the login is gone",
            Request::Check,
            unauthorized(unauthorized(new())).answered(Request::Reauthenticate, Said::NotLoggedIn).asks(Request::Check),
        ),
        ("recovering: confirm", Request::Check, new().confirming().asks(Request::Check)),
        ("recovering: confirm, proving", Request::Accounts, new().confirming().checked(GOOD).asks(Request::Accounts)),
        ("recovering: pause, and the check after it", Request::Check, pausing.asks(Request::Check)),
        ("contested", Request::Check, new().checked(COMPETING).asks(Request::Check)),
        ("unavailable", Request::Check, new().answered(Request::Check, REFUSED).asks(Request::Check)),
        (
            "unavailable, a ping after a check that cannot be understood",
            Request::Ping,
            new().answered(Request::Check, ERROR).answered(Request::IsListening, Said::Listening).asks(Request::Ping),
        ),
        (
            "unavailable, looking for the gateway",
            Request::IsListening,
            new().answered(Request::Check, Said::Unavailable(Unavailability::NoAnswer)).asks(Request::IsListening),
        ),
        ("login-required", Request::Check, expired().asks(Request::Check)),
        ("paused", Request::Check, new().step(Input::Pause { until: None })),
    ]
}

pub(crate) const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A policy with these methods and so many attempts.
pub(crate) fn recovering(methods: &[Method], attempts: u8) -> Policy {
    let recovery = Recovery { methods: methods.to_vec(), attempts, ..Policy::default().recovery };
    Policy { recovery, ..Policy::default() }
}

impl Situation {
    pub(crate) fn new() -> Self {
        Self::start(7)
    }

    pub(crate) fn state(&self) -> State {
        self.machine.state()
    }

    /// How long until the machine asks something, what, and the situation in which it does.
    pub(crate) fn next(mut self) -> (Duration, Request, Self) {
        let at = self.now.mono;
        while self.plan.request.is_none() {
            let left = self.plan.wake_at.saturating_sub(self.now.mono);
            self = self.wait(left).step(Input::Wake);
        }
        let request = self.plan.request.unwrap();
        (self.now.mono - at, request, self)
    }

    /// Answers what is asked as a gateway does where all is well.
    pub(crate) fn answered_well(self) -> Self {
        let request = self.plan.request.unwrap();
        let observation = match request {
            Request::Check | Request::Ping | Request::OpenBrokerage { .. } => Said::Status(GOOD),
            Request::Accounts => Said::Accounts(USABLE),
            Request::ValidateSso => Said::Sso(VALID),
            Request::IsListening => Said::Listening,
            Request::Reauthenticate => Said::Accepted,
            Request::EndSession => Said::Ended,
            Request::HandshakeIbkr | Request::ProbeWebsocket => SILENCE,
        };
        self.step(said(request, observation))
    }

    /// All is well until at least so much later; gives what was asked meanwhile.
    pub(crate) fn lives(mut self, span: Duration) -> (Vec<Request>, Self) {
        let until = self.now.mono + span;
        let mut asked = Vec::new();
        loop {
            let (_, request, asking) = self.next();
            if asking.now.mono > until {
                return (asked, asking);
            }
            asked.push(request);
            self = asking.answered_well();
        }
    }

    pub(crate) fn answered_well_if_asked(self) -> Self {
        if self.plan.request.is_some() { self.answered_well() } else { self }
    }

    /// All is well until `wanted` is asked.
    pub(crate) fn well_until(mut self, wanted: Request) -> Self {
        loop {
            let (_, request, asking) = self.next();
            if request == wanted {
                return asking;
            }
            self = asking.answered_well();
        }
    }

    /// Answers every check, and every ping, with these flags until the state has another name.
    pub(crate) fn looks(mut self, observation: Said) -> Self {
        let name = self.state().name();
        while self.state().name() == name {
            let (_, request, asking) = self.next();
            let is_look = matches!(request, Request::Check | Request::Ping);
            self = if is_look { asking.step(said(request, observation)) } else { asking.answered_well() };
        }
        self
    }

    /// All is well until the session is live again.
    pub(crate) fn comes_back(mut self) -> Self {
        while self.state() != State::Live {
            self = self.next().2.answered_well();
        }
        self.answered_well_if_asked()
    }
}
