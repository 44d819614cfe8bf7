//! The thread that writes the lines, and its bounded queue: a slow reader never blocks the caller.

use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

use super::line::{Content, Line};
use super::settings::Level;

/// Starts the thread that writes to `out`; it ends when the last [`Lines`] is gone.
pub(super) fn start<W: Write + Send + 'static>(out: W, line: Line) -> io::Result<(Lines, Guard)> {
    let (queue, entries) = sync_channel(MAX_QUEUED);
    let tally = Arc::new(Tally::default());
    let writer = Writer { out, line, unreported: 0, is_torn: false };
    let of_thread = Arc::clone(&tally);
    let thread = thread::Builder::new().name("log".to_owned()).spawn(move || writer.run(&entries, &of_thread))?;
    drop(thread);
    Ok((Lines { queue, tally: Arc::clone(&tally) }, Guard { tally }))
}

/// Waits for the last lines when it is dropped, at most half a second.
#[derive(Debug)]
#[must_use = "dropping the guard is what waits for the last lines"]
pub struct Guard {
    tally: Arc<Tally>,
}

impl Guard {
    /// Waits at most `limit` until every line so far is written or given up. Returns whether all are.
    pub fn flush(&self, limit: Duration) -> bool {
        let accepted = self.tally.accepted.load(Ordering::SeqCst);
        let handled = self.tally.handled.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.tally.moved.wait_timeout_while(handled, limit, |handled| *handled < accepted);
        *waited.unwrap_or_else(PoisonError::into_inner).0 >= accepted
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.flush(FLUSH_WITHIN);
    }
}

/// Queues finished lines; each write is one line.
#[derive(Debug)]
pub(super) struct Lines {
    queue: SyncSender<QueuedLine>,
    tally: Arc<Tally>,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl Write for &Lines {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let lost_before = self.tally.lost.swap(0, Ordering::SeqCst);
        match self.queue.try_send(QueuedLine { text: text.to_vec(), lost_before }) {
            Ok(()) => self.tally.accepted.fetch_add(1, Ordering::SeqCst),
            Err(_) => self.tally.lost.fetch_add(lost_before + 1, Ordering::SeqCst),
        };
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct QueuedLine {
    text: Vec<u8>,
    /// Lines lost between the previous entry and this one because the queue was full.
    lost_before: u64,
}

#[derive(Debug, Default)]
struct Tally {
    /// Lines lost because the queue was full, and not counted by an entry in it.
    lost: AtomicU64,
    accepted: AtomicU64,
    handled: Mutex<u64>,
    moved: Condvar,
}

struct Writer<W> {
    out: W,
    line: Line,
    /// Lines lost in the queue or in a failed write, and not reported yet.
    unreported: u64,
    /// The last line was written only in part.
    is_torn: bool,
}

impl<W: Write> Writer<W> {
    fn run(mut self, entries: &Receiver<QueuedLine>, tally: &Tally) {
        let mut next = entries.recv().ok();
        while let Some(entry) = next {
            self.write(&entry);
            next = entries.try_recv().ok();
            if next.is_none() {
                self.unreported += tally.lost.swap(0, Ordering::SeqCst);
                self.report_losses();
            }
            *tally.handled.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            tally.moved.notify_all();
            next = next.or_else(|| entries.recv().ok());
        }
    }

    fn write(&mut self, entry: &QueuedLine) {
        self.unreported += entry.lost_before;
        let is_written = self.report_losses() && self.put(&entry.text);
        self.unreported += u64::from(!is_written);
    }

    /// Reports how many lines were lost. Returns false if that cannot be written yet.
    fn report_losses(&mut self) -> bool {
        if self.unreported == 0 {
            return true;
        }
        let notice = self.line.render(Level::Warn, &Content::lines_dropped(self.unreported));
        let is_reported = self.put(notice.as_bytes());
        if is_reported {
            self.unreported = 0;
        }
        is_reported
    }

    fn put(&mut self, text: &[u8]) -> bool {
        if self.is_torn && !self.put_bytes(b"\n") {
            return false;
        }
        self.put_bytes(text)
    }

    fn put_bytes(&mut self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.out.write(rest) {
                Ok(0) => break,
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Another process that shares the stream may have made it non-blocking.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    thread::sleep(RETRY_AFTER);
                }
                Err(_) => break,
            }
        }
        let is_whole = rest.is_empty() && self.out.flush().is_ok();
        self.is_torn = !is_whole && (self.is_torn || rest.len() < bytes.len());
        is_whole
    }
}

/// Lines that may wait for a slow reader.
const MAX_QUEUED: usize = 1024;
const FLUSH_WITHIN: Duration = Duration::from_millis(500);
const RETRY_AFTER: Duration = Duration::from_millis(10);
