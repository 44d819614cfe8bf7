//! Carries out the commands that operators send over the control socket.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, spawn_local};
use tracing::{debug, info, warn};

use super::drivers::Drivers;
use super::host::host_name;
use super::supervisor::Supervisor;
use crate::alert::{self, About, Code};
use crate::config::{self, Config};
use crate::control::{self, ControlRequest, Response, Until};
use crate::directories::Chosen;
use crate::driver::{Clock, DriverCommand, HostClock};
use crate::history::Events;
use crate::log::event;
use crate::text::clock;

/// The control socket. Dropping this closes it.
pub(super) struct ControlTask {
    clock: HostClock,
    directories: Chosen,
    requests: mpsc::Sender<ControlRequest>,
    events: Rc<Events>,
    /// The server. Dropping this value ends it.
    open: Option<OpenSocket>,
    /// The last fault that was logged.
    fault: String,
}

struct OpenSocket {
    path: PathBuf,
    /// Device and inode of the socket.
    file: Option<(u64, u64)>,
    server: AbortHandle,
}

impl ControlTask {
    /// Opens the socket. A failure is logged, and everything else works without it.
    pub(super) fn open(
        clock: HostClock,
        directories: Chosen,
        events: Rc<Events>,
    ) -> (Self, mpsc::Receiver<ControlRequest>) {
        let (requests, inbox) = mpsc::channel(WAITING);
        let mut control_task = Self { clock, directories, requests, events, open: None, fault: String::new() };
        control_task.open_socket();
        (control_task, inbox)
    }

    /// Opens the socket again if its file was removed, or if it could not be opened before.
    pub(super) fn restore(&mut self) {
        if self.open.as_ref().is_none_or(|open| !open.is_in_place()) {
            self.open = None;
            self.open_socket();
        }
    }

    /// Whether the socket is open but its file was removed.
    pub(super) fn was_removed(&self) -> bool {
        self.open.as_ref().is_some_and(|open| !open.is_in_place())
    }

    /// The directory of the socket.
    pub(super) const fn folder(&self) -> Option<&PathBuf> {
        self.directories.runtime.as_ref()
    }

