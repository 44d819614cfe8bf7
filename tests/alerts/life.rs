//! A daemon's alerts in simulated time: desk, outboxes and spool as the dispatcher has them, and a host that may die.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use tickled::alert::settings::{Channel, ChannelKind, HttpMethod, Payload, Preset, Url, WebhookSettings};
use tickled::alert::{
    About, ActiveAlert, AlertInput, AlertPlan, Code, Held, Message, Outbox, Outcome, ReadinessReport, Settings,
    Severity, SpoolContent as Spooled, Tracker,
};
use tickled::calendar::{Maintenance, Region, Window};
use tickled::session::{Facts, Now, RateLimitState, SessionNumber, State, StateReason, Unavailability, WakeReason};
use tickled::status::{Place, Snapshot};

pub(crate) const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(crate) const HOUR: Duration = Duration::from_hours(1);

/// A channel that takes everything.
pub(crate) fn channel(name: &str, preset: Preset) -> Channel {
    let url = Url::Plain("https://alerts.example.org".to_owned());
    let (payload, headers) = (Payload::Preset(preset), Vec::new());
    let kind = ChannelKind::Webhook(WebhookSettings {
        url,
        method: HttpMethod::Post,
        headers,
        payload,
        token_file: None,
        to: None,
        emergency: false,
        ca_file: None,
    });
    Channel {
        name: name.to_owned(),
        min_severity: Severity::Info,
        gateways: Vec::new(),
        codes: Vec::new(),
        after: Duration::ZERO,
        kind,
    }
}

/// How the gateway "main" is, and since when.
pub(crate) fn snapshot(state: State, since: Now, outage_since: Option<Now>) -> Snapshot {
    Snapshot {
        gateway: "main".to_owned(),
        url: "https://localhost:5000".to_owned(),
        login_url: None,
        service: None,
        state,
        reason: StateReason::Started,
        detail: None,
        unit: None,
        since,
        session: SessionNumber::default(),
        outage_since,
        facts: Facts::default(),
        restarts: Vec::new(),
        wrong_account: false,
        flapping: false,
        out_of_attempts: false,
        login_ends_at: None,
        maintenance: None,
        place: None,
        next: WakeReason::CheckDue,
        next_at: since.wall,
        promised: since.mono,
        rate_limits: RateLimitState::default(),
    }
}

/// What came through a channel.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) at: Timestamp,
    pub(crate) channel: String,
    pub(crate) message: Message,
}

/// A host with a daemon on it, its disk, and what people hear of it.
pub(crate) struct Life {
    settings: Settings,
    origin: Timestamp,
    /// Time since the origin, and when this process began.
    pub(crate) time: Duration,
    started: Duration,
    tracker: Tracker,
    wake_at: Duration,
    outboxes: BTreeMap<String, Outbox>,
    disk: String,
    /// How the gateway is.
    state: State,
    since: Now,
    outage_since: Option<Now>,
    pub(crate) flapping: bool,
    /// Until when a maintenance window holds alerts.
    pub(crate) hold_until: Option<Timestamp>,
    /// What the last look met instead of an answer.
    pub(crate) trouble: Option<Unavailability>,
    /// The hour's attempts are spent.
    pub(crate) spent: bool,
    /// Channels that take nothing at the moment.
    pub(crate) down: Vec<String>,
    /// Dies between a sending and the news of it on the disk, each time this says so.
    pub(crate) cuts: Box<dyn FnMut() -> bool>,
    pub(crate) cut: Vec<Message>,
    pub(crate) heard: Vec<Heard>,
    /// What the log has: reports at deadlines, and what is held. And when live sessions were to be proved.
    pub(crate) reports: Vec<ReadinessReport>,
    pub(crate) held: Vec<(Code, Held)>,
    pub(crate) proofs: Vec<Timestamp>,
}

