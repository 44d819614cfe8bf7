//! The alert tracker: which alerts are open, when a human is notified of one, and when it ends. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::annotations::{self, Annotations};
use super::condition::{Condition, conditions};
use super::gateway_text;
use super::lifecycle::{Alert, AlertGroup, Persisted};
use super::notice::{About, Notice, Phase, one_line, short_clock};
use super::pipeline::{Candidate, Due, WakeReason, quiet_end};
use super::reminder::LoginReminder;
use super::settings::Settings;
use super::time::Moment;
use super::{Code, Severity, catalogue::ResolveWhen};
use crate::session::{CALM, Now, State};
use crate::status::Snapshot;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input<'a> {
    /// The deadline of the last plan came. A wake-up that is early or not needed is harmless.
    Wake,
    /// The state of a gateway.
    Snapshot(&'a Snapshot),
    /// This is no longer in the configuration.
    Forget(&'a About),
    /// A changed configuration was refused, for this reason.
    ConfigRejected {
        /// The configuration file.
        file: &'a str,
        /// The first error.
        why: &'a str,
    },
    /// A changed configuration was applied.
    ConfigAccepted,
    /// A channel did not deliver a message.
    Undeliverable {
        /// The channel's name.
        channel: &'a str,
        /// The title of the message.
        title: &'a str,
        /// Why not, as part of a sentence.
        why: &'a str,
    },
    /// A channel delivered a message.
    Delivered {
        /// The channel's name.
        channel: &'a str,
    },
    /// A human knows of an alert and wants no repeats.
    Acknowledge {
        /// The subject of the alert.
        about: &'a About,
        /// Its code; `None` for all.
        code: Option<Code>,
    },
}

/// What the caller must do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "without the plan no human is notified"]
pub struct Plan {
    /// Send these, in this order.
    pub notices: Vec<Notice>,
    /// Call [`Tracker::step`] with [`Input::Wake`] at this time ([`Now::mono`]) at the latest.
    pub wake_at: Duration,
    /// Why then.
    pub because: WakeReason,
    /// [`Tracker::snapshot`] has changed.
    pub changed: bool,
}

/// An open alert as the status shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveAlert {
    /// Its subject.
    pub about: About,
    /// Its code.
    pub code: Code,
    /// When it began.
    pub started_at: Timestamp,
    /// Whether a human was notified.
    pub notified: bool,
    /// Whether a human has acknowledged it.
    pub acknowledged: bool,
    /// What is wrong, or that it is no longer seen: a sentence without its capital and its full stop.
    pub summary: String,
    /// What to do about it, likewise; empty when it is no longer seen.
    pub action_text: String,
}

/// Tracks the alerts of all gateways, of the channels and of the daemon. A human is notified of each once after its
/// hold-off, again at long intervals, and once of its end.
#[derive(Debug, Clone)]
pub struct Tracker {
    settings: Settings,
    /// The name of this host, for the line that makes a tunnel to it.
    host: String,
    groups: BTreeMap<About, AlertGroup<Moment>>,
    /// Ends of alerts that wait for the end of the quiet hours.
    deferred: Vec<Notice>,
    /// The number of each gateway's session.
    sessions: BTreeMap<About, u64>,
    /// Counts the changes of what [`Tracker::snapshot`] returns.
    revision: u64,
}

impl Tracker {
    /// A tracker without alerts, on the host of that name.
    #[must_use]
    pub fn new(settings: Settings, host: &str) -> Self {
        let (groups, sessions) = (BTreeMap::new(), BTreeMap::new());
        Self { settings, host: host.to_owned(), groups, deferred: Vec::new(), sessions, revision: 0 }
    }

    /// The name of this host for people.
    #[must_use]
    pub fn host(&self) -> &str {
        self.settings.host(&self.host)
    }

