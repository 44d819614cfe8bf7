//! What an operator asks of the daemon over the control socket, and what is done about it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, spawn_local};
use tracing::{debug, info, warn};

use super::board::Board;
use super::fleet::Fleet;
use super::{Places, host_name};
use crate::alert::{self, About, Code};
use crate::config::{self, Config};
use crate::control::{self, Answer, Ask, Status, Until, Wish};
use crate::driver::{Clock, Command, HostClock};
use crate::log::event;

/// The control socket while it is open; it ends with this value.
pub(super) struct Asking {
    clock: HostClock,
    since: Timestamp,
    places: Places,
    asks: mpsc::Sender<Ask>,
    /// Ends with this value.
    open: Option<Open>,
    /// Why it could not be opened, as the log has it.
    fault: String,
}

struct Open {
    path: PathBuf,
    /// Device and inode of the socket.
    file: Option<(u64, u64)>,
    server: AbortHandle,
}

impl Asking {
    /// Opens the socket. Without it everything else goes on.
    pub(super) fn open(clock: HostClock, places: Places) -> (Self, mpsc::Receiver<Ask>) {
        let (asks, inbox) = mpsc::channel(WAITING);
        let since = clock.now().wall;
        let mut asking = Self { clock, since, places, asks, open: None, fault: String::new() };
        asking.open_socket();
        (asking, inbox)
    }

    /// Opens the socket again if its file was removed, or if it could not be opened before.
    pub(super) fn restore(&mut self) {
        if self.open.as_ref().is_none_or(|open| !open.is_in_place()) {
            self.open = None;
            self.open_socket();
        }
    }

    /// Whether the socket was open, and its file is gone.
    pub(super) fn was_removed(&self) -> bool {
        self.open.as_ref().is_some_and(|open| !open.is_in_place())
    }

    fn open_socket(&mut self) {
        let Some(path) = self.places.socket.clone() else { return };
        let socket = path.display().to_string();
        match control::bind(&path) {
            Ok(listener) => {
                info!(event = event::CONTROL_OPEN, socket, "the control socket is {socket}");
                let serve = control::serve(listener, self.places.state.clone(), self.asks.clone());
                self.open = Some(Open { file: identity(&path), server: spawn_local(serve).abort_handle(), path });
                self.fault.clear();
            }
            Err(error) => {
                let fault = error.to_string();
                if fault != self.fault {
                    warn!(
                        event = event::CONTROL_CLOSED,
                        socket,
                        fault,
                        "there is no control socket, so status, pause and the like do not work: {socket}: {fault}"
                    );
                }
                self.fault = fault;
            }
        }
    }

    /// Does what is asked, and answers.
    pub(super) fn take(&self, ask: Ask, config: &Config, file: &str, fleet: &Fleet, board: &mut Board) {
        let Ask { wish, answer } = ask;
        let now = self.clock.now().wall;
        let names = config.names();
        let known = |name: &String| names.contains(name);
        let said = match wish {
            Wish::Status => Answer::Status(Box::new(self.status(file, board))),
            Wish::Config => Answer::Config(config::show(config)),
            Wish::Check(None) => {
                fleet.check_all();
                Answer::Done("all gateways are being checked".to_owned())
            }
            Wish::Check(Some(name)) if known(&name) => command(fleet, &name, Command::Check, "is being checked", ""),
            Wish::Pause(name, until) if known(&name) => pause(fleet, &name, until, now),
            Wish::Resume(name) if known(&name) => command(fleet, &name, Command::Resume, "is watched again", ""),
            Wish::Logout(name) if known(&name) => {
                let back = format!("; `tickled login {name}` shows the way back in");
                command(fleet, &name, Command::Logout, "is being logged out", &back)
            }
            Wish::Acknowledge(None, code) => acknowledge(board, None, code),
            Wish::Acknowledge(Some(name), code) if known(&name) => acknowledge(board, Some(&name), code),
            Wish::Check(Some(name))
            | Wish::Pause(name, _)
            | Wish::Resume(name)
            | Wish::Logout(name)
            | Wish::Acknowledge(Some(name), _) => Answer::Unknown(control::no_such_gateway(&name, &names)),
            Wish::Test { channel, code } => return test(channel, code, config, self.clock, answer),
        };
        // Who has hung up needs no answer.
        drop(answer.send(said));
    }

    /// How everything is.
    pub(super) fn status(&self, file: &str, board: &Board) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: host_name(),
            pid: std::process::id(),
            at: self.clock.now().wall,
            since: self.since,
            config: file.to_owned(),
            config_refused: board.refusal().map(str::to_owned),
            gateways: board.gateways().collect(),
            alerts: board.alarm.standing().map(control::Alert::from).collect(),
            channels: board.alarm.channels().into_iter().map(control::Channel::from).collect(),
        }
    }
}

