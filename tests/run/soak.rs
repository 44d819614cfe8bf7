//! One fault after the other, for as long as wanted: never falsely live, no limit exceeded, and nothing
//! grows. `SOAK=1h cargo test --test run soak -- --nocapture` takes an hour instead of half a minute.
#![expect(clippy::disallowed_methods, reason = "real processes take real time")]

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::seconds;
use support::chance::Chance;
use support::{Daemon, Gateway, SOON, file};

/// What goes wrong, and what ends it where that is not the daemon's own work or a human's.
const TROUBLES: [(&str, &str); 22] = [
    ("lapse", ""),
    ("logout-elsewhere", ""),
    ("expire-login", ""),
    ("restart?down=1s", ""),
    ("compete?shows=both", "leave"),
    ("compete?shows=taken", "leave"),
    ("away", "back?unanswered=answered"),
    ("failing?status=503&after=100ms", "back"),
    ("failing?status=500&after=0ms", "back"),
    ("latency?is=2s", "latency?is=20ms"),
    ("borrow", "borrow?on=false"),
    ("deny", "deny?on=false"),
    ("established?is=never", "established?is=follows"),
    ("no-session?times=3", "clear"),
    ("status-false?times=2", "clear"),
    ("hang?path=*&times=always&who=client", "clear"),
    ("reset?path=*&times=always&who=client", "clear"),
    ("cut?path=*&times=always&who=client", "clear"),
    ("drip?path=*&times=always&who=client", "clear"),
    ("answer?path=/v1/api/*&times=always&status=403&type=text/html&who=client", "clear"),
    ("streams?are=closed", "streams?are=served"),
    ("streams?are=silent", "streams?are=served"),
];

/// How long it goes on, and how fast.
struct Pace {
    span: Duration,
    /// A trouble lasts one to six of these.
    unit: Duration,
    session: &'static str,
    /// How long what was live may still be called so.
    known_within: Duration,
    /// KiB that the process may be larger at the end than at the beginning.
    growth: u64,
}

impl Pace {
    fn wanted() -> Self {
        let Ok(span) = std::env::var("SOAK") else {
            return Self {
                span: seconds(25),
                unit: Duration::from_millis(500),
                session: "ping_every = \"1s\"\ncheck_every = \"1s\"\nanswer_within = \"1s\"\nwatch_every = \"5s\"\n",
                known_within: seconds(10),
                growth: 2048,
            };
        };
        Self {
            span: span.parse::<jiff::SignedDuration>().unwrap().unsigned_abs(),
            unit: seconds(10),
            session: "ping_every = \"30s\"\ncheck_every = \"8s\"\nanswer_within = \"5s\"\nwatch_every = \"10s\"\n",
            known_within: seconds(20),
            growth: 1024,
        }
    }
}

