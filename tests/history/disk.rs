//! Ledger and memory on a real disk.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs};

use jiff::Timestamp;
use tickled::atomic_file::LoadError;
use tickled::history::{DriverInit, Ledger, PersistedGateway, PersistedState, Row, What};
use tickled::session::{RateLimitState, StateKind, StateReason};

/// A folder of its own, gone with the test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("tickled-history-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn row(second: i64) -> Row {
    let (from, to) = (StateKind::Live, StateKind::Recovering);
    Row::new(
        at(second),
        What::Changed { gateway: "main".into(), from, to, because: StateReason::SessionLapsed, session: None },
    )
}

#[test]
fn rows_come_back_as_they_were() {
    let folder = Folder::new();
    let ledger = Ledger::new(&folder.0);
    assert_eq!(ledger.read().unwrap().rows, []);
    let rows = [
        Row::new(at(0), What::Began { last_seen: Some(at(-9)) }),
        Row::new(at(1), What::Watched { gateway: "main".into() }),
        row(2),
        Row::new(at(3), What::Unwatched { gateway: "main".into() }),
        Row::new(at(4), What::Ended),
    ];
    ledger.append(&rows[..2]).unwrap();
    ledger.append(&rows[2..]).unwrap();
    let read = ledger.read().unwrap();
    assert_eq!((read.rows.as_slice(), read.unreadable), (rows.as_slice(), 0));
    let text = fs::read_to_string(folder.0.join("ledger.jsonl")).unwrap();
    assert_eq!(text.lines().nth(1), Some(r#"{"at":"2027-01-15T08:00:01Z","event":"watched","gateway":"main"}"#));
}

/// A crash in the middle of a write costs the line that was torn, and neither the one before nor the one after.
#[test]
fn a_torn_line_spoils_no_other() {
    let folder = Folder::new();
    let ledger = Ledger::new(&folder.0);
    ledger.append(&[row(1), row(2)]).unwrap();
    let file = folder.0.join("ledger.jsonl");
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 7]).unwrap();
    ledger.append(&[row(3)]).unwrap();
    let read = ledger.read().unwrap();
    assert_eq!((read.rows, read.unreadable), (vec![row(1), row(3)], 1));
}

#[test]
fn what_a_later_version_writes_is_passed_over() {
    let folder = Folder::new();
    let file = folder.0.join("ledger.jsonl");
    fs::write(&file, "{\"at\":\"2027-01-15T08:00:00Z\",\"event\":\"of-later\"}\n\u{0}\u{0}\nnull\n").unwrap();
    let ledger = Ledger::new(&folder.0);
    ledger.append(&[row(1)]).unwrap();
    let read = ledger.read().unwrap();
    assert_eq!((read.rows, read.unreadable), (vec![row(1)], 3));
}

#[test]
fn a_ledger_drops_its_older_half_and_never_a_part_of_a_line() {
    let folder = Folder::new();
    let ledger = Ledger::new(&folder.0).with_limit(4096);
    for second in 0..500 {
        ledger.append(&[row(second)]).unwrap();
        assert!(fs::metadata(folder.0.join("ledger.jsonl")).unwrap().len() <= 4096);
    }
    let read = ledger.read().unwrap();
    assert_eq!(read.unreadable, 0);
    let first = 500 - i64::try_from(read.rows.len()).unwrap();
    assert!(read.rows.len() > 10, "{} rows", read.rows.len());
    assert_eq!(read.rows, (first..500).map(row).collect::<Vec<_>>());
}

#[test]
fn a_ledger_that_cannot_be_written_says_so() {
    let folder = Folder::new();
    fs::create_dir(folder.0.join("ledger.jsonl")).unwrap();
    assert!(Ledger::new(&folder.0).append(&[row(1)]).is_err());
    assert!(Ledger::new(&folder.0).read().is_err());
}

fn paused(until: Option<Timestamp>) -> PersistedState {
    let mut memory = PersistedState::seen_at(at(0));
    let remembered = PersistedGateway {
        state: StateKind::Paused,
        because: StateReason::Operator,
        since: at(-60),
        until,
        session: None,
        restarts: vec![at(-60)],
        rate_limits: RateLimitState::default(),
    };
    memory.gateways.insert("main".into(), remembered);
    memory
}

#[test]
fn a_pause_is_remembered_until_it_ends() {
    let folder = Folder::new();
    assert_eq!(PersistedState::load(&folder.0).unwrap(), PersistedState::default());
    paused(Some(at(600))).save(&folder.0).unwrap();
    let memory = PersistedState::load(&folder.0).unwrap();
    assert_eq!(memory.seen, Some(at(0)));
    assert_eq!(memory.init("main", at(599)).pause, Some(Some(at(600))));
    assert_eq!(memory.init("main", at(600)).pause, None, "it has ended while nobody was there");
    assert_eq!(memory.init("ira", at(0)), DriverInit::default());
    paused(None).save(&folder.0).unwrap();
    let endless = PersistedState::load(&folder.0).unwrap();
    assert_eq!(endless.init("main", at(1_000_000)).pause, Some(None), "it ends by the operator alone");
    assert!(fs::read_dir(&folder.0).unwrap().all(|file| file.unwrap().file_name() == "state.json"));
}

#[test]
fn a_memory_that_makes_no_sense_is_set_aside_and_said() {
    for nonsense in ["", "{", "null", "[]", r#"{"version":2,"seen":null,"gateways":{}}"#, r#"{"version":1,"seen":7}"#] {
        let folder = Folder::new();
        fs::write(folder.0.join("state.json"), nonsense).unwrap();
        let error = PersistedState::load(&folder.0).unwrap_err();
        assert!(matches!(error, LoadError::SetAside { .. }), "{nonsense}: {error}");
        assert!(error.to_string().contains("state.json.bad"), "{nonsense}: {error}");
        assert_eq!(fs::read_to_string(folder.0.join("state.json.bad")).unwrap(), nonsense);
        assert_eq!(
            PersistedState::load(&folder.0).unwrap(),
            PersistedState::default(),
            "{nonsense}: the start goes on without"
        );
    }
    let folder = Folder::new();
    fs::create_dir(folder.0.join("state.json")).unwrap();
    assert!(matches!(PersistedState::load(&folder.0).unwrap_err(), LoadError::Unreadable { .. }));
}
