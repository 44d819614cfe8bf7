//! Every key of the configuration, each stated once: its name, what it takes, and where its value goes.
//!
//! Reading the file, the environment, `config show` and the documentation all follow from these rows. To add a key, add
//! its row here and describe it in `config/tickled.toml`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use strum::{IntoStaticStr, VariantArray};
use toml::Value;

use super::diagnostic::Problem;
use super::duration::Range;
use super::keyword::Keyword;
use super::string_format::{
    API_HOST, ARGUMENT, DATE, EXEMPTION, FINGERPRINT, GATEWAY_URL, HEADER, HOST, LINE, LISTEN, MAIL, NAME, PATH,
    RECIPIENT, SECRET_FILE, TEMPLATE, TIME_OF_DAY, UNIT, WEB_ADDRESS, ZONE,
};
use super::value::{Count, Flag, List, Optional, OrNone, RawValue, Text, ValueType, list, one_of, some_of};
use crate::alert::settings::{Exempt, HttpMethod, MailTls, Preset};
use crate::alert::{self, Code, Severity};
use crate::calendar::{Maintenance, Region};
use crate::gateway::{Fingerprint, GatewayUrl};
use crate::hook::{self, On};
use crate::log::{self, Format, Level};
use crate::session::{self, Account, Competing, Policy};

/// One key of a section whose values go into a `T`.
pub(super) struct KeyRow<T: 'static> {
    /// Its path below the section.
    pub(super) name: &'static str,
    /// What it takes, in words.
    pub(super) takes: fn() -> String,
    /// Interprets the text of an environment variable.
    pub(super) raw: fn(&str) -> RawValue<'_>,
    /// Parses a value into its place.
    pub(super) parse: fn(&mut T, &RawValue<'_>) -> Result<(), Vec<Problem>>,
    /// The value as TOML; `None` where it is better left out.
    pub(super) show: fn(&T) -> Option<Value>,
}

/// A row from its name, the type of its value, and the place of its value.
macro_rules! key {
    ($name:literal, $type:expr, |$target:ident| $place:expr) => {
        KeyRow {
            name: $name,
            takes: || $type.takes(),
            raw: |text| $type.raw(text),
            parse: |$target, raw| {
                $place = $type.parse(raw)?;
                Ok(())
            },
            show: |$target| $type.show(&$place),
        }
    };
}

/// The whole configuration on its way from the file: each value parsed, nothing checked as a whole.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) session: Policy,
    pub(super) gateways: BTreeMap<String, GatewayDraft>,
    pub(super) ibkr: Ibkr,
    /// Its windows are the published ones; `windows` replaces them.
    pub(super) maintenance: Maintenance,
    pub(super) windows: Option<Vec<WindowDraft>>,
    /// Without hours, channels and dead man's switch.
    pub(super) alerts: alert::Settings,
    pub(super) hours: HoursDraft,
    pub(super) channels: Vec<ChannelDraft>,
    pub(super) deadman: DeadmanDraft,
    pub(super) hooks: Vec<HookDraft>,
    pub(super) endpoint: Endpoint,
    pub(super) log: log::Settings,
}

/// IBKR as this host reaches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ibkr {
    /// The API host that is connected to while IBKR is silent; `None` for never.
    pub host: Option<String>,
}

impl Default for Ibkr {
    fn default() -> Self {
        Self { host: Some("api.ibkr.com".to_owned()) }
    }
}

/// The endpoint for monitoring.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it listens; nowhere by default. Port 0 is any free port.
    pub listen: Option<SocketAddr>,
    /// Host names by which it may be requested, in addition to its address, this host's name and `localhost`.
    pub hosts: Vec<String>,
}

