//! The command line: one verb, one function; exit codes.

#[path = "main/login.rs"]
mod login;
#[path = "main/operator.rs"]
mod operator;
#[path = "main/runtime.rs"]
mod runtime;
#[path = "main/terminal.rs"]
mod terminal;
#[path = "main/watch.rs"]
mod watch;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use tickled::config::{self, Config, Source};
use tickled::daemon::{self, Ended, Places};
use tickled::doctor::{self, Visit};
use tickled::driver::{Clock, HostClock};
use tickled::gateway::{BuildError, Target, Trust};
use tickled::session::Policy;
use tickled::simulator;
use tickled::systemd::Notifier;
use tickled::verbs::{self, Exit, asking, folded};
use tickled::{alert, control, demo, log, pages};

use self::runtime::{asynchronously, runtime};

/// Keeps an Interactive Brokers Client Portal session alive, and calls a human when only a human can help.
#[derive(Debug, Parser)]
#[command(name = "tickled", version, propagate_version = true, after_help = exit_codes(), max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Keeps the configured sessions alive until a signal ends it
    Run {
        /// The configuration
        #[arg(long, env = "TICKLED_CONFIG", default_value = USUAL_CONFIG)]
        config: PathBuf,
    },
    /// Shows all of it in half a minute: the daemon against a simulated gateway
    Demo,
    /// Runs a simulated gateway, to rehearse a lapse with your own program
    Simulate(Simulate),
    #[command(flatten)]
    Operator(operator::Verb),
    /// Shows the certificate that a gateway presents, and the lines that pin it. Asks the gateway nothing
    Cert(Cert),
    /// Tries out how you are told
    #[command(subcommand)]
    Alert(AlertVerb),
    /// The way through a login by hand, and the wait until the session is live
    #[command(after_help = LOGIN_EXAMPLES)]
    Login(login::Arguments),
    /// Finds out what is wrong: named checks, each with its finding and its remedy
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor(Doctor),
    /// Shows and judges configurations
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Prints this program's manual pages
    Man {
        /// The verb whose page it is, as: config check. Without it the page of the whole program
        verb: Vec<String>,
        /// Write all pages into this folder instead
        #[arg(long, value_name = "DIR", conflicts_with = "verb")]
        into: Option<PathBuf>,
    },
    /// Prints what completes this program's command line in a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[derive(Debug, Args)]
struct Simulate {
    /// Where the gateway listens; loopback only
    #[arg(long, default_value = "127.0.0.1:15000")]
    listen: SocketAddr,
    /// Where the port that sets the world listens; loopback only. Open it in a browser for its commands
    #[arg(long, default_value = "127.0.0.1:15001")]
    control: SocketAddr,
    /// Speak HTTP instead of HTTPS, as a gateway with `listenSsl: false`
    #[arg(long)]
    plain: bool,
}