    /// Handles what happened at `now`. Returns the notices to send.
    pub fn step(&mut self, now: Now, input: Input<'_>) -> Plan {
        let revision = self.revision;
        let mut notices = Vec::new();
        match input {
            Input::Wake => {}
            Input::Snapshot(snapshot) => self.on_snapshot(now, snapshot, &mut notices),
            Input::Forget(about) => notices.extend(self.cancel(now, |whose| whose == about)),
            Input::ConfigRejected { file, why } => {
                self.raise(now, About::Daemon, Code::ConfigRejected, annotations::config_rejected(file, why));
            }
            Input::ConfigAccepted => self.resolve(now, &About::Daemon, Code::ConfigRejected, &mut notices),
            Input::Undeliverable { channel, title, why } => {
                let annotations = annotations::undeliverable(channel, title, why);
                self.raise(now, About::Channel(channel.to_owned()), Code::AlertUndeliverable, annotations);
            }
            Input::Delivered { channel } => {
                self.resolve(now, &About::Channel(channel.to_owned()), Code::AlertUndeliverable, &mut notices);
            }
            Input::Acknowledge { about, code } => self.acknowledge(about, code),
        }
        self.escalate(now);
        self.take_due(now, &mut notices);
        self.number(&mut notices);
        let due = self.next_wake(now);
        Plan { notices, wake_at: due.at.mono(), because: due.reason, changed: self.revision != revision }
    }

    /// Applies changed settings. Returns those of before.
    pub(super) fn apply(&mut self, settings: &Settings) -> Settings {
        std::mem::replace(&mut self.settings, settings.clone())
    }

    /// The open alerts: those that are present, and those that a human was notified of and that have not ended. An alert
    /// that is contradicted by one that is present is not shown.
    pub fn active(&self) -> impl Iterator<Item = ActiveAlert> {
        self.alerts()
            .filter(|(_, group, code, alert)| {
                !alert.is_cleared() || (alert.is_notified() && !group.is_contradicted(*code))
            })
            .map(|(about, _, code, alert)| {
                let (summary, action_text) = if alert.is_cleared() {
                    (code.entry().resolve_when.awaited(alert.recurs).to_owned(), String::new())
                } else {
                    (alert.annotations.summary.clone(), one_line(&alert.annotations.action_text))
                };
                ActiveAlert {
                    about: about.clone(),
                    code,
                    started_at: alert.started_at,
                    notified: alert.is_notified(),
                    acknowledged: alert.firing().is_some_and(|firing| firing.acknowledged),
                    summary,
                    action_text,
                }
            })
    }

    /// Whether a human was notified of an alert of that code that has not ended.
    #[must_use]
    pub fn is_notified(&self, code: Code) -> bool {
        self.alerts().any(|(_, _, which, alert)| which == code && alert.is_notified())
    }

    /// The alerts that a channel must get that has just been added: those that others got and that are present, except
    /// for those that a human has acknowledged or that the quiet hours hold.
    #[must_use]
    pub fn ongoing(&self, now: Now) -> Vec<Notice> {
        let is_meant = |code: Code, alert: &Alert<Moment>| {
            alert.is_present()
                && alert.firing().is_some_and(|firing| !firing.acknowledged)
                && quiet_end(&self.settings, alert.annotations.severity(code), now.wall).is_none()
        };
        let open = self.alerts().filter(|(_, _, code, alert)| is_meant(*code, alert));
        let mut notices: Vec<Notice> =
            open.map(|(about, _, code, alert)| alert.notice(now, about, code, Phase::Repeated)).collect();
        self.number(&mut notices);
        notices
    }

    /// Adds the numbers of the sessions.
    fn number(&self, notices: &mut [Notice]) {
        for notice in notices {
            notice.session = self.sessions.get(&notice.about).copied();
        }
    }

    /// The alerts that a human was notified of and that have not ended.
    pub(super) fn notified(&self) -> BTreeSet<(About, Code)> {
        let notified = self.alerts().filter(|(_, _, _, alert)| alert.is_notified());
        notified.map(|(about, _, code, _)| (about.clone(), code)).collect()
    }

