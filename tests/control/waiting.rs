//! Programs that ask the real daemon for a session and wait for it: `ensure` and `tickled wait`.

use std::os::unix::process::ExitStatusExt;
use std::process::{Output, Stdio};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::Host;
use crate::endpoint::config;
use support::{Gateway, SOON};

/// The answer to `ensure`: its status, its result, and how long it took.
async fn ensure(host: &Host, within: &str) -> (u16, Value, Duration) {
    ensure_of(host, "main", within).await
}

async fn ensure_of(host: &Host, gateway: &str, within: &str) -> (u16, Value, Duration) {
    let started = Instant::now();
    let request = format!("POST /v1/gateways/{gateway}/ensure?within={within} HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = crate::socket::says(host, &request).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap(), started.elapsed())
}

#[tokio::test]
async fn a_program_asks_for_a_session_and_waits_until_it_is_there() {
    let gateway = Gateway::logged_in().await;
    let mut host = Host::start(&config(&gateway));
    host.daemon.becomes("live", SOON).await;
    let checks = gateway.asked_for("/v1/api/iserver/auth/status").await;
    let (status, said, _) = ensure(&host, "30s").await;
    assert_eq!((status, &said["result"]), (200, &"already-authenticated".into()), "{said}");
    assert_eq!(gateway.asked_for("/v1/api/iserver/auth/status").await, checks + 1, "it is not taken from memory");
    // The daemon, which checks every five minutes, does not know of the lapse yet.
    gateway.set("lapse").await;
    let before = said["gateway"]["session"].as_u64().unwrap();
    let (status, said, _) = ensure(&host, "30s").await;
    assert_eq!((status, &said["result"]), (200, &"reauthenticated".into()), "{said}");
    assert_eq!(said["gateway"]["session"], before + 1);
    // Many ask at once: all get the answer of one check.
    gateway.set("expire-login").await;
    let before = gateway.asked().await.len();
    let many = join_all((0..200).map(|_| ensure(&host, "30s"))).await;
    for (status, said, _) in many {
        assert_eq!((status, &said["result"]), (503, &"login-required".into()), "{said}");
        let error = said["error"].as_str().unwrap();
        assert!(error.contains(&gateway.url()) && error.contains("login required"), "{error}");
    }
    let asked = gateway.asked().await.len() - before;
    assert!(asked <= 8, "{asked} requests");
    // One that hangs up is forgotten, and one that sends more than its request is served.
    let mut gone = UnixStream::connect(host.socket()).await.unwrap();
    gone.write_all(b"POST /v1/gateways/main/ensure HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    drop(gone);
    let unknown = crate::socket::says(&host, "POST /v1/gateways/ira/ensure HTTP/1.1\r\nHost: x\r\n\r\n\r\n\r\n").await;
    assert!(unknown.starts_with("HTTP/1.1 404 ") && unknown.contains("there is only main"), "{unknown}");
    gateway.set("away").await;
    let (status, said, _) = ensure(&host, "1s").await;
    assert_eq!((status, &said["result"]), (503, &"login-required".into()), "{said}");
    gateway.set("back?unanswered=answered").await;
    crate::socket::says(&host, "POST /v1/gateways/main/pause HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}").await;
    host.daemon.becomes("paused", SOON).await;
    let (status, said, _) = ensure(&host, "30s").await;
    assert_eq!((status, &said["result"]), (503, &"paused".into()), "{said}");
    let (status, said, _) = ensure(&host, "2m").await;
    assert_eq!((status, said["error"].as_str().unwrap()), (400, "within: write it like 30s, 1m at most"));
}

/// How long a wait has to last for it to be seen to last.
const MOMENT: Duration = Duration::from_millis(300);

/// A verb that waits.
fn waits(host: &Host, arguments: &[&str]) -> Child {
    let plain = support::tickled(arguments);
    let plain = plain.as_std();
    // These tests may themselves run where Ctrl-C is ignored, as in the background of a shell.
    let mut verb = Command::new("env");
    verb.arg("--default-signal=INT").arg(plain.get_program()).args(plain.get_args());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => verb.env(name, value),
            None => verb.env_remove(name),
        };
    }
    verb.env("TICKLED_SOCKET", host.socket()).kill_on_drop(true).stdout(Stdio::piped()).stderr(Stdio::piped());
    verb.spawn().unwrap()
}

/// Asserts that a verb goes on waiting once it is connected to the daemon.
async fn goes_on(host: &Host, verb: &mut Child) {
    let socket = format!(" {}", host.socket().display());
    // Beside the one that listens.
    let is_connected = async {
        let sockets = || std::fs::read_to_string("/proc/net/unix").unwrap();
        while sockets().lines().filter(|line| line.ends_with(&socket)).count() < 2 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, is_connected).await.expect("a connection");
    assert!(timeout(MOMENT, verb.wait()).await.is_err(), "it has ended");
}

async fn ended(verb: Child) -> Output {
    timeout(SOON, verb.wait_with_output()).await.unwrap().unwrap()
}

