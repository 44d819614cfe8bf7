//! Whether IBKR's API host can be reached from this host: a TCP and TLS handshake, without a request or a credential.
//!
//! A handshake takes none of the gateway's connections. It says that there is a way to IBKR's front servers, and not
//! that the servers behind them answer.

use std::time::Duration;

use super::connect::{ConnectError, Connector, TlsError};
use super::{GatewayUrl, InvalidUrl, Trust, tls};

/// IBKR's API host, from where the gateway reaches it as well.
#[derive(Debug, Clone)]
pub struct IbkrHost {
    connector: Connector,
}

/// Why there was no handshake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// This host has no way to IBKR: its name does not resolve, there is no route, or something else answers in its place.
    #[error("this host has no way to IBKR: {0}")]
    NoWay(String),
    /// There is a way, as far as is known, and IBKR does not answer.
    #[error("IBKR does not answer: {0}")]
    NoAnswer(String),
}

/// Why a host cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum InvalidHost {
    /// It is not a host, or a host and a port.
    #[error(transparent)]
    Host(#[from] InvalidUrl),
    /// The trust cannot be set up.
    #[error(transparent)]
    Trust(#[from] tls::Error),
}

impl IbkrHost {
    /// IBKR's host by its name, with a port other than 443 behind a colon. A certificate that `trust` does not accept
    /// is that of something else.
    ///
    /// # Errors
    /// When the text is not a host, or the trust cannot be set up.
    pub fn new(host: &str, trust: &Trust) -> Result<Self, InvalidHost> {
        let url: GatewayUrl = format!("https://{host}").parse()?;
        Ok(Self { connector: Connector::new(url, trust)? })
    }

    /// Connects, negotiates TLS, and hangs up, all within this time.
    ///
    /// # Errors
    /// Whether this host has no way to IBKR, or IBKR does not answer.
    pub async fn handshake(&self, within: Duration) -> Result<(), Unreachable> {
        let started = tokio::time::Instant::now();
        let resolved = self.connector.resolve(within).await;
        let addresses = resolved.map_err(|error| {
            let is_late = error == ConnectError::TimedOut;
            Unreachable::NoWay(if is_late { "its name is not resolved in time".to_owned() } else { error.to_string() })
        })?;
        let left = within.saturating_sub(started.elapsed());
        self.connector.connect_to(&addresses, left).await.map(drop).map_err(Unreachable::from)
    }
}

impl From<ConnectError> for Unreachable {
    fn from(error: ConnectError) -> Self {
        let detail = if let ConnectError::Tls(error) = &error { error.description() } else { error.to_string() };
        match error {
            ConnectError::Refused
            | ConnectError::TimedOut
            | ConnectError::Broken(_)
            | ConnectError::Tls(TlsError::NoAnswer | TlsError::NothingInCommon(_) | TlsError::WantsCertificate(_)) => {
                Self::NoAnswer(detail)
            }
            ConnectError::Resolve(_)
            | ConnectError::Elsewhere(_)
            | ConnectError::Unreachable(_)
            | ConnectError::Local(_) => Self::NoWay(detail),
            ConnectError::Tls(
                TlsError::Untrusted(_)
                | TlsError::Unusable(_)
                | TlsError::ShortKey(_)
                | TlsError::PlainHttp(_)
                | TlsError::NotPlainHttp(_)
                | TlsError::Neither
                | TlsError::Setup(_),
            ) => Self::NoWay(format!("something else answers in its place: {detail}")),
        }
    }
}
