//! The log: how a line looks, that it stays one line, and that no reader, however bad, holds the daemon up.
#![expect(clippy::disallowed_methods, reason = "these tests measure how long real calls take")]
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod journal;
mod redact;

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};
use std::{env, thread};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use tickled::log::event::{self, EVENTS, FIELDS};
use tickled::log::tables;
use tickled::log::{EventKind, Level, OutputFormat, Settings, human_duration, init, subscriber};
use tracing::subscriber::with_default;

#[test]
fn a_transition_in_every_look() {
    let transition = || {
        tracing::info!(
            target: "tickled::daemon", event = event::STATE_CHANGED, gateway = "main", from = "live", to = "recovering",
            because = "the gateway says it is not authenticated", held = %human_duration(Duration::from_secs(250)),
            "main: live -> recovering"
        );
    };
    let fields = "event=state-changed gateway=main from=live to=recovering \
                  because=\"the gateway says it is not authenticated\" held=\"4m 10s\"";
    let time = "2026-11-24T05:15:37Z";
    assert_eq!(said(OutputFormat::Plain, transition), format!("{time} INFO  main: live -> recovering  {fields}\n"));
    assert_eq!(said(OutputFormat::Journal, transition), format!("<6>INFO  main: live -> recovering  {fields}\n"));
    assert_eq!(
        said(OutputFormat::Json, transition),
        "{\"time\":\"2026-11-24T05:15:37.042Z\",\"level\":\"info\",\"event\":\"state-changed\",\
         \"message\":\"main: live -> recovering\",\"gateway\":\"main\",\"from\":\"live\",\"to\":\"recovering\",\
         \"because\":\"the gateway says it is not authenticated\",\"held\":\"4m 10s\"}\n"
    );
    let coloured = said(OutputFormat::Colour, transition);
    assert!(
        coloured.contains("\x1b[32mINFO \x1b[0m") && coloured.contains("\x1b[2mgateway=\x1b[0mmain"),
        "{coloured:?}"
    );
}

#[test]
fn every_level_has_its_word_and_its_priority() {
    let all = || {
        tracing::error!(target: "tickled", "a");
        tracing::warn!(target: "tickled", "b");
        tracing::info!(target: "tickled", "c");
        tracing::debug!(target: "tickled", "d");
        tracing::trace!(target: "tickled", "e");
    };
    let settings = Settings { level: Level::Trace, ..Settings::default() };
    assert_eq!(
        said_with(&settings, OutputFormat::Journal, all),
        "<3>ERROR a\n<4>WARN  b\n<6>INFO  c\n<7>DEBUG d\n<7>TRACE e\n"
    );
    let plain = said_with(&settings, OutputFormat::Plain, all);
    assert!(plain.starts_with("2026-11-24T05:15:37.042Z ERROR a\n"), "milliseconds for who looks closely: {plain}");
}

#[test]
fn the_level_governs_our_lines_and_libraries_speak_from_warn() {
    let both = || {
        tracing::debug!(target: "tickled", "ours below");
        tracing::info!(target: "tickled", "ours");
        tracing::info!(target: "hyper", "theirs below");
        tracing::info!(target: "tickledown", "not ours either");
        tracing::warn!(target: "hyper", peer = "192.0.2.7", "theirs");
    };
    let lines = said(OutputFormat::Journal, both);
    let theirs = "<4>WARN  theirs peer=[redacted]  event=library-warning target=hyper\n";
    assert_eq!(lines, format!("<6>INFO  ours\n{theirs}"));
    let quiet = Settings { level: Level::Error, ..Settings::default() };
    assert_eq!(said_with(&quiet, OutputFormat::Journal, both), "");
}

