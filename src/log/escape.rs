//! Escapes characters that move the cursor, change the reading direction or are invisible.

use std::fmt::Write;

use crate::text::is_disturbing;

/// The quotes around a text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Quotes {
    None,
    Text,
    Json,
}

/// Appends `text` to `line`, escaped.
pub(super) fn escape(line: &mut String, text: &str, quotes: Quotes) {
    for c in text.chars() {
        match c {
            '"' | '\\' if quotes != Quotes::None => line.extend(['\\', c]),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            c if is_disturbing(c) => escape_by_number(line, c, quotes),
            c => line.push(c),
        }
    }
}

fn escape_by_number(line: &mut String, c: char, quotes: Quotes) {
    if quotes == Quotes::Json {
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(line, "\\u{unit:04x}");
        }
    } else {
        let _ = write!(line, "\\u{{{:04x}}}", u32::from(c));
    }
}

/// Whether a text can follow `key=` without quotes.
pub(super) fn needs_no_quotes(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(|c| c.is_whitespace() || matches!(c, '"' | '=' | '\\') || is_disturbing(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_that_cannot_be_seen_is_shown() {
        let hidden =
            "\u{1b}\u{ad}\u{61c}\u{200b}\u{200d}\u{2028}\u{202e}\u{2066}\u{206a}\u{feff}\u{e0041}\u{fe0f}\u{3164}";
        for c in hidden.chars() {
            assert!(is_disturbing(c), "{c:?}");
            for quotes in [Quotes::None, Quotes::Text, Quotes::Json] {
                let mut line = String::new();
                escape(&mut line, &format!("a{c}b"), quotes);
                assert!(line.chars().all(|c| c.is_ascii_graphic()), "{line}");
            }
            let mut json = "\"".to_owned();
            escape(&mut json, &c.to_string(), Quotes::Json);
            json.push('"');
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), c.to_string(), "{json}");
        }
        for seen in "aZ9 äß€日本語Ω’—🙂".chars() {
            assert!(!is_disturbing(seen), "{seen:?}");
        }
    }
}
