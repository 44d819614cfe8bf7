//! The settings of alerts: when to notify, through which channels, and where a sign of life goes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::schedule::Hours;
use super::{Code, Severity};

/// The settings of alerts. [`Settings::default`] is the documented default of every key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The name by which people know this host; without it, its own.
    pub host: Option<String>,
    /// The zone of all times shown to people; `None` is that of the host.
    pub zone: Option<TimeZone>,
    /// When a human may be notified; `None` is always.
    pub hours: Option<Hours>,
    /// What is sent at any hour.
    pub always: Vec<Exempt>,
    /// Whether the channels get a message when all sessions are ready at the deadline.
    pub confirm: bool,
    /// What is sent in a maintenance window.
    pub in_window: Vec<Exempt>,
    /// The addresses by which people reach the logins of gateways, by their names.
    pub login_urls: BTreeMap<String, String>,
    /// The systemd units that run gateways, by the gateways' names.
    pub units: BTreeMap<String, String>,
    /// How often an alert is repeated while it lasts.
    pub repeat_every: Duration,
    /// The channels, besides the log.
    pub channels: Vec<Channel>,
    /// Where a sign of life goes.
    pub deadman: Option<DeadmanSettings>,
}

/// Alerts that are not held back: those of a severity, or those of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exempt {
    /// All of this severity.
    Severity(Severity),
    /// All of this code.
    Code(Code),
}

/// Where a sign of life goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadmanSettings {
    /// The file with the URL, which is a secret: a path, or the name of a systemd credential.
    pub url_file: PathBuf,
    /// The shortest time between two signs of the same kind.
    pub every: Duration,
    /// Whether to report failures to the service.
    pub fails: bool,
}

/// A channel that notifies a human.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// The lowest severity it is used for.
    pub min_severity: Severity,
    /// The gateways it is used for; empty for all.
    pub gateways: Vec<String>,
    /// The codes it is used for; empty for all.
    pub codes: Vec<Code>,
    /// How long after the first notification it gets an alert that is still open and not acknowledged.
    pub after: Duration,
    /// How it works.
    pub kind: ChannelKind,
}

/// How a channel works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelKind {
    /// An HTTP request.
    Webhook(WebhookSettings),
    /// A mail.
    Email(EmailSettings),
    /// A program on this host.
    Command(CommandSettings),
}

/// A channel that makes an HTTP request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSettings {
    /// The URL.
    pub url: Url,
    /// `POST`, `PUT` or `GET`.
    pub method: HttpMethod,
    /// Additional headers, as `Name: value`.
    pub headers: Vec<String>,
    /// The body.
    pub payload: Payload,
    /// The file with the secret of the service.
    pub token_file: Option<PathBuf>,
    /// The receiver at the service, where it needs one.
    pub to: Option<String>,
    /// Whether Pushover repeats an error until a human acknowledges it there.
    pub emergency: bool,
    /// The certificates to trust instead of those of the system.
    pub ca_file: Option<PathBuf>,
}

/// Where a webhook's URL comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Url {
    /// In the configuration, because it is no secret.
    Plain(String),
    /// In this file, because it is a secret.
    File(PathBuf),
}

/// How an HTTP request is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, strum::VariantArray, strum::IntoStaticStr)]
#[strum(serialize_all = "UPPERCASE")]
pub enum HttpMethod {
    /// POST.
    #[default]
    Post,
    /// PUT.
    Put,
    /// GET, without a body.
    Get,
}

/// The body of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// The form of a known service.
    Preset(Preset),
    /// A template of the operator.
    Body(String),
}

/// A known service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::VariantArray, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Preset {
    /// ntfy, hosted or self-hosted.
    Ntfy,
    /// An incoming webhook of Slack, or of a compatible service.
    Slack,
    /// A webhook of Discord.
    Discord,
    /// A bot of Telegram.
    Telegram,
    /// Pushover.
    Pushover,
    /// Gotify.
    Gotify,
    /// PagerDuty's Events API, version 2.
    PagerDuty,
    /// The documented schema, for other programs.
    Json,
}

/// A channel that sends mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailSettings {
    /// The mail server's name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: MailTls,
    /// The sender.
    pub from: String,
    /// The receivers; at least one.
    pub to: Vec<String>,
    /// The user at the mail server, where it needs one.
    pub user: Option<String>,
    /// The file with that user's password.
    pub password_file: Option<PathBuf>,
    /// The certificates to trust instead of those of the system.
    pub ca_file: Option<PathBuf>,
}

