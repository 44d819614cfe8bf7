//! `tickled login`: shows how to log in, opens a browser on a desktop, and waits.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::login_wait::{self, LoginState, Manual, Witness};
use super::options::{ConfigFile, SocketArgs, WITHOUT_DAEMON, load, target};
use super::output::{complain, say, tell};
use super::terminal::width_of;
use crate::control::{self, no_such_gateway};
use crate::daemon::host_name;
use crate::exit::Exit;
use crate::gateway::{Client, Target};
use crate::log::human_duration;
use crate::session::StateKind;
use crate::text::wrap;

/// Show how to log in, and wait until the session is live
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct LoginArgs {
    /// The gateway [default: the only one, or the only one that needs a login]
    #[arg(conflicts_with = "url")]
    gateway: Option<String>,
    /// Ask this gateway directly, such as https://localhost:5000
    #[arg(long)]
    url: Option<String>,
    #[command(flatten)]
    file: ConfigFile,
    /// How long to wait, such as 90s or 10m
    #[arg(long, value_name = "TIME", default_value = "10m", allow_hyphen_values = true, value_parser = span)]
    within: Duration,
    /// Do not open a browser
    #[arg(long)]
    no_browser: bool,
    #[command(flatten)]
    socket: SocketArgs,
    /// Print one JSON object at the end; everything else goes to standard error
    #[arg(long)]
    json: bool,
}

impl LoginArgs {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        let arguments = &self;
        let found = match &arguments.url {
            Some(url) => match target(url) {
                Some(target) => asked_directly("gateway", target)?,
                None => return Ok(Exit::Usage),
            },
            None => match find(arguments).await? {
                Ok(found) => found,
                Err(exit) => return Ok(exit),
            },
        };
        let (login, witness) = found;
        let mut spinner = Spinner::new();
        let (mut is_shown, mut last) = (false, String::new());
        let ended = login_wait::wait(&witness, &login.gateway, arguments.within, |seen, waited| match seen {
            LoginState::Needed(why, _) => {
                if !is_shown {
                    is_shown = true;
                    spinner.end();
                    show(&login, arguments);
                }
                spinner.turn(why, waited);
            }
            LoginState::NotYet(why, exit) => {
                if !is_shown && *why != last {
                    last.clone_from(why);
                    spinner.end();
                    print(&login.waiting(why, *exit), arguments);
                }
                spinner.turn(why, waited);
            }
            LoginState::Live | LoginState::Never(..) => {}
        })
        .await;
        spinner.end();
        if arguments.json {
            say(&(login.json(&ended) + "\n"))?;
        } else {
            tell(&login.end(&ended))?;
        }
        Ok(ended.seen.exit())
    }
}

