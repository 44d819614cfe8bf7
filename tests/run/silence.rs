//! IBKR is silent behind the gateway, or the gateway is wedged: the real binary leaves its requests standing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::seconds;
use support::{Daemon, Gateway, SOON, by_day, file, tickled};

/// Intervals so short that a silence is noticed within seconds.
fn config(gateway: &Gateway) -> PathBuf {
    let quick = "[session]\nanswer_within = \"1s\"\nwatch_every = \"5s\"\ncheck_every = \"1s\"\n";
    file(&by_day(&format!("[gateway.main]\nurl = \"{}\"\nunit = \"ibkr-gateway.service\"\n{quick}", gateway.url())))
}

/// IBKR's API host, which answers TLS handshakes while it is not silent.
struct Host {
    address: String,
    certificate: PathBuf,
    is_silent: Arc<AtomicBool>,
}

impl Host {
    async fn start() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let certificate = file(&made.cert.pem());
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("localhost:{}", listener.local_addr().unwrap().port());
        let is_silent = Arc::new(AtomicBool::new(false));
        let silent = Arc::clone(&is_silent);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                if !silent.load(Ordering::Relaxed) {
                    let acceptor = acceptor.clone();
                    tokio::spawn(async move { acceptor.accept(tcp).await.map(drop) });
                }
            }
        });
        Self { address, certificate, is_silent }
    }

    /// The daemon with this host for IBKR's.
    fn daemon(&self, config: &Path, state: &Path) -> Daemon {
        let mut command = Daemon::command(config);
        command.env("TICKLED_IBKR__HOST", &self.address).env("SSL_CERT_FILE", &self.certificate);
        Daemon::spawn(command.env("STATE_DIRECTORY", state).env("RUNTIME_DIRECTORY", state))
    }

    fn set_silent(&self, is_silent: bool) {
        self.is_silent.store(is_silent, Ordering::Relaxed);
    }
}

/// When requests of clients have reached IBKR, in milliseconds. Websockets take none of the gateway's places.
async fn reached(gateway: &Gateway) -> Vec<u64> {
    let all = gateway.read("ibkr").await;
    let ours =
        all.as_array().unwrap().iter().filter(|arrival| arrival["who"] == "client" && arrival["path"] != "/v1/api/ws");
    ours.map(|arrival| arrival["at_ms"].as_u64().unwrap()).collect()
}

/// Has IBKR answer again, and waits until the daemon has noticed. At most three requests are sent at first.
async fn returns(gateway: &Gateway, unanswered: &str, daemon: &mut Daemon, within: Duration) {
    let before = reached(gateway).await.len();
    gateway.set(&format!("back?unanswered={unanswered}")).await;
    let at = gateway.read("world").await["at_ms"].as_u64().unwrap();
    daemon.becomes("live", within).await;
    let after = reached(gateway).await.split_off(before);
    let first = after.iter().filter(|sent| **sent < at + 1000).count();
    assert!(first <= 3, "{after:?} from {at} on");
}

/// How often the session was asked for, by either method.
async fn recoveries(gateway: &Gateway) -> usize {
    let asked = gateway.asked().await;
    asked.iter().filter(|path| path.ends_with("/reauthenticate") || path.ends_with("/ssodh/init")).count()
}

async fn status(state: &Path) -> Value {
    let told = tickled(&["status", "--json"]).env("RUNTIME_DIRECTORY", state).output().await.unwrap();
    serde_json::from_slice(&told.stdout).unwrap_or_else(|_| panic!("{told:?}"))
}

/// Waits until the daemon says this of its gateway.
async fn is_because(state: &Path, because: &str, within: Duration) -> Value {
    let is_so = async {
        loop {
            let status = status(state).await;
            if status["gateways"][0]["because"] == because {
                return status;
            }
            sleep(seconds(1) / 5).await;
        }
    };
    match timeout(within, is_so).await {
        Ok(status) => status,
        Err(_) => panic!("not {because} within {within:?}: {}", status(state).await),
    }
}

/// The state directory of a daemon with this configuration, which is its runtime directory as well.
fn state(config: &Path) -> PathBuf {
    config.with_extension("state")
}

async fn it_answers_late() {
    let gateway = Gateway::logged_in().await;
    let config = config(&gateway);
    let mut daemon = Daemon::run(&config);
    daemon.becomes("live", SOON).await;
    let recovered = recoveries(&gateway).await;
    gateway.set("away").await;
    let before = reached(&gateway).await.len();
    let said = daemon.becomes("unavailable", SOON).await;
    assert_eq!(said["because"], "ibkr-silent");
    daemon.listens(seconds(12)).await;
    assert_eq!(reached(&gateway).await.len() - before, 1, "one stands, and no other is sent");
    returns(&gateway, "answered", &mut daemon, seconds(5)).await;
    assert_eq!(recoveries(&gateway).await, recovered, "IBKR away is no lapse");
    assert_eq!(daemon.count(&[("event", "alert")]), 0, "{}", daemon.text);
}

