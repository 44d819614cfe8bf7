//! Waits for file descriptors for which tokio has no type.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::unix::AsyncFd;

/// Registers a non-blocking descriptor with the loop.
#[expect(
    deprecated,
    reason = "unsound only for types that can close or replace their descriptor while it is registered; the replacement is \
              unsafe"
)]
pub(super) fn polled(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(fd)
}
