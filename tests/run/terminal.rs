//! A terminal that is closed ends a daemon that was started in it by hand. A SIGHUP by itself is a reload.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::two_lines;
use support::{Gateway, SOON, program};

/// A daemon in a terminal of its own.
struct Session {
    terminal: Child,
    folder: PathBuf,
}

impl Session {
    /// Runs a shell command in which `RUN` is the daemon.
    fn start(name: &str, gateway: &Gateway, shell: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("tickled-terminal-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let run = format!("{} run --config {}", program().display(), two_lines(&gateway.url()).display());
        // These tests may themselves have been started by `nohup`.
        let mut terminal = Command::new("env");
        terminal.args(["--default-signal=HUP", "script"]);
        terminal.args(["-q", "-e", "-f", "-c", &shell.replace("RUN", &run), "/dev/null"]).current_dir(&folder);
        terminal.env("STATE_DIRECTORY", folder.join("state")).env("RUNTIME_DIRECTORY", folder.join("run"));
        terminal.env_remove("NOTIFY_SOCKET").env("SHELL", "/bin/sh");
        // Its standard input is kept open, or the terminal would end.
        terminal.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        Self { terminal: terminal.spawn().unwrap(), folder }
    }

    /// Waits until a file has this text.
    async fn has(&self, file: &str, text: &str) {
        let path = self.folder.join(file);
        let has = async {
            while !fs::read_to_string(&path).unwrap_or_default().contains(text) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        let written = || fs::read_to_string(&path).unwrap_or_default();
        timeout(SOON, has).await.unwrap_or_else(|_| panic!("{text} is not in {file}: {}", written()));
    }

    fn pid(&self) -> u32 {
        let lock = fs::read_to_string(self.folder.join("state/lock")).unwrap();
        lock.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
    }

    fn hang_up(&self) {
        let pid = self.pid().to_string();
        assert!(std::process::Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn is_running(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn a_closed_terminal_ends_the_daemon_and_a_signal_alone_does_not() {
    if !Path::new("/usr/bin/script").exists() {
        return;
    }
    let gateway = Gateway::logged_in().await;
    for (name, shell) in [("leader", "exec RUN 2>log"), ("child", "RUN 2>log; true")] {
        let mut session = Session::start(name, &gateway, shell);
        session.has("log", "-> live").await;
        session.hang_up();
        session.has("log", "the configuration was reloaded").await;
        let pid = session.pid();
        session.terminal.kill().await.unwrap();
        session.has("log", "ended by the end of its terminal").await;
        session.has("state/ledger.jsonl", "\"ended\"").await;
        let ended = async {
            while is_running(pid) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(SOON, ended).await.unwrap_or_else(|_| panic!("{name}: it has not ended"));
        assert!(!session.folder.join("run/control.sock").exists(), "{name}: it left its socket behind");
    }
}

/// `nohup` asks for a daemon that outlives its terminal.
#[tokio::test]
async fn a_daemon_that_ignores_the_end_of_its_terminal_goes_on() {
    if !Path::new("/usr/bin/script").exists() {
        return;
    }
    let gateway = Gateway::logged_in().await;
    let mut session = Session::start("nohup", &gateway, "exec nohup RUN");
    session.has("nohup.out", "-> live").await;
    session.terminal.kill().await.unwrap();
    session.has("nohup.out", "the configuration was reloaded").await;
    let pid = session.pid();
    assert!(is_running(pid));
    assert!(std::process::Command::new("kill").arg(pid.to_string()).status().unwrap().success());
    session.has("nohup.out", "ended by SIGTERM").await;
}
