//! Secrets of channels: read from a file when they are needed, and never shown.

use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{env, fs};

use secrecy::SecretString;

/// Where a secret stands: a path from the root, or the name of a credential that systemd hands over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SecretFile(PathBuf);

/// Why a secret cannot be had. Never shows it.
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
    /// It holds nothing, or more than one line.
    #[error("the secret in {} is not one line of text", .0.display())]
    NoLine(PathBuf),
}

impl SecretFile {
    pub(super) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Reads it, without the end of the line. Reads anew each time, so a changed secret needs no restart.
    pub(super) fn read(&self) -> Result<SecretString, Error> {
        let path = self.path()?;
        let refused = |reason| Error::Unreadable { path: path.clone(), reason };
        let mut text = String::new();
        fs::File::open(&path).and_then(|file| file.take(LONGEST).read_to_string(&mut text)).map_err(refused)?;
        let line = text.trim();
        if line.is_empty() || line.contains(['\n', '\r']) {
            return Err(Error::NoLine(path));
        }
        Ok(SecretString::from(line))
    }

    /// The same, while the loop goes on.
    pub(super) async fn load(&self) -> Result<SecretString, Error> {
        let own = self.clone();
        tokio::task::spawn_blocking(move || own.read()).await.unwrap_or_else(|error| {
            Err(Error::Unreadable { path: self.0.clone(), reason: io::Error::other(error.to_string()) })
        })
    }

    /// The file, if anybody on this host may read it.
    pub(super) fn exposed(&self) -> Option<PathBuf> {
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

const LONGEST: u64 = 8 * 1024;
const READABLE_BY_ALL: u32 = 0o004;
