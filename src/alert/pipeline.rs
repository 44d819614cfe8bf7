//! The rules that decide when a human is notified, in the order of `docs/alerts.md`. Pure.

use std::time::Duration;

use jiff::Timestamp;

use super::annotations::Action;
use super::lifecycle::{Alert, AlertGroup, Stage};
use super::settings::Settings;
use super::time::Moment;
use super::{Code, Severity};
use crate::session::Now;

/// When something is due, and why then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) at: Moment,
    pub(super) reason: WakeReason,
}

/// Why the tracker will wake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WakeReason {
    /// A hold-off ends.
    HoldOff,
    /// An alert is repeated.
    Repeat,
    /// A maintenance window ends.
    WindowEnd,
    /// The quiet hours end.
    QuietEnd,
    /// A login ends soon.
    Reminder,
    /// A problem has lasted for long.
    Long,
    /// Nothing is due.
    Nothing,
}

/// An alert among the others of its subject, at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate<'a> {
    pub(super) settings: &'a Settings,
    pub(super) group: &'a AlertGroup<Moment>,
    pub(super) code: Code,
    pub(super) alert: &'a Alert<Moment>,
    pub(super) now: Now,
}

impl Candidate<'_> {
    /// When a human is notified of the alert next; `None` if nothing but a change of the alerts leads to that.
    pub(super) fn next_notification(&self) -> Option<Due> {
        let due = self.hold_off()?;
        let due = self.flap_damping(due);
        let due = self.inhibition(due)?;
        let due = self.maintenance_window(due);
        Some(self.quiet_hours(due))
    }

    /// A new alert waits for its hold-off. It is repeated after an interval, and at once for another action. An
    /// acknowledged one is not.
    fn hold_off(&self) -> Option<Due> {
        let entry = self.code.entry();
        let since = self.alert.since().filter(|_| self.alert.is_present())?;
        match &self.alert.stage {
            Stage::Unverified(_) => None,
            Stage::Pending { not_before } => {
                // An alert that replaces another one must be present without a break.
                let start = if self.group.replaces_another(self.code) { since } else { self.alert.started };
                Some(Due { at: start.after(entry.hold_off).max(*not_before), reason: WakeReason::HoldOff })
            }
            Stage::Firing(firing) => {
                // An acknowledged warning that becomes an error is news.
                let is_worse = self.alert.annotations.severity(self.code) > firing.worst;
                if !entry.repeats || (firing.acknowledged && !is_worse) {
                    return None;
                }
                let is_known = firing.actions.contains(&self.alert.annotations.action);
                let at = if is_known { firing.notified.after(self.settings.repeat_every) } else { self.here() };
                Some(Due { at, reason: WakeReason::Repeat })
            }
        }
    }

    /// While the session flaps, a part of that must last for long to become an alert of its own. A contest for the session
    /// that was given up is none: nothing restores the session then.
    fn flap_damping(&self, due: Due) -> Due {
        let is_part = self.code.entry().may_flap && self.alert.annotations.action != Action::LogOutElsewhere;
        match self.alert.since() {
            Some(since) if is_part && !self.alert.is_notified() && self.is_flapping() => {
                Due { at: due.at.max(since.after(LONGEST_FLAP)), ..due }
            }
            Some(_) | None => due,
        }
    }

    /// A consequence is held back while its cause is notified and present.
    fn inhibition(&self, due: Due) -> Option<Due> {
        let causes = self.code.entry().depends_on.iter().filter_map(|cause| self.group.alerts.get(cause));
        let is_inhibited = causes.into_iter().any(|cause| cause.is_notified() && cause.is_present());
        (!is_inhibited).then_some(due)
    }

    /// Most alerts wait for the end of a maintenance window.
    fn maintenance_window(&self, due: Due) -> Due {
        match self.group.mute_until.filter(|until| self.code.entry().waits_for_window && *until > due.at) {
            Some(at) => Due { at, reason: WakeReason::WindowEnd },
            None => due,
        }
    }

    /// Some severities wait for the end of the quiet hours.
    fn quiet_hours(&self, due: Due) -> Due {
        let wall = due.at.max(self.here()).wall(self.now);
        match quiet_end(self.settings, self.alert.annotations.severity(self.code), wall) {
            Some(end) => Due { at: Moment::of(end, self.now), reason: WakeReason::QuietEnd },
            None => due,
        }
    }

    /// Whether a human was notified that the session flaps, or will be.
    fn is_flapping(&self) -> bool {
        let flapping = self.group.alerts.get(&Code::SessionFlapping);
        flapping.is_some_and(|alert| alert.is_notified() || alert.is_present())
    }

    fn here(&self) -> Moment {
        Moment::at(self.now.mono)
    }
}

/// When the quiet hours end that hold this severity at `at`, if they do.
pub(super) fn quiet_end(settings: &Settings, severity: Severity, at: Timestamp) -> Option<Timestamp> {
    let quiet = settings.quiet.as_ref()?;
    quiet.end(at).filter(|_| quiet.severities.contains(&severity))
}

/// While the session flaps, a problem that lasts longer than this is not a part of that.
const LONGEST_FLAP: Duration = Duration::from_mins(30);
