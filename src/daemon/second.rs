//! What a second keeper does before it ends: by hand nothing, under systemd it waits for a while whether the first one goes.

use std::time::Duration;

use futures_util::StreamExt;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_tokio::Signals;
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::fleet::Fleet;
use super::keeper::Kept;
use super::{Ended, Error};
use crate::config::Gateway;
use crate::log::event;
use crate::systemd::Notifier;

/// Waits until all gateways can be had, and has them then. Ended if a signal came instead.
///
/// # Errors
/// With the gateway that is kept: at once where nobody would start this one again, else after a while. systemd starts it
/// again two seconds after each end, and those two alone would fill the journal.
pub(super) async fn outlast(
    mut kept: Kept,
    fleet: &mut Fleet,
    gateways: &[Gateway],
    notifier: &mut Notifier,
    signals: &mut Signals,
) -> Result<Option<Ended>, Error> {
    if !notifier.has_manager() {
        return Err(kept.into());
    }
    let (gateway, fault) = (&kept.name, kept.to_string());
    warn!(event = event::GATEWAY_KEPT, gateway, fault, "{fault}; waiting for its end");
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        notifier.status(&format!("not started: {kept}"));
        tokio::select! {
            signal = signals.next() => match signal {
                Some(SIGTERM | SIGINT) | None => {
                    notifier.stopping();
                    return Ok(Some(Ended::Asked));
                }
                // There is nothing yet to check, or to read again.
                Some(_) => {}
            },
            () = sleep(AGAIN) => match fleet.hold(gateways) {
                Ok(()) => return Ok(None),
                Err(still) => kept = still,
            },
        }
    }
    Err(kept.into())
}

/// How often it is tried.
const AGAIN: Duration = Duration::from_secs(1);
/// Well within what the unit gives a start.
const PATIENCE: Duration = Duration::from_secs(20);
