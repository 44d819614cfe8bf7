//! The configuration: defaults, file and environment together, validated, with every fault reported at once.

mod channels;
mod diagnostic;
mod duration;
mod environment;
mod hooks;
mod host;
mod keyword;
mod reader;
mod schema;
mod show;
mod source;
mod string_format;
mod suggestion;
mod time;
mod validate;
mod value;

pub use diagnostic::{Diagnostic, Diagnostics, Location};
pub use schema::{Endpoint, Ibkr, KeyDoc, keys};
pub use show::show;
pub use source::{Difference, Source};
pub use validate::{Config, Gateway};

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use host::HostProblem;
use validate::CertificateCheck;

/// The shipped file, which shows every key with its default and its meaning.
pub const DEFAULT: &str = include_str!("../../config/tickled.toml");

/// Loads a file and overlays `environment`. The CA files that it names for gateways are read as well.
///
/// # Errors
///
/// Everything that is wrong, not only the first fault.
pub fn load(path: &Path, environment: &BTreeMap<String, String>) -> Result<Config, Diagnostics> {
    validated(&read_file(path)?, path, environment, &Depth::Certificates)
}

/// Loads a file like [`load`], and checks everything that it names on this host: files, programs, hosts, units. Blocks
/// for a few seconds where names cannot be resolved.
///
/// # Errors
///
/// Everything that is wrong, not only the first fault. What another user or another host may see differently is a warning.
pub fn check(path: &Path, environment: &BTreeMap<String, String>) -> Result<Config, Diagnostics> {
    validated(&read_file(path)?, path, environment, &Depth::Host)
}

/// Parses the text of the file called `name` and overlays `environment`, without any I/O: files that it names are
/// assumed to be good.
///
/// # Errors
///
/// Everything that is wrong, not only the first fault.
pub fn parse(text: &str, name: &Path, environment: &BTreeMap<String, String>) -> Result<Config, Diagnostics> {
    validated(text, name, environment, &Depth::Text)
}

/// How far a configuration is checked.
enum Depth {
    /// Only the text.
    Text,
    /// Also the CA files of gateways, without which the daemon cannot run.
    Certificates,
    /// Everything that it names on this host.
    Host,
}

fn validated(
    text: &str,
    name: &Path,
    environment: &BTreeMap<String, String>,
    depth: &Depth,
) -> Result<Config, Diagnostics> {
    if text.len() as u64 > LARGEST {
        return Err(too_large(name));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let reader::ReadConfig { draft, mut report, is_toml } = reader::read(text, environment);
    // A file that is not TOML says nothing about the keys that it seems to lack.
    if is_toml {
        let certificates: CertificateCheck = if matches!(depth, Depth::Text) { |_| Ok(()) } else { host::certificates };
        let mut config = Config {
            gateways: validate::gateways(&draft, &mut report, certificates),
            maintenance: validate::maintenance(&draft, &mut report),
            alerts: channels::alerts(&draft, &mut report),
            hooks: hooks::hooks(&draft, &mut report),
            ibkr: draft.ibkr,
            endpoint: draft.endpoint,
            log: draft.log,
            warnings: Vec::new(),
        };
        if report.findings.is_empty() && matches!(depth, Depth::Host) {
            for HostProblem { key, what, hint, is_certain } in host::inspect(&config, environment) {
                if is_certain {
                    report.note(&key, &what, hint);
                } else {
                    report.warn(&key, &what, hint);
                }
            }
        }
        if report.findings.is_empty() {
            config.warnings = Diagnostics::locate(report.warnings, name, text).into_vec();
            return Ok(config);
        }
    }
    Err(Diagnostics::locate(report.findings, name, text))
}

fn read_file(path: &Path) -> Result<String, Diagnostics> {
    let refused = |what: String, hint: &str| Diagnostics::of_file(path, what, hint.to_owned());
    let cannot = |error: &io::Error| {
        let known = UNREADABLE.iter().find(|(kind, ..)| *kind == error.kind());
        match known {
            Some((_, what, hint)) => refused((*what).to_owned(), hint),
            None => refused(format!("it cannot be read: {error}"), A_FILE),
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
                return Err(refused("it is UTF-16".to_owned(), "save it as UTF-8"));
            }
            let text = bytes.get(..error.utf8_error().valid_up_to()).unwrap_or_default();
            let line = text.iter().filter(|byte| **byte == b'\n').count() + 1;
            Err(refused(format!("line {line} is not UTF-8"), "save it as UTF-8, or leave foreign letters out"))
        }
    }
}

fn too_large(path: &Path) -> Diagnostics {
    Diagnostics::of_file(path, format!("it is larger than {} KiB", LARGEST / 1024), A_FILE.to_owned())
}

const LARGEST: u64 = 256 * 1024;

const A_FILE: &str = "name a file like the one that `tickled config default > FILE` writes";

/// The usual reasons why a file cannot be read, and what to do.
const UNREADABLE: &[(io::ErrorKind, &str, &str)] = &[
    (io::ErrorKind::NotFound, "the file does not exist", "write one with `tickled config default > FILE`"),
    (
        io::ErrorKind::PermissionDenied,
        "the user that tickled runs as may not read it",
        "change its group to one of that user with `chgrp`, then `chmod 640`",
    ),
    (io::ErrorKind::IsADirectory, "it is a directory", A_FILE),
];
