//! Notifications before they take the form of a channel: the notice, and the message made of it. Pure.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::settings::Channel;
use super::{Code, Severity};
use crate::log::human_duration;
use crate::text::{clock, short_clock};

/// Something that a human is notified of: an alert, or its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// Its subject.
    pub about: About,
    /// Its code in the catalogue.
    pub code: Code,
    /// Whether the alert begins, lasts or ends.
    pub phase: AlertPhase,
    /// The severity of the alert; of an end, the highest that it had.
    pub severity: Severity,
    /// When the problem began.
    pub started_at: Timestamp,
    /// How long it has lasted.
    pub lasted: Duration,
    /// The time of the notice.
    pub at: Timestamp,
    /// What to do and why, in a few words.
    pub title: String,
    /// The reason as a stable word.
    pub reason: String,
    /// The same as a sentence, without its capital and its full stop.
    pub summary: String,
    /// What to do about it, likewise; further lines are whole sentences.
    pub action: String,
    /// The gateway's address.
    pub url: Option<String>,
    /// The address by which people reach its login, if it is configured.
    pub login_url: Option<String>,
    /// The number of the gateway's session, present or last.
    #[serde(default)]
    pub session: Option<u64>,
    /// The channels that get it.
    pub audience: Audience,
}

/// The channels that get a notice, by their `after` and their kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audience {
    /// Only those with a longer `after` than this: the others have it.
    pub above: Option<Duration>,
    /// Only those with no longer `after` than this: the others have not got the alert.
    pub upto: Duration,
    /// Whether people or programs get it.
    pub who: Who,
}

/// People read a message; programs keep an alert open until they are notified of its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// Both.
    All,
    /// Only people.
    People,
    /// Only programs.
    Programs,
}

impl Audience {
    /// All channels.
    pub const ALL: Self = Self { above: None, upto: Duration::MAX, who: Who::All };

    /// Whether the channel is among them.
    #[must_use]
    pub fn includes(self, channel: &Channel) -> bool {
        self.above.is_none_or(|above| channel.after > above)
            && channel.after <= self.upto
            && match self.who {
                Who::All => true,
                Who::People => !channel.kind.keeps_incidents(),
                Who::Programs => channel.kind.keeps_incidents(),
            }
    }
}

/// The subject of an alert.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum About {
    /// A gateway, by its name.
    Gateway(String),
    /// A channel, by its name.
    Channel(String),
    /// The daemon itself.
    Daemon,
}

/// The phase of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::VariantArray, strum::IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum AlertPhase {
    /// It begins.
    Raised,
    /// It lasts, or needs another action.
    Repeated,
    /// It is over.
    Resolved,
    /// It is closed without being over, because its subject is no longer in the configuration.
    Withdrawn,
    /// It is closed because another alert describes the present problem of the gateway.
    Replaced,
    /// A human has acknowledged it: it is not repeated, nor escalated.
    Acknowledged,
    /// Nothing is wrong: this is a test of a channel.
    Test,
}

/// A notice as text, as channels send and keep it. As JSON it is the documented schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The version of this schema.
    pub version: u32,
    /// Names the subject and code of the alert at this daemon: the same from its beginning to its end, also when the
    /// host is renamed.
    pub id: String,
    /// The phase of the alert.
    pub phase: AlertPhase,
    /// The code in the catalogue, or `test`.
    pub code: String,
    /// The severity.
    pub severity: Severity,
    /// The gateway it is about, if it is about one.
    pub gateway: Option<String>,
    /// The channel it is about, if it is about one.
    pub channel: Option<String>,
    /// The host of the daemon.
    pub host: String,
    /// One line: what to do, and why.
    pub title: String,
    /// What to do, why, and how, on a line each.
    pub text: String,
    /// The reason as a stable word.
    pub reason: String,
    /// The same as a sentence.
    pub summary: String,
    /// What to do about it, in sentences; empty when it is over.
    pub action: String,
    /// The gateway's address.
    pub url: Option<String>,
    /// The address by which people reach its login, if it is configured.
    pub login_url: Option<String>,
    /// The number of the gateway's session, present or last.
    #[serde(default)]
    pub session: Option<u64>,
    /// When the problem began, for people.
    pub since: String,
    /// When the problem began, for programs.
    pub started_at: Timestamp,
    /// When this message was made.
    pub notified_at: Timestamp,
    /// How long the problem has lasted, for people.
    pub lasted: String,
    /// The same in seconds.
    pub lasted_s: u64,
}

