//! Waits for file descriptors for which tokio has no type.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers a descriptor with the loop. What is read must be non-blocking.
#[expect(
    deprecated,
    reason = "unsound only for types that can close or replace their descriptor while it is registered; the replacement is \
              unsafe"
)]
pub(super) fn polled(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, interest)
}
