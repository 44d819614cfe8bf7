//! What a human reads: every code with every cause, in every form, as files that a person has read.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Weekday, time};
use jiff::tz::TimeZone;
use secrecy::SecretString;
use serde_json::Value;
use tickled::alert::schedule::Hours;
use tickled::alert::settings::Preset;
use tickled::alert::{About, AlertInput, AlertPhase, Code, Message, Notice, Settings, Severity, Tracker};
use tickled::session::{Cause, Facts, Now, State, StateReason, Step, Unavailability};
use tickled::status::Snapshot;

use crate::life::{HOUR, secs, snapshot};

/// A desk that is shown one thing, from its beginning to its end; gives what it tells, in order.
struct Stage {
    tracker: Tracker,
    time: Duration,
    told: Vec<Notice>,
}

impl Stage {
    fn new() -> Self {
        let settings = Settings { zone: Some(zone()), ..Settings::default() };
        Self { tracker: Tracker::new(settings, "trading-host"), time: Duration::ZERO, told: Vec::new() }
    }

    fn now(&self) -> Now {
        let origin: Timestamp = "2026-03-02T05:00:40Z".parse().unwrap();
        Now {
            mono: self.time,
            wall: origin.saturating_add(jiff::SignedDuration::try_from(self.time).unwrap()).unwrap(),
        }
    }

    fn step(&mut self, input: AlertInput<'_>) {
        let plan = self.tracker.step(self.now(), input);
        self.told.extend(plan.notices);
    }

    fn pass(&mut self, span: Duration) {
        self.time += span;
        self.step(AlertInput::Wake);
    }

    /// The messages about a gateway that becomes like this, stays so for hours, and is live again.
    fn of(change: impl Fn(Snapshot) -> Snapshot) -> Vec<Notice> {
        let mut stage = Self::new();
        let since = stage.now();
        let wrong = change(snapshot(State::Live, since, None));
        let incident = (wrong.state != State::Live).then_some(since);
        stage.step(AlertInput::Snapshot(&Snapshot { outage_since: incident, ..wrong }));
        stage.pass(secs(300));
        stage.pass(HOUR * 4 + secs(300));
        let live = snapshot(State::Live, stage.now(), None);
        stage.step(AlertInput::Snapshot(&live));
        // Some minutes later it counts as steady.
        stage.time += secs(300);
        stage.step(AlertInput::Snapshot(&live));
        stage.told
    }

    /// The messages about a gateway that is like this until after its deadline at one o'clock, and is acknowledged
    /// then.
    fn morning(state: State) -> Vec<Notice> {
        let mut stage = Self::new();
        let hours = Hours {
            zone: zone(),
            days: vec![Weekday::Monday],
            from: time(0, 0, 0, 0),
            to: time(23, 0, 0, 0),
            ready_by: Some(time(1, 0, 0, 0)),
            except: Vec::new(),
        };
        let settings = Settings { zone: Some(zone()), hours: Some(hours), confirm: true, ..Settings::default() };
        stage.tracker = Tracker::new(settings, "trading-host");
        let since = stage.now();
        stage.step(AlertInput::Snapshot(&snapshot(state, since, (state != State::Live).then_some(since))));
        for minutes in [30, 20, 10, 10, 250] {
            stage.time += Duration::from_mins(minutes);
            let facts = Facts { last_data: Some(stage.now()), ..Facts::default() };
            let down = (state != State::Live).then_some(since);
            stage.step(AlertInput::Snapshot(&Snapshot { facts, ..snapshot(state, since, down) }));
        }
        let about = About::Gateway("main".to_owned());
        stage.step(AlertInput::Acknowledge { about: &about, code: None });
        stage.step(AlertInput::Snapshot(&snapshot(State::Live, stage.now(), None)));
        stage.told
    }

    fn messages(notices: Vec<Notice>) -> Vec<Message> {
        notices.into_iter().map(|notice| notice.message(&zone(), &"trading-host".into())).collect()
    }
}

fn zone() -> TimeZone {
    TimeZone::get("America/New_York").unwrap()
}