/// Prints how to log in, and opens a browser on a desktop.
fn show(login: &Manual, arguments: &LoginArgs) {
    print(&login.way(), arguments);
    if login.has_display && !arguments.no_browser {
        let mut command = Command::new("xdg-open");
        command.arg(&login.url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Err(error) = command.spawn() {
            complain(&format!("no browser could be opened ({error}): open the address in your browser"));
        }
    }
}

/// Prints progress for people. With `--json`, standard output gets only the last line.
fn print(text: &str, arguments: &LoginArgs) {
    if arguments.json {
        drop(write!(io::stderr().lock(), "{text}"));
    } else {
        drop(tell(text));
    }
}

/// The gateway, and how to watch it: through the daemon if one answers, else directly.
async fn find(arguments: &LoginArgs) -> anyhow::Result<Result<(Manual, Witness), Exit>> {
    match arguments.socket.client() {
        Ok(daemon) => by_daemon(daemon, arguments).await,
        Err(control::Error::NoDaemon(_)) if !arguments.socket.is_named() && arguments.file.is_usable() => {
            by_config(arguments)
        }
        Err(error @ control::Error::NoDaemon(_)) => {
            complain(&format!("{error}; {WITHOUT_DAEMON}"));
            Ok(Err(Exit::NothingAnswers))
        }
        Err(error) => {
            complain(&error.to_string());
            Ok(Err(Exit::NothingAnswers))
        }
    }
}

async fn by_daemon(daemon: control::Client, arguments: &LoginArgs) -> anyhow::Result<Result<(Manual, Witness), Exit>> {
    let status = match daemon.status().await {
        Ok(status) => status,
        Err(error) => {
            complain(&error.to_string());
            return Ok(Err(Exit::Internal));
        }
    };
    let names: Vec<String> = status.gateways.iter().map(|gateway| gateway.name.clone()).collect();
    let lost = status.gateways.iter().filter(|gateway| gateway.state == StateKind::LoginRequired);
    let lost: Vec<String> = lost.map(|gateway| gateway.name.clone()).collect();
    Ok(chosen(arguments.gateway.as_deref(), &names, &lost).and_then(|name| {
        let gateway = status.gateway(&name).ok_or(Exit::Usage)?;
        Ok((Manual { login_url: gateway.login_url.clone(), ..of(&name, &gateway.url) }, Witness::Daemon(daemon)))
    }))
}

fn by_config(arguments: &LoginArgs) -> anyhow::Result<Result<(Manual, Witness), Exit>> {
    let file: &Path = &arguments.file.config;
    let Some(config) = load(file) else { return Ok(Err(Exit::Configuration)) };
    let name = match chosen(arguments.gateway.as_deref(), &config.names(), &[]) {
        Ok(name) => name,
        Err(exit) => return Ok(Err(exit)),
    };
    let target = config.gateways.iter().find(|gateway| gateway.name == name).map(|gateway| gateway.target.clone());
    let Some(target) = target else { return Ok(Err(Exit::Usage)) };
    let (login, witness) = asked_directly(&name, target)?;
    let login_url = config.alerts.login_urls.get(&name).cloned();
    Ok(Ok((Manual { login_url, ..login }, witness)))
}

fn asked_directly(name: &str, target: Target) -> anyhow::Result<(Manual, Witness)> {
    let login = of(name, target.url.as_str());
    let client = Client::new(target).context("cannot ask the gateway")?;
    Ok((login, Witness::Gateway(Box::new(client))))
}

fn of(name: &str, url: &str) -> Manual {
    let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    // A display forwarded by ssh is on another host, and slow.
    let has_display = (set("DISPLAY") || set("WAYLAND_DISPLAY")) && !set("SSH_CONNECTION");
    Manual { gateway: name.to_owned(), url: url.to_owned(), login_url: None, host: host_name(), has_display }
}

/// The gateway that is named, the only one, or the only one that needs a login.
fn chosen(named: Option<&str>, names: &[String], lost: &[String]) -> Result<String, Exit> {
    match (named, names, lost) {
        (Some(name), ..) if names.iter().any(|known| known == name) => Ok(name.to_owned()),
        (Some(name), ..) => {
            complain(&no_such_gateway(name, names));
            Err(Exit::Usage)
        }
        (None, [only], _) | (None, _, [only]) => Ok(only.clone()),
        (None, _, lost) => {
            let these = if lost.is_empty() { names } else { lost };
            let what = if lost.is_empty() { "there are" } else { "these need a login:" };
            complain(&format!("which gateway? {what} {}; name one: tickled login NAME", these.join(", ")));
            Err(Exit::Usage)
        }
    }
}

/// Shows on a terminal what is being waited for.
struct Spinner {
    is_shown: bool,
    turns: usize,
}

impl Spinner {
    fn new() -> Self {
        Self { is_shown: io::stderr().is_terminal(), turns: 0 }
    }

    fn turn(&mut self, why: &str, waited: Duration) {
        if self.is_shown {
            let sign = SIGNS.get(self.turns % SIGNS.len()).copied().unwrap_or_default();
            self.turns += 1;
            let waited = human_duration(Duration::from_secs(waited.as_secs()));
            let room = width_of(io::stderr()).saturating_sub(1);
            let line = wrap(&format!("{sign} {waited}: {why}"), 0, Some(room));
            // A second line would not be replaced by the next.
            let line = line.lines().next().unwrap_or_default();
            let mut out = io::stderr().lock();
            drop(write!(out, "\r\u{1b}[K{line}").and_then(|()| out.flush()));
        }
    }

    fn end(&self) {
        if self.turns > 0 {
            let mut out = io::stderr().lock();
            drop(write!(out, "\r\u{1b}[K").and_then(|()| out.flush()));
        }
    }
}

fn span(text: &str) -> Result<Duration, String> {
    let read = control::span(text).filter(|span| !span.is_zero());
    read.ok_or_else(|| "write it like 90s, 10m or 1h".to_owned())
}

const SIGNS: [&str; 4] = ["|", "/", "-", "\\"];

const EXAMPLES: &str = "\
Examples:
  tickled login                   the gateway that needs a login: its address, and an ssh command for hosts without display
  tickled login main --within 2m  give up after two minutes, with the reason
  tickled login --url https://localhost:5000 --json

You log in yourself, in a browser: tickled types nothing.
";
