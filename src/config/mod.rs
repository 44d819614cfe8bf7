//! The configuration the program may trust: defaults, file, environment, and every fault at once.

mod alerts;
mod channels;
mod checks;
mod endpoint;
mod environment;
mod fault;
mod file;
mod gateway_url;
mod host;
mod maintenance;
mod reading;
mod source;
mod span;
mod text;
mod value;
mod words;

pub use endpoint::Endpoint;
pub use fault::{Fault, Faults, Place};
pub use gateway_url::{GatewayUrl, InvalidUrl};
pub use source::{Difference, Source};

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use crate::alert;
use crate::calendar::{Maintenance, Region};
use crate::gateway::{Target, Trust};
use crate::log;
use crate::session::Policy;
use checks::{Checks, Look};
use fault::{At, Finding, quoted};
use file::{File, PlainHttp, ROOT, TrustBy, values};
use reading::Reading;
use words::Worded;

/// A configuration without a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// At least one, in the order of their names; no two at the same URL.
    pub gateways: Vec<Gateway>,
    /// When IBKR may be away.
    pub maintenance: Maintenance,
    /// When humans are told, and how.
    pub alerts: alert::Settings,
    /// Where the state of things is shown.
    pub endpoint: Endpoint,
    /// What the daemon says about itself.
    pub log: log::Settings,
    /// What is odd about it and does no harm.
    pub warnings: Vec<Fault>,
}

impl Config {
    /// The names of all gateways.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.gateways.iter().map(|gateway| gateway.name.clone()).collect()
    }
}

/// One gateway to keep alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// What the operator calls it: `[a-z0-9][a-z0-9_-]*`, at most 32 of them.
    pub name: String,
    /// Where it is, and what must hold before it is believed.
    pub target: Target,
    /// Whose midnight ends its logins.
    pub region: Region,
    /// What the operator calls the address under which IBKR sees it; all gateways behind one share what may be asked.
    pub public_address: String,
    /// The unit of systemd that runs it, if one does.
    pub unit: Option<String>,
    /// Whether its stream is listened to as well.
    pub stream: bool,
    /// What is wanted of its session.
    pub policy: Policy,
}

/// A key as the documentation needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its path, `NAME` standing for a gateway's name, `[]` for one of a list.
    pub path: String,
    /// What it may hold, in words.
    pub takes: String,
}

/// The file that shows every key with its default and its meaning.
pub const DEFAULT: &str = include_str!("../../config/tickled.toml");

/// Loads a file and overlays `environment`. The CA files that it names for gateways are read as well.
///
/// # Errors
///
/// Everything that is wrong, not only the first fault.
pub fn load(path: &Path, environment: &BTreeMap<String, String>) -> Result<Config, Faults> {
    let text = read(path)?;
    judge(&text, path, environment, &Depth::Certificates)
}

/// Loads a file like [`load`], and checks everything that it names on this host: files, programs, hosts, units. Blocks for
/// a few seconds where names cannot be resolved.
///
/// # Errors
///
/// Everything that is wrong, not only the first fault. What another user or another host may see differently is a warning.
pub fn check(path: &Path, environment: &BTreeMap<String, String>) -> Result<Config, Faults> {
    let text = read(path)?;
    judge(&text, path, environment, &Depth::Host)
}

fn read(path: &Path) -> Result<String, Faults> {
    let fault = |what: String, hint: &str| Faults::of_file(path, what, hint.to_owned());
    let cannot = |error: &io::Error| {
        let known = UNREADABLE.iter().find(|(kind, ..)| *kind == error.kind());
        match known {
            Some((_, what, hint)) => fault((*what).to_owned(), hint),
            None => fault(format!("it cannot be read: {error}"), NAME_A_FILE),
        }
    };
    let mut bytes = Vec::new();
    host::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)).map_err(|error| cannot(&error))?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        // The limit may have cut a character in two.
        Err(error) if error.as_bytes().len() as u64 > LARGEST => Err(too_large(path)),
        Err(error) => {
            let bytes = error.as_bytes();
            if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
                return Err(fault("it is UTF-16".to_owned(), "save it as UTF-8"));
            }
            let text = bytes.get(..error.utf8_error().valid_up_to()).unwrap_or_default();
            let line = text.iter().filter(|byte| **byte == b'\n').count() + 1;
            Err(fault(format!("line {line} is not UTF-8"), "save it as UTF-8, or leave foreign letters out"))
        }
    }
}

/// Reads the text of the file called `name` and lays `environment` over it, without any input or output: files that it
/// names are taken to be good.
///
/// # Errors
///
/// Everything that is wrong, not only the first of it.
pub fn parse(text: &str, name: &Path, environment: &BTreeMap<String, String>) -> Result<Config, Faults> {
    judge(text, name, environment, &Depth::Text)
}

/// How far a configuration is checked.
enum Depth {
    /// The text alone.
    Text,
    /// The CA files of gateways as well, without which nothing can run.
    Certificates,
    /// Everything that it names on this host.
    Host,
}