#[test]
fn a_line_is_one_line_whatever_it_carries() {
    let hostile = "a\nb\r\x1b[31m\u{85}\u{2028}\u{202e}\"\\\0\t";
    let say = || tracing::info!(target: "tickled", event = "alert", sample = hostile, missing = "", "{hostile}");
    assert_eq!(
        said(OutputFormat::Journal, say),
        concat!(
            r#"<6>INFO  a\nb\r\u{001b}[31m\u{0085}\u{2028}\u{202e}"\\u{0000}\t  event=alert "#,
            r#"sample="a\nb\r\u{001b}[31m\u{0085}\u{2028}\u{202e}\"\\\u{0000}\t" missing="""#,
            "\n"
        )
    );
    let json = said(OutputFormat::Json, say);
    assert!(json.is_ascii() && json.bytes().filter(u8::is_ascii_control).count() == 1, "{json:?}");
    let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(parsed["sample"], hostile);
    assert_eq!(parsed["message"], hostile);
}

#[test]
fn json_keeps_types_and_every_key_once() {
    let error: &dyn std::error::Error = &io::Error::other("refused");
    let say = || {
        tracing::info!(
            target: "tickled", event = event::REQUEST, took_ms = 12_u64, by = -3_i64, share = 0.5, none = f64::NAN, live = true,
            level = "mine", time = "mine", r#type = "raw", error, state = ?Level::Info, "m"
        );
    };
    assert_eq!(
        said(OutputFormat::Json, say),
        concat!(
            r#"{"time":"2026-11-24T05:15:37.042Z","level":"info","event":"request","message":"m","took_ms":12,"by":-3,"#,
            r#""share":0.5,"none":"NaN","live":true,"type":"raw","error":"refused","state":"Info"}"#,
            "\n"
        )
    );
}

#[test]
fn a_long_value_is_cut() {
    let long = "ä".repeat(100_000);
    let line = said(OutputFormat::Plain, || tracing::info!(target: "tickled", long, "m"));
    assert!(line.len() < 5000 && line.ends_with("ä…\n"), "{} bytes", line.len());
}

#[test]
fn a_reader_that_stalls_holds_nobody_up_and_is_told_what_it_missed() {
    const LINES: u64 = 100_000;
    let (reader, writer) = pipe().unwrap();
    let settings = Settings::default();
    let (log, guard) = subscriber(&settings, OutputFormat::Json, stopped_clock, writer).unwrap();
    let (told_done, done) = sync_channel(1);
    let caller = thread::spawn(move || {
        with_default(log, || {
            for number in 0..LINES {
                tracing::info!(target: "tickled", event = "heartbeat", number, "line");
            }
            told_done.send(()).unwrap();
        });
    });
    done.recv_timeout(Duration::from_secs(20)).expect("the caller never waits");
    caller.join().unwrap();
    assert!(!guard.flush(Duration::from_millis(50)), "nobody reads, so it cannot be written");
    let counted = thread::spawn(move || account_for(reader));
    assert!(guard.flush(Duration::from_secs(10)), "written once somebody reads");
    drop(guard);
    let (read, told, notices) = counted.join().unwrap();
    assert!(read > 1000 && told > 0, "{read} read, {told} told");
    assert_eq!(read + told, LINES);
    assert!(notices > 0);
}

/// Reads to the end: how many lines came, how many were reported as lost, in how many notices; numbers never go back.
fn account_for(reader: PipeReader) -> (u64, u64, u64) {
    let (mut read, mut told, mut notices) = (0, 0, 0);
    for line in BufReader::new(reader).lines() {
        let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        if line["event"] == event::LOG_LINES_DROPPED {
            told += line["count"].as_u64().unwrap();
            notices += 1;
        } else {
            assert_eq!(line["number"], read + told, "a notice stands where the lines are missing");
            read += 1;
        }
    }
    (read, told, notices)
}

