//! Answers to requests. Only a pair of request and answer that can occur can be written down.

use jiff::Timestamp;

use super::{Request, Unavailability};

/// The answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The answer to [`Request::Ping`]. One without a status is [`Failure::NoSession`].
    Ping(Result<Status, Failure>),
    /// The answer to [`Request::Check`].
    Check(Result<Status, Failure>),
    /// The answer to [`Request::Reauthenticate`].
    Reauthenticate(Result<Reauth, Failure>),
    /// The answer to [`Request::OpenBrokerage`].
    OpenBrokerage(Result<Status, Failure>),
    /// The answer to [`Request::ValidateSso`].
    ValidateSso(Result<Sso, Failure>),
    /// The answer to [`Request::Accounts`].
    Accounts(Result<Accounts, Failure>),
    /// The answer to [`Request::IsListening`]: the gateway process answered.
    IsListening(Result<(), Failure>),
    /// The answer to [`Request::EndSession`]: the session was ended.
    EndSession(Result<(), Failure>),
    /// The answer to [`Request::HandshakeIbkr`].
    HandshakeIbkr(Result<(), HostFailure>),
    /// The answer to [`Request::ProbeWebsocket`]: whether a message came.
    ProbeWebsocket(Result<bool, Failure>),
}

/// Why there is no handshake with IBKR's host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HostFailure {
    /// This host has no way to IBKR: name resolution, network, firewall.
    NoWay,
    /// IBKR's host does not answer.
    NoAnswer,
}

/// Why a request has no answer of its own kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// 401: there is no login.
    Unauthorized,
    /// A redirect to the login page, or that page itself: there is no login.
    LoginPage,
    /// The gateway answered that there is no brokerage session, without any flags.
    NoSession,
    /// 404: the gateway or IBKR does not know this request.
    Unsupported,
    /// The answer says nothing about the session, or none came.
    Unavailable(Unavailability),
}

/// The four flags of a brokerage session. A flag that was missing is false.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Status {
    /// The brokerage session is authenticated.
    pub authenticated: bool,
    /// The gateway is connected to IBKR's backend.
    pub connected: bool,
    /// Another client uses the brokerage session. True is reliable, false is no information.
    pub competing: bool,
    /// Login message and accounts have arrived; only newer gateways report it.
    pub established: Option<bool>,
}

/// What `reauthenticate` answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reauth {
    /// The gateway has begun. This says nothing about the outcome.
    Accepted,
    /// No browser has logged in since the gateway process started.
    NotLoggedIn,
}

/// What `validate_sso` reported about the login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sso {
    /// `RESULT`. A single false is known to flicker.
    pub valid: bool,
    /// `CLIENT_APP` names another application: the login is borrowed.
    pub borrowed: bool,
    /// `AUTH_TIME`: when the human logged in.
    pub auth_time: Option<Timestamp>,
}

/// What the data call returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accounts {
    /// At least one account was returned: data works.
    pub usable: bool,
    /// `isPaper`.
    pub is_paper: Option<bool>,
}

/// What a status, or the lack of one, says about the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    Good,
    NotEstablished,
    Competing,
    Lost,
    NoLogin { page: bool },
    Unknown(Unavailability),
}

impl Answer {
    /// The answer to `request` when it failed.
    #[must_use]
    pub const fn failed(request: Request, failure: Failure) -> Self {
        match request {
            Request::Ping => Self::Ping(Err(failure)),
            Request::Check => Self::Check(Err(failure)),
            Request::Reauthenticate => Self::Reauthenticate(Err(failure)),
            Request::OpenBrokerage { .. } => Self::OpenBrokerage(Err(failure)),
            Request::ValidateSso => Self::ValidateSso(Err(failure)),
            Request::Accounts => Self::Accounts(Err(failure)),
            Request::IsListening => Self::IsListening(Err(failure)),
            Request::EndSession => Self::EndSession(Err(failure)),
            Request::HandshakeIbkr => Self::HandshakeIbkr(Err(HostFailure::NoAnswer)),
            Request::ProbeWebsocket => Self::ProbeWebsocket(Err(failure)),
        }
    }

    /// Whether this answers `request`.
    #[must_use]
    pub const fn answers(&self, request: Request) -> bool {
        matches!(
            (self, request),
            (Self::Ping(_), Request::Ping)
                | (Self::Check(_), Request::Check)
                | (Self::Reauthenticate(_), Request::Reauthenticate)
                | (Self::OpenBrokerage(_), Request::OpenBrokerage { .. })
                | (Self::ValidateSso(_), Request::ValidateSso)
                | (Self::Accounts(_), Request::Accounts)
                | (Self::IsListening(_), Request::IsListening)
                | (Self::EndSession(_), Request::EndSession)
                | (Self::HandshakeIbkr(_), Request::HandshakeIbkr)
                | (Self::ProbeWebsocket(_), Request::ProbeWebsocket)
        )
    }

    /// Whether this proves that IBKR answers, if the request was proxied.
    pub(super) fn is_from_ibkr(&self) -> bool {
        match self.failure() {
            None | Some(Failure::Unauthorized | Failure::LoginPage | Failure::NoSession | Failure::Unsupported) => true,
            Some(Failure::Unavailable(cause)) => cause.is_answered(),
        }
    }

    /// Why the request failed, if it did.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        match self {
            Self::Ping(answer) | Self::Check(answer) | Self::OpenBrokerage(answer) => answer.err(),
            Self::Reauthenticate(answer) => answer.err(),
            Self::ValidateSso(answer) => answer.err(),
            Self::Accounts(answer) => answer.err(),
            Self::IsListening(answer) | Self::EndSession(answer) => answer.err(),
            Self::HandshakeIbkr(_) => None,
            Self::ProbeWebsocket(answer) => answer.err(),
        }
    }
}

impl Status {
    pub(super) const fn reading(self) -> Reading {
        if self.competing {
            Reading::Competing
        } else if !(self.authenticated && self.connected) {
            Reading::Lost
        } else if matches!(self.established, Some(false)) {
            Reading::NotEstablished
        } else {
            Reading::Good
        }
    }
}

impl Failure {
    /// What the failure of a poll says about the session.
    pub(super) const fn reading(self) -> Reading {
        match self {
            Self::Unauthorized => Reading::NoLogin { page: false },
            Self::LoginPage => Reading::NoLogin { page: true },
            Self::NoSession => Reading::Lost,
            Self::Unsupported => Reading::Unknown(Unavailability::Nonsense),
            Self::Unavailable(cause) => Reading::Unknown(cause),
        }
    }
}