#[tokio::test]
async fn wait_ends_when_it_is_so_when_a_human_is_needed_and_when_the_time_is_over() {
    let gateway = Gateway::logged_in().await;
    let mut host = Host::start(&config(&gateway).replace("check_every = \"5m\"", "check_every = \"1s\""));
    host.daemon.hears(&[("event", "control-open")], SOON).await;
    assert_eq!(host.asks(&["wait", "main", "--within", "30s"]).await.code, Some(0));
    assert_eq!(host.asks(&["wait", "--until", "lost", "--within", "300ms"]).await.code, Some(1), "the time is over");
    assert_eq!(host.asks(&["wait", "ira"]).await.code, Some(64));
    let ends = async |verb: Child| ended(verb).await.status.code();

    let mut lost = waits(&host, &["wait", "--until", "lost"]);
    goes_on(&host, &mut lost).await;
    assert_eq!(host.asks(&["pause", "main"]).await.code, Some(0));
    assert_eq!(ends(lost).await, Some(0));
    // Until the daemon is another one and the session is back.
    let mut live = waits(&host, &["wait", "main", "--json"]);
    goes_on(&host, &mut live).await;
    host.daemon.signal("TERM");
    host.daemon.ends(SOON).await;
    assert_eq!(host.asks(&["wait"]).await.code, Some(3), "no daemon");
    assert!(timeout(MOMENT, live.wait()).await.is_err(), "it waits for the next daemon");
    host.daemon = Host::daemon(&host.config, &host.place);
    host.daemon.hears(&[("event", "control-open")], SOON).await;
    assert_eq!(host.asks(&["resume", "main"]).await.code, Some(0));
    let said = ended(live).await;
    assert_eq!(said.status.code(), Some(0));
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!((&said["result"], &said["gateways"][0]["state"]), (&"live".into(), &"live".into()));

    let mut lost = waits(&host, &["wait", "main", "--until", "lost"]);
    goes_on(&host, &mut lost).await;
    gateway.set("expire-login").await;
    assert_eq!(ends(lost).await, Some(0));
    let asked = host.asks(&["wait", "main", "--within", "30s"]).await;
    assert_eq!(asked.code, Some(2), "{asked:?}");
    assert_eq!(asked.err, "tickled: main: login-required: the login has expired\n");
}

/// Waits until a gateway is in this state.
async fn until(host: &Host, name: &str, state: &str) {
    let is_so = async {
        loop {
            let status: Value = serde_json::from_str(&crate::socket::status(&host.socket()).await).unwrap();
            let mut gateways = status["gateways"].as_array().unwrap().iter();
            if gateways.any(|gateway| gateway["name"] == name && gateway["state"] == state) {
                return;
            }
            sleep(MOMENT).await;
        }
    };
    timeout(SOON * 2, is_so).await.unwrap_or_else(|_| panic!("{name} never became {state}"));
}

/// Asks for the session of a gateway that is in this state, and waits for it, and for its loss.
async fn is_without_a_session(host: &Host, name: &str, state: &str) {
    let (status, said, took) = ensure_of(host, name, "1s").await;
    assert_eq!((status, &said["result"]), (503, &"failed".into()), "{name}: {said}");
    assert!(said["error"].as_str().unwrap().starts_with(&format!("{state}: ")), "{said}");
    assert!(took >= Duration::from_secs(1), "{name}: {took:?}");
    let asked = host.asks(&["wait", name, "--within", "300ms"]).await;
    assert_eq!(asked.code, Some(1), "{name}: {asked:?}");
    assert!(asked.err.starts_with(&format!("tickled: {name}: {state}: ")), "{asked:?}");
    let asked = host.asks(&["wait", name, "--until", "lost", "--within", "300ms"]).await;
    assert_eq!(asked.code, Some(i32::from(state == "starting")), "{name}: {asked:?}");
}

/// What `ensure` and `tickled wait` say of a gateway in each state that no other test here is about.
#[tokio::test]
async fn while_a_session_is_not_to_be_had_the_answer_says_why() {
    let [contested, failing, stuck] = join_all([(); 3].map(|()| Gateway::logged_in())).await.try_into().ok().unwrap();
    let starting = Gateway::logged_in().await;
    starting.set("hang?path=*&times=1000").await;
    failing.set("failing?status=503&after=0s").await;
    let text = |(name, url): (&str, String)| {
        format!("[gateway.{name}]\nurl = \"{url}\"\npublic_address = \"{name}\"\nsession.check_every = \"1s\"\n")
    };
    let gateways = [
        ("contested", contested.url()),
        ("failing", failing.url()),
        ("stuck", stuck.url()),
        ("starting", starting.url()),
        ("absent", "https://127.0.0.1:1".to_owned()),
    ];
    let mut host = Host::start(&support::by_day(&gateways.map(text).concat()));
    host.daemon.hears(&[("event", "control-open")], SOON).await;
    let host = &host;
    // It has not answered, which is no more than a start for a while.
    is_without_a_session(host, "starting", "starting").await;
    join_all(["contested", "stuck"].map(|name| until(host, name, "live"))).await;
    contested.set("compete?stubborn=true").await;
    stuck.set("fail-init?times=1000").await;
    stuck.set("fail-reauthenticate?times=1000").await;
    stuck.set("lapse").await;
    let states =
        [("contested", "contested"), ("failing", "unavailable"), ("stuck", "recovering"), ("absent", "unavailable")];
    join_all(states.map(async |(name, state)| {
        until(host, name, state).await;
        is_without_a_session(host, name, state).await;
    }))
    .await;
    // Ctrl-C ends a wait like any other program, and leaves nothing on the terminal.
    let mut waiting = waits(host, &["wait", "stuck"]);
    goes_on(host, &mut waiting).await;
    let pid = rustix::process::Pid::from_raw(waiting.id().unwrap().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let left = ended(waiting).await;
    assert_eq!((left.status.signal(), left.stdout.as_slice(), left.stderr.as_slice()), (Some(2), &b""[..], &b""[..]));
}