#[test]
fn dropping_the_guard_waits_a_bounded_time() {
    let (reader, writer) = pipe().unwrap();
    fill(&writer);
    let (log, guard) = subscriber(&Settings::default(), OutputFormat::Plain, stopped_clock, writer).unwrap();
    let began = with_default(log, || {
        tracing::info!(target: "tickled", "stuck");
        let began = Instant::now();
        drop(guard);
        began
    });
    let waited = began.elapsed();
    assert!((Duration::from_millis(450)..Duration::from_secs(20)).contains(&waited), "{waited:?}");
    drop(reader);
}

#[test]
fn a_disk_that_was_full_gets_the_count_and_then_the_lines() {
    let disk = Disk::default();
    let (log, guard) = subscriber(&Settings::default(), OutputFormat::Journal, stopped_clock, disk.clone()).unwrap();
    with_default(log, || {
        let say = |number: u64| {
            tracing::info!(target: "tickled", number, "line");
            assert!(guard.flush(Duration::from_secs(10)));
        };
        say(1);
        disk.is_full.store(true, Ordering::SeqCst);
        (2..=4).for_each(say);
        disk.is_full.store(false, Ordering::SeqCst);
        say(5);
    });
    let written = String::from_utf8(disk.bytes.lock().unwrap().clone()).unwrap();
    assert_eq!(
        written,
        "<6>INFO  line  number=1\n<6>\n<4>WARN  3 log lines were lost: their reader was too slow, full or gone  \
         event=log-lines-dropped count=3\n<6>INFO  line  number=5\n",
        "what the full disk took of the second line stands alone"
    );
}

/// Takes three more bytes once it is full, and then no more.
#[derive(Clone, Default)]
struct Disk {
    bytes: Arc<Mutex<Vec<u8>>>,
    is_full: Arc<AtomicBool>,
    has_failed: Arc<AtomicBool>,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let is_full = self.is_full.load(Ordering::SeqCst);
        if is_full && self.has_failed.swap(true, Ordering::SeqCst) {
            return Err(ErrorKind::StorageFull.into());
        }
        let room = if is_full { 3 } else { bytes.len() };
        self.bytes.lock().unwrap().extend(&bytes[..room]);
        Ok(room)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_process_outlives_its_standard_error() {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    assert_eq!(run_child(Stdio::from(writer), &[]), Some(0), "closed pipe");
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    assert_eq!(run_child(Stdio::from(full), &[]), Some(0), "full disk");
    let (reader, writer) = pipe().unwrap();
    fill(&writer);
    assert_eq!(run_child(Stdio::from(writer), &[]), Some(0), "stalled reader");
    drop(reader);
}

#[test]
fn the_journal_is_recognised_by_its_own_stream_only() {
    let (reader, writer) = pipe().unwrap();
    let stream = File::from(OwnedFd::from(writer.try_clone().unwrap())).metadata().unwrap();
    let here = format!("{}:{}", stream.dev(), stream.ino());
    assert_eq!(run_child(Stdio::from(writer), &[("JOURNAL_STREAM", &here)]), Some(0));
    let lines = io::read_to_string(reader).unwrap();
    assert!(lines.starts_with("<6>INFO  line  number=0\n"), "{lines}");

    let (reader, writer) = pipe().unwrap();
    assert_eq!(run_child(Stdio::from(writer), &[("JOURNAL_STREAM", "1:1"), ("RUST_LOG", "trace")]), Some(0));
    let lines = io::read_to_string(reader).unwrap();
    assert!(lines.starts_with("20") && lines.contains("Z INFO  line  number=0\n"), "{lines}");
    assert!(!lines.contains("unasked"), "no variable changes the level: {lines}");
}

/// This very program again, running [`child`], with the given standard error; its exit code.
fn run_child(stderr: Stdio, variables: &[(&str, &str)]) -> Option<i32> {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture", "--test-threads=1"]).env("LOG_TEST_CHILD", "1");
    command.env_remove("JOURNAL_STREAM").envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
    command.status().unwrap().code()
}

/// What [`run_child`] runs; on its own it does nothing.
#[test]
fn child() {
    if env::var_os("LOG_TEST_CHILD").is_none() {
        return;
    }
    let guard = init(&Settings::default()).unwrap();
    for number in 0..5000 {
        tracing::info!(target: "tickled", number, "line");
        tracing::debug!(target: "tickled", "unasked");
    }
    assert!(init(&Settings::default()).is_err(), "a process has one log");
    drop(guard);
}

#[test]
fn durations_as_a_person_says_them() {
    for (millis, text) in [
        (0, "0s"),
        (340, "340ms"),
        (1000, "1s"),
        (3_250, "3.2s"),
        (9_999, "9.9s"),
        (12_900, "12s"),
        (60_000, "1m"),
        (250_000, "4m 10s"),
        (3_600_000, "1h"),
        (3_659_999, "1h"),
        (10_920_000, "3h 2m"),
        (86_400_000, "1d"),
        (190_800_000, "2d 5h"),
        (8_640_000_000, "100d"),
    ] {
        assert_eq!(human_duration(Duration::from_millis(millis)), text);
    }
    assert_eq!(human_duration(Duration::MAX), "213503982334601d 7h");
}

#[test]
fn the_documented_events_are_the_events() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/events.md");
    let page = fs::read_to_string(path).unwrap();
    let heading = "## Events and fields\n\n";
    let (before, tables) = page.split_once(heading).unwrap();
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, format!("{before}{heading}{}", tables::events())).unwrap();
    } else {
        assert_eq!(tables, tables::events(), "run the test with UPDATE_DOCS=1 to write the page anew");
    }
    let names: BTreeSet<_> = EVENTS.iter().map(|event| event.name).collect();
    assert_eq!(names.len(), EVENTS.len(), "a name is given once");
    let used: BTreeSet<_> = EVENTS.iter().flat_map(|event| event.fields.iter().chain(event.also)).collect();
    let explained: BTreeSet<_> = FIELDS.iter().map(|(field, _)| field).collect();
    assert_eq!(used, explained);
    assert!(FIELDS.is_sorted(), "in the order of the alphabet");
    assert!(
        explained.iter().all(|field| !["time", "level", "event", "message"].contains(field)),
        "keys of the line itself"
    );
}

