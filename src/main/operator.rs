//! The verbs of an operator: what asks a running daemon, and `check`, which can do without one.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use tickled::control::Error;
use tickled::gateway::Target;
use tickled::verbs::{self, Exit, Form, asking, folded};

use super::terminal::{form, terminal};
use super::{USUAL_CONFIG, asynchronously, complain, say, target, tell, trusted, watch};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Says how the sessions are, as the running daemon has it
    #[command(
        after_help = "Examples:\n  tickled status\n  tickled status main\n  tickled status --json | jq '.gateways[].state'"
    )]
    Status {
        /// These gateways alone
        gateways: Vec<String>,
        #[command(flatten)]
        ask: Ask,
    },
    /// Shows how the sessions are, redrawn each second, until q or Ctrl-C
    #[command(after_help = "Examples:\n  tickled watch\n  tickled watch main")]
    Watch {
        /// These gateways alone
        gateways: Vec<String>,
        /// The control socket of the daemon; without it, where daemons have theirs
        #[arg(long, env = "TICKLED_SOCKET", value_name = "PATH")]
        socket: Option<PathBuf>,
    },
    /// Says how the sessions were: how much of the time live, a timeline, outages, changes
    #[command(
        after_help = "Examples:\n  tickled history\n  tickled history main --since 30d\n  tickled history --since 24h --svg day.svg"
    )]
    History {
        /// These gateways alone
        gateways: Vec<String>,
        /// How far back, as 24h, 7d or 30d
        #[arg(long, value_name = "TIME", default_value = "7d", allow_hyphen_values = true)]
        since: String,
        /// Draw the timeline into this file as well, as SVG
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
        #[command(flatten)]
        ask: Ask,
    },
    /// Asks whether sessions are live: has the running daemon check, or asks a gateway itself
    ///
    /// With --url it asks that gateway once and changes nothing. Without, it has the daemon check at once and says what
    /// came of it; where no daemon answers, it asks the gateways of the configuration itself.
    #[command(after_help = "Examples:\n  tickled check\n  tickled check --url https://localhost:5000")]
    Check {
        /// These gateways alone
        #[arg(conflicts_with = "url")]
        gateways: Vec<String>,
        /// Ask this gateway directly, as https://localhost:5000
        #[arg(long)]
        url: Option<String>,
        /// The configuration, where no daemon answers
        #[arg(long, env = "TICKLED_CONFIG", default_value = USUAL_CONFIG)]
        config: PathBuf,
        #[command(flatten)]
        ask: Ask,
    },
    /// Has nothing sent to a gateway, so that its session is yours
    #[command(
        after_help = "Examples:\n  tickled pause main --for 30m\n  tickled pause main    (until tickled resume main)"
    )]
    Pause {
        /// The gateway
        gateway: String,
        /// How long, as 30m, 2h or 1d; without it until it is resumed
        #[arg(long = "for", value_name = "TIME", allow_hyphen_values = true, value_parser = span)]
        over: Option<String>,
        #[command(flatten)]
        ask: Ask,
    },
    /// Ends a pause, or has the daemon try again what it has given up
    #[command(after_help = "Example:\n  tickled resume main")]
    Resume {
        /// The gateway
        gateway: String,
        #[command(flatten)]
        ask: Ask,
    },
    /// Ends a gateway's session on purpose; no alert comes of it
    #[command(after_help = "Example:\n  tickled logout main")]
    Logout {
        /// The gateway
        gateway: String,
        #[command(flatten)]
        ask: Ask,
    },
    /// Has open alerts not told again until they are over
    #[command(after_help = "Examples:\n  tickled ack\n  tickled ack main --code login-required")]
    Ack {
        /// Those about this gateway alone
        gateway: Option<String>,
        /// Those of this kind alone, as login-required
        #[arg(long)]
        code: Option<String>,
        #[command(flatten)]
        ask: Ask,
    },
}

/// How a daemon is asked, and in what form it answers.
#[derive(Debug, Args)]
pub(crate) struct Ask {
    /// The control socket of the daemon; without it, where daemons have theirs
    #[arg(long, env = "TICKLED_SOCKET", value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Print one JSON object instead of text for people
    #[arg(long)]
    json: bool,
}

impl Ask {
    fn form(&self) -> Form {
        if self.json { Form::Json } else { form() }
    }
}

