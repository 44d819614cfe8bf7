//! Makes text safe to show: characters that move the cursor, turn the reading direction or cannot be seen are escaped.

use std::fmt::Write;

/// What surrounds a text while it is escaped.
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
            c if disturbs(c) => escape_by_number(line, c, quotes),
            c => line.push(c),
        }
    }
}

fn escape_by_number(line: &mut String, c: char, quotes: Quotes) {
    // Writing to a String cannot fail.
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
    !text.is_empty() && !text.chars().any(|c| c.is_whitespace() || matches!(c, '"' | '=' | '\\') || disturbs(c))
}

/// Whether a character moves the cursor, ends a line, turns the reading direction, or changes or hides a text without
/// being seen itself.
#[must_use]
pub fn disturbs(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}' | '\u{891}'
            | '\u{8e2}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_that_cannot_be_seen_is_shown() {
        let hidden =
            "\u{1b}\u{ad}\u{61c}\u{200b}\u{200d}\u{2028}\u{202e}\u{2066}\u{206a}\u{feff}\u{e0041}\u{fe0f}\u{3164}";
        for c in hidden.chars() {
            assert!(disturbs(c), "{c:?}");
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
            assert!(!disturbs(seen), "{seen:?}");
        }
    }
}
