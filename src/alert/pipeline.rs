//! The rules that decide when a human is notified, in the order of `docs/alerts.md`. Pure.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Code;
use super::annotations::Action;
use super::lifecycle::{Alert, AlertGroup, Firing, Stage};
use super::notice::{AlertPhase, Audience, Who};
use super::settings::{Settings, is_exempt};
use super::time::Moment;
use crate::session::Now;
use crate::text::short_clock;

/// When something is due, and why then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) at: Moment,
    pub(super) reason: AlertWakeReason,
}

/// Why the tracker will wake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertWakeReason {
    /// A hold-off ends.
    HoldOff,
    /// The session flaps, and this has lasted for so long that it is not a part of that.
    Flapping,
    /// An alert is repeated.
    Repeat,
    /// An alert goes to further channels.
    Escalation,
    /// A maintenance window ends.
    WindowEnd,
    /// The hours of the human begin.
    HoursStart,
    /// The deadline of the day, or the proof before it.
    Deadline,
    /// A problem has lasted for long.
    Long,
    /// Nothing is due.
    Nothing,
}

/// Why an alert is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldBy {
    /// Its gateway was not checked since the daemon started.
    Unverified,
    /// The problem may pass.
    HoldOff,
    /// It is part of `session-flapping`.
    Flapping,
    /// It follows from this alert, which is open.
    Cause(Code),
    /// A maintenance window.
    Window,
    /// The hours of the human.
    Hours,
    /// A human has acknowledged it.
    Acknowledged,
}

/// That an alert is not sent, why, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Why.
    pub by: HeldBy,
    /// Until when, where the clock decides.
    pub until: Option<Timestamp>,
}

impl HeldBy {
    /// Its stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unverified => "unverified",
            Self::HoldOff => "hold-off",
            Self::Flapping => "flapping",
            Self::Cause(_) => "inhibited",
            Self::Window => "window",
            Self::Hours => "hours",
            Self::Acknowledged => "acknowledged",
        }
    }

    /// The reason in words.
    #[must_use]
    pub fn reason(self) -> String {
        match self {
            Self::Unverified => "the gateway was not checked yet".to_owned(),
            Self::HoldOff => "it may pass by itself".to_owned(),
            Self::Flapping => "part of session-flapping".to_owned(),
            Self::Cause(code) => format!("{code} is open"),
            Self::Window => "IBKR maintenance window".to_owned(),
            Self::Hours => "outside your hours".to_owned(),
            Self::Acknowledged => ACKNOWLEDGED.to_owned(),
        }
    }
}

