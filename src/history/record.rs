//! The record of a running daemon: what happens goes in at once, and to disk when the disk is ready.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::timeout;
use tracing::warn;

use super::{Events, Ledger, PersistedGateway, PersistedState, Row, What};
use crate::log::event;
use crate::status::Snapshot;
use crate::write_behind::WriteBehind;

/// Keeps memory and ledger. Lives in a [`LocalSet`](tokio::task::LocalSet); the disk never keeps it waiting.
#[derive(Debug)]
pub struct Record {
    shared: Rc<RecordState>,
    events: Rc<Events>,
    /// None where nothing is kept.
    writer: Option<AbortHandle>,
}

/// What the record and its writer share.
#[derive(Debug)]
struct RecordState {
    pending: RefCell<Pending>,
    writer: WriteBehind,
}

#[derive(Debug)]
struct Pending {
    rows: Vec<Row>,
    memory: PersistedState,
    /// What of it was last given to the disk.
    written: PersistedState,
    is_news: bool,
}

impl Pending {
    /// A limit for rows, so that a hanging disk does not fill the memory.
    fn keep_the_newest(&mut self) {
        let too_many = self.rows.len().saturating_sub(MOST_UNWRITTEN);
        self.rows.drain(..too_many);
    }
}

impl Record {
    /// Begins with what an earlier daemon left in `folder`. Without one nothing is kept.
    #[must_use]
    pub fn begin(folder: Option<PathBuf>, now: Timestamp) -> (Self, PersistedState) {
        let earlier = folder.as_deref().map(PersistedState::load).transpose().unwrap_or_else(|error| {
            let fault = error.to_string();
            warn!(
                event = event::STATE_UNSAVED,
                fault, "how the gateways were is forgotten, and a pause with it: {fault}"
            );
            None
        });
        let earlier = earlier.unwrap_or_default();
        let memory = earlier.restarted(now);
        let pending = Pending { rows: Vec::new(), memory, written: PersistedState::default(), is_news: true };
        let shared = Rc::new(RecordState { pending: RefCell::new(pending), writer: WriteBehind::default() });
        let events = Rc::new(Events::start(folder.clone(), now));
        let writer = folder.map(|folder| spawn_local(Rc::clone(&shared).write(folder)).abort_handle());
        let record = Self { shared, events, writer };
        record.note(now, What::Began { last_seen: earlier.seen });
        (record, earlier)
    }

    /// Forgets all gateways but these, which are the configured ones.
    pub fn keep_only(&self, gateways: &[String]) {
        self.shared.pending.borrow_mut().memory.gateways.retain(|name, _| gateways.contains(name));
    }

    /// The events, for programs that listen.
    #[must_use]
    pub fn events(&self) -> Rc<Events> {
        Rc::clone(&self.events)
    }

    /// Adds a row to the ledger and to the events. Returns it with its id.
    #[expect(clippy::must_use_candidate, reason = "most callers need only the entry in the ledger")]
    pub fn note(&self, at: Timestamp, what: What) -> Row {
        let row = self.events.publish(Row::new(at, what));
        self.change(|pending| {
            pending.rows.push(row.clone());
            pending.keep_the_newest();
        });
        row
    }

    /// Records the present state of a gateway.
    pub fn see(&self, now: Timestamp, snapshot: &Snapshot) {
        self.events.notify_observed();
        let remembered = PersistedGateway::from(snapshot);
        let mut pending = self.shared.pending.borrow_mut();
        let written = &pending.written;
        let is_known = written.gateways.get(&snapshot.gateway).is_some_and(|written| written.covers(&remembered));
        // A clock that was set back is news as well.
        let is_fresh =
            written.seen.is_some_and(|seen| now >= seen && now.duration_since(seen).unsigned_abs() < SEEN_EVERY);
        pending.memory.gateways.insert(snapshot.gateway.clone(), remembered);
        drop(pending);
        if !is_known || !is_fresh {
            self.change(|pending| {
                pending.memory.seen = Some(now);
                pending.is_news = true;
            });
        }
    }

    /// A gateway was removed.
    pub fn forget(&self, now: Timestamp, gateway: &str) {
        self.change(|pending| {
            pending.memory.gateways.remove(gateway);
            pending.is_news = true;
        });
        self.note(now, What::Unwatched { gateway: gateway.to_owned() });
    }

    /// Gives pending writes a moment to finish.
    pub async fn end(&self, now: Timestamp) {
        self.note(now, What::Ended);
        self.change(|pending| {
            pending.memory.seen = Some(now);
            for gateway in pending.memory.gateways.values_mut() {
                gateway.rate_limits.unrecorded = 0;
                if let Some(session) = &mut gateway.session {
                    session.unrecorded = 0;
                }
            }
            pending.is_news = true;
        });
        if self.writer.is_some() {
            // Whether the disk was quick enough shows at the next start.
            drop(timeout(WRITTEN_WITHIN, self.shared.writer.settle()).await);
        }
    }

    fn change(&self, change: impl FnOnce(&mut Pending)) {
        if self.writer.is_some() {
            change(&mut self.shared.pending.borrow_mut());
            self.shared.writer.changed();
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if let Some(writer) = &self.writer {
            writer.abort();
        }
    }
}

impl RecordState {
    async fn write(self: Rc<Self>, folder: PathBuf) {
        let write = move |(mut rows, memory): Batch| {
            let appended = if rows.is_empty() { Ok(()) } else { Ledger::new(&folder).append(&rows) };
            if appended.is_ok() {
                rows.clear();
            }
            let saved = memory.as_ref().map_or(Ok(()), |memory| memory.save(&folder));
            ((rows, memory), appended.and(saved))
        };
        let report = |fault: &str| {
            warn!(
                event = event::STATE_UNSAVED,
                fault, "history and pauses are not on disk, so a restart now forgets them: {fault}"
            );
        };
        self.writer.run(|| self.take(), write, |(rows, _)| self.put_back(rows), report).await;
    }

    /// Rows that could not be written are written with the next ones.
    fn put_back(&self, unwritten: Vec<Row>) {
        let mut pending = self.pending.borrow_mut();
        pending.rows.splice(0..0, unwritten);
        pending.keep_the_newest();
        pending.is_news = true;
    }

    /// What is to be written.
    fn take(&self) -> Batch {
        let mut pending = self.pending.borrow_mut();
        let rows = std::mem::take(&mut pending.rows);
        let memory = std::mem::take(&mut pending.is_news).then(|| pending.memory.clone());
        if let Some(memory) = &memory {
            pending.written.clone_from(memory);
        }
        (rows, memory)
    }
}

/// The new rows, and the state if it changed.
type Batch = (Vec<Row>, Option<PersistedState>);

/// How old the daemon's last sign of life on disk may become.
const SEEN_EVERY: Duration = Duration::from_secs(5 * 60);
/// How long the end waits for the disk.
const WRITTEN_WITHIN: Duration = Duration::from_secs(1);
/// How many rows wait for a disk that takes none; the oldest are given up first.
const MOST_UNWRITTEN: usize = 1000;
