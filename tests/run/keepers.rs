//! Two keepers: the second one for the same gateway on this host ends, and says who is the first.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::time::timeout;

use crate::reload::{connections, listen};
use crate::two_lines;
use support::{Daemon, Gateway, SOON, by_day, file, tickled};

/// A runtime directory that several daemons share.
fn runtime(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("tickled-keepers-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
    folder
}

fn run(config: &Path, runtime: &Path) -> tokio::process::Command {
    let mut command = Daemon::command(config);
    command.env("RUNTIME_DIRECTORY", runtime);
    command
}

#[tokio::test]
async fn the_second_keeper_of_a_gateway_ends_and_names_the_first() {
    let (gateway, runtime) = (Gateway::logged_in().await, runtime("second"));
    let mut first = Daemon::spawn(&mut run(&two_lines(&gateway.url()), &runtime));
    first.becomes("live", SOON).await;
    // The same port by another name is the same gateway.
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:7f00:1]"] {
        let url = gateway.url().replace("127.0.0.1", host);
        let before = connections(&gateway).await;
        let second = timeout(SOON, run(&two_lines(&url), &runtime).output()).await.expect("an end").unwrap();
        let said = String::from_utf8(second.stderr).unwrap();
        assert_eq!(second.status.code(), Some(69), "{said}");
        let (main, pid) = (format!("gateway main: {url} "), format!("process {}", first.pid()));
        assert!(said.contains(&main) && said.contains(&pid), "{said}");
        // The first one asks meanwhile, on the connection that it has.
        assert_eq!(connections(&gateway).await, before, "it asked nothing");
    }
    // One that was killed leaves its files behind, and they are no obstacle, whatever is in them.
    first.signal("KILL");
    first.ends(SOON).await;
    let left: Vec<_> = fs::read_dir(&runtime).unwrap().map(|entry| entry.unwrap().path()).collect();
    let lock = left.iter().find(|path| path.extension().is_some_and(|end| end == "lock")).unwrap();
    for stale in ["", "4000000000000000000\n", "1\n", "\u{0}not a number"] {
        fs::write(lock, stale).unwrap();
        let mut next = Daemon::spawn(&mut run(&two_lines(&gateway.url()), &runtime));
        next.hears(&[("event", "control-open")], SOON).await;
        next.signal("TERM");
        assert_eq!(next.ends(SOON).await.code(), Some(0));
    }
    fs::remove_dir_all(&runtime).unwrap();
}

/// Started again and again it waits, and takes over as soon as the first one has ended.
#[tokio::test]
async fn under_a_service_manager_the_second_waits_for_the_first() {
    let (gateway, runtime) = (Gateway::logged_in().await, runtime("waits"));
    let path = two_lines(&gateway.url());
    let manager = path.with_extension("notify");
    let heard = listen(&manager);
    let mut first = Daemon::spawn(&mut run(&path, &runtime));
    first.becomes("live", SOON).await;
    let mut second = Daemon::spawn(run(&path, &runtime).env("NOTIFY_SOCKET", &manager));
    let said = second.hears(&[("event", "gateway-locked"), ("gateway", "main")], SOON).await;
    let pid = format!("process {}", first.pid());
    assert!(said["fault"].as_str().unwrap().contains(&pid), "{said:?}");
    second.signal("HUP");
    second.listens(Duration::from_secs(2)).await;
    assert_eq!(second.count(&[("event", "gateway-locked")]), 1, "once: {}", second.text);
    let told = heard.lock().unwrap().clone();
    assert!(told.len() == 1 && told[0].starts_with("STATUS=not started: ") && told[0].contains(&pid), "{told:?}");
    first.signal("TERM");
    second.becomes("live", SOON).await;
    assert_eq!(second.count(&[("event", "daemon-started")]), 1, "{}", second.text);

    // And while it waits it ends on a signal.
    let mut third = Daemon::spawn(run(&path, &runtime).env("NOTIFY_SOCKET", &manager));
    third.hears(&[("event", "gateway-locked")], SOON).await;
    third.signal("TERM");
    assert_eq!(third.ends(SOON).await.code(), Some(0));
    second.killed().await;
    fs::remove_dir_all(&runtime).unwrap();
}

