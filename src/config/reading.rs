//! Reads the file and the environment key by key, keeps what is right and notes all that is wrong.

use config::{ConfigError, Map, Source, Value, ValueKind};
use toml::de::{DeArray, DeTable, DeValue};

use std::collections::{BTreeMap, BTreeSet};

use super::environment;
use super::fault::{At, Finding, key_part, quoted};
use super::file::{Keys, Node, ROOT, values};
use super::text::{Form, is_name};
use super::value::{Kind, Raw};
use super::words::nearest;

/// What was read: the values that are right, where each stands, and what is wrong.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) file: Layer,
    pub(super) environment: Layer,
    /// Where each key of either stands; the environment's place where both have it.
    pub(super) places: BTreeMap<String, At>,
    /// The names of all gateways of the file.
    pub(super) gateways: BTreeSet<String>,
    pub(super) findings: Vec<Finding>,
    /// What is odd and does no harm.
    pub(super) warnings: Vec<Finding>,
    /// Keys that have a finding, so that nothing is blamed for their absence.
    pub(super) blamed: BTreeSet<String>,
    /// Whether the file is TOML at all.
    pub(super) is_toml: bool,
}

/// Values by their path: one source of the merge.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer(Map<String, Value>);

impl Reading {
    /// Reads both, the file first: its gateways are those the environment can speak of.
    pub(super) fn new(text: &str, environment: &BTreeMap<String, String>) -> Self {
        let mut reading = Self::default();
        let (document, errors) = DeTable::parse_recoverable(text);
        reading.is_toml = errors.is_empty();
        for error in errors {
            let byte = error.span().map_or(0, |span| span.start);
            let message = error.message().replace('\n', ", ");
            let (message, hint) = if message.starts_with(UNQUOTED) {
                (UNQUOTED, "put it in double quotes")
            } else if message.starts_with("duplicate key") {
                (message.as_str(), "keep one of the two")
            } else {
                (message.as_str(), "see `tickled config default` for how it is written")
            };
            let what = format!("this is not TOML: {message}");
            reading.note("", At::Byte(byte), what, hint.to_owned());
        }
        reading.table("", document.get_ref(), ROOT, true);
        environment::read(&mut reading, environment);
        reading
    }

    pub(super) fn note(&mut self, key: &str, at: At, what: String, hint: String) {
        self.blamed.insert(key.to_owned());
        let key = key.to_owned();
        self.findings.push(Finding { key, at, what, hint });
    }

    fn table(&mut self, path: &str, table: &DeTable<'_>, keys: Keys, keep: bool) {
        for (key, value) in table {
            let name: &str = key.get_ref();
            let at = At::Byte(key.span().start);
            let path = join(path, name);
            let node = keys.iter().find(|(known, _)| *known == name);
            match (node, value.get_ref()) {
                (None, _) => {
                    let hint = where_else(&path, name, keys);
                    self.note(&path, at, "unknown key".to_owned(), hint);
                }
                (Some((_, Node::Table(keys))), DeValue::Table(below)) => {
                    self.places.insert(path.clone(), at);
                    self.table(&path, below, keys, keep);
                }
                (Some((_, Node::List(keys))), DeValue::Array(items)) => {
                    self.list(&path, items, keys, at);
                }
                (Some((_, Node::Named(keys))), DeValue::Table(below)) => {
                    self.gateways(&path, below, keys);
                }
                (Some((_, Node::Table(keys))), other) => {
                    let what = format!("expected a table, found {}", found(other));
                    let list = keys.iter().find(|(_, node)| matches!(node, Node::List(_)));
                    let hint = match (list, other) {
                        (Some((list, _)), DeValue::Array(_)) => format!("write [[{path}.{list}]] for each of the list"),
                        _ => format!("write [{path}] on a line of its own"),
                    };
                    self.note(&path, at, what, hint);
                }
                (Some((_, Node::Named(_))), other) => {
                    let what = format!("expected tables with names, found {}", found(other));
                    self.note(&path, at, what, format!("write [{path}.main] on a line of its own"));
                }
                (Some((_, Node::List(_))), other) => {
                    let what = format!("expected a list of tables, found {}", found(other));
                    let hint = format!("write [[{path}]] on a line of its own for each, or {name} = [] for none");
                    self.note(&path, at, what, hint);
                }
                (Some((_, Node::Value(kind))), _) => {
                    let byte = value.span().start;
                    self.value(&path, *kind, (value.get_ref(), byte), keep);
                }
            }
        }
    }

