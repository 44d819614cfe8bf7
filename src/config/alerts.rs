//! Alerts as the operator writes them: `[alerts]`, `[[alerts.channel]]` for each way to be told, and `[deadman]`.

use std::path::PathBuf;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::file::{HOUR, Keys, MINUTE, Node, count, span, span_or_off};
use super::maintenance::{NoTime, TimeOfDay};
use super::span::Span;
use super::text::Form;
use super::value::Kind;
use super::words::{Word, Worded, words};
use crate::alert::settings::{self, Method, Payload, Preset, Tls, Url};
use crate::alert::{Code, Settings, Severity};

/// The table; what nobody says is absent.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Alerts {
    pub(super) zone: Option<String>,
    pub(super) repeat_every: Option<Span>,
    pub(super) remind_before: Option<Span>,
    pub(super) remind_at: Option<TimeOrNone>,
    pub(super) quiet: Quiet,
    pub(super) channel: Vec<Channel>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Quiet {
    pub(super) from: Option<TimeOrNone>,
    pub(super) to: Option<TimeOrNone>,
    pub(super) zone: Option<String>,
    pub(super) severities: Option<Vec<Worded<Severity>>>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Deadman {
    pub(super) url_file: Option<PathBuf>,
    pub(super) every: Option<Span>,
    pub(super) fails: Option<bool>,
}

/// Each kind of channel uses some of these.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Channel {
    pub(super) name: Option<String>,
    #[serde(rename = "type")]
    pub(super) kind: Option<Worded<Type>>,
    pub(super) min_severity: Option<Worded<Severity>>,
    pub(super) gateways: Option<Vec<String>>,
    pub(super) codes: Option<Vec<Worded<Code>>>,
    pub(super) preset: Option<Worded<Preset>>,
    pub(super) url: Option<String>,
    pub(super) url_file: Option<PathBuf>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) method: Option<Worded<Method>>,
    pub(super) headers: Option<Vec<String>>,
    pub(super) body: Option<String>,
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) tls: Option<Worded<Tls>>,
    pub(super) from: Option<String>,
    pub(super) to: Option<Vec<String>>,
    pub(super) user: Option<String>,
    pub(super) password_file: Option<PathBuf>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) argv: Option<Vec<String>>,
    pub(super) within: Option<Span>,
}

/// What kind a channel is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Webhook,
    Email,
    Command,
}

/// A time of day on its way into or out of the file; empty is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct TimeOrNone(pub(super) Option<Time>);

pub(super) const KEYS: Keys = &[
    ("zone", Node::Value(Kind::Zone)),
    ("repeat_every", span(5 * MINUTE, 7 * 24 * HOUR)),
    ("remind_before", span_or_off(10 * MINUTE, 20 * HOUR)),
    ("remind_at", Node::Value(Kind::TimeOrNone)),
    ("quiet", Node::Table(QUIET)),
    ("channel", Node::List(CHANNEL)),
];

const QUIET: Keys = &[
    ("from", Node::Value(Kind::TimeOrNone)),
    ("to", Node::Value(Kind::TimeOrNone)),
    ("zone", Node::Value(Kind::Zone)),
    ("severities", Node::Value(Kind::SomeOf(words::<Severity>))),
];

const CHANNEL: Keys = &[
    ("name", Node::Value(Kind::Text(Form::Name))),
    ("type", Node::Value(Kind::OneOf(words::<Type>))),
    ("min_severity", Node::Value(Kind::OneOf(words::<Severity>))),
    ("gateways", Node::Value(Kind::Texts(Form::Name))),
    ("codes", Node::Value(Kind::SomeOf(words::<Code>))),
    ("preset", Node::Value(Kind::OneOf(words::<Preset>))),
    ("url", Node::Value(Kind::Text(Form::WebAddress))),
    ("url_file", Node::Value(Kind::Text(Form::Secret))),
    ("token_file", Node::Value(Kind::Text(Form::Secret))),
    ("method", Node::Value(Kind::OneOf(words::<Method>))),
    ("headers", Node::Value(Kind::Texts(Form::Header))),
    ("body", Node::Value(Kind::Text(Form::Template))),
    ("host", Node::Value(Kind::Text(Form::Host))),
    ("port", count(1, u16::MAX)),
    ("tls", Node::Value(Kind::OneOf(words::<Tls>))),
    ("from", Node::Value(Kind::Text(Form::Mail))),
    ("to", Node::Value(Kind::Texts(Form::Receiver))),
    ("user", Node::Value(Kind::Text(Form::Line))),
    ("password_file", Node::Value(Kind::Text(Form::Secret))),
    ("ca_file", Node::Value(Kind::File)),
    ("argv", Node::Value(Kind::Texts(Form::Argument))),
    ("within", span(1, MINUTE)),
];

pub(super) const DEADMAN: Keys = &[
    ("url_file", Node::Value(Kind::Text(Form::Secret))),
    ("every", span(MINUTE, 24 * HOUR)),
    ("fails", Node::Value(Kind::Flag)),
];

impl Type {
    /// The keys that mean something to it, beside those of every channel.
    pub(super) const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Webhook => &["preset", "url", "url_file", "token_file", "method", "headers", "body", "to", "ca_file"],
            Self::Email => &["host", "port", "tls", "from", "to", "user", "password_file", "ca_file"],
            Self::Command => &["argv", "within"],
        }
    }
}

