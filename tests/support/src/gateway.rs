//! A simulated gateway over TLS, and the port that controls it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value;
use tickled::gateway::{Client, Target, Trust};
use tickled::simulator::world::Limits;
use tickled::simulator::{self, Addresses, Settings};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::SOON;

pub struct Gateway {
    pub addresses: Addresses,
    http: reqwest::Client,
}

impl Gateway {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let (ready, addresses) = oneshot::channel();
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut settings = Settings::new(anywhere, anywhere);
        // The tests' daemons ask more often than a real one. Where a limit is the subject, a test sets it.
        settings.options.limits = Limits::Off;
        change(&mut settings);
        let told = |addresses| ready.send(addresses).unwrap();
        tokio::spawn(simulator::serve(settings, told, std::future::pending()));
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(Trust::Loopback.config().unwrap())
            .user_agent("a browser")
            .no_proxy()
            .build()
            .unwrap();
        Self { addresses: timeout(SOON, addresses).await.unwrap().unwrap(), http }
    }

    /// One at which a human has logged in, and that has made a session of it by itself.
    pub async fn logged_in() -> Self {
        let gateway = Self::start().await;
        gateway.log_in().await;
        gateway.becomes_live().await;
        gateway
    }

    /// One that makes a session of a login almost at once.
    pub async fn quick() -> Self {
        Self::with(|settings| settings.options.auth_delay = Duration::from_millis(50)).await
    }

    pub async fn quick_logged_in() -> Self {
        let gateway = Self::quick().await;
        gateway.log_in().await;
        gateway.becomes_live().await;
        gateway
    }

    /// What clients asked for so far, as "METHOD PATH".
    pub async fn asked_lines(&self) -> Vec<String> {
        self.requests().await.into_iter().map(|(method, path)| format!("{method} {path}")).collect()
    }

    /// Takes its five connections to IBKR by requests that are never answered, from a client that has hung up. IBKR
    /// answers again afterwards.
    pub async fn wedge(&self) {
        self.set("away").await;
        self.take_connections("/v1/api/portfolio/accounts").await;
        self.set("back?unanswered=kept").await;
    }

    /// Takes its five connections to IBKR by requests of a program, to which alone IBKR does not answer.
    pub async fn wedge_by_program(&self) {
        self.set(&format!("hang?path={HISTORY}&times=always")).await;
        self.take_connections(HISTORY).await;
    }

    async fn take_connections(&self, path: &str) {
        let hasty = self.http.get(format!("{}{path}", self.url())).timeout(HASTE);
        while self.read("world").await["truth"]["wedged"] != true {
            drop(hasty.try_clone().unwrap().send().await);
        }
    }

    /// Runs so many clients without end, each with one request at a time that takes IBKR this long.
    pub async fn is_busy(&self, clients: usize, each: Duration) {
        self.set(&format!("delay?path={HISTORY}&after={}ms&times=always", each.as_millis())).await;
        let mut running = JoinSet::new();
        for _ in 0..clients {
            let slow = self.http.get(format!("{}{HISTORY}", self.url()));
            running.spawn(async move {
                loop {
                    slow.try_clone().unwrap().send().await.unwrap();
                }
            });
        }
        while running.join_next().await.is_some() {}
    }

    pub async fn becomes_live(&self) {
        let live = async {
            while self.read("world").await["truth"]["live"] != true {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(SOON, live).await.expect("the simulated gateway makes a session of a login");
    }

    pub fn url(&self) -> String {
        self.addresses.gateway_url()
    }

    pub async fn set(&self, command: &str) {
        self.set_with(command, "").await;
    }

    pub async fn set_with(&self, command: &str, body: &str) {
        let url = format!("{}/{command}", self.addresses.control_url());
        self.http.post(url).body(body.to_owned()).send().await.unwrap().error_for_status().unwrap();
    }

    /// Posts what the login page's button posts.
    pub async fn log_in(&self) {
        let answer = self.http.post(format!("{}/sso/Dispatcher", self.url())).body("user_name=x").send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "Client login succeeds");
    }

    pub async fn read(&self, page: &str) -> Value {
        let url = format!("{}/{page}", self.addresses.control_url());
        self.http.get(url).send().await.unwrap().json().await.unwrap()
    }

    /// The id of its session, which no line of anybody's may hold.
    pub async fn session(&self) -> String {
        let target = Target { url: self.url().parse().unwrap(), answer_within: SOON, trust: Trust::Loopback };
        let tickle = Client::new(target).unwrap().with_session_ids().ping_server().await.unwrap();
        let session = tickle.session.unwrap().expose().to_owned();
        assert_eq!(session.len(), 32, "the simulator's ids are as long as IBKR's");
        session
    }

    /// What clients asked for so far: methods and paths.
    pub async fn requests(&self) -> Vec<(String, String)> {
        let seen = self.read("requests").await;
        let text = |seen: &Value, field: &str| seen[field].as_str().unwrap().to_owned();
        seen.as_array().unwrap().iter().map(|seen| (text(seen, "method"), text(seen, "path"))).collect()
    }

    /// The paths that clients asked for so far.
    pub async fn asked(&self) -> Vec<String> {
        self.requests().await.into_iter().map(|(_, path)| path).collect()
    }

    /// Waits until so many requests have come in all.
    pub async fn is_asked(&self, requests: usize) {
        while self.asked().await.len() < requests {
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn asked_for(&self, path: &str) -> usize {
        self.asked().await.iter().filter(|asked| asked.as_str() == path).count()
    }
}

/// A slow request of a trading program.
const HISTORY: &str = "/v1/api/iserver/marketdata/history";
const HASTE: Duration = Duration::from_millis(300);
