//! The environment as a second source: `TICKLED_SESSION__PING_EVERY` is the key `session.ping_every`.

use std::collections::{BTreeMap, BTreeSet};

use super::fault::{At, Finding};
use super::file::{GATEWAY, ROOT, values};
use super::reading::Reading;
use super::value::{Kind, Raw};
use super::words::nearest;

/// Reads every variable that is meant for the configuration.
pub(super) fn read(reading: &mut Reading, environment: &BTreeMap<String, String>) {
    let mut seen = BTreeSet::new();
    for (name, value) in environment {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        if RESERVED.contains(&name.as_str()) || name.starts_with(OF_AN_ALERT) {
            continue;
        }
        let at = At::Variable(name.escape_debug().to_string());
        if is_injected(rest, value) {
            continue;
        }
        let (path, kind) = match resolve(rest, &reading.gateways) {
            Ok(resolved) => resolved,
            Err(Unknown::Typo(what, hint)) => {
                reading.note("", at, what, hint);
                continue;
            }
            Err(Unknown::Foreign) => {
                let what = "it names no key and is ignored".to_owned();
                let hint = "`tickled config default` lists all keys".to_owned();
                reading.warnings.push(Finding { key: String::new(), at, what, hint });
                continue;
            }
        };
        if !seen.insert(path.clone()) {
            let what = "another variable with the same letters sets this key too".to_owned();
            reading.note(&path, at, what, "keep one of the two".to_owned());
            continue;
        }
        match kind.read(&raw(kind, value)) {
            Ok(right) => {
                reading.environment.put(&path, right, &at);
                reading.places.insert(path, at);
            }
            Err(complaints) => {
                for complaint in complaints {
                    reading.note(&path, at.clone(), complaint.what, complaint.hint);
                }
            }
        }
    }
}

/// Why a variable names no key.
enum Unknown {
    /// It was probably meant to name one: what is wrong, and what would be right.
    Typo(String, String),
    /// It belongs to something else.
    Foreign,
}

/// Whether Kubernetes or Docker set this variable for a service called `tickled` or `tickled-NAME`.
fn is_injected(rest: &str, value: &str) -> bool {
    let parts: Vec<&str> = rest.split('_').collect();
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    let is_protocol = |text: &str| matches!(text, "TCP" | "UDP" | "SCTP");
    let is_at = |at: usize| match &parts[at..] {
        ["PORT"] => at == 0 || value.contains("://"),
        ["NAME"] | ["ENV", ..] => at == 0,
        ["SERVICE", "HOST"] | ["SERVICE", "PORT", ..] => true,
        ["PORT", port, protocol] => is_port(port) && is_protocol(protocol),
        ["PORT", port, protocol, "PROTO" | "PORT" | "ADDR"] => is_port(port) && is_protocol(protocol),
        _ => false,
    };
    !rest.contains("__") && (0..parts.len()).any(is_at)
}

