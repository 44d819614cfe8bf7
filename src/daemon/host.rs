//! The name of this host.

use rustix::system::uname;

/// The name by which people reach this host. The service cannot see `/proc/sys`, so the kernel is asked.
#[must_use]
pub fn host_name() -> String {
    uname().nodename().to_string_lossy().into_owned()
}
