//! The address of a gateway: scheme, host and port, parsed once.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use reqwest::Url;

/// `http://` or `https://`, a host and a port, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GatewayUrl {
    is_https: bool,
    /// Without brackets.
    host: String,
    port: u16,
}

/// A text that is not the address of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not the URL of a gateway, as https://localhost:5000")]
pub struct NotAGatewayUrl;

impl GatewayUrl {
    /// Whether it is asked over TLS.
    #[must_use]
    pub const fn is_https(&self) -> bool {
        self.is_https
    }

    /// Returns the same place with the other scheme.
    #[must_use]
    pub fn with_https(&self, is_https: bool) -> Self {
        Self { is_https, ..self.clone() }
    }

    /// Returns the host's name or address; an IPv6 address has no brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns the host as an address, unless it is a name.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Whether the host is this machine: `localhost` or a loopback address. Other names are not resolved here.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host == LOCALHOST || self.address().is_some_and(|address| address.to_canonical().is_loopback())
    }

    /// Returns `host:port`, as a `Host` header has it.
    #[must_use]
    pub fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

impl fmt::Display for GatewayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.is_https { "https" } else { "http" }, self.authority())
    }
}

impl FromStr for GatewayUrl {
    type Err = NotAGatewayUrl;

    fn from_str(text: &str) -> Result<Self, NotAGatewayUrl> {
        let url = Url::parse(text).map_err(|_| NotAGatewayUrl)?;
        let is_https = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(NotAGatewayUrl),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(NotAGatewayUrl)?;
        let port = url.port_or_known_default().ok_or(NotAGatewayUrl)?;
        Ok(Self { is_https, host: host.trim_matches(['[', ']']).to_owned(), port })
    }
}

/// This machine by its name, which needs no resolver.
pub(super) const LOCALHOST: &str = "localhost";
