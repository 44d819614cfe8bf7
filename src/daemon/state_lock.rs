//! One daemon per state directory: two would withdraw each other's alerts and spoil each other's history.
//!
//! The lock is the kernel's and ends with the process. It also holds between containers of one host that share a volume.
//! The file names the process for the message of the second daemon.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tracing::warn;

use super::host::host_name;
use super::instance_lock::{AlreadyLocked, is_same};
use crate::atomic_file;
use crate::directories::{OWN, create_folder};
use crate::log::event;

/// The lock on the state directory; nothing without one.
#[derive(Debug)]
pub(super) struct StateLock {
    folder: Option<PathBuf>,
    file: Option<File>,
    /// Why it is not locked, as the log has it.
    fault: String,
}

impl StateLock {
    /// Not locked yet.
    pub(super) const fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, file: None, fault: String::new() }
    }

    /// Locks the directory, unless it is locked already. Where that is impossible the daemon goes on without. Blocks.
    ///
    /// # Errors
    /// When another daemon uses the directory.
    pub(super) fn acquire(&mut self) -> Result<(), AlreadyLocked> {
        let (Some(folder), Some(path), None) = (&self.folder, self.path(), &self.file) else { return Ok(()) };
        let opened = create_folder(folder, OWN).and_then(|()| open(folder, &path));
        let impossible = |error: io::Error| format!("{}: {error}", path.display());
        let fault = match opened {
            Ok(mut file) => match file.try_lock() {
                Ok(()) => {
                    // The lock holds without the note.
                    drop(note(&mut file));
                    (self.file, self.fault) = (Some(file), String::new());
                    return Ok(());
                }
                Err(TryLockError::WouldBlock) => {
                    let mut process = String::new();
                    drop(file.take(LONGEST_NOTE).read_to_string(&mut process));
                    let process = process.lines().next().filter(|process| process.starts_with("process "));
                    return Err(AlreadyLocked {
                        gateway: None,
                        what: format!("the state directory {} is already used", folder.display()),
                        process: process.map(|process| format!(" ({process})")).unwrap_or_default(),
                        instead: "give this one its own with --state-dir DIR",
                    });
                }
                Err(TryLockError::Error(error)) => impossible(error),
            },
            Err(error) => impossible(error),
        };
        if fault != self.fault {
            warn!(
                event = event::LOCK_UNAVAILABLE,
                fault,
                "the state directory cannot be locked, so a second tickled that uses it would not be noticed: {fault}"
            );
        }
        self.fault = fault;
        Ok(())
    }

    /// The directory.
    pub(super) const fn folder(&self) -> Option<&PathBuf> {
        self.folder.as_ref()
    }

    /// The file of the lock.
    pub(super) fn path(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(NAME))
    }

    /// Whether the file of the lock is gone, so that another daemon could take the lock in its place.
    pub(super) fn is_lost(&self) -> bool {
        self.file.as_ref().zip(self.path()).is_some_and(|(file, path)| !is_same(&path, file.metadata()))
    }

    /// Locks the directory again if the lock was lost or could not be taken.
    ///
    /// # Errors
    /// When another daemon has locked it meanwhile.
    pub(super) fn restore(&mut self) -> Result<(), AlreadyLocked> {
        if self.is_lost() {
            self.file = None;
        }
        self.acquire()
    }
}

/// Opens the file of the lock. Users who share the directory can all lock it: they could replace the file as well.
fn open(folder: &Path, path: &Path) -> io::Result<File> {
    let mode = 0o600 | (fs::metadata(folder)?.mode() & 0o022) << 1;
    let mut options = File::options();
    let new = atomic_file::open(options.read(true).write(true).create(true).truncate(false).mode(mode), path);
    match new {
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => {
            atomic_file::open(File::options().read(true), path).map_err(|_| error)
        }
        opened => opened,
    }
}

fn note(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "process {} on {}", std::process::id(), host_name())
}

const NAME: &str = "lock";
const LONGEST_NOTE: u64 = 512;
