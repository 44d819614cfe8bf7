//! The runtime that every verb runs in.

use std::time::Duration;

use anyhow::Context;

/// Runs a verb to its end.
pub(super) fn asynchronously<T>(verb: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = runtime()?;
    let outcome = runtime.block_on(verb);
    // A resolver that hangs is no reason to stay.
    runtime.shutdown_timeout(Duration::ZERO);
    outcome
}

/// A runtime whose helper thread for files and names exists from the start and never ends: work for it waits where no
/// more threads can be started. Without one, tokio would end the process.
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
