//! What a failed request means, by its cause. Pure.

use std::time::Duration;

/// What a failed request means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Nothing listens on the port.
    NothingListens,
    /// No answer in time.
    NoAnswer,
    /// The connection broke under the request.
    Broken,
    /// The host's name does not resolve, or there is no way to it.
    Network,
    /// The certificate is not one that is trusted.
    Certificate,
    /// No TLS connection can be agreed upon: the detail says why.
    Tls,
    /// What answers is not a gateway.
    NotAGateway,
    /// 401: there is no login. `denied` when the body says "Access Denied".
    Unauthorized {
        /// The body says "Access Denied", as a wrong `ips.allow` also makes it.
        denied: bool,
    },
    /// A redirect to the login page, or that page itself: there is no login.
    LoginPage,
    /// There is no brokerage session.
    NoBrokerageSession,
    /// The gateway's own list of addresses refuses this host.
    AddressRefused,
    /// IBKR's edge refuses this host.
    EdgeRefused,
    /// The other side does not support the request.
    Gone,
    /// Too many requests.
    TooManyRequests {
        /// `Retry-After`, where given.
        retry_after: Option<Duration>,
    },
    /// IBKR has a fault of its own.
    Ibkr,
    /// The answer cannot be understood.
    NotUnderstood,
}

impl ErrorKind {
    /// What happened, and what to do about it where that is known.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NothingListens => "nothing listens there; start the gateway, or correct the port",
            Self::NoAnswer => "no answer in time",
            Self::Broken => "the connection broke",
            Self::Network => "the host cannot be reached; check its name and the network",
            Self::Certificate => "the certificate is not trusted",
            Self::Tls => "TLS cannot be agreed upon",
            Self::NotAGateway => "what answers is not a gateway",
            Self::Unauthorized { denied: false } => "not logged in",
            Self::Unauthorized { denied: true } => {
                "access denied: not logged in, or this host is not in ips.allow of the gateway's conf.yaml"
            }
            Self::LoginPage => "not logged in: it sent the login page",
            Self::NoBrokerageSession => "there is no brokerage session",
            Self::AddressRefused => "access denied: add this host to ips.allow in the gateway's conf.yaml",
            Self::EdgeRefused => "IBKR's edge refuses this host; addresses of data centres often are",
            Self::Gone => "the request is unknown there",
            Self::TooManyRequests { .. } => "too many requests: nothing may be sent for 15 minutes",
            Self::Ibkr => "IBKR answered with an error",
            Self::NotUnderstood => "the answer cannot be understood",
        }
    }
    /// The outcome as metrics name it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NothingListens => "nothing-listens",
            Self::NoAnswer => "no-answer",
            Self::Broken => "broken",
            Self::Network => "network",
            Self::Certificate => "certificate",
            Self::Tls => "tls",
            Self::NotAGateway => "not-a-gateway",
            Self::Unauthorized { .. } => "unauthorized",
            Self::LoginPage => "login-page",
            Self::NoBrokerageSession => "no-brokerage-session",
            Self::AddressRefused => "address-refused",
            Self::EdgeRefused => "edge-refused",
            Self::Gone => "gone",
            Self::TooManyRequests { .. } => "too-many-requests",
            Self::Ibkr => "ibkr-error",
            Self::NotUnderstood => "not-understood",
        }
    }
}
