//! A parser of event streams by the rules of the HTML standard, as a browser's `EventSource` has it.

use std::mem::take;

/// An event that a program receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) name: String,
    pub(crate) data: String,
    pub(crate) last_id: String,
}

/// What was received so far of a stream.
#[derive(Debug, Default)]
pub(crate) struct EventSource {
    /// Bytes of a line that has not ended.
    line: Vec<u8>,
    /// The last byte was CR: LF after it belongs to the same end of a line.
    after_cr: bool,
    lines: usize,
    name: String,
    data: String,
    id: String,
    pub(crate) last_id: String,
    pub(crate) retry_ms: Option<u64>,
    pub(crate) comments: usize,
}

impl EventSource {
    /// Parses bytes, and returns the events that they complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<Received> {
        let mut events = Vec::new();
        for &byte in bytes {
            match byte {
                b'\n' if take(&mut self.after_cr) => {}
                b'\r' | b'\n' => {
                    self.after_cr = byte == b'\r';
                    let line = take(&mut self.line);
                    let text = String::from_utf8_lossy(&line).into_owned();
                    let text = if self.lines == 0 { text.trim_start_matches('\u{feff}') } else { &text };
                    self.lines += 1;
                    events.extend(self.end_of_line(text));
                }
                _ => {
                    self.after_cr = false;
                    self.line.push(byte);
                }
            }
        }
        events
    }

    fn end_of_line(&mut self, line: &str) -> Option<Received> {
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => self.comments += 1,
            "event" => value.clone_into(&mut self.name),
            "data" => self.data += &format!("{value}\n"),
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => self.retry_ms = value.parse().ok(),
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<Received> {
        self.last_id.clone_from(&self.id);
        let (name, data) = (take(&mut self.name), take(&mut self.data));
        let data = data.strip_suffix('\n')?.to_owned();
        let name = if name.is_empty() { "message".to_owned() } else { name };
        Some(Received { name, data, last_id: self.last_id.clone() })
    }
}

#[test]
fn the_parser_keeps_the_rules_of_the_standard() {
    let stream = "\u{feff}:ok\r\nretry: 10\r\nretry: x\rid: 1\rdata: a\ndata:b\n\nevent: add\ndata\ndata\nid: n\0ul\nother: x\n\nid\n\n\
                  event: lost\n\ndata: cut";
    let event = |name: &str, data: &str| Received { name: name.into(), data: data.into(), last_id: "1".into() };
    let expected = [event("message", "a\nb"), event("add", "\n")];
    for size in 1..stream.len() {
        let mut source = EventSource::default();
        let events: Vec<Received> = stream.as_bytes().chunks(size).flat_map(|part| source.push(part)).collect();
        assert_eq!(events, expected, "in parts of {size} bytes");
        assert_eq!((source.retry_ms, source.comments, source.last_id.as_str()), (Some(10), 1, ""));
    }
}
