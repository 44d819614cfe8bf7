//! The alert machine: which incidents there are, when a human is told of one, and when that is called off. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::annotations::{self, Action, Annotations};
use super::clockwork::{Moment, lasted};
use super::condition::{Condition, conditions};
use super::notice::{About, Notice, Phase, one_line};
use super::reminder::Login;
use super::schedule::{LONG, end_of_quiet};
use super::settings::Settings;
use super::{Code, Severity, catalogue::Ends};
use crate::session::{CALM, Now, State};
use crate::status::Snapshot;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input<'a> {
    /// The deadline of the last plan came. A wake-up that is early or not needed is harmless.
    Wake,
    /// How a gateway is.
    Snapshot(&'a Snapshot),
    /// This is not in the configuration any more.
    Forget(&'a About),
    /// A changed configuration was refused, for this reason.
    ConfigRejected(&'a str),
    /// A changed configuration was taken over.
    ConfigAccepted,
    /// A channel did not take an alert, for this reason.
    Undeliverable {
        /// The channel's name.
        channel: &'a str,
        /// The title of that alert.
        title: &'a str,
        /// Why not, as part of a sentence.
        why: &'a str,
    },
    /// A channel took an alert.
    Delivered {
        /// The channel's name.
        channel: &'a str,
    },
    /// A human knows of an incident and wants no more of it until it is over.
    Acknowledge {
        /// What it is about.
        about: &'a About,
        /// Which one; none for all.
        code: Option<Code>,
    },
}

/// What the caller must do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a plan that is not carried out leaves a human untold"]
pub struct Plan {
    /// Tell these, in this order.
    pub notices: Vec<Notice>,
    /// Call [`Desk::step`] with [`Input::Wake`] at this time ([`Now::mono`]) at the latest.
    pub wake_at: Duration,
    /// Why then.
    pub because: Reason,
    /// What [`Desk::keep`] gives has changed.
    pub changed: bool,
}

/// Why the desk will wake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// An incident has lasted long enough to be told.
    HoldOff,
    /// An incident is told again.
    Repeat,
    /// A maintenance window ends.
    WindowEnd,
    /// The quiet hours end.
    QuietEnd,
    /// A login ends soon.
    Reminder,
    /// IBKR has been unavailable for long.
    Wedged,
    /// Nothing is due.
    Nothing,
}

/// An incident as the status shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// What it is about.
    pub about: About,
    /// What it is.
    pub code: Code,
    /// When it began.
    pub began: Timestamp,
    /// Whether a human was told.
    pub told: bool,
    /// Whether a human has said to know of it.
    pub acknowledged: bool,
    /// What it looks like, or that it is no longer seen: a sentence without its capital and its full stop.
    pub what: String,
    /// What to do about it, likewise; empty when it is no longer seen.
    pub todo: String,
}

/// Keeps the incidents of all gateways, channels and the daemon: each is told once after its hold-off, told again at
/// long intervals, and called off once.
#[derive(Debug, Clone)]
pub struct Desk {
    pub(super) settings: Settings,
    /// The name of this host, for the line that makes a tunnel to it.
    host: String,
    pub(super) open: BTreeMap<(About, Code), Incident>,
    /// What was over within the quiet hours.
    pub(super) held: Vec<Notice>,
    pub(super) logins: BTreeMap<String, Login>,
    /// Until when the alerts of a gateway wait for the end of a maintenance window.
    pub(super) windows: BTreeMap<String, Moment>,
    /// When an alert ended that a human was notified of, for [`RECURS_WITHIN`].
    pub(super) ended: BTreeMap<(About, Code), Moment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Incident {
    pub(super) began: Moment,
    pub(super) began_wall: Timestamp,
    /// Since when it is not so, while it is not over either.
    pub(super) absent: Option<Moment>,
    /// Since when there is no maintenance window that would explain it.
    pub(super) unexplained: Moment,
    pub(super) told: Option<Moment>,
    /// From when on it may be told; none from a restart until the gateway is looked at.
    pub(super) seen: Option<Moment>,
    /// What a human was told to do.
    pub(super) remedies: BTreeSet<Action>,
    /// The highest severity that a human was notified of.
    pub(super) worst: Option<Severity>,
    pub(super) acknowledged: bool,
    /// The same ended a short while ago, so it is over only once the session has been live for some minutes.
    pub(super) recurs: bool,
    pub(super) words: Annotations,
    /// What to say instead once it has lasted for long.
    pub(super) if_long: Option<Annotations>,
    pub(super) url: Option<String>,
}

impl Desk {
    /// A desk without incidents, on the host of that name.
    #[must_use]
    pub fn new(settings: Settings, host: &str) -> Self {
        Self {
            settings,
            host: host.to_owned(),
            open: BTreeMap::new(),
            held: Vec::new(),
            logins: BTreeMap::new(),
            windows: BTreeMap::new(),
            ended: BTreeMap::new(),
        }
    }