/// The daemon from which a message comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The host's name, for people.
    pub host: String,
    /// A stable name, for programs. It survives a change of the host name.
    pub instance: String,
}

impl From<&str> for Origin {
    /// A daemon without a stable name of its own.
    fn from(host: &str) -> Self {
        Self { host: host.to_owned(), instance: host.to_owned() }
    }
}

impl Notice {
    /// The notice as text, with times in `zone`, from the daemon of `origin`.
    #[must_use]
    pub fn message(&self, zone: &TimeZone, origin: &Origin) -> Message {
        let Origin { host, instance } = origin;
        let entry = self.code.entry();
        let [gateway, channel] = [self.about.gateway(), self.about.channel()].map(|name| name.map(str::to_owned));
        let lasted = human_duration(whole(self.lasted));
        let (since, summary) = (clock(self.started_at, zone), sentence(&self.summary));
        let (subject, about) = (self.about.subject(), &self.about);
        let from = short_clock(self.started_at, self.at, zone);
        let footer = format!("Since {from}. tickled on {host}.");
        let was = format!("It was: {}", ended(&self.summary));
        let action = sentence(&one_line(&self.action));
        let (title, text, action) = match self.phase {
            AlertPhase::Raised => {
                (format!("{subject}: {}", self.title), format!("{}\n{footer}", self.instructions()), action)
            }
            AlertPhase::Repeated => (
                format!("{subject}: {}", self.title),
                format!("{}\nSince {from}, for {lasted}. tickled on {host}.", self.instructions()),
                action,
            ),
            AlertPhase::Resolved => (
                format!("{subject}: {} after {lasted}", entry.resolved_title.unwrap_or("over")),
                format!("Nothing to do. {was}\n{footer}"),
                String::new(),
            ),
            AlertPhase::Withdrawn => (
                format!("{subject}: no longer monitored – alert closed, not fixed"),
                format!(
                    "Nothing to do. {about} is no longer monitored. Its open alert was closed, not fixed.\n{was}\n{footer}"
                ),
                String::new(),
            ),
            AlertPhase::Replaced => (
                format!("{subject}: replaced by a newer alert – {}", entry.title),
                format!(
                    "Nothing to do here: a newer alert about {about} describes the present problem.\n{was}\n{footer}"
                ),
                String::new(),
            ),
            AlertPhase::Acknowledged => (
                format!("{subject}: acknowledged ({})", self.title),
                format!("Nothing to do here: it was acknowledged.\n{}\n{footer}", sentence(&self.summary)),
                action,
            ),
            AlertPhase::Test => (
                "TEST: this alert is only a test".to_owned(),
                format!(
                    "Nothing is wrong: this is a test of the alerts from {host} (`tickled alert test`), and it has arrived.\n\
                     Sent {}.",
                    short_clock(self.at, self.at, zone)
                ),
                String::new(),
            ),
        };
        let is_test = self.phase == AlertPhase::Test;
        let (code, severity) = if is_test { ("test", Severity::Info) } else { (self.code.name(), self.severity) };
        Message {
            version: VERSION,
            id: format!("tickled/{instance}/{}/{code}", self.about.path()),
            phase: self.phase,
            code: code.to_owned(),
            severity,
            gateway,
            channel,
            host: host.clone(),
            title,
            text,
            reason: self.reason.clone(),
            summary,
            action,
            url: self.url.clone(),
            login_url: self.login_url.clone().filter(|_| !self.phase.is_end()),
            session: self.session,
            since,
            started_at: milliseconds(self.started_at),
            notified_at: milliseconds(self.at),
            lasted,
            lasted_s: self.lasted.as_secs(),
        }
    }

