//! The alert tracker: which alerts are open, when a human is notified of one, and when it ends. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::annotations::{self, Annotations};
use super::condition::conditions;
use super::lifecycle::{Alert, AlertGroup, Persisted};
use super::notice::{About, AlertPhase, Audience, Notice, Who, one_line};
use super::pipeline::{AlertWakeReason, Candidate, Due, HeldBy, NotificationStep};
use super::plan::{ActiveAlert, AlertInput, AlertPlan};
use super::readiness::{PROOF_LEAD, REPORT_WITHIN, ReadinessReport, as_not_ready};
use super::schedule::Period;
use super::settings::Settings;
use super::time::Moment;
use super::{Code, Severity, catalogue::ResolveWhen};
use crate::session::{CALM, Now, State};
use crate::status::Snapshot;
use crate::text::short_clock;

/// Tracks the alerts of all gateways, of the channels and of the daemon. A human is notified of each once after its
/// hold-off, again at long intervals, and once of its end.
#[derive(Debug, Clone)]
pub struct Tracker {
    settings: Settings,
    /// The name of this host, for the line that makes a tunnel to it.
    host: String,
    groups: BTreeMap<About, AlertGroup<Moment>>,
    /// Ends of alerts that wait for the hours of the human.
    deferred: Vec<Notice>,
    /// The last deadline before which live sessions were to be proved, and the last one that was reported.
    proved: Option<Timestamp>,
    reported: Option<Timestamp>,
    /// What was logged as held, and by what.
    held: BTreeMap<(About, Code), HeldBy>,
    /// Counts the changes of what [`Tracker::snapshot`] returns.
    revision: u64,
}

impl Tracker {
    /// A tracker without alerts, on the host of that name.
    #[must_use]
    pub fn new(settings: Settings, host: &str) -> Self {
        Self {
            settings,
            host: host.to_owned(),
            groups: BTreeMap::new(),
            deferred: Vec::new(),
            proved: None,
            reported: None,
            held: BTreeMap::new(),
            revision: 0,
        }
    }

    /// The name of this host for people.
    #[must_use]
    pub fn host(&self) -> &str {
        self.settings.host(&self.host)
    }

    /// Handles what happened at `now`. Returns the notices to send.
    pub fn step(&mut self, now: Now, input: AlertInput<'_>) -> AlertPlan {
        let revision = self.revision;
        let mut notices = Vec::new();
        match input {
            AlertInput::Wake => {}
            AlertInput::Snapshot(snapshot) => self.on_snapshot(now, snapshot, &mut notices),
            AlertInput::Forget(about) => notices.extend(self.cancel(now, |whose| whose == about)),
            AlertInput::ConfigRejected { file, why } => {
                self.raise(now, About::Daemon, Code::ConfigRejected, annotations::config_rejected(file, why));
            }
            AlertInput::ConfigAccepted => self.resolve(now, &About::Daemon, Code::ConfigRejected, &mut notices),
            AlertInput::Undeliverable { channel, title, why } => {
                let annotations = annotations::undeliverable(channel, title, why);
                self.raise(now, About::Channel(channel.to_owned()), Code::AlertUndeliverable, annotations);
            }
            AlertInput::Delivered { channel } => {
                self.resolve(now, &About::Channel(channel.to_owned()), Code::AlertUndeliverable, &mut notices);
            }
            AlertInput::Acknowledge { about, code } => self.acknowledge(now, about, code, &mut notices),
        }
        let report = self.on_deadline(now, &mut notices);
        self.escalate(now);
        self.take_due(now, &mut notices);
        self.number(&mut notices);
        let due = self.next_wake(now);
        AlertPlan {
            notices,
            wake_at: due.at.mono(),
            because: due.reason,
            prove: self.take_unproved(now),
            report,
            held: self.take_held(now),
            changed: self.revision != revision,
        }
    }

    pub(super) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The zone of all times shown to people.
    pub(super) fn zone(&self) -> TimeZone {
        self.settings.zone()
    }

    /// Applies changed settings. Returns those of before.
    pub(super) fn apply(&mut self, settings: &Settings) -> Settings {
        std::mem::replace(&mut self.settings, settings.clone())
    }

