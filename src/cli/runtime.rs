//! The runtime that every verb runs in.

use std::time::Duration;

use anyhow::Context;

/// Runs a verb to its end.
pub(super) fn asynchronously<T>(verb: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = runtime()?;
    let outcome = runtime.block_on(verb);
    // Exits even if a resolver hangs.
    runtime.shutdown_timeout(Duration::ZERO);
    outcome
}

/// A runtime whose blocking thread exists from the start and never ends. If no more threads can be started, blocking
/// work waits for that one; without it, tokio would abort the process.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let builder =
        builder.enable_all().max_blocking_threads(MAX_HELPERS).thread_keep_alive(Duration::MAX).thread_name("files");
    let runtime = builder.build().context("cannot start the runtime")?;
    let probe =
        std::thread::Builder::new().spawn(|| ()).context("cannot start a thread (limits: `ulimit -u`, pids.max)")?;
    drop(probe.join());
    drop(runtime.spawn_blocking(|| ()));
    Ok(runtime)
}

/// Threads that may wait for disks and resolvers at once.
const MAX_HELPERS: usize = 64;