    /// Demands that the session is ready at a deadline: a time of day for the title, and one with its zone.
    pub(super) fn demand(&mut self, time: &str, clock: &str) {
        self.title = self.title.replace("log in now", &format!("log in before {time}"));
        self.action = format!("{}\nThe session must be live by {clock}.", self.action);
    }

    /// What to do, why, and how, on a line each.
    fn instructions(&self) -> String {
        let (first, more) = self.action.split_once('\n').map_or((self.action.as_str(), None), |(a, b)| (a, Some(b)));
        let more = more.map(|more| format!("\n{more}")).unwrap_or_default();
        format!("{}\n{}{more}", sentence(first), sentence(&self.summary))
    }

    /// A notice that only tests a channel.
    #[must_use]
    pub fn test(at: Timestamp) -> Self {
        Self {
            about: About::Daemon,
            code: Code::LoginRequired,
            phase: AlertPhase::Test,
            severity: Severity::Info,
            started_at: at,
            lasted: Duration::ZERO,
            at,
            title: "this alert is only a test".to_owned(),
            reason: "test".to_owned(),
            summary: "a test of tickled's alert channels".to_owned(),
            action: String::new(),
            url: None,
            login_url: None,
            session: None,
            audience: Audience::ALL,
        }
    }
}

impl Message {
    /// How urgent the message is. The end of an alert never is urgent.
    #[must_use]
    pub const fn urgency(&self) -> Severity {
        let is_quiet = self.phase.is_end() || matches!(self.phase, AlertPhase::Acknowledged);
        if is_quiet { Severity::Info } else { self.severity }
    }

    /// A unique key of this message, the same for each copy of it.
    #[must_use]
    pub fn delivery_id(&self) -> String {
        hash(&format!("{} {} {} {}", self.id, self.started_at, self.notified_at, self.phase.name()))
    }
}

impl About {
    /// The gateway it is about, if it is about one.
    #[must_use]
    pub fn gateway(&self) -> Option<&str> {
        match self {
            Self::Gateway(name) => Some(name),
            Self::Channel(_) | Self::Daemon => None,
        }
    }

    /// The channel it is about, if it is about one.
    #[must_use]
    pub fn channel(&self) -> Option<&str> {
        match self {
            Self::Channel(name) => Some(name),
            Self::Gateway(_) | Self::Daemon => None,
        }
    }

    /// How a title begins.
    fn subject(&self) -> String {
        match self {
            Self::Gateway(name) => format!("IBKR {name}"),
            Self::Channel(name) => name.clone(),
            Self::Daemon => "tickled".to_owned(),
        }
    }

    fn path(&self) -> String {
        match self {
            Self::Gateway(name) => format!("gateway/{name}"),
            Self::Channel(name) => format!("channel/{name}"),
            Self::Daemon => "daemon".to_owned(),
        }
    }
}

impl AlertPhase {
    /// Whether the alert ends with it.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Resolved | Self::Withdrawn | Self::Replaced)
    }

    /// How it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway(name) => f.write_str(name),
            Self::Channel(name) => write!(f, "channel {name}"),
            Self::Daemon => f.write_str("tickled"),
        }
    }
}

/// 32 hexadecimal digits that differ wherever the text does.
pub(super) fn hash(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// A time that every parser of RFC 3339 accepts: at most three digits of a second.
fn milliseconds(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

/// The duration in whole seconds, which is enough for people.
const fn whole(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs())
}

/// Lines as sentences on one line.
pub(super) fn one_line(lines: &str) -> String {
    let last = lines.lines().count().saturating_sub(1);
    let line = |(at, line): (usize, &str)| if at == last { line.to_owned() } else { ended(line) };
    lines.lines().enumerate().map(line).collect::<Vec<_>>().join(" ")
}

/// Makes a sentence of a part of one.
pub(super) fn sentence(part: &str) -> String {
    let mut letters = part.chars();
    let Some(first) = letters.next() else { return String::new() };
    ended(&format!("{}{}", first.to_uppercase(), letters.as_str()))
}

fn ended(part: &str) -> String {
    let end = if part.ends_with(['.', '!', '?']) || part.is_empty() { "" } else { "." };
    format!("{part}{end}")
}

/// The version of [`Message`] as JSON.
const VERSION: u32 = 1;
