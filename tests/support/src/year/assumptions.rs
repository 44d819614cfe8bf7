//! What the world of the year assumes: each figure with its source, or the word "assumed".

use std::fmt;
use std::time::Duration;

macro_rules! assumptions {
    ($($key:ident = $value:literal $unit:literal, $meaning:literal, $source:literal;)*) => {
        /// An assumption about the world.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Key { $(#[doc = $meaning] $key,)* }

        /// All assumptions, as they are shown: key, value, unit, meaning and source.
        pub const ALL: &[Row] = &[$(Row { key: Key::$key, value: $value, unit: $unit, meaning: $meaning, source: $source },)*];
    };
}

/// An assumption with what there is to say about it.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub key: Key,
    pub value: f64,
    pub unit: &'static str,
    pub meaning: &'static str,
    pub source: &'static str,
}

assumptions! {
    Lapses = 3.0 "a week", "brokerage session lost, the login stands", "assumed; \"a few a week\" in trackers";
    Kicks = 1.0 "a week", "session logged out by IBKR at another time than the nightly reset", "assumed; ibeam#53";
    LoginEnds = 0.95 "share", "midnights of the region that end the login", "IBKR documents all of them; users see exceptions";
    Reset = 8.0 "min", "nightly reset after midnight: errors, then the session is logged out", "5 to 10 min in the notes of conduit";
    Weekend = 60.0 "min", "outage between Friday 23:00 and Saturday 03:00 New York", "window documented by IBKR, length assumed";
    Silences = 1.0 "a month", "IBKR stops answering", "assumed; ibeam#38, #163";
    Silence = 6.0 "min", "length of that, median", "assumed";
    ReturnsLate = 0.3 "share", "silences after which the waiting requests are answered", "assumed";
    ReturnsNever = 0.1 "share", "silences after which they keep their connections", "assumed; happens on a real gateway";
    Errors = 3.0 "a month", "IBKR answers with 500 or 503", "assumed; ibeam#222, #266";
    Error = 10.0 "min", "length of that, median", "assumed";
    Crashes = 0.5 "a month", "the gateway restarts, the login is lost", "assumed";
    Reboots = 1.0 "a month", "the host reboots, 90 s", "assumed: unattended upgrades";
    Networks = 2.0 "a month", "the host loses its network", "assumed";
    Network = 4.0 "min", "length of that, median", "assumed";
    Clocks = 1.0 "a month", "the wall clock is set by up to two minutes", "assumed";
    Desktop = 3.0 "a week", "the owner uses TWS", "assumed";
    DesktopLasts = 40.0 "min", "length of that, median", "assumed";
    Phone = 4.0 "a week", "the owner uses the phone app", "assumed";
    PhoneLasts = 4.0 "min", "length of that, median", "assumed";
    Stubborn = 0.5 "share", "evictions after which the owner logs in again", "assumed";
    FlagBoth = 0.2 "share", "uses that IBKR flags without ending the session", "assumed";
    FlagNever = 0.1 "share", "uses that end the session without a flag", "assumed";
    Answer = 8.0 "min", "from a call to the browser by day, median", "assumed";
    Away = 10.0 "times", "that much longer on weekends", "assumed";
    Looks = 3.0 "a day", "times the owner looks by himself, besides the morning", "assumed";
    Latency = 229.0 "ms", "until IBKR answers", "mean measured by TradersPost";
    Typed = 0.5 "share", "logins during IBKR's errors that get as far as a refused password", "assumed";
    Locks = 0.01 "share", "refused passwords that lock the account for a day", "assumed; ibeam#141, #221";
}

/// What is the same in every run, as none of it decides between strategies: times of day are minutes after midnight. All of it
/// is assumed, except the times of resets and maintenance.
pub(super) mod fixed {
    use std::time::Duration;

