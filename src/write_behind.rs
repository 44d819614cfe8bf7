//! Writes state to disk in the background, so that the loop never waits for the disk.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// Counts changes and writes them. One task runs [`WriteBehind::run`]; others call [`WriteBehind::changed`].
#[derive(Debug, Default)]
pub struct WriteBehind {
    /// The numbers of changes so far, and of those written or tried.
    changes: Cell<u64>,
    done: Cell<u64>,
    work: Notify,
    settled: Notify,
}

impl WriteBehind {
    /// Reports a change.
    pub fn changed(&self) {
        self.changes.set(self.changes.get() + 1);
        self.work.notify_one();
    }

    /// Whether every change was written or tried.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.done.get() >= self.changes.get()
    }

    /// Waits until every change so far was written or tried.
    pub async fn settle(&self) {
        let upto = self.changes.get();
        while self.done.get() < upto {
            self.settled.notified().await;
        }
    }

    /// Writes each change. `write` blocks and runs on another thread. It returns the rest of the batch; after a failure that goes to
    /// `put_back`. Each new fault goes to `report` once. A write that failed is repeated with the next change, and after a
    /// minute at the latest.
    pub async fn run<T: Send + 'static>(
        &self,
        take: impl Fn() -> T,
        write: impl Fn(T) -> (T, io::Result<()>) + Clone + Send + 'static,
        put_back: impl Fn(T),
        report: impl Fn(&str),
    ) {
        let mut last_fault = String::new();
        loop {
            while self.is_settled() {
                if last_fault.is_empty() {
                    self.work.notified().await;
                } else if timeout(RETRY_AFTER, self.work.notified()).await.is_err() {
                    break;
                }
            }
            let upto = self.changes.get();
            let (batch, write) = (take(), write.clone());
            let mut task = spawn_blocking(move || write(batch));
            let written = match timeout(LATE_AFTER, &mut task).await {
                Ok(written) => written,
                Err(_) => {
                    if last_fault != LATE {
                        report(LATE);
                    }
                    task.await
                }
            };
            let fault = match written {
                Ok((_, Ok(()))) => String::new(),
                Ok((rest, Err(error))) => {
                    put_back(rest);
                    error.to_string()
                }
                Err(error) => error.to_string(),
            };
            if !fault.is_empty() && fault != last_fault {
                report(&fault);
            }
            last_fault = fault;
            self.done.set(upto);
            self.settled.notify_waiters();
        }
    }
}

const LATE: &str = "the disk does not answer, or no thread can be started";
/// A write that takes longer is reported.
const LATE_AFTER: Duration = Duration::from_secs(10);
/// When a failed write is retried, if no change comes before.
const RETRY_AFTER: Duration = Duration::from_secs(60);
