//! The name of this host.

use std::fs;

/// The name of this host, for people.
#[must_use]
pub fn host_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").map_or_else(|_| "HOST".to_owned(), |name| name.trim().to_owned())
}
