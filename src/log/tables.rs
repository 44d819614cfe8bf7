//! The tables of events, fields and message ids, as the documentation shows them.

use std::fmt::Write;

use super::event::{EVENTS, FIELDS};
use super::journal::{MESSAGE_IDS, MessageId};

/// The events and their fields as the documentation shows them.
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

/// What each kind of line is called in the catalogue, as the documentation shows it.
fn message_ids() -> String {
    let mut text = String::from("| event | where | `MESSAGE_ID` |\n|---|---|---|\n");
    for MessageId { event, field, value, id } in MESSAGE_IDS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| `{event}` | `{field}={value}` | `{id}` |");
    }
    text
}
