//! An operator asks and steers the real daemon over its control socket, by verbs and by curl's own words.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod crowd;
mod endpoint;
mod event_source;
mod events;
mod examples;
mod exposition;
mod hooks;
mod past;
mod pictures;
mod places;
mod promtool;
mod seen;
mod socket;
mod verbs;
mod waiting;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Output;
use std::sync::atomic::{AtomicU32, Ordering};

use support::{Daemon, Gateway, SOON, by_day, file, tickled, until_file};

/// A runtime directory, and a state directory in it, of its own for each daemon, whatever the umask.
fn place() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let place = std::env::temp_dir().join(format!("tickled-control-{}-{number}", std::process::id()));
    std::fs::create_dir_all(place.join("state")).unwrap();
    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755)).unwrap();
    place
}

/// A daemon with its control socket and its state directory in places of their own.
struct Host {
    daemon: Daemon,
    config: PathBuf,
    place: PathBuf,
}

impl Host {
    /// A daemon that watches `gateway` as `main`, seen live.
    async fn live(gateway: &Gateway) -> Self {
        let mut host = Self::start(&Self::two_lines(gateway));
        host.daemon.becomes("live", SOON).await;
        host
    }

    /// The configuration of two lines that is enough, by day.
    fn two_lines(gateway: &Gateway) -> String {
        by_day(&format!("[gateway.main]\nurl = \"{}\"\n", gateway.url()))
    }

    fn start(config: &str) -> Self {
        let place = place();
        let config = file(config);
        Self { daemon: Self::daemon(&config, &place), config, place }
    }

    fn daemon(config: &std::path::Path, place: &std::path::Path) -> Daemon {
        let mut run = Daemon::command(config);
        Daemon::spawn(run.env("RUNTIME_DIRECTORY", place).env("STATE_DIRECTORY", place.join("state")))
    }

    /// Another daemon in the place of this one, which was killed.
    async fn killed_and_started_again(&mut self) {
        self.daemon.child.kill().await.unwrap();
        self.daemon = Self::daemon(&self.config, &self.place);
    }

    /// Waits for so many changes in the ledger.
    async fn has_written(&self, changes: usize) -> String {
        let has_changes = |ledger: &str| ledger.matches("\"changed\"").count() == changes;
        until_file(&self.place.join("state/ledger.jsonl"), &format!("{changes} changes"), has_changes).await
    }

    /// Waits until the state that outlives the daemon has this text.
    async fn has_kept(&self, text: &str) {
        until_file(&self.place.join("state/state.json"), text, |kept| kept.contains(text)).await;
    }

    fn socket(&self) -> PathBuf {
        self.place.join("control.sock")
    }

    /// What a verb says and how it ends, with this daemon's socket.
    async fn asks(&self, arguments: &[&str]) -> Asked {
        let mut verb = tickled(arguments);
        verb.env("TICKLED_SOCKET", self.socket()).env("COLUMNS", "80").env_remove("TICKLED_CONFIG");
        Asked::from(verb.output().await.unwrap())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // While it runs it creates again what is removed.
        drop(self.daemon.child.start_kill());
        drop(std::fs::remove_dir_all(&self.place));
    }
}

/// How a verb ended.
#[derive(Debug)]
struct Asked {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Asked {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
