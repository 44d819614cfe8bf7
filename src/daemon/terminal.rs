//! Tells the SIGHUP of a terminal that was closed from one that asks for a reload.
//!
//! The kernel takes the terminal from all processes of the session before it sends SIGHUP, and a shell passes the signal
//! on afterwards. A daemon that outlives its terminal, as after `nohup` or `disown`, reloads on SIGHUP like a service.

use std::fs;
use std::time::Duration;

use signal_hook::consts::SIGHUP;
use tokio::time::Instant;

/// The terminal that the daemon was started in, if its end is to end the daemon.
#[derive(Debug)]
pub(super) struct Terminal {
    is_attached: bool,
    lost_at: Option<Instant>,
}

impl Terminal {
    /// Call this before SIGHUP is caught: `nohup` shows in its being ignored.
    pub(super) fn new() -> Self {
        Self { is_attached: has_terminal() && !ignores_hangup(), lost_at: None }
    }

    /// Notices a terminal that is gone.
    pub(super) fn tend(&mut self) {
        if self.is_attached && !has_terminal() {
            let lost_at = *self.lost_at.get_or_insert_with(Instant::now);
            self.is_attached = lost_at.elapsed() < SIGNALLED_WITHIN;
        }
    }

    /// Whether a SIGHUP that has just come is that of the terminal.
    pub(super) fn was_closed(&mut self) -> bool {
        self.tend();
        self.is_attached && self.lost_at.is_some()
    }
}

/// Whether this process has a controlling terminal.
fn has_terminal() -> bool {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The program's name may hold spaces and parentheses of its own.
    let number = stat.rsplit_once(')').and_then(|(_, fields)| fields.split_ascii_whitespace().nth(4));
    number.is_some_and(|number| number != "0")
}

fn ignores_hangup() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask >> (SIGHUP - 1) & 1 == 1)
}

/// How long after the loss of the terminal the signal comes, at a shell that is slow.
const SIGNALLED_WITHIN: Duration = Duration::from_secs(15);
