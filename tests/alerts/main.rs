//! How a human is notified: the texts, the tracker through a year, and the real binary with real receivers on loopback.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod delivery;
mod echo;
mod edge;
mod hours;
mod hours_live;
mod life;
mod mail;
mod mailserver;
mod outbox;
mod page;
mod reconfigured;
mod redaction;
mod restart;
mod schedule;
mod signs;
mod start;
mod truth;
mod verb;
mod words;
mod year;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A file of its own, which only its owner may read.
fn keep(name: &str, text: &str) -> PathBuf {
    let path = folder().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// An empty folder.
fn folder() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let at = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("tickled-alerts-{}", std::process::id())).join(at.to_string());
    fs::create_dir_all(&folder).unwrap();
    folder
}
