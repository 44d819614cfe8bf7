//! The real binary as a child: what it says, and what it uses.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::time::timeout;

/// A daemon that runs; it ends with this.
pub(crate) struct Daemon {
    child: Child,
    folder: PathBuf,
    said: Rc<Said>,
}

/// What it said so far.
#[derive(Default)]
struct Said {
    /// The states of each gateway, in their order, and when they were logged.
    states: RefCell<BTreeMap<String, Vec<(String, Timestamp)>>>,
    /// When each gateway's last ping was sent, by the clock on the wall.
    pinged: RefCell<BTreeMap<String, Timestamp>>,
    /// The longest time between two pings of a gateway.
    longest: RefCell<Option<Duration>>,
    more: Notify,
}

/// What a process has used, and uses.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) resident_kib: u64,
    pub(crate) threads: u64,
    pub(crate) cpu_ms: u64,
    /// How often it gave the processor away of its own will: as often as it was woken.
    pub(crate) switches: u64,
}

impl Daemon {
    pub(crate) fn run(config: &str) -> Self {
        Self::with_history(config, 0)
    }

    /// With a state directory, and so many changes of the gateway `g` in the last month.
    pub(crate) fn with_history(config: &str, changes: usize) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("tickled-bench-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("tickled.toml");
        fs::write(&file, config).unwrap();
        let state = folder.join("state");
        fs::create_dir_all(&state).unwrap();
        if changes > 0 {
            let every = Duration::from_secs(30 * 24 * 60 * 60) / u32::try_from(changes).unwrap();
            let begin = Timestamp::now() - every * u32::try_from(changes).unwrap();
            let row = |number: usize| {
                let at = begin + every * u32::try_from(number).unwrap();
                let (from, to) = if number.is_multiple_of(2) { ("recovering", "live") } else { ("live", "recovering") };
                format!(
                    "{{\"at\":\"{at}\",\"event\":\"changed\",\"gateway\":\"g\",\"from\":\"{from}\",\"to\":\"{to}\",\
                     \"because\":\"session-lapsed\"}}\n"
                )
            };
            fs::write(state.join("ledger.jsonl"), (0..changes).map(row).collect::<String>()).unwrap();
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_tickled"));
        command.env("STATE_DIRECTORY", &state);
        let mut child = command
            .args(["run", "--config", file.to_str().unwrap()])
            .env("TICKLED_LOG__FORMAT", "json")
            .env("RUNTIME_DIRECTORY", &folder)
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let said = Rc::new(Said::default());
        let (mut lines, hearing) = (BufReader::new(child.stderr.take().unwrap()).lines(), Rc::clone(&said));
        tokio::task::spawn_local(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Ok(line) = serde_json::from_str(&line) {
                    hearing.hear(&line);
                }
            }
        });
        Self { child, folder, said }
    }

    /// The further states of one gateway.
    pub(crate) fn states(&self, gateway: &str) -> States {
        States { gateway: gateway.to_owned(), said: Rc::clone(&self.said), seen: 0 }
    }

    /// How much later than this after the one before the latest ping was sent.
    pub(crate) fn latest_ping(&self, every: Duration) -> Option<Duration> {
        self.said.longest.borrow().map(|longest| longest.saturating_sub(every))
    }

    /// The states that a gateway was in, and when they were logged.
    pub(crate) fn changes(&self, gateway: &str) -> Vec<(String, Timestamp)> {
        self.said.states.borrow().get(gateway).cloned().unwrap_or_default()
    }

    pub(crate) fn socket(&self) -> String {
        self.folder.join("control.sock").display().to_string()
    }

    /// Has it ask nothing for an hour.
    pub(crate) async fn pause(&self, gateway: &str) {
        let mut verb = Command::new(env!("CARGO_BIN_EXE_tickled"));
        verb.args(["pause", gateway, "--for", "1h", "--socket"]).arg(self.socket()).stdout(Stdio::null());
        assert!(verb.status().await.unwrap().success(), "the pause was refused");
    }

    pub(crate) fn usage(&self) -> Usage {
        let process = format!("/proc/{}", self.child.id().unwrap());
        let status = fs::read_to_string(format!("{process}/status")).unwrap();
        let stat = fs::read_to_string(format!("{process}/stat")).unwrap();
        let times = stat.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2);
        // A tick is a hundredth of a second on every Linux there is.
        let cpu_ms = times.map(|ticks| ticks.parse::<u64>().unwrap() * 10).sum();
        let tasks = fs::read_dir(format!("{process}/task")).unwrap();
        let switches = tasks
            .filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok())
            .map(|status| number(&status, "voluntary_ctxt_switches:"))
            .sum();
        Usage { resident_kib: number(&status, "VmRSS:"), threads: number(&status, "Threads:"), cpu_ms, switches }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.child.start_kill());
        drop(fs::remove_dir_all(&self.folder));
    }
}

impl Said {
    fn hear(&self, line: &Value) {
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let Ok(time) = text("time").parse::<Timestamp>() else { return };
        match line["event"].as_str() {
            Some("state-changed") => {
                self.states.borrow_mut().entry(text("gateway")).or_default().push((text("to"), time));
                self.more.notify_waiters();
            }
            Some("request") if line["call"] == "ping_server" => {
                let took = Duration::from_millis(line["took_ms"].as_u64().unwrap_or_default());
                let sent = time.checked_sub(took).unwrap();
                if let Some(before) = self.pinged.borrow_mut().insert(text("gateway"), sent) {
                    let gap = Duration::try_from(sent.duration_since(before)).unwrap_or_default();
                    let mut longest = self.longest.borrow_mut();
                    *longest = Some(longest.map_or(gap, |longest| longest.max(gap)));
                }
            }
            Some(_) | None => {}
        }
    }
}

/// One gateway's states, as they come.
pub(crate) struct States {
    gateway: String,
    said: Rc<Said>,
    seen: usize,
}

impl States {
    /// Waits for that state, beyond those that were seen.
    pub(crate) async fn becomes(&mut self, state: &str) {
        let waiting = async {
            loop {
                let more = self.said.more.notified();
                let found = {
                    let states = self.said.states.borrow();
                    let new = states.get(&self.gateway).map_or(&[][..], |states| &states[self.seen..]);
                    new.iter().position(|(is, _)| is == state)
                };
                if let Some(place) = found {
                    self.seen += place + 1;
                    return;
                }
                more.await;
            }
        };
        assert!(timeout(Duration::from_secs(120), waiting).await.is_ok(), "{} never became {state}", self.gateway);
    }
}

fn number(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
