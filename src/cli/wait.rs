//! `tickled wait`: blocks until sessions are live, or until one is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::options::{Daemon, span};
use super::output::{complain, failed, say};
use super::status::fetch;
use crate::control::{self, Client, Error, Event, StateEvent};
use crate::exit::Exit;
use crate::session::{StateKind, StateReason};

/// Wait until the sessions of all gateways are live
///
/// Exit code 0 when that is the case, 1 when the time is up, 2 as soon as a human is needed, 3 if no daemon answers. A
/// restart of the daemon does not end the wait.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  tickled wait && ./trade\n  tickled wait main --within 10m\n  tickled wait main --until lost\n  \
                  ExecStartPre=tickled wait main --within 10m    (in the unit of a trading program)"
)]
pub(super) struct WaitArgs {
    /// Only these gateways
    gateways: Vec<String>,
    /// What to wait for
    #[arg(long, value_enum, default_value_t = Awaited::Live)]
    until: Awaited,
    /// Maximum time to wait, such as 30s, 5m or 1h [default: no limit]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = span)]
    within: Option<String>,
    #[command(flatten)]
    daemon: Daemon,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Awaited {
    /// All sessions are live
    Live,
    /// At least one session is not live
    Lost,
}

impl WaitArgs {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        let client = match self.daemon.client() {
            Ok(client) => client,
            Err(error) => return Ok(failed(&error)),
        };
        let within = self.within.as_deref().and_then(control::span).unwrap_or(Duration::MAX);
        let ended = timeout(within, self.wait(client)).await;
        let exit = match ended {
            Ok(Ok(exit)) => exit,
            Ok(Err(error)) => return Ok(failed(&error)),
            Err(_) => Exit::NotLive,
        };
        self.print(exit).await?;
        Ok(exit)
    }

    /// Waits for the daemon that answers now, and for those that come after it.
    async fn wait(&self, mut client: Client) -> Result<Exit, Error> {
        let mut status = fetch(&client, &self.gateways).await?;
        loop {
            let mut gateways: BTreeMap<String, (StateKind, StateReason)> = BTreeMap::new();
            for gateway in status.gateways {
                gateways.insert(gateway.name, (gateway.state, gateway.because));
            }
            if let Some(exit) = self.until.exit(&gateways) {
                return Ok(exit);
            }
            if let Ok(mut events) = client.listen().await {
                while let Some(event) = events.next().await {
                    if let Event::State(StateEvent { gateway, to, because, .. }) = event
                        && let Some(state) = gateways.get_mut(&gateway)
                    {
                        *state = (to, because);
                    }
                    if let Some(exit) = self.until.exit(&gateways) {
                        return Ok(exit);
                    }
                }
            }
            (client, status) = loop {
                sleep(AGAIN_AFTER).await;
                let Ok(client) = self.daemon.client() else { continue };
                match fetch(&client, &self.gateways).await {
                    Ok(status) => break (client, status),
                    // The next daemon may have another configuration.
                    Err(Error::Refused(why)) => return Err(Error::Refused(why)),
                    Err(_) => {}
                }
            };
        }
    }

    /// The present states: as JSON in any case, in words where it is not as it should be.
    async fn print(&self, exit: Exit) -> anyhow::Result<()> {
        let status = self.daemon.ask(async |client| fetch(&client, &self.gateways).await).await;
        if self.daemon.json {
            let gateways = status.map(|status| status.gateways).unwrap_or_default();
            let exit: &str = exit.into();
            return say(&(json!({ "result": exit, "gateways": gateways }).to_string() + "\n"));
        }
        if exit == Exit::Live {
            return Ok(());
        }
        match status {
            Ok(status) => {
                for gateway in status.gateways {
                    complain(&format!("{}: {}: {}", gateway.name, gateway.state, gateway.why));
                }
            }
            Err(error) => complain(&error.to_string()),
        }
        Ok(())
    }
}

impl Awaited {
    /// How the wait ends in these states, if it does.
    fn exit(self, gateways: &BTreeMap<String, (StateKind, StateReason)>) -> Option<Exit> {
        let mut states = gateways.values();
        match self {
            Self::Live if states.clone().all(|(state, _)| *state == StateKind::Live) => Some(Exit::Live),
            Self::Live => {
                let needs_human = |(state, because): &(_, _)| Exit::of(*state, *because) == Exit::HumanNeeded;
                states.any(needs_human).then_some(Exit::HumanNeeded)
            }
            // Nothing is known yet of a gateway that has just started.
            Self::Lost => {
                let is_lost = |(state, _): &(StateKind, _)| !matches!(state, StateKind::Live | StateKind::Starting);
                states.any(is_lost).then_some(Exit::Live)
            }
        }
    }
}

/// How often to look for a new daemon after the last one has ended.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_when_it_is_so_or_a_human_is_needed() {
        let go_on = None;
        let table = [
            ("starting", "started", go_on, go_on),
            ("live", "data-confirmed", Some(Exit::Live), go_on),
            ("recovering", "session-lapsed", go_on, Some(Exit::Live)),
            ("contested", "other-client", go_on, Some(Exit::Live)),
            ("unavailable", "no-answer", go_on, Some(Exit::Live)),
            ("unavailable", "certificate", Some(Exit::HumanNeeded), Some(Exit::Live)),
            ("login-required", "expired", Some(Exit::HumanNeeded), Some(Exit::Live)),
            ("paused", "paused", go_on, Some(Exit::Live)),
        ];
        let states = |all: &[(&str, &str)]| -> BTreeMap<String, (StateKind, StateReason)> {
            let read = |(state, because): &(&str, &str)| {
                serde_json::from_value(json!([state, because])).unwrap_or_else(|error| panic!("{because}: {error}"))
            };
            all.iter().enumerate().map(|(at, state)| (at.to_string(), read(state))).collect()
        };
        for (state, because, live, lost) in table {
            let alone = states(&[(state, because)]);
            assert_eq!(Awaited::Live.exit(&alone), live, "{state}");
            assert_eq!(Awaited::Lost.exit(&alone), lost, "{state}");
            // Beside one that is live: all have to be live, and one that is lost is enough.
            let beside = states(&[("live", "data-confirmed"), (state, because)]);
            assert_eq!(Awaited::Live.exit(&beside), live, "{state}");
            assert_eq!(Awaited::Lost.exit(&beside), lost, "{state}");
        }
    }
}
