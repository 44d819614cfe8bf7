//! The events after an id: without a gap, or none at all.

use std::fs;
use std::time::Duration;

use jiff::Timestamp;
use tickled::history::{EventId, Record, What};
use tokio::task::LocalSet;
use tokio::time::sleep;

use crate::disk::Folder;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn id(second: i64, number: u64) -> EventId {
    format!("{}-{number}", at(second).as_millisecond()).parse().unwrap()
}

fn happens(record: &Record, sessions: std::ops::Range<u64>) {
    for session in sessions {
        record.note(at(0), What::Session { gateway: "main".into(), session });
    }
}

/// The sessions of the events after `id`.
async fn after(record: &Record, id: EventId) -> Option<Vec<u64>> {
    let rows = record.events().resume(id).await?;
    let session = |what: What| if let What::Session { session, .. } = what { Some(session) } else { None };
    Some(rows.into_iter().filter_map(|row| session(row.what)).collect())
}

/// A daemon that began at `second`, gave out these sessions and ended in order, or was killed.
async fn daemon(folder: &Folder, second: i64, sessions: std::ops::Range<u64>, is_killed: bool) {
    let (record, _) = Record::begin(Some(folder.0.clone()), at(second));
    happens(&record, sessions);
    sleep(Duration::from_secs(1)).await;
    if !is_killed {
        record.end(at(second + 10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn events_are_continued_from_memory_and_from_the_ledger() {
    let folder = Folder::new();
    LocalSet::new()
        .run_until(async {
            daemon(&folder, 0, 0..600, false).await;
            daemon(&folder, 100, 600..601, false).await;
            let (record, _) = Record::begin(Some(folder.0.clone()), at(200));
            happens(&record, 601..602);
            // The first event of each daemon is that it began.
            assert_eq!(after(&record, id(200, 2)).await, Some(vec![]));
            assert_eq!(after(&record, id(200, 1)).await, Some(vec![601]));
            assert_eq!(after(&record, id(100, 2)).await, Some(vec![601]), "also what is not on disk yet");
            assert_eq!(after(&record, id(0, 600)).await, Some(vec![599, 600, 601]));
            assert_eq!(after(&record, id(0, 2)).await.unwrap().len(), 601);
            for unknown in [id(200, 3), id(100, 9), id(0, 700), id(50, 1)] {
                assert_eq!(after(&record, unknown).await, None, "{unknown}");
            }
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn where_an_event_may_be_missing_none_is_continued() {
    let folder = Folder::new();
    LocalSet::new()
        .run_until(async {
            daemon(&folder, 0, 0..3, true).await;
            daemon(&folder, 100, 3..6, false).await;
            let (record, _) = Record::begin(Some(folder.0.clone()), at(200));
            assert_eq!(after(&record, id(0, 2)).await, None, "that daemon was killed");
            assert_eq!(after(&record, id(100, 2)).await, Some(vec![4, 5]));
            let ledger = folder.0.join("ledger.jsonl");
            let text = fs::read_to_string(&ledger).unwrap();
            let without: Vec<&str> = text.lines().filter(|line| !line.contains("\"session\":5")).collect();
            fs::write(&ledger, without.join("\n")).unwrap();
            assert_eq!(after(&record, id(100, 2)).await, None, "a line is lost");
            fs::remove_file(&ledger).unwrap();
            assert_eq!(after(&record, id(100, 2)).await, None, "the ledger is lost");
            assert_eq!(after(&record, id(200, 1)).await, Some(vec![]));
        })
        .await;
}
