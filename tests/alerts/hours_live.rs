//! The hours on the real binary: a deadline, an escalation over kills, an emergency at Pushover.
#![expect(clippy::disallowed_methods, reason = "real processes take real time")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::process::Command;

use crate::delivery::{TOLD, channel, spool, watched};
use crate::keep;
use support::receiver::Receiver;
use support::{Daemon, Gateway, SOON, file, tickled};

/// A zone whose clocks read `time`, in seconds of the day, at this moment: no hour of the real day, and no midnight, is
/// near.
fn zone_at(seconds: i32) -> String {
    let of_day = i32::try_from(Timestamp::now().as_second().rem_euclid(86_400)).unwrap();
    // POSIX counts what is west of Greenwich as positive.
    let west = (of_day - seconds + 43_200).rem_euclid(86_400) - 43_200;
    let (sign, west) = (if west < 0 { "-" } else { "+" }, west.abs());
    format!("<HERE>{sign}{:02}:{:02}:{:02}", west / 3600, west / 60 % 60, west % 60)
}

fn on_clocks(zone: &str, config: &Path) -> Daemon {
    Daemon::spawn(Daemon::command(config).env("TZ", zone))
}

/// Shortly before twelve one session is live and one needs a login; a second daemon has only a live one.
#[tokio::test]
async fn at_the_deadline_a_session_that_is_not_live_is_an_error_and_one_that_is_was_proved_and_is_confirmed() {
    let (live, lost, steady) =
        (Gateway::quick_logged_in().await, Gateway::quick().await, Gateway::quick_logged_in().await);
    let (mut phone, mut other) = (Receiver::start().await, Receiver::start().await);
    let hours = "[alerts.hours]\ndays = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\", \"sun\"]\nfrom = \"11:30\"\n\
                 to = \"17:00\"\nready_by = \"12:00\"\nconfirm = true\n";
    let config = |gateways: &[(&str, &Gateway)], phone: &Receiver| {
        file(&watched(gateways, &(channel("phone", &phone.url()) + hours)))
    };
    let two = config(&[("main", &live), ("second", &lost)], &phone);
    // A machine that is busy needs longer until it has seen that a login is required.
    let mut leads = [10, 30, 90].into_iter();
    let (mut daemon, mut well, called) = loop {
        let zone = zone_at(12 * 3600 - leads.next().expect("an alert before the deadline"));
        let daemon = on_clocks(&zone, &two);
        let well = on_clocks(&zone, &config(&[("only", &steady)], &other));
        let (_, code, called) = phone.is_told(SOON * 4).await;
        if code == "login-required" {
            break (daemon, well, called);
        }
        drop((phone.rest(), other.rest()));
    };
    assert_eq!((&called["phase"], &called["gateway"]), (&"raised".into(), &"second".into()), "{called}");
    assert_eq!(called["title"], "IBKR second: log in before 12:00 – no login since the gateway started", "{called}");
    assert!(called["text"].as_str().unwrap().contains("The session must be live by 12:00 HERE."), "{called}");

    let (phase, code, over) = phone.is_told(SOON * 4).await;
    assert_eq!((phase.as_str(), code.as_str()), ("replaced", "login-required"), "{over}");
    let (phase, code, missed) = phone.is_told(TOLD).await;
    assert_eq!((phase.as_str(), code.as_str()), ("raised", "not-ready"), "{missed}");
    assert_eq!((&missed["severity"], &missed["gateway"]), (&"error".into(), &"second".into()));
    assert_eq!(missed["title"], "IBKR second: log in now – not ready at 12:00");
    let said = daemon.hears(&[("event", "ready")], SOON).await;
    assert_eq!(said["message"], "1 of 2 ready at 12:00 HERE, not ready: second", "{said:?}");

    // The other one is notified that all is well.
    let (phase, code, ready) = other.is_told(TOLD).await;
    assert_eq!((phase.as_str(), code.as_str()), ("raised", "ready"), "{ready}");
    assert_eq!((&ready["severity"], &ready["title"]), (&"info".into(), &"tickled: ready at 12:00 – only".into()));
    let said = well.hears(&[("event", "ready")], SOON).await;
    assert_eq!(said["message"], "1 of 1 ready at 12:00 HERE", "{said:?}");

    lost.log_in().await;
    daemon.signal("USR1");
    let (phase, code, over) = phone.is_told(TOLD).await;
    assert_eq!((phase.as_str(), code.as_str()), ("resolved", "not-ready"), "{over}");
    assert!(phone.rest().is_empty() && other.rest().is_empty());
}