    /// Takes in what happened at `now`, and says what is to be told.
    pub fn step(&mut self, now: Now, input: Input<'_>) -> Plan {
        let before = (self.open.clone(), self.held.clone(), self.logins.clone());
        let here = Moment::at(now.mono);
        self.ended.retain(|_, at| at.until(here) < RECURS_WITHIN);
        let mut notices = Vec::new();
        match input {
            Input::Wake => {}
            Input::Snapshot(snapshot) => self.look(now, snapshot, &mut notices),
            Input::Forget(about) => {
                notices.extend(self.withdraw(now, |whose| whose == about));
                if let Some(gateway) = about.gateway() {
                    self.logins.remove(gateway);
                    self.windows.remove(gateway);
                }
                self.ended.retain(|(whose, _), _| whose != about);
            }
            Input::ConfigRejected(why) => {
                self.open(now, About::Daemon, Code::ConfigRejected, annotations::config_rejected(why));
            }
            Input::ConfigAccepted => self.close(now, &About::Daemon, Code::ConfigRejected, &mut notices),
            Input::Undeliverable { channel, title, why } => {
                let words = annotations::undeliverable(channel, title, why);
                self.open(now, About::Channel(channel.to_owned()), Code::AlertUndeliverable, words);
            }
            Input::Delivered { channel } => {
                let about = About::Channel(channel.to_owned());
                self.close(now, &about, Code::AlertUndeliverable, &mut notices);
            }
            Input::Acknowledge { about, code } => {
                for ((whose, which), incident) in &mut self.open {
                    incident.acknowledged |= whose == about && code.is_none_or(|code| code == *which);
                }
            }
        }
        self.escalate(now);
        notices.extend(self.due(now));
        let (wake_at, because) = self.next(now);
        let (open, held, logins) = before;
        let changed = open != self.open || held != self.held || logins != self.logins;
        Plan { notices, wake_at: wake_at.mono(), because, changed }
    }

    /// All incidents that are so, and those that a human was notified of and that are not over.
    pub fn standing(&self) -> impl Iterator<Item = Standing> {
        let shown = self.open.iter().filter(|((about, code), incident)| {
            incident.absent.is_none() || (incident.told.is_some() && !self.is_contradicted(about, *code))
        });
        shown.map(|((about, code), incident)| {
            let (what, todo) = match incident.absent {
                None => (incident.words.summary.clone(), one_line(&incident.words.action_text)),
                Some(_) => (code.entry().ends.awaited(incident.recurs).to_owned(), String::new()),
            };
            Standing {
                about: about.clone(),
                code: *code,
                began: incident.began_wall,
                told: incident.told.is_some(),
                acknowledged: incident.acknowledged,
                what,
                todo,
            }
        })
    }

    /// What a human was notified of and is not over.
    pub(super) fn notified(&self) -> BTreeSet<(About, Code)> {
        let told = self.open.iter().filter(|(_, incident)| incident.told.is_some());
        told.map(|(key, _)| key.clone()).collect()
    }

    /// Whether a human was notified that something has to be done about this gateway, and it is not done.
    pub(super) fn needs_human(&self, gateway: &str) -> bool {
        self.needs_human_for(|about| about.gateway() == Some(gateway))
    }

    /// Whether a channel did not deliver an alert, and has not delivered one since.
    pub(super) fn has_failed_channel(&self) -> bool {
        self.needs_human_for(|about| matches!(about, About::Channel(_)))
    }

    fn needs_human_for(&self, is_meant: impl Fn(&About) -> bool) -> bool {
        let mut open = self.open.iter().filter(|((about, _), _)| is_meant(about));
        open.any(|(_, incident)| incident.worst == Some(Severity::Error))
    }

    /// Whether a human was told of an incident of that code that is not over.
    #[must_use]
    pub fn has_told(&self, code: Code) -> bool {
        self.open.iter().any(|((_, which), incident)| *which == code && incident.told.is_some())
    }

    /// The alerts that a channel has to be told of which has just been added: those that others were told of and that are
    /// still so, but for those that a human has acknowledged, or that the quiet hours hold.
    #[must_use]
    pub fn ongoing(&self, now: Now) -> Vec<Notice> {
        let is_meant = |code: Code, incident: &Incident| {
            incident.told.is_some()
                && incident.is_there()
                && !incident.acknowledged
                && end_of_quiet(&self.settings, incident.words.severity(code), now.wall).is_none()
        };
        let open = self.open.iter().filter(|((_, code), incident)| is_meant(*code, incident));
        open.map(|((about, code), incident)| incident.notice(now, about, *code, Phase::Repeated)).collect()
    }

