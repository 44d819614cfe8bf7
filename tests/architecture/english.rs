//! Plain technical English, in everything that users read and in the comments of the code.

use std::fs;
use std::path::{Path, PathBuf};

use crate::documents::pages;
use crate::sources;

/// Words that have a standard word in their place, such as "notified".
const WORDS: &[&str] = &["told", "untold", "whoever"];

/// The same in comments, where the standard words are "user", "client" and "program".
const WORDS_OF_COMMENTS: &[&str] = &["nobody", "somebody", "heir", "farewell"];

/// Phrases that a native reader stumbles over.
const PHRASES: &[&str] = &[
    "let the house",
    "that is not one",
    "but for the",
    "and its kin",
    "Has nothing sent",
    "Has open alerts",
    "Tries out",
    "operator's word",
    "that which",
    "is at work",
    "from here on",
    "any more",
    "can be had",
    "for ever",
    "what became of",
    "What became of",
    "What came of",
    "how everything is",
    "How everything is",
    "Takes in",
    "of late",
    "this seldom",
    "no reason to stay",
    "is no news",
    "Whom to",
    "nothing if nothing",
];

/// The first word or phrase in the line that does not belong there.
fn odd(line: &str, more: &[&'static str]) -> Option<&'static str> {
    let letters = |c: char| if c.is_alphanumeric() || "'_".contains(c) { c } else { ' ' };
    let line = format!(" {} ", line.chars().map(letters).collect::<String>());
    let words = WORDS.iter().chain(more).find(|word| line.to_lowercase().contains(&format!(" {word} ")));
    words.or_else(|| PHRASES.iter().find(|phrase| line.contains(&format!(" {phrase} ")))).copied()
}

fn assert_plain<'a>(file: &Path, lines: impl Iterator<Item = &'a str>, more: &[&'static str]) {
    for (number, line) in lines.enumerate() {
        assert_eq!(odd(line, more), None, "{}:{}: {line}", file.display(), number + 1);
    }
}

#[test]
fn what_users_read_is_plain_english() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts: Vec<(PathBuf, String)> = pages();
    for folder in ["docs/man", "systemd", "completions"] {
        let files = fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        texts.extend(files.filter(|file| file.is_file()).map(|file| (file.clone(), fs::read_to_string(file).unwrap())));
    }
    let config = root.join("config/tickled.toml");
    texts.push((config.clone(), fs::read_to_string(config).unwrap()));
    assert!(texts.len() >= 40, "{} texts", texts.len());
    for (file, text) in texts {
        assert_plain(&file, text.lines(), &[]);
    }
}

#[test]
fn the_comments_of_the_code_are_plain_english() {
    let mut comments = 0;
    for file in ["src", "tests", "benches", "fuzz/fuzz_targets"].into_iter().flat_map(sources) {
        let text = fs::read_to_string(&file).unwrap();
        let lines = text.lines().map(|line| if line.trim_start().starts_with("//") { line } else { "" });
        comments += lines.clone().filter(|line| !line.is_empty()).count();
        assert_plain(&file, lines, WORDS_OF_COMMENTS);
    }
    assert!(comments > 6_000, "{comments} lines of comments");
}

#[test]
fn an_odd_word_is_found() {
    assert_eq!(odd("/// Nobody is told.", &[]), Some("told"));
    assert_eq!(odd("/// Nobody, says the log.", WORDS_OF_COMMENTS), Some("nobody"));
    assert_eq!(odd("/// All but for the last one.", &[]), Some("but for the"));
    assert_eq!(odd("/// Many more for every folder, retold.", WORDS_OF_COMMENTS), None);
}
