//! Where a gateway is: the addresses behind its host's name, and whether they are all this host's own.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::net::lookup_host;

use super::Trust;

/// A host that any certificate would be taken from, and that is not this one, or not alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{host} is at {address}, which is not this host: trust \"loopback\" takes any certificate, so it must not leave it"
)]
pub struct Elsewhere {
    /// The host by its name.
    pub host: String,
    /// An address of it that is not a loopback one.
    pub address: IpAddr,
}

/// Refuses a URL whose host is an address of another host.
pub(super) fn check(url: &Url, trust: &Trust) -> Result<(), Elsewhere> {
    let host = url.host_str().unwrap_or_default();
    match host.trim_matches(['[', ']']).parse() {
        Ok(address) => trusted(trust, host, [address]),
        // A name is looked at when it is resolved.
        Err(_) => Ok(()),
    }
}

/// The addresses of a host, all of them of a kind that the trust allows.
pub(super) async fn addresses(trust: &Trust, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if host == LOCALHOST {
        return Ok(here(port).to_vec());
    }
    let addresses: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
    trusted(trust, host, addresses.iter().map(SocketAddr::ip)).map_err(io::Error::other)?;
    Ok(addresses)
}

/// This host by its name: it needs no resolver, and the gateway may listen on either family.
const fn here(port: u16) -> [SocketAddr; 2] {
    [SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port), SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), port)]
}

fn trusted(trust: &Trust, host: &str, addresses: impl IntoIterator<Item = IpAddr>) -> Result<(), Elsewhere> {
    let far = match trust {
        Trust::Loopback => addresses.into_iter().find(|address| !address.to_canonical().is_loopback()),
        Trust::Pin(_) | Trust::CaFile(_) | Trust::System | Trust::Plain => None,
    };
    far.map_or(Ok(()), |address| Err(Elsewhere { host: host.to_owned(), address }))
}

/// Resolves names for a client of this trust, each time it connects.
#[derive(Debug)]
pub(super) struct Resolver(pub(super) Trust);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let trust = self.0.clone();
        Box::pin(async move {
            // The port is the URL's: whoever connects puts it in.
            let addresses: Addrs = Box::new(addresses(&trust, name.as_str(), 0).await?.into_iter());
            Ok(addresses)
        })
    }
}

pub(super) const LOCALHOST: &str = "localhost";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::fault::from_transport;
    use crate::gateway::{Call, Fault, Target};

    fn judged(trust: &Trust, addresses: &[&str]) -> Option<IpAddr> {
        let addresses = addresses.iter().filter_map(|address| address.parse().ok());
        trusted(trust, "desk", addresses).err().map(|elsewhere| elsewhere.address)
    }

    #[test]
    fn every_address_must_be_this_hosts_own() {
        let own = ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"];
        assert_eq!(judged(&Trust::Loopback, &own), None);
        for far in ["192.0.2.1", "0.0.0.0", "::", "::2", "fe80::1", "::ffff:192.0.2.1"] {
            assert_eq!(judged(&Trust::Loopback, &[own[0], far, own[2]]), far.parse().ok());
            for trust in [Trust::System, Trust::Pin(Vec::new()), Trust::Plain] {
                assert_eq!(judged(&trust, &[far]), None);
            }
        }
    }

    /// As a resolver would on a host where the name means another one.
    struct Far;

    impl Resolve for Far {
        fn resolve(&self, name: Name) -> Resolving {
            let far = Elsewhere { host: name.as_str().to_owned(), address: IpAddr::from([192, 0, 2, 1]) };
            Box::pin(async move { Err(io::Error::other(far).into()) })
        }
    }

    /// As a resolver that waits for a network.
    struct Never;

    impl Resolve for Never {
        fn resolve(&self, _: Name) -> Resolving {
            Box::pin(std::future::pending())
        }
    }

    #[tokio::test]
    async fn a_resolver_that_hangs_is_given_up_with_the_connection() {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(Trust::System.config().expect("trust"))
            .dns_resolver(std::sync::Arc::new(Never))
            .connect_timeout(std::time::Duration::from_millis(50))
            .no_proxy()
            .build()
            .expect("a client");
        let error = client.get("https://desk:5000").send().await.expect_err("a refusal");
        assert!(error.is_timeout() && error.is_connect(), "{error:?}");
    }

    #[tokio::test]
    async fn a_name_that_leads_elsewhere_is_a_matter_of_trust() {
        let url = "https://desk:5000".to_owned();
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(Trust::Loopback.config().expect("trust"))
            .dns_resolver(std::sync::Arc::new(Far))
            .no_proxy()
            .build()
            .expect("a client");
        let error = client.get(&url).send().await.expect_err("a refusal");
        let target = Target { url, answer_within: std::time::Duration::from_secs(1), trust: Trust::Loopback };
        let error = from_transport(Call::PingServer, &target, &error);
        assert_eq!(error.fault, Fault::Certificate, "{error}");
        assert!(error.detail.starts_with("desk is at 192.0.2.1, which is not this host"), "{error}");
    }
}
