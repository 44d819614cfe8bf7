//! One alert from its first observation to its end, and the alerts of one subject. Pure.
//!
//! Times are of type `T`: a [`Moment`] while the daemon runs, a time of the wall clock on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::annotations::{Action, Annotations};
use super::condition::Condition;
use super::notice::{About, AlertPhase, Audience, Notice, Who};
use super::readiness::Readiness;
use super::time::{Moment, lasted};
use super::{Code, Severity};
use crate::session::Now;
use crate::status::Snapshot;

/// One problem of one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Alert<T> {
    /// When it began.
    pub(super) started: T,
    /// The same by the wall clock of that time.
    pub(super) started_at: Timestamp,
    pub(super) presence: Presence<T>,
    pub(super) stage: Stage<T>,
    /// The last such alert ended a short while ago, so this one ends only once the session has been live for some minutes.
    pub(super) recurs: bool,
    pub(super) annotations: Annotations,
    /// The annotations once the problem has been present for [`LONG`].
    #[serde(skip)]
    pub(super) if_long: Option<Annotations>,
    /// The gateway's address.
    pub(super) url: Option<String>,
    /// The address by which people reach its login.
    pub(super) login_url: Option<String>,
}

/// Whether the problem was seen at the last check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Presence<T> {
    /// It was, at each check since then. A maintenance window does not count: then this is the end of the window.
    Present {
        /// Since when.
        since: T,
    },
    /// It was not.
    Cleared {
        /// Since when.
        at: T,
    },
}

/// How far the notification of a human is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Stage<T> {
    /// It comes from before a restart, and its gateway was not checked since.
    Unverified(Option<Firing<T>>),
    /// No human was notified.
    Pending {
        /// The earliest time for that.
        not_before: T,
    },
    /// A human was notified.
    Firing(Firing<T>),
}

/// The notifications of a human.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Firing<T> {
    /// When the first one was sent.
    pub(super) raised: T,
    /// When the last one was sent.
    pub(super) notified: T,
    /// How far it was escalated: channels whose `after` is longer have not got it.
    pub(super) escalated: Duration,
    /// The actions they asked for.
    pub(super) actions: BTreeSet<Action>,
    /// The highest severity they had.
    pub(super) worst: Severity,
    /// When the human wanted no repeats, unless it becomes more severe.
    pub(super) acknowledged: Option<T>,
}

/// The alerts of one gateway, one channel, or the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AlertGroup<T> {
    pub(super) alerts: BTreeMap<Code, Alert<T>>,
    /// When alerts ended that a human was notified of, for [`RECURS_WITHIN`].
    pub(super) ended: BTreeMap<Code, T>,
    pub(super) readiness: Readiness,
    /// The last state of the gateway.
    #[serde(skip)]
    pub(super) last: Option<Snapshot>,
}

/// The state of a [`Tracker`](super::Tracker) on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Persisted {
    pub(super) groups: Vec<(About, AlertGroup<Timestamp>)>,
    pub(super) deferred: Vec<Notice>,
    /// The last deadline on which the log has a line.
    pub(super) reported: Option<Timestamp>,
}

impl<T> Default for AlertGroup<T> {
    fn default() -> Self {
        Self { alerts: BTreeMap::new(), ended: BTreeMap::new(), readiness: Readiness::default(), last: None }
    }
}

impl Alert<Moment> {
    /// A new alert about a problem that began at `since`.
    pub(super) fn new(since: Now, annotations: Annotations) -> Self {
        let started = Moment::at(since.mono);
        Self {
            started,
            started_at: since.wall,
            presence: Presence::Present { since: started },
            stage: Stage::Pending { not_before: started },
            recurs: false,
            annotations,
            if_long: None,
            url: None,
            login_url: None,
        }
    }

    /// A notice of that phase at `now`.
    pub(super) fn notice(&self, now: Now, about: &About, code: Code, phase: AlertPhase) -> Notice {
        let Annotations { reason, title, summary, action_text, .. } = self.annotations.clone();
        let ended = self.firing().filter(|_| phase.is_end());
        let severity = ended.map_or_else(|| self.annotations.severity(code), |firing| firing.worst);
        Notice {
            about: about.clone(),
            code,
            phase,
            severity,
            started_at: self.started_at,
            lasted: lasted(self.started, self.started_at, now),
            at: now.wall,
            title,
            reason,
            summary,
            action: action_text,
            url: self.url.clone(),
            login_url: self.login_url.clone(),
            session: None,
            audience: Audience {
                above: None,
                upto: self.firing().map_or(Duration::ZERO, |f| f.escalated),
                who: Who::All,
            },
        }
    }