fn judge(text: &str, name: &Path, environment: &BTreeMap<String, String>, depth: &Depth) -> Result<Config, Faults> {
    if text.len() as u64 > LARGEST {
        return Err(too_large(name));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reading = Reading::new(text, environment);
    // A file that is not TOML says nothing about the keys it seems to lack.
    if reading.is_toml {
        match merge(&reading) {
            Ok(file) => {
                let certificates: Look = if matches!(depth, Depth::Text) { |_| Ok(()) } else { host::certificates };
                let mut checks = Checks::new(&reading.places, &reading.blamed, certificates);
                let gateways = checks.gateways(&file);
                let maintenance = checks.maintenance(&file.maintenance);
                let names: Vec<&str> = reading.gateways.iter().map(String::as_str).collect();
                let alerts = checks.alerts(&file.alerts, &file.deadman, &names);
                reading.findings.extend(checks.findings());
                if reading.findings.is_empty() {
                    let log = file.log.settings();
                    let endpoint = file.endpoint.settings();
                    let warnings = Vec::new();
                    let mut config = Config { gateways, maintenance, alerts, endpoint, log, warnings };
                    if matches!(depth, Depth::Host) {
                        let mut checks = Checks::new(&reading.places, &reading.blamed, certificates);
                        for problem in host::inspect(&config, environment) {
                            checks.problem(problem);
                        }
                        let (findings, warnings) = checks.sorted();
                        reading.findings.extend(findings);
                        reading.warnings.extend(warnings);
                    }
                    if reading.findings.is_empty() {
                        config.warnings = Faults::locate(reading.warnings, name, text).into_vec();
                        return Ok(config);
                    }
                }
            }
            Err(finding) => reading.findings.push(finding),
        }
    }
    Err(Faults::locate(reading.findings, name, text))
}

/// The configuration in force, every key with its value, as a file that would say the same.
#[must_use]
pub fn show(config: &Config) -> String {
    let gateway = config.gateways.iter().map(|gateway| {
        let mut tls = file::Tls { plain_http: Some(Worded(PlainHttp::Refuse)), ..file::Tls::default() };
        let by = match &gateway.target.trust {
            Trust::Loopback => TrustBy::Loopback,
            Trust::Plain => {
                tls.plain_http = Some(Worded(PlainHttp::Known));
                TrustBy::Loopback
            }
            Trust::System => TrustBy::System,
            Trust::Pin(pins) => {
                tls.pins = pins.iter().copied().map(file::Pin).collect();
                TrustBy::Pin
            }
            Trust::CaFile(path) => {
                tls.ca_file.clone_from(path);
                TrustBy::CaFile
            }
        };
        tls.trust = Some(Worded(by));
        let written = file::Gateway {
            url: gateway.target.url.parse().ok().map(file::Url),
            region: Some(Worded(gateway.region)),
            public_address: Some(gateway.public_address.clone()),
            unit: gateway.unit.clone(),
            tls,
            stream: file::Stream { enabled: gateway.stream },
            session: (&gateway.policy).into(),
        };
        (gateway.name.clone(), written)
    });
    let file = File {
        session: file::Session::default(),
        gateway: gateway.collect(),
        maintenance: (&config.maintenance).into(),
        alerts: (&config.alerts).into(),
        deadman: config.alerts.deadman.as_ref().into(),
        endpoint: (&config.endpoint).into(),
        log: (&config.log).into(),
    };
    toml::to_string(&file).unwrap_or_else(|error| format!("# {error}\n"))
}

/// The address of a gateway as a [`Target`] wants it, from what a person types.
///
/// # Errors
///
/// What is wrong with it, and what would be right.
pub fn address(text: &str) -> Result<String, String> {
    text.parse().map(|url: GatewayUrl| url.to_string()).map_err(|error: InvalidUrl| error.to_string())
}

/// Whether the address is one of this host by its very name; what other names resolve to is not asked.
#[must_use]
pub fn is_loopback(url: &str) -> bool {
    url.parse().is_ok_and(|url: GatewayUrl| url.is_loopback())
}

/// Every key, in the order of the shipped file; a gateway's own session keys are those of `session`.
#[must_use]
pub fn keys() -> Vec<Key> {
    let takes = |(path, kind): (String, value::Kind)| Key { path, takes: kind.takes() };
    values(ROOT).into_iter().map(takes).collect()
}

/// Lays the environment over the file, key by key.
fn merge(reading: &Reading) -> Result<File, Finding> {
    let stumbled = |key: String, what: String| {
        let at = reading.places.get(&key).cloned().unwrap_or(At::File);
        let hint = "see `tickled config default`".to_owned();
        Finding { key, at, what, hint }
    };
    let merged = config::Config::builder()
        .add_source(reading.file.clone())
        .add_source(reading.environment.clone())
        .build()
        .map_err(|error| stumbled(String::new(), quoted(&error.to_string())))?;
    serde_path_to_error::deserialize(merged).map_err(|error| {
        let key = error.path().to_string();
        stumbled(key, quoted(&error.into_inner().to_string()))
    })
}

fn too_large(path: &Path) -> Faults {
    let what = format!("it is larger than {} KiB", LARGEST / 1024);
    Faults::of_file(path, what, NAME_A_FILE.to_owned())
}

const LARGEST: u64 = 256 * 1024;

const NAME_A_FILE: &str = "name a file like the one `tickled config default > FILE` writes";

/// The usual reasons why a file cannot be read, and the remedies.
const UNREADABLE: &[(io::ErrorKind, &str, &str)] = &[
    (io::ErrorKind::NotFound, "there is no such file", "write one with `tickled config default > FILE`"),
    (
        io::ErrorKind::PermissionDenied,
        "it may not be read by the user tickled runs as",
        "give it to that user's group with `chgrp`, then `chmod 640`",
    ),
    (io::ErrorKind::IsADirectory, "it is a directory", NAME_A_FILE),
];
