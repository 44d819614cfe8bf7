//! What happens in a year whatever anybody does about it: drawn from a seed before it begins, so that all strategies
//! live through the same year.

use std::time::Duration;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use tickled::calendar::Region;
use tickled::simulator::world::{Competitor, Shows, Unanswered};

use super::assumptions::{Assumptions, Key, fixed};
use super::draw::Draw;
use super::tally::Wait;

/// Something that happens.
#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    /// The brokerage session is lost.
    Lapse,
    /// IBKR logs the session out.
    Kick,
    /// A midnight ends the login.
    LoginEnds,
    /// IBKR stops answering, and answers again.
    Silent(bool, Unanswered),
    /// IBKR answers with errors of this status, or no longer.
    Failing(Option<u16>),
    /// The host loses its network, or has it again.
    Network(bool),
    /// The gateway restarts.
    Crash,
    /// The host goes down, and comes up.
    Host(bool),
    /// The wall clock is set by so many seconds.
    Clock(i64),
    /// The owner uses another program.
    Takes(Competitor),
    /// The owner ends it.
    Leaves,
    /// The owner looks whether all is well.
    Looks,
}

impl Event {
    /// What a session that is gone after it waits for, if a human has no part in it.
    pub(super) const fn has_the_session_wait(self) -> Option<Wait> {
        match self {
            Self::Lapse | Self::Kick => Some(Wait::Lapse),
            Self::Takes(_) | Self::Leaves => Some(Wait::OtherProgram),
            Self::Silent(false, _) | Self::Failing(None) | Self::Network(true) | Self::Host(true) => Some(Wait::Return),
            Self::Silent(true, _)
            | Self::Failing(Some(_))
            | Self::Network(false)
            | Self::Host(false)
            | Self::LoginEnds
            | Self::Crash
            | Self::Clock(_)
            | Self::Looks => None,
        }
    }

    /// Whether a human may be needed after it.
    pub(super) const fn needs_a_human(self) -> bool {
        matches!(self, Self::LoginEnds | Self::Crash | Self::Host(_) | Self::Silent(..))
    }
}

/// A year at one place.
#[derive(Debug)]
pub(super) struct Almanac {
    pub(super) region: Region,
    pub(super) zone: TimeZone,
    /// What happens, in order.
    pub(super) events: Vec<(Duration, Event)>,
    /// When the local stock exchange is open.
    pub(super) trading: Vec<(Duration, Duration)>,
    /// When the owner works: from 07:30 to 17:00 on working days.
    pub(super) working: Vec<(Duration, Duration)>,
    /// When the owner sleeps.
    pub(super) asleep: Vec<(Duration, Duration)>,
}

/// The beginning of the year, which is that of 2026 in UTC.
pub(super) fn epoch() -> Timestamp {
    Timestamp::constant(1_767_225_600, 0)
}

impl Almanac {
    /// The year of this seed: its first `days`.
    pub(super) fn of(seed: u64, days: i32, assumptions: &Assumptions) -> Self {
        // Half of the owners live in New York.
        let region = [Region::NorthAmerica, Region::Europe, Region::NorthAmerica, Region::Asia][seed as usize % 4];
        let zone = TimeZone::get(region.zone()).unwrap();
        let mut year =
            Self { region, zone, events: Vec::new(), trading: Vec::new(), working: Vec::new(), asleep: Vec::new() };
        let first = year.zone.to_datetime(epoch()).date();
        for day in 0..=days {
            year.draw_day(first + day.days(), &mut Draw::new(seed, 1000 + day as u64), assumptions);
        }
        let end = Duration::from_secs(days as u64 * 86_400);
        for (stream, key) in RATES.iter().enumerate() {
            let mut draw = Draw::new(seed, stream as u64);
            let mut at = Duration::ZERO;
            loop {
                at += Duration::from_secs_f64(draw.exponential(assumptions.every(*key)));
                if at >= end {
                    break;
                }
                year.draw_event(at, *key, &mut draw, assumptions);
            }
        }
        year.events.sort_by_key(|(at, _)| *at);
        year.events.retain(|(at, _)| *at < end);
        year
    }

    /// Whether the owner sleeps then, and until when.
    pub(super) fn sleeps_until(&self, at: Duration) -> Option<Duration> {
        let night = self.asleep.partition_point(|(_, wakes)| *wakes <= at);
        self.asleep.get(night).filter(|(from, _)| *from <= at).map(|(_, wakes)| *wakes)
    }

    /// Whether that is a Saturday or Sunday where the owner lives.
    pub(super) fn is_weekend(&self, at: Duration) -> bool {
        matches!(self.zone.to_datetime(epoch() + at).weekday(), Weekday::Saturday | Weekday::Sunday)
    }

    fn at(&self, date: Date, minute: f64) -> Duration {
        let midnight = self.zone.to_ambiguous_zoned_datetime(date.at(0, 0, 0, 0)).compatible().unwrap();
        // Wall time: on the night of a clock change the hours differ.
        let (hour, minute) = ((minute / 60.0) as i64, minute % 60.0);
        let civil = midnight.datetime().saturating_add(hour.hours());
        let at = self.zone.to_ambiguous_timestamp(civil).compatible().unwrap();
        let since = Duration::try_from(at.duration_since(epoch())).unwrap_or_default();
        since + Duration::from_secs_f64(minute * 60.0)
    }

