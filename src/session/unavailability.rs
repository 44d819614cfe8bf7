//! Why nothing can be said about a session.

use std::time::Duration;

/// Why nothing can be said about the session. Each has words and a cure of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, strum::EnumIter)]
pub enum Unavailability {
    /// Nothing listens on the gateway's port.
    NothingListens,
    /// Something listens, and does not answer in time.
    NoAnswer,
    /// Something answers that is not a gateway.
    NotAGateway,
    /// The certificate is not trusted.
    Certificate,
    /// No TLS connection can be agreed upon.
    Tls,
    /// The gateway's own list of addresses (`ips.allow`) refuses this host.
    AddressRefused,
    /// The host's name does not resolve, or the network is down.
    Network,
    /// The gateway answers for itself, and IBKR does not answer behind it.
    IbkrSilent,
    /// IBKR does not answer, and this host cannot reach IBKR either: its network or its name resolution fails.
    IbkrUnreachable,
    /// IBKR answers, but the gateway's requests to it do not: unanswered ones have taken all of its connections.
    GatewayWedged,
    /// IBKR answers with an error of its own (5xx).
    IbkrError,
    /// IBKR's edge refuses this host (403).
    EdgeRefused,
    /// Too many requests (429): silence is due, at least this long.
    TooManyRequests {
        /// `Retry-After`, where given.
        retry_after: Option<Duration>,
    },
    /// An answer that cannot be understood.
    Nonsense,
}

impl Unavailability {
    /// Whether the cause is on the way to IBKR, so that the next request would only meet it again.
    pub(super) const fn is_on_the_way(self) -> bool {
        !self.is_uninformative()
    }

    /// Whether something answers, but not in a way that says anything about the session. Another request may do better.
    pub(super) const fn is_uninformative(self) -> bool {
        match self {
            Self::Nonsense | Self::EdgeRefused | Self::IbkrError => true,
            Self::NothingListens
            | Self::NoAnswer
            | Self::NotAGateway
            | Self::Certificate
            | Self::Tls
            | Self::AddressRefused
            | Self::Network
            | Self::IbkrSilent
            | Self::IbkrUnreachable
            | Self::GatewayWedged
            | Self::TooManyRequests { .. } => false,
        }
    }

    /// Whether IBKR, or something in its place, sent an answer.
    pub(super) const fn is_answered(self) -> bool {
        matches!(self, Self::IbkrError | Self::EdgeRefused | Self::TooManyRequests { .. } | Self::Nonsense)
    }

    /// Whether no second request can confirm it.
    pub(super) const fn needs_no_confirmation(self) -> bool {
        match self {
            Self::IbkrSilent | Self::IbkrUnreachable | Self::GatewayWedged | Self::TooManyRequests { .. } => true,
            Self::NothingListens
            | Self::NoAnswer
            | Self::NotAGateway
            | Self::Certificate
            | Self::Tls
            | Self::AddressRefused
            | Self::Network
            | Self::IbkrError
            | Self::EdgeRefused
            | Self::Nonsense => false,
        }
    }
}
