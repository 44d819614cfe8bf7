//! The types of the control socket, as in its JSON.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::alert::{self, ActiveAlert, ChannelStatus, HeldBy, Severity};
use crate::history::EventId;
use crate::session::{StateKind, StateReason};
use crate::status::Snapshot;

/// A command to the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The status of everything.
    Status,
    /// The configuration in force.
    Config,
    /// Check this gateway at once, or all.
    Check(Option<String>),
    /// Stop all requests to this gateway.
    Pause(String, Until),
    /// End the pause of this gateway.
    Resume(String),
    /// End the session of this gateway.
    Logout(String),
    /// Acknowledge open alerts: of this gateway or of all, of this kind or of all.
    Acknowledge(Option<String>, Option<alert::Code>),
    /// Run this hook as a test, for this gateway or for the first one.
    TestHook(String, Option<String>),
    /// Send a marked test through this channel, or through all, with the weight of this alert.
    Test {
        /// The channel's name; `None` for all, and the dead man's switch.
        channel: Option<String>,
        /// The alert that it looks like.
        code: Option<alert::Code>,
    },
}

/// How long a pause lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// This long.
    Over(Duration),
    /// Until then.
    At(Timestamp),
    /// Until it is ended.
    Resumed,
}

/// What the daemon answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Response {
    /// The status of everything.
    Status(Box<DaemonStatus>),
    /// The configuration, as TOML.
    Config(String),
    /// What was done, in words.
    Done(String),
    /// The results of the tests.
    Tested(Vec<ChannelTest>),
    /// How a hook's program ended.
    Tried(Tried),
    /// Something that was named does not exist, in words.
    Unknown(String),
    /// The command is invalid, in words.
    Invalid(String),
    /// The command cannot be carried out at present, in words.
    Refused(String),
}

/// The status of the daemon and of all gateways: the answer to `GET /v1/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonStatus {
    /// The daemon's version.
    pub version: String,
    /// The host it runs on.
    pub host: String,
    /// Its process.
    pub pid: u32,
    /// The time, by its clock.
    pub at: Timestamp,
    /// Since when it runs.
    pub since: Timestamp,
    /// Its configuration file.
    pub config: String,
    /// What keeps a changed configuration from being in force, if something does.
    pub config_refused: Option<String>,
    /// The id of the last event: with it as `Last-Event-ID`, the events continue from this status.
    pub last_event: EventId,
    /// The IANA time zone of the times that people are shown; none where the host's has no name.
    pub zone: Option<String>,
    /// The gateways, by name.
    pub gateways: Vec<GatewayStatus>,
    /// The open alerts, sent or held back.
    pub alerts: Vec<OpenAlert>,
    /// The channels of alerts, beside the log.
    pub channels: Vec<ChannelStatus>,
}

impl DaemonStatus {
    /// The gateways, worst first: those that need a human, those that are being handled, paused ones, live ones.
    #[must_use]
    pub fn worst_first(&self) -> Vec<&GatewayStatus> {
        let mut gateways: Vec<&GatewayStatus> = self.gateways.iter().collect();
        gateways.sort_by_key(|gateway| self.rank(gateway));
        gateways
    }

    /// The open alerts, the most severe first.
    #[must_use]
    pub fn worst_alerts(&self) -> Vec<&OpenAlert> {
        let mut alerts: Vec<&OpenAlert> = self.alerts.iter().collect();
        alerts.sort_by_key(|alert| (std::cmp::Reverse(alert.severity), alert.may_pass()));
        alerts
    }

    /// `2 of 12 live, 1 needs you`.
    #[must_use]
    pub fn summary(&self) -> String {
        let live = self.gateways.iter().filter(|gateway| gateway.state == StateKind::Live).count();
        let line = format!("{live} of {} live", self.gateways.len());
        match self.gateways.iter().filter(|gateway| self.rank(gateway) == 0).count() {
            0 => line,
            1 => format!("{line}, 1 needs you"),
            n => format!("{line}, {n} need you"),
        }
    }

    /// Whether an open alert asks a human to act on this gateway.
    #[must_use]
    pub fn needs_human(&self, gateway: &GatewayStatus) -> bool {
        self.rank(gateway) == 0
    }

    fn rank(&self, gateway: &GatewayStatus) -> u8 {
        let is_own = |alert: &&OpenAlert| alert.gateway.as_deref() == Some(gateway.name.as_str());
        if self.alerts.iter().filter(is_own).any(|alert| alert.severity == Severity::Error && !alert.may_pass()) {
            return 0;
        }
        match gateway.state {
            StateKind::Starting | StateKind::Recovering | StateKind::Contested | StateKind::Unavailable => 1,
            StateKind::LoginRequired | StateKind::Paused => 2,
            StateKind::Live => 3,
        }
    }
}

