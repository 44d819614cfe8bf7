//! The metrics by Prometheus' own rules, and the words of the endpoint that need no daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use jiff::Timestamp;
use tickled::alert::ChannelStatus;
use tickled::control::{DaemonStatus, GatewayStatus, OpenAlert};
use tickled::endpoint::{Counts, Health, Hosts, View, livez, metrics, readyz};
use tickled::session::{Now, StateKind, StateReason};

/// A moment of a daemon with two gateways: one live, one that needs a login.
pub(crate) fn view() -> View {
    let wall: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
    View {
        now: Now { mono: Duration::from_secs(3600), wall },
        status: DaemonStatus {
            version: "0.1.0".to_owned(),
            host: "trader".to_owned(),
            pid: 7,
            at: wall,
            since: wall - Duration::from_secs(3600),
            config: "tickled.toml".to_owned(),
            last_event: "1795860083123-17".parse().unwrap(),
            config_refused: None,
            zone: Some("America/New_York".to_owned()),
            gateways: vec![gateway("main", StateKind::Live, wall), gateway("paper", StateKind::LoginRequired, wall)],
            alerts: vec![OpenAlert {
                code: "login-required".to_owned(),
                gateway: Some("paper".to_owned()),
                channel: None,
                since: wall - Duration::from_secs(60),
                notified: true,
                acknowledged: false,
                severity: tickled::alert::Severity::Error,
                held: None,
                summary: "a login is <required>".to_owned(),
                action: "log in at https://localhost:5001".to_owned(),
            }],
            channels: vec![ChannelStatus {
                name: "phone".to_owned(),
                kind: "webhook".to_owned(),
                waiting: 2,
                sent: 5,
                given_up: 1,
                last_failure: Some("503".to_owned()),
            }],
        },
        gateways: vec!["main".to_owned(), "paper".to_owned()],
        late: BTreeSet::new(),
        config_read: wall - Duration::from_secs(3600),
        counts: Counts::default(),
    }
}

pub(crate) fn gateway(name: &str, state: StateKind, wall: Timestamp) -> GatewayStatus {
    GatewayStatus {
        name: name.to_owned(),
        url: "https://localhost:5000".to_owned(),
        login_url: None,
        state,
        because: StateReason::SessionLapsed,
        why: "a reason of \"its\" own".to_owned(),
        since: wall - Duration::from_secs(90),
        session: 1_795_860_084_123,
        session_since: Some(wall - Duration::from_secs(90)),
        down_since: (state != StateKind::Live).then(|| wall - Duration::from_secs(120)),
        last_good: (state == StateKind::Live).then(|| wall - Duration::from_secs(7)),
        last_asked: None,
        next: "the next ping is due".to_owned(),
        next_at: Some(wall + Duration::from_secs(9)),
        login_ends_at: (state == StateKind::Live).then(|| wall + Duration::from_secs(7200)),
        maintenance: None,
        paused_until: None,
        paper: None,
        wrong_account: false,
        flapping: false,
    }
}

/// The families of a text in Prometheus' format: their types, and their series with values.
fn parsed(text: &str) -> BTreeMap<String, (String, BTreeMap<String, String>)> {
    let mut families = BTreeMap::new();
    let mut current = String::new();
    let mut helped = BTreeSet::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').unwrap();
            assert!(helped.insert(name.to_owned()), "{name} twice");
            assert!(words.ends_with('.') && words.len() > 10, "{line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(helped.contains(name), "{name} has no help before its type");
            current = name.to_owned();
            families.insert(current.clone(), (kind.to_owned(), BTreeMap::new()));
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
            assert!(value.parse::<f64>().is_ok(), "no number: {line}");
            let name = series.split('{').next().unwrap();
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{line}");
            let (kind, all) = families.get_mut(&current).unwrap();
            let ends: &[&str] = match kind.as_str() {
                "histogram" => &["_bucket", "_sum", "_count"],
                "summary" => &["_sum", "_count"],
                _ => &[""],
            };
            assert!(ends.iter().any(|end| name == format!("{current}{end}")), "{line} in the family {current}");
            assert!(all.insert(series.to_owned(), value.to_owned()).is_none(), "{series} twice");
        }
    }
    families
}

#[test]
fn names_types_and_units_are_by_the_conventions() {
    let families = parsed(&metrics(&view()));
    assert!(families.len() >= 20, "{} families", families.len());
    for (name, (kind, _)) in &families {
        assert!(name.starts_with("tickled_"), "{name}");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        for unit in ["_ms", "_milliseconds", "_minutes", "_s", "_ago"] {
            assert!(!name.ends_with(unit), "{name} is in no base unit");
        }
        let is_time = name.contains("duration") || name.contains("age") || name.contains("timestamp");
        assert!(!is_time || name.ends_with("_seconds") || name.contains("message"), "{name}");
    }
}

