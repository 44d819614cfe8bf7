//! The events of a daemon as its client reads them.

use std::time::Duration;

use tokio::time::timeout;

use super::event::Event;

/// A stream of events. It ends when the daemon does.
#[derive(Debug)]
pub(crate) struct EventStream {
    response: reqwest::Response,
    /// What was read and is not a whole event yet.
    text: Vec<u8>,
}

impl EventStream {
    pub(super) const fn new(response: reqwest::Response) -> Self {
        Self { response, text: Vec::new() }
    }

    /// The next event that this version knows; none if the daemon has ended or is silent.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(end) = self.text.windows(2).position(|pair| pair == b"\n\n") {
                let event = read(&String::from_utf8_lossy(&self.text[..end]));
                self.text.drain(..end + 2);
                if event.is_some() {
                    return event;
                }
            }
            let part = timeout(SILENT, self.response.chunk()).await.ok()?.ok()??;
            if self.text.len() + part.len() > LONGEST {
                return None;
            }
            self.text.extend_from_slice(&part);
        }
    }
}

/// The event of these lines, if they are one.
fn read(text: &str) -> Option<Event> {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    Event::read(field("event")?, field("data")?)
}

/// A live daemon sends something every 15 seconds.
const SILENT: Duration = Duration::from_secs(40);
const LONGEST: usize = 1024 * 1024;