impl Channel {
    /// The keys that are there and mean something only to some types.
    pub(super) fn said(&self) -> Vec<&'static str> {
        let said = [
            ("preset", self.preset.is_some()),
            ("url", self.url.is_some()),
            ("url_file", self.url_file.is_some()),
            ("token_file", self.token_file.is_some()),
            ("method", self.method.is_some()),
            ("headers", self.headers.is_some()),
            ("body", self.body.is_some()),
            ("host", self.host.is_some()),
            ("port", self.port.is_some()),
            ("tls", self.tls.is_some()),
            ("from", self.from.is_some()),
            ("to", self.to.is_some()),
            ("user", self.user.is_some()),
            ("password_file", self.password_file.is_some()),
            ("ca_file", self.ca_file.is_some()),
            ("argv", self.argv.is_some()),
            ("within", self.within.is_some()),
        ];
        said.into_iter().filter(|(_, is_said)| *is_said).map(|(key, _)| key).collect()
    }
}

impl From<&Settings> for Alerts {
    fn from(settings: &Settings) -> Self {
        Self {
            zone: settings.zone.iana_name().map(str::to_owned),
            repeat_every: Some(Span(settings.repeat_every)),
            remind_before: Some(Span(settings.remind_before)),
            remind_at: Some(TimeOrNone(settings.remind_at)),
            quiet: settings.quiet.as_ref().into(),
            channel: settings.channels.iter().map(Channel::from).collect(),
        }
    }
}

impl From<Option<&settings::Quiet>> for Quiet {
    fn from(quiet: Option<&settings::Quiet>) -> Self {
        Self {
            from: Some(TimeOrNone(quiet.map(|quiet| quiet.from))),
            to: Some(TimeOrNone(quiet.map(|quiet| quiet.to))),
            zone: quiet.and_then(|quiet| quiet.zone.iana_name()).map(str::to_owned),
            severities: quiet.map(|quiet| quiet.severities.iter().copied().map(Worded).collect()),
        }
    }
}

impl From<Option<&settings::Deadman>> for Deadman {
    fn from(deadman: Option<&settings::Deadman>) -> Self {
        Self {
            url_file: Some(deadman.map(|deadman| deadman.url_file.clone()).unwrap_or_default()),
            every: deadman.map(|deadman| Span(deadman.every)),
            fails: deadman.map(|deadman| deadman.fails),
        }
    }
}

impl From<&settings::Channel> for Channel {
    fn from(settings: &settings::Channel) -> Self {
        let some = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
        let codes: Vec<_> = settings.codes.iter().copied().map(Worded).collect();
        let every = Self {
            name: Some(settings.name.clone()),
            min_severity: Some(Worded(settings.min_severity)),
            gateways: some(&settings.gateways),
            codes: (!codes.is_empty()).then_some(codes),
            ..Self::default()
        };
        match &settings.kind {
            settings::Kind::Webhook(webhook) => {
                let (url, url_file) = match &webhook.url {
                    Url::Plain(url) => (Some(url.clone()), None),
                    Url::File(path) => (None, Some(path.clone())),
                };
                let (preset, body) = match &webhook.payload {
                    Payload::Preset(preset) => (Some(Worded(*preset)), None),
                    Payload::Body(body) => (None, Some(body.clone()).filter(|_| webhook.method != Method::Get)),
                };
                Self {
                    kind: Some(Worded(Type::Webhook)),
                    preset,
                    url,
                    url_file,
                    token_file: webhook.token_file.clone(),
                    method: Some(Worded(webhook.method)),
                    headers: some(&webhook.headers),
                    body,
                    to: webhook.to.clone().map(|to| vec![to]),
                    ca_file: webhook.ca_file.clone(),
                    ..every
                }
            }
            settings::Kind::Email(email) => Self {
                kind: Some(Worded(Type::Email)),
                host: Some(email.host.clone()),
                port: Some(email.port),
                tls: Some(Worded(email.tls)),
                from: Some(email.from.clone()),
                to: Some(email.to.clone()),
                user: email.user.clone(),
                password_file: email.password_file.clone(),
                ca_file: email.ca_file.clone(),
                ..every
            },
            settings::Kind::Command(command) => Self {
                kind: Some(Worded(Type::Command)),
                argv: Some(command.argv.clone()),
                within: Some(Span(command.within)),
                ..every
            },
        }
    }
}

/// The zone of that name; what is no zone was refused before.
pub(super) fn zone(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok()
}

impl TryFrom<String> for TimeOrNone {
    type Error = NoTime;

    fn try_from(text: String) -> Result<Self, NoTime> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        text.parse().map(|TimeOfDay(time)| Self(Some(time)))
    }
}

impl From<TimeOrNone> for String {
    fn from(TimeOrNone(time): TimeOrNone) -> Self {
        time.map(|time| TimeOfDay(time).to_string()).unwrap_or_default()
    }
}

impl Word for Type {
    const ALL: &'static [Self] = &[Self::Webhook, Self::Email, Self::Command];

    fn word(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Email => "email",
            Self::Command => "command",
        }
    }
}

impl Word for Severity {
    const ALL: &'static [Self] = &Self::ALL;

    fn word(self) -> &'static str {
        self.name()
    }
}

impl Word for Code {
    const ALL: &'static [Self] = &Self::ALL;

    fn word(self) -> &'static str {
        self.entry().code
    }
}

impl Word for Preset {
    const ALL: &'static [Self] = &Self::ALL;

    fn word(self) -> &'static str {
        self.name()
    }
}

impl Word for Method {
    const ALL: &'static [Self] = &[Self::Post, Self::Put, Self::Get];

    fn word(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Get => "GET",
        }
    }
}

impl Word for Tls {
    const ALL: &'static [Self] = &[Self::StartTls, Self::Tls, Self::None];

    fn word(self) -> &'static str {
        match self {
            Self::StartTls => "starttls",
            Self::Tls => "tls",
            Self::None => "none",
        }
    }
}