/// Every message there is, each from its beginning to its end.
pub(crate) fn all() -> Vec<Message> {
    let mut told = Vec::new();
    for cause in
        [Cause::Expired, Cause::NeverLoggedIn, Cause::LoggedOut, Cause::Borrowed, Cause::NotEnabled, Cause::Exhausted]
    {
        told.extend(Stage::of(|live| Snapshot { state: State::LoginRequired(cause), ..live }));
    }
    for trouble in [Unavailability::NothingListens, Unavailability::Network] {
        let known = Facts { trouble: Some(trouble), ..Facts::default() };
        told.extend(Stage::of(|live| Snapshot { state: State::LoginRequired(Cause::Expired), facts: known, ..live }));
    }
    for reason in [StateReason::OtherClient, StateReason::Outfought] {
        told.extend(Stage::of(|live| Snapshot { state: State::Contested, reason, ..live }));
    }
    for trouble in [
        Unavailability::NothingListens,
        Unavailability::NoAnswer,
        Unavailability::NotAGateway,
        Unavailability::Network,
        Unavailability::Certificate,
        Unavailability::Tls,
        Unavailability::AddressRefused,
        Unavailability::EdgeRefused,
        Unavailability::IbkrSilent,
        Unavailability::IbkrUnreachable,
        Unavailability::GatewayWedged,
        Unavailability::IbkrError,
        Unavailability::TooManyRequests { retry_after: None },
        Unavailability::Nonsense,
    ] {
        let prints = "it presented AB:CD, but EF:01 is pinned";
        let detail = (trouble == Unavailability::Certificate).then(|| prints.to_owned());
        let service = (trouble == Unavailability::GatewayWedged).then(|| "ibkr-gateway.service".to_owned());
        let (state, detail) = (State::Unavailable(trouble), &detail);
        told.extend(Stage::of(|live| Snapshot { state, detail: detail.clone(), service: service.clone(), ..live }));
    }
    told.extend(Stage::of(|live| Snapshot { flapping: true, ..live }));
    told.extend(Stage::of(|live| Snapshot {
        state: State::Recovering { attempt: 1, step: Step::Pause },
        out_of_attempts: true,
        ..live
    }));
    for is_paper in [true, false] {
        let known = Facts { is_paper: Some(is_paper), ..Facts::default() };
        told.extend(Stage::of(|live| Snapshot { wrong_account: true, facts: known, ..live }));
    }
    for state in
        [State::LoginRequired(Cause::Expired), State::Recovering { attempt: 1, step: Step::Pause }, State::Live]
    {
        told.extend(Stage::morning(state));
    }
    let mut stage = Stage::new();
    let why = "/etc/tickled/tickled.toml:4:1: session.ping_evry: unknown key; did you mean ping_every? (the log lists every fault)";
    stage.step(AlertInput::ConfigRejected { file: "/etc/tickled/tickled.toml", why });
    stage.pass(HOUR * 4 + secs(60));
    stage.step(AlertInput::ConfigAccepted);
    let why = "it answered 401 Unauthorized, and said: you need a valid access token";
    let title = "IBKR main: log in now – login expired";
    stage.step(AlertInput::Undeliverable { channel: "phone", title, why });
    stage.pass(HOUR);
    stage.step(AlertInput::Delivered { channel: "phone" });
    told.extend(stage.told);
    let mut stage = Stage::new();
    let since = stage.now();
    stage.step(AlertInput::Snapshot(&snapshot(State::LoginRequired(Cause::Expired), since, Some(since))));
    stage.pass(HOUR);
    stage.step(AlertInput::Forget(&crate::life::Life::main()));
    told.extend(stage.told.split_off(1));
    told.push(Notice::test(stage.now().wall));
    Stage::messages(told)
}

