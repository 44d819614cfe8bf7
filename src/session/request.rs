//! The requests to a gateway.

/// A request to the gateway, one a plan at most and one in flight at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Request {
    /// POST /v1/api/tickle: keeps login and session alive, and reports.
    Ping,
    /// POST /v1/api/iserver/auth/status.
    Check,
    /// POST /v1/api/iserver/reauthenticate: method `gateway`.
    Reauthenticate,
    /// POST /v1/api/iserver/auth/ssodh/init: method `direct`.
    OpenBrokerage {
        /// Whether to evict whoever else uses the brokerage session.
        compete: bool,
    },
    /// GET /v1/api/sso/validate.
    ValidateSso,
    /// GET /v1/api/iserver/accounts: the data call that proves a session.
    Accounts,
    /// GET /: is the gateway process there, whatever IBKR does.
    IsListening,
    /// POST /v1/api/logout.
    EndSession,
}

impl Request {
    /// Whether this asks for the session, which competes or may.
    #[must_use]
    pub const fn is_attempt(self) -> bool {
        matches!(self, Self::Reauthenticate | Self::OpenBrokerage { .. })
    }

    /// Whether this asks for the flags of the session.
    pub(super) const fn is_poll(self) -> bool {
        matches!(self, Self::Ping | Self::Check)
    }

    /// Whether the session can be kept without this one. If the other side no longer knows it, it is left out until a login
    /// brings hope of another gateway.
    #[must_use]
    pub const fn can_be_left_out(self) -> bool {
        match self {
            Self::Ping | Self::Reauthenticate | Self::OpenBrokerage { .. } | Self::ValidateSso => true,
            Self::Check | Self::Accounts | Self::IsListening | Self::EndSession => false,
        }
    }
}