#[derive(Debug)]
pub(super) struct GatewayDraft {
    pub(super) url: Option<GatewayUrl>,
    pub(super) region: Region,
    pub(super) public_address: String,
    pub(super) unit: Option<String>,
    pub(super) login_url: Option<String>,
    pub(super) trust: TrustBy,
    pub(super) pins: Vec<Fingerprint>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) plain_http: PlainHttp,
    pub(super) stream: bool,
    pub(super) wedged_restart: Vec<String>,
    pub(super) policy: Policy,
}

#[derive(Debug)]
pub(super) struct WindowDraft {
    pub(super) days: Vec<Day>,
    pub(super) from: Option<Time>,
    pub(super) to: Option<Time>,
    pub(super) zone: Option<TimeZone>,
    pub(super) regions: Vec<Region>,
}

#[derive(Debug)]
pub(super) struct HoursDraft {
    pub(super) days: Vec<Day>,
    pub(super) from: Option<Time>,
    pub(super) to: Option<Time>,
    pub(super) ready_by: Option<Time>,
    pub(super) except: Vec<Date>,
}

#[derive(Debug)]
pub(super) struct DeadmanDraft {
    pub(super) url_file: Option<PathBuf>,
    pub(super) every: Duration,
    pub(super) fails: bool,
}

/// A program that runs on a change.
#[derive(Debug)]
pub(super) struct HookDraft {
    pub(super) name: Option<String>,
    pub(super) on: Vec<On>,
    pub(super) gateways: Vec<String>,
    pub(super) argv: Vec<String>,
    pub(super) within: Duration,
}

/// Each type of channel uses some of these; see [`ChannelType::keys`].
#[derive(Debug, Default)]
pub(super) struct ChannelDraft {
    pub(super) name: Option<String>,
    pub(super) kind: Option<ChannelType>,
    pub(super) min_severity: Severity,
    pub(super) gateways: Vec<String>,
    pub(super) codes: Vec<Code>,
    pub(super) after: Duration,
    pub(super) preset: Option<Preset>,
    pub(super) url: Option<String>,
    pub(super) url_file: Option<PathBuf>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) method: HttpMethod,
    pub(super) headers: Vec<String>,
    pub(super) body: Option<String>,
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) tls: MailTls,
    pub(super) from: Option<String>,
    pub(super) to: Vec<String>,
    pub(super) user: Option<String>,
    pub(super) password_file: Option<PathBuf>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) emergency: bool,
    pub(super) argv: Vec<String>,
    pub(super) within: Option<Duration>,
}

/// How a gateway's certificate is verified: [`crate::gateway::Trust`] without its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub(super) enum TrustBy {
    Loopback,
    Pin,
    CaFile,
    System,
}