    fn look(&mut self, now: Now, snapshot: &Snapshot, notices: &mut Vec<Notice>) {
        let here = Moment::at(now.mono);
        let about = About::Gateway(snapshot.gateway.clone());
        let window = snapshot.hold_until.map(|until| Moment::ahead(until, LONGEST_WINDOW, now));
        match window.filter(|until| *until > here) {
            Some(until) => self.windows.insert(snapshot.gateway.clone(), until),
            None => self.windows.remove(&snapshot.gateway),
        };
        if snapshot.state != State::Starting {
            self.see(here, &about);
        }
        let mut conditions = conditions(snapshot, &self.host);
        conditions.extend(self.reminder(now, snapshot));
        for ((whose, code), incident) in &mut self.open {
            if *whose == about && !conditions.iter().any(|condition| condition.code == *code) {
                incident.absent.get_or_insert(here);
            }
        }
        let held = now.mono.saturating_sub(snapshot.since.mono);
        let is_unstable = snapshot.state == State::Live && held < CALM;
        for code in Code::ALL {
            let waits = is_unstable && self.open.get(&(about.clone(), code)).is_some_and(|incident| incident.recurs);
            let is_over = code.entry().ends.is(snapshot.state, held) && !waits;
            if is_over && !conditions.iter().any(|condition| condition.code == code) {
                self.close(now, &about, code, notices);
            }
        }
        // What was not told before it went away, and stayed away as long, was a blip.
        self.open.retain(|(whose, code), incident| {
            let patience = code.entry().hold_off.max(SHORTEST_MEMORY);
            let is_gone = incident.absent.is_some_and(|since| since.until(here) >= patience);
            *whose != about || incident.told.is_some() || !is_gone
        });
        let in_window = self.windows.contains_key(&snapshot.gateway);
        for Condition { code, annotations, if_long } in conditions {
            let since = match code.entry().ends {
                Ends::Live | Ends::Steady => snapshot.incident_since.unwrap_or(snapshot.since),
                // What comes while a login is required did not begin with that.
                Ends::Known if matches!(snapshot.state, State::LoginRequired(_)) => now,
                Ends::Known => snapshot.since,
                Ends::Gone => now,
            };
            let recurs = code.entry().may_flap && self.ended.contains_key(&(about.clone(), code));
            let incident = self.open.entry((about.clone(), code)).or_insert_with(|| {
                // A login of the wrong kind, for one, begins while the session is live.
                let since = if snapshot.state == State::Live { now } else { since };
                Incident { recurs, ..Incident::new(since, annotations.clone()) }
            });
            if incident.absent.take().is_some() || in_window {
                incident.unexplained = here;
            }
            incident.if_long = if_long;
            incident.url = Some(snapshot.url.clone());
            incident.words = annotations;
        }
    }

    /// A gateway is looked at, for the first time after a restart perhaps. What was untold then has not been watched
    /// meanwhile, and a host that has just started may still be starting its gateway: it is watched for a moment first.
    fn see(&mut self, here: Moment, about: &About) {
        for ((whose, code), incident) in &mut self.open {
            if whose == about && incident.seen.is_none() {
                let patience = code.entry().hold_off.min(LONGEST_SECOND_LOOK);
                incident.seen = Some(if incident.told.is_some() { here } else { here.after(patience) });
            }
        }
    }

    fn open(&mut self, now: Now, about: About, code: Code, words: Annotations) {
        let incident = self.open.entry((about, code)).or_insert_with(|| Incident::new(now, words.clone()));
        incident.words = words;
    }

    fn close(&mut self, now: Now, about: &About, code: Code, notices: &mut Vec<Notice>) {
        let Some(incident) = self.open.remove(&(about.clone(), code)) else { return };
        if incident.told.is_some() {
            self.ended.insert((about.clone(), code), Moment::at(now.mono));
            self.end(incident.notice(now, about, code, Phase::Resolved), notices);
        }
    }

    /// Closes what a human was notified of and is no longer so, because the alert of this code says what is so instead.
    fn replace(&mut self, now: Now, about: &About, by: Code, notices: &mut Vec<Notice>) {
        for code in by.entry().replaces {
            let key = (about.clone(), *code);
            if self.open.get(&key).is_some_and(|incident| incident.absent.is_some())
                && let Some(incident) = self.open.remove(&key)
                && incident.told.is_some()
            {
                self.end(incident.notice(now, about, *code, Phase::Replaced), notices);
            }
        }
    }