    fn gateways(&mut self, path: &str, table: &DeTable<'_>, keys: Keys) {
        for (key, value) in table {
            let name: &str = key.get_ref();
            let at = At::Byte(key.span().start);
            let path = join(path, name);
            let DeValue::Table(below) = value.get_ref() else {
                let what = format!("expected a table, found {}", found(value.get_ref()));
                let hint = if keys.iter().any(|(known, _)| *known == name) {
                    "a gateway has a name: write [gateway.main] above it".to_owned()
                } else {
                    format!("write [{path}] on a line of its own")
                };
                self.note(&path, at, what, hint);
                continue;
            };
            let right = is_name(name);
            if right {
                self.gateways.insert(name.to_owned());
                self.file.put(&path, ValueKind::Table(Map::new()), &at);
                self.places.insert(path.clone(), at);
            } else {
                let what = format!("{} is no name for a gateway", quoted(name));
                let near = name.to_lowercase().replace(' ', "-");
                let hint = if is_name(&near) {
                    format!("write [gateway.{near}]")
                } else {
                    "it takes 1 to 32 of a-z, 0-9, - and _, a letter or digit first".to_owned()
                };
                self.note(&path, at, what, hint);
            }
            self.table(&path, below, keys, right);
        }
    }

    fn list(&mut self, path: &str, items: &DeArray<'_>, keys: Keys, at: At) {
        if items.is_empty() {
            self.file.put(path, ValueKind::Array(Vec::new()), &at);
        }
        self.places.insert(path.to_owned(), at);
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let at = At::Byte(item.span().start);
            self.file.put(&path, ValueKind::Table(Map::new()), &at);
            if let DeValue::Table(below) = item.get_ref() {
                self.places.insert(path.clone(), at);
                self.table(&path, below, keys, true);
            } else {
                let known: Vec<&str> = keys.iter().map(|(known, _)| *known).collect();
                let what = format!("expected a table, found {}", found(item.get_ref()));
                self.note(&path, at, what, format!("it takes tables with {}", known.join(", ")));
            }
        }
    }

    fn value(&mut self, path: &str, kind: Kind, (value, byte): (&DeValue<'_>, usize), keep: bool) {
        match kind.read(&raw(value)) {
            Ok(right) if keep => {
                let at = At::Byte(byte);
                self.file.put(path, right, &at);
                self.places.insert(path.to_owned(), at);
            }
            Ok(_) => {}
            Err(complaints) => {
                self.blamed.insert(path.to_owned());
                for complaint in complaints {
                    let (key, byte) = match complaint.item {
                        Some((item, byte)) => (format!("{path}[{item}]"), byte),
                        None => (path.to_owned(), byte),
                    };
                    self.note(&key, At::Byte(byte), complaint.what, complaint.hint);
                }
            }
        }
    }
}

