//! The models that are searched.

use std::time::Duration;

use support::Said;
use tickled::session::{
    Accounts, Answer, Competing, Failure, HostFailure, Input, Method, Now, Policy, Recovery, Request, Sso, Status,
    Unavailability,
};

/// What gateway, IBKR and operator do in one search. What the machine remembers multiplies, so each model leaves something out.
/// Together they have every answer, failure, push and command, and most pairs of them.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) name: &'static str,
    pub(crate) policy: Policy,
    pub(crate) flags: &'static [Status],
    pub(crate) sso: &'static [Sso],
    pub(crate) failures: Vec<Failure>,
    /// What may be answered with 404.
    pub(crate) unsupported: &'static [&'static str],
    /// What may stay unanswered, in time or at all.
    pub(crate) late: &'static [&'static str],
    /// Whether the connections of these requests also break.
    pub(crate) breaks: bool,
    /// While more than one request is unanswered, IBKR answers none.
    pub(crate) is_all_or_nothing: bool,
    pub(crate) wishes: Vec<Input>,
}

pub(crate) const GOOD: Status = Status { authenticated: true, connected: true, competing: false, established: None };
pub(crate) const FLAGS: [Status; 5] = [
    GOOD,
    Status { authenticated: false, ..GOOD },
    Status { competing: true, ..GOOD },
    Status { established: Some(false), ..GOOD },
    Status { authenticated: false, connected: false, ..GOOD },
];

pub(crate) const VALID: Sso = Sso { valid: true, borrowed: false, auth_time: None };
pub(crate) const SSO: [Sso; 3] = [VALID, Sso { valid: false, ..VALID }, Sso { borrowed: true, ..VALID }];

pub(crate) const NO_LOGIN: [Failure; 3] = [Failure::NoSession, Failure::Unauthorized, Failure::LoginPage];

/// One of each kind of unavailability that the machine treats in its own way.
pub(crate) const KINDS: [Failure; 5] = [
    Failure::Unavailable(Unavailability::NoAnswer),
    Failure::Unavailable(Unavailability::NothingListens),
    Failure::Unavailable(Unavailability::IbkrError),
    Failure::Unavailable(Unavailability::NotAGateway),
    Failure::Unavailable(Unavailability::TooManyRequests { retry_after: None }),
];

pub(crate) const PAUSE: Input = Input::Pause { until: None };
pub(crate) const WISHES: [Input; 7] =
    [PAUSE, Input::Resume, Input::Logout, Input::LoggedOut, Input::Check, Input::Prove, Input::ExpectLogin];

pub(crate) const PROVED_BY: [&str; 3] = ["ping_server", "check_auth_status", "accounts"];
pub(crate) const RECOVERED_BY: [&str; 3] = ["reauthenticate", "open_brokerage", "validate_sso"];

