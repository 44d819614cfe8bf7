//! Reads the file, and the environment over it, into a draft: each value is parsed once, straight into its place.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Findings, Position, Problem, key_part, quoted};
use super::environment::{self, Override};
use super::schema::{
    CHANNEL, CHANNELS, ChannelDraft, Draft, GATEWAY, GatewayDraft, HOOK, HOOKS, HookDraft, KeyDoc, KeyRow, ROOT,
    SESSION, WINDOW, WINDOWS, WindowDraft, keys,
};
use super::string_format::{NAME_RULE, is_name};
use super::suggestion;
use super::value::RawValue;

/// What was read.
#[derive(Debug)]
pub(super) struct ReadConfig {
    pub(super) draft: Draft,
    pub(super) report: Findings,
    /// Whether the file is TOML at all.
    pub(super) is_toml: bool,
}

/// Reads the text of the file and the environment.
pub(super) fn read(text: &str, environment: &BTreeMap<String, String>) -> ReadConfig {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut reader = TableReader { report: Findings::default(), keys: keys() };
    let is_toml = errors.is_empty();
    for error in errors {
        let byte = error.span().map_or(0, |span| span.start);
        let message = error.message().replace('\n', ", ");
        let (message, hint) = if message.starts_with(UNQUOTED) {
            (UNQUOTED, "put it in double quotes")
        } else if message.starts_with("duplicate key") {
            (message.as_str(), "keep one of the two")
        } else {
            (message.as_str(), "see `tickled config default` for the syntax")
        };
        reader.report.unreadable("", Position::Byte(byte), format!("invalid TOML: {message}"), hint.to_owned());
    }
    let draft = reader.document(document.get_ref(), environment);
    ReadConfig { draft, report: reader.report, is_toml }
}

#[derive(Debug)]
struct TableReader {
    report: Findings,
    keys: Vec<KeyDoc>,
}

/// Where a table is.
#[derive(Debug, Clone)]
struct Scope {
    /// Its path, such as `gateway.main.tls`; empty for the whole file.
    path: String,
    /// The same path as [`KeyDoc::path`] has it: `gateway.NAME.tls`.
    schema: String,
    /// The part of it that is below its section: `tls`.
    below: String,
}

/// A table or list that is a section of its own.
#[derive(Debug)]
struct Nested<'t> {
    scope: Scope,
    at: Position,
    value: &'t Spanned<DeValue<'t>>,
}

impl TableReader {
    fn document(&mut self, table: &DeTable<'_>, environment: &BTreeMap<String, String>) -> Draft {
        let mut draft = Draft::default();
        let root = Scope { path: String::new(), schema: String::new(), below: String::new() };
        let nested = self.section(&root, table, ROOT, &["gateway", "session", WINDOWS, CHANNELS, HOOKS], &mut draft);
        let find = |name: &str| nested.iter().find(|nested| nested.scope.schema == name);

        let gateways = find("gateway").map(|nested| self.gateways(nested)).unwrap_or_default();
        let names = gateways.iter().filter(|(name, ..)| is_name(name)).map(|(name, ..)| *name).collect();
        let overrides = environment::read(environment, &self.keys, &names, &mut self.report);
        self.overrides("", &overrides, ROOT, &mut draft);

        if let Some(session) = find("session") {
            self.nested(session, SESSION, &mut draft.session);
        }
        self.overrides("session.", &overrides, SESSION, &mut draft.session);

        draft.windows = find(WINDOWS).and_then(|nested| self.list(nested, WINDOW, WindowDraft::default));
        draft.channels =
            find(CHANNELS).and_then(|nested| self.list(nested, CHANNEL, ChannelDraft::default)).unwrap_or_default();

        draft.hooks = find(HOOKS).and_then(|nested| self.list(nested, HOOK, HookDraft::default)).unwrap_or_default();

        for (name, scope, table) in gateways {
            let mut gateway = GatewayDraft::new(draft.session.clone());
            for session in self.section(&scope, table, GATEWAY, &["session"], &mut gateway) {
                self.nested(&session, SESSION, &mut gateway.policy);
            }
            let path = format!("{}.", scope.path);
            self.overrides(&path, &overrides, GATEWAY, &mut gateway);
            self.overrides(&format!("{path}session."), &overrides, SESSION, &mut gateway.policy);
            if is_name(name) {
                draft.gateways.insert(name.to_owned(), gateway);
            }
        }
        draft
    }

