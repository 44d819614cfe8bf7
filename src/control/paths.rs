//! Where the control socket is, how a daemon binds it, and how a socket is probed without waiting.

use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::{env, fs, io};

use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::{geteuid, umask};
use tokio::net::UnixListener;

/// Runtime directory: `$RUNTIME_DIRECTORY`, else the user's, else `/run/tickled-by-hand` for root. Not `/run/tickled`:
/// systemd deletes that when the service stops.
#[must_use]
pub fn own_folder() -> PathBuf {
    let runtime = env::var_os("RUNTIME_DIRECTORY").unwrap_or_default();
    let own = env::split_paths(&runtime).next().filter(|folder| folder.is_absolute());
    own.unwrap_or_else(|| of_user().unwrap_or_else(by_hand))
}

/// Runtime directories of other daemons: the user's own, then root's, then the service's.
pub fn common_folders() -> impl Iterator<Item = PathBuf> {
    of_user().into_iter().chain([by_hand(), of_service()])
}

/// Where this process opens its own socket.
#[must_use]
pub fn default_socket() -> PathBuf {
    own_folder().join(NAME)
}

/// Where to look for a daemon, in order: only `$TICKLED_SOCKET` if it is set, else [`common_folders`].
#[must_use]
pub fn sockets() -> Vec<PathBuf> {
    if let Some(socket) = env::var_os("TICKLED_SOCKET").filter(|socket| !socket.is_empty()) {
        return vec![socket.into()];
    }
    common_folders().map(|folder| folder.join(NAME)).collect()
}

fn of_user() -> Option<PathBuf> {
    Some(user_folder()?.join("tickled"))
}

/// `$XDG_RUNTIME_DIR`, unless it belongs to another user, as it does for root after `su` or `sudo -E`: that user could
/// place links there.
#[must_use]
pub fn user_folder() -> Option<PathBuf> {
    let folder = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|folder| folder.is_absolute())?;
    let is_own = fs::metadata(&folder).is_ok_and(|folder| folder.uid() == geteuid().as_raw());
    is_own.then_some(folder)
}

fn of_service() -> PathBuf {
    PathBuf::from("/run/tickled")
}

fn by_hand() -> PathBuf {
    PathBuf::from("/run/tickled-by-hand")
}

/// Creates a runtime directory that only its owner can write, whatever the umask. One that exists stays as it is.
///
/// # Errors
/// When it cannot be created.
pub fn create_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(folder)
}

/// Connects to a Unix socket without waiting. `WouldBlock` means that a process listens there and that its queue of
/// connections is full: it is stopped or hangs.
///
/// # Errors
/// When nothing listens there, the socket must not be used, or the queue is full.
pub fn connect_at_once(path: &Path) -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

/// Binds a Unix socket with exactly these permissions from its first moment on. What a dead process left at `path` is
/// removed.
///
/// # Errors
/// When a process listens there, or the socket cannot be created.
pub fn bind_with_mode(path: &Path, mode: u32) -> io::Result<std::os::unix::net::UnixListener> {
    let is_taken = match connect_at_once(path) {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    };
    if is_taken {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another tickled answers there"));
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    // `chmod` afterwards would leave a moment in which others may connect, and would follow a link.
    // The mask is that of the whole process: one socket after the other.
    let one = UMASK.lock().unwrap_or_else(PoisonError::into_inner);
    let before = umask(Mode::from_raw_mode(!mode & 0o777));
    let bound = std::os::unix::net::UnixListener::bind(path);
    umask(before);
    drop(one);
    let listener = bound?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Opens the control socket for the daemon's user and group.
///
/// # Errors
/// When another daemon answers there, or the socket cannot be created.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        create_folder(folder)?;
    }
    UnixListener::from_std(bind_with_mode(path, 0o660)?)
}

static UMASK: Mutex<()> = Mutex::new(());
const NAME: &str = "control.sock";
