//! Checks that concern more than one key: each gateway as a whole, all gateways together, and the windows.

use std::collections::BTreeMap;
use std::iter::successors;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::channels::split_line;
use super::diagnostic::{Diagnostic, Findings};
use super::duration::duration_text;
use super::keyword::{nearest, word};
use super::schema::{Draft, Endpoint, GatewayDraft, Ibkr, LONGEST_CHECK, PlainHttp, TrustBy, WINDOWS};
use crate::alert;
use crate::calendar::{Maintenance, Region, Window};
use crate::gateway::{GatewayUrl, Target, Trust};
use crate::hook::Hook;
use crate::log;
use crate::session::{Policy, SharedBudget};

/// A valid configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// At least one, in the order of their names, no two of them the same gateway.
    pub gateways: Vec<Gateway>,
    /// IBKR as this host reaches it.
    pub ibkr: Ibkr,
    /// When IBKR may be unavailable for maintenance.
    pub maintenance: Maintenance,
    /// When alerts are sent, and how.
    pub alerts: alert::Settings,
    /// The programs that run on a change.
    pub hooks: Vec<Hook>,
    /// The endpoint for monitoring.
    pub endpoint: Endpoint,
    /// What the daemon logs.
    pub log: log::Settings,
    /// Settings that are odd but do no harm.
    pub warnings: Vec<Diagnostic>,
}

impl Config {
    /// Returns the names of all gateways.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.gateways.iter().map(|gateway| gateway.name.clone()).collect()
    }
}

/// One gateway to keep alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// Its name: `[a-z0-9][a-z0-9_-]*`, at most 32 characters.
    pub name: String,
    /// Where it is, and how its certificate is verified.
    pub target: Target,
    /// The region whose midnight ends its logins.
    pub region: Region,
    /// The operator's name for the address under which IBKR sees it. All gateways behind one share a request budget.
    pub public_address: String,
    /// The systemd unit that runs it, if any.
    pub unit: Option<String>,
    /// Whether its event stream is used as well.
    pub stream: bool,
    /// The command that restarts it when it is wedged; empty for none.
    pub wedged_restart: Vec<String>,
    /// The policy for its session.
    pub policy: Policy,
}

/// Checks whether a file holds certificates.
pub(super) type CertificateCheck = fn(&Path) -> Result<(), String>;

/// A key of one gateway's session, where it is set, and its value.
struct Sourced<T> {
    key: &'static str,
    path: String,
    source: SetIn,
    value: T,
}

/// Where a key of one gateway's session is set, the nearest place last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum SetIn {
    Default,
    AllGateways,
    ThisGateway,
}

/// Validates all gateways, in the order of their names.
pub(super) fn gateways(draft: &Draft, report: &mut Findings, certificates: CertificateCheck) -> Vec<Gateway> {
    let root = |key: &'_ str| key.split('.').next().unwrap_or_default().to_owned();
    if draft.gateways.is_empty() && !report.unreadable.iter().any(|key| nearest(&root(key), ["gateway"]).is_some()) {
        let hint = "write [gateway.main] and under it url = \"https://localhost:5000\"";
        report.note("gateway", "no gateway is configured", hint);
    }
    let mut gateways = Vec::new();
    let mut identities = BTreeMap::new();
    for (name, gateway) in &draft.gateways {
        validate_policy(name, &gateway.policy, report);
        let Some((url, trust)) = target(name, gateway, report, certificates) else { continue };
        if let Some((twin, same)) = identities.insert(url.identity(), (name, url)) {
            let what = if same == url {
                format!("gateway.{twin} has the same URL")
            } else {
                format!("\"{url}\" is the same gateway as \"{same}\", the URL of gateway.{twin}")
            };
            let hint = "keep one of the two: each gateway is configured once";
            report.note(&format!("gateway.{name}.url"), &what, hint);
        }
        split_line(&format!("gateway.{name}.wedged.restart[0]"), &gateway.wedged_restart, report);
        gateways.push(Gateway {
            name: name.clone(),
            target: Target { url: url.clone(), answer_within: gateway.policy.answer_within, trust },
            region: gateway.region,
            public_address: gateway.public_address.clone(),
            unit: gateway.unit.clone(),
            stream: gateway.stream,
            wedged_restart: gateway.wedged_restart.clone(),
            policy: gateway.policy.clone(),
        });
    }
    validate_budgets(&gateways, report);
    gateways
}

