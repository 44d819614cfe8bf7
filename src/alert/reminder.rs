//! The reminder that a login ends soon, once for each login. Pure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::settings::Settings;
use super::time::last;
use crate::session::Now;

/// The end of a login, and the reminder of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginReminder {
    /// When the login ends.
    ends: Timestamp,
    /// When to remind; `None` when the login was seen too late for that.
    remind: Option<Timestamp>,
    /// Whether a human was reminded.
    reminded: bool,
}

impl LoginReminder {
    /// The reminder of a login that ends at `ends`. A login that begins after the time of its reminder needs none.
    pub(super) fn new(ends: Timestamp, settings: &Settings, now: Now) -> Option<Self> {
        let latest = ends.saturating_sub(settings.remind_before).ok()?;
        let at = match settings.remind_at {
            Some(time) => last(time, &settings.zone, latest)?,
            None => latest,
        };
        Some(Self { ends, remind: Some(at).filter(|at| *at > now.wall), reminded: false })
    }

    /// Whether this is about a login that ends at `ends`.
    pub(super) fn is_about(&self, ends: Timestamp) -> bool {
        self.ends == ends
    }

    /// Whether the reminder applies now: from its time to the end of the login, and until a human was reminded, unless
    /// that alert `is_open`.
    pub(super) fn applies(&self, now: Now, is_live: bool, is_open: bool) -> bool {
        let is_time = self.remind.is_some_and(|at| at <= now.wall) && now.wall < self.ends;
        is_time && (is_open || (is_live && !self.reminded))
    }

    /// Records that a human was reminded.
    pub(super) fn done(&mut self) {
        self.reminded = true;
    }

    /// When to remind.
    pub(super) const fn remind_at(&self) -> Option<Timestamp> {
        self.remind
    }
}
