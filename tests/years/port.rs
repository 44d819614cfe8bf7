//! Between the machine and the world: what a request asks, and what an answer shows.

use std::time::Duration;

use jiff::Timestamp;
use tickled::gateway::wire::{self, Refusal, Reply};
use tickled::gateway::{ErrorKind, Tickle};
use tickled::observe;
use tickled::session::{Accounts, Observation, Request, Sso, Status, Unavailability};
use tickled::simulator::world::{Answer, AuthStatus, Call, Route, Verdict};

/// What a request asks of the world.
pub(crate) fn call(request: Request) -> Call {
    match request {
        Request::Ping => Call::post(Route::Tickle),
        Request::Check => Call::post(Route::Status),
        Request::Reauthenticate => Call::post(Route::Reauthenticate),
        Request::OpenBrokerage { compete } => Call::init(compete),
        Request::ValidateSso => Call::get(Route::Validate),
        Request::Accounts => Call::get(Route::Accounts),
        Request::IsListening => Call::get(Route::Root),
        Request::EndSession => Call::post(Route::Logout),
    }
}

/// What an answer shows, without a byte of JSON; [`slowly`] is the way it really goes.
pub(crate) fn quickly(request: Request, answer: &Answer) -> Observation {
    match answer {
        Answer::Status(flags) => Observation::Status(status(*flags)),
        Answer::Tickle(tickle) => Observation::Status(status(tickle.status)),
        Answer::NoSession => Observation::NoStatus,
        Answer::Validate(validate) => Observation::Sso(Sso {
            valid: validate.result == Verdict::True,
            borrowed: validate.borrowed,
            auth_time: i64::try_from(validate.auth_time_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()),
        }),
        Answer::Accounts { paper } => Observation::Accounts(Accounts { usable: true, is_paper: Some(*paper) }),
        Answer::EmptyAccounts => Observation::Accounts(Accounts { usable: false, is_paper: None }),
        Answer::Triggered => Observation::Accepted,
        Answer::NotLoggedIn => Observation::NotLoggedIn,
        Answer::Unauthorized => Observation::Unauthorized,
        Answer::LoggedOut => Observation::Ended,
        Answer::NoBridge
        | Answer::Trouble(_)
        | Answer::LoginRedirect
        | Answer::TooManyRequests
        | Answer::SsoPing
        | Answer::PortfolioAccounts { .. }
        | Answer::LoginSucceeds
        | Answer::LoginPage
        | Answer::IbkrRedirect(_)
        | Answer::Upgrade
        | Answer::EdgeDenied
        | Answer::AccessDenied
        | Answer::NotFound
        | Answer::MethodNotAllowed
        | Answer::LengthRequired
        | Answer::PublishMissing
        | Answer::Program { .. }
        | Answer::Raw(_) => slowly(request, answer),
    }
}

const fn status(flags: AuthStatus) -> Status {
    Status {
        authenticated: flags.authenticated,
        connected: flags.connected,
        competing: flags.competing,
        established: flags.established,
    }
}

/// What an answer shows, through the bytes and the parsers that a real one goes through.
pub(crate) fn slowly(request: Request, answer: &Answer) -> Observation {
    let rendered = answer.render();
    let header = |name: &str| {
        let found = rendered.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    };
    let reply = Reply {
        status: rendered.status,
        location: header("location"),
        retry_after: header("retry-after").and_then(|s| s.parse().ok()).map(Duration::from_secs),
        body: &rendered.body,
    };
    match request {
        Request::Ping => seen(wire::read::<Tickle>(&reply), |tickle| {
            tickle.auth_status.as_ref().map_or(Observation::NoStatus, |s| Observation::Status(observe::flags(s)))
        }),
        Request::Check | Request::OpenBrokerage { .. } => {
            seen(wire::read_status(&reply), |status| Observation::Status(observe::flags(status)))
        }
        Request::Reauthenticate => {
            seen(wire::read_reauthentication(&reply), |said| observe::reauthentication(&Ok(said.clone())))
        }
        Request::ValidateSso => seen(wire::read(&reply), |sso: &wire::SsoValidation| observe::sso(&Ok(sso.clone()))),
        Request::Accounts => match wire::read::<wire::Accounts>(&reply) {
            Err(Refusal::NoBrokerageSession) => Observation::Accounts(Accounts { usable: false, is_paper: None }),
            other => seen(other, |accounts| observe::accounts(&Ok(accounts.clone()))),
        },
        Request::IsListening => seen(wire::read_listening(&reply), |()| Observation::Listening),
        Request::EndSession => seen(wire::read(&reply), |_: &wire::Logout| Observation::Ended),
    }
}

fn seen<T>(read: Result<T, Refusal>, observe: impl Fn(&T) -> Observation) -> Observation {
    match read {
        Ok(answer) => observe(&answer),
        Err(refusal) => observe::fault(match refusal {
            Refusal::Unauthorized { denied } => ErrorKind::Unauthorized { denied },
            Refusal::LoginPage => ErrorKind::LoginPage,
            Refusal::NoBrokerageSession => ErrorKind::NoBrokerageSession,
            Refusal::AddressRefused => ErrorKind::AddressRefused,
            Refusal::EdgeRefused => ErrorKind::EdgeRefused,
            Refusal::Gone => ErrorKind::Gone,
            Refusal::TooManyRequests { retry_after } => ErrorKind::TooManyRequests { retry_after },
            Refusal::Ibkr => ErrorKind::Ibkr,
            Refusal::NotAGateway => ErrorKind::NotAGateway,
            Refusal::NotUnderstood(_) => ErrorKind::NotUnderstood,
        }),
    }
}

/// What a request that gets no answer at all shows.
pub(crate) const SILENCE: Observation = Observation::Trouble(Unavailability::NoAnswer);
