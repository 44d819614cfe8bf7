//! What a request to the gateway means to the session.

use super::Request;

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
            Self::Check
            | Self::Accounts
            | Self::IsListening
            | Self::EndSession
            | Self::HandshakeIbkr
            | Self::ProbeWebsocket => false,
        }
    }
}
