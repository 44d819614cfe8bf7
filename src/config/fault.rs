//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::Path;

/// Everything that is wrong with a configuration, in the order of the file, then of the environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Faults(Vec<Fault>);

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The key, as `session.recovery.attempts`; empty where the file as a whole is meant.
    pub key: String,
    /// Where it stands.
    pub place: Place,
    /// What is wrong with it.
    pub what: String,
    /// What would be right.
    pub hint: String,
}

/// Where a fault stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Nowhere in particular in this file.
    File(String),
    /// At a character of this file; lines and columns count from 1.
    Character {
        /// The file.
        file: String,
        /// The line.
        line: usize,
        /// The character in the line.
        column: usize,
    },
    /// In this variable of the environment.
    Variable(String),
}

/// Where a fault stands, before lines are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum At {
    File,
    Byte(usize),
    Variable(String),
}

/// A fault whose line has not been counted yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) key: String,
    pub(super) at: At,
    pub(super) what: String,
    pub(super) hint: String,
}

impl Faults {
    /// Each fault; there is at least one.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// All of them.
    pub(super) fn into_vec(self) -> Vec<Fault> {
        self.0
    }

    /// The one fault that the file as a whole has.
    pub(super) fn of_file(file: &Path, what: String, hint: String) -> Self {
        let place = Place::File(one_line(&file.display().to_string()));
        let key = String::new();
        Self(vec![Fault { key, place, what, hint }])
    }

    /// Counts the lines of all findings in one pass over the text, however many there are.
    pub(super) fn locate(mut findings: Vec<Finding>, file: &Path, text: &str) -> Self {
        findings.sort_by(|one, other| one.order().cmp(&other.order()));
        findings.dedup();
        let file = one_line(&file.display().to_string());
        let mut characters = text.char_indices().peekable();
        let (mut line, mut column) = (1, 1);
        let mut faults = Vec::with_capacity(findings.len());
        for Finding { key, at, what, hint } in findings {
            let place = match at {
                At::File => Place::File(file.clone()),
                At::Variable(name) => Place::Variable(name),
                At::Byte(byte) => {
                    while let Some((_, character)) = characters.next_if(|(start, _)| *start < byte) {
                        column += 1;
                        if character == '\n' {
                            (line, column) = (line + 1, 1);
                        }
                    }
                    let file = file.clone();
                    Place::Character { file, line, column }
                }
            };
            faults.push(Fault { key, place, what, hint });
        }
        Self(faults)
    }
}

impl Finding {
    /// The file as a whole, then its text from the top, then the environment by name.
    fn order(&self) -> (u8, usize, &str, &str, &str) {
        let (part, byte, name) = match &self.at {
            At::File => (0, 0, ""),
            At::Byte(byte) => (1, *byte, ""),
            At::Variable(name) => (2, 0, name.as_str()),
        };
        (part, byte, name, &self.key, &self.what)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, place, what, hint } = self;
        write!(f, "{place}: ")?;
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

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => f.write_str(file),
            Self::Character { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Variable(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// A text as it may stand in a message: quoted, one line, not longer than a reader needs to find it.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(LONGEST_QUOTE) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
    }
}

/// The same without quotes, for what is none in the file either.
pub(super) fn bare(text: &str) -> String {
    quoted(text).replace('"', "")
}

/// One part of a key as it may stand in a message: bare where TOML would have it bare.
pub(super) fn key_part(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.len() <= LONGEST_QUOTE && name.chars().all(plain) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

const LONGEST_QUOTE: usize = 60;
