//! The URL of a gateway: scheme, host and port, and nothing else.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use reqwest::Url;

/// The URL of a gateway in canonical form: `scheme://host:port`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GatewayUrl {
    text: String,
    host: String,
    port: u16,
    is_encrypted: bool,
}

/// Why a text is not the URL of a gateway. Does not repeat a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {hint}")]
pub struct InvalidUrl {
    /// What is wrong with it.
    pub what: String,
    /// What would be right.
    pub hint: String,
}

impl GatewayUrl {
    /// The URL as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host name or address, an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is `https`.
    #[must_use]
    pub const fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    /// The same place with the other scheme, `https` if `is_encrypted`.
    #[must_use]
    pub fn with_encryption(&self, is_encrypted: bool) -> Self {
        let scheme = if is_encrypted { "https" } else { "http" };
        Self { text: format!("{scheme}://{}", self.authority()), is_encrypted, ..self.clone() }
    }

    /// `host:port`, as a `Host` header has it.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.text.split_once("://").map_or("", |(_, authority)| authority)
    }

    /// The address, if the host is one; `None` for a name.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok().map(|address: IpAddr| address.to_canonical())
    }

    /// Whether the host is this machine by its own text. Names other than `localhost` are not resolved.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host == LOCALHOST || self.address().is_some_and(|address| address.is_loopback())
    }

    /// Host and port, the same for all spellings of this machine's usual address: `localhost`, `127.0.0.1` and `::1`.
    #[must_use]
    pub fn identity(&self) -> (String, u16) {
        let host = match self.address() {
            Some(IpAddr::V6(address)) if address.is_loopback() => Ipv4Addr::LOCALHOST.to_string(),
            Some(address) => address.to_string(),
            None => match self.host.trim_end_matches('.') {
                LOCALHOST => Ipv4Addr::LOCALHOST.to_string(),
                name => name.to_owned(),
            },
        };
        (host, self.port)
    }

    /// The command that makes this gateway of `machine` reachable from another machine.
    #[must_use]
    pub fn ssh_tunnel(&self, machine: &str) -> String {
        let is_there = self.is_loopback() || self.host == machine;
        let (host, port) = (if is_there { LOCALHOST } else { &self.host }, self.port);
        format!("ssh -L {port}:{host}:{port} {machine}")
    }

    fn of(url: &Url) -> Option<Self> {
        let host = url.host_str().filter(|host| !host.is_empty())?;
        let port = url.port_or_known_default()?;
        Some(Self {
            text: format!("{}://{host}:{port}", url.scheme()),
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            is_encrypted: url.scheme() == "https",
        })
    }
}

impl fmt::Display for GatewayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for GatewayUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        let invalid = |what: &str, hint: String| Err(InvalidUrl { what: format!("{} {what}", shown(text)), hint });
        let example = || format!("write it like {EXAMPLE:?}");
        let url = match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => url,
            Ok(_) | Err(_) => {
                let guess = Url::parse(&format!("https://{text}")).ok().and_then(|url| Self::of(&url));
                return match guess {
                    Some(guess) if !text.contains("://") => {
                        invalid("does not begin with http:// or https://", write_it(&guess))
                    }
                    Some(_) | None => invalid("is not the URL of a gateway", example()),
                };
            }
        };
        let Some(gateway) = Self::of(&url) else {
            return invalid("has no host or no port", example());
        };
        if gateway.port == 0 {
            return invalid("has port 0, where nothing can listen", example());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return invalid("contains a user name: tickled does not log in", write_it(&gateway));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return invalid("has something after the port", write_it(&gateway));
        }
        if url.path() != "/" {
            return invalid("has a path, which tickled adds itself", write_it(&gateway));
        }
        let written = text.to_ascii_lowercase();
        let written = written.strip_suffix('/').unwrap_or(&written);
        let without_port = gateway.text.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches(':');
        if written != gateway.text && (url.port().is_some() || written != without_port) {
            return invalid("is not in canonical form", write_it(&gateway));
        }
        Ok(gateway)
    }
}

fn write_it(url: &GatewayUrl) -> String {
    format!("write \"{url}\"")
}

/// The text as it may be shown: what stands before an `@` may be a password.
fn shown(text: &str) -> String {
    if text.contains('@') {
        return "the URL".to_owned();
    }
    match text.char_indices().nth(LONGEST_SHOWN) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
    }
}

/// This machine by its name, which needs no resolver.
pub(super) const LOCALHOST: &str = "localhost";
const EXAMPLE: &str = "https://localhost:5000";
const LONGEST_SHOWN: usize = 60;

#[cfg(test)]
mod tests {
    use super::GatewayUrl;

    fn url(text: &str) -> GatewayUrl {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for text in [
            "https://localhost:5000",
            "https://127.0.0.1:1",
            "https://127.8.9.1",
            "http://[::1]:5000",
            "http://[::ffff:7f00:1]:1",
        ] {
            assert!(url(text).is_loopback(), "{text}");
        }
        for text in [
            "https://127.example.org:5000",
            "https://localhost.example.org",
            "https://10.0.0.1",
            "http://[::2]:5000",
            "https://0.0.0.0",
        ] {
            assert!(!url(text).is_loopback(), "{text}");
        }
    }

    #[test]
    fn the_parts_are_those_of_the_text() {
        let gateway = url("http://[::1]:5000/");
        assert_eq!((gateway.as_str(), gateway.host(), gateway.port()), ("http://[::1]:5000", "::1", 5000));
        assert!(!gateway.is_encrypted());
        assert_eq!(gateway.authority(), "[::1]:5000");
        assert_eq!(gateway.with_encryption(true), url("https://[::1]:5000"));
        assert_eq!(url("HTTPS://Localhost").as_str(), "https://localhost:443");
        assert_eq!(url("https://localhost:5000").ssh_tunnel("trader"), "ssh -L 5000:localhost:5000 trader");
        assert_eq!(url("https://ibkr.example").identity(), url("https://ibkr.example.:443").identity());
        for here in ["https://localhost:5000", "https://localhost.:5000", "http://127.0.0.1:5000", "https://[::1]:5000"]
        {
            assert_eq!(url(here).identity(), ("127.0.0.1".to_owned(), 5000), "{here}");
        }
    }
}
