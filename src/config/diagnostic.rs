//! What is wrong with a configuration, and where: diagnostics, and the report that collects them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use super::keyword::nearest;

/// Everything that is wrong with a configuration, in the order of the file, then of the environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Diagnostics(Vec<Diagnostic>);

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The key, such as `session.recovery.attempts`; empty for the file as a whole.
    pub key: String,
    /// Where it is.
    pub location: Location,
    /// What is wrong with it.
    pub what: String,
    /// What would be right.
    pub hint: String,
}

/// Where the cause of a diagnostic is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// In this file, at no particular line.
    File(String),
    /// At a character of this file. Lines and columns count from 1.
    Character {
        /// The file.
        file: String,
        /// The line.
        line: usize,
        /// The character in the line.
        column: usize,
    },
    /// In this environment variable.
    Variable(String),
}

/// A [`Location`] before lines are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Position {
    File,
    Byte(usize),
    Variable(String),
}

/// What is wrong with a value, and what would be right.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// The index in a list, and the byte where that item begins.
    pub(super) item: Option<(usize, usize)>,
    pub(super) what: String,
    pub(super) hint: String,
}

/// What is wrong with a text, and what would be right.
pub(super) type InvalidText = (String, String);

/// Collects the findings about one configuration, and knows where each key is.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) findings: Vec<Finding>,
    pub(super) warnings: Vec<Finding>,
    /// Where each key and table is: in the file, or in the environment where that overrides it.
    pub(super) positions: BTreeMap<String, Position>,
    /// Keys that could not be read. Their absence is not reported again.
    pub(super) unreadable: BTreeSet<String>,
}

/// A diagnostic whose line has not been counted yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) key: String,
    pub(super) at: Position,
    pub(super) what: String,
    pub(super) hint: String,
}

impl Diagnostics {
    /// Iterates over all diagnostics, of which there is at least one.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }

    /// Returns the number of diagnostics.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// All of them.
    pub(super) fn into_vec(self) -> Vec<Diagnostic> {
        self.0
    }

    /// A single diagnostic about the file as a whole.
    pub(super) fn of_file(file: &Path, what: String, hint: String) -> Self {
        let location = Location::File(one_line(&file.display().to_string()));
        let key = String::new();
        Self(vec![Diagnostic { key, location, what, hint }])
    }

    /// Turns findings into diagnostics. Counts lines in one pass over the text.
    pub(super) fn locate(mut findings: Vec<Finding>, file: &Path, text: &str) -> Self {
        findings.sort_by(|one, other| one.order().cmp(&other.order()));
        findings.dedup();
        let file = one_line(&file.display().to_string());
        let mut characters = text.char_indices().peekable();
        let (mut line, mut column) = (1, 1);
        let mut diagnostics = Vec::with_capacity(findings.len());
        for Finding { key, at, what, hint } in findings {
            let location = match at {
                Position::File => Location::File(file.clone()),
                Position::Variable(name) => Location::Variable(name),
                Position::Byte(byte) => {
                    while let Some((_, character)) = characters.next_if(|(start, _)| *start < byte) {
                        column += 1;
                        if character == '\n' {
                            (line, column) = (line + 1, 1);
                        }
                    }
                    let file = file.clone();
                    Location::Character { file, line, column }
                }
            };
            diagnostics.push(Diagnostic { key, location, what, hint });
        }
        Self(diagnostics)
    }
}

impl Findings {
    /// Records that a key cannot be read.
    pub(super) fn unreadable(&mut self, key: &str, at: Position, what: String, hint: String) {
        self.unreadable.insert(key.to_owned());
        let key = key.to_owned();
        self.findings.push(Finding { key, at, what, hint });
    }

    /// Records a finding at the key, or at the nearest table above it.
    pub(super) fn note(&mut self, key: &str, what: &str, hint: impl Into<String>) {
        let at = self.position(key);
        self.findings.push(Finding { key: key.to_owned(), at, what: what.to_owned(), hint: hint.into() });
    }

    /// Records a warning in the same place.
    pub(super) fn warn(&mut self, key: &str, what: &str, hint: impl Into<String>) {
        let at = self.position(key);
        self.warnings.push(Finding { key: key.to_owned(), at, what: what.to_owned(), hint: hint.into() });
    }

    fn position(&self, key: &str) -> Position {
        let mut path = key;
        loop {
            if let Some(at) = self.positions.get(path) {
                return at.clone();
            }
            // An item of a list is where the list is.
            match path.rfind(['.', '[']).and_then(|end| path.split_at_checked(end)) {
                Some((above, _)) => path = above,
                None => return Position::File,
            }
        }
    }

    /// Whether the file or the environment sets the key, to a good value or a bad one.
    pub(super) fn is_given(&self, key: &str) -> bool {
        self.positions.contains_key(key) || self.unreadable.contains(key)
    }

    /// Notes that `key` of `table` is missing, unless it is set or another finding explains that. `name` is the thing in
    /// words, `hint` what to write.
    pub(super) fn require(&mut self, table: &str, key: &str, is_set: bool, name: &str, hint: impl Into<String>) {
        if !is_set && !self.explains(table, key) {
            self.note(&format!("{table}.{key}"), &format!("{name} is missing"), hint);
        }
    }

    /// Whether a finding explains already why `key` of `table` is missing: about the key itself, about a misspelling of
    /// it, or about the table.
    pub(super) fn explains(&self, table: &str, key: &str) -> bool {
        let is_about = |unreadable: &String| {
            let below = unreadable.strip_prefix(table);
            below.is_some_and(|below| below.is_empty() || nearest(below.trim_start_matches('.'), [key]).is_some())
        };
        self.unreadable.iter().any(is_about)
    }
}

impl Finding {
    /// Orders by the file as a whole, then its text from the top, then the environment by name.
    fn order(&self) -> (u8, usize, &str, &str, &str) {
        let (part, byte, name) = match &self.at {
            Position::File => (0, 0, ""),
            Position::Byte(byte) => (1, *byte, ""),
            Position::Variable(name) => (2, 0, name.as_str()),
        };
        (part, byte, name, &self.key, &self.what)
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, diagnostic) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            diagnostic.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, location, what, hint } = self;
        write!(f, "{location}: ")?;
        if !key.is_empty() {
            write!(f, "{key}: ")?;
        }
        write!(f, "{what}")?;
        if !hint.is_empty() {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => f.write_str(file),
            Self::Character { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Variable(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// Quotes a text for a message: on one line, and cut where it is long.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(LONGEST_QUOTE) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
    }
}

/// Like [`quoted`], without the quotes: for numbers and booleans.
pub(super) fn bare(text: &str) -> String {
    quoted(text).replace('"', "")
}

/// Formats one part of a key for a message: bare where TOML allows it.
pub(super) fn key_part(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.len() <= LONGEST_QUOTE && name.chars().all(plain) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

fn one_line(text: &str) -> String {
    crate::text::escaped(text)
}

const LONGEST_QUOTE: usize = 60;
