//! When a human is to be notified of an incident, and what holds that back. Pure.

use std::time::Duration;

use jiff::Timestamp;

use super::clockwork::Moment;
use super::desk::{Desk, Incident, Reason};
use super::settings::Settings;
use super::{About, Code, Severity};
use crate::session::{Now, StateReason};

impl Desk {
    /// When a human is to be told of this incident next, and why then.
    pub(super) fn telling(&self, now: Now, about: &About, code: Code, incident: &Incident) -> Option<(Moment, Reason)> {
        let here = Moment::at(now.mono);
        let entry = code.entry();
        let seen = incident.seen?;
        if !incident.is_there() || self.is_consequence(about, code) {
            return None;
        }
        let (mut at, mut because) = match incident.told {
            // `unexplained` begins anew after each break. A fight that was given up is no flap: nobody takes the session back.
            None if entry.may_flap && !gave_up(incident) && self.is_flapping(about) => {
                (incident.unexplained.after(LONGEST_FLAP), Reason::HoldOff)
            }
            // What takes the place of another alert must be so without a break.
            None if self.replaces_any(about, code) => {
                (incident.unexplained.after(entry.hold_off).max(seen), Reason::HoldOff)
            }
            None => (incident.began.after(entry.hold_off).max(seen), Reason::HoldOff),
            Some(_) if incident.acknowledged || !entry.repeats => return None,
            Some(_) if !incident.remedies.contains(&incident.words.action) => (here, Reason::Repeat),
            Some(told) => (told.after(self.settings.repeat_every), Reason::Repeat),
        };
        let window = about.gateway().and_then(|gateway| self.windows.get(gateway));
        if let Some(until) = window.filter(|until| entry.waits_for_window && **until > at) {
            (at, because) = (*until, Reason::WindowEnd);
        }
        let wall = at.max(here).wall(now);
        if let Some(end) = end_of_quiet(&self.settings, incident.words.severity(code), wall) {
            (at, because) = (Moment::of(end, now), Reason::QuietEnd);
        }
        Some((at, because))
    }

    /// Whether a human was told of what this incident follows from, and it is still so.
    fn is_consequence(&self, about: &About, code: Code) -> bool {
        code.entry().depends_on.iter().any(|cause| {
            let cause = self.open.get(&(about.clone(), *cause));
            cause.is_some_and(|cause| cause.told.is_some() && cause.is_there())
        })
    }

    /// Whether the session of this gateway comes and goes: a human was told, or is not to know before the morning.
    fn is_flapping(&self, about: &About) -> bool {
        let flapping = self.open.get(&(about.clone(), Code::SessionFlapping));
        flapping.is_some_and(|incident| incident.told.is_some() || incident.is_there())
    }

    /// Whether a human was notified of something that is no longer so, and that this alert would replace.
    fn replaces_any(&self, about: &About, code: Code) -> bool {
        code.entry().replaces.iter().any(|other| {
            let other = self.open.get(&(about.clone(), *other));
            other.is_some_and(|other| other.told.is_some() && other.absent.is_some())
        })
    }

    /// Whether something is so that would replace this alert.
    pub(super) fn is_contradicted(&self, about: &About, code: Code) -> bool {
        let mut own = self.open.iter().filter(|((whose, _), incident)| whose == about && incident.is_there());
        own.any(|((_, other), _)| other.entry().replaces.contains(&code))
    }

    pub(super) fn next(&self, now: Now) -> (Moment, Reason) {
        let here = Moment::at(now.mono);
        let incidents = self.open.iter();
        let tellings = incidents.filter_map(|((about, code), incident)| self.telling(now, about, *code, incident));
        let held = self.held.iter().filter_map(|notice| end_of_quiet(&self.settings, notice.severity, now.wall));
        let held = held.map(|end| (Moment::of(end, now), Reason::QuietEnd));
        let wedges = self
            .open
            .values()
            .filter(|incident| incident.if_long.is_some() && incident.is_there())
            .map(|incident| (incident.unexplained.after(LONG), Reason::Wedged));
        let reminders = self.logins.values().filter_map(|login| login.remind);
        let reminders = reminders.map(|at| (Moment::of(at, now), Reason::Reminder));
        let all = tellings.chain(held).chain(wedges).chain(reminders);
        all.filter(|(at, _)| *at > here)
            .min_by_key(|(at, _)| *at)
            .unwrap_or_else(|| (here.after(LONGEST_SLEEP), Reason::Nothing))
    }
}

/// When the quiet hours end that hold this severity at `at`, if they do.
pub(super) fn end_of_quiet(settings: &Settings, severity: Severity, at: Timestamp) -> Option<Timestamp> {
    let quiet = settings.quiet.as_ref()?;
    quiet.end(at).filter(|_| quiet.severities.contains(&severity))
}

fn gave_up(incident: &Incident) -> bool {
    incident.words.reason == StateReason::Outfought.code()
}

/// How long IBKR must be unavailable without a break, outside of maintenance windows, before a human must act.
pub(super) const LONG: Duration = Duration::from_mins(30);
/// While the session flaps, what lasts longer than this is no flap.
const LONGEST_FLAP: Duration = Duration::from_mins(30);
/// The longest time between two looks at the desk.
const LONGEST_SLEEP: Duration = Duration::from_hours(24);
