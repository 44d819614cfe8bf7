//! Durations for people.

use std::time::Duration;

/// Formats a duration in at most two units: `340ms`, `3.2s`, `12s`, `4m 10s`, `3h 2m`, `2d 5h`. The rest is cut off.
#[must_use]
pub fn human_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let pair = |big: u64, big_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{big}{big_unit}"),
        small => format!("{big}{big_unit} {small}{small_unit}"),
    };
    match seconds {
        0 if duration.is_zero() => "0s".to_owned(),
        0 => format!("{}ms", duration.as_millis()),
        1..10 => match duration.subsec_millis() / 100 {
            0 => format!("{seconds}s"),
            tenths => format!("{seconds}.{tenths}s"),
        },
        10..60 => format!("{seconds}s"),
        60..HOUR => pair(seconds / 60, "m", seconds % 60, "s"),
        HOUR..DAY => pair(seconds / HOUR, "h", seconds % HOUR / 60, "m"),
        DAY.. => pair(seconds / DAY, "d", seconds % DAY / HOUR, "h"),
    }
}

const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;