    /// Sends the end of an alert, after the quiet hours if they hold it.
    fn end(&mut self, notice: Notice, notices: &mut Vec<Notice>) {
        if end_of_quiet(&self.settings, notice.severity, notice.at).is_some() {
            self.held.push(notice);
        } else {
            notices.push(notice);
        }
    }

    /// Forgets what is about this, and says of what was told that it is called off. The operator has just changed the
    /// configuration, so no quiet hour holds that back.
    pub(super) fn withdraw(&mut self, now: Now, is_gone: impl Fn(&About) -> bool) -> Vec<Notice> {
        self.held.retain(|notice| !is_gone(&notice.about));
        let gone = self.open.extract_if(.., |(about, _), _| is_gone(about));
        let told = gone.filter(|(_, incident)| incident.told.is_some());
        told.map(|((about, code), incident)| incident.notice(now, &about, code, Phase::Withdrawn)).collect()
    }

    /// Asks a human to act where IBKR has been unavailable for long.
    fn escalate(&mut self, now: Now) {
        let here = Moment::at(now.mono);
        for incident in self.open.values_mut() {
            let is_late = incident.unexplained.after(LONG) <= here;
            if is_late
                && incident.is_there()
                && let Some(annotations) = &incident.if_long
            {
                incident.words = annotations.clone();
            }
        }
    }

    /// What is to be told now.
    fn due(&mut self, now: Now) -> Vec<Notice> {
        let here = Moment::at(now.mono);
        let mut notices = Vec::new();
        let settings = &self.settings;
        let may_go = |notice: &mut Notice| end_of_quiet(settings, notice.severity, now.wall).is_none();
        notices.extend(self.held.extract_if(.., may_go));
        let due: Vec<(About, Code)> = self
            .open
            .iter()
            .filter(|((about, code), incident)| {
                self.telling(now, about, *code, incident).is_some_and(|(at, _)| at <= here)
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in due {
            if self.open.get(&key).is_some_and(|incident| incident.told.is_none()) {
                self.replace(now, &key.0, key.1, &mut notices);
            }
            let Some(incident) = self.open.get_mut(&key) else { continue };
            let phase = if incident.told.is_none() { Phase::Raised } else { Phase::Repeated };
            incident.told = Some(here);
            incident.remedies.insert(incident.words.action);
            incident.worst = incident.worst.max(Some(incident.words.severity(key.1)));
            notices.push(incident.notice(now, &key.0, key.1, phase));
            if let Some(login) = key.0.gateway().and_then(|gateway| self.logins.get_mut(gateway)) {
                login.reminded |= key.1 == Code::LoginEndsSoon;
            }
        }
        notices
    }
}

impl Incident {
    fn new(since: Now, words: Annotations) -> Self {
        let began = Moment::at(since.mono);
        Self {
            began,
            began_wall: since.wall,
            absent: None,
            unexplained: began,
            told: None,
            seen: Some(began),
            remedies: BTreeSet::new(),
            worst: None,
            acknowledged: false,
            recurs: false,
            words,
            if_long: None,
            url: None,
        }
    }

    /// Whether it is so, as far as the last look showed, and there was one.
    pub(super) const fn is_there(&self) -> bool {
        self.absent.is_none() && self.seen.is_some()
    }

    fn notice(&self, now: Now, about: &About, code: Code, phase: Phase) -> Notice {
        let Annotations { reason: cause, title, summary: what, action_text: todo, .. } = self.words.clone();
        let severity = match phase {
            Phase::Raised | Phase::Repeated | Phase::Test => self.words.severity(code),
            Phase::Resolved | Phase::Withdrawn | Phase::Replaced => {
                self.worst.unwrap_or_else(|| self.words.severity(code))
            }
        };
        let (about, url) = (about.clone(), self.url.clone());
        let lasted = lasted(self.began, self.began_wall, now);
        let (began, at) = (self.began_wall, now.wall);
        Notice { about, code, phase, severity, began, lasted, at, title, cause, what, todo, url }
    }
}

/// What comes again so soon after its end recurs.
const RECURS_WITHIN: Duration = Duration::from_mins(30);
/// A longer wait for a maintenance window is a clock that was set.
const LONGEST_WINDOW: Duration = Duration::from_hours(24);
/// How long at least something that went away untold is remembered.
const SHORTEST_MEMORY: Duration = Duration::from_secs(60);
/// How long at most something untold is watched anew after a restart.
const LONGEST_SECOND_LOOK: Duration = Duration::from_secs(60);
