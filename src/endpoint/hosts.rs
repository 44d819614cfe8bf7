//! The host names that the endpoint answers to, as a defence against DNS rebinding. Pure.

use std::net::IpAddr;

/// The names of this host, in addition to `localhost` and the address that was connected to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts(pub Vec<String>);

impl Hosts {
    /// Whether a request with this `Host` header, that came to this address of ours, means us. Old programs send none,
    /// but every browser sends one.
    #[must_use]
    pub fn admit(&self, host: Option<&str>, ours: Option<IpAddr>) -> bool {
        let Some(host) = host else { return true };
        let name = name_of(host);
        if name.eq_ignore_ascii_case("localhost") {
            return true;
        }
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        if let (Ok(meant), Some(ours)) = (bare.parse::<IpAddr>(), ours) {
            let (meant, ours) = (meant.to_canonical(), ours.to_canonical());
            if meant == ours || (meant.is_loopback() && ours.is_loopback()) {
                return true;
            }
        }
        let known = |known: &String| known.trim_start_matches('[').trim_end_matches(']').eq_ignore_ascii_case(bare);
        self.0.iter().any(known)
    }
}

/// Whether only this host can reach an endpoint that listens there.
#[must_use]
pub fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// The host without its port.
fn name_of(host: &str) -> &str {
    let host = host.trim();
    match host.rsplit_once(':') {
        // The colons of an address without a port belong to it.
        Some((name, port))
            if port.chars().all(|c| c.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        Some(_) | None => host,
    }
}
