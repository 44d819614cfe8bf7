//! What the host does to the daemon: it starts no more threads, it stops the process, it has no other init.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::two_lines;
use support::{Daemon, Gateway, SOON, by_day, copy_program, file, until_file};

/// A folder of its own, with a runtime and a state directory in it.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("tickled-host-{}-{name}", std::process::id()));
    for part in ["run", "state"] {
        fs::create_dir_all(folder.join(part)).unwrap();
        fs::set_permissions(folder.join(part), fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

#[expect(clippy::print_stderr, reason = "what is skipped is said")]
fn is_root() -> bool {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !is_root {
        eprintln!("skipped: only root can become another user, or process 1");
    }
    is_root
}

async fn ledger_has(folder: &Path, text: &str) {
    until_file(&folder.join("state/ledger.jsonl"), text, |ledger| ledger.contains(text)).await;
}

/// The same command, run by another program.
fn by(program: &[&str], run: &Command) -> Command {
    let run = run.as_std();
    let mut by = Command::new(program[0]);
    by.args(&program[1..]).arg(run.get_program()).args(run.get_args());
    by.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    by.stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    by
}

/// Limits of the user or of the container are reached: no program can be started, and the session is kept all the same.
#[tokio::test]
async fn where_no_thread_can_be_started_it_goes_on() {
    if !is_root() {
        return;
    }
    let gateway = Gateway::logged_in().await;
    let folder = folder("threads");
    // A user of its own: the limit counts all processes of the user.
    let user = 200_000 + std::process::id() % 100_000;
    for part in [&folder, &folder.join("run"), &folder.join("state")] {
        chown(part, Some(user), Some(user)).unwrap();
    }
    let config = file(&by_day(&format!(
        "[gateway.main]\nurl = \"{}\"\n[session]\ncheck_every = \"1s\"\n[endpoint]\nlisten = \"127.0.0.1:0\"\n",
        gateway.url()
    )));
    let binary = folder.join("tickled");
    copy_program(&binary);
    let mut run = Command::new(&binary);
    run.args(["run", "--config", config.to_str().unwrap()]);
    run.env("RUNTIME_DIRECTORY", folder.join("run")).env("STATE_DIRECTORY", folder.join("state"));
    run.env("TICKLED_LOG__FORMAT", "json");
    let (uid, gid) = (format!("--reuid={user}"), format!("--regid={user}"));
    let mut daemon = Daemon::spawn(&mut by(&["setpriv", &uid, &gid, "--clear-groups"], &run));
    let at = daemon.hears(&[("event", "endpoint-open")], SOON).await["listen"].as_str().unwrap().to_owned();
    daemon.becomes("live", SOON).await;
    // Idle threads of a pool end after ten seconds, and a thread that is needed then has to be started.
    daemon.listens(Duration::from_secs(12)).await;
    let threads = fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap().count();
    let limit = format!("--nproc={threads}:{threads}");
    let limited = by(
        &["setpriv", &uid, &gid, "--clear-groups"],
        Command::new("prlimit").args(["--pid", &daemon.pid().to_string(), &limit]),
    );
    assert!({ limited }.status().await.unwrap().success());
    gateway.set("lapse").await;
    daemon.becomes("live", SOON * 2).await;
    ledger_has(&folder, "\"to\":\"recovering\"").await;
    for path in ["", "status", "metrics", "livez"] {
        let text = crate::keepers::get(&format!("http://{at}/{path}")).await;
        assert!(!text.is_empty(), "{path}");
    }
    daemon.signal("HUP");
    daemon.hears(&[("event", "config-reloaded")], SOON).await;
    daemon.signal("TERM");
    assert!(daemon.ends(SOON).await.success());
    fs::remove_dir_all(&folder).unwrap();
}

/// A process that is stopped observes nothing.
#[tokio::test]
async fn the_time_in_which_it_was_stopped_is_unknown() {
    let gateway = Gateway::logged_in().await;
    let folder = folder("stopped");
    let config = two_lines(&gateway.url());
    fs::write(&config, fs::read_to_string(&config).unwrap() + "[session]\ncheck_every = \"1s\"\n").unwrap();
    let mut run = Daemon::command(&config);
    run.env("STATE_DIRECTORY", folder.join("state"));
    let mut daemon = Daemon::spawn(&mut run);
    daemon.becomes("live", SOON).await;
    daemon.signal("STOP");
    sleep(Duration::from_secs(9)).await;
    daemon.signal("CONT");
    ledger_has(&folder, "\"unobserved\"").await;
    daemon.killed().await;
    fs::remove_dir_all(&folder).unwrap();
}

/// Children of the process that have ended and were not awaited, in its own process namespace.
async fn zombies(inside: &[&str]) -> usize {
    let count = "grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l";
    let mut shell = Command::new(inside[0]);
    let out = shell.args(&inside[1..]).args(["sh", "-c", count]).output().await.unwrap();
    String::from_utf8(out.stdout).unwrap().trim().parse().unwrap()
}

/// As process 1 of a container it is the parent of every orphan: none stays a zombie, and the programs of its channels
/// are awaited as ever.
#[tokio::test]
async fn as_process_1_it_reaps_orphans_and_not_its_own_children() {
    if !is_root() {
        return;
    }
    let gateway = Gateway::logged_in().await;
    let folder = folder("init");
    let config = two_lines(&gateway.url());
    let channel =
        "[[alerts.channel]]\nname = \"own\"\ntype = \"command\"\nargv = [\"/bin/sh\", \"-c\", \"sleep 0.3\"]\n";
    fs::write(&config, fs::read_to_string(&config).unwrap() + channel).unwrap();
    let mut run = Daemon::command(&config);
    run.env("RUNTIME_DIRECTORY", folder.join("run"));
    let mut daemon = Daemon::spawn(&mut by(&["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"], &run));
    daemon.becomes("live", SOON).await;
    let children = format!("/proc/{0}/task/{0}/children", daemon.pid());
    let init = fs::read_to_string(children).unwrap().trim().to_owned();
    let inside = ["nsenter", "--target", &init, "--pid", "--mount"];
    let orphans = async || {
        let mut shell = Command::new(inside[0]);
        let ended = shell.args(&inside[1..]).args(["sh", "-c", "for n in 1 2 3 4 5; do (sleep 0.2 &) ; done"]).status();
        assert!(ended.await.unwrap().success());
    };
    let socket = folder.join("run/control.sock");
    for _ in 0..3 {
        orphans().await;
        // Its own child ends among them, and how it ended is known.
        let test = support::tickled(&["alert", "test", "--socket", socket.to_str().unwrap()]).output().await.unwrap();
        let said = String::from_utf8(test.stdout).unwrap();
        assert_eq!(test.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&test.stderr));
    }
    let reaped = async {
        while zombies(&inside).await > 0 {
            sleep(Duration::from_millis(200)).await;
        }
    };
    timeout(SOON * 2, reaped).await.expect("no zombie is left");
    daemon.killed().await;
    fs::remove_dir_all(&folder).unwrap();
}
