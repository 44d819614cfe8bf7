//! One daemon per gateway on this host: a lock file for each gateway, and a socket beside it that shows the lock.
//!
//! The lock is the kernel's and ends with the process. Only the owner can open the file, so that no other user can hold
//! the lock. Other users cannot see the lock either, so the daemon listens on a socket beside it. It never answers
//! there: that a process listens, and which, is the information. A daemon on another host is not seen this way.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Permissions, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt;
use rustix::fs::{Mode, OFlags, openat};
use rustix::process::geteuid;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_tokio::Signals;
use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::config::Gateway;
use crate::control::{bind_with_mode, connect_at_once};
use crate::directories::{VISIBLE, create_folder};
use crate::gateway::GatewayUrl;
use crate::log::event;
use crate::systemd::Notifier;

/// The locks that this daemon holds, by the file names of the locks.
#[derive(Debug)]
pub(super) struct GatewayLocks {
    dirs: LockDirs,
    held: BTreeMap<String, HeldLock>,
}

/// Where locks are.
#[derive(Debug, Clone, Default)]
pub(super) struct LockDirs {
    /// This daemon's; without one it locks nothing.
    pub(super) own: Option<PathBuf>,
    /// Those of other daemons.
    pub(super) others: Vec<PathBuf>,
}

/// A gateway that another daemon manages, or a state directory that it uses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{what} by another tickled{process}; stop that one first, or {instead}", .gateway.as_ref().map(|name| format!("gateway {name}: ")).unwrap_or_default())]
pub struct AlreadyLocked {
    /// The gateway's name in this configuration; none for the state directory.
    pub gateway: Option<String>,
    /// What is locked, as the subject of a sentence.
    pub(super) what: String,
    /// The other daemon's process in brackets, where it is known.
    pub(super) process: String,
    /// What to do instead of stopping the other daemon.
    pub(super) instead: &'static str,
}

/// A lock on a gateway; none where it could not be taken.
#[derive(Debug)]
struct HeldLock {
    gateway: String,
    url: String,
    lock: Option<Lock>,
    /// Its file was removed, and the lock could not be taken again yet.
    is_lost: bool,
}

#[derive(Debug)]
struct Lock {
    file: File,
    path: PathBuf,
    /// None where the socket could not be bound.
    sign: Option<LockSocket>,
}

/// The socket that shows the lock to other users.
#[derive(Debug)]
struct LockSocket {
    listener: UnixListener,
    path: PathBuf,
}

/// Locks that were taken and are not yet among those of the daemon.
#[derive(Debug)]
pub(super) struct TakenLocks {
    new: BTreeMap<String, HeldLock>,
    /// Gateways that could not be locked, and why.
    unlocked: Vec<(String, String)>,
}

/// Locks all gateways whose locks are not `held` yet, or none of them. Blocks: the disk may be slow.
///
/// # Errors
/// With the first gateway that another daemon has locked.
pub(super) fn take_locks(
    dirs: &LockDirs,
    gateways: &[Gateway],
    held: &BTreeSet<String>,
) -> Result<TakenLocks, AlreadyLocked> {
    let mut taken = TakenLocks { new: BTreeMap::new(), unlocked: Vec::new() };
    for gateway in gateways {
        let (name, url) = (&gateway.name, &gateway.target.url);
        let file = file_name(url);
        if held.contains(&file) || taken.new.contains_key(&file) {
            continue;
        }
        let mut entry = HeldLock { gateway: name.clone(), url: url.to_string(), lock: None, is_lost: false };
        match lock(dirs, &file) {
            Ok(lock) => entry.lock = lock,
            Err(LockRefusal::Locked(pid)) => return Err(entry.locked_by(pid)),
            Err(LockRefusal::Impossible(fault)) => taken.unlocked.push((name.clone(), fault)),
        }
        taken.new.insert(file, entry);
    }
    Ok(taken)
}

impl GatewayLocks {
    /// No lock yet.
    pub(super) const fn new(dirs: LockDirs) -> Self {
        Self { dirs, held: BTreeMap::new() }
    }

    /// Where the locks are.
    pub(super) const fn dirs(&self) -> &LockDirs {
        &self.dirs
    }

    /// Locks all these gateways, or none that is not locked yet. Blocks.
    pub(super) fn acquire(&mut self, gateways: &[Gateway]) -> Result<(), AlreadyLocked> {
        let taken = take_locks(&self.dirs, gateways, &self.held())?;
        self.add(taken);
        Ok(())
    }

