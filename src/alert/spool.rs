//! What is kept of alerts across restarts: one small file in the state directory, replaced as a whole.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::keep::{Kept, KeptLetter};

/// Where the file is. Without a folder nothing is kept, and a restart may tell once more what was told.
#[derive(Debug, Clone, Default)]
pub struct Spool {
    folder: Option<PathBuf>,
}

/// What is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The version of this format.
    pub version: u32,
    /// The incidents.
    pub desk: Kept,
    /// What each channel has still to send, by its name.
    pub channels: BTreeMap<String, Vec<KeptLetter>>,
}

/// Why nothing was taken back from an earlier run.
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
    /// The file makes no sense; it was set aside.
    #[error("{} makes no sense ({reason}) and is set aside as {}", .file.display(), .aside.display())]
    SetAside {
        /// The file.
        file: PathBuf,
        /// Its new name.
        aside: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl Spool {
    /// A spool in this folder, or none.
    #[must_use]
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self { folder }
    }

    /// Whether anything is kept at all.
    #[must_use]
    pub fn keeps(&self) -> bool {
        self.folder.is_some()
    }

    /// What an earlier run kept.
    ///
    /// # Errors
    /// When there is something, and it cannot be used.
    pub fn load(&self) -> Result<State, LoadError> {
        let Some(file) = self.file() else { return Ok(State::default()) };
        let text = match fs::read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::default()),
            Err(reason) => return Err(LoadError::Unreadable { file, reason }),
        };
        let read = serde_json::from_slice::<State>(&text).map_err(|error| error.to_string());
        read.and_then(|state| match state.version {
            VERSION => Ok(state),
            other => Err(format!("version {other} is not known here")),
        })
        .map_err(|reason| {
            let aside = file.with_extension("json.bad");
            // If it cannot be moved it is overwritten: what it said is lost either way.
            drop(fs::rename(&file, &aside));
            LoadError::SetAside { file, aside, reason }
        })
    }

    /// Replaces what is kept. Blocks: the disk may be slow.
    ///
    /// # Errors
    /// When it cannot be written; what was kept before is still there.
    pub fn save(&self, state: &State) -> io::Result<()> {
        let (Some(folder), Some(file)) = (&self.folder, self.file()) else { return Ok(()) };
        let text = serde_json::to_vec(&State { version: VERSION, ..state.clone() })?;
        replace(folder, &file, &text)
    }

    fn file(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(NAME))
    }
}

/// Puts a file in the place of another, so that whatever happens one of the two is there as a whole.
fn replace(folder: &Path, file: &Path, text: &[u8]) -> io::Result<()> {
    let new = file.with_extension("json.new");
    let mut out = File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    out.write_all(text)?;
    out.sync_all()?;
    fs::rename(&new, file)?;
    File::open(folder)?.sync_all()
}

const NAME: &str = "alerts.json";
const VERSION: u32 = 1;
