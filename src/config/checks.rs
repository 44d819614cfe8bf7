//! What single keys cannot know: that each gateway makes sense as a whole, all of them together, and the windows.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::successors;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::Gateway;
use super::fault::{At, Finding};
use super::file::{self, File, Pin, PlainHttp, TrustBy};
use super::gateway_url::GatewayUrl;
use super::host::Problem;
use super::maintenance::{self, NEEDED};
use super::span::span_text;
use super::words::{Word, Worded, nearest};
use crate::calendar::{Maintenance, Region};
use crate::gateway::{Target, Trust};
use crate::session::{Policy, SharedBudget};

/// What a merged file means, and what is wrong with it.
#[derive(Debug)]
pub(super) struct Checks<'a> {
    places: &'a BTreeMap<String, At>,
    blamed: &'a BTreeSet<String>,
    certificates: Look,
    findings: Vec<Finding>,
    warnings: Vec<Finding>,
}

/// Whether a file holds certificates to judge others by.
pub(super) type Look = fn(&Path) -> Result<(), String>;

/// A key of one gateway's session, where it was said, and its value.
struct Said<T> {
    key: &'static str,
    path: String,
    /// 0 nowhere, 1 for all gateways, 2 for this one: the nearer is to blame.
    nearness: u8,
    value: T,
}

impl<'a> Checks<'a> {
    /// Checks against the places of the keys; a key that is `blamed` already is not blamed again.
    pub(super) const fn new(
        places: &'a BTreeMap<String, At>,
        blamed: &'a BTreeSet<String>,
        certificates: Look,
    ) -> Self {
        Self { places, blamed, certificates, findings: Vec::new(), warnings: Vec::new() }
    }

    /// All findings.
    pub(super) fn findings(self) -> Vec<Finding> {
        self.findings
    }

    /// All findings, and all warnings.
    pub(super) fn sorted(self) -> (Vec<Finding>, Vec<Finding>) {
        (self.findings, self.warnings)
    }

    /// Keeps what is wrong with something that a key names.
    pub(super) fn problem(&mut self, Problem { key, what, hint, is_certain }: Problem) {
        self.note(&key, &what, hint);
        if !is_certain {
            self.warnings.extend(self.findings.pop());
        }
    }

    /// All gateways, in the order of their names.
    pub(super) fn gateways(&mut self, file: &File) -> Vec<Gateway> {
        let root = |key: &'a String| key.split('.').next().unwrap_or_default();
        let misspelt = |key: &'a String| nearest(root(key), ["gateway"]).is_some();
        if file.gateway.is_empty() && !self.blamed.iter().any(misspelt) {
            self.note(
                "gateway",
                "no gateway to watch",
                "write [gateway.main] and under it url = \"https://localhost:5000\"".to_owned(),
            );
        }
        let mut gateways = Vec::new();
        let mut keepers = BTreeMap::new();
        for (name, written) in &file.gateway {
            let mut policy = Policy::default();
            file.session.lay_over(&mut policy);
            written.session.lay_over(&mut policy);
            self.policy(name, &policy);
            let region = written.region.map(|Worded(region)| region).unwrap_or_default();
            let Some((url, trust)) = self.target(name, written) else {
                continue;
            };
            let place = written.url.as_ref().map(|file::Url(url)| url.identity());
            if let Some((twin, same)) = keepers.insert(place, (name, url.clone())) {
                let what = if same == url {
                    format!("gateway.{twin} has the same URL")
                } else {
                    format!("{url:?} is the same gateway as {same:?}, the URL of gateway.{twin}")
                };
                let hint = "keep one of the two: each gateway is configured once".to_owned();
                self.note(&format!("gateway.{name}.url"), &what, hint);
            }
            let answer_within = policy.answer_within;
            let target = Target { url, answer_within, trust };
            let stream = written.stream.enabled;
            let public_address = written.public_address.clone().unwrap_or_else(|| HERE.to_owned());
            let unit = written.unit.clone().filter(|unit| !unit.is_empty());
            gateways.push(Gateway { name: name.clone(), target, region, public_address, unit, stream, policy });
        }
        self.addresses(&gateways);
        gateways
    }