    /// The file names of the locks that are held.
    pub(super) fn held(&self) -> BTreeSet<String> {
        self.held.keys().cloned().collect()
    }

    /// Adds locks that were taken.
    pub(super) fn add(&mut self, mut taken: TakenLocks) {
        for (gateway, fault) in &taken.unlocked {
            unavailable(gateway, fault);
        }
        self.held.append(&mut taken.new);
    }

    /// Releases all gateways but these.
    pub(super) fn retain(&mut self, gateways: &[Gateway]) {
        let kept: Vec<String> = gateways.iter().map(|gateway| file_name(&gateway.target.url)).collect();
        self.held.retain(|file, _| kept.contains(file));
    }

    /// Whether the file of a lock is gone, so that another daemon could take the lock in its place.
    pub(super) fn is_lost(&self) -> bool {
        self.held.values().any(HeldLock::is_lost)
    }

    /// Takes every lost lock again.
    ///
    /// # Errors
    /// With the first gateway that cannot be locked, and the reason.
    pub(super) fn restore(&mut self) -> Result<(), (String, String)> {
        let mut outcome = Ok(());
        for (file, held) in self.held.iter_mut().filter(|(_, held)| held.is_lost()) {
            // The old lock would be in the way of the new one.
            (held.lock, held.is_lost) = (None, true);
            let fault = match lock(&self.dirs, file) {
                Ok(lock) => {
                    (held.lock, held.is_lost) = (lock, false);
                    continue;
                }
                Err(LockRefusal::Locked(pid)) => held.locked_by(pid).to_string(),
                Err(LockRefusal::Impossible(fault)) => fault,
            };
            outcome = outcome.and(Err((held.gateway.clone(), fault)));
        }
        outcome
    }

    /// Accepts and drops waiting connections, so that the queues of the sockets do not fill up.
    pub(super) fn drain(&self) {
        for sign in self.held.values().filter_map(|held| held.lock.as_ref()?.sign.as_ref()) {
            for _ in 0..DRAINED_AT_ONCE {
                if sign.listener.accept().is_err() {
                    break;
                }
            }
        }
    }
}

impl HeldLock {
    fn locked_by(&self, pid: Option<u32>) -> AlreadyLocked {
        AlreadyLocked {
            gateway: Some(self.gateway.clone()),
            what: format!("{} is already managed", self.url),
            process: pid.map(|pid| format!(" (process {pid})")).unwrap_or_default(),
            instead: "remove the gateway here",
        }
    }

    fn is_lost(&self) -> bool {
        self.is_lost || self.lock.as_ref().is_some_and(|lock| !lock.is_in_place())
    }
}

impl Lock {
    fn is_in_place(&self) -> bool {
        is_same(&self.path, self.file.metadata())
            && self.sign.as_ref().is_none_or(|sign| fs::symlink_metadata(&sign.path).is_ok())
    }
}

impl Drop for LockSocket {
    fn drop(&mut self) {
        // If it stays, the next daemon removes it.
        drop(fs::remove_file(&self.path));
    }
}

/// Whether `path` still names the file with this metadata.
pub(super) fn is_same(path: &Path, open: io::Result<fs::Metadata>) -> bool {
    let Ok((named, open)) = fs::symlink_metadata(path).and_then(|named| Ok((named, open?))) else { return false };
    (named.dev(), named.ino()) == (open.dev(), open.ino())
}

/// Logs that a gateway is managed without a lock.
pub(super) fn unavailable(gateway: &str, fault: &str) {
    warn!(
        event = event::LOCK_UNAVAILABLE,
        gateway,
        fault,
        "{gateway}: it cannot be locked, so a second tickled on this host would not be noticed: {fault}"
    );
}

enum LockRefusal {
    /// Another daemon holds it.
    Locked(Option<u32>),
    /// It cannot be taken, for this reason.
    Impossible(String),
}