    fn draw_day(&mut self, date: Date, draw: &mut Draw, assumptions: &Assumptions) {
        let weekend = matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday);
        let at = |minute: f64| self.at(date, minute);
        let to_bed = at(draw.within(fixed::BEDTIME));
        let wakes = self.at(date.tomorrow().unwrap(), draw.within(fixed::WAKES));
        let mut new = Vec::new();
        if draw.is(assumptions.get(Key::LoginEnds)) {
            new.push((at(draw.within(fixed::MIDNIGHT)), Event::LoginEnds));
        }
        let reset = at(draw.within(fixed::RESET));
        let over = reset + draw.about(assumptions.minutes(Key::Reset), 0.3);
        new.extend([(reset, Event::Failing(Some(503))), (over, Event::Kick), (over, Event::Failing(None))]);
        if !weekend {
            // The daily look comes before work.
            new.push((at(draw.within(fixed::MORNING_LOOK)), Event::Looks));
            let (opens, closes) = match self.region {
                Region::NorthAmerica | Region::Asia => (9.5 * 60.0, 16.0 * 60.0),
                Region::Europe => (9.0 * 60.0, 17.5 * 60.0),
            };
            let hours = (at(opens), at(closes));
            self.trading.push(hours);
            let working = (self.at(date, fixed::WORK.0), self.at(date, fixed::WORK.1));
            self.working.push(working);
        }
        let looks = assumptions.get(Key::Looks) * if weekend { fixed::WEEKEND_LOOKS } else { 1.0 };
        for _ in 0..draw.poisson(looks) {
            let when = draw.within(fixed::OTHER_LOOKS);
            new.push((self.at(date, when), Event::Looks));
        }
        self.asleep.push((to_bed, wakes));
        self.events.extend(new);
        if date.weekday() == Weekday::Friday {
            let york = TimeZone::get(Region::NorthAmerica.zone()).unwrap();
            let ambiguous = york.to_ambiguous_timestamp(date.at(23, 0, 0, 0));
            let start = Duration::try_from(ambiguous.compatible().unwrap().duration_since(epoch())).unwrap_or_default();
            let start = start + Duration::from_secs_f64(60.0 * draw.within(fixed::WEEKEND));
            let over = start + draw.about(assumptions.minutes(Key::Weekend), 0.4).min(fixed::WEEKEND_LONGEST);
            if draw.is(fixed::HALF) {
                self.events.extend([(start, Event::Failing(Some(503))), (over, Event::Failing(None))]);
            } else {
                let unanswered = unanswered(draw, assumptions);
                self.events
                    .extend([(start, Event::Silent(true, unanswered)), (over, Event::Silent(false, unanswered))]);
            }
        }
    }

    fn draw_event(&mut self, at: Duration, key: Key, draw: &mut Draw, assumptions: &Assumptions) {
        let lasts = |draw: &mut Draw, key: Key| at + draw.about(assumptions.minutes(key), 1.0);
        match key {
            Key::Lapses => self.events.push((at, Event::Lapse)),
            Key::Kicks => self.events.push((at, Event::Kick)),
            Key::Silences => {
                let unanswered = unanswered(draw, assumptions);
                let over = lasts(draw, Key::Silence);
                self.events.extend([(at, Event::Silent(true, unanswered)), (over, Event::Silent(false, unanswered))]);
            }
            Key::Errors => {
                let status = if draw.is(fixed::HALF) { 503 } else { 500 };
                let over = lasts(draw, Key::Error);
                self.events.extend([(at, Event::Failing(Some(status))), (over, Event::Failing(None))]);
            }
            Key::Crashes => self.events.push((at, Event::Crash)),
            Key::Reboots => {
                self.events.extend([(at, Event::Host(false)), (at + fixed::REBOOT, Event::Host(true))]);
            }
            Key::Networks => {
                let over = lasts(draw, Key::Network);
                self.events.extend([(at, Event::Network(false)), (over, Event::Network(true))]);
            }
            Key::Clocks => {
                let by = draw.within(fixed::CLOCK) as i64;
                self.events.push((at, Event::Clock(by)));
            }
            Key::Desktop | Key::Phone => {
                let lasts = lasts(draw, if key == Key::Desktop { Key::DesktopLasts } else { Key::PhoneLasts });
                let (both, never) = (assumptions.get(Key::FlagBoth), assumptions.get(Key::FlagNever));
                let shows = match draw.between(0.0, 1.0) {
                    share if share < never => Shows::Quiet,
                    share if share < never + both => Shows::Both,
                    _ => Shows::Taken,
                };
                let returns = draw.is(assumptions.get(Key::Stubborn));
                let returns_after = returns.then(|| Duration::from_secs_f64(draw.within(fixed::RETURNS_AFTER)));
                let competitor = Competitor { shows, stubborn: false, returns_after };
                // At night the owner sleeps, and does it in the morning.
                let shift = self.sleeps_until(at).map_or(Duration::ZERO, |wakes| wakes - at);
                self.events.extend([(at + shift, Event::Takes(competitor)), (lasts + shift, Event::Leaves)]);
            }
            other => panic!("{other:?} is no rate"),
        }
    }
}

/// What happens to requests that IBKR has left unanswered, when it answers again.
fn unanswered(draw: &mut Draw, assumptions: &Assumptions) -> Unanswered {
    let (late, never) = (assumptions.get(Key::ReturnsLate), assumptions.get(Key::ReturnsNever));
    match draw.between(0.0, 1.0) {
        share if share < never => Unanswered::Kept,
        share if share < never + late => Unanswered::Answered,
        _ => Unanswered::Closed,
    }
}

const RATES: [Key; 10] = [
    Key::Lapses,
    Key::Kicks,
    Key::Silences,
    Key::Errors,
    Key::Crashes,
    Key::Reboots,
    Key::Networks,
    Key::Clocks,
    Key::Desktop,
    Key::Phone,
];
