//! The real binary as a child, and the simulated gateway that it watches.
#![expect(clippy::disallowed_methods, reason = "real processes take real time")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use tickled::log::{EventKind, Level};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// A configuration of its own for each daemon.
pub fn file(text: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let folder = std::env::temp_dir().join(format!("tickled-run-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("{}.toml", COUNT.fetch_add(1, Ordering::Relaxed)));
    std::fs::write(&file, text).unwrap();
    file
}

/// The configuration without maintenance windows, so that a test does the same at any hour of the week: in a shipped
/// window alerts are held back, and an assertion that none came would prove nothing. Nothing connects to IBKR.
pub fn by_day(text: &str) -> String {
    format!("{text}\n[maintenance]\nwindow = []\n[ibkr]\nhost = \"\"\n")
}

/// A place of its own for each daemon's control socket and its state.
fn runtime() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let folder = std::env::temp_dir().join(format!("tickled-runtime-{}", std::process::id()));
    folder.join(COUNT.fetch_add(1, Ordering::Relaxed).to_string())
}

/// The program: cargo names it, and a test that is run by hand finds it beside itself.
#[must_use]
pub fn program() -> PathBuf {
    let beside = || std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("tickled");
    std::env::var_os("CARGO_BIN_EXE_tickled").map_or_else(beside, PathBuf::from)
}

pub fn tickled(arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.env_remove("NOTIFY_SOCKET").env_remove("XDG_STATE_HOME").env_remove("XDG_RUNTIME_DIR");
    let own = runtime();
    command.env("STATE_DIRECTORY", own.join("state")).env("RUNTIME_DIRECTORY", own);
    // No test reaches out to IBKR.
    command.env("TICKLED_IBKR__HOST", "");
    // What is asserted is what is shown in UTF-8 and UTC, wherever the test runs.
    command
        .env("TZ", "UTC")
        .env("LC_ALL", "C.UTF-8")
        .env_remove("NO_COLOR")
        .env_remove("TICKLED_SOCKET")
        .env_remove("TICKLED_CONFIG");
    command
}

/// `tickled run`, and what it says.
pub struct Daemon {
    pub child: Child,
    lines: mpsc::UnboundedReceiver<String>,
    pub said: Vec<Map<String, Value>>,
    /// All that was said, as it was said.
    pub text: String,
}

impl Daemon {
    /// Runs with the configuration in `file`, its log in JSON.
    pub fn run(file: &Path) -> Self {
        Self::spawn(&mut Self::command(file))
    }

    /// The same, and what outlives it is kept in the folder `state`.
    pub fn with_state(file: &Path, state: &Path) -> Self {
        Self::spawn(Self::command(file).env("STATE_DIRECTORY", state))
    }

    /// # Panics
    /// When the configuration keeps the shipped maintenance windows: see [`by_day`].
    pub fn command(file: &Path) -> Command {
        let text = std::fs::read_to_string(file).unwrap();
        assert!(text.contains("window = "), "what this test shows would depend on the hour:\n{text}");
        let mut run = tickled(&["run", "--config", file.to_str().unwrap()]);
        run.env("TICKLED_LOG__FORMAT", "json");
        run
    }

    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut reader = BufReader::new(child.stderr.take().unwrap()).lines();
        let (sender, lines) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok(Some(line)) = reader.next_line().await {
                drop(sender.send(line));
            }
        });
        Self { child, lines, said: Vec::new(), text: String::new() }
    }

    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Waits for a line with these fields; those before it are kept. Every line is held against the table of events.
    pub async fn hears(&mut self, signs: &[(&str, &str)], within: Duration) -> Map<String, Value> {
        let until = Instant::now() + within;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = timeout(left, self.lines.recv()).await.ok().flatten();
            let Some(line) = line else { panic!("{signs:?} was not said within {within:?}:\n{}", self.text) };
            let said = self.keep(&line);
            if signs.iter().all(|(field, value)| said.get(*field).is_some_and(|is| is == value)) {
                return said;
            }
        }
    }

    /// Waits for a state.
    pub async fn becomes(&mut self, state: &str, within: Duration) -> Map<String, Value> {
        self.hears(&[("event", "state-changed"), ("to", state)], within).await
    }

    /// The lines so far with these fields.
    pub fn count(&self, signs: &[(&str, &str)]) -> usize {
        let is_it = |said: &&Map<String, Value>| {
            signs.iter().all(|(field, value)| said.get(*field).is_some_and(|is| is == value))
        };
        self.said.iter().filter(is_it).count()
    }

    /// Listens for so long.
    pub async fn listens(&mut self, span: Duration) {
        let until = Instant::now() + span;
        while let Ok(Some(line)) = timeout(until.saturating_duration_since(Instant::now()), self.lines.recv()).await {
            self.keep(&line);
        }
    }

    /// Waits for the end, with all that is said until then.
    pub async fn ends(&mut self, within: Duration) -> ExitStatus {
        let status = timeout(within, self.child.wait()).await.expect("an end in time").unwrap();
        while let Ok(Some(line)) = timeout(SOON, self.lines.recv()).await {
            self.keep(&line);
        }
        status
    }

    /// Kills it, and waits for its end: until then it creates again what is removed from its runtime directory.
    pub async fn killed(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Stops it, does something that it must not answer half way, and lets it go on.
    pub fn while_stopped(&self, act: impl FnOnce()) {
        let tasks = format!("/proc/{}/task", self.pid());
        let is_stopped = || {
            let stats = std::fs::read_dir(&tasks).unwrap();
            let mut stats = stats.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("stat")).ok());
            stats.all(|stat| stat.rsplit(") ").next().unwrap().starts_with('T'))
        };
        self.signal("STOP");
        while !is_stopped() {
            std::thread::yield_now();
        }
        act();
        self.signal("CONT");
    }

    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let done = std::process::Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap();
        assert!(done.success());
    }

    fn keep(&mut self, line: &str) -> Map<String, Value> {
        self.text.push_str(line);
        self.text.push('\n');
        // What holds a container may complain as well while it ends.
        if line.starts_with("unshare: ") {
            return Map::new();
        }
        let Ok(Value::Object(said)) = serde_json::from_str(line) else { panic!("no object: {line}") };
        let level = said["level"].as_str().unwrap();
        let level = [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace]
            .into_iter()
            .find(|known| known.name() == level)
            .unwrap();
        if let Some(name) = said.get("event").and_then(Value::as_str) {
            let event = EventKind::named(name).unwrap_or_else(|| panic!("{name} is in no table: {line}"));
            let fields: BTreeSet<&str> = said.keys().map(String::as_str).collect();
            let fields: Vec<&str> =
                fields.into_iter().filter(|key| !["time", "level", "event", "message"].contains(key)).collect();
            assert_eq!(event.fault(level, &fields), None, "{line}");
        } else {
            assert!(level >= Level::Debug, "a line without an event: {line}");
        }
        self.said.push(said.clone());
        said
    }
}

/// Longer than anything takes on a machine that has much else to do. Waiting ends with the event, so it costs nothing.
pub const SOON: Duration = Duration::from_secs(30);
