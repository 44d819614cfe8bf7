//! `tickled doctor` as a child that looks at a simulated gateway with its faults.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

/// What a visit brought.
pub(crate) struct Visit {
    pub(crate) code: Option<i32>,
    pub(crate) report: Value,
}

impl Visit {
    /// With this configuration and no more.
    pub(crate) async fn with(config: &str) -> Self {
        Self::by(&[], &file(config), |_| {}).await
    }

    /// With the two lines for one gateway, quick to give up.
    pub(crate) async fn at(url: &str) -> Self {
        Self::with(&two_lines(url)).await
    }

    pub(crate) async fn by(more: &[&str], config: &Path, prepare: impl FnOnce(&mut Command)) -> Self {
        let mut command = doctor();
        command.args(["--json", "--config", config.to_str().unwrap()]).args(more);
        prepare(&mut command);
        let ended = timeout(Duration::from_secs(60), command.output()).await.unwrap().unwrap();
        let said = String::from_utf8(ended.stdout).unwrap();
        let report = serde_json::from_str(&said)
            .unwrap_or_else(|error| panic!("{error}: {said}{}", String::from_utf8_lossy(&ended.stderr)));
        Self { code: ended.status.code(), report }
    }

    pub(crate) fn findings(&self) -> &[Value] {
        self.report["findings"].as_array().unwrap()
    }

    /// The finding of a check; the worst, if there are several.
    pub(crate) fn of(&self, check: &str) -> &Value {
        let found = self.findings().iter().find(|finding| finding["check"] == check);
        found.unwrap_or_else(|| panic!("no finding of {check}: {:#}", self.report))
    }

    /// Asserts that this is the first finding, a fault with these words, and that the exit code says so.
    pub(crate) fn is_first(&self, case: &str, check: &str, code: i32, words: &[&str]) {
        let first = &self.findings()[0];
        let all = format!("{first:#}");
        assert_eq!((first["check"].as_str(), first["verdict"].as_str()), (Some(check), Some("fault")), "{case}: {all}");
        assert_eq!(self.code, Some(code), "{case}: {all}");
        assert_eq!(self.report["exit"], code, "{case}");
        let told = format!("{} {}", first["found"].as_str().unwrap(), first["remedy"].as_str().unwrap_or_default());
        for word in words {
            assert!(told.contains(word), "{case}: {word:?} is not in {told:?}");
        }
    }

    /// Asserts that no fault was found.
    pub(crate) fn is_well(&self) {
        assert_eq!(self.code, Some(0), "{:#}", self.report);
        assert!(self.findings().iter().all(|finding| finding["verdict"] != "fault"), "{:#}", self.report);
    }
}

/// `tickled doctor` in an environment that has nothing of this host's own in it but the path.
pub(crate) fn doctor() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickled"));
    command.arg("doctor").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    bare(&mut command);
    command
}

/// Removes this host's environment, except for the path, and the clock where a library shifts it for the test.
pub(crate) fn bare(command: &mut Command) {
    let is_kept = |name: &str| ["PATH", "LD_PRELOAD", "NO_FAKE_STAT"].contains(&name) || name.starts_with("FAKETIME");
    let kept = std::env::vars().filter(|(name, _)| is_kept(name));
    command.env_clear().envs(kept);
}

pub(crate) fn two_lines(url: &str) -> String {
    format!("[gateway.main]\nurl = \"{url}\"\n[ibkr]\nhost = \"\"\n[session]\nanswer_within = \"2s\"\n")
}

/// A file of its own for each test.
pub(crate) fn file(text: &str) -> PathBuf {
    let file = folder().join("tickled.toml");
    std::fs::write(&file, text).unwrap();
    file
}

/// A folder of its own for each caller.
pub(crate) fn folder() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("tickled-doctor-{}/{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