/// Whether plain HTTP to another host is intended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub(super) enum PlainHttp {
    Refuse,
    #[strum(serialize = "i-know")]
    Known,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub(super) enum ChannelType {
    Webhook,
    Email,
    Command,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub(super) enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

pub(super) const GATEWAY: &[KeyRow<GatewayDraft>] = &[
    key!("url", Optional(GATEWAY_URL), |gateway| gateway.url),
    key!("region", one_of::<Region>(), |gateway| gateway.region),
    key!("public_address", NAME, |gateway| gateway.public_address),
    key!("login_url", or_none(WEB_ADDRESS, "", false), |gateway| gateway.login_url),
    key!("unit", or_none(UNIT, "", false), |gateway| gateway.unit),
    key!("tls.trust", one_of::<TrustBy>(), |gateway| gateway.trust),
    key!("tls.pins", PINS, |gateway| gateway.pins),
    key!("tls.ca_file", or_none(PATH, "", false), |gateway| gateway.ca_file),
    key!("tls.plain_http", one_of::<PlainHttp>(), |gateway| gateway.plain_http),
    key!("stream.enabled", Flag, |gateway| gateway.stream),
    key!("wedged.restart", RESTART, |gateway| gateway.wedged_restart),
];

/// The keys of `[session]`, and of `[gateway.NAME.session]` for one gateway.
pub(super) const SESSION: &[KeyRow<Policy>] = &[
    key!("account", one_of::<Account>(), |policy| policy.account),
    key!("ping_every", from_to(SECOND, 5 * MINUTE), |policy| policy.ping_every),
    key!("check_every", from_to(SECOND, LONGEST_CHECK), |policy| policy.check_every),
    key!("confirm_every", or_off(30 * SECOND, HOUR), |policy| policy.confirm_every),
    key!("answer_within", from_to(SECOND, MINUTE), |policy| policy.answer_within),
    key!("watch_every", from_to(5 * SECOND, 10 * MINUTE), |policy| policy.watch_every),
    key!("competing", one_of::<Competing>(), |policy| policy.competing),
    key!("recovery.methods", some_of::<session::Method>(), |policy| policy.recovery.methods),
    key!("recovery.attempts", Count(1, 10), |policy| policy.recovery.attempts),
    key!("recovery.max_per_hour", Count(1, 60), |policy| policy.recovery.max_per_hour),
];

pub(super) const WINDOW: &[KeyRow<WindowDraft>] = &[
    key!("days", some_of::<Day>(), |window| window.days),
    key!("from", Optional(TIME_OF_DAY), |window| window.from),
    key!("to", Optional(TIME_OF_DAY), |window| window.to),
    key!("zone", Optional(ZONE), |window| window.zone),
    key!("regions", some_of::<Region>(), |window| window.regions),
];

pub(super) const CHANNEL: &[KeyRow<ChannelDraft>] = &[
    key!("name", Optional(NAME), |channel| channel.name),
    key!("type", Optional(one_of::<ChannelType>()), |channel| channel.kind),
    key!("min_severity", one_of::<Severity>(), |channel| channel.min_severity),
    key!("gateways", list(NAME, || "a list of names".to_owned()), |channel| channel.gateways),
    key!("codes", some_of::<Code>(), |channel| channel.codes),
    key!("after", from_to(0, DAY), |channel| channel.after),
    key!("preset", Optional(one_of::<Preset>()), |channel| channel.preset),
    key!("url", Optional(WEB_ADDRESS), |channel| channel.url),
    key!("url_file", or_none(SECRET_FILE, "", false), |channel| channel.url_file),
    key!("token_file", or_none(SECRET_FILE, "", false), |channel| channel.token_file),
    key!("method", one_of::<HttpMethod>(), |channel| channel.method),
    key!("headers", list(HEADER, || "a list of \"Name: value\"".to_owned()), |channel| channel.headers),
    key!("body", Optional(TEMPLATE), |channel| channel.body),
    key!("host", Optional(HOST), |channel| channel.host),
    key!("port", Optional(Count(1, u16::MAX)), |channel| channel.port),
    key!("tls", one_of::<MailTls>(), |channel| channel.tls),
    key!("from", Optional(MAIL), |channel| channel.from),
    key!("to", RECIPIENTS, |channel| channel.to),
    key!("user", Optional(LINE), |channel| channel.user),
    key!("password_file", or_none(SECRET_FILE, "", false), |channel| channel.password_file),
    key!("ca_file", or_none(PATH, "", false), |channel| channel.ca_file),
    key!("emergency", Flag, |channel| channel.emergency),
    key!("argv", ARGV, |channel| channel.argv),
    key!("within", Optional(from_to(SECOND, MINUTE)), |channel| channel.within),
];

pub(super) const HOOK: &[KeyRow<HookDraft>] = &[
    key!("name", Optional(NAME), |hook| hook.name),
    key!("on", some_of::<On>(), |hook| hook.on),
    key!("gateways", list(NAME, || "a list of names".to_owned()), |hook| hook.gateways),
    key!("argv", ARGV, |hook| hook.argv),
    key!("within", from_to(SECOND, MINUTE), |hook| hook.within),
];

/// The keys of all other tables.
pub(super) const ROOT: &[KeyRow<Draft>] = &[
    key!("ibkr.host", or_none(API_HOST, ", or \"\" for never", true), |draft| draft.ibkr.host),
    key!("maintenance.grace", from_to(0, 6 * HOUR), |draft| draft.maintenance.grace),
    key!("maintenance.always", EXEMPT, |draft| draft.alerts.in_window),
    key!("alerts.host", or_none(HOST, ", or \"\" for its own name", true), |draft| draft.alerts.host),
    key!("alerts.repeat_every", from_to(5 * MINUTE, 7 * DAY), |draft| draft.alerts.repeat_every),
    key!("alerts.hours.zone", or_none(ZONE, ", or \"\" for that of this host", true), |draft| draft.alerts.zone),
    key!("alerts.hours.days", some_of::<Day>(), |draft| draft.hours.days),
    key!("alerts.hours.from", or_none(TIME_OF_DAY, NO_TIME, true), |draft| draft.hours.from),
    key!("alerts.hours.to", or_none(TIME_OF_DAY, NO_TIME, true), |draft| draft.hours.to),
    key!("alerts.hours.ready_by", or_none(TIME_OF_DAY, NO_TIME, true), |draft| draft.hours.ready_by),
    key!("alerts.hours.except", DATES, |draft| draft.hours.except),
    key!("alerts.hours.always", EXEMPT, |draft| draft.alerts.always),
    key!("alerts.hours.confirm", Flag, |draft| draft.alerts.confirm),
    key!("deadman.url_file", or_none(SECRET_FILE, "", true), |draft| draft.deadman.url_file),
    key!("deadman.every", from_to(MINUTE, DAY), |draft| draft.deadman.every),
    key!("deadman.fails", Flag, |draft| draft.deadman.fails),
    key!("endpoint.listen", or_none(LISTEN, ", or \"\" for off", true), |draft| draft.endpoint.listen),
    key!("endpoint.hosts", HOSTS, |draft| draft.endpoint.hosts),
    key!("log.format", one_of::<Format>(), |draft| draft.log.format),
    key!("log.level", one_of::<Level>(), |draft| draft.log.level),
    key!("log.heartbeat_every", or_off(10 * SECOND, DAY), |draft| draft.log.heartbeat_every),
];

/// The sections that are lists of tables, with the names of their keys.
pub(super) const WINDOWS: &str = "maintenance.window";
pub(super) const CHANNELS: &str = "alerts.channel";
pub(super) const HOOKS: &str = "hook";

/// A key as the documentation needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDoc {
    /// Its path, where `NAME` stands for the name of a gateway and `[]` for an item of a list.
    pub path: String,
    /// What it takes, in words.
    pub takes: String,
}