/// What the process has: descriptors, threads, and memory in KiB.
fn size(pid: u32) -> (usize, usize, u64) {
    let process = format!("/proc/{pid}");
    let count = |folder: &str| fs::read_dir(format!("{process}/{folder}")).unwrap().count();
    let status = fs::read_to_string(format!("{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    (count("fd"), count("task"), line.split_whitespace().next().unwrap().parse().unwrap())
}

/// One gateway, its human, the daemon, and what must be true of them.
struct Soak {
    gateway: Gateway,
    daemon: Daemon,
    pace: Pace,
    /// Since when there is no session.
    lost_since: Option<Instant>,
    /// How many of the daemon's lines were judged.
    judged: usize,
    open: BTreeSet<String>,
    says_live: bool,
    says_wedged: bool,
}

impl Soak {
    /// Lets time pass, and looks all the while.
    async fn goes_on(&mut self, span: Duration) {
        let until = Instant::now() + span;
        while Instant::now() < until {
            self.daemon.listens(Duration::from_millis(100)).await;
            self.judges_what_was_said();
            self.looks().await;
        }
    }

    /// Never two alarms for one thing, and none called off that was not raised.
    fn judges_what_was_said(&mut self) {
        for said in &self.daemon.said[self.judged..] {
            let text = |field: &str| said.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
            match text("event").as_str() {
                "state-changed" => {
                    self.says_live = text("to") == "live";
                    self.says_wedged = text("because") == "gateway-wedged";
                }
                "alert" => {
                    let is_news = match text("phase").as_str() {
                        "raised" => self.open.insert(text("code")),
                        "resolved" => self.open.remove(&text("code")),
                        phase => panic!("{phase}: {}", self.daemon.text),
                    };
                    assert!(is_news, "{said:?} for the second time\n{}", self.daemon.text);
                }
                _ => {}
            }
        }
        self.judged = self.daemon.said.len();
    }

    /// Never falsely live for longer than it takes to know.
    async fn looks(&mut self) {
        if self.gateway.read("world").await["truth"]["live"] == true {
            self.lost_since = None;
            return;
        }
        let lost = self.lost_since.get_or_insert_with(Instant::now).elapsed();
        let is_told = !self.says_live || lost < self.pace.known_within;
        assert!(is_told, "called live {lost:?} after it was lost\n{}", self.daemon.text);
    }

    /// A human logs in where that is needed, and restarts the gateway where only that helps.
    async fn human_comes(&mut self) {
        let truth = &self.gateway.read("world").await["truth"];
        if truth["borrowed"] == true || std::mem::take(&mut self.says_wedged) {
            self.gateway.set("restart?down=1s").await;
        } else if truth["listening"] == true && (truth["login"] == false || truth["logged_in_here"] == false) {
            self.gateway.log_in().await;
        }
    }
}

#[tokio::test]
async fn whatever_goes_wrong_nothing_grows_and_nothing_is_falsely_live() {
    let gateway = Gateway::logged_in().await;
    let pace = Pace::wanted();
    let config = file(&format!(
        "[gateway.main]\nurl = \"{}\"\nstream.enabled = true\n[maintenance]\nwindow = []\n[session]\n{}\
         recovery.max_per_hour = 60\n",
        gateway.url(),
        pace.session
    ));
    let state = config.with_extension("state");
    fs::create_dir(&state).unwrap();
    let mut daemon = Daemon::with_state(&config, &state);
    daemon.becomes("live", SOON).await;
    daemon.hears(&[("event", "stream-up")], SOON).await;
    let pid = daemon.pid();
    let mut soak = Soak {
        gateway,
        daemon,
        pace,
        lost_since: None,
        judged: 0,
        open: BTreeSet::new(),
        says_live: false,
        says_wedged: false,
    };
    soak.goes_on(soak.pace.unit).await;

    let seed = std::env::var("SOAK_SEED").map_or_else(|_| u64::from(pid), |seed| seed.parse().unwrap());
    let mut chance = Chance(seed);
    let before = size(pid);
    let until = Instant::now() + soak.pace.span;
    let mut troubles = 0;
    while Instant::now() < until {
        let (trouble, cure) = *chance.pick(&TROUBLES);
        eprintln!("SOAK_SEED={seed} trouble {troubles}: {trouble}; {:?}", size(pid));
        soak.gateway.set(trouble).await;
        let unit = soak.pace.unit;
        soak.goes_on(chance.span(unit, unit * 6)).await;
        if !cure.is_empty() {
            soak.gateway.set(cure).await;
        }
        soak.goes_on(chance.span(Duration::ZERO, unit * 3)).await;
        soak.human_comes().await;
        soak.goes_on(chance.span(unit, unit * 3)).await;
        troubles += 1;
    }
    assert!(troubles >= 5, "{troubles}");

    // Everything is well, and that is seen.
    let until = Instant::now() + seconds(90);
    while !soak.says_live || soak.lost_since.is_some() {
        let in_time = Instant::now() < until;
        assert!(in_time, "never live again: {}\n{}", soak.gateway.read("world").await, soak.daemon.text);
        soak.human_comes().await;
        soak.goes_on(seconds(1)).await;
    }
    soak.goes_on(seconds(2)).await;
    // That it comes and goes is called off only when it has stayed for long.
    soak.open.remove("session-flapping");
    assert_eq!(soak.open, BTreeSet::new(), "{}", soak.daemon.text);
    let after = size(pid);
    // One more thread writes to the disk, for some seconds.
    assert!(after.0 <= before.0 && after.1 <= before.1 + 1, "descriptors, threads: {before:?}, then {after:?}");
    assert!(after.2 <= before.2 + soak.pace.growth, "memory: {before:?}, then {after:?}");
    let asked = soak.gateway.read("requests").await;
    let asked = asked.as_array().unwrap().iter().filter(|asked| asked["path"] != "/sso/Dispatcher");
    let at: Vec<u64> = asked.map(|asked| asked["at_ms"].as_u64().unwrap()).collect();
    let most = at.iter().map(|from| at.iter().filter(|at| (*from..from + 60_000).contains(at)).count()).max();
    eprintln!("{troubles} troubles, {} requests, {most:?} in the fullest minute; {before:?}, then {after:?}", at.len());
    assert!(most.unwrap() <= 75, "{most:?} requests in a minute");
    soak.daemon.signal("TERM");
    assert_eq!(soak.daemon.ends(SOON).await.code(), Some(0), "{}", soak.daemon.text);
}