    /// Whether each public address bears all that is asked through it while all is well.
    fn addresses(&mut self, gateways: &[Gateway]) {
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
            let asked = needed(Duration::ZERO);
            if asked <= SharedBudget::AN_HOUR {
                continue;
            }
            let count = policies.len();
            let what = format!(
                "{count} gateways behind the public address {address:?} ask IBKR {asked} times an hour, and {} are what may \
                 be asked",
                SharedBudget::AN_HOUR
            );
            let apart = "give those a public_address of their own that IBKR sees under another";
            let enough =
                (1..=LONGEST_CHECK).map(Duration::from_secs).find(|every| needed(*every) <= SharedBudget::AN_HOUR);
            let hint = match enough {
                Some(every) => {
                    let is_longer = policies.iter().any(|policy| policy.ping_every < every);
                    let pings = if is_longer { ", and ping_every no shorter" } else { "" };
                    format!("write check_every = {:?} under [session]{pings}, or {apart}", span_text(every))
                }
                None => format!("no check_every is long enough for so many: {apart}"),
            };
            self.note("session.check_every", &what, hint);
        }
    }

    /// The windows, each complete, and time left between them in which a human can be told.
    pub(super) fn maintenance(&mut self, written: &maintenance::Maintenance) -> Maintenance {
        let windows = written.window.as_deref().unwrap_or_default();
        if windows.len() > MOST_WINDOWS {
            let what = format!("{} windows are too many", windows.len());
            self.note("maintenance.window", &what, format!("at most {MOST_WINDOWS}"));
        }
        for (at, window) in windows.iter().enumerate() {
            let path = format!("maintenance.window[{at}]");
            let there = [window.from.is_some(), window.to.is_some(), window.zone.is_some()];
            for ((key, name, example), there) in NEEDED.into_iter().zip(there) {
                if there || self.is_blamed(&path, key) {
                    continue;
                }
                let hint = format!("write {key} = {example:?} under this [[maintenance.window]]");
                self.note(&format!("{path}.{key}"), &format!("{name} is missing"), hint);
            }
        }
        let maintenance = written.settings();
        if windows.len() <= MOST_WINDOWS {
            for region in Region::ALL.into_iter().filter(|region| is_endless(&maintenance, *region)) {
                let what = format!("alerts of region {:?} would wait for ever", region.word());
                let hint = "leave time between the windows, longer than the grace, in which you can be told";
                self.note("maintenance.window", &what, hint.to_owned());
            }
        }
        maintenance
    }

    /// Whether something is said of the key, of a slip of the pen that means it, or of the table it stands in.
    pub(super) fn is_blamed(&self, table: &str, key: &str) -> bool {
        let means = |blamed: &String| {
            let below = blamed.strip_prefix(table);
            below.is_some_and(|below| below.is_empty() || nearest(below.trim_start_matches('.'), [key]).is_some())
        };
        self.blamed.iter().any(means)
    }

    fn policy(&mut self, gateway: &str, policy: &Policy) {
        let check_every = self.said(gateway, "check_every", policy.check_every);
        let ping_every = self.said(gateway, "ping_every", policy.ping_every);
        self.at_most(&check_every, &ping_every, |span| format!("{:?}", span_text(*span)));

        let attempts = self.said(gateway, "recovery.attempts", policy.recovery.attempts);
        let max_per_hour = self.said(gateway, "recovery.max_per_hour", policy.recovery.max_per_hour);
        self.at_most(&attempts, &max_per_hour, ToString::to_string);
    }

    fn at_most<T: PartialOrd>(&mut self, less: &Said<T>, more: &Said<T>, show: impl Fn(&T) -> String) {
        let silent = [less, more].iter().any(|said| self.blamed.contains(&said.path));
        if less.value <= more.value || silent {
            return;
        }
        let unsaid = |said: &Said<T>| {
            if said.nearness == 0 { " unless you say otherwise" } else { "" }
        };
        let (small, large) = (show(&less.value), show(&more.value));
        if more.nearness > less.nearness {
            self.note(
                &more.path,
                &format!("{large} is less than {}, which is {small}{}", less.key, unsaid(less)),
                format!("write at least {small}, or set {} = {large} as well", less.key),
            );
        } else {
            self.note(
                &less.path,
                &format!("{small} is more than {}, which is {large}{}", more.key, unsaid(more)),
                format!("write at most {large}, or set {} = {small} as well", more.key),
            );
        }
    }

    fn said<T>(&self, gateway: &str, key: &'static str, value: T) -> Said<T> {
        let own = format!("gateway.{gateway}.session.{key}");
        let common = format!("session.{key}");
        let is_said = |path: &String| self.places.contains_key(path) || self.blamed.contains(path);
        let (path, nearness) = if is_said(&own) {
            (own, 2)
        } else {
            let nearness = u8::from(is_said(&common));
            (common, nearness)
        };
        Said { key, path, nearness, value }
    }

    /// The address and the trust, when both can be known.
    fn target(&mut self, name: &str, written: &file::Gateway) -> Option<(String, Trust)> {
        let gateway = format!("gateway.{name}");
        let trust = self.trust(&format!("{gateway}.tls"), &written.tls);
        let url = format!("{gateway}.url");
        let Some(file::Url(address)) = &written.url else {
            if !self.blamed.contains(&url) {
                let hint = format!("write url = \"https://localhost:5000\" under [{gateway}]");
                self.note(&url, "the URL is missing", hint);
            }
            return None;
        };
        let trust = trust?;
        let knows = written.tls.plain_http == Some(Worded(PlainHttp::Known));
        let is_far = !address.is_encrypted() && !address.is_loopback();
        if knows && !is_far {
            let what = format!("plain_http means nothing to {address}");
            self.note(&format!("{gateway}.tls.plain_http"), &what, "leave plain_http out".to_owned());
        }
        if knows && is_far && trust == Trust::Loopback {
            return Some((address.to_string(), Trust::Plain));
        }
        // Where a name leads is judged at each connection; that nothing but this machine is meant, the operator must say.
        let is_said = written.tls.trust.is_some() && address.address().is_none() && address.is_encrypted();
        if !(is_said && trust == Trust::Loopback) {
            self.reach(&gateway, address, &trust);
        }
        Some((address.to_string(), trust))
    }

    /// Whether this trust is enough for that address.
    fn reach(&mut self, gateway: &str, address: &GatewayUrl, trust: &Trust) {
        let url = format!("{gateway}.url");
        let host = address.host();
        if !address.is_encrypted() && !address.is_loopback() {
            let what = format!("plain http to {host} shows the session to everybody on the way");
            let hint = format!(
                "write https://, or reach the gateway through an ssh tunnel; if the way there is yours alone, write \
                 plain_http = \"i-know\" under [{gateway}.tls], and no trust"
            );
            self.note(&url, &what, hint);
            return;
        }
        let (trust_key, tls) = (format!("{gateway}.tls.trust"), format!("{gateway}.tls"));
        match trust {
            Trust::Loopback if !address.is_loopback() => self.note(
                &url,
                &format!(
                    "{host} {} another machine, and trust \"loopback\" believes any certificate",
                    if address.address().is_none() { "may be" } else { "is" }
                ),
                format!(
                    "under [{tls}] write trust = \"pin\" with pins = [..], trust = \"ca-file\" with \
                     ca_file = \"..\", or trust = \"system\"{}",
                    if address.address().is_none() {
                        "; if that is a name of this machine, trust = \"loopback\""
                    } else {
                        ""
                    }
                ),
            ),
            Trust::Pin(_) | Trust::CaFile(_) | Trust::System if !address.is_encrypted() => self.note(
                &trust_key,
                "plain http shows no certificate to judge",
                "write an https:// URL, or leave trust out".to_owned(),
            ),
            Trust::Loopback | Trust::Pin(_) | Trust::CaFile(_) | Trust::System | Trust::Plain => {}
        }
    }

    fn trust(&mut self, tls: &str, written: &file::Tls) -> Option<Trust> {
        let [trust, pins, ca_file] = ["trust", "pins", "ca_file"].map(|key| format!("{tls}.{key}"));
        if self.blamed.contains(&trust) {
            return None;
        }
        let by = written.trust.map_or(TrustBy::Loopback, |Worded(by)| by);
        let word = by.word();
        let known = self.findings.len();
        if !written.pins.is_empty() && by != TrustBy::Pin {
            let what = format!("pins mean nothing to trust {word:?}");
            self.note(&pins, &what, format!("under [{tls}] write trust = \"pin\", or leave pins out"));
        }
        if !written.ca_file.as_os_str().is_empty() && by != TrustBy::CaFile {
            let what = format!("a CA file means nothing to trust {word:?}");
            let hint = format!("under [{tls}] write trust = \"ca-file\", or leave ca_file out");
            self.note(&ca_file, &what, hint);
        }
        if self.findings.len() > known {
            return None;
        }
        match by {
            TrustBy::Loopback => Some(Trust::Loopback),
            TrustBy::System => Some(Trust::System),
            TrustBy::Pin => {
                if written.pins.is_empty() && !self.blamed.contains(&pins) {
                    let hint = format!("under [{tls}] write pins = [\"AA:BB:..\"]");
                    self.note(&trust, "trust \"pin\" needs pins, and there are none", hint);
                }
                let pins = written.pins.iter().map(|Pin(pin)| *pin).collect();
                Some(Trust::Pin(pins))
            }
            TrustBy::CaFile => {
                let path = &written.ca_file;
                if path.as_os_str().is_empty() && !self.blamed.contains(&ca_file) {
                    let hint = format!("under [{tls}] write ca_file = \"/etc/tickled/ca.pem\"");
                    self.note(&trust, "trust \"ca-file\" needs a ca_file, and there is none", hint);
                } else if !self.blamed.contains(&ca_file)
                    && let Err(error) = (self.certificates)(path)
                {
                    let hint = "name a file in PEM that the user tickled runs as may read, with the certificate of \
                                whoever signed the gateway's";
                    self.note(&ca_file, &error, hint.to_owned());
                }
                Some(Trust::CaFile(path.clone()))
            }
        }
    }

    /// Notes a finding at the key, or at the nearest table above it.
    pub(super) fn note(&mut self, key: &str, what: &str, hint: String) {
        let mut path = key;
        let at = loop {
            if let Some(at) = self.places.get(path) {
                break at.clone();
            }
            // One of a list stands where the list does.
            match path.rfind(['.', '[']).and_then(|end| path.split_at_checked(end)) {
                Some((above, _)) => path = above,
                None => break At::File,
            }
        };
        let (key, what) = (key.to_owned(), what.to_owned());
        self.findings.push(Finding { key, at, what, hint });
    }
}

/// Whether one window follows on the other, the whole week round, so that alerts would wait and wait.
fn is_endless(maintenance: &Maintenance, region: Region) -> bool {
    let a_week_later = SOME_MONDAY.saturating_add(Duration::from_secs(8 * 24 * 60 * 60)).unwrap_or(Timestamp::MAX);
    let held = |at: &Timestamp| maintenance.at(region, *at).map(|held| held.hold_until);
    successors(Some(SOME_MONDAY), held).any(|at| at > a_week_later)
}

/// The public address of whoever names none.
const HERE: &str = "here";
/// The longest time that may stand between two checks, in seconds.
const LONGEST_CHECK: u64 = 300;
/// Each is asked at every step of every driver.
const MOST_WINDOWS: usize = 50;
/// Any would do: midday of a week without a clock change.
const SOME_MONDAY: Timestamp = Timestamp::constant(1_767_614_400, 0);