#[derive(Debug, Args)]
struct Cert {
    /// The gateway, as https://localhost:5000
    #[arg(long)]
    url: String,
    /// Print one JSON object instead of lines for people
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum AlertVerb {
    /// Send a marked test through all channels and the dead man's switch, and print each answer
    ///
    /// A running daemon sends it, as only that may read its secrets; where none answers it is sent from here.
    ///
    /// Exit code 0 if all were delivered, 1 if a failure may pass by itself, 2 if a human must mend something.
    Test {
        /// Send it from here with this configuration, whatever daemon runs
        #[arg(long)]
        config: Option<PathBuf>,
        /// This channel alone
        #[arg(long, value_name = "NAME")]
        channel: Option<String>,
        /// Send it with the priority of this alert, e.g. login-required, to the channels that take it: does it wake you?
        #[arg(long = "as", value_name = "CODE")]
        code: Option<String>,
        /// The control socket of the daemon; without it, where daemons have theirs
        #[arg(long, env = "TICKLED_SOCKET", value_name = "PATH")]
        socket: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
struct Doctor {
    /// The configuration
    #[arg(long, env = "TICKLED_CONFIG", default_value = USUAL_CONFIG)]
    config: PathBuf,
    /// Look at this host's files and programs only: ask no gateway and no channel
    #[arg(long)]
    offline: bool,
    /// The folder into which the gateway was unpacked: its conf.yaml and its Java are looked at as well
    #[arg(long, value_name = "DIR")]
    gateway_dir: Option<PathBuf>,
    /// Print one JSON object instead of lines for people
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum ConfigVerb {
    /// Prints every key with its default and its meaning
    Default,
    /// Validates a configuration without running it: every fault, with its line
    ///
    /// Also checks what the configuration names on this host: files, programs, hosts and units. What another user or
    /// another host may see differently is a warning and does not change the exit code.
    Check(ConfigFile),
    /// Prints the configuration in force: file, environment and defaults together
    Show(ConfigFile),
}

#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration [default: $TICKLED_CONFIG, else /etc/tickled/tickled.toml]
    file: Option<PathBuf>,
    /// The same as FILE
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    fn path(self) -> PathBuf {
        let variable = || std::env::var_os("TICKLED_CONFIG").filter(|value| !value.is_empty()).map(PathBuf::from);
        self.file.or(self.config).or_else(variable).unwrap_or_else(|| USUAL_CONFIG.into())
    }
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Live };
            return match error.print() {
                Err(fault) if exit == Exit::Live && fault.kind() != io::ErrorKind::BrokenPipe => Exit::Internal,
                Ok(()) | Err(_) => exit,
            }
            .code()
            .into();
        }
    };
    let outcome = match cli.verb {
        Verb::Run { config } => run(&config),
        Verb::Demo => asynchronously(demo::run()),
        Verb::Simulate(simulate) => asynchronously(simulated(simulate)),
        Verb::Operator(verb) => operator::run(verb),
        Verb::Cert(cert) => asynchronously(presented(cert)),
        Verb::Alert(AlertVerb::Test { config, channel, code, socket }) => {
            alert_test(config, channel.as_deref(), code.as_deref(), socket.as_deref())
        }
        Verb::Login(arguments) => login::run(&arguments),
        Verb::Doctor(doctor) => asynchronously(examined(doctor)),
        Verb::Config(ConfigVerb::Default) => say(config::DEFAULT).map(|()| Exit::Live),
        Verb::Config(ConfigVerb::Check(file)) => config_check(&file.path()),
        Verb::Config(ConfigVerb::Show(file)) => config_show(&file.path()),
        Verb::Man { into: Some(folder), .. } => write_manual(&folder),
        Verb::Man { verb, into: None } => print_page(&verb),
        Verb::Completions { shell } => say(&pages::completions(Cli::command(), shell)).map(|()| Exit::Live),
    };
    match outcome {
        Ok(exit) => exit.code().into(),
        Err(error) => {
            complain(&format!("{error:#}"));
            Exit::Internal.code().into()
        }
    }
}

fn run(path: &Path) -> anyhow::Result<Exit> {
    let source = Source { path: path.to_owned(), environment: environment() };
    let Some(config) = source.load().inspect_err(|faults| complain(&faults.to_string())).ok() else {
        return Ok(Exit::Configuration);
    };
    second_signal_ends().context("cannot catch signals")?;
    let guard = log::init(&config.log).context("cannot set up the log")?;
    for warning in &config.warnings {
        let fault = warning.to_string();
        tracing::warn!(event = log::event::CONFIG_WARNING, fault, "{fault}");
    }
    let notifier = Notifier::from_env().unwrap_or_else(|error| {
        let fault = error.to_string();
        tracing::warn!(
            event = log::event::SYSTEMD_UNHEARD,
            fault,
            "cannot speak to systemd: {fault}; going on without"
        );
        Notifier::default()
    });
    let runtime = runtime()?;
    let ended = runtime.block_on(daemon::run(config, source, notifier, Places::from_env()));
    // A disk or a resolver that hangs is no reason to stay.
    runtime.shutdown_timeout(Duration::ZERO);
    drop(guard);
    match ended {
        Ok(Ended::Asked) => Ok(Exit::Live),
        Ok(Ended::DriverLost) => Ok(Exit::Internal),
        Err(daemon::Error::AlreadyLocked(locked)) => {
            complain(&locked.to_string());
            Ok(Exit::AnotherKeeper)
        }
        // A file that it names has changed since it was read.
        Err(error @ daemon::Error::Client { reason: BuildError::Trust(_) | BuildError::Elsewhere(_), .. }) => {
            complain(&error.to_string());
            Ok(Exit::Configuration)
        }
        Err(error) => Err(error.into()),
    }
}

