//! Lets the loop wait for a file descriptor that tokio has no type for.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::unix::AsyncFd;

/// The descriptor, which must not block, registered with the loop.
#[expect(
    deprecated,
    reason = "unsound only for types that can close or replace their descriptor while it is registered; the replacement is \
              unsafe"
)]
pub(super) fn polled(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(fd)
}