/// How one gateway is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Its address.
    pub url: String,
    /// The address by which people reach its login, if it is another.
    #[serde(default)]
    pub login_url: Option<String>,
    /// The state of its session.
    pub state: StateKind,
    /// Why, by its code.
    pub because: StateReason,
    /// Why, in words.
    pub why: String,
    /// Since when.
    pub since: Timestamp,
    /// The number of its session: it grows whenever the brokerage session is, or may be, a new one.
    pub session: u64,
    /// Since when the session has had that number; none if it was last seen by an earlier daemon.
    pub session_since: Option<Timestamp>,
    /// Since when the session has not been live, while it is not.
    pub down_since: Option<Timestamp>,
    /// When the session was last proved good.
    pub last_good: Option<Timestamp>,
    /// The last request and its outcome.
    pub last_asked: Option<Asked>,
    /// Why the daemon will act next, in words.
    pub next: String,
    /// When, at the latest; none in a pause without end.
    pub next_at: Option<Timestamp>,
    /// When this login is expected to end.
    pub login_ends_at: Option<Timestamp>,
    /// The maintenance window that IBKR is in.
    pub maintenance: Option<CurrentWindow>,
    /// When the pause ends by itself, if it does.
    pub paused_until: Option<Timestamp>,
    /// Whether the account is for paper trading, where that is known.
    pub paper: Option<bool>,
    /// Whether the account is not of the configured kind.
    pub wrong_account: bool,
    /// Whether the session comes and goes more often than it should.
    pub flapping: bool,
}

/// A request, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// When it was answered, or given up.
    pub at: Timestamp,
    /// The name of the client's method.
    pub call: String,
    /// `ok`, or what went wrong.
    pub outcome: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// A maintenance window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrentWindow {
    /// When it ends.
    pub until: Timestamp,
    /// The IANA time zone of its published times.
    pub zone: String,
}

/// Something that is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenAlert {
    /// Its code, as `login-required`.
    pub code: String,
    /// The gateway it is about, if it is about one.
    pub gateway: Option<String>,
    /// The channel it is about, if it is about one.
    pub channel: Option<String>,
    /// Since when.
    pub since: Timestamp,
    /// Whether it was sent; false while it is held back.
    pub notified: bool,
    /// Whether it was acknowledged.
    pub acknowledged: bool,
    /// Its severity.
    pub severity: Severity,
    /// Why it is not sent, if it is not.
    pub held: Option<HeldAlert>,
    /// What it is.
    pub summary: String,
    /// What to do about it.
    pub action: String,
}

impl OpenAlert {
    /// Whether it is only held off, because the problem may pass by itself.
    fn may_pass(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.by == HeldBy::HoldOff.name())
    }
}

/// Why an alert is not sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldAlert {
    /// What holds it: `window`, `hours`, `hold-off`, `flapping`, `inhibited`, `acknowledged` or `unverified`.
    pub by: String,
    /// The same in words.
    pub why: String,
    /// Until when, if the clock decides that.
    pub until: Option<Timestamp>,
}

/// The result of a test on one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelTest {
    /// The channel's name.
    pub channel: String,
    /// Whether all recipients got it.
    pub delivered: bool,
    /// Whether a failure may pass by itself.
    pub retryable: bool,
    /// The result in words, with the answer of the service.
    pub result: String,
}

/// How a hook's program ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// The hook.
    pub hook: String,
    /// Whether its exit code was 0.
    pub is_good: bool,
    /// How it ended, with its output.
    pub result: String,
}

/// Why something was not done: the body of every answer that is not 200.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// Why, and what to do.
    pub error: String,
}

impl DaemonStatus {
    /// The names of all gateways.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.gateways.iter().map(|gateway| gateway.name.clone()).collect()
    }

    /// The gateway of that name, once its driver has reported.
    #[must_use]
    pub fn gateway(&self, name: &str) -> Option<&GatewayStatus> {
        self.gateways.iter().find(|gateway| gateway.name == name)
    }
}

impl GatewayStatus {
    /// How a gateway is, by its last snapshot.
    #[must_use]
    pub fn new(snapshot: &Snapshot, last_asked: Option<Asked>) -> Self {
        let paused_until = snapshot.state.paused_until();
        let is_endless = paused_until == Some(None);
        Self {
            name: snapshot.gateway.clone(),
            url: snapshot.url.clone(),
            login_url: snapshot.login_url.clone(),
            state: snapshot.state.kind(),
            because: snapshot.reason,
            why: snapshot.reason.sentence().to_owned(),
            since: snapshot.since.wall,
            session: snapshot.session.number,
            session_since: snapshot.session.since,
            down_since: snapshot.outage_since.map(|since| since.wall),
            last_good: snapshot.facts.last_good.map(|good| good.wall),
            last_asked,
            next: snapshot.next.sentence().to_owned(),
            next_at: (!is_endless).then_some(snapshot.next_at),
            login_ends_at: snapshot.login_ends_at,
            maintenance: snapshot
                .maintenance
                .as_ref()
                .map(|window| CurrentWindow { until: window.until, zone: window.zone.clone() }),
            paused_until: paused_until.flatten(),
            paper: snapshot.facts.is_paper,
            wrong_account: snapshot.wrong_account,
            flapping: snapshot.flapping,
        }
    }
}

impl From<ActiveAlert> for OpenAlert {
    fn from(alert: ActiveAlert) -> Self {
        let [gateway, channel] = [alert.about.gateway(), alert.about.channel()].map(|name| name.map(str::to_owned));
        Self {
            code: alert.code.name().to_owned(),
            gateway,
            channel,
            since: alert.started_at,
            notified: alert.notified,
            acknowledged: alert.acknowledged,
            severity: alert.severity,
            held: alert.held.map(|held| HeldAlert {
                by: held.by.name().to_owned(),
                why: held.by.reason(),
                until: held.until,
            }),
            summary: alert.summary,
            action: alert.action_text,
        }
    }
}

impl From<&alert::TestResult> for ChannelTest {
    fn from(trial: &alert::TestResult) -> Self {
        Self {
            channel: trial.channel.clone(),
            delivered: trial.is_delivered(),
            retryable: trial.is_retryable(),
            result: trial.to_string(),
        }
    }
}