#[tokio::test]
async fn a_reload_that_adds_what_another_keeps_changes_nothing() {
    let (ours, theirs, runtime) = (Gateway::logged_in().await, Gateway::logged_in().await, runtime("reload"));
    let path = two_lines(&ours.url());
    let mut daemon = Daemon::spawn(&mut run(&path, &runtime));
    daemon.becomes("live", SOON).await;
    let mut other = Daemon::spawn(&mut run(&two_lines(&theirs.url()), &runtime));
    other.becomes("live", SOON).await;
    let both = format!("[gateway.main]\nurl = \"{}\"\n[gateway.theirs]\nurl = \"{}\"\n", ours.url(), theirs.url());
    fs::write(&path, by_day(&both)).unwrap();
    daemon.signal("HUP");
    let said = daemon.hears(&[("event", "config-rejected")], SOON).await;
    let fault = said["fault"].as_str().unwrap();
    assert!(fault.contains("gateway theirs") && fault.contains(&format!("process {}", other.pid())), "{fault}");
    assert_eq!(daemon.count(&[("event", "gateway-watched")]), 1, "{}", daemon.text);

    // Once the other has let go of it, the same file is good.
    other.signal("TERM");
    other.ends(SOON).await;
    daemon.signal("HUP");
    daemon.hears(&[("event", "config-reloaded")], SOON).await;
    daemon.hears(&[("event", "state-changed"), ("gateway", "theirs"), ("to", "live")], SOON).await;
    // And what this one lets go of, another may have.
    let alone = both.replace("[gateway.theirs]", "#").replace(&format!("url = \"{}\"", theirs.url()), "#");
    fs::write(&path, by_day(&alone)).unwrap();
    daemon.signal("HUP");
    daemon.hears(&[("event", "config-reloaded")], SOON).await;
    let mut other = Daemon::spawn(&mut run(&two_lines(&theirs.url()), &runtime));
    other.becomes("live", SOON).await;
    other.killed().await;
    daemon.killed().await;
    fs::remove_dir_all(&runtime).unwrap();
}

/// Without a place for the lock it goes on, and says what that means.
#[tokio::test]
async fn no_place_for_a_lock_is_no_reason_not_to_watch() {
    let gateway = Gateway::logged_in().await;
    let mut daemon = Daemon::spawn(&mut run(&two_lines(&gateway.url()), Path::new("/proc/nowhere")));
    assert_eq!(daemon.hears(&[("event", "lock-unavailable")], SOON).await["gateway"], "main");
    daemon.becomes("live", SOON).await;
}

/// The permissions of everything in a folder, by name; of the folder itself as `.`. What a daemon removes meanwhile is
/// left out.
fn modes(folder: &Path) -> Vec<(String, u32)> {
    let mode = |path: &Path| Some(fs::metadata(path).ok()?.permissions().mode() & 0o777);
    let inside = fs::read_dir(folder).into_iter().flatten().flatten();
    let inside = inside.map(|entry| (entry.file_name().into_string().unwrap(), entry.path()));
    let all = inside.chain(Some((".".to_owned(), folder.to_owned())));
    let mut modes: Vec<_> = all.filter_map(|(name, path)| Some((name, mode(&path)?))).collect();
    modes.sort();
    modes
}