impl Open {
    fn is_in_place(&self) -> bool {
        self.file.is_some() && identity(&self.path) == self.file
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.server.abort();
        // Another daemon may have opened one there meanwhile. If ours stays, the next daemon removes it.
        if self.is_in_place() {
            drop(std::fs::remove_file(&self.path));
        }
    }
}

/// Device and inode of what is at `path`.
fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// What was done stands in the log as well; the hint is for whoever asked.
fn command(fleet: &Fleet, name: &str, command: Command, done: &str, hint: &str) -> Answer {
    let is_check = command == Command::Check;
    if fleet.command(name, command) {
        // A check changes nothing, and `login` asks for one every few seconds.
        if is_check {
            debug!(event = event::OPERATOR, gateway = name, done, "{name} {done}, as the operator asked");
        } else {
            info!(event = event::OPERATOR, gateway = name, done, "{name} {done}, as the operator asked");
        }
        Answer::Done(format!("{name} {done}{hint}"))
    } else {
        Answer::Refused(format!("{name} is busy; try again in a moment"))
    }
}

fn pause(fleet: &Fleet, name: &str, until: Until, now: Timestamp) -> Answer {
    let (until, hint) = match until {
        Until::Resumed => (None, format!("; `tickled resume {name}` ends it")),
        Until::At(until) if until <= now => {
            return Answer::Invalid(format!("{until} is in the past: it is {now} by the daemon's clock"));
        }
        Until::At(until) => (Some(until), format!("; `tickled resume {name}` ends it sooner")),
        Until::Over(over) => {
            let Ok(until) = now.checked_add(over) else {
                return Answer::Invalid("that is too long".to_owned());
            };
            (Some(until), format!("; `tickled resume {name}` ends it sooner"))
        }
    };
    let end = until.map_or_else(|| "it is resumed".to_owned(), |until| until.strftime("%F %T UTC").to_string());
    command(fleet, name, Command::Pause { until }, &format!("is paused until {end}: nothing is sent to it"), &hint)
}

fn acknowledge(board: &mut Board, gateway: Option<&str>, code: Option<Code>) -> Answer {
    let is_meant = |standing: &alert::Standing| {
        let about = gateway.is_none_or(|name| standing.about == About::Gateway(name.to_owned()));
        about && code.is_none_or(|code| code == standing.code) && standing.told
    };
    let meant: Vec<alert::Standing> = board.alarm.standing().filter(is_meant).collect();
    if meant.is_empty() {
        return Answer::Done("there is nothing to acknowledge: no such alert is open".to_owned());
    }
    let told: Vec<String> = meant.iter().map(|standing| format!("{} ({})", name(standing), standing.what)).collect();
    for standing in meant {
        board.acknowledge(&standing.about, standing.code);
    }
    Answer::Done(format!("not told again until it is over: {}", told.join("; ")))
}

fn name(standing: &alert::Standing) -> String {
    let code = standing.code.entry().code;
    match &standing.about {
        About::Gateway(name) => format!("{name}: {code}"),
        About::Channel(name) => format!("channel {name}: {code}"),
        About::Daemon => code.to_owned(),
    }
}

/// Sends a marked test. A channel may take half a minute, so the loop goes on meanwhile.
fn test(
    channel: Option<String>,
    code: Option<Code>,
    config: &Config,
    clock: HostClock,
    answer: tokio::sync::oneshot::Sender<Answer>,
) {
    let settings = config.alerts.clone();
    let names = alert::testable(&settings);
    if names.is_empty() && channel.is_none() {
        drop(answer.send(Answer::Tested(Vec::new())));
        return;
    }
    let fault = match &channel {
        _ if names.is_empty() => Some("there is no [[alerts.channel]]: alerts stand in the log alone".to_owned()),
        Some(name) if !names.contains(&name.as_str()) => {
            Some(format!("there is no channel {name:?}: there are {}", names.join(", ")))
        }
        Some(_) | None => None,
    };
    if let Some(fault) = fault {
        drop(answer.send(Answer::Unknown(fault)));
        return;
    }
    spawn_local(async move {
        let trials = alert::test(&settings, &host_name(), clock.now(), channel.as_deref(), code).await;
        drop(answer.send(Answer::Tested(trials.iter().map(control::Test::from).collect())));
    });
}

/// How many askers wait for the loop at most.
const WAITING: usize = 16;
