//! The hours in which a human may be notified, and the deadline by which the sessions must be live. Pure.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan};

/// The hours of a human, on certain days of the week, by the clocks of one zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    /// The zone of the times of day.
    pub zone: TimeZone,
    /// The days of the week on which a period begins.
    pub days: Vec<Weekday>,
    /// When it begins.
    pub from: Time,
    /// When it ends; not later than `from` means on the next day.
    pub to: Time,
    /// When the sessions must be live, within the period.
    pub ready_by: Option<Time>,
    /// The days on which none begins.
    pub except: Vec<Date>,
}

/// One period in which a human may be notified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// The first moment.
    pub start: Timestamp,
    /// The first moment after it.
    pub end: Timestamp,
    /// When the sessions must be live.
    pub deadline: Option<Timestamp>,
}

impl Hours {
    /// The period in which `at` lies.
    #[must_use]
    pub fn period(&self, at: Timestamp) -> Option<Period> {
        self.next(at).filter(|period| period.start <= at)
    }

    /// When the next period begins, if `at` lies in none.
    #[must_use]
    pub fn held_until(&self, at: Timestamp) -> Option<Timestamp> {
        self.next(at).map(|period| period.start).filter(|start| *start > at)
    }

    /// The period in which `at` lies, or the next one.
    #[must_use]
    pub fn next(&self, at: Timestamp) -> Option<Period> {
        // One that began yesterday may last until today.
        let first = self.zone.to_datetime(at).date().yesterday().ok()?;
        first.series(1.day()).take(LONGEST_HOLIDAY).filter_map(|day| self.on(day)).find(|period| period.end > at)
    }

    /// The deadlines from `since` to before `until`.
    pub fn deadlines(&self, since: Timestamp, until: Timestamp) -> impl Iterator<Item = Timestamp> {
        let first = self.zone.to_datetime(since).date().saturating_sub(1.day());
        let days = first.series(1.day()).take_while(move |day| self.zone.to_datetime(until).date() >= *day);
        days.filter_map(|day| self.on(day)?.deadline).filter(move |deadline| (since..until).contains(deadline))
    }

    /// The period that begins on this day.
    fn on(&self, day: Date) -> Option<Period> {
        if !self.days.contains(&day.weekday()) || self.except.contains(&day) {
            return None;
        }
        let date_of = |time: Time| if time > self.from { Some(day) } else { day.tomorrow().ok() };
        let start = self.instant(day, self.from, Fold::First)?;
        let end = self.instant(date_of(self.to)?, self.to, Fold::Second)?;
        let deadline = match self.ready_by {
            Some(time) => Some(self.instant(date_of(time)?, time, Fold::First)?),
            None => None,
        };
        // Where the clock skips the time between, the deadline comes later: two calls come before it.
        let earliest = start.saturating_add(SHORTEST_LEAD).ok()?;
        let deadline = deadline.map(|deadline| deadline.max(earliest));
        (start < end).then_some(Period { start, end, deadline })
    }

    /// The moment of a time of day. One that does not exist is the end of the gap in which it would lie.
    fn instant(&self, day: Date, time: Time, fold: Fold) -> Option<Timestamp> {
        let moments = self.zone.to_ambiguous_timestamp(day.to_datetime(time));
        if matches!(moments.offset(), AmbiguousOffset::Gap { .. }) {
            let after = moments.later().ok()?.checked_add(1.nanosecond()).ok()?;
            return self.zone.preceding(after).next().map(|change| change.timestamp());
        }
        match fold {
            Fold::First => moments.earlier().ok(),
            Fold::Second => moments.later().ok(),
        }
    }
}

impl Period {
    /// When a human is called about a session that is not live: at the start, and twice before the deadline.
    pub fn calls(self) -> impl Iterator<Item = Timestamp> {
        let before = move |ahead: SignedDuration| {
            let call = self.deadline?.checked_sub(ahead).ok()?;
            (call > self.start).then_some(call)
        };
        let start = self.deadline.map(|_| self.start);
        start.into_iter().chain([FIRST_CALL, LAST_CALL].into_iter().filter_map(before))
    }
}

/// Chooses between two moments where the clock is set back.
#[derive(Clone, Copy)]
enum Fold {
    First,
    Second,
}

/// How long before the deadline a human is called.
const FIRST_CALL: SignedDuration = SignedDuration::from_mins(30);
const LAST_CALL: SignedDuration = SignedDuration::from_mins(10);
/// The shortest time from the start of a period to its deadline.
pub const SHORTEST_LEAD: SignedDuration = SignedDuration::from_mins(20);
/// How many days are searched for the next period.
const LONGEST_HOLIDAY: usize = 400;
