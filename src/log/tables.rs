//! The tables of events, fields and message ids for the documentation.

use std::fmt::Write;

use super::event::{EVENTS, FIELDS};
use super::journal::{self, MessageId};

/// The table of events and their fields.
#[must_use]
pub fn events() -> String {
    let mut text = String::from("| event | level | fields | sometimes | meaning |\n|---|---|---|---|---|\n");
    for event in EVENTS {
        let levels: Vec<_> = event.levels.iter().map(|level| level.name().to_uppercase()).collect();
        let (levels, fields, also) = (levels.join(", "), quoted(event.fields), quoted(event.also));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| `{}` | {levels} | {fields} | {also} | {} |", event.name, event.meaning);
    }
    text.push_str("\n| field | meaning |\n|---|---|\n");
    for (field, meaning) in FIELDS {
        let _ = writeln!(text, "| `{field}` | {meaning} |");
    }
    text.push_str("\n## What `journalctl -x` explains\n\n");
    text.push_str(&message_ids());
    text
}

fn quoted(fields: &[&str]) -> String {
    fields.iter().map(|field| format!("`{field}`")).collect::<Vec<_>>().join(" ")
}

/// The table of message ids.
fn message_ids() -> String {
    let mut text = String::from("| event | where | `MESSAGE_ID` |\n|---|---|---|\n");
    for MessageId { event, field, value, id } in journal::message_ids() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| `{event}` | `{field}={value}` | `{id}` |");
    }
    text
}
