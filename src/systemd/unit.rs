//! Reads how a gateway's own unit ended, from the file that its `ExecStopPost=` writes.
//!
//! systemd cannot be asked directly: the daemon runs as a dynamic user, and the D-Bus daemon closes the connection of a
//! user that it does not know.

use std::fs;
use std::path::Path;

/// A unit that is down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitDown {
    /// Its name.
    pub unit: String,
    /// How it ended.
    pub how: How,
}

/// How a unit ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// With a fault.
    Failed {
        /// systemd's name for it: `exit-code`, `signal`, `oom-kill`.
        result: String,
    },
    /// It was stopped.
    Stopped,
}

/// The directory of the result files: one per unit that has ended, with its `$SERVICE_RESULT`.
pub const ENDED: &str = "/run/tickled-units";

/// Reads how the unit ended. `None` if it runs, or writes no result file.
pub async fn ask(unit: &str) -> Option<UnitDown> {
    let path = Path::new(ENDED).join(unit);
    let result = tokio::task::spawn_blocking(move || fs::read_to_string(path)).await.ok()?.ok()?;
    read(unit, &result)
}

/// Interprets a result.
#[must_use]
pub fn read(unit: &str, result: &str) -> Option<UnitDown> {
    let result = result.trim();
    let is_word = (1..=LONGEST).contains(&result.len()) && result.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    let how = match result {
        _ if !is_word => return None,
        "success" => How::Stopped,
        result => How::Failed { result: result.to_owned() },
    };
    Some(UnitDown { unit: unit.to_owned(), how })
}

impl UnitDown {
    /// A stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self.how {
            How::Failed { .. } => "unit-failed",
            How::Stopped => "unit-stopped",
        }
    }

    /// A description, as part of a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let unit = &self.unit;
        match &self.how {
            How::Failed { result } => format!("its unit {unit} has failed ({result})"),
            How::Stopped => format!("its unit {unit} is stopped"),
        }
    }
}

const LONGEST: usize = 32;
