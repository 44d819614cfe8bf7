//! A small JSON file that outlives the process: replaced as a whole, and renamed if it cannot be understood.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The file, and the version of its contents. Every call blocks: the disk may be slow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtomicFile {
    file: PathBuf,
    version: u32,
}

/// Why the state of an earlier run could not be restored.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("{} cannot be read: {reason}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why not.
        reason: io::Error,
    },
    /// The file cannot be understood; it was renamed.
    #[error("{} makes no sense ({reason}) and is set aside as {}", .file.display(), .aside.display())]
    SetAside {
        /// The file.
        file: PathBuf,
        /// Its new name.
        aside: PathBuf,
        /// The fault in it.
        reason: String,
    },
}

impl AtomicFile {
    /// The file with that name in `folder`. It need not exist.
    #[must_use]
    pub fn new(folder: &Path, name: &str, version: u32) -> Self {
        Self { file: folder.join(name), version }
    }

    /// Restores the value of an earlier run. `None` if there is none.
    ///
    /// # Errors
    /// When there is a file, and it cannot be used.
    pub fn load<T: DeserializeOwned + Default>(&self) -> Result<T, LoadError> {
        let file = self.file.clone();
        let text = match read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(T::default()),
            Err(reason) => return Err(LoadError::Unreadable { file, reason }),
        };
        self.read(&text).map_err(|reason| {
            let aside = with_more(&file, ".bad");
            // If it cannot be renamed it is overwritten: its contents are lost either way.
            drop(fs::rename(&file, &aside));
            LoadError::SetAside { file, aside, reason }
        })
    }

    fn read<T: DeserializeOwned>(&self, text: &[u8]) -> Result<T, String> {
        let mut fields: Map<String, Value> = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let version = fields.remove(VERSION).unwrap_or_default();
        if version != self.version {
            return Err(format!("version {version} is not known here"));
        }
        serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())
    }

    /// Replaces the file. `value` is written as a JSON object, with the version among its fields.
    ///
    /// # Errors
    /// When it cannot be written; the earlier contents are kept.
    pub fn save<T: Serialize>(&self, value: &T) -> io::Result<()> {
        let mut value = serde_json::to_value(value)?;
        if let Value::Object(fields) = &mut value {
            fields.insert(VERSION.to_owned(), self.version.into());
        }
        replace(&self.file, value.to_string().as_bytes())
    }
}

/// Replaces `file` atomically: after a crash it has either the old or the new contents.
///
/// # Errors
/// When it cannot be written; the earlier contents are kept.
pub fn replace(file: &Path, text: &[u8]) -> io::Result<()> {
    let new = with_more(file, ".new");
    // A leftover file, or a link in its place, is not written through.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut out = File::options().write(true).create_new(true).mode(0o600).open(&new)?;
    out.write_all(text)?;
    out.sync_all()?;
    fs::rename(&new, file)?;
    file.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Reads a whole file. Follows no link, and does not wait for the other end of a pipe.
///
/// # Errors
/// When it cannot be read, or is not a regular file.
pub fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(File::options().read(true), file)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens a regular file. Follows no link, and does not wait for the other end of a pipe.
///
/// # Errors
/// When it cannot be opened, or is not a regular file.
pub fn open(options: &mut OpenOptions, file: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = options.custom_flags(flags.bits().cast_signed()).open(file)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    Ok(file)
}

fn with_more(file: &Path, more: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(more);
    name.into()
}

const VERSION: &str = "version";
