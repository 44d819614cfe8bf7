//! Where the control socket is, how a daemon binds it, and how a socket is probed without waiting.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::{env, fs, io};

use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::umask;
use tokio::net::UnixListener;

use crate::directories::{Directories, VISIBLE, create_folder};

/// The control socket in a runtime directory.
#[must_use]
pub fn socket_in(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

/// Where to look for a daemon, in order: only `$TICKLED_SOCKET` if it is set.
#[must_use]
pub fn sockets(directories: &Directories) -> Vec<PathBuf> {
    if let Some(socket) = env::var_os("TICKLED_SOCKET").filter(|socket| !socket.is_empty()) {
        return vec![socket.into()];
    }
    directories.runtimes().iter().map(|folder| socket_in(folder)).collect()
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
        create_folder(folder, VISIBLE)?;
    }
    UnixListener::from_std(bind_with_mode(path, 0o660)?)
}

static UMASK: Mutex<()> = Mutex::new(());
const NAME: &str = "control.sock";
