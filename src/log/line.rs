//! Formats an event as one line of text or JSON, whatever its values contain.

use std::error::Error;
use std::fmt::{self, Debug};

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::escape::{Quotes, escape, needs_no_quotes};
use super::settings::{Level, LineClock, OutputFormat, is_ours};
use super::{event, journal, redact};
use crate::text::error_chain;

/// Renders lines in one format.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    pub(super) format: OutputFormat,
    pub(super) clock: LineClock,
    pub(super) with_millis: bool,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut content = Content::default();
        event.record(&mut content);
        let target = event.metadata().target();
        if !is_ours(target) {
            content.mark_foreign(target);
        }
        writer.write_str(&self.render(Level::from(*event.metadata().level()), &content))
    }
}

impl Line {
    /// Renders a line, with its newline.
    pub(super) fn render(&self, level: Level, content: &Content) -> String {
        let mut line = String::with_capacity(256);
        match self.format {
            OutputFormat::Plain | OutputFormat::Colour | OutputFormat::Journal => self.text(&mut line, level, content),
            OutputFormat::Json => self.json(&mut line, level, content),
            OutputFormat::Native => native(&mut line, level, content),
        }
        line.push('\n');
        line
    }

    fn text(&self, line: &mut String, level: Level, content: &Content) {
        let paint = |line: &mut String, colour: &str, text: &str| match self.format {
            OutputFormat::Colour => {
                line.push_str(colour);
                line.push_str(text);
                line.push_str("\x1b[0m");
            }
            OutputFormat::Plain | OutputFormat::Journal | OutputFormat::Json | OutputFormat::Native => {
                line.push_str(text);
            }
        };
        match self.format {
            OutputFormat::Journal => line.extend(['<', journal::priority(level), '>']),
            OutputFormat::Plain | OutputFormat::Colour | OutputFormat::Json | OutputFormat::Native => {
                paint(line, DIM, &self.time(self.with_millis));
                line.push(' ');
            }
        }
        paint(line, colour(level), word(level));
        line.push(' ');
        escape(line, &content.message, Quotes::None);
        let mut gap = if content.message.is_empty() { "" } else { "  " };
        for (key, value) in content.event.iter().map(|name| ("event", name)).chain(content.fields()) {
            line.push_str(gap);
            paint(line, DIM, &format!("{key}="));
            value.write_text(line);
            gap = " ";
        }
    }

    fn json(&self, line: &mut String, level: Level, content: &Content) {
        let mut gap = "{\"";
        let mut put = |key: &str, value: &Value| {
            line.push_str(gap);
            line.push_str(key);
            line.push_str("\":");
            value.write_json(line);
            gap = ",\"";
        };
        put("time", &Value::Text(self.time(true)));
        put("level", &Value::Text(level.name().to_owned()));
        if let Some(name) = &content.event {
            put("event", name);
        }
        if !content.message.is_empty() {
            put("message", &Value::Text(content.message.clone()));
        }
        for (key, value) in content.fields() {
            put(key, value);
        }
        line.push('}');
    }

    fn time(&self, with_millis: bool) -> String {
        let now = Timestamp::try_from((self.clock)()).unwrap_or(Timestamp::UNIX_EPOCH);
        if with_millis { format!("{now:.3}") } else { format!("{now:.0}") }
    }
}

/// Writes one field per line, as the journal expects. No value contains a newline, so none needs the binary form.
fn native(line: &mut String, level: Level, content: &Content) {
    let mut gap = "";
    let mut put = |name: &str, value: &str| {
        line.push_str(gap);
        line.push_str(name);
        line.push('=');
        escape(line, value, Quotes::None);
        gap = "\n";
    };
    let fields: Vec<(&str, &str)> = content.fields().map(|(key, value)| (key, value.as_str())).collect();
    // Short fields come first: they are kept when a datagram is too long.
    put("PRIORITY", journal::priority(level).encode_utf8(&mut [0; 1]));
    put("SYSLOG_IDENTIFIER", "tickled");
    if let Some(event) = content.event.as_ref().map(Value::as_str) {
        if let Some(id) = journal::message_id(event, &fields) {
            put("MESSAGE_ID", id);
        }
        put(&journal::name("event"), event);
    }
    // `journalctl` without options shows only this field.
    match fields.iter().find(|(key, _)| *key == "action") {
        Some((_, action)) => put("MESSAGE", &format!("{}; to do: {action}", content.message)),
        None => put("MESSAGE", &content.message),
    }
    for (key, value) in fields {
        put(&journal::name(key), value);
    }
}

