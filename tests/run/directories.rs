//! Where a daemon keeps what: verbs of the same environment find it, two of them never share a state directory, and one
//! without any directory says what it goes without.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::two_lines;
use support::{Daemon, Gateway, SOON, copy_program, program};

/// An environment without any directory, of a user who is not root where that is possible.
struct User {
    home: PathBuf,
    program: PathBuf,
    id: Option<u32>,
}

impl User {
    fn new(name: &str) -> Self {
        let home = std::env::temp_dir().join(format!("tickled-home-{}-{name}", std::process::id()));
        fs::create_dir_all(&home).unwrap();
        // Others may not enter the build directory.
        let copy = home.join("tickled");
        copy_program(&copy);
        let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
        let id = is_root.then(|| 300_000 + std::process::id() % 100_000);
        chown(&home, id, id).unwrap();
        Self { home, program: copy, id }
    }

    fn tickled(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = match self.id {
            Some(id) => {
                let mut setpriv = Command::new("setpriv");
                setpriv.args([format!("--reuid={id}"), format!("--regid={id}"), "--clear-groups".to_owned()]);
                setpriv.arg(&self.program);
                setpriv
            }
            None => Command::new(&self.program),
        };
        command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        let home = self.home.to_str().unwrap();
        command.envs(variables.iter().map(|(name, value)| (name, value.replace('~', home))));
        command.env("TICKLED_LOG__FORMAT", "json").current_dir(&self.home).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Runs a verb to its end; the options of the daemon come after it.
    async fn asks(&self, verb: &[&str], options: &[&str], variables: &[(&str, &str)]) -> Output {
        let all: Vec<&str> = verb.iter().chain(options).copied().collect();
        timeout(SOON, self.tickled(&all, variables).output()).await.expect("an end").unwrap()
    }
}

impl Drop for User {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.home));
    }
}

fn config(gateway: &Gateway) -> PathBuf {
    two_lines(&gateway.url())
}

#[tokio::test]
async fn verbs_of_the_same_shell_find_the_daemon_wherever_it_keeps_what() {
    let (gateway, user) = (Gateway::logged_in().await, User::new("meets"));
    let config = config(&gateway);
    fs::create_dir_all(user.home.join("runtime")).unwrap();
    chown(user.home.join("runtime"), user.id, user.id).unwrap();
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], &'a str, &'a str);
    let cases: &[Case<'_>] = &[
        (&[("HOME", "~")], &[], ".local/state/tickled", ".local/state/tickled/run"),
        (&[("HOME", "~"), ("XDG_RUNTIME_DIR", "~/runtime")], &[], ".local/state/tickled", "runtime/tickled"),
        (&[("HOME", "~"), ("XDG_STATE_HOME", "~/xdg")], &[], "xdg/tickled", "xdg/tickled/run"),
        (&[("HOME", "~"), ("STATE_DIRECTORY", "~/given:~/other")], &[], "given", "given/run"),
        (&[("STATE_DIRECTORY", "~/one"), ("RUNTIME_DIRECTORY", "~/two")], &[], "one", "two"),
        // An option wins over everything, and a relative one is of the shell's own directory.
        (&[("HOME", "~"), ("STATE_DIRECTORY", "~/given")], &["--state-dir", "mine"], "mine", "mine/run"),
        (&[("HOME", "~")], &["--runtime-dir", "socket"], ".local/state/tickled", "socket"),
    ];
    for (variables, options, state, runtime) in cases {
        let run = ["run", "--config", config.to_str().unwrap()];
        let all: Vec<&str> = run.iter().chain(*options).copied().collect();
        let mut daemon = Daemon::spawn(&mut user.tickled(&all, variables));
        let open = daemon.hears(&[("event", "control-open")], SOON).await;
        let at = |below: &str| user.home.join(below);
        assert_eq!(open["socket"], at(runtime).join("control.sock").to_str().unwrap(), "{variables:?} {options:?}");
        daemon.becomes("live", SOON).await;
        let paused = user.asks(&["pause", "main"], options, variables).await;
        assert_eq!(paused.status.code(), Some(0), "{variables:?} {options:?}: {paused:?}");
        let history = user.asks(&["history", "--json"], options, variables).await;
        assert_eq!(history.status.code(), Some(0), "{variables:?} {options:?}: {history:?}");
        assert!(at(state).join("ledger.jsonl").exists(), "{variables:?} {options:?}");
        assert_eq!(daemon.count(&[("event", "state-unsaved")]) + daemon.count(&[("event", "lock-unavailable")]), 0);
        daemon.signal("TERM");
        assert!(daemon.ends(SOON).await.success());
        // The pause outlives the daemon.
        let mut next = Daemon::spawn(&mut user.tickled(&all, variables));
        next.becomes("paused", SOON).await;
        next.signal("TERM");
        assert!(next.ends(SOON).await.success());
        fs::remove_dir_all(at(state)).unwrap();
    }
}