    /// Records a first or a repeated notification at `here`. Returns its phase.
    pub(super) fn notify(&mut self, here: Moment, code: Code) -> AlertPhase {
        let (action, severity) = (self.annotations.action, self.annotations.severity(code));
        if let Stage::Firing(firing) = &mut self.stage {
            firing.notified = here;
            // A new notification needs a new acknowledgement.
            firing.acknowledged = None;
            firing.actions.insert(action);
            firing.worst = firing.worst.max(severity);
            return AlertPhase::Repeated;
        }
        self.stage = Stage::Firing(Firing {
            raised: here,
            notified: here,
            escalated: Duration::ZERO,
            actions: BTreeSet::from([action]),
            worst: severity,
            acknowledged: None,
        });
        AlertPhase::Raised
    }

    /// Records that all channels have the alert whose `after` is at most this.
    pub(super) fn escalated(&mut self, upto: Duration) {
        if let Stage::Firing(firing) = &mut self.stage {
            firing.escalated = firing.escalated.max(upto);
        }
    }

    /// Records that the human who was notified wants no repeats. Returns whether that is new.
    pub(super) fn acknowledge(&mut self, here: Moment) -> bool {
        match &mut self.stage {
            Stage::Unverified(Some(firing)) | Stage::Firing(firing) => firing.acknowledged.replace(here).is_none(),
            Stage::Unverified(None) | Stage::Pending { .. } => false,
        }
    }

    /// Replaces the annotations by those for a problem that lasts for long, if it does. Returns whether they changed.
    pub(super) fn escalate(&mut self, here: Moment) -> bool {
        let long = self.if_long.as_ref().filter(|_| self.long_at().is_some_and(|at| at <= here));
        let Some(long) = long.filter(|long| **long != self.annotations) else { return false };
        self.annotations = long.clone();
        true
    }

    /// When the problem has lasted for long, if that makes a difference.
    pub(super) fn long_at(&self) -> Option<Moment> {
        let since = self.since().filter(|_| self.if_long.is_some() && self.is_present())?;
        Some(since.after(LONG))
    }
}

impl<T: Copy> Alert<T> {
    /// The record of a human's notifications; `None` if there were none.
    pub(super) const fn firing(&self) -> Option<&Firing<T>> {
        match &self.stage {
            Stage::Unverified(firing) => firing.as_ref(),
            Stage::Pending { .. } => None,
            Stage::Firing(firing) => Some(firing),
        }
    }

    /// Whether a human was notified.
    pub(super) const fn is_notified(&self) -> bool {
        self.firing().is_some()
    }

    /// Whether the problem was not seen at the last check.
    pub(super) const fn is_cleared(&self) -> bool {
        matches!(self.presence, Presence::Cleared { .. })
    }

    /// Whether the problem was seen at the last check, and there was one since the start of the daemon.
    pub(super) const fn is_present(&self) -> bool {
        !self.is_cleared() && !matches!(self.stage, Stage::Unverified(_))
    }

    /// Since when the problem has been present without a break.
    pub(super) const fn since(&self) -> Option<T> {
        match self.presence {
            Presence::Present { since } => Some(since),
            Presence::Cleared { .. } => None,
        }
    }

    /// The same with all times turned into another form.
    fn map<U>(self, f: impl Fn(T) -> U) -> Alert<U> {
        let firing = |firing: Firing<T>| Firing {
            raised: f(firing.raised),
            notified: f(firing.notified),
            escalated: firing.escalated,
            actions: firing.actions,
            worst: firing.worst,
            acknowledged: firing.acknowledged.map(&f),
        };
        Alert {
            started: f(self.started),
            started_at: self.started_at,
            presence: match self.presence {
                Presence::Present { since } => Presence::Present { since: f(since) },
                Presence::Cleared { at } => Presence::Cleared { at: f(at) },
            },
            stage: match self.stage {
                Stage::Unverified(was) => Stage::Unverified(was.map(firing)),
                Stage::Pending { not_before } => Stage::Pending { not_before: f(not_before) },
                Stage::Firing(was) => Stage::Firing(firing(was)),
            },
            recurs: self.recurs,
            annotations: self.annotations,
            if_long: self.if_long,
            url: self.url,
            login_url: self.login_url,
        }
    }
}

impl<T: Copy> AlertGroup<T> {
    /// The same with all times turned into another form.
    pub(super) fn map<U>(self, f: impl Fn(T) -> U) -> AlertGroup<U> {
        AlertGroup {
            alerts: self.alerts.into_iter().map(|(code, alert)| (code, alert.map(&f))).collect(),
            ended: self.ended.into_iter().map(|(code, at)| (code, f(at))).collect(),
            readiness: self.readiness,
            last: self.last,
        }
    }

    /// Whether there is nothing to keep.
    pub(super) fn is_empty(&self) -> bool {
        self.alerts.is_empty() && self.ended.is_empty() && self.readiness == Readiness::default()
    }
}

impl AlertGroup<Moment> {
    /// Marks all alerts as not verified since a restart.
    pub(super) fn unverify(&mut self) {
        for alert in self.alerts.values_mut() {
            alert.stage = Stage::Unverified(alert.firing().cloned());
        }
    }

