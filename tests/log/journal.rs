//! The journal: its fields, its protocol, a socket that stalls or is gone, and the catalogue that explains its lines.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tickled::alert::Code;
use tickled::log::event::{self, EVENTS};
use tickled::log::journal::{JournalSocket, message_ids, name};
use tickled::log::{Format, Level, OutputFormat, Settings, Sink, subscriber};
use tickled::session::StateKind;
use tracing::subscriber::with_default;

use support::SOON;

use super::{said, said_with, stopped_clock};

#[test]
fn the_look_follows_the_place_and_is_one() {
    let journal = Sink::Journal { has_socket: true };
    let bare_journal = Sink::Journal { has_socket: false };
    let (colours, terminal) = (Sink::Terminal { is_coloured: true }, Sink::Terminal { is_coloured: false });
    for (format, place, output) in [
        (Format::Auto, Sink::Elsewhere, OutputFormat::Plain),
        (Format::Auto, terminal, OutputFormat::Plain),
        (Format::Auto, colours, OutputFormat::Colour),
        (Format::Auto, journal, OutputFormat::Native),
        (Format::Auto, bare_journal, OutputFormat::Journal),
        (Format::Text, journal, OutputFormat::Journal),
        (Format::Text, colours, OutputFormat::Colour),
        (Format::Text, Sink::Elsewhere, OutputFormat::Plain),
        (Format::Json, journal, OutputFormat::Json),
        (Format::Json, colours, OutputFormat::Json),
    ] {
        assert_eq!(OutputFormat::choose(format, place), output, "{format:?} {place:?}");
    }
}

#[test]
fn an_alert_in_the_journals_own_fields() {
    let alert = |phase: &str| {
        tracing::error!(
            target: "tickled::alert", event = event::ALERT, gateway = "main", code = "login-required", phase, reason = "expired",
            action = "log in", "main: manual login required"
        );
    };
    assert_eq!(
        said(OutputFormat::Native, || alert("raised")),
        "PRIORITY=3\nSYSLOG_IDENTIFIER=tickled\nMESSAGE_ID=aef53c820492470bafc53f3d4e6f9c71\nTICKLED_EVENT=alert\n\
         MESSAGE=main: manual login required; to do: log in\nTICKLED_GATEWAY=main\nTICKLED_CODE=login-required\n\
         TICKLED_PHASE=raised\nTICKLED_REASON=expired\nTICKLED_ACTION=log in\n"
    );
    let over = said(OutputFormat::Native, || alert("resolved"));
    assert!(over.contains("MESSAGE_ID=cf9ef444e4574665bb1e5b15222dd601\n"), "{over}");
    let withdrawn = said(OutputFormat::Native, || alert("withdrawn"));
    assert!(withdrawn.contains("MESSAGE_ID=38e77e37451f4e36986bd781119f7c0c\n"), "{withdrawn}");
}

#[test]
fn a_transition_in_the_journals_own_fields() {
    let transition = || {
        tracing::info!(target: "tickled", event = event::STATE_CHANGED, gateway = "main", from = "live", to = "contested", "m");
    };
    assert_eq!(
        said(OutputFormat::Native, transition),
        "PRIORITY=6\nSYSLOG_IDENTIFIER=tickled\nMESSAGE_ID=9dc2e4362df543f5a25d0c316696e9c9\nTICKLED_EVENT=state-changed\n\
         MESSAGE=m\nTICKLED_GATEWAY=main\nTICKLED_FROM=live\nTICKLED_STATE=contested\n"
    );
}

#[test]
fn every_level_has_the_priority_that_syslog_gives_it() {
    let settings = Settings { level: Level::Trace, ..Settings::default() };
    let text = said_with(&settings, OutputFormat::Native, || {
        tracing::error!(target: "tickled", "a");
        tracing::warn!(target: "tickled", "b");
        tracing::info!(target: "tickled", "c");
        tracing::debug!(target: "tickled", "d");
        tracing::trace!(target: "tickled", "e");
    });
    let priorities: String = text.lines().filter_map(|line| line.strip_prefix("PRIORITY=")).collect();
    assert_eq!(priorities, "34677");
}

