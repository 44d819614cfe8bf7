//! What single keys cannot know: that each gateway makes sense as a whole, and all of them together.

use std::collections::{BTreeMap, BTreeSet};

use super::Gateway;
use super::address::Address;
use super::fault::{At, Finding};
use super::file::{self, File, Pin, TrustBy};
use super::span::span_text;
use super::words::{Word, Worded, nearest};
use crate::gateway::{Target, Trust};
use crate::session::Policy;

/// The gateways of a merged file, and what is wrong with them.
#[derive(Debug)]
pub(super) struct Checks<'a> {
    places: &'a BTreeMap<String, At>,
    blamed: &'a BTreeSet<String>,
    findings: Vec<Finding>,
}

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
    pub(super) const fn new(places: &'a BTreeMap<String, At>, blamed: &'a BTreeSet<String>) -> Self {
        let findings = Vec::new();
        Self { places, blamed, findings }
    }

    /// All gateways, in the order of their names, and all findings.
    pub(super) fn gateways(mut self, file: &File) -> (Vec<Gateway>, Vec<Finding>) {
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
            if let Some(twin) = keepers.insert(url.clone(), name) {
                self.note(
                    &format!("gateway.{name}.url"),
                    &format!("gateway.{twin} has the same URL"),
                    "keep one of the two: a gateway has one keeper".to_owned(),
                );
            }
            let answer_within = policy.answer_within;
            let target = Target { url, answer_within, trust };
            let stream = written.stream.enabled;
            gateways.push(Gateway { name: name.clone(), target, region, stream, policy });
        }
        (gateways, self.findings)
    }

    fn policy(&mut self, gateway: &str, policy: &Policy) {
        let check_every = self.said(gateway, "check_every", policy.check_every);
        let ping_every = self.said(gateway, "ping_every", policy.ping_every);
        self.at_most(&check_every, &ping_every, |span| format!("{:?}", span_text(*span)));

        let first_pause = self.said(gateway, "recovery.first_pause", policy.recovery.first_pause);
        let last_pause = self.said(gateway, "recovery.last_pause", policy.recovery.last_pause);
        self.at_most(&first_pause, &last_pause, |span| format!("{:?}", span_text(*span)));

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
        let Some(address) = &written.url else {
            if !self.blamed.contains(&url) {
                let hint = format!("write url = \"https://localhost:5000\" under [{gateway}]");
                self.note(&url, "the URL is missing", hint);
            }
            return None;
        };
        let trust = trust?;
        self.reach(&gateway, address, &trust);
        Some((address.url.clone(), trust))
    }

    /// Whether this trust is enough for that address.
    fn reach(&mut self, gateway: &str, address: &Address, trust: &Trust) {
        let url = format!("{gateway}.url");
        let host = &address.host;
        if !address.encrypted && !address.is_loopback() {
            let what = format!("plain http to {host} shows the session to everybody on the way");
            let hint = "write https://, or reach the gateway through an ssh tunnel".to_owned();
            self.note(&url, &what, hint);
            return;
        }
        let (trust_key, tls) = (format!("{gateway}.tls.trust"), format!("{gateway}.tls"));
        match trust {
            Trust::Loopback if !address.is_loopback() => self.note(
                &url,
                &format!("{host} is another machine, and trust \"loopback\" believes any certificate"),
                format!(
                    "under [{tls}] write trust = \"pin\" with pins = [..], trust = \"ca-file\" with \
                     ca_file = \"..\", or trust = \"system\""
                ),
            ),
            Trust::Pin(_) | Trust::CaFile(_) | Trust::System if !address.encrypted => self.note(
                &trust_key,
                "plain http shows no certificate to judge",
                "write an https:// URL, or leave trust out".to_owned(),
            ),
            Trust::Loopback | Trust::Pin(_) | Trust::CaFile(_) | Trust::System => {}
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
                }
                Some(Trust::CaFile(path.clone()))
            }
        }
    }

    /// Notes a finding at the key, or at the nearest table above it.
    fn note(&mut self, key: &str, what: &str, hint: String) {
        let mut path = key;
        let at = loop {
            if let Some(at) = self.places.get(path) {
                break at.clone();
            }
            match path.rsplit_once('.') {
                Some((above, _)) => path = above,
                None => break At::File,
            }
        };
        let (key, what) = (key.to_owned(), what.to_owned());
        self.findings.push(Finding { key, at, what, hint });
    }
}
