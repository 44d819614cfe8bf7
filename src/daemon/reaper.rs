//! Reaps orphans while the daemon is process 1, as in a container without an init: the kernel hands them to it.
//!
//! The daemon's own children are awaited by the tasks that started them, as soon as the loop turns. So a process that
//! is still a zombie two seconds after it was first seen is an orphan, and no task waits for it.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use rustix::process::{Pid, WaitOptions, waitpid};
use tokio::time::Instant;

/// `None` unless the daemon is process 1.
#[derive(Debug)]
pub(super) struct Reaper {
    is_init: bool,
    /// Zombies seen by the last scan, with their start times.
    seen: BTreeSet<(i32, String)>,
    look_at: Option<Instant>,
}

impl Reaper {
    pub(super) fn new() -> Self {
        Self { is_init: std::process::id() == 1, seen: BTreeSet::new(), look_at: None }
    }

    pub(super) fn is_init(&self) -> bool {
        self.is_init
    }

    /// A child has ended, one of our own or an orphan.
    pub(super) fn child_ended(&mut self) {
        if self.is_init {
            self.look_at.get_or_insert_with(|| Instant::now() + GRACE);
        }
    }

    /// When [`Reaper::look`] is to be called at the latest.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.look_at
    }

    /// Reaps the processes that the last scan already found as zombies.
    pub(super) fn look(&mut self) {
        if self.look_at.is_none_or(|at| at > Instant::now()) {
            return;
        }
        let zombies = zombies();
        for (pid, _) in zombies.intersection(&self.seen) {
            if let Some(pid) = Pid::from_raw(*pid) {
                // A process that is gone needs no reaping.
                let _ = waitpid(Some(pid), WaitOptions::NOHANG);
            }
        }
        self.seen = zombies.difference(&self.seen).cloned().collect();
        self.look_at = (!self.seen.is_empty()).then(|| Instant::now() + GRACE);
    }
}

/// Zombie children of process 1: their process ids and start times.
fn zombies() -> BTreeSet<(i32, String)> {
    let Ok(processes) = fs::read_dir("/proc") else { return BTreeSet::new() };
    let zombies = processes.flatten().filter_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        zombie(&fs::read_to_string(process.path().join("stat")).ok()?).map(|started| (pid, started))
    });
    zombies.collect()
}

/// The start time in a line of `/proc/PID/stat`, if it is a zombie and a child of process 1.
fn zombie(stat: &str) -> Option<String> {
    // The program's name may hold spaces and parentheses of its own.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let (state, parent, started) = (fields.first()?, fields.get(1)?, fields.get(19)?);
    (*state == "Z" && *parent == "1").then(|| (*started).to_owned())
}

/// How long a task has to await a child of its own.
const GRACE: Duration = Duration::from_secs(2);