    pub(in crate::year) const BEDTIME: (f64, f64) = (22.0 * 60.0, 24.0 * 60.0 - 1.0);
    pub(in crate::year) const WAKES: (f64, f64) = (6.5 * 60.0, 7.5 * 60.0);
    /// The look before work, on working days.
    pub(in crate::year) const MORNING_LOOK: (f64, f64) = (7.0 * 60.0 + 40.0, 8.0 * 60.0 + 20.0);
    pub(in crate::year) const OTHER_LOOKS: (f64, f64) = (8.5 * 60.0, 21.0 * 60.0);
    pub(in crate::year) const WORK: (f64, f64) = (7.5 * 60.0, 17.0 * 60.0);
    /// On weekends the owner looks that much less.
    pub(in crate::year) const WEEKEND_LOOKS: f64 = 0.5;
    /// The login ends within six seconds after midnight, which IBKR documents.
    pub(in crate::year) const MIDNIGHT: (f64, f64) = (0.0, 0.1);
    /// When the nightly reset begins: users saw 00:15 and 00:30 (ibeam#53), the notes of conduit cite 01:00.
    pub(in crate::year) const RESET: (f64, f64) = (15.0, 75.0);
    /// When the outage of the weekend begins, after Friday 23:00 in New York, and how long it is at most.
    pub(in crate::year) const WEEKEND: (f64, f64) = (0.0, 60.0);
    pub(in crate::year) const WEEKEND_LONGEST: Duration = Duration::from_secs(3 * 3600);
    /// The share of outages in which IBKR answers with 503 after ten seconds, in the others with 500 at once; and the share of
    /// weekends on which it answers with errors, on the others not at all.
    pub(in crate::year) const HALF: f64 = 0.5;
    pub(in crate::year) const SLOW_ERROR: Duration = Duration::from_secs(10);
    pub(in crate::year) const REBOOT: Duration = Duration::from_secs(90);
    /// How far the wall clock is set, in seconds.
    pub(in crate::year) const CLOCK: (f64, f64) = (-120.0, 120.0);
    /// When an evicted owner logs in to the other program again, in seconds; and after how many evictions in a row not.
    pub(in crate::year) const RETURNS_AFTER: (f64, f64) = (30.0, 120.0);
    pub(in crate::year) const GIVES_UP: u32 = 3;
    /// How long the owner, who was not called, waits whether the session comes back by itself.
    pub(in crate::year) const PATIENCE: Duration = Duration::from_secs(120);
    /// When the owner tries again: after a visit that helped nothing, and after a login that failed.
    pub(in crate::year) const NEXT_VISIT: Duration = Duration::from_secs(15 * 60);
    pub(in crate::year) const NEXT_LOGIN: Duration = Duration::from_secs(10 * 60);
    /// How long a gateway needs to start, by itself and for the owner, who then logs in.
    pub(in crate::year) const START: Duration = Duration::from_secs(5);
    pub(in crate::year) const LOGIN_AFTER_START: Duration = Duration::from_secs(30);
    /// `IBEAM_GATEWAY_STARTUP`: how long a gateway that a strategy restarts is away.
    pub(in crate::year) const STRATEGY_RESTART: Duration = Duration::from_secs(20);
    pub(in crate::year) const LOCKED_FOR: Duration = Duration::from_secs(86_400);
    /// A call so shortly before the owner wakes up is none at night: hours begin at 07:30 by a clock that may be off.
    pub(in crate::year) const NEARLY_AWAKE: Duration = Duration::from_secs(5 * 60);
    /// How long the owner was at work during a need that counts as missed.
    pub(in crate::year) const MISSED: Duration = Duration::from_secs(30 * 60);
}

/// The assumptions of a run: those of [`ALL`], or some of them changed.
#[derive(Clone)]
pub struct Assumptions([f64; ALL.len()]);

impl Assumptions {
    /// The assumption as it is.
    #[must_use]
    pub const fn get(&self, key: Key) -> f64 {
        self.0[key as usize]
    }

    /// The same with one of them multiplied; a share is at most 1.
    #[must_use]
    pub fn times(mut self, key: Key, factor: f64) -> Self {
        let most = if ALL[key as usize].unit == "share" { 1.0 } else { f64::MAX };
        self.0[key as usize] = (self.0[key as usize] * factor).min(most);
        self
    }

    /// The mean time between two events of this rate.
    pub(super) fn every(&self, key: Key) -> f64 {
        let unit = match ALL[key as usize].unit {
            "a day" => DAY,
            "a week" => 7.0 * DAY,
            "a month" => 365.0 * DAY / 12.0,
            unit => panic!("{unit} is no rate"),
        };
        unit / self.get(key)
    }

    /// The assumption as a length.
    pub(super) fn minutes(&self, key: Key) -> Duration {
        Duration::from_secs_f64(self.get(key) * 60.0)
    }
}

impl Default for Assumptions {
    fn default() -> Self {
        Self(std::array::from_fn(|i| ALL[i].value))
    }
}

impl fmt::Debug for Assumptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(ALL.iter().map(|row| (row.key, self.get(row.key)))).finish()
    }
}

const DAY: f64 = 86_400.0;
