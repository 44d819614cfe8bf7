//! Restarts a wedged gateway with the operator's command. A restart costs a login, so it is the last resort.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{AsyncReadExt, copy, sink};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tracing::{error, warn};

use crate::config::Config;
use crate::log::{event, human_duration, redact};
use crate::session::{Now, State, Unavailability};

/// The commands by gateway.
pub(super) struct Restarts {
    commands: BTreeMap<String, Vec<String>>,
}

impl Restarts {
    pub(super) fn new(config: &Config) -> Self {
        let command = |gateway: &crate::config::Gateway| {
            let command = Some(&gateway.wedged_restart).filter(|command| !command.is_empty());
            Some((gateway.name.clone(), command?.clone()))
        };
        Self { commands: config.gateways.iter().filter_map(command).collect() }
    }

    /// Runs the command of a gateway, if it has one and a restart is due. The loop goes on meanwhile.
    pub(super) fn run_if(&self, gateway: &str, take_due: impl FnOnce(&str) -> bool) {
        if let Some(command) = self.commands.get(gateway).filter(|_| take_due(gateway)) {
            tokio::task::spawn_local(run(gateway.to_owned(), command.clone()));
        }
    }
}

/// When one gateway was wedged and restarted.
pub(super) struct WedgeTracker {
    /// Since when it is wedged.
    since: Option<Duration>,
    /// When the daemon restarted it, as far as that limits the next restart.
    restarts: Vec<Timestamp>,
}

impl WedgeTracker {
    pub(super) const fn new(restarts: Vec<Timestamp>) -> Self {
        Self { since: None, restarts }
    }

    pub(super) fn restarts(&self) -> &[Timestamp] {
        &self.restarts
    }

    pub(super) fn observe(&mut self, now: Now, state: State) {
        if state == State::Unavailable(Unavailability::GatewayWedged) {
            self.since.get_or_insert(now.mono);
        } else {
            self.since = None;
        }
    }

    /// Whether to restart the gateway, which has been unavailable since `unavailable`: once per wedge, after it has lasted
    /// for a while, and at most twice a day. Records the restart.
    pub(super) fn take_due(&mut self, now: Now, unavailable: Now) -> bool {
        self.restarts.retain(|at| now.wall.duration_since(*at) < A_DAY);
        let is_due = self.since.is_some_and(|since| now.mono.saturating_sub(since) >= STANDS_FOR)
            && self.restarts.iter().all(|at| *at < unavailable.wall)
            && self.restarts.len() < PER_DAY;
        if is_due {
            self.restarts.push(now.wall);
        }
        is_due
    }
}

async fn run(gateway: String, command: Vec<String>) {
    let Some((program, arguments)) = command.split_first() else { return };
    let line = redact(&command.join(" "));
    let stood = human_duration(STANDS_FOR);
    warn!(
        event = event::GATEWAY_RESTART,
        gateway, "{gateway}: wedged for {stood}, so it is restarted with `{line}`; it needs a login afterwards"
    );
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.env_remove("NOTIFY_SOCKET").env_remove("CREDENTIALS_DIRECTORY");
    // The daemon's end does not interrupt the restart.
    let mut said = Vec::new();
    let ended = async { status(command.spawn()?, &mut said).await };
    let fault = match timeout(WITHIN, ended).await {
        Ok(Ok(status)) if status.success() => return,
        Ok(Ok(status)) => format!("{status}: {}", redact(String::from_utf8_lossy(&said).trim())),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("it has not ended within {}", human_duration(WITHIN)),
    };
    error!(
        event = event::GATEWAY_RESTART,
        gateway, fault, "{gateway}: `{line}` failed, so restart the gateway by hand: {fault}"
    );
}