async fn simulated(simulate: Simulate) -> anyhow::Result<Exit> {
    let mut settings = simulator::Settings::new(simulate.listen, simulate.control);
    settings.plain = simulate.plain;
    let ready = |addresses: simulator::Addresses| {
        let told = format!(
            "simulated gateway at {}, log in at {0}/sso/Login; its world is set at {}\n",
            addresses.gateway_url(),
            addresses.control_url(),
        );
        drop(say(&told));
    };
    match simulator::serve(settings, ready, std::future::pending()).await {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidInput
                    | io::ErrorKind::AddrInUse
                    | io::ErrorKind::AddrNotAvailable
                    | io::ErrorKind::PermissionDenied
            ) =>
        {
            complain(&format!("{error}; --listen and --control name other addresses"));
            Ok(Exit::Usage)
        }
        ended => Ok(ended.map(|()| Exit::Live)?),
    }
}

async fn presented(cert: Cert) -> anyhow::Result<Exit> {
    let Some(target) = target(&cert.url) else { return Ok(Exit::Usage) };
    let (text, exit) = verbs::cert(&target, cert.json, terminal::terminal(), HostClock::start().now().wall).await;
    if exit == Exit::Live || cert.json {
        say(&format!("{text}\n"))?;
    } else {
        complain(&text);
    }
    Ok(exit)
}

/// The gateway at an address on the command line; what is wrong with the address, on standard error.
fn target(url: &str) -> Option<Target> {
    let url = config::address(url).inspect_err(|what| complain(&format!("--url: {what}"))).ok()?;
    let trust = if config::is_loopback(&url) { Trust::Loopback } else { Trust::System };
    Some(Target { url, answer_within: Policy::default().answer_within, trust })
}

async fn examined(Doctor { config, offline, gateway_dir, json }: Doctor) -> anyhow::Result<Exit> {
    let visit = Visit { config, environment: environment(), offline, gateway_dir, host: daemon::host_name() };
    let report = doctor::examine(&visit).await;
    say(&if json { report.json() + "\n" } else { report.text(terminal::terminal()) })?;
    Ok(report.exit())
}

fn alert_test(
    file: Option<PathBuf>,
    channel: Option<&str>,
    code: Option<&str>,
    socket: Option<&Path>,
) -> anyhow::Result<Exit> {
    let as_code = code.and_then(alert::Code::named);
    if let Some(name) = code.filter(|_| as_code.is_none()) {
        let all: Vec<&str> = alert::Code::ALL.iter().map(|code| code.entry().code).collect();
        complain(&format!("--as: there is no alert {name:?}: there are {}", all.join(", ")));
        return Ok(Exit::Usage);
    }
    if file.is_none() {
        let said = asynchronously(async { Ok(asking::test(socket, channel, code).await) })?;
        let is_alone = socket.is_none() && matches!(said, Err(control::Error::NoDaemon(_)));
        if !is_alone || !operator::stands_in(Path::new(USUAL_CONFIG)) {
            if let Ok((text, exit)) = &said
                && text.is_empty()
            {
                complain(asking::NO_CHANNEL);
                return Ok(*exit);
            }
            return operator::told_folded(said);
        }
    }
    let file = &file.unwrap_or_else(|| USUAL_CONFIG.into());
    let Some(Config { alerts, .. }) = trusted(file) else { return Ok(Exit::Configuration) };
    let names = alert::testable(&alerts);
    if names.is_empty() {
        complain(&format!("{}: {}", file.display(), asking::NO_CHANNEL));
        return Ok(Exit::HumanNeeded);
    }
    if let Some(name) = channel.filter(|name| !names.contains(name)) {
        complain(&format!(
            "--channel: there is no channel {name:?} in {}: there are {}",
            file.display(),
            names.join(", ")
        ));
        return Ok(Exit::Usage);
    }
    let host = daemon::host_name();
    warn_of_exposed(&alerts, &host);
    asynchronously(async {
        let trials = alert::test(&alerts, &host, HostClock::start().now(), channel, as_code).await;
        for trial in &trials {
            tell(&trial.to_string())?;
        }
        Ok(match trials.iter().find(|trial| !trial.is_delivered() && !trial.is_retryable()) {
            Some(_) => Exit::HumanNeeded,
            None if trials.iter().all(alert::TestResult::is_delivered) => Exit::Live,
            None => Exit::NotLive,
        })
    })
}

fn config_check(file: &Path) -> anyhow::Result<Exit> {
    let checked = config::check(file, &environment());
    let Some(config) = or_complain(checked) else { return Ok(Exit::Configuration) };
    let names: Vec<&str> = config.gateways.iter().map(|gateway| gateway.name.as_str()).collect();
    let channels: Vec<&str> = config.alerts.channels.iter().map(|channel| channel.name.as_str()).collect();
    let told =
        if channels.is_empty() { "the log alone".to_owned() } else { format!("the log, {}", channels.join(", ")) };
    warn_of_exposed(&config.alerts, &daemon::host_name());
    tell(&format!("{} is good; gateways: {}; alerts go to: {told}", file.display(), names.join(", ")))?;
    Ok(Exit::Live)
}