impl Held {
    /// `held until 03:10 EST: IBKR maintenance window`.
    pub(super) fn sentence(self, zone: &TimeZone, now: Timestamp) -> String {
        held_text(&self.by.reason(), self.until, zone, now)
    }
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
        if self.open_cause().is_some() {
            return None;
        }
        // The end of a window may lie outside of the hours, and their beginning in a window.
        Some((0..ROUNDS).fold(due, |due, _| self.hours(self.maintenance_window(due))))
    }

    /// Why the alert is not sent now, if it is not.
    pub(super) fn held(&self) -> Option<Held> {
        let until = |due: Due| Some(due.at.wall(self.now));
        let (by, until) = match &self.alert.stage {
            Stage::Unverified(None) => (HeldBy::Unverified, None),
            Stage::Firing(firing) | Stage::Unverified(Some(firing)) => {
                firing.acknowledged.filter(|_| !self.is_worse(firing))?;
                (HeldBy::Acknowledged, self.next_notification().and_then(until))
            }
            Stage::Pending { .. } => match (self.open_cause(), self.next_notification()) {
                (Some(cause), _) => (HeldBy::Cause(cause), None),
                (None, None) => return None,
                (None, Some(due)) => {
                    let known = [
                        (AlertWakeReason::Flapping, HeldBy::Flapping),
                        (AlertWakeReason::WindowEnd, HeldBy::Window),
                        (AlertWakeReason::HoursStart, HeldBy::Hours),
                    ];
                    let by = known.into_iter().find(|(reason, _)| *reason == due.reason);
                    (by.map_or(HeldBy::HoldOff, |(_, by)| by), until(due))
                }
            },
        };
        Some(Held { by, until })
    }

    /// Whether the alert is past its hold-off, so that something else holds it.
    pub(super) fn is_past_hold_off(&self) -> bool {
        self.alert.is_notified() || self.hold_off().is_some_and(|due| due.at <= self.here())
    }

    /// A new alert waits for its hold-off. It is repeated after an interval, before a deadline, and at once for another
    /// action. An acknowledged one is not.
    fn hold_off(&self) -> Option<Due> {
        let since = self.alert.since().filter(|_| self.alert.is_present())?;
        match &self.alert.stage {
            Stage::Unverified(_) => None,
            Stage::Pending { not_before } => {
                // An alert that replaces another one must be present without a break.
                let start = if self.group.replaces_another(self.code) { since } else { self.alert.started };
                let at = start.after(self.code.entry().hold_off).max(*not_before);
                Some(Due { at, reason: AlertWakeReason::HoldOff })
            }
            Stage::Firing(firing) => {
                let due = |at, reason| Due { at, reason };
                // An acknowledgement lasts until the human is called again: on the next day with a deadline.
                if let Some(at) = firing.acknowledged.filter(|_| !self.is_worse(firing)) {
                    return self.next_morning(at).map(|at| due(at, AlertWakeReason::Repeat));
                }
                let repeat = self.repeat_at(firing).map(|at| due(at, AlertWakeReason::Repeat));
                let escalation = self.escalation_at(firing).map(|at| due(at, AlertWakeReason::Escalation));
                repeat.into_iter().chain(escalation).min_by_key(|due| due.at)
            }
        }
    }

    /// When the alert is sent again to the channels that have it.
    pub(super) fn repeat_at(&self, firing: &Firing<Moment>) -> Option<Moment> {
        if !self.code.entry().repeats {
            return None;
        }
        if !firing.actions.contains(&self.alert.annotations.action) {
            return Some(self.here());
        }
        let at = firing.notified.after(self.settings.repeat_every);
        Some(self.next_call(firing.notified).map_or(at, |call| call.min(at)))
    }

    /// When the alert is sent to further channels.
    pub(super) fn escalation_at(&self, firing: &Firing<Moment>) -> Option<Moment> {
        let levels = self.settings.channels.iter().map(|channel| channel.after);
        levels.filter(|after| *after > firing.escalated).min().map(|after| firing.raised.after(after))
    }

    /// The first call before a deadline that comes after `since`, if the session is what the deadline is about.
    fn next_call(&self, since: Moment) -> Option<Moment> {
        let is_own = self.code == Code::NotReady;
        if !is_own && !Code::NotReady.entry().replaces.contains(&self.code) {
            return None;
        }
        let since = since.wall(self.now);
        let hours = self.settings.hours.as_ref().filter(|hours| hours.ready_by.is_some())?;
        let mut period = hours.next(since)?;
        loop {
            let deadline = period.deadline.filter(|_| is_own);
            if let Some(call) = period.calls().chain(deadline).find(|call| *call > since) {
                return Some(Moment::of(call, self.now));
            }
            period = hours.next(period.end)?;
        }
    }

    /// The start of the first period with a deadline after `since`.
    fn next_morning(&self, since: Moment) -> Option<Moment> {
        let hours = self.settings.hours.as_ref().filter(|hours| hours.ready_by.is_some())?;
        let since = since.wall(self.now);
        let period = hours.next(since)?;
        let period = if period.start > since { period } else { hours.next(period.end)? };
        Some(Moment::of(period.start, self.now))
    }

    /// An acknowledged warning that becomes an error is news.
    fn is_worse(&self, firing: &Firing<Moment>) -> bool {
        self.alert.annotations.severity(self.code) > firing.worst
    }

    /// While the session flaps, a part of that must last for long to become an alert of its own. A contest for the
    /// session that was given up is none: nothing restores the session then.
    fn flap_damping(&self, due: Due) -> Due {
        let is_part = self.code.entry().may_flap && self.alert.annotations.action != Action::LogOutElsewhere;
        let since = self.alert.since().filter(|_| is_part && !self.alert.is_notified() && self.is_flapping());
        match since.map(|since| since.after(LONGEST_FLAP)).filter(|at| *at > due.at) {
            Some(at) => Due { at, reason: AlertWakeReason::Flapping },
            None => due,
        }
    }

    /// The cause of this alert that is notified and present. A consequence is held back meanwhile.
    fn open_cause(&self) -> Option<Code> {
        let is_open =
            |cause: &Code| self.group.alerts.get(cause).is_some_and(|alert| alert.is_notified() && alert.is_present());
        self.code.entry().depends_on.iter().copied().find(is_open)
    }

    /// Most alerts wait for the end of a maintenance window.
    fn maintenance_window(&self, due: Due) -> Due {
        let is_held = self.code.entry().waits_for_window
            && !is_exempt(&self.settings.in_window, self.code, self.alert.annotations.severity(self.code));
        let place = self.group.last.as_ref().and_then(|last| last.place.as_ref()).filter(|_| is_held);
        match place.and_then(|place| place.hold_until(self.wall_of(due))) {
            Some(end) => Due { at: Moment::of(end, self.now), reason: AlertWakeReason::WindowEnd },
            None => due,
        }
    }

    /// Most alerts wait for the hours of the human.
    fn hours(&self, due: Due) -> Due {
        let severity = self.alert.annotations.severity(self.code);
        match self.settings.held_until(self.code, severity, self.wall_of(due)) {
            Some(start) => Due { at: Moment::of(start, self.now), reason: AlertWakeReason::HoursStart },
            None => due,
        }
    }

    /// When it would be sent, by the wall clock.
    fn wall_of(&self, due: Due) -> Timestamp {
        due.at.max(self.here()).wall(self.now)
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

/// What a due alert needs: a first notification, a repeat, or further channels.
pub(super) struct NotificationStep {
    is_repeat: bool,
    is_escalation: bool,
    /// The longest `after` that has passed since the first notification.
    upto: Duration,
}

impl NotificationStep {
    pub(super) fn of(candidate: &Candidate<'_>, here: Moment) -> Self {
        let firing = candidate.alert.firing();
        let is_due = |at: Option<Moment>| at.is_some_and(|at| at <= here);
        let levels = candidate.settings.channels.iter().map(|channel| channel.after);
        let upto = firing.map(|firing| {
            levels.filter(|after| firing.raised.after(*after) <= here).max().unwrap_or_default().max(firing.escalated)
        });
        let is_escalation = firing.is_some_and(|firing| is_due(candidate.escalation_at(firing)));
        let is_repeat = firing.is_none_or(|firing| !is_escalation || is_due(candidate.repeat_at(firing)));
        Self { is_repeat, is_escalation, upto: upto.unwrap_or_default() }
    }

    /// Records the step. Returns the phase of its notice, and who gets it.
    pub(super) fn take(self, alert: &mut Alert<Moment>, here: Moment, code: Code) -> (AlertPhase, Audience) {
        let before = alert.firing().map(|firing| firing.escalated);
        let phase = if self.is_repeat { alert.notify(here, code) } else { AlertPhase::Repeated };
        alert.escalated(self.upto);
        let above = before.filter(|_| self.is_escalation && !self.is_repeat);
        (phase, Audience { above, upto: self.upto, who: Who::All })
    }
}

/// Why an alert is not sent, and until when: `held until 03:10 EST: IBKR maintenance window`.
#[must_use]
pub fn held_text(reason: &str, until: Option<Timestamp>, zone: &TimeZone, now: Timestamp) -> String {
    let until = until.map(|until| format!(" until {}", short_clock(until, now, zone))).unwrap_or_default();
    if reason == ACKNOWLEDGED { format!("{reason}{until}") } else { format!("held{until}: {reason}") }
}

/// While the session flaps, a problem that lasts longer than this is not a part of that.
const LONGEST_FLAP: Duration = Duration::from_mins(30);
const ACKNOWLEDGED: &str = "acknowledged";
/// How often a window and the hours may postpone an alert in turn.
const ROUNDS: u32 = 4;