#[test]
fn no_value_can_forge_a_field() {
    let hostile = "a\nPRIORITY=0\r\0\u{2028}\u{1b}[31mé";
    let text = said(
        OutputFormat::Native,
        || tracing::warn!(target: "tickled", event = "alert", sample = hostile, "{hostile}"),
    );
    assert_eq!(
        text,
        "PRIORITY=4\nSYSLOG_IDENTIFIER=tickled\nTICKLED_EVENT=alert\n\
         MESSAGE=a\\nPRIORITY=0\\r\\u{0000}\\u{2028}\\u{001b}[31mé\n\
         TICKLED_SAMPLE=a\\nPRIORITY=0\\r\\u{0000}\\u{2028}\\u{001b}[31mé\n"
    );
}

#[test]
fn each_line_is_one_datagram_also_after_the_journal_was_started_anew() {
    let journal = Journal::at("anew");
    let (log, guard) = subscriber(&Settings::default(), OutputFormat::Native, stopped_clock, journal.socket()).unwrap();
    with_default(log, || {
        let say = |number: u64| {
            tracing::info!(target: "tickled", number, "line");
            assert!(guard.flush(Duration::from_secs(10)));
        };
        say(1);
        say(2);
        assert_eq!(journal.heard().len(), 2);
        let path = journal.leave();
        say(3);
        let journal = Journal::bind(path);
        say(4);
        let heard = journal.heard();
        assert_eq!(heard.len(), 2, "{heard:?}");
        assert!(
            heard[0].contains("MESSAGE=1 log lines were lost") && heard[0].contains("TICKLED_COUNT=1\n"),
            "{heard:?}"
        );
        assert!(heard[1].contains("TICKLED_NUMBER=4\n"), "{heard:?}");
    });
}

#[test]
fn a_journal_that_stalls_holds_nobody_up() {
    let journal = Journal::at("stalls");
    let (log, guard) = subscriber(&Settings::default(), OutputFormat::Native, stopped_clock, journal.socket()).unwrap();
    let began = Instant::now();
    with_default(log, || {
        for number in 0..5_000 {
            tracing::info!(target: "tickled", number, "line");
        }
    });
    assert!(!guard.flush(Duration::from_millis(50)), "nobody reads, so it cannot be written");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    drop(guard);
    assert!(began.elapsed() < Duration::from_secs(20), "the last words have half a second: {:?}", began.elapsed());
}

#[test]
fn a_datagram_that_is_too_long_loses_its_end_and_not_its_meaning() {
    let journal = Journal::at("long");
    let mut socket = journal.socket();
    let long = "ä".repeat(1_000_000);
    let head = "PRIORITY=3\nSYSLOG_IDENTIFIER=tickled\nTICKLED_EVENT=alert\n";
    for datagram in
        [format!("{head}MESSAGE=m\nTICKLED_ACTION={long}\nTICKLED_X=y\n"), format!("{head}MESSAGE={long}\n")]
    {
        assert_eq!(socket.write(datagram.as_bytes()).unwrap(), datagram.len());
    }
    let heard = journal.heard();
    assert_eq!(heard[0], format!("{head}MESSAGE=m\n"));
    assert!(heard[1].starts_with(&format!("{head}MESSAGE=ää")) && heard[1].ends_with("ä\n"), "whole characters");
    assert!((4000..=4096).contains(&heard[1].len()), "{}", heard[1].len());
}

#[test]
fn where_no_journal_listens_there_is_no_socket() {
    assert!(JournalSocket::at(Path::new("/nowhere/socket")).is_err());
    let journal = Journal::at("gone");
    let path = journal.leave();
    let dead = UnixDatagram::bind(&path).unwrap();
    drop(dead);
    // A process that another test starts at this moment has the socket until it runs its program.
    let end = Instant::now() + SOON;
    while JournalSocket::at(&path).is_ok() {
        assert!(Instant::now() < end, "a socket that nobody reads");
        std::thread::sleep(Duration::from_millis(10));
    }
    fs::remove_file(path).unwrap();
}