/// Every key, in the order of the shipped file. A gateway's own session keys are those of `session`.
#[must_use]
pub fn keys() -> Vec<KeyDoc> {
    fn below<T>(prefix: &str, rows: &[KeyRow<T>]) -> Vec<KeyDoc> {
        rows.iter().map(|row| KeyDoc { path: format!("{prefix}{}", row.name), takes: (row.takes)() }).collect()
    }
    let mut keys = below("gateway.NAME.", GATEWAY);
    keys.extend(below("gateway.NAME.session.", SESSION));
    keys.extend(below("session.", SESSION));
    let of_lists = [below(&format!("{WINDOWS}[]."), WINDOW), below(&format!("{CHANNELS}[]."), CHANNEL)];
    for key in below("", ROOT) {
        let table = |key: &KeyDoc| key.path.split('.').next().map(str::to_owned);
        let is_new = keys.last().is_none_or(|last| table(last) != table(&key));
        // A list follows on the other keys of its table.
        let ended = of_lists.iter().find(|list| is_new && list.first().map(table) == keys.last().map(table));
        keys.extend(ended.into_iter().flatten().cloned());
        keys.push(key);
    }
    keys.extend(below(&format!("{HOOKS}[]."), HOOK));
    keys
}

impl ChannelType {
    /// The keys that this type uses, in addition to those of every channel.
    pub(super) const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Webhook => {
                &["preset", "url", "url_file", "token_file", "method", "headers", "body", "to", "ca_file", "emergency"]
            }
            Self::Email => &["host", "port", "tls", "from", "to", "user", "password_file", "ca_file"],
            Self::Command => &["argv", "within"],
        }
    }
}

