//! The events of a daemon for programs that listen: each has an id, the latest are in memory, earlier ones in the ledger.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::PathBuf;

use jiff::Timestamp;
use tokio::sync::futures::Notified;
use tokio::sync::{Mutex, Notify};
use tokio::task::spawn_blocking;

use super::event_id::EventId;
use super::ledger::Ledger;
use super::row::{Row, What};

/// The latest rows, in memory. Lives in a [`LocalSet`](tokio::task::LocalSet).
#[derive(Debug)]
pub struct Events {
    recent: RefCell<Recent>,
    news: Notify,
    observed: Notify,
    observations: Cell<u64>,
    ledger: Option<Ledger>,
    /// One reader of the ledger at a time.
    reading: Mutex<()>,
}

#[derive(Debug)]
struct Recent {
    rows: VecDeque<Row>,
    last: EventId,
}

impl Events {
    /// No events yet. `folder` is where the ledger is, if one is kept.
    #[must_use]
    pub(super) fn start(folder: Option<PathBuf>, now: Timestamp) -> Self {
        let last = EventId { daemon: now.as_millisecond(), number: 0 };
        Self {
            recent: RefCell::new(Recent { rows: VecDeque::new(), last }),
            news: Notify::new(),
            observed: Notify::new(),
            observations: Cell::new(0),
            ledger: folder.map(|folder| Ledger::new(&folder)),
            reading: Mutex::default(),
        }
    }

    /// Gives a row its id, and wakes all who wait for [`Events::news`].
    pub(super) fn publish(&self, row: Row) -> Row {
        let mut recent = self.recent.borrow_mut();
        recent.last.number += 1;
        let row = Row { id: Some(recent.last), ..row };
        if recent.rows.len() == MOST_IN_MEMORY {
            recent.rows.pop_front();
        }
        recent.rows.push_back(row.clone());
        drop(recent);
        self.news.notify_waiters();
        row
    }

    /// The id of the last row.
    #[must_use]
    pub fn last(&self) -> EventId {
        self.recent.borrow().last
    }

    /// Waits for the next row after this call.
    pub fn news(&self) -> Notified<'_> {
        self.news.notified()
    }

    /// A gateway was observed, and may be in the same state as before.
    pub(super) fn notify_observed(&self) {
        self.observations.set(self.observations.get() + 1);
        self.observed.notify_waiters();
    }

    /// How many observations of gateways there were.
    #[must_use]
    pub fn observations(&self) -> u64 {
        self.observations.get()
    }

    /// Waits for the next observation of any gateway after this call.
    pub fn observed(&self) -> Notified<'_> {
        self.observed.notified()
    }

    /// The rows after `id`; `None` if they are not all in memory.
    #[must_use]
    pub fn after(&self, id: EventId) -> Option<Vec<Row>> {
        let recent = self.recent.borrow();
        let missed = recent.last.number.checked_sub(id.number).filter(|_| id.daemon == recent.last.daemon)?;
        let first = recent.rows.len().checked_sub(usize::try_from(missed).ok()?)?;
        Some(recent.rows.range(first..).cloned().collect())
    }

    /// The rows after `id`, out of the ledger if need be; `None` if any of them may be lost.
    pub async fn resume(&self, id: EventId) -> Option<Vec<Row>> {
        if let Some(rows) = self.after(id) {
            return Some(rows);
        }
        let ledger = self.ledger.clone()?;
        let one = self.reading.lock().await;
        let mut rows = spawn_blocking(move || continued(&ledger.read().ok()?.rows, id)).await.ok()??;
        drop(one);
        let recent = self.recent.borrow();
        let newest = rows.last()?.id.filter(|id| id.daemon == recent.last.daemon).map_or(0, |id| id.number);
        let unwritten = recent.rows.iter().filter(|row| row.id.is_some_and(|id| id.number > newest));
        rows.extend(unwritten.cloned());
        drop(recent);
        is_whole(&rows).then(|| rows.split_off(1))
    }
}

/// The row with this id, and all rows after it; `None` if there is no such row, or they are too many.
fn continued(rows: &[Row], id: EventId) -> Option<Vec<Row>> {
    let at = rows.iter().position(|row| row.id == Some(id))?;
    let rows = rows.get(at..).filter(|rows| rows.len() <= MOST_AT_ONCE)?;
    Some(rows.to_vec())
}

/// Whether nothing is missing between these rows. After a daemon that was killed, something may be.
fn is_whole(rows: &[Row]) -> bool {
    let follows = |pair: &[Row]| match pair {
        [Row { id: Some(before), what, .. }, Row { id: Some(id), .. }] => {
            let is_next = id.daemon == before.daemon && id.number == before.number + 1;
            is_next || (*what == What::Ended && id.number == 1)
        }
        _ => false,
    };
    rows.windows(2).all(follows)
}

/// How many rows are in memory.
const MOST_IN_MEMORY: usize = 512;
/// How many rows are read again out of the ledger.
const MOST_AT_ONCE: usize = 1000;
