//! The environment over the file: `TICKLED_SESSION__PING_EVERY` is the key `session.ping_every`.

use std::collections::{BTreeMap, BTreeSet};

use config::{Environment, Source};

use super::diagnostic::{Finding, Findings, Position};
use super::keyword::nearest;
use super::schema::KeyDoc;

/// A key that the environment sets.
#[derive(Debug)]
pub(super) struct Override {
    pub(super) path: String,
    pub(super) text: String,
    pub(super) at: Position,
}

/// Why a variable sets no key.
enum UnknownVariable {
    /// It looks like a misspelt key: what is wrong, and what would be right.
    Misspelt(String, String),
    /// It belongs to something else.
    Foreign,
}

/// Finds the key of every variable that is ours.
pub(super) fn read(
    environment: &BTreeMap<String, String>,
    keys: &[KeyDoc],
    gateways: &BTreeSet<&str>,
    report: &mut Findings,
) -> Vec<Override> {
    let known = variables(keys, gateways);
    let mut overrides = BTreeMap::new();
    for (name, text) in environment {
        let capitals = name.to_uppercase();
        let Some(rest) = capitals.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('_')) else { continue };
        let is_ours = name.starts_with(PREFIX);
        if is_ours && (RESERVED.contains(&rest) || FOR_PROGRAMS.iter().any(|prefix| rest.starts_with(prefix)))
            || is_injected(rest, text)
        {
            continue;
        }
        let at = Position::Variable(name.escape_debug().to_string());
        let Some((variable, text)) = variable(&capitals, text) else { continue };
        match find(&variable, &known, keys, gateways) {
            Ok(path) if !is_ours => {
                let what = "variables are written in capitals".to_owned();
                report.unreadable("", at, what, format!("did you mean {}?", shown(path)));
            }
            Ok(path) if overrides.contains_key(path) => {
                let what = "another variable with the same letters sets this key too".to_owned();
                report.unreadable(path, at, what, "keep one of the two".to_owned());
            }
            Ok(path) => {
                overrides.insert(path.to_owned(), (text, at));
            }
            Err(UnknownVariable::Misspelt(what, hint)) => report.unreadable("", at, what, hint),
            Err(UnknownVariable::Foreign) => {
                let (what, hint) = ("it names no key and is ignored".to_owned(), ALL_KEYS.to_owned());
                report.warnings.push(Finding { key: String::new(), at, what, hint });
            }
        }
    }
    overrides.into_iter().map(|(path, (text, at))| Override { path, text, at }).collect()
}

/// The path that a variable names, before it is known to be a key, and its text.
fn variable(name: &str, text: &str) -> Option<(String, String)> {
    let one = [(name.to_owned(), text.to_owned())].into_iter().collect();
    let source = Environment::with_prefix(PREFIX).prefix_separator("_").separator(SEPARATOR).source(Some(one));
    let (path, value) = source.collect().ok()?.into_iter().next()?;
    Some((path, value.into_string().ok()?))
}

/// Each key that a variable can set, with the name that the variable has for it.
fn variables(keys: &[KeyDoc], gateways: &BTreeSet<&str>) -> Vec<(String, String)> {
    let mut known = Vec::new();
    for KeyDoc { path, .. } in keys.iter().filter(|key| !key.path.contains("[]")) {
        match path.strip_prefix("gateway.NAME.") {
            Some(key) => known.extend(gateways.iter().map(|name| format!("gateway.{name}.{key}"))),
            None => known.push(path.clone()),
        }
    }
    known.into_iter().map(|path| (path.replace('-', "_"), path)).collect()
}

