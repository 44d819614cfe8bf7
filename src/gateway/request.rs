//! The requests to a gateway, and how each is sent. Pure.

/// A request to the gateway.
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
        /// Whether to evict another client that uses the brokerage session.
        compete: bool,
    },
    /// GET /v1/api/sso/validate.
    ValidateSso,
    /// GET /v1/api/iserver/accounts: the data call that proves a session.
    Accounts,
    /// GET /: whether the gateway process runs, whatever IBKR does.
    IsListening,
    /// POST /v1/api/logout.
    EndSession,
    /// A TLS handshake with IBKR's own host, past the gateway: whether this host has a way to IBKR.
    HandshakeIbkr,
    /// A websocket through the gateway: whether IBKR answers the gateway.
    ProbeWebsocket,
}

impl Request {
    /// The name of the client's method.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ping => "ping_server",
            Self::Check => "check_auth_status",
            Self::Reauthenticate => "reauthenticate",
            Self::OpenBrokerage { .. } => "open_brokerage",
            Self::ValidateSso => "validate_sso",
            Self::Accounts => "accounts",
            Self::IsListening => "is_listening",
            Self::EndSession => "end_session",
            Self::HandshakeIbkr => "handshake_ibkr",
            Self::ProbeWebsocket => "probe_websocket",
        }
    }

    /// The path on the gateway. Without `/v1/api` the gateway redirects to IBKR's host.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Ping => "/v1/api/tickle",
            Self::Check => "/v1/api/iserver/auth/status",
            Self::Reauthenticate => "/v1/api/iserver/reauthenticate",
            Self::OpenBrokerage { .. } => "/v1/api/iserver/auth/ssodh/init",
            Self::ValidateSso => "/v1/api/sso/validate",
            Self::Accounts => "/v1/api/iserver/accounts",
            Self::IsListening | Self::HandshakeIbkr => "/",
            Self::ProbeWebsocket => "/v1/api/ws",
            Self::EndSession => "/v1/api/logout",
        }
    }

    /// The JSON body of a POST; `None` for a GET. It is never empty: a POST without a `Content-Length` is answered
    /// with 411, and `publish` other than true with 500.
    #[must_use]
    pub const fn body(self) -> Option<&'static str> {
        match self {
            Self::Ping | Self::Check | Self::Reauthenticate | Self::EndSession => Some("{}"),
            Self::OpenBrokerage { compete: true } => Some(r#"{"publish":true,"compete":true}"#),
            Self::OpenBrokerage { compete: false } => Some(r#"{"publish":true,"compete":false}"#),
            Self::ValidateSso | Self::Accounts | Self::IsListening | Self::HandshakeIbkr | Self::ProbeWebsocket => None,
        }
    }

    /// Whether the gateway proxies it to IBKR. The others it answers by itself.
    #[must_use]
    pub const fn is_proxied(self) -> bool {
        !matches!(self, Self::Reauthenticate | Self::IsListening | Self::HandshakeIbkr | Self::ProbeWebsocket)
    }
}