/// Some kinds of `sudo` keep `HOME`. Whichever way root is reached, it has the same directories.
#[tokio::test]
async fn a_home_of_another_user_is_not_used_but_that_of_the_user_database() {
    let user = User::new("kept");
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let of_root = users.lines().find_map(|line| line.strip_prefix("root:")?.split(':').nth(4));
    let Some(of_root) = of_root.filter(|_| user.id.is_some()) else {
        eprintln!("skipped: only root can have the HOME of another user");
        return;
    };
    let status = Command::new(program()).arg("status").env_clear().env("HOME", &user.home).output().await.unwrap();
    let said = String::from_utf8(status.stderr).unwrap();
    if status.status.code() != Some(3) {
        eprintln!("skipped: a daemon runs on this host");
        return;
    }
    assert!(said.contains(&format!("{of_root}/.local/state/tickled/run/control.sock")), "{said}");
    assert!(!said.contains(user.home.to_str().unwrap()), "{said}");
}

/// A container's volume may belong to anyone, and root may write to it: it keeps what it is given.
#[tokio::test]
async fn a_directory_of_another_user_is_used_if_it_is_named() {
    let (gateway, user) = (Gateway::logged_in().await, User::new("volume"));
    if user.id.is_none() {
        eprintln!("skipped: only root may write to the directory of another user");
        return;
    }
    let mut run = Command::new(program());
    run.args(["run", "--config", config(&gateway).to_str().unwrap(), "--state-dir", user.home.to_str().unwrap()]);
    run.env("TICKLED_LOG__FORMAT", "json").stdin(Stdio::null());
    let mut daemon = Daemon::spawn(run.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true));
    daemon.becomes("live", SOON).await;
    daemon.signal("TERM");
    assert!(daemon.ends(SOON).await.success());
    assert_eq!(daemon.count(&[("event", "state-unsaved")]), 0);
    assert!(user.home.join("ledger.jsonl").exists());
}