pub(crate) fn models() -> Vec<Model> {
    let policy = |competing, methods: &[Method], attempts| {
        let recovery = Recovery { methods: methods.to_vec(), attempts, ..Recovery::default() };
        Policy { competing, recovery, ..Policy::default() }
    };
    let both = policy(Competing::Yield, &[Method::Direct, Method::Gateway], 1);
    let twice = policy(Competing::Yield, &[Method::Direct, Method::Gateway], 2);
    let take_over = policy(Competing::TakeOver, &[Method::Direct], 1);
    let gateway = policy(Competing::Yield, &[Method::Gateway], 1);
    let host = Policy { knows_ibkr_host: true, ..both.clone() };
    let with = |kinds: &[usize]| NO_LOGIN.into_iter().chain(kinds.iter().map(|kind| KINDS[*kind])).collect::<Vec<_>>();
    let login = Model {
        name: "the operator and logins of all kinds",
        policy: both,
        flags: &FLAGS,
        sso: &SSO,
        failures: NO_LOGIN.to_vec(),
        unsupported: &[],
        late: &[],
        breaks: false,
        is_all_or_nothing: false,
        wishes: WISHES.to_vec(),
    };
    let plain = Model { sso: &SSO[..1], wishes: vec![], ..login.clone() };
    let silent = Model { late: &["check_auth_status"], is_all_or_nothing: true, ..plain.clone() };
    let one = |failure: Failure| vec![failure];
    vec![
        Model { name: "unavailability of all kinds", failures: with(&[0, 1, 2, 3, 4]), ..plain.clone() },
        Model { name: "pushes", failures: with(&[0]), wishes: FLAGS.map(Input::Push).to_vec(), ..plain.clone() },
        Model { name: "404 while recovering", unsupported: &RECOVERED_BY, ..plain.clone() },
        Model {
            name: "404 to what proves a session",
            unsupported: &PROVED_BY,
            flags: &FLAGS[..3],
            failures: vec![NO_LOGIN[0], KINDS[2]],
            ..plain.clone()
        },
        Model {
            name: "silence that other answers interrupt",
            flags: &FLAGS[..1],
            is_all_or_nothing: false,
            ..silent.clone()
        },
        Model {
            name: "silence, IBKR's host is known",
            policy: host,
            flags: &FLAGS[..2],
            failures: one(NO_LOGIN[0]),
            wishes: vec![PAUSE],
            ..silent.clone()
        },
        Model {
            name: "silence, unavailability, the operator",
            flags: &FLAGS[..1],
            failures: vec![KINDS[1], KINDS[2], KINDS[4]],
            wishes: WISHES[..3].to_vec(),
            ..silent.clone()
        },
        Model {
            name: "silence, logins of all kinds",
            sso: &SSO[..2],
            failures: one(Failure::Unauthorized),
            ..silent.clone()
        },
        Model {
            name: "silence, logout",
            flags: &FLAGS[..4],
            failures: NO_LOGIN[1..].to_vec(),
            wishes: vec![Input::Logout],
            ..silent.clone()
        },
        Model {
            name: "silence of all but polls",
            flags: &FLAGS[..3],
            late: &["open_brokerage", "validate_sso", "accounts"],
            failures: vec![],
            ..silent.clone()
        },
        Model {
            name: "broken connections",
            flags: &FLAGS[..2],
            failures: one(KINDS[1]),
            breaks: true,
            ..silent.clone()
        },
        Model {
            name: "broken connections that other answers interrupt",
            flags: &FLAGS[..1],
            failures: vec![],
            breaks: true,
            is_all_or_nothing: false,
            ..silent.clone()
        },
        Model {
            name: "take over",
            policy: take_over.clone(),
            failures: with(&[0]),
            wishes: vec![Input::Push(FLAGS[1])],
            ..plain.clone()
        },
        Model {
            name: "take over, silence",
            policy: take_over,
            flags: &FLAGS[..3],
            failures: vec![NO_LOGIN[0], KINDS[1]],
            ..silent.clone()
        },
        Model { name: "the gateway's own way", policy: gateway.clone(), failures: with(&[0]), ..plain.clone() },
        Model {
            name: "the gateway's own way, silence",
            policy: gateway,
            flags: &FLAGS[..2],
            failures: one(Failure::Unauthorized),
            wishes: vec![Input::Logout],
            ..silent.clone()
        },
        Model { name: "two attempts", policy: twice.clone(), flags: &FLAGS[..3], failures: with(&[2]), ..plain },
        Model {
            name: "two attempts, silence",
            policy: twice,
            flags: &FLAGS[..2],
            late: &["check_auth_status", "validate_sso"],
            failures: one(NO_LOGIN[0]),
            wishes: vec![Input::Logout],
            ..silent
        },
        login,
    ]
}

impl Model {
    /// All that may happen next, except that time passes.
    pub(crate) fn inputs(&self, now: Now, standing: usize, open: &[Request]) -> Vec<Input> {
        let mut open = open.to_vec();
        open.sort_unstable();
        open.dedup();
        if self.is_silent(standing) {
            open.retain(|request| !request.is_proxied());
        }
        let mut inputs: Vec<Input> = open.iter().flat_map(|open| self.answers(*open)).map(Input::Answer).collect();
        if self.breaks {
            inputs.extend(open.into_iter().filter(|open| self.may_be_late(*open)).map(Input::Unanswered));
        }
        // The operator does not leave more requests unanswered than that.
        if standing <= if self.late.is_empty() { 1 } else { 3 } {
            inputs.extend(&self.wishes);
            if self.wishes.contains(&PAUSE) {
                inputs.push(Input::Pause { until: Some(now.wall + Duration::from_secs(60)) });
            }
        }
        inputs
    }

    pub(crate) fn answers(&self, request: Request) -> Vec<Answer> {
        let mut all = vec![Said::Accepted, Said::NotLoggedIn, Said::Listening, Said::Ended];
        all.extend(self.flags.iter().copied().map(Said::Status));
        all.extend(self.sso.iter().copied().map(Said::Sso));
        all.extend([true, false].map(|usable| Said::Accounts(Accounts { usable, is_paper: None })));
        all.extend([Ok(()), Err(HostFailure::NoWay), Err(HostFailure::NoAnswer)].map(Said::Host));
        all.extend([true, false].map(Said::Websocket));
        let mut all: Vec<Answer> = all.into_iter().filter_map(|said| said.to(request)).collect();
        if request != Request::HandshakeIbkr {
            all.extend(self.failures.iter().map(|failure| Answer::failed(request, *failure)));
        }
        if self.unsupported.contains(&request.name()) {
            all.push(Answer::failed(request, Failure::Unsupported));
        }
        all
    }

    pub(crate) fn is_silent(&self, standing: usize) -> bool {
        self.is_all_or_nothing && standing > 1
    }

    pub(crate) fn may_be_late(&self, request: Request) -> bool {
        self.late.contains(&request.name())
    }
}
