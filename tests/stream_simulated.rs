//! The gateway's stream beside the simulator, over TLS: how soon a loss is seen and mended, and whom it trusts.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use support::Gateway;
use tickled::driver::{Driver, Flow, HostClock, StreamChange};
use tickled::gateway::stream::{Limits, Push, Stream, StreamDown};
use tickled::gateway::{AuthStatus, Client, Fingerprint, SessionId, Target, Trust};
use tickled::session::{Method, Policy, Recovery, State};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

/// Longer than any machine needs.
const SOON: Duration = Duration::from_secs(20);
/// For streams that are to be given up: what comes before that comes well within.
const QUICK: Limits =
    Limits { heartbeat_within: Duration::from_secs(2), tic_every: Duration::from_millis(100), bytes: 1024 * 1024 };

fn client(url: &str, trust: Trust) -> Client {
    let target = Target { url: url.parse().expect("a URL"), answer_within: SOON, trust };
    Client::new(target).expect("a client").with_session_ids()
}

fn session(id: &str) -> SessionId {
    serde_json::from_value(json!(id)).expect("an id")
}

/// A gateway at which a human has logged in, quick to make a session of it.
async fn simulated() -> Gateway {
    let gateway = Gateway::with(|settings| settings.options.auth_delay = Duration::from_millis(500)).await;
    gateway.set("login").await;
    gateway.becomes_live().await;
    gateway
}

/// What a client asks of a gateway here.
trait Asked {
    fn client(&self) -> Client;
    async fn stream(&self, limits: Limits) -> Result<Stream, StreamDown>;
}

impl Asked for Gateway {
    fn client(&self) -> Client {
        client(&self.addresses.gateway_url(), Trust::Loopback)
    }

    /// A stream with the session of a ping.
    async fn stream(&self, limits: Limits) -> Result<Stream, StreamDown> {
        let client = self.client();
        let session = client.ping_server().await.expect("a ping").session.expect("a session id");
        client.stream(&session, limits).await
    }
}

/// Runs something that is to take less than a second, and once more where a machine had other things to do: what really
/// takes longer does so each time.
async fn within_a_second(run: impl AsyncFn() -> Duration) {
    let mut took = Vec::new();
    for _ in 0..4 {
        took.push(run().await);
        if took.last().is_some_and(|took| *took < Duration::from_secs(1)) {
            return;
        }
    }
    panic!("it takes {took:?}");
}

async fn next(stream: &mut Stream) -> Result<Push, StreamDown> {
    timeout(SOON, stream.next()).await.expect("a stream that says something or ends")
}

/// The next flags, whatever comes before them.
async fn flags(stream: &mut Stream) -> AuthStatus {
    loop {
        if let Push::Status(status) = next(stream).await.expect("flags") {
            return status;
        }
    }
}

#[tokio::test]
async fn a_lapse_is_seen_within_a_second() {
    within_a_second(async || {
        let (simulated, mut stream) = listened_to().await;
        let since = Instant::now();
        simulated.set("lapse").await;
        assert!(!flags(&mut stream).await.authenticated);
        since.elapsed()
    })
    .await;
}

#[tokio::test]
async fn somebody_else_is_seen_within_a_second() {
    within_a_second(async || {
        let (simulated, mut stream) = listened_to().await;
        let since = Instant::now();
        simulated.set("compete?shows=both").await;
        while !flags(&mut stream).await.competing {}
        since.elapsed()
    })
    .await;
}

/// A gateway, and its stream, which has said that all is well.
async fn listened_to() -> (Gateway, Stream) {
    let simulated = simulated().await;
    let mut stream = simulated.stream(Limits::default()).await.unwrap();
    assert_eq!(next(&mut stream).await, Ok(Push::Ready));
    let status = flags(&mut stream).await;
    assert!(status.authenticated && !status.competing);
    (simulated, stream)
}