impl Life {
    pub(crate) fn begin(settings: Settings, origin: &str) -> Self {
        let origin: Timestamp = origin.parse().unwrap();
        let since = Now { mono: Duration::ZERO, wall: origin };
        let mut life = Self {
            tracker: Tracker::new(settings.clone(), "host"),
            wake_at: Duration::MAX,
            outboxes: BTreeMap::new(),
            settings,
            origin,
            time: Duration::ZERO,
            started: Duration::ZERO,
            disk: String::new(),
            state: State::Starting,
            since,
            outage_since: Some(since),
            flapping: false,
            hold_until: None,
            trouble: None,
            spent: false,
            down: Vec::new(),
            cuts: Box::new(|| false),
            cut: Vec::new(),
            heard: Vec::new(),
            reports: Vec::new(),
            held: Vec::new(),
            proofs: Vec::new(),
        };
        life.start();
        life
    }

    pub(crate) fn now(&self) -> Now {
        let wall = self.origin.saturating_add(jiff::SignedDuration::try_from(self.time).unwrap()).unwrap();
        Now { mono: self.time.checked_sub(self.started).unwrap(), wall }
    }

    /// The gateway stays like this.
    pub(crate) fn becomes(&mut self, state: State) {
        // As the machine has it: a state goes on while only the reason for it changes.
        if self.state.name() != state.name() {
            self.since = self.now();
        }
        self.state = state;
        self.outage_since = self.outage_since.or(Some(self.since)).filter(|_| state != State::Live);
        self.look();
    }

    pub(crate) const fn state(&self) -> State {
        self.state
    }

    /// What the status shows as open.
    pub(crate) fn active(&self) -> Vec<ActiveAlert> {
        self.tracker.active(self.now()).collect()
    }

    /// A calendar with one window, which ends at `hold_until`.
    fn place(&self) -> Option<Place> {
        let end = self.hold_until?.to_zoned_datetime(TimeZone::UTC);
        let start = end.saturating_sub(3.hours());
        let window = Window {
            days: vec![start.weekday()],
            from: start.time(),
            to: end.time(),
            zone: "UTC".to_owned(),
            regions: Region::ALL.to_vec(),
        };
        let maintenance = Arc::new(Maintenance { windows: vec![window], grace: Duration::ZERO });
        Some(Place { region: Region::default(), maintenance })
    }

    /// The driver reports.
    pub(crate) fn look(&mut self) {
        let (flapping, place) = (self.flapping, self.place());
        // The session is proved each time.
        let last_data = (self.state == State::Live).then(|| self.now());
        let known = Facts { trouble: self.trouble, last_data, ..Facts::default() };
        let snapshot = snapshot(self.state, self.since, self.outage_since);
        let snapshot = Snapshot { flapping, place, facts: known, out_of_attempts: self.spent, ..snapshot };
        self.step(AlertInput::Snapshot(&snapshot));
    }

    pub(crate) fn step(&mut self, input: AlertInput<'_>) {
        let plan = self.tracker.step(self.now(), input);
        self.do_it(&plan);
    }

    fn do_it(&mut self, plan: &AlertPlan) {
        self.wake_at = plan.wake_at;
        self.reports.extend(plan.report.clone());
        self.held.extend(plan.held.iter().filter_map(|alert| Some((alert.code, alert.held?))));
        self.proofs.extend((!plan.prove.is_empty()).then(|| self.now().wall));
        let now = self.now();
        for notice in &plan.notices {
            let message = notice.message(&self.settings.zone(), &"host".into());
            for channel in self.settings.channels.iter().filter(|channel| notice.is_for(channel, &message)) {
                let outbox = self.outboxes.get_mut(&channel.name).unwrap();
                assert_eq!(outbox.put(now, message.clone()), None, "no alert gives way");
            }
        }
        self.deliver();
    }

