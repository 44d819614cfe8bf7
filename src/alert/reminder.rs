//! The reminder that a login ends soon, once a login. Pure.

use jiff::Timestamp;

use super::clockwork::last;
use super::condition::Condition;
use super::desk::Desk;
use super::{About, Code, gateway_text, notice};
use crate::session::{Now, State};
use crate::status::Snapshot;

/// A login, and the reminder of its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) ends: Timestamp,
    /// None when it was seen too late for a reminder.
    pub(super) remind: Option<Timestamp>,
    /// Whether a human was reminded.
    pub(super) reminded: bool,
}

impl Desk {
    /// The condition that a login ends soon, if the operator wants to know.
    pub(super) fn reminder(&mut self, now: Now, snapshot: &Snapshot) -> Option<Condition> {
        let ends = snapshot.login_ends_at?;
        let before = self.settings.remind_before;
        if before.is_zero() {
            return None;
        }
        let login = self.logins.entry(snapshot.gateway.clone()).or_insert(Login::UNKNOWN);
        if login.ends != ends {
            let latest = ends.saturating_sub(before).ok()?;
            let at = match self.settings.remind_at {
                Some(time) => last(time, &self.settings.zone, latest)?,
                None => latest,
            };
            // Who has just logged in needs no reminder.
            *login = Login { ends, remind: Some(at).filter(|at| *at > now.wall), reminded: false };
        }
        let is_due = login.remind.is_some_and(|at| at <= now.wall) && now.wall < ends;
        // Told while the session is live it goes on through a blip, and it is one a login.
        let open = self.open.get(&(About::Gateway(snapshot.gateway.clone()), Code::LoginEndsSoon));
        let goes_on = open.is_some_and(|incident| incident.told.is_some());
        let begins = snapshot.state == State::Live && !login.reminded;
        if !is_due || !(goes_on || begins) {
            return None;
        }
        let at = notice::short_clock(ends, now.wall, &self.settings.zone);
        let annotations = gateway_text::login_ends(&snapshot.url, &at);
        Some(Condition { code: Code::LoginEndsSoon, annotations, if_long: None })
    }
}

impl Login {
    const UNKNOWN: Self = Self { ends: Timestamp::MIN, remind: None, reminded: false };
}