/// Checks that the gateways behind each public address stay within its request budget while all is well.
fn validate_budgets(gateways: &[Gateway], report: &mut Findings) {
    let mut behind: BTreeMap<&str, Vec<&Policy>> = BTreeMap::new();
    for gateway in gateways {
        behind.entry(&gateway.public_address).or_default().push(&gateway.policy);
    }
    for (address, policies) in behind {
        let needed = |slowest: Duration| {
            let slower =
                |policy: &&Policy| Policy { check_every: policy.check_every.max(slowest), ..(*policy).clone() };
            policies.iter().map(|policy| SharedBudget::needed_by(&slower(policy))).fold(0, u32::saturating_add)
        };
        let (needs, budget) = (needed(Duration::ZERO), SharedBudget::AN_HOUR);
        if needs <= budget {
            continue;
        }
        let count = policies.len();
        let what = format!(
            "{count} gateways behind the public address {address:?} send {needs} requests an hour, and the limit is {budget}"
        );
        let apart = "give the gateways that IBKR sees under another address a public_address of their own";
        let enough = (1..=LONGEST_CHECK).map(Duration::from_secs).find(|every| needed(*every) <= budget);
        let hint = match enough {
            Some(every) => {
                let is_longer = policies.iter().any(|policy| policy.ping_every < every);
                let pings = if is_longer { ", and ping_every no shorter" } else { "" };
                format!("write check_every = {:?} under [session]{pings}, or {apart}", duration_text(every))
            }
            None => format!("no check_every is long enough for so many: {apart}"),
        };
        report.note("session.check_every", &what, hint);
    }
}

/// Validates the windows: each complete, and with time between them in which alerts go out.
pub(super) fn maintenance(draft: &Draft, report: &mut Findings) -> Maintenance {
    let mut maintenance = draft.maintenance.clone();
    let Some(windows) = &draft.windows else { return maintenance };
    for (index, window) in windows.iter().enumerate() {
        let path = format!("{WINDOWS}[{index}]");
        for (key, name, example, is_set) in [
            ("from", "the beginning", "23:45", window.from.is_some()),
            ("to", "the end", "01:45", window.to.is_some()),
            ("zone", "the time zone", "America/New_York", window.zone.is_some()),
        ] {
            report.require(&path, key, is_set, name, format!("write {key} = {example:?} under this [[{WINDOWS}]]"));
        }
    }
    let complete = windows.iter().filter_map(|window| {
        Some(Window {
            days: window.days.iter().map(|day| day.weekday()).collect(),
            from: window.from?,
            to: window.to?,
            zone: window.zone.as_ref()?.iana_name()?.to_owned(),
            regions: window.regions.clone(),
        })
    });
    maintenance.windows = complete.collect();
    if windows.len() > MOST_WINDOWS {
        report.note(WINDOWS, &format!("{} windows are too many", windows.len()), format!("at most {MOST_WINDOWS}"));
        return maintenance;
    }
    for region in Region::ALL.iter().copied().filter(|region| is_endless(&maintenance, *region)) {
        let what = format!("alerts of region {:?} would wait forever", word(region));
        let hint = "leave time between the windows, longer than the grace period, in which alerts can go out";
        report.note(WINDOWS, &what, hint);
    }
    maintenance
}

