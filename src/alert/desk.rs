//! The alert machine: which incidents there are, when a human is told of one, and when that is called off. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::clockwork::{Moment, lasted};
use super::condition::{Condition, Remedy, Words, conditions, wedged};
use super::notice::{About, Notice, Phase};
use super::reminder::Login;
use super::settings::Settings;
use super::{Code, catalogue::Ends};
use crate::session::{Because, Now, State};
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
    /// A gateway may be wedged.
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
    /// What it looks like, as a sentence without its capital and its full stop.
    pub what: String,
    /// What to do about it, likewise.
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
    windows: BTreeMap<String, Moment>,
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
    pub(super) remedies: BTreeSet<Remedy>,
    pub(super) acknowledged: bool,
    pub(super) words: Words,
    pub(super) may_be_wedged: bool,
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
        }
    }

    /// Takes in what happened at `now`, and says what is to be told.
    pub fn step(&mut self, now: Now, input: Input<'_>) -> Plan {
        let before = (self.open.clone(), self.held.clone(), self.logins.clone());
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
            }
            Input::ConfigRejected(why) => {
                let what = format!("the old one stays in force, because of this: {why}");
                let todo = "mend the file, try it with `tickled config check`, and reload";
                let words = Words::new("config-rejected", what, todo, Remedy::Look);
                self.open(now, About::Daemon, Code::ConfigRejected, words);
            }
            Input::ConfigAccepted => self.close(now, &About::Daemon, Code::ConfigRejected, &mut notices),
            Input::Undeliverable { channel, why } => {
                let what = format!("an alert was not delivered by this channel: {why}");
                let todo = format!("mend the channel, and try it with `tickled alert test --channel {channel}`");
                let words = Words::new("given-up", what, todo, Remedy::Look);
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
        self.suspect_wedges(now);
        notices.extend(self.due(now));
        let (wake_at, because) = self.next(now);
        let (open, held, logins) = before;
        let changed = open != self.open || held != self.held || logins != self.logins;
        Plan { notices, wake_at: wake_at.mono(), because, changed }
    }

    /// All incidents, told or not.
    pub fn standing(&self) -> impl Iterator<Item = Standing> {
        self.open.iter().map(|((about, code), incident)| Standing {
            about: about.clone(),
            code: *code,
            began: incident.began_wall,
            told: incident.told.is_some(),
            acknowledged: incident.acknowledged,
            what: incident.words.what.clone(),
            todo: incident.words.todo.clone(),
        })
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
                && self.quiet_end(code, now.wall).is_none()
        };
        let open = self.open.iter().filter(|((_, code), incident)| is_meant(*code, incident));
        open.map(|((about, code), incident)| incident.notice(now, about, *code, Phase::Repeated)).collect()
    }

    fn look(&mut self, now: Now, snapshot: &Snapshot, notices: &mut Vec<Notice>) {
        let here = Moment::at(now.mono);
        let about = About::Gateway(snapshot.gateway.clone());
        let window = snapshot.hold_until.map(|until| Moment::ahead(until, LONGEST_WINDOW, now));
        match window.filter(|until| *until > here && snapshot.state != State::Live) {
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
        for code in Code::ALL {
            let is_over = code.entry().ends.is(snapshot.state, held);
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
        for Condition { code, words, may_be_wedged } in conditions {
            let since = match code.entry().ends {
                Ends::Live | Ends::Steady => snapshot.incident_since.unwrap_or(snapshot.since),
                // What comes while a login is required did not begin with that.
                Ends::Known if matches!(snapshot.state, State::LoginRequired(_)) => now,
                Ends::Known => snapshot.since,
                Ends::Gone => now,
            };
            let incident = self.open.entry((about.clone(), code)).or_insert_with(|| {
                // A login of the wrong kind, for one, begins while the session is live.
                let since = if snapshot.state == State::Live { now } else { since };
                Incident::new(since, words.clone())
            });
            if incident.absent.take().is_some() || in_window {
                incident.unexplained = here;
            }
            incident.may_be_wedged = may_be_wedged;
            incident.url = Some(snapshot.url.clone());
            incident.words = words;
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

    fn open(&mut self, now: Now, about: About, code: Code, words: Words) {
        let incident = self.open.entry((about, code)).or_insert_with(|| Incident::new(now, words.clone()));
        incident.words = words;
    }

    fn close(&mut self, now: Now, about: &About, code: Code, notices: &mut Vec<Notice>) {
        let Some(incident) = self.open.remove(&(about.clone(), code)) else { return };
        if incident.told.is_none() {
            return;
        }
        let notice = incident.notice(now, about, code, Phase::Resolved);
        if self.quiet_end(code, now.wall).is_some() {
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

    /// Gives what lasts too long the words for a gateway that may be wedged.
    fn suspect_wedges(&mut self, now: Now) {
        let here = Moment::at(now.mono);
        for incident in self.open.values_mut() {
            let is_late = incident.unexplained.after(WEDGED_AFTER) <= here;
            if incident.may_be_wedged && incident.is_there() && is_late {
                let url = incident.url.as_deref().unwrap_or_default();
                incident.words = wedged(url, &self.host);
            }
        }
    }

    /// What is to be told now.
    fn due(&mut self, now: Now) -> Vec<Notice> {
        let here = Moment::at(now.mono);
        let mut notices = Vec::new();
        let settings = &self.settings;
        let may_go = |notice: &mut Notice| end_of_quiet(settings, notice.code, now.wall).is_none();
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
            let Some(incident) = self.open.get_mut(&key) else { continue };
            let phase = if incident.told.is_none() { Phase::Raised } else { Phase::Repeated };
            incident.told = Some(here);
            incident.remedies.insert(incident.words.remedy);
            notices.push(incident.notice(now, &key.0, key.1, phase));
            if let Some(login) = key.0.gateway().and_then(|gateway| self.logins.get_mut(gateway)) {
                login.reminded |= key.1 == Code::LoginEndsSoon;
            }
        }
        notices
    }

    /// When a human is to be told of this incident next, and why then.
    fn telling(&self, now: Now, about: &About, code: Code, incident: &Incident) -> Option<(Moment, Reason)> {
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
            None => (incident.began.after(entry.hold_off).max(seen), Reason::HoldOff),
            Some(_) if incident.acknowledged || !entry.repeats => return None,
            Some(_) if !incident.remedies.contains(&incident.words.remedy) => (here, Reason::Repeat),
            Some(told) => (told.after(self.settings.repeat_every), Reason::Repeat),
        };
        let window = about.gateway().and_then(|gateway| self.windows.get(gateway));
        if let Some(until) = window.filter(|until| entry.waits_for_window && **until > at) {
            (at, because) = (*until, Reason::WindowEnd);
        }
        let wall = at.max(here).wall(now);
        if let Some(end) = self.quiet_end(code, wall) {
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

    fn quiet_end(&self, code: Code, at: Timestamp) -> Option<Timestamp> {
        end_of_quiet(&self.settings, code, at)
    }

    fn next(&self, now: Now) -> (Moment, Reason) {
        let here = Moment::at(now.mono);
        let incidents = self.open.iter();
        let tellings = incidents.filter_map(|((about, code), incident)| self.telling(now, about, *code, incident));
        let held = self.held.iter().filter_map(|notice| self.quiet_end(notice.code, now.wall));
        let held = held.map(|end| (Moment::of(end, now), Reason::QuietEnd));
        let wedges = self
            .open
            .values()
            .filter(|incident| incident.may_be_wedged && incident.is_there())
            .map(|incident| (incident.unexplained.after(WEDGED_AFTER), Reason::Wedged));
        let reminders = self.logins.values().filter_map(|login| login.remind);
        let reminders = reminders.map(|at| (Moment::of(at, now), Reason::Reminder));
        let all = tellings.chain(held).chain(wedges).chain(reminders);
        all.filter(|(at, _)| *at > here)
            .min_by_key(|(at, _)| *at)
            .unwrap_or_else(|| (here.after(LONGEST_SLEEP), Reason::Nothing))
    }
}

impl Incident {
    fn new(since: Now, words: Words) -> Self {
        let began = Moment::at(since.mono);
        Self {
            began,
            began_wall: since.wall,
            absent: None,
            unexplained: began,
            told: None,
            seen: Some(began),
            remedies: BTreeSet::new(),
            acknowledged: false,
            words,
            may_be_wedged: false,
            url: None,
        }
    }

    /// Whether it is so, as far as the last look showed, and there was one.
    const fn is_there(&self) -> bool {
        self.absent.is_none() && self.seen.is_some()
    }

    fn notice(&self, now: Now, about: &About, code: Code, phase: Phase) -> Notice {
        let Words { cause, what, todo, .. } = self.words.clone();
        let (about, url) = (about.clone(), self.url.clone());
        let lasted = lasted(self.began, self.began_wall, now);
        Notice { about, code, phase, began: self.began_wall, lasted, at: now.wall, cause, what, todo, url }
    }
}

/// When the quiet hours end that hold this code at `at`, if they do.
fn end_of_quiet(settings: &Settings, code: Code, at: Timestamp) -> Option<Timestamp> {
    let quiet = settings.quiet.as_ref()?;
    quiet.end(at).filter(|_| quiet.severities.contains(&code.entry().severity))
}

fn gave_up(incident: &Incident) -> bool {
    incident.words.cause == Because::Outfought.code()
}

/// How long IBKR must be silent, outside of maintenance windows, before the gateway is suspected.
const WEDGED_AFTER: Duration = Duration::from_mins(30);
/// A longer wait for a maintenance window is a clock that was set.
const LONGEST_WINDOW: Duration = Duration::from_hours(24);
/// How long at least something that went away untold is remembered.
const SHORTEST_MEMORY: Duration = Duration::from_secs(60);
/// While the session flaps, what lasts longer than this is no flap.
const LONGEST_FLAP: Duration = Duration::from_mins(30);
/// How long at most something untold is watched anew after a restart.
const LONGEST_SECOND_LOOK: Duration = Duration::from_secs(60);
/// The longest time between two looks at the desk.
const LONGEST_SLEEP: Duration = Duration::from_hours(24);
