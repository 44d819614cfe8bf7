//! The endpoint as the operator writes it: `[endpoint]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::fault::quoted;
use super::file::{Keys, Node};
use super::text::Form;
use super::value::Kind;

/// Where the state of things is shown to whoever may reach it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it listens; nowhere by default. With port 0 at any that is free.
    pub listen: Option<SocketAddr>,
    /// The names by which it may be asked, beside the address itself, this host's name and `localhost`.
    pub hosts: Vec<String>,
}

/// The table; what nobody says is absent.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Written {
    listen: Option<String>,
    hosts: Option<Vec<String>>,
}

pub(super) const KEYS: Keys =
    &[("listen", Node::Value(Kind::Text(Form::Listen))), ("hosts", Node::Value(Kind::Texts(Form::Host)))];

/// What a text says of where to listen. A port alone is one of the loopback.
pub(super) fn listen(text: &str) -> Result<Option<SocketAddr>, (String, String)> {
    let loopback = |port: u16| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    if text.is_empty() {
        return Ok(None);
    }
    let port = text.strip_prefix("localhost:").unwrap_or(text);
    if let Ok(port) = port.trim_start_matches(':').parse::<u16>() {
        return Ok(Some(loopback(port)));
    }
    text.parse().map(Some).map_err(|_| {
        let hint = "write it like \"127.0.0.1:9780\", or \"0.0.0.0:9780\" for every address of this host".to_owned();
        (format!("{} is no address and port to listen at", quoted(text)), hint)
    })
}

impl Written {
    /// What the daemon may trust; every text was judged before.
    pub(super) fn settings(&self) -> Endpoint {
        let Self { listen: at, hosts } = self;
        let at = at.as_deref().and_then(|text| listen(text).ok()).flatten();
        Endpoint { listen: at, hosts: hosts.clone().unwrap_or_default() }
    }
}

impl From<&Endpoint> for Written {
    fn from(endpoint: &Endpoint) -> Self {
        let Endpoint { listen, hosts } = endpoint;
        let listen = listen.map_or_else(String::new, |listen| listen.to_string());
        Self { listen: Some(listen), hosts: Some(hosts.clone()) }
    }
}