    /// The gateway was checked, perhaps for the first time after a restart. Alerts that had not fired yet get a short
    /// extra hold-off, because the gateway may still be starting too. Returns whether anything changed.
    pub(super) fn verify(&mut self, here: Moment) -> bool {
        let mut changed = false;
        for (code, alert) in &mut self.alerts {
            if let Stage::Unverified(firing) = &mut alert.stage {
                let not_before = here.after(code.entry().hold_off.min(LONGEST_SECOND_LOOK));
                alert.stage = firing.take().map_or(Stage::Pending { not_before }, Stage::Firing);
                changed = true;
            }
        }
        changed
    }

    /// Marks the alerts as cleared that are not among the conditions. Returns whether anything changed.
    pub(super) fn clear(&mut self, here: Moment, conditions: &[Condition]) -> bool {
        let mut changed = false;
        for (code, alert) in &mut self.alerts {
            if !alert.is_cleared() && !conditions.iter().any(|condition| condition.code == *code) {
                alert.presence = Presence::Cleared { at: here };
                changed = true;
            }
        }
        changed
    }

    /// Removes blips: alerts that were cleared before a human was notified, and stayed so for as long as their
    /// hold-off. Returns whether there were any.
    pub(super) fn remove_blips(&mut self, here: Moment) -> bool {
        let before = self.alerts.len();
        self.alerts.retain(|code, alert| {
            let patience = code.entry().hold_off.max(SHORTEST_MEMORY);
            match alert.presence {
                Presence::Cleared { at } if !alert.is_notified() => at.until(here) < patience,
                Presence::Cleared { .. } | Presence::Present { .. } => true,
            }
        });
        self.alerts.len() != before
    }

    /// Records that a problem is present. `since` is when it began, if it is new. Returns whether anything changed.
    pub(super) fn observe(
        &mut self,
        here: Moment,
        since: Now,
        condition: Condition,
        window_end: Option<Moment>,
        snapshot: &Snapshot,
    ) -> bool {
        let Condition { code, annotations, if_long } = condition;
        let is_new = !self.alerts.contains_key(&code);
        let recurs = code.entry().may_flap && self.ended.contains_key(&code);
        let alert = self.alerts.entry(code).or_insert_with(|| {
            let presence = Presence::Present { since: here };
            Alert { recurs, presence, ..Alert::new(since, annotations.clone()) }
        });
        let before = (alert.presence, std::mem::replace(&mut alert.annotations, annotations), alert.url.take());
        let unbroken = alert.since().map_or(here, |since| since.min(here));
        alert.presence = Presence::Present { since: window_end.unwrap_or(unbroken) };
        alert.url = Some(snapshot.url.clone());
        alert.login_url.clone_from(&snapshot.login_url);
        alert.if_long = if_long;
        alert.escalate(here);
        is_new || before.0 != alert.presence || before.1 != alert.annotations || before.2 != alert.url
    }

    /// Removes the alerts that are over. Of those that a human was notified of, the end is remembered for a while.
    pub(super) fn remove_ended(
        &mut self,
        here: Moment,
        mut is_over: impl FnMut(Code, &Alert<Moment>) -> bool,
    ) -> Vec<(Code, Alert<Moment>)> {
        let over: Vec<_> = self.alerts.extract_if(.., |code, alert| is_over(*code, alert)).collect();
        for (code, _) in over.iter().filter(|(_, alert)| alert.is_notified()) {
            self.ended.insert(*code, here);
        }
        over
    }

    /// Whether a human was notified of a cleared problem that an alert of this code would replace.
    pub(super) fn replaces_another(&self, by: Code) -> bool {
        let others = by.entry().replaces.iter().filter_map(|code| self.alerts.get(code));
        others.into_iter().any(|other| other.is_notified() && other.is_cleared())
    }

    /// Removes the alerts that an alert of code `by` replaces.
    pub(super) fn remove_replaced(&mut self, by: Code) -> Vec<(Code, Alert<Moment>)> {
        let is_replaced =
            |code: &Code, alert: &mut Alert<Moment>| by.entry().replaces.contains(code) && alert.is_cleared();
        self.alerts.extract_if(.., is_replaced).collect()
    }

    /// Whether an alert is present that would replace one of this code.
    pub(super) fn is_contradicted(&self, code: Code) -> bool {
        self.alerts.iter().any(|(other, alert)| alert.is_present() && other.entry().replaces.contains(&code))
    }

    /// Forgets the ends that are too old to matter.
    pub(super) fn forget_ends(&mut self, here: Moment) {
        self.ended.retain(|_, at| at.until(here) < RECURS_WITHIN);
    }
}

/// How long a problem must be present without a break, outside of maintenance windows, before it counts as long.
pub(super) const LONG: Duration = Duration::from_mins(30);
/// A problem recurs if it comes back so soon after its end.
const RECURS_WITHIN: Duration = Duration::from_mins(30);
/// How long at least a cleared alert is remembered that no human was notified of.
const SHORTEST_MEMORY: Duration = Duration::from_secs(60);
/// The longest extra hold-off after a restart.
const LONGEST_SECOND_LOOK: Duration = Duration::from_secs(60);