#[test]
fn a_line_can_be_held_against_the_table() {
    let alert = EventKind::named("alert").unwrap();
    assert_eq!(alert.fault(Level::Error, &["gateway", "code", "phase", "reason"]), None);
    assert!(alert.fault(Level::Error, &["gateway", "code"]).unwrap().contains("lacks the field phase"));
    assert!(alert.fault(Level::Error, &["gateway", "code", "phase", "mood"]).unwrap().contains("mood"));
    assert!(alert.fault(Level::Debug, &["gateway", "code", "phase"]).unwrap().contains("level debug"));
    assert!(EventKind::named("unheard-of").is_none());
}

/// What the log writes with the default settings while `say` runs.
fn said(output: OutputFormat, say: impl FnOnce()) -> String {
    said_with(&Settings::default(), output, say)
}

fn said_with(settings: &Settings, output: OutputFormat, say: impl FnOnce()) -> String {
    let (mut reader, writer) = pipe().unwrap();
    let (log, guard) = subscriber(settings, output, stopped_clock, writer).unwrap();
    with_default(log, say);
    drop(guard);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    text
}

fn stopped_clock() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_497_337_042)
}

/// Leaves the pipe as a reader leaves it that stopped reading: full.
fn fill(pipe: &PipeWriter) {
    let mut writer = pipe.try_clone().unwrap();
    let before = fcntl_getfl(&writer).unwrap();
    // Both ends of what was cloned share this: it is set back.
    fcntl_setfl(&writer, before | OFlags::NONBLOCK).unwrap();
    for size in [4096, 1] {
        while writer.write_all(&vec![b'x'; size]).is_ok() {}
    }
    fcntl_setfl(&writer, before).unwrap();
}
