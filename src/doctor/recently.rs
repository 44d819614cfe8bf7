//! Remembers when the doctor last sent `validate_sso`: IBKR allows one a minute, and answers a second one with 429 for
//! 15
//! minutes.

use std::path::PathBuf;
use std::time::Duration;

use crate::atomic_file;
use crate::directories::user_folder;
use crate::driver::{Clock, HostClock};

/// Whether `validate_sso` may be sent now. If so, the time is recorded. Without a folder of the user's own
/// for such things there is no memory.
pub(super) fn may_validate(url: &str) -> bool {
    let Some(file) = file(url) else { return true };
    let now = HostClock::start().now().wall;
    let text = atomic_file::read(&file).ok().and_then(|text| String::from_utf8(text).ok());
    let last = text.and_then(|text| text.trim().parse::<jiff::Timestamp>().ok());
    let is_recent =
        last.is_some_and(|last| Duration::try_from(now.duration_since(last)).is_ok_and(|since| since < ONCE_IN));
    if !is_recent {
        // If it cannot be recorded, the next run only knows less.
        drop(atomic_file::replace(&file, now.to_string().as_bytes()));
    }
    !is_recent
}

fn file(url: &str) -> Option<PathBuf> {
    let name: String = url.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    Some(user_folder()?.join(format!("tickled-doctor-{name}")))
}

const ONCE_IN: Duration = Duration::from_secs(61);