/// `tickled ack` to a daemon whose state, and so its control socket, is here.
async fn acknowledge(runtime: &Path) {
    let done = tickled(&["ack", "main"]).env("RUNTIME_DIRECTORY", runtime).output().await.unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(said.starts_with("no more repeats until it resolves: main: login-required"), "{done:?}");
}

/// A daemon that is killed again and again, with what outlives it.
struct Host {
    config: PathBuf,
    place: PathBuf,
    daemon: Daemon,
}

impl Host {
    fn start(config: &str) -> Self {
        let (config, place) = (file(config), crate::folder());
        let daemon = Self::run(&config, &place);
        Self { config, place, daemon }
    }

    fn run(config: &Path, place: &Path) -> Daemon {
        let mut command: Command = Daemon::command(config);
        Daemon::spawn(command.env("STATE_DIRECTORY", place).env("RUNTIME_DIRECTORY", place))
    }

    /// kill -9, once all that was sent is known to be, and a new start.
    async fn is_killed(&mut self) {
        while spool(&self.place).contains("[{\"message") {
            self.daemon.listens(Duration::from_millis(20)).await;
        }
        self.daemon.signal("KILL");
        self.daemon.ends(SOON).await;
        self.daemon = Self::run(&self.config, &self.place);
        self.daemon.becomes("login-required", SOON).await;
    }
}

/// The moment of a message, and that of the beginning of its incident.
fn times(body: &Value) -> (Timestamp, Timestamp) {
    let time = |key: &str| body[key].as_str().unwrap().parse().unwrap();
    (time("notified_at"), time("started_at"))
}

