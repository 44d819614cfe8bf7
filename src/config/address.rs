//! Where a gateway is, as the operator writes it.

use reqwest::Url;
use serde::{Deserialize, Deserializer, de};

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::fault::quoted;
use super::value::Complaint;

/// The address of a gateway: nothing but scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// `scheme://host:port`.
    pub(super) url: String,
    pub(super) host: String,
    pub(super) encrypted: bool,
}

impl Address {
    /// Whether the host is this machine by its very name. What other names resolve to is not asked here.
    pub(super) fn is_loopback(&self) -> bool {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        self.host == "localhost"
            || bare.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
            || bare.parse::<Ipv6Addr>().is_ok_and(|address| address.to_canonical().is_loopback())
    }

    /// Host and port, the same for all ways to write this machine's own address.
    pub(super) fn place(&self) -> (String, Option<u16>) {
        let bare = self.host.trim_matches(['[', ']']);
        let address = bare.parse().map(|address: IpAddr| address.to_canonical());
        let host = match address {
            Ok(IpAddr::V6(address)) if address.is_loopback() => Ipv4Addr::LOCALHOST.to_string(),
            Ok(address) => address.to_string(),
            Err(_) if bare == "localhost" => Ipv4Addr::LOCALHOST.to_string(),
            Err(_) => bare.trim_end_matches('.').to_owned(),
        };
        (host, self.url.rsplit(':').next().and_then(|port| port.parse().ok()))
    }

    /// Whether the host is a name, whose addresses are known only when it is looked up.
    pub(super) fn is_name(&self) -> bool {
        !self.host.starts_with('[') && self.host.parse::<Ipv4Addr>().is_err()
    }
}

impl FromStr for Address {
    type Err = Complaint;

    fn from_str(text: &str) -> Result<Self, Complaint> {
        let complaint =
            |what: &str, hint: String| Complaint { item: None, what: format!("{}{what}", shown(text)), hint };
        let example = || format!("write it like {EXAMPLE:?}");
        let url = match Url::parse(text) {
            Ok(url) if url.scheme() == "http" || url.scheme() == "https" => url,
            Ok(_) | Err(_) => {
                let guess = Url::parse(&format!("https://{text}")).ok().and_then(|url| plain(&url));
                return Err(match guess {
                    Some(guess) if !text.contains("://") => {
                        complaint(" does not say http:// or https://", write_it(&guess.url))
                    }
                    Some(_) | None => complaint(" is not the URL of a gateway", example()),
                });
            }
        };
        let Some(address) = plain(&url) else {
            return Err(complaint(" has no host or no port", example()));
        };
        let hint = || write_it(&address.url);
        if url.port() == Some(0) {
            return Err(complaint(" has port 0, where nothing can listen", example()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(complaint(" holds a user name: tickled logs in nowhere", hint()));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(complaint(" has something after the port", hint()));
        }
        if url.path() != "/" {
            return Err(complaint(" has a path, which tickled adds itself", hint()));
        }
        let exact = format!("{}://{}", url.scheme(), address.host);
        let written = text.to_ascii_lowercase();
        let written = written.strip_suffix('/').unwrap_or(&written);
        if written != exact && written != address.url {
            return Err(complaint(" is an odd way to write it", hint()));
        }
        Ok(address)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|complaint: Complaint| de::Error::custom(complaint.what))
    }
}

impl serde::Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.url)
    }
}

fn plain(url: &Url) -> Option<Address> {
    let host = url.host_str().filter(|host| !host.is_empty())?.to_owned();
    let port = url.port_or_known_default()?;
    Some(Address { url: format!("{}://{host}:{port}", url.scheme()), host, encrypted: url.scheme() == "https" })
}

fn write_it(url: &str) -> String {
    format!("write {url:?}")
}

/// The text as it may be shown: what stands before an `@` may be a password.
fn shown(text: &str) -> String {
    if text.contains('@') { "the URL".to_owned() } else { quoted(text) }
}

const EXAMPLE: &str = "https://localhost:5000";
