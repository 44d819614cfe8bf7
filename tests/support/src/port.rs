//! Between the machine and the world: what a request asks, and what an answer shows.

use std::time::Duration;

use crate::Said;
use jiff::Timestamp;
use tickled::driver::answers;
use tickled::gateway::Tickle;
use tickled::gateway::wire::{self, RawReply, Refusal};
use tickled::session::{Accounts, Failure, HostFailure, Reauth, Request, Sso, Status, Unavailability};
use tickled::simulator::world::{Answer, AuthStatus, Call, RequestId, Route, Verdict, What, World};

/// What a request asks of the world.
pub fn call(request: Request) -> Call {
    match request {
        Request::Ping => Call::post(Route::Tickle),
        Request::Check => Call::post(Route::Status),
        Request::Reauthenticate => Call::post(Route::Reauthenticate),
        Request::OpenBrokerage { compete } => Call::init(compete),
        Request::ValidateSso => Call::get(Route::Validate),
        Request::Accounts => Call::get(Route::Accounts),
        Request::IsListening => Call::get(Route::Root),
        Request::EndSession => Call::post(Route::Logout),
        Request::HandshakeIbkr | Request::ProbeWebsocket => Call::get(Route::Stream),
    }
}

/// What an answer shows, without a byte of JSON; [`slowly`] is the way it really goes.
pub fn quickly(request: Request, answer: &Answer) -> Said {
    match answer {
        Answer::Status(flags) => Said::Status(status(*flags)),
        Answer::Tickle(tickle) => Said::Status(status(tickle.status)),
        Answer::NoSession => Said::NoStatus,
        Answer::Validate(validate) => Said::Sso(Sso {
            valid: validate.result == Verdict::True,
            borrowed: validate.borrowed,
            auth_time: i64::try_from(validate.auth_time_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()),
        }),
        Answer::Accounts { paper } => Said::Accounts(Accounts { usable: true, is_paper: Some(*paper) }),
        Answer::EmptyAccounts => Said::Accounts(Accounts { usable: false, is_paper: None }),
        Answer::Triggered => Said::Accepted,
        Answer::NotLoggedIn => Said::NotLoggedIn,
        Answer::Unauthorized => Said::Unauthorized,
        Answer::LoggedOut => Said::Ended,
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

/// The flags of an answer or a push.
#[must_use]
pub const fn status(flags: AuthStatus) -> Status {
    Status {
        authenticated: flags.authenticated,
        connected: flags.connected,
        competing: flags.competing,
        established: flags.established,
    }
}

/// What an answer shows, through the bytes and the parsers that a real one goes through.
pub fn slowly(request: Request, answer: &Answer) -> Said {
    let rendered = answer.render();
    let header = |name: &str| {
        let found = rendered.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    };
    let reply = RawReply {
        status: rendered.status,
        location: header("location"),
        retry_after: header("retry-after").and_then(|s| s.parse().ok()).map(Duration::from_secs),
        body: &rendered.body,
    };
    match request {
        Request::Ping => seen(wire::read::<Tickle>(&reply), |tickle| {
            tickle.auth_status.as_ref().map_or(Said::NoStatus, |status| Said::Status(answers::flags(status)))
        }),
        Request::Check | Request::OpenBrokerage { .. } => {
            seen(wire::read_status(&reply), |status| Said::Status(answers::flags(status)))
        }
        Request::Reauthenticate => {
            seen(wire::read_reauthentication(&reply), |answer| match answers::reauthentication(answer) {
                Reauth::Accepted => Said::Accepted,
                Reauth::NotLoggedIn => Said::NotLoggedIn,
            })
        }
        Request::ValidateSso => seen(wire::read(&reply), |sso| Said::Sso(answers::sso(sso))),
        Request::Accounts => seen(wire::read(&reply), |accounts| Said::Accounts(answers::accounts(accounts))),
        Request::IsListening => seen(wire::read_listening(&reply), |()| Said::Listening),
        Request::EndSession => seen(wire::read(&reply), |_: &wire::Logout| Said::Ended),
        Request::HandshakeIbkr | Request::ProbeWebsocket => unreachable!("{request:?} has no HTTP answer"),
    }
}

fn seen<T>(read: Result<T, Refusal>, meaning: impl Fn(&T) -> Said) -> Said {
    let kind = match read {
        Ok(answer) => return meaning(&answer),
        Err(refusal) => refusal.kind,
    };
    match answers::failure(kind) {
        Failure::Unauthorized => Said::Unauthorized,
        Failure::LoginPage => Said::LoginPage,
        Failure::NoSession => Said::NoStatus,
        Failure::Unsupported => Said::Unsupported,
        Failure::Unavailable(cause) => Said::Unavailable(cause),
    }
}

/// What a request that gets no answer at all shows.
pub const SILENCE: Said = Said::Unavailable(Unavailability::NoAnswer);

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is answered after so long.
    Answered(Duration, Said),
    /// Its connection breaks after so long, and IBKR has not answered.
    Broken(Duration),
    /// Nothing comes, except for a late answer to the request of this id.
    Stands(Option<RequestId>),
}

/// Sends a request to the world.
pub fn send(world: &mut World, at: Duration, request: Request) -> Outcome {
    let millis = Duration::from_millis;
    let truth = world.truth();
    match request {
        Request::HandshakeIbkr if truth.reachable => return Outcome::Answered(millis(30), Said::Host(Ok(()))),
        Request::HandshakeIbkr => {
            return Outcome::Answered(Duration::from_secs(5), Said::Host(Err(HostFailure::NoAnswer)));
        }
        Request::ProbeWebsocket if !truth.listening => return Outcome::Answered(millis(1), SILENCE),
        Request::ProbeWebsocket if truth.reachable => return Outcome::Answered(millis(30), Said::Websocket(true)),
        Request::ProbeWebsocket => return Outcome::Answered(Duration::from_secs(10), Said::Websocket(false)),
        _ => {}
    }
    let reply = world.handle(at, &call(request));
    match reply.what {
        What::Answer(answer) => Outcome::Answered(reply.after, quickly(request, &answer)),
        What::Refused => Outcome::Answered(millis(1), Said::Unavailable(Unavailability::NothingListens)),
        What::Hang | What::Drip(_) if request.is_proxied() => Outcome::Stands(reply.awaits),
        What::Hang | What::Drip(_) => Outcome::Answered(Duration::from_secs(3), SILENCE),
        What::Reset if request.is_proxied() => Outcome::Broken(millis(2)),
        What::Reset | What::Cut(_) => Outcome::Answered(millis(2), SILENCE),
    }
}
