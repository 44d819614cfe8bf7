//! Where the control socket is, and how a daemon comes by it.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use tokio::net::UnixListener;

/// What a daemon shows to others of this host is in here: in `$RUNTIME_DIRECTORY`, which systemd sets for
/// `RuntimeDirectory=`; else in the user's own; else, for root, in one beside the service's: that one is systemd's, which
/// empties it whenever the service ends, and with it what a daemon started by hand had there.
#[must_use]
pub fn own_folder() -> PathBuf {
    let runtime = env::var_os("RUNTIME_DIRECTORY").unwrap_or_default();
    let own = env::split_paths(&runtime).next().filter(|folder| folder.is_absolute());
    own.unwrap_or_else(|| of_user().unwrap_or_else(by_hand))
}

/// Where other daemons show themselves: the user's own, then root's by hand, then the service's.
pub fn common_folders() -> impl Iterator<Item = PathBuf> {
    of_user().into_iter().chain([by_hand(), of_service()])
}

/// Where this process would open its own socket.
#[must_use]
pub fn default_socket() -> PathBuf {
    own_folder().join(NAME)
}

/// Where a daemon may be found, in this order: where `$TICKLED_SOCKET` says, and nowhere else then; in
/// [`common_folders`].
#[must_use]
pub fn sockets() -> Vec<PathBuf> {
    if let Some(said) = env::var_os("TICKLED_SOCKET").filter(|said| !said.is_empty()) {
        return vec![said.into()];
    }
    common_folders().map(|folder| folder.join(NAME)).collect()
}

fn of_user() -> Option<PathBuf> {
    let folder = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|folder| folder.is_absolute())?;
    Some(folder.join("tickled"))
}

fn of_service() -> PathBuf {
    PathBuf::from("/run/tickled")
}

fn by_hand() -> PathBuf {
    PathBuf::from("/run/tickled-by-hand")
}

/// Opens the socket for the daemon's user and group. What a dead daemon left there is cleared away. Blocks for a moment.
///
/// # Errors
/// When another daemon answers there, or the place cannot be written.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    if UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another tickled answers there"));
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

const NAME: &str = "control.sock";