    /// Whether a human was notified that something has to be done about this gateway, and it is not done.
    pub(super) fn needs_human(&self, gateway: &str) -> bool {
        self.has_error(|about| about.gateway() == Some(gateway))
    }

    /// Whether a channel did not deliver an alert, and has not delivered one since.
    pub(super) fn has_failed_channel(&self) -> bool {
        self.has_error(|about| matches!(about, About::Channel(_)))
    }

    fn has_error(&self, is_meant: impl Fn(&About) -> bool) -> bool {
        self.alerts().any(|(about, _, _, alert)| {
            is_meant(about) && alert.firing().is_some_and(|firing| firing.worst == Severity::Error)
        })
    }

    fn alerts(&self) -> impl Iterator<Item = (&About, &AlertGroup<Moment>, Code, &Alert<Moment>)> {
        let groups = self.groups.iter();
        groups.flat_map(|(about, group)| group.alerts.iter().map(move |(code, alert)| (about, group, *code, alert)))
    }

    fn on_snapshot(&mut self, now: Now, snapshot: &Snapshot, notices: &mut Vec<Notice>) {
        let here = Moment::at(now.mono);
        let about = About::Gateway(snapshot.gateway.clone());
        self.sessions.insert(about.clone(), snapshot.session.number);
        let group = self.groups.entry(about.clone()).or_default();
        group.forget_ends(here);
        let window = snapshot.hold_until.map(|until| Moment::ahead(until, LONGEST_WINDOW, now));
        group.mute_until = window.filter(|until| *until > here);
        let mut conditions = conditions(snapshot, self.settings.host(&self.host));
        let mut changed = remind(group, &self.settings, now, snapshot, &mut conditions);
        if snapshot.state != State::Starting {
            changed |= group.verify(here);
        }
        changed |= group.clear(here, &conditions);
        let held = now.mono.saturating_sub(snapshot.since.mono);
        let is_unstable = snapshot.state == State::Live && held < CALM;
        let over = group.remove_ended(here, |code, alert| {
            alert.is_cleared()
                && code.entry().resolve_when.is_met(snapshot.state, held)
                && !(alert.recurs && is_unstable)
        });
        changed |= !over.is_empty() | group.remove_blips(here);
        for condition in conditions {
            // The problem that it replaces is part of the same outage, and began earlier.
            let is_next = group.replaces_another(condition.code);
            let since = if is_next { now } else { started(condition.code, snapshot, now) };
            changed |= group.observe(here, since, condition, &snapshot.url);
        }
        self.revision += u64::from(changed);
        for (code, alert) in over.into_iter().filter(|(_, alert)| alert.is_notified()) {
            let notice = alert.notice(now, &about, code, Phase::Resolved);
            send_end(&self.settings, &mut self.deferred, notices, notice);
        }
    }

    /// Opens an alert that is about no gateway, or changes its annotations.
    fn raise(&mut self, now: Now, about: About, code: Code, annotations: Annotations) {
        let alerts = &mut self.groups.entry(about).or_default().alerts;
        let alert = alerts.entry(code).or_insert_with(|| Alert::new(now, annotations.clone()));
        alert.annotations = annotations;
        self.revision += 1;
    }

    /// Ends an alert that is about no gateway.
    fn resolve(&mut self, now: Now, about: &About, code: Code, notices: &mut Vec<Notice>) {
        let Some(group) = self.groups.get_mut(about) else { return };
        let Some(alert) = group.alerts.remove(&code) else { return };
        self.revision += 1;
        if alert.is_notified() {
            let notice = alert.notice(now, about, code, Phase::Resolved);
            send_end(&self.settings, &mut self.deferred, notices, notice);
        }
    }