/// How a connection to a mail server is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, strum::VariantArray, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum MailTls {
    /// By STARTTLS, which is mandatory.
    #[default]
    StartTls,
    /// From its first byte.
    Tls,
    /// Not at all: only on this host.
    None,
}

/// A channel that runs a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandSettings {
    /// The program and its arguments; no shell is involved.
    pub argv: Vec<String>,
    /// How long it may take.
    pub within: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            host: None,
            zone: None,
            hours: None,
            always: Vec::new(),
            confirm: false,
            in_window: Vec::new(),
            login_urls: BTreeMap::new(),
            units: BTreeMap::new(),
            repeat_every: Duration::from_hours(4),
            channels: Vec::new(),
            deadman: None,
        }
    }
}

impl Settings {
    /// The name of this host for people, where its own is `own`.
    #[must_use]
    pub fn host<'a>(&'a self, own: &'a str) -> &'a str {
        self.host.as_deref().unwrap_or(own)
    }

    /// The same for a host in this zone.
    #[must_use]
    pub fn on_host(mut self, zone: &TimeZone) -> Self {
        let zone = self.zone.get_or_insert_with(|| zone.clone()).clone();
        if let Some(hours) = &mut self.hours {
            hours.zone = zone;
        }
        self
    }

    /// The zone of all times shown to people; UTC until the host's is known.
    #[must_use]
    pub fn zone(&self) -> TimeZone {
        self.zone.clone().unwrap_or(TimeZone::UTC)
    }

    /// When an alert outside of the hours is sent, if they hold it at `at`.
    pub(super) fn held_until(&self, code: Code, severity: Severity, at: Timestamp) -> Option<Timestamp> {
        let hours = self.hours.as_ref().filter(|_| !is_exempt(&self.always, code, severity))?;
        hours.held_until(at)
    }
}

impl Exempt {
    /// All severities and codes.
    pub fn all() -> impl Iterator<Item = Self> {
        let severities = Severity::ALL.iter().copied().map(Self::Severity);
        severities.chain(Code::ALL.iter().copied().map(Self::Code))
    }

    /// How it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Severity(severity) => severity.name(),
            Self::Code(code) => code.name(),
        }
    }
}

/// Whether an alert is among those.
pub(super) fn is_exempt(exempt: &[Exempt], code: Code, severity: Severity) -> bool {
    exempt.contains(&Exempt::Code(code)) || exempt.contains(&Exempt::Severity(severity))
}

impl Preset {
    /// All of them.
    pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

    /// How it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The service's address, where there is only one.
    #[must_use]
    pub const fn url(self) -> Option<&'static str> {
        match self {
            Self::Telegram => Some("https://api.telegram.org"),
            Self::Pushover => Some("https://api.pushover.net/1/messages.json"),
            Self::PagerDuty => Some("https://events.pagerduty.com/v2/enqueue"),
            Self::Ntfy | Self::Slack | Self::Discord | Self::Gotify | Self::Json => None,
        }
    }

    /// Whether it needs a token.
    #[must_use]
    pub const fn needs_token(self) -> bool {
        match self {
            Self::Telegram | Self::Pushover | Self::PagerDuty | Self::Gotify => true,
            Self::Ntfy | Self::Slack | Self::Discord | Self::Json => false,
        }
    }

    /// Whether it needs a receiver.
    #[must_use]
    pub const fn needs_receiver(self) -> bool {
        match self {
            Self::Telegram | Self::Pushover => true,
            Self::PagerDuty | Self::Gotify | Self::Ntfy | Self::Slack | Self::Discord | Self::Json => false,
        }
    }
}

impl ChannelKind {
    /// Its name in the configuration.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Email(_) => "email",
            Self::Command(_) => "command",
        }
    }

    /// Whether the receiver opens an incident that only its end closes.
    #[must_use]
    pub const fn opens_incidents(&self) -> bool {
        match self {
            Self::Webhook(webhook) => matches!(webhook.payload, Payload::Preset(Preset::PagerDuty)),
            Self::Email(_) | Self::Command(_) => false,
        }
    }

    /// Whether the receiver keeps an incident open until it is notified of its end, as programs do and people do not.
    #[must_use]
    pub const fn keeps_incidents(&self) -> bool {
        match self {
            Self::Webhook(webhook) => {
                webhook.emergency || matches!(webhook.payload, Payload::Preset(Preset::PagerDuty | Preset::Json))
            }
            Self::Command(_) => true,
            Self::Email(_) => false,
        }
    }
}
