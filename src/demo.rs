//! `demo`: the real daemon against a simulated gateway, with shortened intervals and a commentary.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use signal_hook::consts::SIGTERM;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::config::{self, Source};
use crate::daemon::{self, Ended};
use crate::directories::Chosen;
use crate::exit::Exit;
use crate::gateway::Trust;
use crate::log::{self, Format, Level, OutputFormat};
use crate::simulator::world::{Limits, Options};
use crate::simulator::{self, Addresses};
use crate::systemd::Notifier;

/// Runs the demo. [`Exit::Live`] only if every step was observed.
///
/// # Errors
/// When a step was not observed, or the demo could not start.
pub async fn run() -> anyhow::Result<Exit> {
    let (ready, addresses) = oneshot::channel();
    let (_over, shutdown) = oneshot::channel::<()>();
    let simulator = simulator::serve(
        settings(),
        |addresses| {
            let _ = ready.send(addresses);
        },
        async {
            drop(shutdown.await);
        },
    );
    tokio::select! {
        ended = simulator => {
            ended.context("cannot run the simulated gateway")?;
            bail!("the simulated gateway ended by itself")
        }
        seen = async { Box::pin(play(&addresses.await.context("the simulated gateway did not start")?)).await } => seen,
    }
}

async fn play(addresses: &Addresses) -> anyhow::Result<Exit> {
    let text = configuration(&addresses.gateway_url());
    let name = Path::new("demo.toml");
    let config = config::parse(&text, name, &BTreeMap::new()).context("the demo's configuration")?;
    let (lines, inbox) = mpsc::unbounded_channel();
    let is_coloured = io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
    let format = OutputFormat::choose(Format::Text, log::Sink::Terminal { is_coloured });
    let log = log::Settings { level: Level::Trace, ..config.log.clone() };
    let (subscriber, _guard) =
        log::subscriber(&log, format, log::wall_clock, LineSplitter { lines, line: Vec::new() })?;
    tracing::subscriber::set_global_default(subscriber)?;
    let mut stage = Commentary {
        inbox,
        control: addresses.control_url(),
        http: reqwest::Client::builder().tls_backend_preconfigured(Trust::Loopback.config()?).no_proxy().build()?,
    };
    let source = Source { path: name.to_owned(), environment: BTreeMap::new() };
    let daemon = daemon::run(config, source, Notifier::default(), Chosen::default());
    tokio::pin!(daemon);
    tokio::select! {
        ended = &mut daemon => bail!("the daemon ended by itself: {:?}", ended?),
        shown = show(&mut stage, addresses) => shown?,
    }
    stage.narrate("SIGTERM ends the daemon. The sessions stay logged in.")?;
    signal_hook::low_level::raise(SIGTERM).context("cannot signal the daemon")?;
    match timeout(PATIENCE, daemon).await.context("the daemon did not end")?? {
        Ended::Asked => stage.see(&["event=daemon-stopped"]).await?,
        Ended::DriverLost => bail!("the daemon lost a driver"),
    }
    stage.narrate("That is all. Every step happened as described.")?;
    Ok(Exit::Live)
}

async fn show(stage: &mut Commentary, addresses: &Addresses) -> anyhow::Result<()> {
    stage.narrate(&format!(
        "A simulated gateway runs at {}, and a human has logged in. The daemon starts, with shortened intervals.",
        addresses.gateway_url()
    ))?;
    stage.set("login").await?;
    stage.see(&["event=daemon-started"]).await?;
    stage.see(&["event=state-changed", "to=live"]).await?;
    stage.narrate("The session is live. Pings keep it from timing out; each ping is one line at level trace.")?;
    stage.see(&["event=request", "call=ping_server", "outcome=ok"]).await?;

    stage
        .narrate("IBKR lets the session lapse, as it does at night. The login is still valid, so the daemon recovers the session.")?;
    stage.set("lapse").await?;
    stage.see(&["event=state-changed", "from=live", "to=recovering"]).await?;
    stage.see(&["event=state-changed", "to=live"]).await?;

    stage.narrate("The login itself expires. No request can restore it: there is one alert, and no more attempts.")?;
    stage.set("expire-login").await?;
    stage.see(&["event=state-changed", "to=login-required"]).await?;
    stage.see(&["event=alert", "code=login-required", "phase=raised"]).await?;

    stage.narrate(
        "A human logs in with a browser. The daemon notices by itself, and reports that the problem is resolved.",
    )?;
    stage.set("login").await?;
    stage.see(&["event=state-changed", "to=live"]).await?;
    stage.see(&["event=alert", "code=login-required", "phase=resolved"]).await
}

/// The demo: reads the daemon's log, controls the simulator, and prints the commentary.
struct Commentary {
    inbox: mpsc::UnboundedReceiver<String>,
    control: String,
    http: reqwest::Client,
}

impl Commentary {
    /// Waits for a log line that contains all `signs`, and prints the lines before it.
    async fn see(&mut self, signs: &[&str]) -> anyhow::Result<()> {
        let seen = timeout(PATIENCE, async {
            while let Some(line) = self.inbox.recv().await {
                let bare = without_colour(&line);
                let is_it = signs.iter().all(|sign| bare.contains(sign));
                if is_it || !(bare.contains(" DEBUG ") || bare.contains(" TRACE ")) {
                    say(&format!("  {line}"))?;
                }
                if is_it {
                    return Ok(());
                }
            }
            bail!("the daemon's log ended")
        });
        let missing = || format!("not observed within {}: {}", log::human_duration(PATIENCE), signs.join(" "));
        seen.await.with_context(missing)?
    }

    /// Sends a command to the simulator.
    async fn set(&self, command: &str) -> anyhow::Result<()> {
        let url = format!("{}/{command}", self.control);
        self.http
            .post(url)
            .send()
            .await?
            .error_for_status()
            .with_context(|| format!("the simulator refused {command}"))?;
        Ok(())
    }

    fn narrate(&self, text: &str) -> anyhow::Result<()> {
        say(&format!("\n{text}\n\n"))
    }
}

/// Splits the daemon's log into lines.
struct LineSplitter {
    lines: mpsc::UnboundedSender<String>,
    line: Vec<u8>,
}

impl Write for LineSplitter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            self.line.push(*byte);
            if *byte == b'\n' {
                let line = String::from_utf8_lossy(&self.line).into_owned();
                self.line.clear();
                self.lines.send(line).map_err(|_| io::ErrorKind::BrokenPipe)?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn settings() -> simulator::Settings {
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut settings = simulator::Settings::new(anywhere, anywhere);
    // Everything is faster than in reality, including the requests.
    let quick = Options { auth_delay: Duration::from_millis(500), limits: Limits::Off, ..settings.options };
    settings.options = quick;
    settings
}

fn configuration(url: &str) -> String {
    format!(
        "[maintenance]\nwindow = []\n[ibkr]\nhost = \"\"\n[gateway.demo]\nurl = \"{url}\"\n\
         [session]\nping_every = \"2s\"\ncheck_every = \"1s\"\nwatch_every = \"5s\"\nanswer_within = \"5s\"\n"
    )
}

/// The line without colour codes.
fn without_colour(line: &str) -> String {
    let mut bare = String::new();
    let mut parts = line.split('\x1b');
    bare.extend(parts.next());
    for part in parts {
        bare.extend(part.split_once('m').map(|(_, text)| text));
    }
    bare
}

/// Writes to standard output. A reader that has closed the pipe does not make the demo a failure.
fn say(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}

/// The longest time for each step.
const PATIENCE: Duration = Duration::from_secs(15);