/// Whether one window follows another all week, so that alerts would never go out.
fn is_endless(maintenance: &Maintenance, region: Region) -> bool {
    let a_week_later = SOME_MONDAY.saturating_add(Duration::from_secs(8 * 24 * 60 * 60)).unwrap_or(Timestamp::MAX);
    let held = |at: &Timestamp| maintenance.at(region, *at).map(|held| held.hold_until);
    successors(Some(SOME_MONDAY), held).any(|at| at > a_week_later)
}

fn validate_policy(gateway: &str, policy: &Policy, report: &mut Findings) {
    let check_every = sourced(gateway, "check_every", policy.check_every, report);
    let ping_every = sourced(gateway, "ping_every", policy.ping_every, report);
    at_most(&check_every, &ping_every, |duration| format!("{:?}", duration_text(*duration)), report);

    let attempts = sourced(gateway, "recovery.attempts", policy.recovery.attempts, report);
    let max_per_hour = sourced(gateway, "recovery.max_per_hour", policy.recovery.max_per_hour, report);
    at_most(&attempts, &max_per_hour, ToString::to_string, report);
}

/// Reports when `less` is more than `more`, at the one that is set in the nearer place.
fn at_most<T: PartialOrd>(less: &Sourced<T>, more: &Sourced<T>, show: impl Fn(&T) -> String, report: &mut Findings) {
    if less.value <= more.value || [less, more].iter().any(|key| report.unreadable.contains(&key.path)) {
        return;
    }
    let is_default = |key: &Sourced<T>| if key.source == SetIn::Default { " by default" } else { "" };
    let (small, large) = (show(&less.value), show(&more.value));
    if more.source > less.source {
        let what = format!("{large} is less than {}, which is {small}{}", less.key, is_default(less));
        report.note(&more.path, &what, format!("write at least {small}, or set {} = {large} as well", less.key));
    } else {
        let what = format!("{small} is more than {}, which is {large}{}", more.key, is_default(more));
        report.note(&less.path, &what, format!("write at most {large}, or set {} = {small} as well", more.key));
    }
}

fn sourced<T>(gateway: &str, key: &'static str, value: T, report: &Findings) -> Sourced<T> {
    let own = format!("gateway.{gateway}.session.{key}");
    let common = format!("session.{key}");
    let (path, source) = match (report.is_given(&own), report.is_given(&common)) {
        (true, _) => (own, SetIn::ThisGateway),
        (false, true) => (common, SetIn::AllGateways),
        (false, false) => (common, SetIn::Default),
    };
    Sourced { key, path, source, value }
}

/// The URL and the trust, if both are known.
fn target<'d>(
    name: &str,
    gateway: &'d GatewayDraft,
    report: &mut Findings,
    certificates: CertificateCheck,
) -> Option<(&'d GatewayUrl, Trust)> {
    let path = format!("gateway.{name}");
    let (url_key, tls) = (format!("{path}.url"), format!("{path}.tls"));
    let trust = trust(&tls, gateway, report, certificates);
    let Some(url) = &gateway.url else {
        if !report.unreadable.contains(&url_key) {
            report.note(
                &url_key,
                "the URL is missing",
                format!("write url = \"https://localhost:5000\" under [{path}]"),
            );
        }
        return None;
    };
    let trust = trust?;
    let is_exposed = !url.is_encrypted() && !url.is_loopback();
    let is_known = gateway.plain_http == PlainHttp::Known;
    if is_known && !is_exposed {
        report.note(&format!("{tls}.plain_http"), &format!("plain_http has no effect on {url}"), "remove plain_http");
    }
    if is_known && is_exposed && trust == Trust::Loopback {
        return Some((url, Trust::Plain));
    }
    // Names are resolved at each connection, so the operator must state that only this machine is meant.
    let is_given = report.is_given(&format!("{tls}.trust")) && url.address().is_none() && url.is_encrypted();
    if !(is_given && trust == Trust::Loopback) {
        validate_trust(&path, url, &trust, report);
    }
    Some((url, trust))
}