#[tokio::test]
async fn a_state_directory_has_one_daemon() {
    let (ours, theirs, user) = (Gateway::logged_in().await, Gateway::logged_in().await, User::new("one"));
    let (ours, theirs) = (config(&ours), config(&theirs));
    let (home, state) = (&[("HOME", "~")], user.home.join("state"));
    let run = |config: &Path, runtime: &str| {
        user.tickled(
            &["run", "--config", config.to_str().unwrap(), "--state-dir", "state", "--runtime-dir", runtime],
            home,
        )
    };
    let mut first = Daemon::spawn(&mut run(&ours, "one"));
    first.becomes("live", SOON).await;
    let written = || fs::read_to_string(state.join("ledger.jsonl")).unwrap_or_default();
    let is_settled = async {
        while !written().contains("\"to\":\"live\"") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, is_settled).await.expect("the history is written");
    let names = |said: &str, pid: u32| said.contains("state directory") && said.contains(&format!("process {pid} on "));
    // The directory, and the lock in it, are replaced while the daemon runs.
    let moved = state.with_extension("moved");
    let harms: &[&dyn Fn()] =
        &[&|| {}, &|| fs::remove_file(state.join("lock")).unwrap(), &|| fs::rename(&state, &moved).unwrap(), &|| {
            fs::remove_dir_all(&state).unwrap();
        }];
    for (number, harm) in harms.iter().enumerate() {
        first.while_stopped(harm);
        if number > 0 {
            first.hears(&[("event", "runtime-dir-lost")], SOON).await;
            let is_back = async {
                while !fs::read_to_string(state.join("lock")).is_ok_and(|lock| lock.contains("process")) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            timeout(SOON, is_back).await.expect("it is locked again");
        }
        let before = written();
        let second = timeout(SOON, run(&theirs, "two").output()).await.expect("an end").unwrap();
        let said = String::from_utf8(second.stderr).unwrap();
        assert_eq!(second.status.code(), Some(69), "{number}: {said}");
        assert!(names(&said, first.pid()) && said.contains("--state-dir"), "{number}: {said}");
        assert_eq!(written(), before, "{number}: it changed nothing");
    }
    first.signal("KILL");
    first.ends(SOON).await;
    let mut next = Daemon::spawn(&mut run(&theirs, "two"));
    next.becomes("live", SOON).await;
    next.killed().await;
}

/// A program in the mount namespace of a process.
fn beside(pid: u32, program: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--target={pid}")).args(["--mount", "--"]).args(program);
    command.env("TICKLED_LOG__FORMAT", "json").stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// File systems are unmounted while the daemon uses them, and come back. It also has other paths, and another user.
#[tokio::test]
async fn a_state_directory_has_one_daemon_whatever_is_mounted_or_linked() {
    let (ours, theirs, user) = (Gateway::logged_in().await, Gateway::logged_in().await, User::new("mounts"));
    if user.id.is_none() {
        eprintln!("skipped: only root can mount");
        return;
    }
    let (ours, theirs) = (config(&ours), config(&theirs));
    let [state, runtime, other, bound, linked] =
        ["state", "runtime", "other", "bound", "linked"].map(|name| user.home.join(name).to_str().unwrap().to_owned());
    for folder in [&state, &runtime, &bound] {
        fs::create_dir(folder).unwrap();
    }
    // Its users share it, with and without the file system.
    fs::set_permissions(&state, fs::Permissions::from_mode(0o777)).unwrap();
    std::os::unix::fs::symlink(&state, &linked).unwrap();
    let mount = format!("mount -t tmpfs -o mode=777 one {state}; mount -t tmpfs -o mode=755 two {runtime}");
    let mut run = Command::new("unshare");
    run.args(["--mount", "sh", "-c", &format!("set -e; {mount}; exec \"$@\""), "sh"]).arg(&user.program);
    run.args(["run", "--config", ours.to_str().unwrap(), "--state-dir", &state, "--runtime-dir", &runtime]);
    run.env("TICKLED_LOG__FORMAT", "json").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut first = Daemon::spawn(run.kill_on_drop(true));
    first.becomes("live", SOON).await;
    let pid = first.pid();
    // As the daemon sees it.
    let seen = |folder: &str| PathBuf::from(format!("/proc/{pid}/root{folder}"));
    let program = user.program.to_str().unwrap();
    let paused = beside(pid, &[program, "pause", "main", "--runtime-dir", &runtime]).output().await.unwrap();
    assert!(paused.status.success(), "{paused:?}");
    let steps = [
        ("nothing", "true".to_owned(), 0),
        ("unmounted", format!("umount -l {state}; umount -l {runtime}"), 2),
        ("mounted", mount, 2),
        ("read-only", format!("mount -t tmpfs -o ro one {state}; mount -t tmpfs -o ro two {runtime}"), 2),
        ("writable", format!("umount {state}; umount {runtime}"), 0),
        ("with other paths", format!("mount --bind {state} {bound}"), 0),
    ];
    let mut lost = 0;
    for (step, change, losses) in steps {
        let changed = beside(pid, &["sh", "-ec", &change]).status().await.unwrap();
        assert!(changed.success(), "{step}");
        lost += losses;
        let lacking = usize::from(step == "read-only");
        let expected = [("runtime-dir-lost", lost), ("lock-unavailable", 2 * lacking), ("control-closed", lacking)];
        let is_said = async {
            while expected.iter().any(|(event, times)| first.count(&[("event", event)]) < *times) {
                first.listens(Duration::from_millis(20)).await;
            }
        };
        timeout(SOON, is_said).await.unwrap_or_else(|_| panic!("{step}: {expected:?}: {}", first.text));
        if step == "read-only" {
            continue;
        }
        let is_back = async {
            while !fs::read_to_string(seen(&state).join("lock")).is_ok_and(|lock| lock.contains("process"))
                || !seen(&runtime).join("control.sock").exists()
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(SOON, is_back).await.unwrap_or_else(|_| panic!("{step}: it is not locked again: {}", first.text));
        let status = beside(pid, &[program, "status", "--runtime-dir", &runtime]).output().await.unwrap();
        assert_eq!(status.status.code(), Some(1), "{step}: paused: {status:?}");
        let paths: &[&str] = if step == "with other paths" { &[&state, &bound, &linked] } else { &[&state] };
        let others = [vec![], vec!["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]];
        for (path, other_user) in paths.iter().flat_map(|path| others.iter().map(move |user| (path, user))) {
            let run = ["run", "--config", theirs.to_str().unwrap(), "--state-dir", path, "--runtime-dir", &other];
            let run: Vec<&str> = other_user.iter().copied().chain([program]).chain(run).collect();
            let second = timeout(SOON, beside(pid, &run).output()).await.expect("an end").unwrap();
            let said = String::from_utf8(second.stderr).unwrap();
            assert_eq!(second.status.code(), Some(69), "{step}: {run:?}: {said}");
            assert!(said.contains(&format!("process {pid} on ")), "{step}: {run:?}: {said}");
        }
    }
    first.signal("TERM");
    assert!(first.ends(SOON).await.success());
    assert_eq!(first.count(&[("event", "lock-unavailable")]), 2, "while it was read-only: {}", first.text);
}

#[tokio::test]
async fn without_any_directory_it_says_what_it_goes_without() {
    let (gateway, user) = (Gateway::logged_in().await, User::new("none"));
    if user.id.is_none() {
        eprintln!("skipped: a user has a home in /etc/passwd, and only root can become one without");
        return;
    }
    // The host may have the directory of a service.
    let within = |command: Command| {
        let command = command.as_std();
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "sh", "-ec", "mount -t tmpfs -o mode=755 none /var/lib; exec \"$@\"", "sh"]);
        unshare.arg(command.get_program()).args(command.get_args()).env_clear();
        unshare.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        unshare.current_dir(&user.home).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        unshare.kill_on_drop(true);
        unshare
    };
    let run = user.tickled(&["run", "--config", config(&gateway).to_str().unwrap()], &[]);
    let mut daemon = Daemon::spawn(&mut within(run));
    let state = daemon.hears(&[("event", "state-unsaved")], SOON).await;
    assert!(state["message"].as_str().unwrap().contains("--state-dir DIR"), "{state:?}");
    assert!(state["fault"].as_str().unwrap().contains("/var/lib/tickled: "), "{state:?}");
    let socket = daemon.hears(&[("event", "control-closed")], SOON).await;
    assert!(socket["message"].as_str().unwrap().contains("--runtime-dir DIR"), "{socket:?}");
    daemon.becomes("live", SOON).await;
    let asked = timeout(SOON, within(user.tickled(&["status"], &[])).output()).await.expect("an end").unwrap();
    assert_eq!(asked.status.code(), Some(3), "{asked:?}");
    daemon.signal("TERM");
    assert!(daemon.ends(SOON).await.success());
}