/// Waits until the command ends, and keeps the beginning of its errors. The rest is read, so that it does not block.
async fn status(mut child: Child, said: &mut Vec<u8>) -> io::Result<ExitStatus> {
    let mut stderr = child.stderr.take();
    let read = async {
        if let Some(stderr) = &mut stderr {
            drop(stderr.take(LONGEST_OUTPUT).read_to_end(said).await);
            drop(copy(stderr, &mut sink()).await);
        }
        // A child process may keep the pipe open; only the end of the command counts.
        pending::<Infallible>().await
    };
    tokio::select! {
        biased;
        never = read => match never {},
        status = child.wait() => status,
    }
}

const STANDS_FOR: Duration = Duration::from_secs(5 * 60);
const PER_DAY: usize = 2;
const A_DAY: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);
const WITHIN: Duration = Duration::from_secs(2 * 60);
const LONGEST_OUTPUT: u64 = 400;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Cause;

    const WEDGED: State = State::Unavailable(Unavailability::GatewayWedged);
    const SILENT: State = State::Unavailable(Unavailability::IbkrSilent);

    fn at(minutes: u64) -> Now {
        let wall = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_mins(30_000_000 + minutes.cast_signed());
        Now { mono: Duration::from_secs(60 * minutes), wall }
    }

    #[test]
    fn a_wedge_is_restarted_once_and_after_five_minutes() {
        let mut wedges = WedgeTracker::new(Vec::new());
        wedges.observe(at(100), SILENT);
        wedges.observe(at(130), WEDGED);
        wedges.observe(at(132), WEDGED);
        assert!(!wedges.take_due(at(134), at(100)), "the verdict is four minutes old");
        assert!(wedges.take_due(at(135), at(100)));
        assert!(!wedges.take_due(at(200), at(100)), "once a wedge");
        wedges.observe(at(210), State::Live);
        wedges.observe(at(300), WEDGED);
        assert!(wedges.take_due(at(305), at(300)));
        assert_eq!(wedges.restarts(), [at(135).wall, at(305).wall]);
    }

    #[test]
    fn no_other_state_is_restarted() {
        for state in [State::Live, State::Starting, SILENT, State::LoginRequired(Cause::NeverLoggedIn)] {
            let mut wedges = WedgeTracker::new(Vec::new());
            wedges.observe(at(0), WEDGED);
            wedges.observe(at(1), state);
            assert!(!wedges.take_due(at(1000), at(0)), "{state:?}");
        }
    }

    #[test]
    fn two_restarts_a_day_are_the_most() {
        let due = |since, now| {
            let mut wedges = WedgeTracker::new(vec![at(105).wall, at(305).wall]);
            wedges.observe(at(since), WEDGED);
            wedges.take_due(at(now), at(since))
        };
        assert!(!due(500, 505));
        assert!(due(100 + 24 * 60, 105 + 24 * 60), "the first is a day ago");
        assert!(!due(50, 60), "setting the clock back does not allow a third restart");
    }

    #[tokio::test]
    async fn of_a_flood_of_errors_the_beginning_is_kept() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo first >&2; head -c 3000000 /dev/zero >&2; sleep 5 >&2 & exit 3"]);
        let child = command.stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut said = Vec::new();
        let ended = timeout(Duration::from_secs(30), status(child, &mut said)).await.unwrap().unwrap();
        assert_eq!((ended.code(), said.len()), (Some(3), 400));
        assert!(said.starts_with(b"first"));
    }

    #[tokio::test]
    async fn the_command_runs_when_a_restart_is_due_and_only_then() {
        let made = std::env::temp_dir().join(format!("tickled-restart-{}", std::process::id()));
        let command = vec!["touch".to_owned(), made.display().to_string()];
        let restarts = Restarts { commands: BTreeMap::from([("main".to_owned(), command)]) };
        let tasks = tokio::task::LocalSet::new();
        tasks
            .run_until(async {
                restarts.run_if("other", |_| panic!("a gateway without a command is never due"));
                restarts.run_if("main", |_| false);
            })
            .await;
        tasks.run_until(async {}).await;
        assert!(!made.exists());
        tasks.run_until(async { restarts.run_if("main", |_| true) }).await;
        tasks.await;
        assert!(made.exists());
        std::fs::remove_file(made).unwrap();
    }
}
