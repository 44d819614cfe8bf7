//! What the gateway's answers mean to the session machine. Pure.

use jiff::Timestamp;

use crate::gateway::{self, AuthStatus, ErrorKind, SsoValidation, Tickle};
use crate::session::{Accounts, Failure, Reauth, Sso, Status, Unavailability};

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

/// The answer to a ping, which may carry no status.
///
/// # Errors
/// When there is no status.
pub fn ping(answer: &Result<Tickle, gateway::Error>) -> Result<Status, Failure> {
    match answer {
        Ok(tickle) => tickle.auth_status.as_ref().map(flags).ok_or(Failure::NoSession),
        Err(error) => Err(failure(error.kind)),
    }
}

/// The answer to `reauthenticate`.
#[must_use]
pub const fn reauthentication(answer: &gateway::Reauthentication) -> Reauth {
    match answer {
        gateway::Reauthentication::NotLoggedIn => Reauth::NotLoggedIn,
        gateway::Reauthentication::Triggered
        | gateway::Reauthentication::Authenticated
        | gateway::Reauthentication::Reauthenticated
        | gateway::Reauthentication::Other(_) => Reauth::Accepted,
    }
}

/// The answer to `validate_sso`.
#[must_use]
pub fn sso(answer: &SsoValidation) -> Sso {
    Sso {
        valid: answer.result,
        borrowed: answer.client_app.as_deref().is_some_and(|app| !app.is_empty()),
        auth_time: answer.auth_time.and_then(|ms| Timestamp::from_millisecond(ms).ok()),
    }
}

/// The answer to the data call.
#[must_use]
pub const fn accounts(answer: &gateway::AccountsAnswer) -> Accounts {
    Accounts { usable: answer.count > 0, is_paper: answer.is_paper }
}

/// What a failed request says about the session: mostly nothing.
#[must_use]
pub const fn failure(kind: ErrorKind) -> Failure {
    let cause = match kind {
        ErrorKind::Unauthorized { .. } => return Failure::Unauthorized,
        ErrorKind::LoginPage => return Failure::LoginPage,
        ErrorKind::NoBrokerageSession => return Failure::NoSession,
        ErrorKind::Gone => return Failure::Unsupported,
        ErrorKind::NothingListens => Unavailability::NothingListens,
        ErrorKind::NoAnswer | ErrorKind::Broken => Unavailability::NoAnswer,
        ErrorKind::Network => Unavailability::Network,
        ErrorKind::Certificate => Unavailability::Certificate,
        ErrorKind::Tls => Unavailability::Tls,
        ErrorKind::NotAGateway => Unavailability::NotAGateway,
        ErrorKind::AddressRefused => Unavailability::AddressRefused,
        ErrorKind::EdgeRefused => Unavailability::EdgeRefused,
        ErrorKind::TooManyRequests { retry_after } => Unavailability::TooManyRequests { retry_after },
        ErrorKind::Ibkr => Unavailability::IbkrError,
        ErrorKind::NotUnderstood => Unavailability::Nonsense,
    };
    Failure::Unavailable(cause)
}
