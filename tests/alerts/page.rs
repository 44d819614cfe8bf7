//! `docs/alerts.md` says what the code does: every code with its facts, every field, every example.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;
use tickled::alert::settings::{ChannelKind, Exempt, Payload, Preset};
use tickled::alert::{About, AlertPhase, Code, Entry, Notice, Severity};
use tickled::config;
use tickled::log::human_duration;

use crate::words;

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/alerts.md")).unwrap()
}

/// The severities that the code's alerts have, from what is really sent.
fn severity(code: Code) -> String {
    let all = words::all();
    let raised = all.iter().filter(|message| message.code == code.name() && !message.phase.is_end());
    let severities: BTreeSet<Severity> = raised.map(|message| message.severity).collect();
    assert!(severities.contains(&code.entry().severity), "{code}");
    match severities.iter().collect::<Vec<_>>()[..] {
        [one] => one.name().to_owned(),
        [less, Severity::Error] => format!("{}, and error when you must act", less.name()),
        _ => panic!("{code}: {severities:?}"),
    }
}

/// A code's line of facts.
fn facts(code: Code, entry: &Entry) -> String {
    let sent = if entry.hold_off.is_zero() {
        "sent at once".to_owned()
    } else {
        format!("sent after {}", human_duration(entry.hold_off))
    };
    let repeated = if entry.repeats { "repeated" } else { "not repeated" };
    let mut facts = vec![severity(code), sent, repeated.to_owned()];
    if entry.waits_for_window {
        facts.push("waits for the end of a maintenance window".to_owned());
    }
    let causes: Vec<String> = entry.depends_on.iter().map(|cause| format!("`{cause}`")).collect();
    if let Some((last, others)) = causes.split_last() {
        let causes = if others.is_empty() { last.clone() } else { format!("{} or {last}", others.join(", ")) };
        facts.push(format!("silent while {causes} is open"));
    }
    if entry.may_flap {
        facts.push("part of `session-flapping` for 30m".to_owned());
    }
    facts.join(" · ")
}

#[test]
fn each_code_has_its_paragraph_with_its_facts_and_what_to_do() {
    let page = page();
    let sections: BTreeMap<&str, &str> =
        page.split("\n## ").skip(1).map(|section| section.split_once('\n').unwrap()).collect();
    for code in Code::ALL.iter().copied() {
        let entry = code.entry();
        let section = sections.get(code.name()).unwrap_or_else(|| panic!("there is no ## {code}"));
        let facts = facts(code, &entry);
        assert!(section.starts_with(&format!("\n{facts}\n")), "{code}: {facts}");
        assert!(section.contains("\nWhat to do: "), "{code}");
    }
    let anchors = sections.keys().filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-')).count();
    assert_eq!(anchors, Code::ALL.len(), "no paragraph is about a code that is none");
    for (part, _) in page.match_indices("](#") {
        let anchor = page[part + 3..].split(')').next().unwrap();
        let is_there = page.lines().any(|line| {
            let name = line.trim_start_matches('#').trim().to_lowercase();
            line.starts_with('#') && name.replace(' ', "-").replace('\'', "") == anchor
        });
        assert!(is_there, "#{anchor} leads nowhere");
    }
}

#[test]
fn the_fields_of_an_alert_are_those_of_the_page() {
    let page = page();
    let notice =
        Notice { about: About::Daemon, phase: AlertPhase::Raised, ..Notice::test(jiff::Timestamp::UNIX_EPOCH) };
    let message = serde_json::json!(notice.message(&jiff::tz::TimeZone::UTC, &"host".into()));
    let Value::Object(fields) = message else { panic!("no object") };
    let table = page.split("## The fields of an alert").nth(1).unwrap().split("\n## ").next().unwrap();
    let named: Vec<&str> = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let mut sorted = named.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, fields.keys().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn the_environment_wins_here_as_well_but_for_the_channels() {
    let environment = [
        ("TICKLED_ALERTS__REPEAT_EVERY", "2h"),
        ("TICKLED_ALERTS__HOURS__FROM", "07:30"),
        ("TICKLED_ALERTS__HOURS__TO", "17:00"),
        ("TICKLED_ALERTS__HOURS__ALWAYS", "error, ready"),
        ("TICKLED_DEADMAN__URL_FILE", "deadman-url"),
        // What the program of a channel finds, which may run tickled in its turn.
        ("TICKLED_ALERT_TITLE", "main: manual login required"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let text = "[gateway.main]\nurl = \"https://localhost:5000\"\n[alerts]\nrepeat_every = \"3h\"\n";
    let alerts =
        config::parse(text, Path::new("file"), &environment).unwrap_or_else(|faults| panic!("{faults}")).alerts;
    assert_eq!(alerts.repeat_every.as_secs(), 2 * 60 * 60);
    assert_eq!(alerts.hours.map(|hours| hours.days.len()), Some(7));
    assert_eq!(alerts.always, [Exempt::Severity(Severity::Error), Exempt::Code(Code::Ready)]);
    assert_eq!(alerts.deadman.map(|deadman| deadman.url_file), Some("deadman-url".into()));
}

#[test]
fn each_example_is_a_configuration_and_every_service_has_one() {
    let page = page();
    let examples: Vec<&str> = page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let all = format!("[gateway.main]\nurl = \"https://localhost:5000\"\n{}", examples.concat());
    let config = config::parse(&all, Path::new("page"), &BTreeMap::new()).unwrap_or_else(|faults| panic!("{faults}"));
    assert!(config.alerts.deadman.is_some());
    let kinds: Vec<&str> = config.alerts.channels.iter().map(|channel| channel.kind.name()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "email").count(), 1);
    assert_eq!(kinds.iter().filter(|kind| **kind == "command").count(), 1);
    let presets: Vec<Preset> = config
        .alerts
        .channels
        .iter()
        .filter_map(|channel| match &channel.kind {
            ChannelKind::Webhook(webhook) if webhook.emergency => None,
            ChannelKind::Webhook(webhook) => match webhook.payload {
                Payload::Preset(preset) => Some(preset),
                Payload::Body(_) => None,
            },
            ChannelKind::Email(_) | ChannelKind::Command(_) => None,
        })
        .collect();
    let documented = Preset::ALL.iter().copied().filter(|preset| *preset != Preset::Json);
    assert_eq!(presets, documented.collect::<Vec<_>>());
    assert!(page.contains("preset = \"json\""));
}
