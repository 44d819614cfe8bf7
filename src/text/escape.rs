//! Escapes foreign text, so that nothing in it moves the cursor, is invisible, or changes the reading direction.

use std::fmt::Write;

/// Writes every character that is invisible or controls its surroundings as an escape such as `\u{202e}`.
///
/// These are the Unicode categories Cc, Cf, Co, Cn, Zl and Zp, and letters that are displayed as nothing.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_disturbing(c) {
            // Writing to a String cannot fail.
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Like [`escaped`], for at most `most` characters.
#[must_use]
pub fn shortened(text: &str, most: usize) -> String {
    let text: String = text.chars().take(most).collect();
    escaped(&text)
}

/// Whether a character controls the terminal or the reading direction, or is invisible.
#[must_use]
pub fn is_disturbing(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    let is_space = c.is_whitespace() && !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}');
    !is_space && (!is_printable(c) || shows_nothing(c))
}

/// Whether a character is visible, or combines with the one before. The standard library has the tables.
fn is_printable(c: char) -> bool {
    let mut bytes = [0; 5];
    bytes[0] = b'a';
    let length = c.encode_utf8(&mut bytes[1..]).len();
    let pair = std::str::from_utf8(&bytes[..=length]).unwrap_or_default();
    !pair.escape_debug().skip(1).take(2).eq("\\u".chars())
}

/// Letters and marks that are displayed as nothing.
const fn shows_nothing(c: char) -> bool {
    matches!(
        c,
        '\u{034F}'
            | '\u{115F}'..='\u{1160}'
            | '\u{17B4}'..='\u{17B5}'
            | '\u{180B}'..='\u{180F}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{FE00}'..='\u{FE0F}'
            | '\u{FFA0}'
            | '\u{E0100}'..='\u{E01EF}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_invisible_or_turns_the_text_is_written_out() {
        for c in "\u{0}\u{7}\u{1b}\u{7f}\u{85}\u{9b}\u{ad}\u{600}\u{605}\u{61c}\u{6dd}\u{70f}\u{180e}\u{200b}\u{200c}\u{200d}\
                  \u{200e}\u{200f}\u{202a}\u{202e}\u{2028}\u{2029}\u{2060}\u{2064}\u{2066}\u{2069}\u{206a}\u{206f}\u{feff}\
                  \u{fff9}\u{fffb}\u{110bd}\u{1bca0}\u{1d173}\u{e0001}\u{e0041}\u{e007f}\u{e000}\u{f8ff}\u{f0000}\
                  \u{10fffd}\u{378}\u{fdd0}\u{ffff}\u{1ffff}\u{e0fff}\u{34f}\u{115f}\u{3164}\u{fe00}\u{e0100}"
            .chars()
        {
            assert_eq!(escaped(&format!("a{c}b")), format!("a\\u{{{:x}}}b", u32::from(c)));
        }
    }

    #[test]
    fn what_people_write_stays() {
        for text in [
            "Desk Three, O=Example & Söhne",
            "e\u{301} decomposed",
            "הסדנה مكتب हिन्दी ไทย 日本語 한국어",
            "\u{a0}no break\u{3000}",
            "⚠ 🟢 ☎ — “quoted” …",
            "\"\\'{}",
            "",
        ] {
            assert_eq!(escaped(text), text);
        }
    }

    #[test]
    fn every_character_is_one_or_the_other_and_none_becomes_another() {
        let mut escapes = 0_u32;
        for c in '\u{0}'..=char::MAX {
            let shown = escaped(c.encode_utf8(&mut [0; 4]));
            if is_disturbing(c) {
                escapes += 1;
                assert!(shown.is_ascii() && shown.starts_with("\\u{"), "{shown}");
            } else {
                assert_eq!(shown.chars().collect::<Vec<_>>(), [c]);
            }
        }
        // All of the planes for private use, and what is not assigned.
        assert!((137_000..1_000_000).contains(&escapes), "{escapes}");
    }
}
