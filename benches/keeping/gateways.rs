//! Simulated gateways over TLS, each with its control port.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value;
use tickled::gateway::Trust;
use tickled::simulator::{self, Addresses, Settings};
use tokio::sync::oneshot;
use tokio::time::sleep;

/// One of them.
pub(crate) struct Gateway {
    pub(crate) addresses: Addresses,
    http: reqwest::Client,
}

impl Gateway {
    /// A gateway at which a human has logged in, with a session.
    pub(crate) async fn logged_in() -> Self {
        let (ready, addresses) = oneshot::channel();
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let told = |addresses| ready.send(addresses).unwrap();
        tokio::task::spawn_local(simulator::serve(Settings::new(anywhere, anywhere), told, std::future::pending()));
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(Trust::Loopback.config().unwrap())
            .user_agent("a browser")
            .no_proxy()
            .build()
            .unwrap();
        let gateway = Self { addresses: addresses.await.unwrap(), http };
        gateway.set("login").await;
        while gateway.read("world").await["truth"]["live"] != true {
            sleep(Duration::from_millis(100)).await;
        }
        gateway
    }

    pub(crate) fn url(&self) -> String {
        self.addresses.gateway_url()
    }

    pub(crate) async fn set(&self, command: &str) {
        let url = format!("{}/{command}", self.addresses.control_url());
        self.http.post(url).send().await.unwrap().error_for_status().unwrap();
    }

    /// How many requests have come.
    pub(crate) async fn requests(&self) -> usize {
        self.read("requests").await.as_array().unwrap().len()
    }

    async fn read(&self, page: &str) -> Value {
        let url = format!("{}/{page}", self.addresses.control_url());
        self.http.get(url).send().await.unwrap().json().await.unwrap()
    }
}