async fn it_closes_and_the_daemon_was_started_again() {
    let (gateway, host) = (Gateway::logged_in().await, Host::start().await);
    let path = config(&gateway);
    let mut first = host.daemon(&path, &state(&path));
    first.becomes("live", SOON).await;
    host.set_silent(true);
    gateway.set("away").await;
    let before = reached(&gateway).await.len();
    first.becomes("unavailable", SOON).await;
    let changed = std::fs::read_to_string(&path).unwrap().replace("check_every = \"1s\"", "check_every = \"2s\"");
    std::fs::write(&path, changed).unwrap();
    first.signal("HUP");
    first.hears(&[("event", "config-reloaded")], SOON).await;
    first.listens(seconds(7)).await;
    first.signal("TERM");
    first.ends(SOON).await;
    let mut second = host.daemon(&path, &state(&path));
    second.becomes("unavailable", SOON).await;
    second.listens(seconds(7)).await;
    assert_eq!(reached(&gateway).await.len() - before, 1, "that of the first daemon before it was reloaded");
    host.set_silent(false);
    // `watch_every` and ten seconds.
    returns(&gateway, "closed", &mut second, seconds(15)).await;
    assert_eq!(second.count(&[("event", "alert")]), 0, "{}", second.text);
}

/// The verdict, what a human reads of it, and its end by a restart of the gateway and a login.
async fn it_is_wedged(gateway: Gateway, daemon: &mut Daemon, config: &Path) {
    let state = &state(config);
    let recovered = recoveries(&gateway).await;
    let before = reached(&gateway).await.len();
    let status = is_because(state, "gateway-wedged", SOON).await;
    assert_eq!(status["gateways"][0]["state"], "unavailable");
    let alerts = status["alerts"].as_array().unwrap();
    assert_eq!((alerts.len(), &alerts[0]["code"]), (1, &Value::from("gateway-wedged")), "{alerts:?}");
    let text = format!("{} {}", alerts[0]["summary"], alerts[0]["action"]);
    for words in [
        "stay unanswered",
        "other programs are blocked",
        "restart the gateway with `systemctl restart ibkr-gateway.service`, then log in",
        "costs a login",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    // The doctor believes the daemon, and adds no request.
    let asked = gateway.asked().await;
    let mut doctor = tickled(&["doctor", "--json", "--config", config.to_str().unwrap()]);
    let found = doctor.env("RUNTIME_DIRECTORY", state).output().await.unwrap();
    let found = String::from_utf8(found.stdout).unwrap();
    assert!(found.contains("the gateway is wedged, as the daemon found"), "{found}");
    let added = gateway.asked().await.split_off(asked.len());
    assert!(added.iter().all(|path| path == "/"), "{added:?}");
    assert!(reached(&gateway).await.len() - before <= 2);
    assert_eq!(recoveries(&gateway).await, recovered, "no method helps here");
    gateway.set("restart?down=1s").await;
    daemon.becomes("login-required", SOON).await;
    timeout(SOON, gateway.log_in()).await.unwrap();
    daemon.signal("USR1");
    daemon.becomes("live", seconds(75)).await;
    assert_eq!(self::status(state).await["alerts"], Value::Array(Vec::new()));
}

async fn a_gateway_is_wedged(by_program: bool) {
    let gateway = Gateway::quick_logged_in().await;
    let path = config(&gateway);
    let mut daemon = Daemon::spawn(Daemon::command(&path).env("RUNTIME_DIRECTORY", state(&path)));
    daemon.becomes("live", SOON).await;
    if by_program {
        gateway.wedge_by_program().await;
    } else {
        gateway.wedge().await;
    }
    it_is_wedged(gateway, &mut daemon, &path).await;
}

/// Twelve slow requests at a time make each of the daemon's wait for its turn, longer than an answer may take.
async fn a_busy_gateway_is_live() {
    let gateway = Gateway::quick_logged_in().await;
    let quick = "[session]\nanswer_within = \"3s\"\ncheck_every = \"1s\"\n";
    let mut daemon = Daemon::run(&file(&by_day(&format!("[gateway.main]\nurl = \"{}\"\n{quick}", gateway.url()))));
    daemon.becomes("live", SOON).await;
    let asking = gateway.is_busy(12, seconds(2));
    let watched = async {
        daemon.listens(seconds(10)).await;
        gateway.set("lapse").await;
        let lapsed = Instant::now();
        daemon.becomes("recovering", SOON * 2).await;
        daemon.becomes("live", SOON * 2).await;
        assert!(lapsed.elapsed() < seconds(30));
        daemon.listens(seconds(5)).await;
    };
    tokio::select! {
        () = asking => {}
        () = watched => {}
    }
    assert_eq!(daemon.count(&[("to", "unavailable")]), 0, "{}", daemon.text);
    assert_eq!(daemon.count(&[("event", "alert")]), 0, "{}", daemon.text);
}

/// All at a time, because most of it is waiting.
#[tokio::test]
async fn requests_are_left_standing_and_a_wedge_is_told_from_a_silence() {
    tokio::join!(
        it_answers_late(),
        it_closes_and_the_daemon_was_started_again(),
        a_gateway_is_wedged(false),
        a_gateway_is_wedged(true),
        a_busy_gateway_is_live(),
    );
}