    fn open_socket(&mut self) {
        let Some(path) = self.directories.runtime.as_deref().map(control::socket_in) else { return };
        let socket = path.display().to_string();
        match control::bind(&path) {
            Ok(listener) => {
                info!(event = event::CONTROL_OPEN, socket, "the control socket is {socket}");
                let events = Rc::clone(&self.events);
                let serve = control::serve(listener, self.directories.state.clone(), events, self.requests.clone());
                self.open = Some(OpenSocket { file: identity(&path), server: spawn_local(serve).abort_handle(), path });
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

    /// Carries out a command and replies.
    pub(super) fn handle(
        &self,
        request: ControlRequest,
        config: &Config,
        drivers: &Drivers,
        supervisor: &mut Supervisor,
    ) {
        let ControlRequest { command: asked, reply } = request;
        let now = self.clock.now().wall;
        let names = config.names();
        let known = |name: &String| names.contains(name);
        let response = match asked {
            control::Command::Status => Response::Status(Box::new(supervisor.status())),
            control::Command::Config => Response::Config(config::show(config)),
            control::Command::Check(None) => {
                drivers.check_all();
                Response::Done("all gateways are being checked".to_owned())
            }
            control::Command::Check(Some(name)) if known(&name) => {
                command(drivers, &name, DriverCommand::Check, "is being checked", "")
            }
            control::Command::Pause(name, until) if known(&name) => {
                pause(drivers, &name, until, now, &supervisor.alerts.zone())
            }
            control::Command::Resume(name) if known(&name) => {
                command(drivers, &name, DriverCommand::Resume, "is monitored again", "")
            }
            control::Command::Logout(name) if known(&name) => {
                let back = format!("; `tickled login {name}` shows the way back in");
                command(drivers, &name, DriverCommand::Logout, "is being logged out", &back)
            }
            control::Command::Acknowledge(None, code) => acknowledge(supervisor, None, code),
            control::Command::Acknowledge(Some(name), code) if known(&name) => {
                acknowledge(supervisor, Some(&name), code)
            }
            control::Command::Check(Some(name))
            | control::Command::Pause(name, _)
            | control::Command::Resume(name)
            | control::Command::Logout(name)
            | control::Command::Acknowledge(Some(name), _) => {
                Response::Unknown(control::no_such_gateway(&name, &names))
            }
            control::Command::TestHook(hook, gateway) => {
                return test_hook(&hook, gateway.as_deref(), supervisor, now, reply);
            }
            control::Command::Test { channel, code } => return test(channel, code, config, self.clock, reply),
        };
        // A caller that has hung up needs no reply.
        drop(reply.send(response));
    }
}

impl OpenSocket {
    fn is_in_place(&self) -> bool {
        self.file.is_some() && identity(&self.path) == self.file
    }
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.server.abort();
        // Only our own file is removed: another daemon may have opened a socket there.
        if self.is_in_place() {
            drop(std::fs::remove_file(&self.path));
        }
    }
}

/// Device and inode of the file at `path`.
fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// Sends a command to a driver. The log has the action too; the hint is only for the caller.
fn command(drivers: &Drivers, name: &str, command: DriverCommand, done: &str, hint: &str) -> Response {
    let is_check = command == DriverCommand::Check;
    if drivers.command(name, command) {
        // A check changes nothing, and `login` asks for one every few seconds.
        if is_check {
            debug!(event = event::OPERATOR, gateway = name, done, "{name} {done}, as the operator asked");
        } else {
            info!(event = event::OPERATOR, gateway = name, done, "{name} {done}, as the operator asked");
        }
        Response::Done(format!("{name} {done}{hint}"))
    } else {
        Response::Refused(format!("{name} is busy; try again in a moment"))
    }
}

fn pause(drivers: &Drivers, name: &str, until: Until, now: Timestamp, zone: &TimeZone) -> Response {
    let (until, hint) = match until {
        Until::Resumed => (None, format!("; `tickled resume {name}` ends it")),
        Until::At(until) if until <= now => {
            return Response::Invalid(format!("{until} is in the past: it is {now} by the daemon's clock"));
        }
        Until::At(until) => (Some(until), format!("; `tickled resume {name}` ends the pause")),
        Until::Over(over) => {
            let Ok(until) = now.checked_add(over) else {
                return Response::Invalid("that is too long".to_owned());
            };
            (Some(until), format!("; `tickled resume {name}` ends the pause"))
        }
    };
    let end = until.map_or_else(|| "it is resumed".to_owned(), |until| clock(until, zone));
    let hint = format!(" until {end}: nothing is sent to it{hint}");
    command(drivers, name, DriverCommand::Pause { until }, "is paused", &hint)
}

fn acknowledge(supervisor: &mut Supervisor, gateway: Option<&str>, code: Option<Code>) -> Response {
    let is_meant = |active: &alert::ActiveAlert| {
        let about = gateway.is_none_or(|name| active.about == About::Gateway(name.to_owned()));
        about && code.is_none_or(|code| code == active.code) && active.notified
    };
    let meant: Vec<alert::ActiveAlert> = supervisor.alerts.active().filter(is_meant).collect();
    if meant.is_empty() {
        return Response::Done("there is nothing to acknowledge: no such alert is open".to_owned());
    }
    let names: Vec<String> = meant.iter().map(|active| format!("{} ({})", name(active), active.summary)).collect();
    for active in meant {
        supervisor.acknowledge(&active.about, active.code);
    }
    Response::Done(format!("no more repeats until it resolves: {}", names.join("; ")))
}

fn name(active: &alert::ActiveAlert) -> String {
    let code = active.code.name();
    match &active.about {
        About::Gateway(name) => format!("{name}: {code}"),
        About::Channel(name) => format!("channel {name}: {code}"),
        About::Daemon => code.to_owned(),
    }
}

/// Runs a hook in its turn, and replies when it has ended.
fn test_hook(
    hook: &str,
    gateway: Option<&str>,
    supervisor: &Supervisor,
    now: Timestamp,
    reply: oneshot::Sender<Response>,
) {
    let status = supervisor.status();
    let (hooks, names) = (supervisor.hooks.names(), status.names());
    let meant = status.gateways.iter().find(|known| gateway.is_none_or(|name| name == known.name));
    let fault = match meant {
        None => control::no_such_gateway(gateway.unwrap_or_default(), &names),
        Some(_) if hooks.is_empty() => "there is no [[hook]] in the configuration".to_owned(),
        Some(meant) => {
            if let Some(outcome) = supervisor.hooks.test(hook, now, meant) {
                spawn_local(async move {
                    let ended = "the hook was changed meanwhile".to_owned();
                    drop(reply.send(outcome.await.map_or(Response::Refused(ended), Response::Tried)));
                });
                return;
            }
            format!("there is no hook {hook:?}: there are {}", hooks.join(", "))
        }
    };
    drop(reply.send(Response::Unknown(fault)));
}

/// Sends a marked test in a task of its own, because a channel may take half a minute.
fn test(
    channel: Option<String>,
    code: Option<Code>,
    config: &Config,
    clock: HostClock,
    reply: oneshot::Sender<Response>,
) {
    let settings = config.alerts.clone();
    let names = alert::testable(&settings);
    if names.is_empty() && channel.is_none() {
        drop(reply.send(Response::Tested(Vec::new())));
        return;
    }
    let fault = match &channel {
        _ if names.is_empty() => Some("there is no [[alerts.channel]]: alerts are only logged".to_owned()),
        Some(name) if !names.contains(&name.as_str()) => {
            Some(format!("there is no channel {name:?}: there are {}", names.join(", ")))
        }
        Some(_) | None => None,
    };
    if let Some(fault) = fault {
        drop(reply.send(Response::Unknown(fault)));
        return;
    }
    spawn_local(async move {
        let trials = alert::test(&settings, &host_name(), clock.now(), channel.as_deref(), code).await;
        drop(reply.send(Response::Tested(trials.iter().map(control::ChannelTest::from).collect())));
    });
}

/// How many requests may wait for the loop.
const WAITING: usize = 16;
