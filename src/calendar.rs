//! Midnights and maintenance windows, in the zones of the places they are about. Pure.

use std::time::Duration;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// The region whose midnight ends a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, strum::VariantArray, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Region {
    /// New York.
    #[default]
    NorthAmerica,
    /// Zug, Switzerland.
    Europe,
    /// Hong Kong.
    Asia,
}

impl Region {
    /// All regions.
    pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

    /// The IANA name of the time zone in which this region's midnight falls.
    #[must_use]
    pub const fn zone(self) -> &'static str {
        match self {
            Self::NorthAmerica => "America/New_York",
            Self::Europe => "Europe/Zurich",
            Self::Asia => "Asia/Hong_Kong",
        }
    }

    /// When a login made at `auth_time` is expected to end: at the region's next midnight, after a day at most.
    /// IBKR documents both; a login has been seen to end earlier, and to live longer.
    #[must_use]
    pub fn login_ends(self, auth_time: Timestamp) -> Option<Timestamp> {
        let zone = TimeZone::get(self.zone()).ok()?;
        let tomorrow = zone.to_datetime(auth_time).date().tomorrow().ok()?;
        let midnight = zone.to_ambiguous_timestamp(tomorrow.to_datetime(Time::midnight())).compatible().ok()?;
        let a_day = auth_time.checked_add(24.hours()).ok()?;
        Some(midnight.min(a_day))
    }
}

/// A time of the week in which IBKR may be away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The days on which it begins.
    pub days: Vec<Weekday>,
    /// When it begins, by the clocks of its zone.
    pub from: Time,
    /// When it ends; not later than `from` means on the next day.
    pub to: Time,
    /// The IANA name of that zone.
    pub zone: String,
    /// Whom it concerns.
    pub regions: Vec<Region>,
}

impl Window {
    /// When this window is over, if `at` lies in it. On the night of a clock change a time that does not exist is taken
    /// as that much later, and one that occurs twice as the first for a beginning and the second for an end.
    #[must_use]
    pub fn ends(&self, at: Timestamp) -> Option<Timestamp> {
        let zone = TimeZone::get(&self.zone).ok()?;
        let today = zone.to_datetime(at).date();
        let began = [today.yesterday().ok(), Some(today)].into_iter().flatten();
        began.filter(|day| self.days.contains(&day.weekday())).find_map(|day| {
            let (from, to) = self.on(&zone, day)?;
            (from <= at && at < to).then_some(to)
        })
    }

    fn on(&self, zone: &TimeZone, day: Date) -> Option<(Timestamp, Timestamp)> {
        let last_day = if self.to > self.from { day } else { day.tomorrow().ok()? };
        let from = zone.to_ambiguous_timestamp(day.to_datetime(self.from));
        let to = zone.to_ambiguous_timestamp(last_day.to_datetime(self.to));
        Some((from.compatible().ok()?, to.later().ok()?))
    }
}

/// The maintenance windows, and for how long after one alerts still wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintenance {
    /// The windows; none is allowed.
    pub windows: Vec<Window>,
    /// How long after a window's end things may take to be well again.
    pub grace: Duration,
}

/// That IBKR may be away, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InMaintenance {
    /// When the window ends.
    pub until: Timestamp,
    /// The zone in which people speak of it.
    pub zone: String,
    /// Until when alerts wait.
    pub hold_until: Timestamp,
}

impl Maintenance {
    /// Whether `at` is in a window that concerns `region`, or in the grace after one. Of several the last to end counts.
    #[must_use]
    pub fn at(&self, region: Region, at: Timestamp) -> Option<InMaintenance> {
        let before = at.checked_sub(jiff::SignedDuration::try_from(self.grace).ok()?).ok()?;
        let of_region = self.windows.iter().filter(|window| window.regions.contains(&region));
        let over = |window: &Window| window.ends(at).or_else(|| window.ends(before));
        let (until, zone) = of_region.filter_map(|window| Some((over(window)?, &window.zone))).max()?;
        Some(InMaintenance { until, zone: zone.clone(), hold_until: until.saturating_add(self.grace).unwrap_or(until) })
    }
}

impl Default for Maintenance {
    /// What IBKR publishes for its platform and for this API; the shipped configuration file names the sources.
    fn default() -> Self {
        let window = |days: &[Weekday], from: Time, to: Time, zone: &str, regions: &[Region]| Window {
            days: days.to_vec(),
            from,
            to,
            zone: zone.to_owned(),
            regions: regions.to_vec(),
        };
        let time = Time::constant;
        let mut windows: Vec<Window> = Region::ALL
            .iter()
            .map(|region| window(&EVERY_DAY, time(23, 45, 0, 0), time(1, 45, 0, 0), region.zone(), &[*region]))
            .collect();
        windows.extend([
            window(&NOT_SATURDAY, time(6, 25, 0, 0), time(7, 45, 0, 0), "Europe/Zurich", &[Region::Europe]),
            window(&NOT_SATURDAY, time(4, 45, 0, 0), time(6, 5, 0, 0), "Asia/Hong_Kong", &[Region::Asia]),
            window(&NOT_SATURDAY, time(20, 15, 0, 0), time(21, 15, 0, 0), "Asia/Hong_Kong", &[Region::Asia]),
            window(&[Weekday::Friday], time(23, 0, 0, 0), time(3, 0, 0, 0), "America/New_York", Region::ALL),
        ]);
        Self { windows, grace: Duration::from_secs(600) }
    }
}

const EVERY_DAY: [Weekday; 7] = [
    Weekday::Monday,
    Weekday::Tuesday,
    Weekday::Wednesday,
    Weekday::Thursday,
    Weekday::Friday,
    Weekday::Saturday,
    Weekday::Sunday,
];
const NOT_SATURDAY: [Weekday; 6] =
    [Weekday::Monday, Weekday::Tuesday, Weekday::Wednesday, Weekday::Thursday, Weekday::Friday, Weekday::Sunday];
