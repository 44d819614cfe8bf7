//! Notices when the runtime directory, or a file in it, is removed under the daemon, and creates it again.

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
use crate::control::own_folder;
use crate::log::event;

/// The daemon's runtime directory. The kernel reports removals; what it does not report is found when the daemon wakes up
/// for another reason.
#[derive(Debug)]
pub(super) struct RuntimeDir {
    folder: PathBuf,
    watch: Option<AsyncFd<OwnedFd>>,
    next_look: Instant,
    /// Something was removed, and is not all there again.
    is_damaged: bool,
    fault: String,
}

impl RuntimeDir {
    pub(super) fn new() -> Self {
        let folder = own_folder();
        let watch = watch(&folder).ok();
        Self { folder, watch, next_look: Instant::now() + LOOK_EVERY, is_damaged: false, fault: String::new() }
    }

    /// Looks again, if the last look was a while ago.
    pub(super) fn tend(&mut self, locks: &mut GatewayLocks, socket: &mut ControlTask) {
        let now = Instant::now();
        if now >= self.next_look {
            self.next_look = now + LOOK_EVERY;
            locks.drain();
            self.restore(locks, socket);
        }
    }

    /// Creates again what was removed.
    pub(super) fn restore(&mut self, locks: &mut GatewayLocks, socket: &mut ControlTask) {
        if (locks.is_lost() || socket.was_removed()) && !self.is_damaged {
            self.is_damaged = true;
            let file = self.folder.display().to_string();
            warn!(
                event = event::RUNTIME_DIR_LOST,
                file, "{file} was removed, or files in it: the locks and the control socket are created again"
            );
        }
        if let Err((gateway, fault)) = locks.restore() {
            if fault != self.fault {
                instance_lock::unavailable(&gateway, &fault);
            }
            self.fault = fault;
        }
        socket.restore();
        if self.is_damaged && !locks.is_lost() {
            self.is_damaged = false;
            self.fault.clear();
            self.watch = watch(&self.folder).ok();
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
}

fn watch(folder: &Path) -> std::io::Result<AsyncFd<OwnedFd>> {
    let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    let removals = WatchFlags::DELETE | WatchFlags::MOVED_FROM | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
    inotify::add_watch(&watch, folder, removals | WatchFlags::ONLYDIR)?;
    polled(watch)
}

/// How often the directory is looked at, if the daemon wakes up so often.
const LOOK_EVERY: Duration = Duration::from_secs(10);