/// Locks a gateway; without a directory of its own it only looks for the lock of another daemon.
fn lock(dirs: &LockDirs, name: &str) -> Result<Option<Lock>, LockRefusal> {
    for folder in &dirs.others {
        if let Some(pid) = holder(&sign_of(folder, name)) {
            return Err(LockRefusal::Locked(pid));
        }
    }
    let Some(own) = &dirs.own else { return Ok(None) };
    let path = own.join(name);
    let impossible = |error: io::Error| LockRefusal::Impossible(format!("{}: {error}", path.display()));
    let file = open(own, name).map_err(impossible)?;
    let socket = sign_of(own, name);
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(LockRefusal::Locked(holder(&socket).flatten())),
        Err(TryLockError::Error(error)) => return Err(impossible(error)),
    }
    let sign = bind_with_mode(&socket, 0o666).ok().map(|listener| LockSocket { listener, path: socket });
    Ok(Some(Lock { file, path, sign }))
}

/// Where the lock of that name in that folder is shown.
fn sign_of(folder: &Path, name: &str) -> PathBuf {
    folder.join(name).with_extension("sock")
}

/// The process that listens at a socket, if one does.
fn holder(socket: &Path) -> Option<Option<u32>> {
    match connect_at_once(socket) {
        Ok(socket) => Some(pid_behind(socket)),
        Err(error) => (error.kind() == io::ErrorKind::WouldBlock).then_some(None),
    }
}

fn pid_behind(socket: OwnedFd) -> Option<u32> {
    let stream = tokio::net::UnixStream::from_std(UnixStream::from(socket)).ok()?;
    stream.peer_cred().ok()?.pid()?.try_into().ok().filter(|pid| *pid > 0)
}

/// Opens the lock file. It must be a regular file of this user, in a directory that only this user can write. Follows
/// no link and does not wait for the other end of a pipe.
fn open(folder: &Path, name: &str) -> io::Result<File> {
    create_folder(folder, VISIBLE)?;
    let folder = File::open(folder)?;
    let (own, is) = (geteuid().as_raw(), folder.metadata()?);
    if is.uid() != own {
        return Err(io::Error::other(format!("its directory belongs to user {}, and tickled runs as {own}", is.uid())));
    }
    if is.mode() & 0o022 != 0 {
        return Err(io::Error::other("other users may write to its directory: `chmod go-w` it"));
    }
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(&folder, name, flags, Mode::RUSR | Mode::WUSR)?);
    let is = file.metadata()?;
    if !is.is_file() || is.uid() != own || is.nlink() != 1 {
        return Err(io::Error::other("it is not a regular file of our own: remove it"));
    }
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

/// The same for all ways to write a gateway's address that are the same port.
fn file_name(url: &GatewayUrl) -> String {
    let (host, port) = url.identity();
    let host: String = host.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' }).collect();
    format!("gateway-{host}-{port}.lock")
}

/// The outcome of waiting for another daemon to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LockWait {
    /// Everything is locked.
    Locked,
    /// A signal asked this daemon to end.
    Interrupted,
}

/// Locks everything with `acquire`, which is tried again while another daemon holds a lock.
///
/// On a terminal it does not wait. Under systemd, which would start the daemon again two seconds after each end, it
/// waits for a while, so that the restarts do not fill the journal.
///
/// # Errors
/// With the gateway that another daemon still has locked.
pub(super) async fn acquire_or_wait(
    mut acquire: impl FnMut() -> Result<(), AlreadyLocked>,
    notifier: &mut Notifier,
    signals: &mut Signals,
) -> Result<LockWait, AlreadyLocked> {
    let mut locked = match acquire() {
        Ok(()) => return Ok(LockWait::Locked),
        Err(locked) => locked,
    };
    if !notifier.has_manager() {
        return Err(locked);
    }
    let (gateway, fault) = (locked.gateway.as_deref(), locked.to_string());
    warn!(event = event::GATEWAY_LOCKED, gateway, fault, "{fault}; waiting for its end");
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        notifier.status(&format!("not started: {locked}"));
        tokio::select! {
            signal = signals.next() => match signal {
                Some(SIGTERM | SIGINT) | None => {
                    notifier.stopping();
                    return Ok(LockWait::Interrupted);
                }
                // There is nothing to check or to reload yet.
                Some(_) => {}
            },
            () = sleep(AGAIN) => match acquire() {
                Ok(()) => return Ok(LockWait::Locked),
                Err(still) => locked = still,
            },
        }
    }
    Err(locked)
}

/// How often it is tried.
const AGAIN: Duration = Duration::from_secs(1);
/// Well within the time that the unit gives a start.
const PATIENCE: Duration = Duration::from_secs(20);
/// Connections that are taken from a queue at once.
const DRAINED_AT_ONCE: usize = 64;
