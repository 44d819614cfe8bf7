//! What the documents say of the code, held against the code: examples, keys, checks, verbs, links.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tickled::config;
use tickled::doctor::Check;

/// The pages that people read, by their paths.
pub(crate) fn pages() -> Vec<(PathBuf, String)> {
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

/// A cell that explains a key names values that the key takes.
#[test]
fn every_value_that_is_named_beside_its_key_is_taken() {
    let mut tried = 0;
    for row in page("from-ibeam.md").lines().filter(|line| line.starts_with("| `IBEAM_")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let key = cells[3].trim_matches('`');
        let is_word = |word: &&str| word.chars().all(|c| c.is_ascii_alphabetic() || c == '-');
        for word in cells[4].split('`').skip(1).step_by(2).filter(is_word) {
            let taken = [format!("\"{word}\""), format!("[\"{word}\"]")].into_iter().any(|value| {
                let text = format!("{key} = {value}\n[gateway.main]\nurl = \"https://localhost:5000\"\n");
                config::parse(&text, Path::new("example"), &BTreeMap::new()).is_ok()
            });
            if !key.is_empty() && word != "resume" {
                assert!(taken, "{key} does not take {word:?}");
                tried += 1;
            }
        }
    }
    assert!(tried >= 8, "{tried}");
}

/// A question mark, an ampersand or a star means something to a shell: it is quoted where a command has one.
#[test]
fn every_command_can_be_pasted_into_a_shell() {
    let mut commands = 0;
    for (path, text) in pages() {
        let lines = text.lines().filter_map(|line| line.strip_prefix("    $ ").or_else(|| line.strip_prefix("    ")));
        for line in
            lines.filter(|line| ["curl ", "tickled ", "sudo ", "ssh "].iter().any(|word| line.starts_with(word)))
        {
            commands += 1;
            let mut quote = None;
            // One at the end runs the command in the background.
            for c in line.trim_end_matches(" &").chars() {
                match (quote, c) {
                    (None, '"' | '\'') => quote = Some(c),
                    (Some(open), _) if open == c => quote = None,
                    (None, '?' | '&' | '*') => panic!("{}: {c} is not quoted in {line}", path.display()),
                    _ => {}
                }
            }
            assert_eq!(quote, None, "{}: {line}", path.display());
        }
    }
    assert!(commands >= 15, "{commands} commands");
}

/// `--json` is promised for the verbs that have it, and no others.
#[test]
fn every_verb_that_is_said_to_have_json_has_it() {
    let man = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/man");
    let running = page("running.md");
    let row = running.lines().find(|line| line.starts_with("| for programs |")).unwrap();
    let verbs: Vec<&str> =
        row.split('`').skip(3).step_by(2).filter(|word| word.chars().all(char::is_alphabetic)).collect();
    assert!(verbs.len() >= 6, "{verbs:?}");
    for verb in verbs {
        let text = fs::read_to_string(man.join(format!("tickled-{verb}.1"))).unwrap();
        assert!(text.contains("\\-\\-json"), "{verb} has no --json");
    }
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
#[test]
fn every_file_that_contributors_are_sent_to_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = page("CONTRIBUTING.md");
    let paths = text.split('`').skip(1).step_by(2).filter(|word| word.contains('/') && !word.contains([' ', '*', '=']));
    let missing: Vec<&str> = paths.clone().filter(|path| !root.join(path).exists()).collect();
    assert!(missing.is_empty() && paths.count() >= 20, "not there: {missing:?}");
}

fn slug(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    words
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}
