//! The TOML as the operator writes it: which tables and keys there are, and what each may hold.

use serde::{Deserialize, Serialize};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::alerts::{self, Alerts, Deadman};
use super::endpoint;
use super::gateway_url::{GatewayUrl, InvalidUrl};
use super::maintenance::{self, Maintenance};
use super::span::{Range, Span};
use super::text::Form;
use super::value::Kind;
use super::words::{Worded, words};
use crate::calendar::Region;
use crate::gateway::Fingerprint;
use crate::gateway::tls::NoFingerprint;
use crate::log::{self, Format, Level};
use crate::session::{Account, Competing, Method, Policy, Recovery};

/// The whole file, the environment laid over it. What nobody says is absent.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    #[serde(skip_serializing_if = "Session::is_silent")]
    pub(super) session: Session,
    pub(super) gateway: BTreeMap<String, Gateway>,
    pub(super) maintenance: Maintenance,
    pub(super) alerts: Alerts,
    pub(super) deadman: Deadman,
    pub(super) endpoint: endpoint::Written,
    pub(super) log: Log,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Gateway {
    pub(super) url: Option<Url>,
    pub(super) region: Option<Worded<Region>>,
    pub(super) public_address: Option<String>,
    pub(super) unit: Option<String>,
    pub(super) tls: Tls,
    pub(super) stream: Stream,
    pub(super) session: Session,
}

/// How a gateway's certificate is judged; [`crate::gateway::Trust`] without what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TrustBy {
    Loopback,
    Pin,
    CaFile,
    System,
}