    fn acknowledge(&mut self, about: &About, code: Option<Code>) {
        let Some(group) = self.groups.get_mut(about) else { return };
        for (_, alert) in group.alerts.iter_mut().filter(|(which, _)| code.is_none_or(|code| code == **which)) {
            alert.acknowledge();
        }
        self.revision += 1;
    }

    /// Forgets what is gone. Returns the notices that close the alerts about it. The operator has just changed the
    /// configuration, so no quiet hours hold them back.
    pub(super) fn cancel(&mut self, now: Now, is_gone: impl Fn(&About) -> bool) -> Vec<Notice> {
        self.deferred.retain(|notice| !is_gone(&notice.about));
        let gone: Vec<_> = self.groups.extract_if(.., |about, _| is_gone(about)).collect();
        self.revision += u64::from(!gone.is_empty());
        let mut notices = Vec::new();
        for (about, group) in gone {
            let notified = group.alerts.iter().filter(|(_, alert)| alert.is_notified());
            notices.extend(notified.map(|(code, alert)| alert.notice(now, &about, *code, Phase::Withdrawn)));
        }
        notices
    }

    /// Asks a human to act where a problem has lasted for long.
    fn escalate(&mut self, now: Now) {
        let here = Moment::at(now.mono);
        for alert in self.groups.values_mut().flat_map(|group| group.alerts.values_mut()) {
            self.revision += u64::from(alert.escalate(here));
        }
    }

    /// Sends what is due.
    fn take_due(&mut self, now: Now, notices: &mut Vec<Notice>) {
        let here = Moment::at(now.mono);
        let Self { settings, groups, deferred, revision, .. } = self;
        let before = notices.len();
        notices.extend(deferred.extract_if(.., |notice| quiet_end(settings, notice.severity, now.wall).is_none()));
        for (about, group) in groups {
            let is_due = |code: Code, alert: &Alert<Moment>| {
                let candidate = Candidate { settings, group, code, alert, now };
                candidate.next_notification().is_some_and(|due| due.at <= here)
            };
            let due = group.alerts.iter().filter(|(code, alert)| is_due(**code, alert));
            let due: Vec<Code> = due.map(|(code, _)| *code).collect();
            for code in due {
                let is_new = group.alerts.get(&code).is_some_and(|alert| !alert.is_notified());
                let replaced = if is_new { group.remove_replaced(code) } else { Vec::new() };
                for (code, alert) in replaced.into_iter().filter(|(_, alert)| alert.is_notified()) {
                    send_end(settings, deferred, notices, alert.notice(now, about, code, Phase::Replaced));
                }
                let Some(alert) = group.alerts.get_mut(&code) else { continue };
                let phase = alert.notify(here, code);
                notices.push(alert.notice(now, about, code, phase));
                *revision += 1;
                if let Some(reminder) = group.reminder.as_mut().filter(|_| code == Code::LoginEndsSoon) {
                    reminder.done();
                }
            }
        }
        *revision += u64::from(notices.len() != before);
    }

    fn next_wake(&self, now: Now) -> Due {
        let here = Moment::at(now.mono);
        let of = |at: Timestamp, reason| Due { at: Moment::of(at, now), reason };
        let settings = &self.settings;
        let notifications = self
            .alerts()
            .filter_map(|(_, group, code, alert)| Candidate { settings, group, code, alert, now }.next_notification());
        let deferred = self.deferred.iter().filter_map(|notice| quiet_end(settings, notice.severity, now.wall));
        let deferred = deferred.map(|end| of(end, WakeReason::QuietEnd));
        let escalations = self.alerts().filter_map(|(_, _, _, alert)| alert.long_at());
        let escalations = escalations.map(|at| Due { at, reason: WakeReason::Long });
        let reminders = self.groups.values().filter_map(|group| group.reminder.as_ref()?.remind_at());
        let reminders = reminders.map(|at| of(at, WakeReason::Reminder));
        notifications
            .chain(deferred)
            .chain(escalations)
            .chain(reminders)
            .filter(|due| due.at > here)
            .min_by_key(|due| due.at)
            .unwrap_or_else(|| Due { at: here.after(LONGEST_SLEEP), reason: WakeReason::Nothing })
    }