pub(crate) fn run(verb: Verb) -> anyhow::Result<Exit> {
    asynchronously(async {
        let said = match verb {
            Verb::Status { gateways, ask } => asking::status(ask.socket.as_deref(), &gateways, ask.form()).await,
            Verb::Watch { gateways, socket } => return watch::watch(socket.as_deref(), &gateways).await,
            Verb::History { gateways, since, svg, ask } => {
                let said = asking::history(ask.socket.as_deref(), &gateways, &since, ask.form()).await;
                return history(said, svg.as_deref());
            }
            Verb::Check { url: Some(url), ask, .. } => return direct(&url, ask.json).await,
            Verb::Check { gateways, url: None, config, ask } => {
                match asking::check(ask.socket.as_deref(), &gateways, ask.form()).await {
                    Err(Error::NoDaemon(_)) if ask.socket.is_none() && stands_in(&config) => {
                        return configured(&config, &gateways, ask.json).await;
                    }
                    Err(Error::NoDaemon(places)) => {
                        complain(&format!("{}; {ITSELF}", Error::NoDaemon(places)));
                        return Ok(Exit::NothingAnswers);
                    }
                    said => said,
                }
            }
            Verb::Pause { gateway, over, ask } => {
                let said = asking::pause(ask.socket.as_deref(), &gateway, over.as_deref(), ask.json).await;
                return acted(said, ask.json);
            }
            Verb::Resume { gateway, ask } => {
                let said = asking::resume(ask.socket.as_deref(), &gateway, ask.json).await;
                return acted(said, ask.json);
            }
            Verb::Logout { gateway, ask } => {
                let said = asking::log_out(ask.socket.as_deref(), &gateway, ask.json).await;
                return acted(said, ask.json);
            }
            Verb::Ack { gateway, code, ask } => {
                let socket = ask.socket.as_deref();
                let said = asking::acknowledge(socket, gateway.as_deref(), code.as_deref(), ask.json).await;
                return acted(said, ask.json);
            }
        };
        told(said)
    })
}

fn acted(said: asking::Said, as_json: bool) -> anyhow::Result<Exit> {
    if as_json { told(said) } else { told_folded(said) }
}

/// The same in lines that fit.
pub(crate) fn told_folded(said: asking::Said) -> anyhow::Result<Exit> {
    told(said.map(|(text, exit)| (folded(&text, 0, terminal()) + "\n", exit)))
}

/// A length of time, in the words in which the daemon takes it.
fn span(text: &str) -> Result<String, String> {
    let is_span = tickled::control::span(text).is_some_and(|span| !span.is_zero());
    is_span.then(|| text.to_owned()).ok_or_else(|| "write it like 30m, 2h or 1d".to_owned())
}

/// Whether a configuration is to be used where no daemon answers: it is there, or somebody named it.
pub(crate) fn stands_in(config: &Path) -> bool {
    config.exists() || config != Path::new(USUAL_CONFIG)
}

/// Says what a daemon said, or why it said nothing.
pub(crate) fn told(said: asking::Said) -> anyhow::Result<Exit> {
    match said {
        Ok((text, exit)) => say(&text).map(|()| exit),
        Err(error) => {
            complain(&error.to_string());
            Ok(match error {
                Error::NoDaemon(_) | Error::NotAllowed(_) => Exit::NothingAnswers,
                Error::Broken { .. } => Exit::Internal,
                Error::Refused(_) => Exit::Usage,
            })
        }
    }
}

/// Says what was, and draws it if that is wanted.
fn history(past: Result<asking::Past, Error>, svg: Option<&Path>) -> anyhow::Result<Exit> {
    let past = match past {
        Ok(past) => past,
        Err(error) => return told(Err(error)),
    };
    if let Some(file) = svg
        && let Err(error) = std::fs::write(file, &past.svg)
    {
        complain(&format!("--svg: cannot write {}: {error}", file.display()));
        return Ok(Exit::Usage);
    }
    say(&past.text).map(|()| Exit::Live)
}

async fn direct(url: &str, as_json: bool) -> anyhow::Result<Exit> {
    let Some(target) = target(url) else { return Ok(Exit::Usage) };
    look(target, as_json).await
}

/// Asks the gateways of a configuration without a daemon.
async fn configured(file: &Path, names: &[String], as_json: bool) -> anyhow::Result<Exit> {
    let Some(config) = trusted(file) else { return Ok(Exit::Configuration) };
    if let Some(unknown) = names.iter().find(|name| !config.names().contains(name)) {
        complain(&tickled::control::no_such_gateway(unknown, &config.names()));
        return Ok(Exit::Usage);
    }
    complain("no daemon answers, so the gateways are asked directly");
    let mut worst = Exit::Live;
    for gateway in config.gateways.iter().filter(|gateway| names.is_empty() || names.contains(&gateway.name)) {
        let exit = look(gateway.target.clone(), as_json).await?;
        worst = if exit.code() > worst.code() { exit } else { worst };
    }
    Ok(worst)
}

async fn look(target: Target, as_json: bool) -> anyhow::Result<Exit> {
    let (line, exit) = verbs::check(target, as_json).await.context("cannot ask the gateway")?;
    if as_json {
        say(&format!("{line}\n"))?;
    } else {
        tell(&line)?;
    }
    Ok(exit)
}

/// What can be done without a daemon by verbs that know how.
pub(crate) const ITSELF: &str = "without one, the gateway itself: --url https://localhost:5000";