/// Compares with a file that a person has read; with `BLESS` set it is written anew.
fn hold_against(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/alerts").join(name);
    if std::env::var_os("BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(text == expected, "{name} is not what is said: run with BLESS=1, and read the difference");
}

#[test]
fn every_alert_is_read_by_a_human_as_it_stands_here() {
    let mut page = String::new();
    for message in all() {
        let heading = format!("[{} {}: {}]", message.phase.name(), message.code, message.reason);
        page.push_str(&format!("{heading}\n{}\n{}\n\n", message.title, message.text));
    }
    hold_against("words.txt", &page);
}

#[test]
fn every_alert_names_what_it_is_about_and_what_to_do_and_no_inner_thing() {
    let all = all();
    for code in Code::ALL.iter().copied() {
        let phases: Vec<AlertPhase> =
            all.iter().filter(|message| message.code == code.name()).map(|message| message.phase).collect();
        assert!(phases.contains(&AlertPhase::Raised), "{code} is told");
        assert_eq!(phases.contains(&AlertPhase::Repeated), code.entry().repeats, "{code} is told again");
    }
    for message in &all {
        let Message { title, text, phase, .. } = message;
        let about = match (&message.gateway, &message.channel, phase) {
            (_, _, AlertPhase::Test) => "TEST: ".to_owned(),
            (Some(gateway), _, _) => format!("IBKR {gateway}: "),
            (None, Some(channel), _) => format!("{channel}: "),
            (None, None, _) => "tickled: ".to_owned(),
        };
        assert!(title.starts_with(&about), "{title}");
        assert!(title.chars().count() <= 80 && !title.contains('\n'), "a lock screen shows no more: {title}");
        assert!(text.contains("trading-host"), "{title}: {text}");
        let times = 1 + text.matches("must be live by ").count();
        assert_eq!(text.matches(" EST").count(), times, "one time, and the deadline: {text}");
        assert!(!text.contains("2026-"), "no date of this year: {text}");
        let asks = matches!(phase, AlertPhase::Raised | AlertPhase::Repeated);
        let first = text.lines().next().unwrap_or_default();
        let acts = asks && message.severity == Severity::Error;
        assert_eq!(first.starts_with("Nothing"), !acts, "an error asks a human to act, and nothing else does: {text}");
        assert!(!asks || !first.contains("AB:CD"), "no fingerprint before the instruction: {text}");
        let link = text.find("https://localhost:5000").unwrap_or(0);
        assert!(text.find("ssh -L").is_none_or(|tunnel| link < tunnel), "the link before the tunnel: {text}");
        for line in text.lines() {
            assert!(line.ends_with('.') || line.contains("https://localhost:5000"), "no sentence: {line}");
            let is_command = line.starts_with("tickled ");
            assert!(is_command || line.starts_with(char::is_uppercase), "no sentence: {line}");
        }
        let all = format!("{title}\n{text}\n{}\n{}", message.summary, message.action);
        for inner in
            ["{", "}", "\":", "None", "Some(", "null", "true", "false", "snapshot", "  ", "..", "::", "_", " – –"]
        {
            let shown = all.replace("ping_evry", "").replace("ping_every", "");
            assert!(!shown.contains(inner), "{inner} in {all}");
        }
    }
}

/// The request by which a service gets a message.
fn request(preset: Preset, message: &Message) -> String {
    let token = SecretString::from("TOKEN");
    let (to, token) = (preset.needs_receiver().then_some("RECEIVER"), preset.needs_token().then_some(&token));
    let call = preset.call(message, preset.url().unwrap_or("https://SERVICE"), token, to);
    let mut page = format!("[{} {}: {}]\nPOST {}\n", message.phase.name(), message.code, message.reason, call.url);
    for (name, value) in &call.headers {
        page.push_str(&format!("{name}: {value}\n"));
    }
    let body = match serde_json::from_str::<Value>(&call.body) {
        Ok(body) => serde_json::to_string_pretty(&body).unwrap(),
        Err(_) => call.body,
    };
    page + &format!("\n{body}\n\n")
}

#[test]
fn every_service_is_told_as_it_stands_here() {
    for preset in Preset::ALL.iter().copied() {
        let mut seen = BTreeSet::new();
        // The causes differ in their words alone, which stand in words.txt.
        let all = all().into_iter().filter(|told| seen.insert((told.code.clone(), told.phase.name())));
        let page: String = all.map(|message| request(preset, &message)).collect();
        hold_against(&format!("{}.txt", preset.name()), &page);
    }
}

/// The address by which a human reaches the login is a link in every service, from the first notification on, and none
/// once it is over.
#[test]
fn the_login_is_a_link_in_every_service() {
    let there = "https://ibkr.example.ts.net";
    let lost =
        |live| Snapshot { state: State::LoginRequired(Cause::Expired), login_url: Some(there.to_owned()), ..live };
    let told = Stage::messages(Stage::of(lost));
    let mut page = String::new();
    for preset in Preset::ALL.iter().copied() {
        page.push_str(&format!("== {}\n", preset.name()));
        for message in &told {
            let asks = !message.phase.is_end();
            assert_eq!(message.text.contains(there), asks, "{}", message.text);
            assert!(!message.text.contains("ssh"), "{}", message.text);
            page.push_str(&request(preset, message));
        }
    }
    hold_against("login-url.txt", &page);
}

#[test]
fn a_reason_from_elsewhere_becomes_a_title_that_fits() {
    let long = "x".repeat(200);
    for (why, end) in [
        ("it answered 404 Not Found, and said: no such topic", " (404)"),
        ("no answer within 10s", " (no answer within 10s)"),
        ("its certificate is not trusted: unknown issuer", " (its certificate is not trusted)"),
        ("550 5.1.1 no such user here, for whatever reason", " (550 5.1.1 no such user here)"),
        ("", " (no reason given)"),
    ] {
        let mut stage = Stage::new();
        stage.step(AlertInput::Undeliverable { channel: "phone", title: &long, why });
        let title = &Stage::messages(stage.told)[0].title;
        assert!(title.ends_with(end) && title.chars().count() <= 100, "{why:?}: {title}");
    }
    for (why, what) in [
        ("/etc/tickled/tickled.toml:8:1: session.nonsense: unknown key", "Line 8: unknown key session.nonsense."),
        ("t.toml:3:9: gateway.x.url: \"a:1:2: b\" is odd", "Line 3: gateway.x.url: \"a:1:2: b\" is odd."),
        ("cannot read /etc/tickled.toml: No such file", "Cannot read /etc/tickled.toml: No such file."),
        ("a:b:c: d", "A:b:c: d."),
    ] {
        let mut stage = Stage::new();
        stage.step(AlertInput::ConfigRejected { file: "/etc/tickled/tickled.toml", why });
        let told = &Stage::messages(stage.told)[0].summary;
        assert_eq!(*told, format!("Still running the old config. {what}"));
    }
}