    /// Reads the keys of a section into `target`, and returns the tables and lists that are sections of their own.
    fn section<'t, T>(
        &mut self,
        scope: &Scope,
        table: &'t DeTable<'t>,
        rows: &[KeyRow<T>],
        sections: &[&str],
        target: &mut T,
    ) -> Vec<Nested<'t>> {
        let mut nested = Vec::new();
        for (key, value) in table {
            let name: &str = key.get_ref();
            let at = Position::Byte(key.span().start);
            let table = &scope.schema;
            let scope = scope.join(name);
            let below = scope.below.as_str();
            if let Some(row) = rows.iter().find(|row| row.name == below) {
                self.value(&scope.path, row, value, target);
            } else if sections.contains(&below) {
                nested.push(Nested { scope, at, value });
            } else if !self.keys.iter().any(|key| is_below(&key.path, &scope.schema)) {
                let hint = suggestion::unknown_key(&scope.path, table, name, &self.keys);
                self.report.unreadable(&scope.path, at, "unknown key".to_owned(), hint);
            } else if let DeValue::Table(table) = value.get_ref() {
                self.report.positions.insert(scope.path.clone(), at);
                nested.extend(self.section(&scope, table, rows, sections, target));
            } else {
                self.not_a_table(&scope, at, value.get_ref());
            }
        }
        nested
    }

    fn not_a_table(&mut self, scope: &Scope, at: Position, value: &DeValue<'_>) {
        let path = &scope.path;
        let list = [WINDOWS, CHANNELS, HOOKS].into_iter().find(|list| is_below(list, path));
        let hint = match (list, value) {
            (Some(list), DeValue::Array(_)) => format!("write [[{list}]] for each item of the list"),
            _ => format!("write [{path}] on a line of its own"),
        };
        self.report.unreadable(path, at, format!("expected a table, found {}", found(value)), hint);
    }

    /// Reads a section that is one table.
    fn nested<T>(&mut self, nested: &Nested<'_>, rows: &[KeyRow<T>], target: &mut T) {
        let DeValue::Table(table) = nested.value.get_ref() else {
            return self.not_a_table(&nested.scope, nested.at.clone(), nested.value.get_ref());
        };
        self.report.positions.insert(nested.scope.path.clone(), nested.at.clone());
        self.section(&nested.scope.section(), table, rows, &[], target);
    }

    /// The tables of all gateways by name, those with an invalid name as well.
    fn gateways<'t>(&mut self, nested: &Nested<'t>) -> Vec<(&'t str, Scope, &'t DeTable<'t>)> {
        let path = &nested.scope.path;
        let DeValue::Table(table) = nested.value.get_ref() else {
            let what = format!("expected tables with names, found {}", found(nested.value.get_ref()));
            let hint = format!("write [{path}.main] on a line of its own");
            self.report.unreadable(path, nested.at.clone(), what, hint);
            return Vec::new();
        };
        let mut gateways = Vec::new();
        for (key, value) in table {
            let name: &str = key.get_ref();
            let at = Position::Byte(key.span().start);
            let path = nested.scope.join(name).path;
            let DeValue::Table(below) = value.get_ref() else {
                let what = format!("expected a table, found {}", found(value.get_ref()));
                let hint = if self.keys.iter().any(|key| is_below(&key.path, &format!("gateway.NAME.{name}"))) {
                    "a gateway has a name: write [gateway.main] above it".to_owned()
                } else {
                    format!("write [{path}] on a line of its own")
                };
                self.report.unreadable(&path, at, what, hint);
                continue;
            };
            if is_name(name) {
                self.report.positions.insert(path.clone(), at);
            } else {
                let near = name.to_lowercase().replace(' ', "-");
                let hint = if is_name(&near) { format!("write [gateway.{near}]") } else { NAME_RULE.to_owned() };
                self.report.unreadable(&path, at, format!("{} is not a valid name for a gateway", quoted(name)), hint);
            }
            gateways.push((name, Scope { path, schema: "gateway.NAME".to_owned(), below: String::new() }, below));
        }
        gateways
    }

    /// Reads a section that is a list of tables.
    fn list<T>(&mut self, nested: &Nested<'_>, rows: &[KeyRow<T>], default: fn() -> T) -> Option<Vec<T>> {
        let (path, value) = (&nested.scope.path, nested.value.get_ref());
        let DeValue::Array(items) = value else {
            let name = path.rsplit('.').next().unwrap_or_default();
            let hint = format!("write [[{path}]] on a line of its own for each, or {name} = [] for none");
            let what = format!("expected a list of tables, found {}", found(value));
            self.report.unreadable(path, nested.at.clone(), what, hint);
            return None;
        };
        self.report.positions.insert(path.clone(), nested.at.clone());
        let mut read = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let at = Position::Byte(item.span().start);
            let mut target = default();
            if let DeValue::Table(table) = item.get_ref() {
                self.report.positions.insert(path.clone(), at);
                let scope = Scope { path, schema: format!("{}[]", nested.scope.schema), below: String::new() };
                self.section(&scope, table, rows, &[], &mut target);
            } else {
                let known: Vec<&str> = rows.iter().map(|row| row.name).collect();
                let what = format!("expected a table, found {}", found(item.get_ref()));
                self.report.unreadable(&path, at, what, format!("it takes tables with {}", known.join(", ")));
            }
            read.push(target);
        }
        Some(read)
    }

    fn value<T>(&mut self, path: &str, row: &KeyRow<T>, value: &Spanned<DeValue<'_>>, target: &mut T) {
        let byte = value.span().start;
        match (row.parse)(target, &raw(value.get_ref())) {
            Ok(()) => {
                self.report.positions.insert(path.to_owned(), Position::Byte(byte));
            }
            Err(problems) => {
                for Problem { item, what, hint } in problems {
                    self.report.unreadable.insert(path.to_owned());
                    let (key, byte) = match item {
                        Some((index, byte)) => (format!("{path}[{index}]"), byte),
                        None => (path.to_owned(), byte),
                    };
                    self.report.unreadable(&key, Position::Byte(byte), what, hint);
                }
            }
        }
    }

    /// Lays the environment over the keys of one section, whose paths begin with `prefix`.
    fn overrides<T>(&mut self, prefix: &str, overrides: &[Override], rows: &[KeyRow<T>], target: &mut T) {
        for Override { path, text, at } in overrides {
            let row = path.strip_prefix(prefix).and_then(|name| rows.iter().find(|row| row.name == name));
            let Some(row) = row else { continue };
            match (row.parse)(target, &(row.raw)(text)) {
                Ok(()) => {
                    self.report.positions.insert(path.clone(), at.clone());
                }
                Err(problems) => {
                    for Problem { what, hint, .. } in problems {
                        self.report.unreadable(path, at.clone(), what, hint);
                    }
                }
            }
        }
    }
}