#[tokio::test]
async fn an_alert_escalates_over_kills_in_order_and_ends_where_it_went_and_an_acknowledgement_stops_it() {
    let gateway = Gateway::quick_logged_in().await;
    let (mut phone, mut call, mut partner) =
        (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    let after = |name: &str, receiver: &Receiver, after: &str| {
        channel(name, &receiver.url()) + &format!("codes = [\"login-required\"]\nafter = {after:?}\n")
    };
    let channels = [after("phone", &phone, "0s"), after("call", &call, "3s"), after("partner", &partner, "6s")];
    let mut host = Host::start(&watched(&[("main", &gateway)], &channels.concat()));
    host.daemon.becomes("live", SOON).await;
    gateway.set("expire-login").await;
    let is = |told: &(String, String, Value), phase: &str| assert_eq!(told.0, phase, "{}", told.2);

    let first = phone.is_told(TOLD).await;
    is(&first, "raised");
    host.is_killed().await;
    let second = call.is_told(TOLD).await;
    host.is_killed().await;
    let third = partner.is_told(TOLD).await;
    host.is_killed().await;
    let [raised, called, told] = [&first, &second, &third].map(|told| times(&told.2));
    for (told, later, least) in [(&second, called.0, 3), (&third, told.0, 6)] {
        is(told, "repeated");
        assert!(later.duration_since(raised.0) >= SignedDuration::from_secs(least), "{}", told.2);
        assert_eq!(times(&told.2).1, raised.1, "the same incident");
    }
    assert!(phone.rest().is_empty() && call.rest().is_empty(), "each is told once");
    gateway.log_in().await;
    host.daemon.signal("USR1");
    for receiver in [&mut phone, &mut call, &mut partner] {
        is(&receiver.is_told(TOLD).await, "resolved");
    }

    // The second time a human acknowledges it before anyone else is notified.
    host.daemon.becomes("live", SOON).await;
    gateway.set("expire-login").await;
    let raised = phone.is_told(TOLD).await;
    is(&raised, "raised");
    acknowledge(&host.place).await;
    is(&phone.is_told(TOLD).await, "acknowledged");
    host.is_killed().await;
    while Timestamp::now().duration_since(times(&raised.2).0) < SignedDuration::from_secs(8) {
        host.daemon.listens(Duration::from_millis(200)).await;
    }
    gateway.log_in().await;
    host.daemon.signal("USR1");
    is(&phone.is_told(TOLD).await, "resolved");
    assert!(call.rest().is_empty() && partner.rest().is_empty(), "{}", host.daemon.text);
}

/// Pushover repeats an emergency until a human acknowledges it there; here it ends when the session is live again, and
/// when `tickled ack` says that a human knows of it.
#[tokio::test]
async fn an_emergency_rings_until_it_is_resolved_or_acknowledged() {
    let gateway = Gateway::quick_logged_in().await;
    let mut pushover = Receiver::start().await;
    let token = keep("pushover-token", "TOKEN");
    let channels = format!(
        "[[alerts.channel]]\nname = \"louder\"\ntype = \"webhook\"\npreset = \"pushover\"\nurl = \"{}/1/messages.json\"\n\
         token_file = {token:?}\nto = \"USER\"\nemergency = true\n",
        pushover.url()
    );
    let config = watched(&[("main", &gateway)], &channels);
    let config = config.replacen("public_address", "login_url = \"https://ibkr.example.ts.net\"\npublic_address", 1);
    let mut host = Host::start(&config);
    host.daemon.becomes("live", SOON).await;
    let asked = async |pushover: &mut Receiver| {
        let asked = pushover.hears(TOLD).await;
        (asked.path.clone(), serde_json::from_str::<Value>(&asked.body).unwrap())
    };
    let mut tags = Vec::new();
    for is_acknowledged in [false, true] {
        gateway.set("expire-login").await;
        let (path, body) = asked(&mut pushover).await;
        assert_eq!(path, "/1/messages.json");
        for (key, value) in [
            ("priority", Value::from(2)),
            ("retry", 60.into()),
            ("expire", 3600.into()),
            ("token", "TOKEN".into()),
            ("user", "USER".into()),
            ("url", "https://ibkr.example.ts.net".into()),
            ("title", "IBKR main: log in now – login expired".into()),
        ] {
            assert_eq!(body[key], value, "{body}");
        }
        let tag = body["tags"].as_str().unwrap().to_owned();
        if is_acknowledged {
            acknowledge(&host.place).await;
            let (path, body) = asked(&mut pushover).await;
            assert_eq!(
                (path, body),
                (format!("/1/receipts/cancel_by_tag/{tag}.json"), serde_json::json!({"token": "TOKEN"}))
            );
        }
        gateway.log_in().await;
        host.daemon.signal("USR1");
        let (path, body) = asked(&mut pushover).await;
        assert_eq!((path, &body["token"]), (format!("/1/receipts/cancel_by_tag/{tag}.json"), &"TOKEN".into()));
        let (path, body) = asked(&mut pushover).await;
        assert_eq!((path.as_str(), &body["priority"]), ("/1/messages.json", &Value::from(-1)), "{body}");
        assert!(body["title"].as_str().unwrap().starts_with("IBKR main: live again after"), "{body}");
        assert!(body["retry"].is_null() && body["url"].is_null(), "{body}");
        tags.push(tag);
        host.daemon.becomes("live", SOON).await;
    }
    assert_eq!(tags[0], tags[1], "named after the subject and code");
    assert!(!fs::read_to_string(host.place.join("alerts.json")).unwrap().contains("TOKEN"));
}