    /// What is due goes out, and is on the disk before that.
    fn deliver(&mut self) {
        self.save();
        for name in self.outboxes.keys().cloned().collect::<Vec<_>>() {
            let now = self.now();
            while let Some((message, progress)) = self.outboxes.get_mut(&name).and_then(|outbox| outbox.due(now)) {
                let outcome = if self.down.contains(&name) {
                    Outcome::TryAgain { why: "down".to_owned(), after: None, needs_human: false }
                } else {
                    self.heard.push(Heard { at: now.wall, channel: name.clone(), message: message.clone() });
                    Outcome::Sent { answer: String::new(), except: None }
                };
                let is_sent = matches!(outcome, Outcome::Sent { .. });
                let _verdict = self.outboxes.get_mut(&name).unwrap().done(now, &message, progress, &outcome);
                if is_sent && (self.cuts)() {
                    self.cut.push(message);
                    self.restart();
                    return;
                }
                self.save();
            }
        }
    }

    fn save(&mut self) {
        let now = self.now();
        let channels = self.outboxes.iter().map(|(name, outbox)| (name.clone(), outbox.keep(now))).collect();
        let state = Spooled { alerts: self.tracker.snapshot(now), channels, instance: String::new() };
        self.disk = serde_json::to_string(&state).unwrap();
    }

    /// The host is off for so long, and the gateway is found like this after that.
    pub(crate) fn boot(&mut self, off: Duration, state: State) {
        self.time += off;
        self.state = state;
        self.restart();
    }

    /// kill -9, and a new process that knows what is on the disk and nothing else.
    pub(crate) fn restart(&mut self) {
        self.start();
        // A daemon has accepted its configuration before it looks at any gateway.
        self.step(AlertInput::ConfigAccepted);
        (self.since, self.outage_since) = (self.now(), Some(self.now()));
        let (state, place) = (self.state, self.place());
        let starting = Snapshot { place, ..snapshot(State::Starting, self.since, self.outage_since) };
        self.step(AlertInput::Snapshot(&starting));
        self.time += secs(1);
        self.becomes(state);
    }

    fn start(&mut self) {
        self.started = self.time;
        self.wake_at = Duration::MAX;
        let now = self.now();
        let Spooled { alerts, channels, .. } = serde_json::from_str(&self.disk).unwrap_or_default();
        self.tracker = Tracker::new(self.settings.clone(), "host");
        let withdrawn = self.tracker.restore(alerts, now, |about| about.gateway().is_none_or(|name| name == "main"));
        assert_eq!(withdrawn, []);
        let mut channels = channels;
        let outboxes = self.settings.channels.iter().map(|channel| {
            let mut outbox = Outbox::default();
            outbox.restore(channels.remove(&channel.name).unwrap_or_default(), now);
            (channel.name.clone(), outbox)
        });
        self.outboxes = outboxes.collect();
    }

    /// Time goes on, with a look of the driver every ten minutes.
    pub(crate) fn until(&mut self, end: Duration) {
        while self.time < end {
            let outbox = self.outboxes.values().filter_map(Outbox::wake_at).min();
            let wake = outbox.into_iter().chain([self.wake_at]).min().unwrap();
            let wake = self.started.saturating_add(wake.max(self.now().mono + Duration::from_millis(1)));
            let next_look = secs((self.time.as_secs() / 600 + 1) * 600);
            self.time = wake.min(end).min(next_look);
            if self.time == next_look {
                self.look();
            } else {
                self.step(AlertInput::Wake);
            }
        }
    }

    pub(crate) fn pass(&mut self, span: Duration) {
        self.until(self.time + span);
    }

    /// Phase and code of all that came through a channel, in order.
    pub(crate) fn told(&self, channel: &str) -> Vec<String> {
        let own = self.heard.iter().filter(|heard| heard.channel == channel);
        own.map(|heard| format!("{} {}", heard.message.phase.name(), heard.message.code)).collect()
    }

    pub(crate) fn main() -> About {
        About::Gateway("main".to_owned())
    }
}