impl Layer {
    /// Keeps a value; the merge names its origin when it stumbles over it.
    pub(super) fn put(&mut self, path: &str, value: ValueKind, at: &At) {
        let origin = match at {
            At::File | At::Byte(_) => FILE,
            At::Variable(name) => name,
        };
        let value = Value::new(Some(&origin.to_owned()), value);
        self.0.insert(path.to_owned(), value);
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

/// What to do about a key that is not known where it stands.
fn where_else(path: &str, name: &str, siblings: Keys) -> String {
    let beside = || siblings.iter().map(|(known, _)| *known);
    let gateway = path.strip_prefix("gateway.").and_then(|below| below.split('.').next());
    let mut elsewhere = values(ROOT);
    elsewhere.retain(|(known, _)| !known.starts_with("gateway.NAME.session."));
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let folded = name.to_lowercase().replace('-', "_");

    if let Some(file) = siblings.iter().find(|(known, node)| is_secret(known, node, &folded)).map(|(known, _)| known) {
        return format!(
            "a secret does not stand in this file: write it into one of its own, and that one's path as {file}"
        );
    }
    let singular = |name: &str| name.trim_end_matches('s').to_owned();
    if let Some(same) = beside().find(|known| singular(known) == singular(&folded)) {
        return format!("did you mean {same}?");
    }
    let home = elsewhere.iter().find(|(known, _)| last(known) == folded).and_then(|(known, _)| known.rsplit_once('.'));
    match (home, gateway) {
        (Some((home, _)), Some(gateway)) if home.starts_with("session") => {
            return format!("it belongs under [{home}], or under [gateway.{gateway}.{home}] for this gateway alone");
        }
        (Some((home, _)), _) => {
            let home = home.replace("NAME", gateway.unwrap_or("NAME"));
            return match home.strip_suffix("[]") {
                Some(list) => format!("it belongs under [[{list}]]"),
                None => format!("it belongs under [{home}]"),
            };
        }
        (None, _) => {}
    }
    if let Some(near) = nearest(name, beside()) {
        return format!("did you mean {near}?");
    }
    // Between short words a slip of the pen and another word look the same.
    elsewhere.retain(|(known, _)| !known.contains("[]") && last(known).len() > LONGEST_SHORT);
    let names: Vec<String> = elsewhere.iter().map(|(known, _)| last(known)).collect();
    let far = nearest(name, names.iter().map(String::as_str))
        .and_then(|near| elsewhere.iter().find(|(known, _)| last(known) == near));
    if let Some((far, _)) = far {
        return format!("did you mean {}?", far.replace("NAME", gateway.unwrap_or("NAME")));
    }
    format!("known here: {}", beside().collect::<Vec<_>>().join(", "))
}

/// Whether a key names a secret itself, where only the file that holds it may stand.
fn is_secret(known: &str, node: &Node, written: &str) -> bool {
    let Some(own) = known.strip_suffix("_file").filter(|_| matches!(node, Node::Value(Kind::Text(Form::Secret))))
    else {
        return false;
    };
    let parts: &[&str] = match own {
        "token" => &["token", "secret", "api_key", "apikey", "routing_key", "integration_key", "access_key"],
        "password" => &["password", "passwd", "pass", "secret"],
        _ => &[],
    };
    own == written || parts.iter().any(|part| written.ends_with(part))
}

fn raw<'a>(value: &'a DeValue<'_>) -> Raw<'a> {
    match value {
        DeValue::String(text) => Raw::Text(text),
        DeValue::Integer(number) => Raw::Number(
            i128::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| number.to_string(), |number| number.to_string()),
        ),
        DeValue::Float(number) => Raw::Number(number.to_string()),
        DeValue::Array(items) => Raw::List(items.iter().map(|item| (raw(item.get_ref()), item.span().start)).collect()),
        DeValue::Boolean(truth) => Raw::Truth(*truth),
        DeValue::Datetime(_) | DeValue::Table(_) => Raw::Other(found(value)),
    }
}

fn found(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(time) if time.date.is_none() => "a time without quotes",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn join(path: &str, name: &str) -> String {
    let name = key_part(name);
    if path.is_empty() { name } else { format!("{path}.{name}") }
}

const FILE: &str = "the file";
const LONGEST_SHORT: usize = 4;

/// What the parser says of a text or a time without quotes.
const UNQUOTED: &str = "string values must be quoted";