    /// The state that must survive a restart.
    #[must_use]
    pub fn snapshot(&self, now: Now) -> Persisted {
        let kept = self.groups.iter().filter(|(_, group)| !group.is_empty());
        let groups = kept.map(|(about, group)| (about.clone(), group.clone().map(|at| at.wall(now))));
        Persisted { groups: groups.collect(), deferred: self.deferred.clone() }
    }

    /// Restores the state of an earlier run. Returns the notices that close the alerts about what is no longer configured.
    /// A human is not notified about a gateway before it was checked. A time that lies ahead, because the clock was set
    /// back, counts as now.
    #[must_use = "otherwise the alerts about what is no longer configured are never closed"]
    pub fn restore(&mut self, persisted: Persisted, now: Now, is_known: impl Fn(&About) -> bool) -> Vec<Notice> {
        for (about, group) in persisted.groups {
            let mut group = group.map(|at| Moment::passed(at, now));
            if about.gateway().is_some() {
                group.unverify();
            }
            self.groups.insert(about, group);
        }
        self.deferred.extend(persisted.deferred);
        self.cancel(now, |about| !is_known(about))
    }
}

/// Sends the end of an alert, after the quiet hours if they hold it.
fn send_end(settings: &Settings, deferred: &mut Vec<Notice>, notices: &mut Vec<Notice>, notice: Notice) {
    if quiet_end(settings, notice.severity, notice.at).is_some() {
        deferred.push(notice);
    } else {
        notices.push(notice);
    }
}

/// Adds the condition that a login ends soon, where the operator wants to know. Returns whether anything changed.
fn remind(
    group: &mut AlertGroup<Moment>,
    settings: &Settings,
    now: Now,
    snapshot: &Snapshot,
    conditions: &mut Vec<Condition>,
) -> bool {
    let Some(ends) = snapshot.login_ends_at.filter(|_| !settings.remind_before.is_zero()) else { return false };
    let mut changed = false;
    if !group.reminder.as_ref().is_some_and(|reminder| reminder.is_about(ends)) {
        let Some(reminder) = LoginReminder::new(ends, settings, now) else { return false };
        group.reminder = Some(reminder);
        changed = true;
    }
    let is_open = group.alerts.get(&Code::LoginEndsSoon).is_some_and(Alert::is_notified);
    let is_live = snapshot.state == State::Live;
    if group.reminder.as_ref().is_some_and(|reminder| reminder.applies(now, is_live, is_open)) {
        let annotations = gateway_text::login_ends(&snapshot.url, &short_clock(ends, now.wall, &settings.zone));
        conditions.push(Condition { code: Code::LoginEndsSoon, annotations, if_long: None });
    }
    changed
}

/// When a problem of this code began that is seen in `snapshot` for the first time.
fn started(code: Code, snapshot: &Snapshot, now: Now) -> Now {
    match (code.entry().resolve_when, snapshot.state) {
        // An account of the wrong kind, for one, is seen while the session is live; a refused certificate may be seen
        // while a login is required, and began after that.
        (_, State::Live) | (ResolveWhen::Immediately, _) | (ResolveWhen::SessionKnown, State::LoginRequired(_)) => now,
        (ResolveWhen::SessionLive | ResolveWhen::SessionStable, _) => snapshot.outage_since.unwrap_or(snapshot.since),
        (ResolveWhen::SessionKnown, _) => snapshot.since,
    }
}

/// A longer wait for a maintenance window is a clock that was set.
const LONGEST_WINDOW: Duration = Duration::from_hours(24);
/// The longest time between two steps.
const LONGEST_SLEEP: Duration = Duration::from_hours(24);
