//! Notices when the daemon's directories, or locks and sockets in them, are removed, and creates them again.

use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;
use tracing::warn;

use super::control_task::ControlTask;
use super::instance_lock::{self, GatewayLocks};
use super::polled_fd::polled;
use super::state_lock::StateLock;
use crate::directories::{OWN, create_folder};
use crate::log::event;

/// The directories of locks and sockets. The kernel reports removals and mounts; what it does not report is found by
/// looking.
#[derive(Debug)]
pub(super) struct RuntimeDir {
    folders: Vec<PathBuf>,
    /// The state directory, and the file of its lock.
    state: Option<(PathBuf, PathBuf)>,
    state_check: StateCheck,
    watch: Option<AsyncFd<OwnedFd>>,
    /// The table of mounts, which reports when it changes.
    mounts: Option<AsyncFd<OwnedFd>>,
    next_look: Instant,
    /// Something was removed and has not been restored completely.
    is_damaged: bool,
    /// Why a lock cannot be taken again: of a gateway, and of the state directory.
    faults: (String, String),
}

/// Looks at the lock of the state directory on another thread: its disk may hang.
#[derive(Debug)]
enum StateCheck {
    Idle(StateLock),
    Running(JoinHandle<(StateLock, Restored)>),
}

/// Whether the lock was lost, and why it is still not taken.
type Restored = (bool, Option<String>);

/// What [`RuntimeDir::changed`] has waited for.
#[derive(Debug)]
pub(super) enum Change {
    /// A file or a directory was removed, or a file system mounted or unmounted.
    Removed,
    /// The state directory was looked at.
    StateChecked(StateLock, Restored),
}

impl RuntimeDir {
    pub(super) fn new(locks: &GatewayLocks, socket: &ControlTask, state_lock: StateLock) -> Self {
        let mut dir = Self {
            folders: locks.dirs().own.iter().chain(socket.folder()).cloned().collect(),
            state: state_lock.folder().cloned().zip(state_lock.path()),
            state_check: StateCheck::Idle(state_lock),
            watch: None,
            mounts: File::open(MOUNTS).and_then(|table| polled(table.into(), Interest::PRIORITY)).ok(),
            next_look: Instant::now() + LOOK_EVERY,
            is_damaged: false,
            faults: <_>::default(),
        };
        dir.watch();
        dir
    }

    /// When [`RuntimeDir::tend`] is to be called at the latest.
    pub(super) const fn deadline(&self) -> Instant {
        self.next_look
    }

    /// Looks again, if the last look was a while ago.
    pub(super) fn tend(&mut self, locks: &mut GatewayLocks, socket: &mut ControlTask) {
        if Instant::now() >= self.next_look {
            self.look(locks, socket);
        }
    }

    /// Creates again what was removed.
    pub(super) fn restore(&mut self, change: Change, locks: &mut GatewayLocks, socket: &mut ControlTask) {
        let (state_lock, (was_lost, fault)) = match change {
            Change::Removed => return self.look(locks, socket),
            Change::StateChecked(state_lock, restored) => (state_lock, restored),
        };
        self.state_check = StateCheck::Idle(state_lock);
        if was_lost {
            report_loss(self.state.as_ref().map(|(folder, _)| folder));
            self.watch();
        }
        let fault = fault.unwrap_or_default();
        if !fault.is_empty() && fault != self.faults.1 {
            warn!(event = event::LOCK_UNAVAILABLE, fault, "{fault}");
        }
        self.faults.1 = fault;
    }

    fn look(&mut self, locks: &mut GatewayLocks, socket: &mut ControlTask) {
        self.next_look = Instant::now() + LOOK_EVERY;
        locks.drain();
        self.check_state();
        if (locks.is_lost() || socket.was_removed()) && !self.is_damaged {
            self.is_damaged = true;
            report_loss(self.folders.first());
            let above = self.state.as_ref().map(|(folder, _)| folder);
            if let Some(above) = above.filter(|above| self.folders.iter().any(|folder| folder.starts_with(above))) {
                // Or it would be created for others to read, as the directory in it is.
                drop(create_folder(above, OWN));
            }
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
            self.watch();
        }
    }

    fn check_state(&mut self) {
        let StateCheck::Idle(state_lock) = &mut self.state_check else { return };
        let mut state_lock = std::mem::replace(state_lock, StateLock::new(None));
        self.state_check = StateCheck::Running(spawn_blocking(move || {
            let was_lost = state_lock.is_lost();
            let fault = state_lock.restore().err().map(|locked| locked.to_string());
            (state_lock, (was_lost, fault))
        }));
    }

    /// Waits for something to restore.
    pub(super) async fn changed(&mut self) -> Change {
        let checked = async {
            match &mut self.state_check {
                StateCheck::Running(task) => match task.await {
                    Ok((state_lock, restored)) => Change::StateChecked(state_lock, restored),
                    // The program ends.
                    Err(_) => Change::StateChecked(StateLock::new(None), (false, None)),
                },
                StateCheck::Idle(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            change = checked => change,
            () = removed(self.watch.as_ref()) => Change::Removed,
            () = remounted(self.mounts.as_ref()) => Change::Removed,
        }
    }

    fn watch(&mut self) {
        self.watch = self.watch_all().ok();
    }

    fn watch_all(&self) -> std::io::Result<AsyncFd<OwnedFd>> {
        let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let whole = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
        let inside = WatchFlags::DELETE | WatchFlags::MOVED_FROM | whole;
        let add = |path: &Path, flags| inotify::add_watch(&watch, path, flags).map(drop);
        for folder in &self.folders {
            add(folder, inside | WatchFlags::ONLYDIR)?;
        }
        // Files of the state are replaced all the time. While the lock is open, its removal only changes its link
        // count.
        if let Some((folder, lock)) = &self.state {
            let _ = add(folder, whole).and_then(|()| add(lock, whole | WatchFlags::ATTRIB));
        }
        polled(watch, Interest::READABLE)
    }
}

/// Waits until the kernel reports a removal.
async fn removed(watch: Option<&AsyncFd<OwnedFd>>) {
    let Some(watch) = watch else { return std::future::pending().await };
    let Ok(mut ready) = watch.readable().await else { return std::future::pending().await };
    let mut buffer = [MaybeUninit::uninit(); 4096];
    while let Ok(_) | Err(Errno::INTR) = rustix::io::read(watch.get_ref(), &mut buffer) {}
    ready.clear_ready();
}

/// Waits until a file system is mounted or unmounted.
async fn remounted(mounts: Option<&AsyncFd<OwnedFd>>) {
    let Some(mounts) = mounts else { return std::future::pending().await };
    let Ok(mut ready) = mounts.ready(Interest::PRIORITY).await else { return std::future::pending().await };
    ready.clear_ready();
}

fn report_loss(folder: Option<&PathBuf>) {
    let file = folder.map(|folder| folder.display().to_string()).unwrap_or_default();
    warn!(event = event::RUNTIME_DIR_LOST, file, "{file} was removed, or files in it: they are created again");
}

/// How often locks and sockets are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(20);
const MOUNTS: &str = "/proc/self/mountinfo";