#[test]
fn the_names_of_fields_are_the_journals() {
    assert_eq!(name("gateway"), "TICKLED_GATEWAY");
    assert_eq!(name("took_ms"), "TICKLED_TOOK_MS");
    assert_eq!(name("to"), "TICKLED_STATE", "the state is found by its name, whatever came before");
    let fields = EVENTS.iter().flat_map(|event| event.fields.iter().chain(event.also));
    for name in fields.map(|field| name(field)) {
        assert!(name.len() <= 64 && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'), "{name}");
    }
}

#[test]
fn every_code_and_every_state_has_a_message_id_of_its_own() {
    let of = |event: &str, field: &str| -> BTreeSet<&str> {
        message_ids().filter(|id| id.event == event && id.field == field).map(|id| id.value).collect()
    };
    let codes: BTreeSet<&str> = Code::ALL.iter().map(|code| code.name()).collect();
    assert_eq!(of(event::ALERT, "code"), codes, "make one with `uuidgen` or `systemd-id128 new`");
    assert_eq!(of(event::ALERT, "phase"), BTreeSet::from(["resolved", "withdrawn"]));
    let states: BTreeSet<&str> = StateKind::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(of(event::STATE_CHANGED, "to"), states);
    let ids: BTreeSet<&str> = message_ids().map(|id| id.id).collect();
    assert_eq!(ids.len(), message_ids().count(), "an id is given once");
    assert!(ids.iter().all(|id| id.len() == 32 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))));
}

#[test]
fn the_catalogue_explains_each_of_them_and_nothing_else() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/tickled.catalog")).unwrap();
    let entries: Vec<(&str, &str)> = text.split("\n-- ").skip(1).map(|entry| entry.split_once('\n').unwrap()).collect();
    let explained: BTreeSet<&str> = entries.iter().map(|(id, _)| *id).collect();
    let known: BTreeSet<&str> = message_ids().map(|id| id.id).collect();
    assert_eq!(explained, known);
    assert_eq!(entries.len(), known.len());
    for (id, entry) in entries {
        let known = message_ids().find(|known| known.id == id).unwrap();
        let event = EVENTS.iter().find(|event| event.name == known.event).unwrap();
        let fields: Vec<String> = event.fields.iter().chain(event.also).map(|field| name(field)).collect();
        assert!(entry.starts_with("Subject: ") && entry.contains("\nDefined-By: tickled\n"), "{}", known.value);
        let (head, body) = entry.split_once("\n\n").unwrap();
        assert!(head.len() < 200 && body.len() > 60, "{}: a sentence at least", known.value);
        for variable in entry.split('@').skip(1).step_by(2) {
            let is_known = variable == "_SYSTEMD_UNIT" || fields.iter().any(|field| field == variable);
            assert!(is_known, "{}: @{variable}@ is no field of {}", known.value, known.event);
        }
        let title = Code::named(known.value).map(|code| code.entry().title).filter(|_| known.event == event::ALERT);
        assert!(
            title.is_none_or(|title| head.contains(title)),
            "{}: the catalogue of alerts has another title",
            known.value
        );
    }
}

/// The journal's end, on which nothing listens unless asked to.
struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Journal {
    fn at(what: &str) -> Self {
        Self::bind(std::env::temp_dir().join(format!("tickled-journal-{what}-{}", std::process::id())))
    }

    fn bind(path: PathBuf) -> Self {
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, path }
    }

    fn socket(&self) -> JournalSocket {
        JournalSocket::at(&self.path).unwrap()
    }

    fn heard(&self) -> Vec<String> {
        let mut buffer = vec![0; 1 << 20];
        let mut heard = Vec::new();
        while let Ok(len) = self.socket.recv(&mut buffer) {
            heard.push(String::from_utf8(buffer[..len].to_vec()).unwrap());
        }
        heard
    }

    /// Ends, and leaves the path for the next one.
    fn leave(self) -> PathBuf {
        self.path.clone()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        fs::remove_file(&self.path).ok();
    }
}