fn find<'a>(
    variable: &str,
    known: &'a [(String, String)],
    keys: &[KeyDoc],
    gateways: &BTreeSet<&str>,
) -> Result<&'a str, UnknownVariable> {
    let mut named = known.iter().filter(|(name, _)| name == variable);
    match (named.next(), named.next()) {
        (Some((_, path)), None) => return Ok(path),
        (Some((_, one)), Some((_, other))) => {
            let what = format!("it may mean {one} or {other}");
            return Err(UnknownVariable::Misspelt(what, "set it in the file instead".to_owned()));
        }
        (None, _) => {}
    }
    let mut lists = keys.iter().filter_map(|key| key.path.split_once("[]").map(|(list, _)| list));
    if let Some(list) = lists.find(|list| variable.strip_prefix(list).is_some_and(is_list_item)) {
        let what = format!("{list} is a list of tables, which no variable can hold");
        return Err(UnknownVariable::Misspelt(what, format!("write [[{list}]] in the file")));
    }
    if let Some((name, key)) = variable.strip_prefix("gateway.").and_then(|below| of_gateway(below, keys)) {
        let what = format!("the file has no gateway {name}");
        let hint = match nearest(name, gateways.iter().copied()) {
            Some(near) => format!("did you mean {}?", shown(&format!("gateway.{near}.{key}"))),
            None => format!("write [gateway.{name}] in the file first"),
        };
        return Err(UnknownVariable::Misspelt(what, hint));
    }
    let reserved = RESERVED.map(str::to_lowercase);
    let all = known.iter().map(|(name, _)| name).chain(&reserved).map(String::as_str);
    let (table, last) = variable.rsplit_once('.').unwrap_or_default();
    let split = || all.clone().filter_map(|known| Some((known, known.rsplit_once('.')?)));
    let near = if split().any(|(_, (of, _))| of == table) {
        // Within a table of ours, only the last part can be wrong, or the key is in a table above or below this one.
        let siblings = split().filter(|(_, (of, _))| *of == table);
        let key = nearest(last, siblings.map(|(_, (_, key))| key)).map(|key| format!("{table}.{key}"));
        key.or_else(|| {
            let is_moved = |of: &str, key| key == last && (is_below(of, table) || is_below(table, of));
            split().find(|(_, (of, key))| is_moved(of, *key)).map(|(known, _)| known.to_owned())
        })
    } else {
        // The separators of a variable without the double underscore count as one character each.
        let near = nearest(variable, all).filter(|near| strsim::damerau_levenshtein(variable, near) <= MOST_SLIPS);
        near.map(str::to_owned)
    };
    Err(near.map_or(UnknownVariable::Foreign, |near| {
        UnknownVariable::Misspelt("it names no key".to_owned(), format!("did you mean {}?", shown(&near)))
    }))
}

/// Whether what follows the name of a list makes it that list or a part of it.
fn is_list_item(rest: &str) -> bool {
    rest.trim_start_matches('_').chars().next().is_none_or(|next| matches!(next, '.' | '[' | '0'..='9'))
}

fn is_below(table: &str, above: &str) -> bool {
    table.strip_prefix(above).is_some_and(|rest| rest.starts_with('.'))
}

/// The name of the variable for a key.
fn shown(path: &str) -> String {
    format!("{PREFIX}_{}", path.replace('.', SEPARATOR).replace('-', "_").to_uppercase())
}

/// The gateway and the key that a variable would set if there were such a gateway.
fn of_gateway<'a>(below: &'a str, keys: &'a [KeyDoc]) -> Option<(&'a str, &'a str)> {
    let split = |key: &'a KeyDoc| {
        let key = key.path.strip_prefix("gateway.NAME.")?;
        Some((below.strip_suffix(key)?.strip_suffix('.')?, key))
    };
    // `NAME.session.x` may end with another key as well: the longest one is meant.
    keys.iter().filter_map(split).min_by_key(|(name, _)| name.len())
}

/// Whether Kubernetes or Docker set this variable for a service called `tickled` or `tickled-NAME`.
fn is_injected(rest: &str, text: &str) -> bool {
    let parts: Vec<&str> = rest.split('_').collect();
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    let is_protocol = |text: &str| matches!(text, "TCP" | "UDP" | "SCTP");
    let is_at = |at: usize| match parts.get(at..).unwrap_or_default() {
        ["PORT"] => at == 0 || text.contains("://"),
        ["NAME"] | ["ENV", ..] => at == 0,
        ["SERVICE", "HOST"] | ["SERVICE", "PORT", ..] => true,
        ["PORT", port, protocol] | ["PORT", port, protocol, "PROTO" | "PORT" | "ADDR"] => {
            is_port(port) && is_protocol(protocol)
        }
        _ => false,
    };
    !rest.contains(SEPARATOR) && (0..parts.len()).any(is_at)
}

const PREFIX: &str = "TICKLED";
const SEPARATOR: &str = "__";

/// Options of the command line, which are no keys: the path of the file itself, and the control socket.
const RESERVED: [&str; 2] = ["CONFIG", "SOCKET"];

/// The variables of a command channel and of a hook, whose programs may run `tickled` in turn.
const FOR_PROGRAMS: [&str; 2] = ["ALERT_", "HOOK_"];

const ALL_KEYS: &str = "`tickled config default` lists all keys";

/// A name with more slips than this is a variable of another program.
const MOST_SLIPS: usize = 3;