/// Checks that this trust is enough for that URL.
fn validate_trust(gateway: &str, url: &GatewayUrl, trust: &Trust, report: &mut Findings) {
    let (url_key, tls, host) = (format!("{gateway}.url"), format!("{gateway}.tls"), url.host());
    let is_name = url.address().is_none();
    match trust {
        _ if !url.is_encrypted() && !url.is_loopback() => {
            let what = format!("plain http to {host} shows the session to everyone on the network path");
            let hint = format!(
                "write https://, or reach the gateway through an ssh tunnel; if the network path is yours alone, write \
                 plain_http = \"i-know\" under [{tls}], and no trust"
            );
            report.note(&url_key, &what, hint);
        }
        Trust::Loopback if !url.is_loopback() => {
            let is = if is_name { "may be" } else { "is" };
            let what = format!("{host} {is} another machine, and trust \"loopback\" accepts any certificate");
            let own = if is_name { "; if it is a name of this machine, trust = \"loopback\"" } else { "" };
            let hint = format!(
                "under [{tls}] write trust = \"pin\" with pins = [..], trust = \"ca-file\" with ca_file = \"..\", or \
                 trust = \"system\"{own}"
            );
            report.note(&url_key, &what, hint);
        }
        Trust::Pin(_) | Trust::CaFile(_) | Trust::System if !url.is_encrypted() => {
            let hint = "write an https:// URL, or remove trust";
            report.note(&format!("{tls}.trust"), "plain http has no certificate to verify", hint);
        }
        Trust::Loopback | Trust::Pin(_) | Trust::CaFile(_) | Trust::System | Trust::Plain => {}
    }
}

fn trust(tls: &str, gateway: &GatewayDraft, report: &mut Findings, certificates: CertificateCheck) -> Option<Trust> {
    let [trust, pins, ca_file] = ["trust", "pins", "ca_file"].map(|key| format!("{tls}.{key}"));
    if report.unreadable.contains(&trust) {
        return None;
    }
    let (by, before) = (word(gateway.trust), report.findings.len());
    if !gateway.pins.is_empty() && gateway.trust != TrustBy::Pin {
        let hint = format!("under [{tls}] write trust = \"pin\", or remove pins");
        report.note(&pins, &format!("pins have no effect with trust {by:?}"), hint);
    }
    if gateway.ca_file.is_some() && gateway.trust != TrustBy::CaFile {
        let hint = format!("under [{tls}] write trust = \"ca-file\", or remove ca_file");
        report.note(&ca_file, &format!("ca_file has no effect with trust {by:?}"), hint);
    }
    if report.findings.len() > before {
        return None;
    }
    match gateway.trust {
        TrustBy::Loopback => Some(Trust::Loopback),
        TrustBy::System => Some(Trust::System),
        TrustBy::Pin => {
            if gateway.pins.is_empty() && !report.unreadable.contains(&pins) {
                let hint = format!("under [{tls}] write pins = [\"AA:BB:..\"]");
                report.note(&trust, "trust \"pin\" needs pins, and there are none", hint);
            }
            Some(Trust::Pin(gateway.pins.clone()))
        }
        TrustBy::CaFile => {
            let path = gateway.ca_file.clone().unwrap_or_default();
            if report.unreadable.contains(&ca_file) {
            } else if gateway.ca_file.is_none() {
                let hint = format!("under [{tls}] write ca_file = \"/etc/tickled/ca.pem\"");
                report.note(&trust, "trust \"ca-file\" needs a ca_file, and there is none", hint);
            } else if let Err(error) = certificates(&path) {
                let hint = "name a PEM file that the user tickled runs as can read, with the certificate of the \
                            authority that signed the gateway's";
                report.note(&ca_file, &error, hint);
            }
            Some(Trust::CaFile(path))
        }
    }
}

/// The limit for windows: each is evaluated at every step of every driver.
const MOST_WINDOWS: usize = 50;
/// Midday of a week without a clock change.
const SOME_MONDAY: Timestamp = Timestamp::constant(1_767_614_400, 0);