impl Scope {
    fn join(&self, name: &str) -> Self {
        let part = key_part(name);
        let join = |path: &str| if path.is_empty() { part.clone() } else { format!("{path}.{part}") };
        Self { path: join(&self.path), schema: join(&self.schema), below: join(&self.below) }
    }

    /// The same table as the beginning of a section of its own.
    fn section(&self) -> Self {
        Self { below: String::new(), ..self.clone() }
    }
}

/// Whether `path` is `table` or below it.
fn is_below(path: &str, table: &str) -> bool {
    path.strip_prefix(table).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn raw<'a>(value: &'a DeValue<'_>) -> RawValue<'a> {
    match value {
        DeValue::String(text) => RawValue::Text(text),
        DeValue::Integer(number) => RawValue::Number(
            i128::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| number.to_string(), |number| number.to_string()),
        ),
        DeValue::Float(number) => RawValue::Number(number.to_string()),
        DeValue::Array(items) => {
            RawValue::List(items.iter().map(|item| (raw(item.get_ref()), item.span().start)).collect())
        }
        DeValue::Boolean(value) => RawValue::Boolean(*value),
        DeValue::Datetime(_) | DeValue::Table(_) => RawValue::Other(found(value)),
    }
}

fn found(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(time) if time.date.is_none() => "a time without quotes",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// How the parser's message about a string or a time without quotes begins.
const UNQUOTED: &str = "string values must be quoted";
