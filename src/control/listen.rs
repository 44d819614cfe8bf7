//! Sends the daemon's events to a program that listens: Server-Sent Events, for as long as it reads them.

use std::rc::Rc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep_until, timeout};

use super::api::DaemonStatus;
use super::event::Event;
use crate::history::{EventId, Events};
use crate::http::{Duplex, StreamBody, hung_up};

/// A program that listens, to all gateways or to one.
#[derive(Debug)]
pub struct Listener {
    events: Rc<Events>,
    gateway: Option<String>,
    /// The last event that it has.
    last: EventId,
    /// Events that it was not sent yet.
    text: String,
}

impl Listener {
    /// A program that has the events up to `last_event_id`, if it names one. It receives those that it missed, then the
    /// present states of `status`, and then what happens.
    pub async fn new(
        events: Rc<Events>,
        status: &DaemonStatus,
        gateway: Option<String>,
        last_event_id: Option<&[u8]>,
    ) -> Self {
        let mut listener = Self { events, gateway, last: status.last_event, text: format!("retry: {RETRY_MS}\n\n") };
        if let Some(id) = last_event_id {
            let id = std::str::from_utf8(id).ok().and_then(|id| id.parse().ok());
            let missed = match id {
                Some(id) => listener.events.resume(id).await,
                None => None,
            };
            match missed {
                // What came after the status follows later.
                Some(rows) => rows
                    .iter()
                    .filter(|row| row.id.is_some_and(|id| !id.is_after(status.last_event)))
                    .for_each(|row| listener.add(Event::of(row), row.id)),
                None => listener.add(Some(Event::Resync {}), Some(status.last_event)),
            }
        }
        let only = listener.gateway.clone();
        for event in Event::present(status, only.as_deref()) {
            listener.add(Some(event), Some(status.last_event));
        }
        listener
    }

    /// Writes to the program until it hangs up, or does not read.
    #[must_use]
    pub fn body(self) -> StreamBody {
        Box::new(|connection| Box::pin(self.run(connection)))
    }

    async fn run(mut self, mut connection: Box<dyn Duplex>) {
        let events = Rc::clone(&self.events);
        let (mut ignored, mut comment_at) = (0, Instant::now());
        loop {
            if !self.text.is_empty() {
                let text = std::mem::take(&mut self.text);
                if !matches!(timeout(WRITTEN_WITHIN, connection.write_all(text.as_bytes())).await, Ok(Ok(()))) {
                    return;
                }
                // Events of other gateways are no sign of life for a program that does not receive them.
                comment_at = Instant::now() + COMMENT_EVERY;
            }
            let news = events.news();
            if !self.take() {
                // It was too slow. It connects again with the last id that it has.
                let resync = Event::Resync {}.text(events.last());
                drop(timeout(WRITTEN_WITHIN, connection.write_all(resync.as_bytes())).await);
                return;
            }
            if !self.text.is_empty() {
                continue;
            }
            tokio::select! {
                () = news => {}
                () = sleep_until(comment_at) => self.text.push_str(":\n\n"),
                () = hung_up(&mut connection, &mut ignored) => return,
            }
        }
    }

    /// Takes the events so far. Returns false if some of them were dropped.
    fn take(&mut self) -> bool {
        let Some(rows) = self.events.after(self.last) else { return false };
        for row in &rows {
            self.last = row.id.unwrap_or(self.last);
            self.add(Event::of(row), row.id);
        }
        true
    }

    fn add(&mut self, event: Option<Event>, id: Option<EventId>) {
        if let (Some(event), Some(id)) = (event, id)
            && self.gateway.as_ref().is_none_or(|gateway| event.concerns(gateway))
        {
            self.text += &event.text(id);
        }
    }
}

/// When a program that lost its connection comes back.
const RETRY_MS: u32 = 1000;
/// How often something is sent, so that a program notices a dead connection.
const COMMENT_EVERY: Duration = Duration::from_secs(15);
/// A program that reads more slowly is cut off.
const WRITTEN_WITHIN: Duration = Duration::from_secs(5);