/// Whether plain HTTP to another host is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PlainHttp {
    Refuse,
    Known,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Tls {
    pub(super) trust: Option<Worded<TrustBy>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) pins: Vec<Pin>,
    #[serde(skip_serializing_if = "is_empty")]
    pub(super) ca_file: PathBuf,
    pub(super) plain_http: Option<Worded<PlainHttp>>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Stream {
    pub(super) enabled: bool,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Session {
    pub(super) account: Option<Worded<Account>>,
    pub(super) ping_every: Option<Span>,
    pub(super) check_every: Option<Span>,
    pub(super) confirm_every: Option<Span>,
    pub(super) answer_within: Option<Span>,
    pub(super) watch_every: Option<Span>,
    pub(super) competing: Option<Worded<Competing>>,
    pub(super) recovery: RecoveryKeys,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RecoveryKeys {
    pub(super) methods: Option<Vec<Worded<Method>>>,
    pub(super) attempts: Option<u8>,
    pub(super) max_per_hour: Option<u8>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Log {
    pub(super) format: Option<Worded<Format>>,
    pub(super) level: Option<Worded<Level>>,
    pub(super) heartbeat_every: Option<Span>,
}

/// A URL on its way into or out of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Url(pub(super) GatewayUrl);

impl TryFrom<String> for Url {
    type Error = InvalidUrl;

    fn try_from(text: String) -> Result<Self, InvalidUrl> {
        text.parse().map(Self)
    }
}

impl From<Url> for String {
    fn from(Url(url): Url) -> Self {
        url.to_string()
    }
}

/// A fingerprint on its way into or out of the file.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Pin(pub(super) Fingerprint);

/// What may stand at one place of the file.
#[derive(Debug)]
pub(super) enum Node {
    /// A table with these keys.
    Table(Keys),
    /// Tables with names of the operator's choice, all with these keys.
    Named(Keys),
    /// A list of tables, all with these keys.
    List(Keys),
    /// A value.
    Value(Kind),
}

/// The keys of a table, in the order of the shipped file.
pub(super) type Keys = &'static [(&'static str, Node)];

/// Every key there is.
pub(super) const ROOT: Keys = &[
    ("gateway", Node::Named(GATEWAY)),
    ("session", Node::Table(SESSION)),
    ("maintenance", Node::Table(maintenance::KEYS)),
    ("alerts", Node::Table(alerts::KEYS)),
    ("deadman", Node::Table(alerts::DEADMAN)),
    ("endpoint", Node::Table(endpoint::KEYS)),
    ("log", Node::Table(LOG)),
];

pub(super) const GATEWAY: Keys = &[
    ("url", Node::Value(Kind::Url)),
    ("region", Node::Value(Kind::OneOf(words::<Region>))),
    ("public_address", Node::Value(Kind::Text(Form::Name))),
    ("unit", Node::Value(Kind::Text(Form::Unit))),
    ("tls", Node::Table(TLS)),
    ("stream", Node::Table(STREAM)),
    ("session", Node::Table(SESSION)),
];

const TLS: Keys = &[
    ("trust", Node::Value(Kind::OneOf(words::<TrustBy>))),
    ("pins", Node::Value(Kind::Pins)),
    ("ca_file", Node::Value(Kind::File)),
    ("plain_http", Node::Value(Kind::OneOf(words::<PlainHttp>))),
];

const STREAM: Keys = &[("enabled", Node::Value(Kind::Flag))];

const SESSION: Keys = &[
    ("account", Node::Value(Kind::OneOf(words::<Account>))),
    ("ping_every", span(SECOND, 5 * MINUTE)),
    ("check_every", span(SECOND, 5 * MINUTE)),
    ("confirm_every", span_or_off(30 * SECOND, HOUR)),
    ("answer_within", span(SECOND, MINUTE)),
    ("watch_every", span(5 * SECOND, 10 * MINUTE)),
    ("competing", Node::Value(Kind::OneOf(words::<Competing>))),
    ("recovery", Node::Table(RECOVERY)),
];

const RECOVERY: Keys = &[
    ("methods", Node::Value(Kind::SomeOf(words::<Method>))),
    ("attempts", count(1, 10)),
    ("max_per_hour", count(1, 60)),
];

const LOG: Keys = &[
    ("format", Node::Value(Kind::OneOf(words::<Format>))),
    ("level", Node::Value(Kind::OneOf(words::<Level>))),
    ("heartbeat_every", span_or_off(10 * SECOND, 24 * HOUR)),
];

/// Every value there is under `keys`, by its path: `NAME` is a name of the operator's choice, `[]` one of a list.
pub(super) fn values(keys: Keys) -> Vec<(String, Kind)> {
    let mut found = Vec::new();
    for (name, node) in keys {
        let (prefix, below) = match node {
            Node::Value(kind) => {
                found.push(((*name).to_owned(), *kind));
                continue;
            }
            Node::Table(below) => ((*name).to_owned(), values(below)),
            Node::Named(below) => (format!("{name}.NAME"), values(below)),
            Node::List(below) => (format!("{name}[]"), values(below)),
        };
        found.extend(below.into_iter().map(|(path, kind)| (format!("{prefix}.{path}"), kind)));
    }
    found
}

impl Session {
    /// Lays what the operator says over the policy.
    pub(super) fn lay_over(&self, policy: &mut Policy) {
        let Self { account, ping_every, check_every, confirm_every, answer_within, watch_every, competing, recovery } =
            self;
        put(&mut policy.account, account.map(|Worded(account)| account));
        put_span(&mut policy.ping_every, *ping_every);
        put_span(&mut policy.check_every, *check_every);
        put_span(&mut policy.confirm_every, *confirm_every);
        put_span(&mut policy.answer_within, *answer_within);
        put_span(&mut policy.watch_every, *watch_every);
        put(&mut policy.competing, competing.map(|Worded(competing)| competing));

        let RecoveryKeys { methods, attempts, max_per_hour } = recovery;
        let methods = methods.as_ref();
        let methods = methods.map(|methods| methods.iter().map(|Worded(method)| *method).collect());
        put(&mut policy.recovery.methods, methods);
        put(&mut policy.recovery.attempts, *attempts);
        put(&mut policy.recovery.max_per_hour, *max_per_hour);
    }

    fn is_silent(&self) -> bool {
        *self == Self::default()
    }
}

impl Log {
    /// Lays what the operator says over the defaults.
    pub(super) fn settings(&self) -> log::Settings {
        let Self { format, level, heartbeat_every } = self;
        let mut settings = log::Settings::default();
        put(&mut settings.format, format.map(|Worded(format)| format));
        put(&mut settings.level, level.map(|Worded(level)| level));
        put_span(&mut settings.heartbeat_every, *heartbeat_every);
        settings
    }
}

impl From<&Policy> for Session {
    fn from(policy: &Policy) -> Self {
        let Recovery { methods, attempts, max_per_hour } = &policy.recovery;
        Self {
            account: Some(Worded(policy.account)),
            ping_every: Some(Span(policy.ping_every)),
            check_every: Some(Span(policy.check_every)),
            confirm_every: Some(Span(policy.confirm_every)),
            answer_within: Some(Span(policy.answer_within)),
            watch_every: Some(Span(policy.watch_every)),
            competing: Some(Worded(policy.competing)),
            recovery: RecoveryKeys {
                methods: Some(methods.iter().map(|method| Worded(*method)).collect()),
                attempts: Some(*attempts),
                max_per_hour: Some(*max_per_hour),
            },
        }
    }
}

impl From<&log::Settings> for Log {
    fn from(settings: &log::Settings) -> Self {
        Self {
            format: Some(Worded(settings.format)),
            level: Some(Worded(settings.level)),
            heartbeat_every: Some(Span(settings.heartbeat_every)),
        }
    }
}

impl TryFrom<String> for Pin {
    type Error = NoFingerprint;

    fn try_from(text: String) -> Result<Self, NoFingerprint> {
        text.parse().map(Self)
    }
}

impl From<Pin> for String {
    fn from(Pin(fingerprint): Pin) -> Self {
        fingerprint.to_string()
    }
}

fn put<T>(place: &mut T, said: Option<T>) {
    if let Some(said) = said {
        *place = said;
    }
}

fn put_span(place: &mut Duration, said: Option<Span>) {
    put(place, said.map(|Span(span)| span));
}

fn is_empty(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

pub(super) const fn span(least: u64, most: u64) -> Node {
    range(least, most, false)
}

pub(super) const fn span_or_off(least: u64, most: u64) -> Node {
    range(least, most, true)
}

const fn range(least: u64, most: u64, or_off: bool) -> Node {
    let (least, most) = (Duration::from_secs(least), Duration::from_secs(most));
    Node::Value(Kind::Span(Range { least, most, or_off }))
}

pub(super) const fn count(least: u16, most: u16) -> Node {
    Node::Value(Kind::Count { least, most })
}

const SECOND: u64 = 1;
pub(super) const MINUTE: u64 = 60;
pub(super) const HOUR: u64 = 60 * 60;