    /// The open alerts: those that are present, and those that a human was notified of and that have not ended. An
    /// alert that is contradicted by one that is present is not shown.
    pub fn active(&self, now: Now) -> impl Iterator<Item = ActiveAlert> {
        self.alerts()
            .filter(|(_, group, code, alert)| {
                !alert.is_cleared() || (alert.is_notified() && !group.is_contradicted(*code))
            })
            .map(move |(about, group, code, alert)| {
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
                    acknowledged: alert.firing().is_some_and(|firing| firing.acknowledged.is_some()),
                    held: Candidate { settings: &self.settings, group, code, alert, now }.held(),
                    severity: alert.annotations.severity(code),
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
    /// for those that a human has acknowledged or that the hours hold.
    #[must_use]
    pub fn ongoing(&self, now: Now) -> Vec<Notice> {
        let is_meant = |code: Code, alert: &Alert<Moment>| {
            alert.is_present()
                && alert.firing().is_some_and(|firing| firing.acknowledged.is_none())
                && self.settings.held_until(code, alert.annotations.severity(code), now.wall).is_none()
        };
        let open = self.alerts().filter(|(_, _, code, alert)| is_meant(*code, alert));
        let mut notices: Vec<Notice> =
            open.map(|(about, _, code, alert)| alert.notice(now, about, code, AlertPhase::Repeated)).collect();
        self.number(&mut notices);
        notices
    }

    /// Adds the numbers of the sessions.
    fn number(&self, notices: &mut [Notice]) {
        for notice in notices {
            let last = self.groups.get(&notice.about).and_then(|group| group.last.as_ref());
            notice.session = last.map(|snapshot| snapshot.session.number);
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
        let about = About::Gateway(snapshot.gateway.clone());
        self.groups.entry(about.clone()).or_default().last = Some(snapshot.clone());
        self.observe(now, &about, notices);
    }

    /// Handles the last state of a gateway.
    fn observe(&mut self, now: Now, about: &About, notices: &mut Vec<Notice>) {
        let here = Moment::at(now.mono);
        let Some(group) = self.groups.get_mut(about) else { return };
        let Some(snapshot) = group.last.clone() else { return };
        group.forget_ends(here);
        let window = snapshot.place.as_ref().and_then(|place| place.hold_until(now.wall));
        let window_end = window.map(|end| Moment::of(end, now));
        let mut conditions = conditions(&snapshot, self.settings.host(&self.host));
        let mut changed = group.readiness.observe(snapshot.state);
        if let Some(deadline) = group.readiness.missed {
            conditions = as_not_ready(conditions, &time_of_day(deadline, &self.settings));
        }
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
            let is_next = condition.code != Code::NotReady && group.replaces_another(condition.code);
            let since = if is_next { now } else { started(condition.code, &snapshot, now) };
            changed |= group.observe(here, since, condition, window_end, &snapshot);
        }
        self.revision += u64::from(changed);
        for (code, alert) in over.into_iter().filter(|(_, alert)| alert.is_notified()) {
            let notice = alert.notice(now, about, code, AlertPhase::Resolved);
            send_end(&self.settings, &mut self.deferred, notices, notice);
        }
    }

    /// Judges the sessions at the deadline of the day. Returns the report once all of them are judged.
    fn on_deadline(&mut self, now: Now, notices: &mut Vec<Notice>) -> Option<ReadinessReport> {
        let deadline = self.period(now)?.deadline.filter(|deadline| *deadline <= now.wall)?;
        let mut missed = Vec::new();
        let (mut ready, mut not_ready, mut is_complete) = (Vec::new(), Vec::new(), true);
        for (about, group) in &mut self.groups {
            let About::Gateway(name) = about else { continue };
            // Before the first check after a start nothing is known.
            let Some(snapshot) = group.last.as_ref() else { continue };
            if group.readiness.judge(deadline, snapshot, now) {
                self.revision += 1;
                missed.extend(group.readiness.missed.map(|_| about.clone()));
            }
            match group.readiness.judged.filter(|(judged, _)| *judged == deadline) {
                Some((_, Some(true))) => ready.push(name.clone()),
                Some((_, Some(false))) => not_ready.push(name.clone()),
                Some((_, None)) => {}
                None => is_complete = false,
            }
        }
        for about in missed {
            self.observe(now, &about, notices);
        }
        if !is_complete || self.reported >= Some(deadline) {
            return None;
        }
        self.reported = Some(deadline);
        self.revision += 1;
        let is_late = now.wall.duration_since(deadline).unsigned_abs() > REPORT_WITHIN;
        if is_late || (ready.is_empty() && not_ready.is_empty()) {
            return None;
        }
        if self.settings.confirm && not_ready.is_empty() {
            let annotations = annotations::ready(&ready, &time_of_day(deadline, &self.settings));
            let notice = Alert::new(now, annotations).notice(now, &About::Daemon, Code::Ready, AlertPhase::Raised);
            notices.push(Notice { audience: Audience::ALL, ..notice });
        }
        Some(ReadinessReport { deadline, ready, not_ready })
    }

    /// The live sessions, shortly before a deadline, once.
    fn take_unproved(&mut self, now: Now) -> Vec<String> {
        let Some(deadline) = self.period(now).and_then(|period| period.deadline) else { return Vec::new() };
        let is_time = (proof_before(deadline)..deadline).contains(&now.wall);
        if !is_time || self.proved >= Some(deadline) {
            return Vec::new();
        }
        self.proved = Some(deadline);
        let last = self.groups.values().filter_map(|group| group.last.as_ref());
        last.filter(|snapshot| snapshot.state == State::Live).map(|snapshot| snapshot.gateway.clone()).collect()
    }

    /// The open alerts that are newly held, for the log. One that only waits for its hold-off is not among them.
    fn take_held(&mut self, now: Now) -> Vec<ActiveAlert> {
        let reason = |alert: &ActiveAlert| {
            alert.held.map(|held| held.by).filter(|by| !matches!(by, HeldBy::HoldOff | HeldBy::Unverified))
        };
        // A short interruption is not logged; while it may still pass, only the status shows it.
        let settings = &self.settings;
        let past = self.alerts().filter(|(_, group, code, alert)| {
            Candidate { settings, group, code: *code, alert, now }.is_past_hold_off()
        });
        let past: BTreeSet<_> = past.map(|(about, _, code, _)| (about.clone(), code)).collect();
        let key = |alert: &ActiveAlert| (alert.about.clone(), alert.code);
        let held = self.active(now).filter(|alert| past.contains(&key(alert)));
        let held: Vec<_> = held.filter_map(|alert| Some((reason(&alert)?, alert))).collect();
        let by: BTreeMap<_, _> = held.iter().map(|(by, alert)| (key(alert), *by)).collect();
        let before = std::mem::replace(&mut self.held, by);
        let news = held.into_iter().filter(|(by, alert)| before.get(&key(alert)) != Some(by));
        news.map(|(_, alert)| alert).collect()
    }

    /// The period of the human's hours in which `now` lies.
    fn period(&self, now: Now) -> Option<Period> {
        self.settings.hours.as_ref()?.period(now.wall)
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
            let notice = alert.notice(now, about, code, AlertPhase::Resolved);
            send_end(&self.settings, &mut self.deferred, notices, notice);
        }
    }

    /// Stops the repeats and the escalation of alerts. Programs are notified of it.
    fn acknowledge(&mut self, now: Now, about: &About, code: Option<Code>, notices: &mut Vec<Notice>) {
        let Some(group) = self.groups.get_mut(about) else { return };
        for (which, alert) in group.alerts.iter_mut().filter(|(which, _)| code.is_none_or(|code| code == **which)) {
            if alert.acknowledge(Moment::at(now.mono)) {
                notices.push(alert.notice(now, about, *which, AlertPhase::Acknowledged));
            }
        }
        self.revision += 1;
    }

    /// Forgets what is gone. Returns the notices that close the alerts about it. The operator has just changed the
    /// configuration, so no hours hold them back.
    pub(super) fn cancel(&mut self, now: Now, is_gone: impl Fn(&About) -> bool) -> Vec<Notice> {
        self.deferred.retain(|notice| !is_gone(&notice.about));
        let gone: Vec<_> = self.groups.extract_if(.., |about, _| is_gone(about)).collect();
        self.revision += u64::from(!gone.is_empty());
        let mut notices = Vec::new();
        for (about, group) in gone {
            let notified = group.alerts.iter().filter(|(_, alert)| alert.is_notified());
            notices.extend(notified.map(|(code, alert)| alert.notice(now, &about, *code, AlertPhase::Withdrawn)));
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

    /// Sends due notifications.
    fn take_due(&mut self, now: Now, notices: &mut Vec<Notice>) {
        let here = Moment::at(now.mono);
        let deadline = self.period(now).and_then(|period| period.deadline).filter(|deadline| *deadline > now.wall);
        let Self { settings, groups, deferred, revision, .. } = self;
        let before = notices.len();
        let is_due = |notice: &mut Notice| settings.held_until(notice.code, notice.severity, now.wall).is_none();
        notices.extend(deferred.extract_if(.., is_due));
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
                    send_end(settings, deferred, notices, alert.notice(now, about, code, AlertPhase::Replaced));
                }
                let Some(alert) = group.alerts.get(&code) else { continue };
                let candidate = Candidate { settings, group, code, alert, now };
                let step = NotificationStep::of(&candidate, here);
                let Some(alert) = group.alerts.get_mut(&code) else { continue };
                let (phase, audience) = step.take(alert, here, code);
                let mut notice = Notice { audience, ..alert.notice(now, about, code, phase) };
                if let Some(deadline) = deadline.filter(|_| Code::NotReady.entry().replaces.contains(&code)) {
                    let zone = settings.zone();
                    notice.demand(&time_of_day(deadline, settings), &short_clock(deadline, now.wall, &zone));
                }
                notices.push(notice);
                *revision += 1;
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
        let deferred = self.deferred.iter();
        let deferred = deferred.filter_map(|notice| settings.held_until(notice.code, notice.severity, now.wall));
        let deferred = deferred.map(|start| of(start, AlertWakeReason::HoursStart));
        let escalations = self.alerts().filter_map(|(_, _, _, alert)| alert.long_at());
        let escalations = escalations.map(|at| Due { at, reason: AlertWakeReason::Long });
        let hours = settings.hours.as_ref();
        let deadline = hours.and_then(|hours| hours.deadlines(now.wall, now.wall.saturating_add(A_WEEK).ok()?).next());
        let deadlines = deadline.into_iter().flat_map(|deadline| [proof_before(deadline), deadline]);
        let deadlines = deadlines.map(|at| of(at, AlertWakeReason::Deadline));
        notifications
            .chain(deferred)
            .chain(escalations)
            .chain(deadlines)
            .filter(|due| due.at > here)
            .min_by_key(|due| due.at)
            .unwrap_or_else(|| Due { at: here.after(LONGEST_SLEEP), reason: AlertWakeReason::Nothing })
    }

    /// The state that must survive a restart.
    #[must_use]
    pub fn snapshot(&self, now: Now) -> Persisted {
        let kept = self.groups.iter().filter(|(_, group)| !group.is_empty());
        let groups = kept.map(|(about, group)| (about.clone(), group.clone().map(|at| at.wall(now))));
        Persisted { groups: groups.collect(), deferred: self.deferred.clone(), reported: self.reported }
    }

    /// Restores the state of an earlier run. Returns the notices that close the alerts about what is no longer
    /// configured. A human is not notified about a gateway before it was checked. A time that lies ahead, because the
    /// clock was set back, counts as now.
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
        self.reported = persisted.reported;
        self.cancel(now, |about| !is_known(about))
    }
}

/// Sends the end of an alert. Where the hours hold it, people get it when they begin, and programs at once.
fn send_end(settings: &Settings, deferred: &mut Vec<Notice>, notices: &mut Vec<Notice>, notice: Notice) {
    let to = |who| Notice { audience: Audience { who, ..notice.audience }, ..notice.clone() };
    if settings.held_until(notice.code, notice.severity, notice.at).is_some() {
        deferred.push(to(Who::People));
        notices.push(to(Who::Programs));
    } else {
        notices.push(notice);
    }
}

/// When live sessions are proved before a deadline.
fn proof_before(deadline: Timestamp) -> Timestamp {
    SignedDuration::try_from(PROOF_LEAD).map_or(deadline, |lead| deadline.saturating_sub(lead).unwrap_or(deadline))
}

/// A time of day without its zone, for titles.
fn time_of_day(at: Timestamp, settings: &Settings) -> String {
    at.to_zoned_datetime(settings.zone()).strftime("%H:%M").to_string()
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

/// How far ahead a deadline is looked for.
const A_WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The longest time between two steps.
const LONGEST_SLEEP: Duration = Duration::from_hours(24);
