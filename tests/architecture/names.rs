//! One name, one type: a reader who searches for a word finds one definition.
//!
//! The simulator is a world of its own. It shares no code with the rest, so that names of the wire may stand on both sides.

use std::collections::BTreeMap;
use std::fs;

use crate::{module_of, sources};

/// Names that every Rust program has once per module.
const IDIOMS: &[&str] = &["Client", "Error", "Limits", "Options", "Settings"];

/// The types that a file defines, with their lines. Types of traits and of tests do not count.
fn defined(text: &str) -> Vec<(String, usize)> {
    let code = text.lines().take_while(|line| *line != "#[cfg(test)]");
    let named = code.enumerate().filter_map(|(number, line)| {
        let line = line.trim_start_matches("pub ");
        let line = line.strip_prefix("pub(").and_then(|rest| rest.split_once(") ")).map_or(line, |(_, rest)| rest);
        let rest = ["struct ", "enum ", "trait ", "type ", "union "].iter().find_map(|word| line.strip_prefix(word))?;
        let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
        Some((name.to_owned(), number + 1))
    });
    named.collect()
}

#[test]
fn no_type_name_is_used_for_two_things() {
    let mut found: BTreeMap<(bool, String), Vec<String>> = BTreeMap::new();
    for file in sources("src").iter().filter(|file| !file.components().any(|part| part.as_os_str() == "tests")) {
        let is_simulated = module_of(file) == "simulator";
        for (name, line) in defined(&fs::read_to_string(file).unwrap()) {
            found.entry((is_simulated, name)).or_default().push(format!("{}:{line}", file.display()));
        }
    }
    assert!(found.len() >= 400, "{} types: the walk missed most of them", found.len());
    let twice: Vec<String> = found
        .into_iter()
        .filter(|((_, name), places)| places.len() > 1 && !IDIOMS.contains(&name.as_str()))
        .map(|((_, name), places)| format!("{name}: {}", places.join(", ")))
        .collect();
    assert!(twice.is_empty(), "{}", twice.join("\n"));
}

#[test]
fn a_definition_is_seen_wherever_it_may_be_used() {
    let text = "pub struct One;\npub(super) enum Two {\nstruct Three<'a> {\nimpl Iterator for One {\n    type Item = ();\n\
                pub(in crate::alert) type Four = u8;\n#[cfg(test)]\nmod tests {\nstruct Five;\n";
    let names: Vec<String> = defined(text).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["One", "Two", "Three", "Four"]);
}