/// Whatever the umask, no other user can hold the lock, replace a file or use the control socket.
#[tokio::test]
async fn no_other_user_can_hold_a_lock() {
    let gateway = Gateway::logged_in().await;
    for umask in ["000", "002", "022", "077"] {
        let parent = runtime(&format!("umask-{umask}"));
        let runtime = parent.join("made/anew");
        let binary = run(&two_lines(&gateway.url()), &runtime);
        let binary = binary.as_std();
        let mut shell = tokio::process::Command::new("sh");
        shell.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")]).arg(binary.get_program());
        shell.args(binary.get_args()).stderr(Stdio::piped()).kill_on_drop(true);
        shell.envs(binary.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let mut daemon = Daemon::spawn(&mut shell);
        daemon.hears(&[("event", "control-open")], SOON).await;
        let modes = modes(&runtime);
        assert_eq!(modes.len(), 4, "{modes:?}");
        for (name, mode) in modes {
            let most = match name.rsplit_once('.').map(|(_, end)| end) {
                _ if name == "control.sock" => 0o660,
                Some("lock") => 0o600,
                Some("sock") => 0o666,
                _ => 0o755,
            };
            assert_eq!(mode & !most, 0, "umask {umask}: {name} has {mode:o}");
        }
        daemon.signal("TERM");
        daemon.ends(SOON).await;
        fs::remove_dir_all(&parent).unwrap();
    }
}

/// Whatever another user left in the place of a lock, it is neither followed nor waited for, and it is said.
#[tokio::test]
async fn what_is_no_lock_file_is_not_used_as_one() {
    let gateway = Gateway::logged_in().await;
    let (runtime, elsewhere) = (runtime("traps"), runtime("elsewhere"));
    let port = gateway.url().rsplit_once(':').unwrap().1.to_owned();
    let lock = runtime.join(format!("gateway-127.0.0.1-{port}.lock"));
    let victim = elsewhere.join("victim");
    fs::write(&victim, "precious").unwrap();
    fs::set_permissions(&victim, Permissions::from_mode(0o640)).unwrap();
    let fifo = |path: &Path| assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    type Trap<'a> = (&'a str, &'a dyn Fn());
    let traps: &[Trap<'_>] = &[
        ("a link", &|| symlink(&victim, &lock).unwrap()),
        ("a link to nothing", &|| symlink(elsewhere.join("nothing"), &lock).unwrap()),
        ("a second name", &|| fs::hard_link(&victim, &lock).unwrap()),
        ("a pipe", &|| fifo(&lock)),
        ("a link to a pipe", &|| {
            fifo(&elsewhere.join("pipe"));
            symlink(elsewhere.join("pipe"), &lock).unwrap();
        }),
        ("a folder", &|| fs::create_dir(&lock).unwrap()),
        ("a socket", &|| drop(std::os::unix::net::UnixListener::bind(&lock).unwrap())),
        ("a folder for all", &|| fs::set_permissions(&runtime, Permissions::from_mode(0o777)).unwrap()),
        ("a folder for the group", &|| fs::set_permissions(&runtime, Permissions::from_mode(0o775)).unwrap()),
    ];
    for (name, set) in traps {
        set();
        let mut daemon = Daemon::spawn(&mut run(&two_lines(&gateway.url()), &runtime));
        let said = daemon.hears(&[("event", "lock-unavailable")], SOON).await;
        assert_eq!(said["gateway"], "main", "{name}");
        daemon.hears(&[("event", "gateway-watched")], SOON).await;
        daemon.signal("TERM");
        assert_eq!(daemon.ends(SOON).await.code(), Some(0), "{name}");
        let mode = fs::metadata(&victim).unwrap().permissions().mode() & 0o777;
        assert_eq!((fs::read_to_string(&victim).unwrap().as_str(), mode), ("precious", 0o640), "{name}");
        assert!(!elsewhere.join("nothing").exists(), "{name}");
        fs::set_permissions(&runtime, Permissions::from_mode(0o755)).unwrap();
        drop(fs::remove_file(&lock));
        drop(fs::remove_dir(&lock));
    }
    fs::remove_dir_all(&runtime).unwrap();
    fs::remove_dir_all(&elsewhere).unwrap();
}

/// The runtime directory is removed, or files in it: that is said, all is there again, and a second daemon is refused.
#[tokio::test]
async fn a_runtime_directory_that_vanishes_is_made_again() {
    let (gateway, runtime) = (Gateway::logged_in().await, runtime("vanishes"));
    let config = format!("[gateway.main]\nurl = \"{}\"\n[endpoint]\nlisten = \"127.0.0.1:0\"\n", gateway.url());
    let path = file(&by_day(&config));
    let mut first = Daemon::spawn(&mut run(&path, &runtime));
    let at = first.hears(&[("event", "endpoint-open")], SOON).await["listen"].as_str().unwrap().to_owned();
    first.becomes("live", SOON).await;
    let in_place = modes(&runtime).len();
    let lock = |runtime: &Path| {
        let mut files = fs::read_dir(runtime).unwrap().map(|entry| entry.unwrap().path());
        files.find(|path| path.extension().is_some_and(|end| end == "lock")).unwrap()
    };
    let harms: &[&dyn Fn(&Path)] = &[
        &|runtime| fs::remove_dir_all(runtime).unwrap(),
        &|runtime| fs::rename(runtime, runtime.with_extension("moved")).unwrap(),
        &|runtime| fs::remove_file(lock(runtime)).unwrap(),
        &|runtime| fs::remove_file(runtime.join("control.sock")).unwrap(),
    ];
    for harm in harms {
        // While it runs it would create files anew beside the removal.
        first.while_stopped(|| harm(&runtime));
        first.hears(&[("event", "runtime-dir-lost")], SOON).await;
        let is_whole = async {
            while modes(&runtime).len() != in_place {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(SOON, is_whole).await.expect("all of it is there again");
        let second = timeout(SOON, run(&path, &runtime).output()).await.expect("an end").unwrap();
        let said = String::from_utf8(second.stderr).unwrap();
        assert_eq!(second.status.code(), Some(69), "{said}");
        assert!(said.contains(&format!("process {}", first.pid())), "{said}");
        let status = tickled(&["status", "--socket"]).arg(runtime.join("control.sock")).output().await.unwrap();
        assert_eq!(status.status.code(), Some(0), "{status:?}");
        let livez = get(&format!("http://{at}/livez")).await;
        assert_eq!(livez, "ok\n");
        let kept = runtime.with_extension("moved");
        drop(fs::remove_dir_all(kept));
    }
    first.killed().await;
    fs::remove_dir_all(&runtime).unwrap();
}

pub(crate) async fn get(url: &str) -> String {
    let tls = tickled::gateway::Trust::Loopback.config().unwrap();
    let http = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap();
    http.get(url).send().await.unwrap().text().await.unwrap()
}