/// The message and fields of one event, in their order.
#[derive(Debug, Default)]
pub(super) struct Content {
    message: String,
    event: Option<Value>,
    rest: Vec<(&'static str, Value)>,
}

impl Content {
    /// The writer's own line about lost lines.
    pub(super) fn lines_dropped(count: u64) -> Self {
        Self {
            message: format!("{count} log lines were lost: their reader was too slow, full or gone"),
            event: Some(Value::Text(event::LOG_LINES_DROPPED.to_owned())),
            rest: vec![("count", Value::Bare(count.to_string()))],
        }
    }

    /// Turns an event of a library into one of ours. Its fields are not ours either, so they become part of the message.
    fn mark_foreign(&mut self, target: &str) {
        for (key, value) in self.rest.drain(..) {
            let (Value::Text(text) | Value::Bare(text)) = value;
            self.message.push_str(&format!(" {key}={text}"));
        }
        self.message = redact(&self.message);
        self.event = Some(Value::Text(event::LIBRARY_WARNING.to_owned()));
        self.rest.push(("target", Value::Text(target.to_owned())));
    }

    /// The fields without `event`. Keys that the line itself has are left out, because a JSON key must be unique.
    fn fields(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.rest.iter().map(|(key, value)| (*key, value)).filter(|(key, _)| !matches!(*key, "time" | "level"))
    }

    fn put(&mut self, field: &Field, value: Value) {
        let name = field.name();
        match (name.strip_prefix("r#").unwrap_or(name), value) {
            ("message", Value::Text(text) | Value::Bare(text)) => self.message = text,
            ("event", value) => self.event = Some(value),
            (key, value) => self.rest.push((key, value)),
        }
    }
}

impl Visit for Content {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::Bare(value.to_string()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::Bare(value.to_string()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, Value::Bare(value.to_string()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let text = value.to_string();
        self.put(field, if value.is_finite() { Value::Bare(text) } else { Value::Text(text) });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::text(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.put(field, Value::text(&error_chain(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, Value::text(&format!("{value:?}")));
    }
}

/// A value, cut to [`MAX_VALUE`].
#[derive(Debug)]
enum Value {
    /// Needs quotes in JSON.
    Text(String),
    /// A number or a boolean.
    Bare(String),
}

impl Value {
    fn text(text: &str) -> Self {
        if text.len() <= MAX_VALUE {
            return Self::Text(text.to_owned());
        }
        Self::Text(format!("{}…", &text[..text.floor_char_boundary(MAX_VALUE)]))
    }

    fn as_str(&self) -> &str {
        match self {
            Self::Text(text) | Self::Bare(text) => text,
        }
    }

    fn write_text(&self, line: &mut String) {
        match self {
            Self::Bare(text) => line.push_str(text),
            Self::Text(text) if needs_no_quotes(text) => line.push_str(text),
            Self::Text(text) => {
                line.push('"');
                escape(line, text, Quotes::Text);
                line.push('"');
            }
        }
    }

    fn write_json(&self, line: &mut String) {
        match self {
            Self::Bare(text) => line.push_str(text),
            Self::Text(text) => {
                line.push('"');
                escape(line, text, Quotes::Json);
                line.push('"');
            }
        }
    }
}

/// The level as text of constant width.
fn word(level: Level) -> &'static str {
    match level {
        Level::Error => "ERROR",
        Level::Warn => "WARN ",
        Level::Info => "INFO ",
        Level::Debug => "DEBUG",
        Level::Trace => "TRACE",
    }
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::Error => "\x1b[1;31m",
        Level::Warn => "\x1b[33m",
        Level::Info => "\x1b[32m",
        Level::Debug => "\x1b[34m",
        Level::Trace => DIM,
    }
}

const DIM: &str = "\x1b[2m";

/// Longest value in bytes: the queue holds a bounded number of lines, so a line must be bounded too.
const MAX_VALUE: usize = 4096;