/// The keys of every channel.
pub(super) const EVERY_CHANNEL: &[&str] = &["name", "type", "min_severity", "gateways", "codes", "after"];

impl Day {
    /// The day as the calendar has it.
    pub(super) const fn weekday(self) -> Weekday {
        match self {
            Self::Mon => Weekday::Monday,
            Self::Tue => Weekday::Tuesday,
            Self::Wed => Weekday::Wednesday,
            Self::Thu => Weekday::Thursday,
            Self::Fri => Weekday::Friday,
            Self::Sat => Weekday::Saturday,
            Self::Sun => Weekday::Sunday,
        }
    }
}

impl GatewayDraft {
    /// A gateway of which only the session is known.
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            url: None,
            region: Region::default(),
            public_address: "here".to_owned(),
            unit: None,
            login_url: None,
            trust: TrustBy::Loopback,
            pins: Vec::new(),
            ca_file: None,
            plain_http: PlainHttp::Refuse,
            stream: false,
            wedged_restart: Vec::new(),
            policy,
        }
    }
}

impl Default for HookDraft {
    fn default() -> Self {
        Self { name: None, on: all(), gateways: Vec::new(), argv: Vec::new(), within: hook::WITHIN }
    }
}

impl Default for WindowDraft {
    fn default() -> Self {
        Self { days: all(), from: None, to: None, zone: None, regions: all() }
    }
}

impl Default for HoursDraft {
    fn default() -> Self {
        Self { days: all(), from: None, to: None, ready_by: None, except: Vec::new() }
    }
}

impl Default for DeadmanDraft {
    fn default() -> Self {
        Self { url_file: None, every: Duration::from_secs(MINUTE), fails: true }
    }
}

fn all<K: Keyword>() -> Vec<K> {
    K::VARIANTS.to_vec()
}

const PINS: List<Fingerprint> = List {
    expects: "a list of fingerprints in quotes",
    or_empty: true,
    ..list(FINGERPRINT, || "a list of SHA-256 fingerprints".to_owned())
};
const HOSTS: List<String> = List { or_empty: true, ..list(HOST, || "a list of hosts".to_owned()) };
const RECIPIENTS: List<String> =
    List { or_single: true, ..list(RECIPIENT, || "one recipient, or a list of them".to_owned()) };
const DATES: List<Date> = List { or_empty: true, ..list(DATE, || "a list of dates, like \"2026-12-25\"".to_owned()) };
const EXEMPT: List<Exempt> =
    List { or_empty: true, ..list(EXEMPTION, || "a list of severities and codes of alerts".to_owned()) };
const ARGV: List<String> =
    List { repeats: true, ..list(ARGUMENT, || "a list of a program and its arguments".to_owned()) };
const RESTART: List<String> = List { or_empty: true, ..ARGV };

const fn or_none<V>(text: Text<V>, none: &'static str, is_shown: bool) -> OrNone<V> {
    OrNone { text, none, is_shown }
}

const fn from_to(least: u64, most: u64) -> Range {
    Range { least: Duration::from_secs(least), most: Duration::from_secs(most), or_off: false }
}

const fn or_off(least: u64, most: u64) -> Range {
    Range { or_off: true, ..from_to(least, most) }
}

const NO_TIME: &str = ", or \"\" for none";
const SECOND: u64 = 1;
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// The longest `check_every`, in seconds.
pub(super) const LONGEST_CHECK: u64 = 5 * MINUTE;
