//! A disk that takes nothing for a while: what it missed is offered again, and stands there once.

use std::fs;
use std::time::Duration;

use jiff::Timestamp;
use tickled::history::{Ledger, PersistedState, Record, What};
use tokio::task::LocalSet;
use tokio::time::sleep;

use crate::disk::Folder;

fn gateway(number: usize) -> What {
    What::Unwatched { gateway: number.to_string() }
}

async fn two_minutes_with_a_ledger_that_cannot_be_written(folder: &Folder, rows: usize) -> Record {
    fs::create_dir(folder.0.join("ledger.jsonl")).unwrap();
    let (record, _) = Record::begin(Some(folder.0.clone()), Timestamp::UNIX_EPOCH);
    for number in 0..rows {
        record.note(Timestamp::UNIX_EPOCH, gateway(number));
    }
    sleep(Duration::from_secs(120)).await;
    fs::remove_dir(folder.0.join("ledger.jsonl")).unwrap();
    record
}

fn written(folder: &Folder) -> Vec<What> {
    Ledger::new(&folder.0).read().unwrap().rows.into_iter().map(|row| row.what).collect()
}

#[tokio::test(start_paused = true)]
async fn rows_that_could_not_be_written_are_written_when_they_can_be() {
    let folder = Folder::new();
    LocalSet::new()
        .run_until(async {
            let record = two_minutes_with_a_ledger_that_cannot_be_written(&folder, 1).await;
            // Nothing new has to happen for it.
            sleep(Duration::from_secs(61)).await;
            assert_eq!(written(&folder), [What::Began { last_seen: None }, gateway(0)]);
            record.note(Timestamp::UNIX_EPOCH, gateway(1));
            sleep(Duration::from_secs(300)).await;
            assert_eq!(written(&folder), [What::Began { last_seen: None }, gateway(0), gateway(1)]);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn the_memory_does_not_wait_for_the_ledger() {
    let folder = Folder::new();
    LocalSet::new()
        .run_until(async {
            fs::create_dir(folder.0.join("ledger.jsonl")).unwrap();
            let (record, _) = Record::begin(Some(folder.0.clone()), Timestamp::UNIX_EPOCH);
            record.forget(Timestamp::UNIX_EPOCH, "main");
            sleep(Duration::from_secs(1)).await;
            assert_eq!(PersistedState::load(&folder.0).unwrap().seen, Some(Timestamp::UNIX_EPOCH));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_the_disk_has_a_limit_and_the_newest_stays() {
    let folder = Folder::new();
    LocalSet::new()
        .run_until(async {
            let _record = two_minutes_with_a_ledger_that_cannot_be_written(&folder, 3000).await;
            sleep(Duration::from_secs(61)).await;
            assert_eq!(written(&folder), (2000..3000).map(gateway).collect::<Vec<_>>());
        })
        .await;
}
