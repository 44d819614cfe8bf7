//! What the documents say of the code, held against the code: examples, keys, checks, verbs, links.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tickled::config;
use tickled::doctor::Check;

/// The pages that people read, by their paths.
fn pages() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in [root.to_owned(), root.join("docs")] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "md") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(found.len() >= 9, "{} pages", found.len());
    found
}

fn page(name: &str) -> String {
    let found = pages().into_iter().find(|(path, _)| path.ends_with(name));
    found.unwrap_or_else(|| panic!("no page {name}")).1
}

#[test]
fn every_example_of_a_configuration_is_one() {
    let mut examples = 0;
    for (path, text) in pages() {
        for (number, block) in text.split("```").enumerate().filter(|(number, _)| number % 2 == 1) {
            let Some(example) = block.strip_prefix("toml\n") else { continue };
            let gateway =
                if example.contains("[gateway.") { "" } else { "[gateway.main]\nurl = \"https://localhost:5000\"\n" };
            let whole = format!("{gateway}{example}");
            let read = config::parse(&whole, Path::new("example"), &BTreeMap::new());
            assert!(read.is_ok(), "{} block {number}: {}\n{whole}", path.display(), read.unwrap_err());
            examples += 1;
        }
    }
    assert!(examples >= 6, "{examples} examples");
}

#[test]
fn every_key_that_is_named_is_a_key() {
    let keys: Vec<String> = config::keys().into_iter().map(|key| key.path).collect();
    let mut named = 0;
    for (path, text) in pages() {
        for word in text.split('`').skip(1).step_by(2) {
            let is_path =
                ["session.", "gateway.NAME.", "log.", "alerts.", "maintenance.", "endpoint."].iter().any(|table| {
                    word.strip_prefix(table)
                        .is_some_and(|rest| rest.chars().all(|c| c.is_ascii_lowercase() || "._[]".contains(c)))
                });
            if is_path && !word.ends_with('.') {
                named += 1;
                assert!(keys.iter().any(|key| key == word), "{}: no key {word}", path.display());
            }
        }
    }
    let how = page("how-it-works.md");
    for word in how.split('`').skip(1).step_by(2) {
        let is_word = word.contains('_') && word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        if is_word {
            named += 1;
            assert!(keys.iter().any(|key| key.ends_with(&format!(".{word}"))), "how-it-works.md: no key {word}");
        }
    }
    assert!(named >= 20, "{named} keys");
}

#[test]
fn the_checks_of_a_doctor_are_listed_as_they_are() {
    let rows: Vec<String> =
        Check::ALL.iter().map(|check| format!("| `{}` | {} |", check.name(), check.looks_at())).collect();
    assert!(page("running.md").contains(&rows.join("\n")), "the table should be\n{}", rows.join("\n"));
}

#[test]
fn every_verb_that_is_named_has_a_page() {
    let man = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/man");
    let mut named = 0;
    for (path, text) in pages() {
        for (at, _) in text.match_indices("tickled ") {
            let before = text[..at].chars().next_back();
            if !(matches!(before, Some('`')) || text[..at].ends_with("\n    ")) {
                continue;
            }
            let verb: String = text[at + "tickled ".len()..].chars().take_while(char::is_ascii_lowercase).collect();
            if !verb.is_empty() {
                named += 1;
                let file = man.join(format!("tickled-{verb}.1"));
                assert!(file.exists(), "{}: there is no verb {verb}", path.display());
            }
        }
    }
    assert!(named >= 20, "{named} verbs");
}

#[test]
fn every_link_leads_somewhere() {
    let mut links = 0;
    for (path, text) in pages() {
        for (at, _) in text.match_indices("](") {
            let target: String = text[at + 2..].chars().take_while(|c| *c != ')').collect();
            if target.starts_with("http") {
                continue;
            }
            links += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let file = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(file.exists(), "{}: {target} leads nowhere", path.display());
            if !anchor.is_empty() {
                let there = fs::read_to_string(&file).unwrap();
                let is_there = there.lines().filter(|line| line.starts_with('#')).any(|line| slug(line) == anchor);
                assert!(is_there, "{}: no heading {anchor} in {}", path.display(), file.display());
            }
        }
    }
    assert!(links >= 20, "{links} links");
}

/// The anchor of a heading, as hosting sites make it.
fn slug(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    words
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}
