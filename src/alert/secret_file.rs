//! Secrets of channels: read from a file when they are needed, and never shown.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{env, fs};

use secrecy::SecretString;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::settings::{ChannelKind, Settings, Url, WebhookSettings};

/// Where a secret is: an absolute path, or the name of a credential that systemd passes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SecretFile(PathBuf);

/// Why a secret cannot be read. Never shows it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// A credential by its name, and no folder of credentials.
    #[error("there is no credential {}: the daemon was started without LoadCredential=, or by hand", .0.display())]
    NoCredentials(PathBuf),
    /// The file cannot be read.
    #[error("the secret in {} cannot be read: {reason}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: io::Error,
    },
    /// It is empty, or more than one line.
    #[error("the secret in {} is not one line of text", .0.display())]
    NoLine(PathBuf),
}

impl SecretFile {
    pub(super) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Reads it, without the end of the line, a byte order mark and quotes around it. Reads it anew each time, so that
    /// a changed secret needs no restart. Blocks while the disk is slow.
    pub(super) fn read(&self) -> Result<SecretString, Error> {
        let path = self.path()?;
        let text = read_file(&path).map_err(|reason| Error::Unreadable { path: path.clone(), reason })?;
        let line = text.trim_start_matches('\u{feff}').trim();
        let unquoted = ['"', '\''].iter().find_map(|quote| line.strip_prefix(*quote)?.strip_suffix(*quote));
        let line = unquoted.unwrap_or(line);
        if line.is_empty() || line.contains(char::is_control) {
            return Err(Error::NoLine(path));
        }
        Ok(SecretString::from(line))
    }

    /// Reads it without blocking the loop, in a limited time.
    pub(super) async fn load(&self) -> Result<SecretString, Error> {
        let own = self.clone();
        bounded(&self.0, move || own.read())
            .await
            .unwrap_or_else(|reason| Err(Error::Unreadable { path: self.0.clone(), reason }))
    }

    /// The file, if every user of this host may read it.
    fn world_readable(&self) -> Option<PathBuf> {
        let path = self.path().ok()?;
        let mode = fs::metadata(&path).ok()?.permissions().mode();
        (mode & READABLE_BY_ALL != 0).then_some(path)
    }

    fn path(&self) -> Result<PathBuf, Error> {
        if self.0.is_absolute() {
            return Ok(self.0.clone());
        }
        let folder = env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| Error::NoCredentials(self.0.clone()))?;
        Ok(Path::new(&folder).join(&self.0))
    }
}

/// Returns the files with a secret that every user of this host may read. Blocks while the disk is slow.
#[must_use]
pub fn world_readable_secrets(settings: &Settings) -> Vec<PathBuf> {
    let channels = settings.channels.iter().flat_map(|channel| match &channel.kind {
        ChannelKind::Webhook(WebhookSettings { url: Url::File(url), token_file, .. }) => {
            vec![Some(url), token_file.as_ref()]
        }
        ChannelKind::Webhook(webhook) => vec![webhook.token_file.as_ref()],
        ChannelKind::Email(email) => vec![email.password_file.as_ref()],
        ChannelKind::Command(_) => Vec::new(),
    });
    let deadman = settings.deadman.as_ref().map(|deadman| &deadman.url_file);
    channels.flatten().chain(deadman).filter_map(|path| SecretFile::new(path).world_readable()).collect()
}

/// Whether the file holds a secret that can be used.
///
/// # Errors
/// When it cannot be read, or is not one line of text; without showing it.
pub fn check_secret(path: &Path) -> Result<(), String> {
    SecretFile::new(path).read().map(drop).map_err(|error| error.to_string())
}

/// Reads a small file. A pipe or a device is refused: reading it could block.
fn read_file(path: &Path) -> io::Result<String> {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = fs::File::options().read(true).custom_flags(nonblocking).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut text = String::new();
    file.take(LONGEST + 1).read_to_string(&mut text)?;
    if u64::try_from(text.len()).is_ok_and(|length| length > LONGEST) {
        return Err(io::Error::other(format!("it is longer than {LONGEST} bytes")));
    }
    Ok(text)
}

/// Runs `work`, which reads `file`, on a thread of its own. It may take a while; one that never ends occupies that one
/// thread, and further work with the same file starts none.
pub(super) async fn bounded<T: Send + 'static>(
    file: &Path,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let busy = || io::Error::other("it does not answer: the disk or the network behind it hangs");
    let task = async {
        let reading = loop {
            match SecretRead::begin(file) {
                Some(reading) => break reading,
                None => sleep(LOOK_AGAIN).await,
            }
        };
        let work = move || {
            let result = work();
            drop(reading);
            result
        };
        spawn_blocking(work).await
    };
    match timeout(READ_WITHIN, task).await {
        Ok(result) => result.map_err(|error| io::Error::other(error.to_string())),
        Err(_) => Err(busy()),
    }
}

/// The files that are being read, by whichever channel.
static BUSY: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

struct SecretRead(PathBuf);

impl SecretRead {
    fn begin(file: &Path) -> Option<Self> {
        let mut busy = BUSY.lock().unwrap_or_else(PoisonError::into_inner);
        busy.insert(file.to_owned()).then(|| Self(file.to_owned()))
    }
}

impl Drop for SecretRead {
    fn drop(&mut self) {
        BUSY.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

const LONGEST: u64 = 8 * 1024;
const READABLE_BY_ALL: u32 = 0o004;
/// Only a disk that hangs takes longer.
const READ_WITHIN: Duration = Duration::from_secs(5);
/// How often a reader looks whether another one has finished with the file.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
