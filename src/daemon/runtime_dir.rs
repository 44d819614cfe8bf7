//! Notices when the daemon's directories, or locks and sockets in them, are removed, and creates them again.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;
use tracing::warn;

use super::control_task::ControlTask;
use super::instance_lock::{self, GatewayLocks};
use super::polled_fd::polled;
use super::state_lock::StateLock;
use crate::log::event;

/// The directories of locks and sockets. The kernel reports removals; what it does not report, such as a file system
/// that was unmounted while in use, is found by looking.
#[derive(Debug)]
pub(super) struct RuntimeDir {
    folders: Vec<PathBuf>,
    watch: Option<AsyncFd<OwnedFd>>,
    next_look: Instant,
    /// Something was removed and has not been restored completely.
    is_damaged: bool,
    /// Why a lock cannot be taken again: of a gateway, and of the state directory.
    faults: (String, String),
}

impl RuntimeDir {
    pub(super) fn new(locks: &GatewayLocks, socket: &ControlTask, state: &StateLock) -> Self {
        let folders = locks.dirs().own.iter().chain(socket.folder()).cloned().collect();
        let mut dir = Self {
            folders,
            watch: None,
            next_look: Instant::now() + LOOK_EVERY,
            is_damaged: false,
            faults: <_>::default(),
        };
        dir.watch(state);
        dir
    }

    /// When [`RuntimeDir::tend`] is to be called at the latest.
    pub(super) const fn deadline(&self) -> Instant {
        self.next_look
    }

    /// Checks again if the last check was a while ago, except for the state directory, whose disk may hang.
    pub(super) fn tend(&mut self, locks: &mut GatewayLocks, socket: &mut ControlTask, state: &StateLock) {
        let now = Instant::now();
        if now >= self.next_look {
            self.next_look = now + LOOK_EVERY;
            locks.drain();
            self.restore_runtime(locks, socket, state);
        }
    }

    /// Creates again what was removed.
    pub(super) fn restore(&mut self, locks: &mut GatewayLocks, socket: &mut ControlTask, state: &mut StateLock) {
        if state.is_lost() {
            self.is_damaged = true;
            report_loss(state.folder());
        }
        let fault = state.restore().err().map(|locked| locked.to_string()).unwrap_or_default();
        if !fault.is_empty() && fault != self.faults.1 {
            warn!(event = event::LOCK_UNAVAILABLE, fault, "{fault}");
        }
        self.faults.1 = fault;
        self.restore_runtime(locks, socket, state);
    }

    fn restore_runtime(&mut self, locks: &mut GatewayLocks, socket: &mut ControlTask, state: &StateLock) {
        if (locks.is_lost() || socket.was_removed()) && !self.is_damaged {
            self.is_damaged = true;
            report_loss(self.folders.first());
        }
        if let Err((gateway, fault)) = locks.restore() {
            if fault != self.faults.0 {
                instance_lock::unavailable(&gateway, &fault);
            }
            self.faults.0 = fault;
        }
        socket.restore();
        if self.is_damaged && !locks.is_lost() {
            self.is_damaged = false;
            self.faults.0.clear();
            self.watch(state);
        }
    }

    /// Waits until something was removed.
    pub(super) async fn removed(&self) {
        let Some(watch) = &self.watch else { return std::future::pending().await };
        let Ok(mut ready) = watch.readable().await else { return std::future::pending().await };
        let mut buffer = [MaybeUninit::uninit(); 4096];
        while let Ok(_) | Err(Errno::INTR) = rustix::io::read(watch.get_ref(), &mut buffer) {}
        ready.clear_ready();
    }

    fn watch(&mut self, state: &StateLock) {
        self.watch = self.watch_all(state).ok();
    }

    fn watch_all(&self, state: &StateLock) -> std::io::Result<AsyncFd<OwnedFd>> {
        let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let whole = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
        let inside = WatchFlags::DELETE | WatchFlags::MOVED_FROM | whole;
        let add = |path: &Path, flags| inotify::add_watch(&watch, path, flags).map(drop);
        for folder in &self.folders {
            add(folder, inside | WatchFlags::ONLYDIR)?;
        }
        // Files of the state are replaced all the time. While the lock is open, its removal only changes its link
        // count.
        if let (Some(folder), Some(lock)) = (state.folder(), state.path()) {
            let _ = add(folder, whole).and_then(|()| add(&lock, whole | WatchFlags::ATTRIB));
        }
        polled(watch)
    }
}

fn report_loss(folder: Option<&PathBuf>) {
    let file = folder.map(|folder| folder.display().to_string()).unwrap_or_default();
    warn!(event = event::RUNTIME_DIR_LOST, file, "{file} was removed, or files in it: they are created again");
}

/// How often locks and sockets are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(20);