#[tokio::test]
async fn a_stream_that_falls_silent_or_always_closes_is_down() {
    let simulated = simulated().await;
    let mut stream = simulated.stream(Limits { tic_every: SOON, ..QUICK }).await.unwrap();
    assert_eq!(next(&mut stream).await, Ok(Push::Ready));
    simulated.set("streams?are=silent").await;
    let silent = loop {
        match next(&mut stream).await {
            Ok(push) => assert!(matches!(push, Push::Status(_)), "{push:?}"),
            Err(down) => break down,
        }
    };
    assert_eq!(silent, StreamDown::Silent);
    let mut never = simulated.stream(QUICK).await.unwrap();
    assert_eq!(next(&mut never).await, Err(StreamDown::NeverReady));

    simulated.set("streams?are=closed").await;
    for _ in 0..3 {
        let mut closed = simulated.stream(QUICK).await.unwrap();
        assert_eq!(next(&mut closed).await, Err(StreamDown::Closed(Some(1000))));
    }
    // An id that is not the session's gets a stream that is never ready.
    simulated.set("streams?are=served").await;
    let mut foreign = simulated.client().stream(&session("foreign"), QUICK).await.unwrap();
    assert_eq!(next(&mut foreign).await, Err(StreamDown::NeverReady));
}

#[tokio::test]
async fn the_stream_trusts_as_the_requests_do() {
    let simulated = simulated().await;
    let url = simulated.addresses.gateway_url();
    let session = simulated.client().ping_server().await.unwrap().session.unwrap();
    let pem = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/simulator/certificate.pem");
    let certificate = rustls::pki_types::pem::PemObject::from_pem_file(pem).unwrap();
    let certificate: rustls::pki_types::CertificateDer<'_> = certificate;
    let right = client(&url, Trust::Pin(vec![Fingerprint::of(&certificate)]));
    let mut stream = right.stream(&session, Limits::default()).await.unwrap();
    assert_eq!(next(&mut stream).await, Ok(Push::Ready));
    let upgrades = async || simulated.asked().await.iter().filter(|path| *path == "/v1/api/ws").count();
    assert_eq!(upgrades().await, 1);

    let wrong = client(&url, Trust::Pin(vec![Fingerprint::STOCK]));
    let refused = wrong.stream(&session, Limits::default()).await.unwrap_err();
    assert!(matches!(refused, StreamDown::Unreachable(_)), "{refused:?}");
    assert_eq!(upgrades().await, 1, "the request was sent to a gateway that is not trusted");
}

#[tokio::test]
async fn a_lapse_is_taken_back_within_a_second() {
    within_a_second(taken_back).await;
}

/// How long it takes until a lapse is over.
async fn taken_back() -> Duration {
    let simulated = simulated().await;
    let policy =
        Policy { recovery: Recovery { methods: vec![Method::Direct], ..Recovery::default() }, ..Policy::default() };
    let driver = Driver::new("main", "simulated", policy, 1, simulated.client(), HostClock::start()).listening(1);
    let (told, mut changes) = mpsc::unbounded_channel();
    let (streams, mut up) = mpsc::unbounded_channel();
    let (_commands, inbox) = mpsc::channel(1);
    let run = driver.run(inbox, move |report| {
        if let Some(transition) = report.transition {
            told.send(transition).unwrap();
        }
        if let Some(change) = report.stream {
            streams.send(change).unwrap();
        }
        Flow::GoOn
    });
    let script = async {
        assert_eq!(changes.recv().await.unwrap().to, State::Live);
        assert_eq!(up.recv().await, Some(StreamChange::Up));
        let before = simulated.asked().await.len();
        let since = Instant::now();
        simulated.set("lapse").await;
        assert!(matches!(changes.recv().await.unwrap().to, State::Recovering { .. }));
        assert_eq!(changes.recv().await.unwrap().to, State::Live);
        let took = since.elapsed();
        let asked = simulated.asked().await.split_off(before);
        let (check, init) = ("/v1/api/iserver/auth/status", "/v1/api/iserver/auth/ssodh/init");
        let confirmed_by_the_stream = [check, init, "/v1/api/iserver/accounts"];
        let answered_before_it = [check, init, check, "/v1/api/iserver/accounts"];
        assert!(asked == confirmed_by_the_stream || asked == answered_before_it, "{asked:?}");
        took
    };
    tokio::select! {
        _ = run => panic!("the driver ended"),
        seen = timeout(SOON, script) => seen.unwrap(),
    }
}
