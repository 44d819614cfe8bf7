//! How each gateway was when last seen, and its pause: one small file, replaced as a whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Light, replace};
use crate::session::State;
use crate::status::Snapshot;

/// What a daemon remembers of an earlier one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// The version of this format.
    version: u32,
    /// When the daemon was last at work.
    pub seen: Option<Timestamp>,
    /// The gateways, by name.
    pub gateways: BTreeMap<String, Remembered>,
}

/// What is remembered of one gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remembered {
    /// Its state.
    pub state: Light,
    /// Why it was in it.
    pub because: String,
    /// Since when.
    pub since: Timestamp,
    /// While it is paused: when the pause ends by itself, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// Why nothing is remembered.
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

impl Memory {
    /// Nothing but that the daemon is at work.
    #[must_use]
    pub fn seen_at(now: Timestamp) -> Self {
        Self { seen: Some(now), ..Self::default() }
    }

    /// What stands in `folder`; nothing if nothing does. Blocks.
    ///
    /// # Errors
    /// When there is something, and it cannot be used.
    pub fn load(folder: &Path) -> Result<Self, LoadError> {
        let file = folder.join(NAME);
        let text = match fs::read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(reason) => return Err(LoadError::Unreadable { file, reason }),
        };
        let read = serde_json::from_slice::<Self>(&text).map_err(|error| error.to_string());
        read.and_then(|memory| match memory.version {
            VERSION => Ok(memory),
            other => Err(format!("version {other} is not known here")),
        })
        .map_err(|reason| {
            let aside = file.with_extension("json.bad");
            // If it cannot be moved it is overwritten: what it said is lost either way.
            drop(fs::rename(&file, &aside));
            LoadError::SetAside { file, aside, reason }
        })
    }

    /// Replaces what stands in `folder`. Blocks.
    ///
    /// # Errors
    /// When it cannot be written; what stood there before still does.
    pub fn save(&self, folder: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(&Self { version: VERSION, ..self.clone() })?;
        replace(&folder.join(NAME), &text)
    }

    /// The pause that this gateway is still in: when it ends, if it ends by itself.
    #[must_use]
    pub fn pause(&self, gateway: &str, now: Timestamp) -> Option<Option<Timestamp>> {
        let remembered = self.gateways.get(gateway)?;
        let lasts = remembered.until.is_none_or(|until| until > now);
        (remembered.state == Light::Paused && lasts).then_some(remembered.until)
    }
}

impl From<&Snapshot> for Remembered {
    fn from(snapshot: &Snapshot) -> Self {
        let until = match snapshot.state {
            State::Paused { until } => until,
            State::Starting
            | State::Live
            | State::Recovering { .. }
            | State::Contested
            | State::Unavailable(_)
            | State::LoginRequired(_) => None,
        };
        Self {
            state: snapshot.state.into(),
            because: snapshot.because.code().to_owned(),
            since: snapshot.since.wall,
            until,
        }
    }
}

const NAME: &str = "state.json";
const VERSION: u32 = 1;
