//! The settings of alerts: when to notify, through which channels, and where a sign of life goes.

use std::path::PathBuf;
use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;

use super::{Code, Severity};

/// The settings of alerts. [`Settings::default`] is the documented default of every key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The time zone of the times of day, here and in texts.
    pub zone: TimeZone,
    /// The name by which people know this host; without it, its own.
    pub host: Option<String>,
    /// How often an alert is repeated while it lasts.
    pub repeat_every: Duration,
    /// How long before a login ends a reminder is sent; zero is never.
    pub remind_before: Duration,
    /// The time of day at which that reminder comes, rather than in the middle of the night: the last such time that
    /// is early enough.
    pub remind_at: Option<Time>,
    /// The quiet hours.
    pub quiet: Option<Quiet>,
    /// The channels, besides the log.
    pub channels: Vec<Channel>,
    /// Where a sign of life goes.
    pub deadman: Option<Deadman>,
}

/// The quiet hours, and what they hold back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quiet {
    /// The first moment of quiet.
    pub from: Time,
    /// The first moment after it, on the next day if that is earlier.
    pub to: Time,
    /// The zone of both.
    pub zone: TimeZone,
    /// The severities that are held back until the end.
    pub severities: Vec<Severity>,
}

/// Where a sign of life goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadman {
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
    /// How it works.
    pub kind: Kind,
}

/// How a channel works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// An HTTP request.
    Webhook(Webhook),
    /// A mail.
    Email(Email),
    /// A program on this host.
    Command(Command),
}

/// A channel that makes an HTTP request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The URL.
    pub url: Url,
    /// `POST`, `PUT` or `GET`.
    pub method: Method,
    /// Additional headers, as `Name: value`.
    pub headers: Vec<String>,
    /// The body.
    pub payload: Payload,
    /// The file with the secret of the service.
    pub token_file: Option<PathBuf>,
    /// The receiver at the service, where it needs one.
    pub to: Option<String>,
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
pub enum Method {
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
pub struct Email {
    /// The mail server's name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: Tls,
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
pub enum Tls {
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
pub struct Command {
    /// The program and its arguments; no shell is involved.
    pub argv: Vec<String>,
    /// How long it may take.
    pub within: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            zone: TimeZone::UTC,
            host: None,
            repeat_every: Duration::from_hours(4),
            remind_before: Duration::ZERO,
            remind_at: None,
            quiet: None,
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

impl Kind {
    /// Its name in the configuration.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Email(_) => "email",
            Self::Command(_) => "command",
        }
    }

    /// Whether the receiver keeps an incident open until it is notified of its end, as programs do and people do not.
    #[must_use]
    pub const fn keeps_incidents(&self) -> bool {
        match self {
            Self::Webhook(webhook) => matches!(webhook.payload, Payload::Preset(Preset::PagerDuty | Preset::Json)),
            Self::Command(_) => true,
            Self::Email(_) => false,
        }
    }
}