#[test]
fn the_page_the_rules_and_the_dashboard_speak_of_these_metrics_and_no_others() {
    let read = |file: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(file);
        std::fs::read_to_string(path).unwrap()
    };
    let (page, text) = (read("metrics.md"), metrics(&view()));
    let families = parsed(&text);
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| `tickled_"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), families.len());
    for row in rows {
        let [name, kind, labels, help] = row[..] else { panic!("{row:?}") };
        let name = name.trim_matches('`');
        let (is, series) = &families[name];
        assert_eq!(kind, is, "{name}");
        assert!(text.contains(&format!("# HELP {name} {help}\n")), "{name}: {help}");
        for series in series.keys().filter_map(|series| series.split_once('{')) {
            let told: Vec<&str> = series.1.split("\",").filter_map(|label| label.split('=').next()).collect();
            assert_eq!(labels, told.join(", "), "{name}");
        }
    }
    let mut spoken_of = 0;
    for file in ["tickled.rules.yml", "grafana.json"] {
        let text = read(file);
        for word in
            text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| word.starts_with("tickled_"))
        {
            let ends = ["", "_bucket", "_sum", "_count"];
            let is_known =
                ends.iter().any(|end| word.strip_suffix(end).is_some_and(|name| families.contains_key(name)));
            assert!(is_known, "{word} in {file}");
            spoken_of += 1;
        }
    }
    assert!(spoken_of >= 20, "{spoken_of} metrics in rules and dashboard");
    let dashboard: serde_json::Value = serde_json::from_str(&read("grafana.json")).unwrap();
    assert!(dashboard["panels"].as_array().is_some_and(|panels| panels.len() >= 8));
}

#[test]
fn the_state_is_one_of_all() {
    let families = parsed(&metrics(&view()));
    let (kind, states) = &families["tickled_session_state"];
    assert_eq!((kind.as_str(), states.len()), ("gauge", 14));
    assert_eq!(states.values().filter(|value| *value == "1").count(), 2);
    assert_eq!(states["tickled_session_state{gateway=\"main\",state=\"live\"}"], "1");
    assert_eq!(states["tickled_session_state{gateway=\"paper\",state=\"login-required\"}"], "1");
    let value = |family: &str, series: &str| families[family].1[&format!("{family}{series}")].as_str();
    assert_eq!(value("tickled_last_proof_age_seconds", "{gateway=\"main\"}"), "7");
    assert_eq!(value("tickled_session_down_seconds", "{gateway=\"paper\"}"), "120");
    assert_eq!(value("tickled_login_end_timestamp_seconds", "{gateway=\"main\"}"), "1795615200");
    assert_eq!(value("tickled_alert_messages_failed_total", "{channel=\"phone\"}"), "1");
    assert_eq!(value("tickled_config_last_reload_successful", ""), "1");
    assert_eq!(value("tickled_driver_on_time", "{gateway=\"main\"}"), "1");
}

#[test]
fn what_a_late_driver_said_is_not_believed() {
    let late = View { late: BTreeSet::from(["main".to_owned()]), ..view() };
    assert!(matches!(livez(&view()), Health::Good(_)));
    assert!(matches!(livez(&late), Health::Bad(why) if why.contains("main")));
    assert!(matches!(readyz(&view(), Some("main"), false), Health::Good(_)));
    assert!(matches!(readyz(&late, Some("main"), false), Health::Bad(why) if why.contains("deadline")));
    let families = parsed(&metrics(&late));
    assert_eq!(families["tickled_session_state"].1["tickled_session_state{gateway=\"main\",state=\"live\"}"], "0");
    assert_eq!(families["tickled_driver_on_time"].1["tickled_driver_on_time{gateway=\"main\"}"], "0");
}

#[test]
fn a_gateway_that_has_not_reported_is_not_ready() {
    let mut view = view();
    view.gateways.push("young".to_owned());
    view.status.gateways.retain(|gateway| gateway.name == "main");
    assert!(matches!(readyz(&view, None, false), Health::Bad(why) if why.contains("young: nothing is known")));
    assert!(matches!(readyz(&view, Some("main"), true), Health::Good(text) if text == "[+] main: live\n"));
    assert!(matches!(readyz(&view, Some("other"), true), Health::Unknown(_)));
}

#[test]
fn labels_say_what_they_are_given_and_nothing_else() {
    let mut view = view();
    view.status.channels[0].name = "a\"b\\c\nd".to_owned();
    let text = metrics(&view);
    assert!(text.contains(r#"tickled_alert_messages_waiting{channel="a\"b\\c\nd"} 2"#), "{text}");
    parsed(&text);
}

#[test]
fn hosts_are_those_of_the_address_and_those_that_are_named() {
    let loopback = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let outside = Some("192.168.7.7".parse().unwrap());
    let hosts = Hosts(vec!["trader.lan".to_owned(), "fd00::1".to_owned()]);
    for (host, ours, admitted) in [
        (None, outside, true),
        (Some("127.0.0.1:9780"), loopback, true),
        (Some("127.0.0.2"), loopback, true),
        (Some("[::ffff:127.0.0.1]:80"), loopback, true),
        (Some("127.0.0.1"), outside, false),
        (Some("192.168.7.7:9780"), outside, true),
        (Some("192.168.7.7"), loopback, false),
        (Some("trader.lan."), outside, false),
        (Some("TRADER.lan:1"), outside, true),
        (Some("[fd00::1]:9780"), outside, true),
        (Some("trader.lan.evil.example"), outside, false),
        (Some("evil.example"), loopback, false),
        (Some(""), loopback, false),
    ] {
        assert_eq!(hosts.admit(host, ours), admitted, "{host:?} at {ours:?}");
    }
}
