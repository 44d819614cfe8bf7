//! What an answer of the gateway means to the session machine. Pure.

use jiff::Timestamp;

use crate::gateway::{Accounts, AuthStatus, Error, ErrorKind, Logout, Reauthentication, SsoValidation, Tickle};
use crate::session::{self, Observation, Sso, Status, Unavailability};

/// The answer to a check or to `open_brokerage`.
#[must_use]
pub fn status(answer: &Result<AuthStatus, Error>) -> Observation {
    match answer {
        Ok(status) => Observation::Status(flags(status)),
        Err(error) => fault(error.kind),
    }
}

/// The answer to a ping.
#[must_use]
pub fn ping(answer: &Result<Tickle, Error>) -> Observation {
    match answer {
        Ok(tickle) => tickle.auth_status.as_ref().map_or(Observation::NoStatus, |s| Observation::Status(flags(s))),
        Err(error) => fault(error.kind),
    }
}

/// The answer to `reauthenticate`.
#[must_use]
pub fn reauthentication(answer: &Result<Reauthentication, Error>) -> Observation {
    match answer {
        Ok(Reauthentication::NotLoggedIn) => Observation::NotLoggedIn,
        Ok(
            Reauthentication::Triggered
            | Reauthentication::Authenticated
            | Reauthentication::Reauthenticated
            | Reauthentication::Other(_),
        ) => Observation::Accepted,
        Err(error) => fault(error.kind),
    }
}

/// The answer to `validate_sso`.
#[must_use]
pub fn sso(answer: &Result<SsoValidation, Error>) -> Observation {
    match answer {
        Ok(sso) => Observation::Sso(Sso {
            valid: sso.result,
            borrowed: sso.client_app.as_deref().is_some_and(|app| !app.is_empty()),
            auth_time: sso.auth_time.and_then(|ms| Timestamp::from_millisecond(ms).ok()),
        }),
        Err(error) => fault(error.kind),
    }
}

/// The answer to the data call.
#[must_use]
pub fn accounts(answer: &Result<Accounts, Error>) -> Observation {
    match answer {
        Ok(accounts) => {
            Observation::Accounts(session::Accounts { usable: accounts.count > 0, is_paper: accounts.is_paper })
        }
        Err(Error { kind: ErrorKind::NoBrokerageSession, .. }) => {
            Observation::Accounts(session::Accounts { usable: false, is_paper: None })
        }
        Err(error) => fault(error.kind),
    }
}

/// The answer to `is_listening`.
#[must_use]
pub fn listening(answer: &Result<(), Error>) -> Observation {
    match answer {
        Ok(()) => Observation::Listening,
        Err(error) => fault(error.kind),
    }
}

/// The answer to `end_session`.
#[must_use]
pub fn logout(answer: &Result<Logout, Error>) -> Observation {
    match answer {
        Ok(_) => Observation::Ended,
        Err(error) => fault(error.kind),
    }
}

/// The flags of a status.
#[must_use]
pub const fn flags(status: &AuthStatus) -> Status {
    Status {
        authenticated: status.authenticated,
        connected: status.connected,
        competing: status.competing,
        established: status.established,
    }
}

/// What a failed request says about the session: mostly nothing.
#[must_use]
pub const fn fault(kind: ErrorKind) -> Observation {
    match kind {
        ErrorKind::Unauthorized { .. } => Observation::Unauthorized,
        ErrorKind::LoginPage => Observation::LoginPage,
        ErrorKind::NoBrokerageSession => Observation::NoStatus,
        ErrorKind::Gone => Observation::Gone,
        ErrorKind::NothingListens => Observation::Trouble(Unavailability::NothingListens),
        ErrorKind::NoAnswer | ErrorKind::Broken => Observation::Trouble(Unavailability::NoAnswer),
        ErrorKind::Network => Observation::Trouble(Unavailability::Network),
        ErrorKind::Certificate => Observation::Trouble(Unavailability::Certificate),
        ErrorKind::Tls => Observation::Trouble(Unavailability::Tls),
        ErrorKind::NotAGateway => Observation::Trouble(Unavailability::NotAGateway),
        ErrorKind::AddressRefused => Observation::Trouble(Unavailability::AddressRefused),
        ErrorKind::EdgeRefused => Observation::Trouble(Unavailability::EdgeRefused),
        ErrorKind::TooManyRequests { retry_after } => {
            Observation::Trouble(Unavailability::TooManyRequests { retry_after })
        }
        ErrorKind::Ibkr => Observation::Trouble(Unavailability::IbkrError),
        ErrorKind::NotUnderstood => Observation::Trouble(Unavailability::Nonsense),
    }
}
