//! What the other side says, by meaning, and the machine's input that it makes of the answer to a request.

use tickled::session::{Accounts, Answer, Failure, HostFailure, Input, Reauth, Request, Sso, Status, Unavailability};

/// What the other side says. Not everything can answer every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// Flags: to a check, a ping or `open_brokerage`.
    Status(Status),
    /// An answer without flags, such as `{"error":"no session"}`.
    NoStatus,
    /// To `reauthenticate`: it has begun.
    Accepted,
    /// To `reauthenticate`: no user has logged in.
    NotLoggedIn,
    /// To `validate_sso`.
    Sso(Sso),
    /// To the data call.
    Accounts(Accounts),
    /// To `is_listening`: a gateway is there.
    Listening,
    /// To the logout: done.
    Ended,
    /// 401.
    Unauthorized,
    /// The login page, or a redirect to it.
    LoginPage,
    /// 404.
    Unsupported,
    /// To a handshake with IBKR's host.
    Host(Result<(), HostFailure>),
    /// To a websocket: whether a message came.
    Websocket(bool),
    /// Nothing about the session.
    Unavailable(Unavailability),
}

impl Said {
    /// This as the answer to `request`, if it can be one.
    #[must_use]
    pub fn to(self, request: Request) -> Option<Answer> {
        let failed = |failure| Some(Answer::failed(request, failure));
        Some(match (self, request) {
            (Self::Unauthorized, _) => return failed(Failure::Unauthorized),
            (Self::LoginPage, _) => return failed(Failure::LoginPage),
            (Self::Unsupported, _) => return failed(Failure::Unsupported),
            (Self::Unavailable(cause), _) => return failed(Failure::Unavailable(cause)),
            (Self::NoStatus, _) => return failed(Failure::NoSession),
            (Self::Status(status), Request::Ping) => Answer::Ping(Ok(status)),
            (Self::Status(status), Request::Check) => Answer::Check(Ok(status)),
            (Self::Status(status), Request::OpenBrokerage { .. }) => Answer::OpenBrokerage(Ok(status)),
            (Self::Accepted, Request::Reauthenticate) => Answer::Reauthenticate(Ok(Reauth::Accepted)),
            (Self::NotLoggedIn, Request::Reauthenticate) => Answer::Reauthenticate(Ok(Reauth::NotLoggedIn)),
            (Self::Sso(sso), Request::ValidateSso) => Answer::ValidateSso(Ok(sso)),
            (Self::Accounts(accounts), Request::Accounts) => Answer::Accounts(Ok(accounts)),
            (Self::Listening, Request::IsListening) => Answer::IsListening(Ok(())),
            (Self::Host(answer), Request::HandshakeIbkr) => Answer::HandshakeIbkr(answer),
            (Self::Websocket(came), Request::ProbeWebsocket) => Answer::ProbeWebsocket(Ok(came)),
            (Self::Ended, Request::EndSession) => Answer::EndSession(Ok(())),
            _ => return None,
        })
    }
}

/// The machine's input when `request` is answered so.
#[must_use]
pub fn said(request: Request, said: Said) -> Input {
    Input::Answer(said.to(request).unwrap_or_else(|| panic!("{said:?} is no answer to {request:?}")))
}
