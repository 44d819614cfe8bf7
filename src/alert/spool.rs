//! The persisted state of alerts: one small file in the state directory, replaced as a whole.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use super::lifecycle::Persisted;
use super::outbox::PersistedMessage;
use crate::atomic_file::{AtomicFile, LoadError};

/// The file. Without a directory nothing is kept, and a restart may repeat notifications.
#[derive(Debug, Clone, Default)]
pub struct Spool {
    file: Option<AtomicFile>,
}

/// The content of the spool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpoolContent {
    /// The state of the tracker.
    pub alerts: Persisted,
    /// The unsent messages of each channel, by its name.
    pub channels: BTreeMap<String, Vec<PersistedMessage>>,
    /// Names this daemon in the ids of alerts, whatever its host is called.
    #[serde(default)]
    pub instance: String,
}

impl Spool {
    /// A spool in this folder, or none.
    #[must_use]
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self { file: folder.map(|folder| AtomicFile::new(&folder, NAME, VERSION)) }
    }

    /// Whether anything is kept at all.
    #[must_use]
    pub fn keeps(&self) -> bool {
        self.file.is_some()
    }

    /// Returns what an earlier run kept.
    ///
    /// # Errors
    /// When there is something, and it cannot be used.
    pub fn load(&self) -> Result<SpoolContent, LoadError> {
        self.file.as_ref().map_or_else(|| Ok(SpoolContent::default()), AtomicFile::load)
    }

    /// A name for this daemon where none was kept: random where it can be kept, and else the host's name.
    #[must_use]
    pub fn new_instance(&self, host: &str) -> String {
        let mut bytes = [0_u8; 8];
        match SystemRandom::new().fill(&mut bytes) {
            Ok(()) if self.keeps() => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            Ok(()) | Err(_) => host.to_owned(),
        }
    }

    /// Writes the state. Blocks: the disk may be slow.
    ///
    /// # Errors
    /// When it cannot be written; the earlier content is still there.
    pub fn save(&self, state: &SpoolContent) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| file.save(state))
    }
}

const NAME: &str = "alerts.json";
const VERSION: u32 = 1;