/// The key that a variable names, or why it names none.
fn resolve(rest: &str, gateways: &BTreeSet<String>) -> Result<(String, Kind), Unknown> {
    let folded = rest.to_lowercase();
    let mut known: Vec<(String, String, Kind)> = Vec::new();
    let (of_lists, keys): (Vec<_>, Vec<_>) = values(ROOT).into_iter().partition(|(path, _)| path.contains("[]"));
    for (path, kind) in keys {
        if let Some(key) = path.strip_prefix("gateway.NAME.") {
            for name in gateways {
                let path = format!("gateway.{name}.{key}");
                known.push((variable(&path), path, kind));
            }
        } else {
            known.push((variable(&path), path, kind));
        }
    }
    let mut named = known.iter().filter(|(variable, ..)| *variable == folded);
    match (named.next(), named.next()) {
        (Some((_, path, kind)), None) => return Ok((path.clone(), *kind)),
        (Some((_, one, _)), Some((_, other, _))) => {
            let what = format!("it may mean {one} or {other}");
            return Err(Unknown::Typo(what, "set it in the file instead".to_owned()));
        }
        (None, _) => {}
    }
    let list = of_lists.iter().filter_map(|(path, _)| path.split_once("[]")).map(|(list, _)| list);
    if let Some(list) = list.clone().find(|list| folded.starts_with(&variable(list))) {
        let what = format!("{list} is a list, and no variable holds one of tables");
        return Err(Unknown::Typo(what, format!("write [[{list}]] into the file")));
    }
    if let Some((name, key)) = folded.strip_prefix("gateway__").and_then(of_gateway) {
        let what = format!("the file has no gateway {name}");
        let near = nearest(name, gateways.iter().map(String::as_str));
        let hint = match near {
            Some(near) => {
                let near = variable(&format!("gateway.{near}.{key}")).to_uppercase();
                format!("did you mean {PREFIX}{near}?")
            }
            None => format!("write [gateway.{name}] into the file first"),
        };
        return Err(Unknown::Typo(what, hint));
    }
    let reserved = RESERVED.iter().filter_map(|name| name.strip_prefix(PREFIX)).map(str::to_lowercase);
    let options: Vec<String> = reserved.collect();
    let all = known.iter().map(|(variable, ..)| variable).chain(&options).map(String::as_str);
    let (table, last) = folded.rsplit_once("__").unwrap_or_default();
    // Within a table of ours, only its last part can be wrong.
    let siblings: Vec<&str> =
        all.clone().filter(|known| known.rsplit_once("__").is_some_and(|(of, _)| of == table)).collect();
    let near = if siblings.is_empty() {
        nearest(&folded, all).filter(|near| strsim::damerau_levenshtein(&folded, near) <= MOST_SLIPS)
    } else {
        let last_of = |known: &&&str| known.rsplit_once("__").map_or("", |(_, last)| last).to_owned();
        siblings.iter().find(|known| nearest(last, [last_of(known).as_str()]).is_some()).copied()
    };
    let hint = match near {
        Some(near) => format!("did you mean {PREFIX}{}?", near.to_uppercase()),
        None if !siblings.is_empty() => "`tickled config default` lists all keys".to_owned(),
        None => return Err(Unknown::Foreign),
    };
    Err(Unknown::Typo("it names no key".to_owned(), hint))
}

/// The end of the variable for a key, in small letters.
fn variable(path: &str) -> String {
    path.replace('.', "__").replace('-', "_")
}

/// The gateway and the key that a variable speaks of, if it would be right with such a gateway.
fn of_gateway(below: &str) -> Option<(&str, String)> {
    let split = |(path, _): (String, Kind)| {
        let name = below.strip_suffix(&variable(&path))?.strip_suffix("__")?;
        Some((name, path))
    };
    // `NAME__SESSION__X` ends with `__X` as well: the longest key is meant.
    let keys = values(GATEWAY).into_iter().filter_map(split);
    keys.min_by_key(|(name, _)| name.len())
}

/// The text of a variable as the value a file would hold.
fn raw(kind: Kind, text: &str) -> Raw<'_> {
    match kind {
        Kind::Count { .. } if text.trim().parse::<f64>().is_ok() => Raw::Number(text.trim().to_owned()),
        Kind::Flag => text.trim().parse().map_or(Raw::Text(text), Raw::Truth),
        Kind::SomeOf(_) | Kind::Pins | Kind::Texts(_) => Raw::List(
            text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(|item| (Raw::Text(item), 0)).collect(),
        ),
        Kind::Count { .. }
        | Kind::Span(_)
        | Kind::OneOf(_)
        | Kind::TimeOfDay
        | Kind::TimeOrNone
        | Kind::Zone
        | Kind::Url
        | Kind::File
        | Kind::Text(_) => Raw::Text(text),
    }
}

/// All variables that begin with this are the configuration's.
const PREFIX: &str = "TICKLED_";

/// Options of the command line, and no keys: the path of the file itself, and the control socket.
const RESERVED: [&str; 2] = ["TICKLED_CONFIG", "TICKLED_SOCKET"];

/// A name with more slips than this is another program's variable.
const MOST_SLIPS: usize = 3;

/// What a program finds that a channel runs: it may well run `tickled` in its turn.
const OF_AN_ALERT: &str = "TICKLED_ALERT_";