fn config_show(file: &Path) -> anyhow::Result<Exit> {
    let Some(config) = trusted(file) else { return Ok(Exit::Configuration) };
    say(&config::show(&config))?;
    Ok(Exit::Live)
}

fn warn_of_exposed(alerts: &alert::Settings, host: &str) {
    for file in alert::exposed(alerts, host) {
        let file = file.display();
        complain(&format!("{file} holds a secret, and every user of this host may read it: `chmod o-r {file}`"));
    }
}

fn print_page(verb: &[String]) -> anyhow::Result<Exit> {
    let Some(page) = pages::page(Cli::command(), verb)? else {
        complain(&format!("there is no page for {}: tickled --help lists the verbs", verb.join(" ")));
        return Ok(Exit::Usage);
    };
    say(&page.text)?;
    Ok(Exit::Live)
}

fn write_manual(folder: &Path) -> anyhow::Result<Exit> {
    let pages = pages::manual(Cli::command())?;
    let write = || {
        fs::create_dir_all(folder).map_err(|error| (folder.to_owned(), error))?;
        pages.iter().try_for_each(|page| {
            let file = folder.join(&page.file);
            fs::write(&file, &page.text).map_err(|error| (file, error))
        })
    };
    if let Err((path, error)) = write() {
        complain(&format!("--into: cannot write {}: {error}", path.display()));
        return Ok(Exit::Usage);
    }
    Ok(Exit::Live)
}

/// The configuration, or all that is wrong with it on standard error.
fn trusted(path: &Path) -> Option<Config> {
    or_complain(config::load(path, &environment()))
}

/// The configuration with its warnings on standard error, or all that is wrong with it there.
fn or_complain(loaded: Result<Config, config::Faults>) -> Option<Config> {
    let config = loaded.inspect_err(|faults| complain(&faults.to_string())).ok()?;
    for warning in &config.warnings {
        complain(&format!("warning: {warning}"));
    }
    Some(config)
}

/// The environment. What is not UTF-8 in it has replacement characters, which no key accepts.
fn environment() -> BTreeMap<String, String> {
    let text = |text: OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(|(key, value)| (text(key), text(value))).collect()
}

/// A second SIGTERM or SIGINT ends the process at once, even if its loop hangs. The order of the two matters: the first
/// signal finds the flag down, and only puts it up.
fn second_signal_ends() -> io::Result<()> {
    let first = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        let code = i32::from(Exit::SecondSignal.code());
        flag::register_conditional_shutdown(signal, code, Arc::clone(&first))?;
        flag::register(signal, Arc::clone(&first))?;
    }
    Ok(())
}

/// Writes to standard output. A reader that has closed the pipe has read enough, as `head` does: the verb goes on, and
/// its exit code says what it would have said.
fn say(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}

/// Says a line or more to a person: on a terminal folded where its lines end.
fn tell(text: &str) -> anyhow::Result<()> {
    say(&(folded(text, 0, terminal::terminal()) + "\n"))
}

fn complain(text: &str) {
    let text = format!("tickled: {text}");
    let width = io::stderr().is_terminal().then(|| terminal::width_of(io::stderr()));
    let text = if width.is_some() { folded(&text, 0, width) } else { text };
    drop(writeln!(io::stderr().lock(), "{text}"));
}

fn exit_codes() -> String {
    format!("Exit codes:\n{}", Exit::table())
}

const USUAL_CONFIG: &str = "/etc/tickled/tickled.toml";

const LOGIN_EXAMPLES: &str = "\
Examples:
  tickled login                   the gateway that needs it: the address, and the ssh line where there is no display
  tickled login main --within 2m  give up after two minutes, with the reason
  tickled login --url https://localhost:5000 --json

The login itself is yours to make: nothing is typed for you.
";

const DOCTOR_EXAMPLES: &str = "\
Examples:
  tickled doctor                                everything, with the installed configuration
  tickled doctor --config my.toml --offline     what can be seen without asking anybody
  tickled doctor --gateway-dir ~/clientportal   the gateway's own conf.yaml and its Java as well

Nothing is changed anywhere, nobody is logged out, and no alert is sent.
";
