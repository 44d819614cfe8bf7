//! The daemon's environment on this host: the systemd service, its group, and the state directory.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use std::{env, fs, io};

use rustix::fs::{StatVfsMountFlags, statvfs};
use tokio::process::Command;
use tokio::time::timeout;

use super::report::{Check, CheckResult};
use crate::control;
use crate::directories::Directories;
use crate::exit::Exit;
use crate::session::{StateKind, StateReason, Unavailability};

/// Looks at the service, if it is installed.
pub(super) async fn unit() -> Vec<CheckResult> {
    if !UNITS.iter().any(|folder| Path::new(folder).join("tickled.service").exists()) {
        return vec![CheckResult::not_asked(Check::Unit, "tickled is not installed as a systemd service")];
    }
    let mut command = Command::new("systemctl");
    command.args(["show", "tickled.service", PROPERTIES]).stdin(Stdio::null()).kill_on_drop(true);
    let said = match timeout(WITHIN, command.output()).await {
        Ok(Ok(output)) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        Ok(Ok(_) | Err(_)) | Err(_) => {
            return vec![CheckResult::note(Check::Unit, "tickled.service is installed, but systemd does not answer")];
        }
    };
    let mut results = vec![evaluate_unit(&said)];
    results.extend(group(&fs::read_to_string("/etc/group").unwrap_or_default(), env::var("USER").ok().as_deref()));
    results
}

fn evaluate_unit(said: &str) -> CheckResult {
    let is = |property: &str| {
        said.lines().find_map(|line| line.strip_prefix(property)?.strip_prefix('=')).unwrap_or_default()
    };
    let fault = |found: String, remedy: &str| CheckResult::fault(Check::Unit, Exit::NothingAnswers, found, remedy);
    if is("NeedDaemonReload") == "yes" {
        let found = "the unit file has changed, but systemd still uses the old one";
        return CheckResult::warning(Check::Unit, found, "`systemctl daemon-reload`, then `systemctl restart tickled`");
    }
    match (is("ActiveState"), is("UnitFileState")) {
        ("failed", _) => {
            let code = is("ExecMainStatus");
            let why = if code == Exit::Configuration.code().to_string() { ": its configuration was wrong" } else { "" };
            fault(
                format!("the service has failed (exit code {code}){why}"),
                "`journalctl -xeu tickled` says why; then `systemctl restart tickled`",
            )
        }
        ("active" | "reloading", "enabled" | "enabled-runtime") => match is("NRestarts") {
            "0" | "" => CheckResult::good(Check::Unit, "the service is running and enabled at boot"),
            restarts => CheckResult::note(
                Check::Unit,
                format!("the service is running; systemd has restarted it {restarts} times"),
            ),
        },
        ("active" | "reloading", _) => CheckResult::warning(
            Check::Unit,
            "the service is running, but not enabled at boot",
            "`systemctl enable tickled`",
        ),
        ("activating", _) => CheckResult::note(Check::Unit, "the service is starting"),
        _ => fault("the service is installed, but not running".to_owned(), "`systemctl enable --now tickled`"),
    }
}

/// A gateway that a running daemon serves.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) url: String,
    /// Why requests of the daemon have no answer, while they have none.
    pub(super) silence: Option<Unavailability>,
}

/// Whether a daemon answers at its socket, and the gateways that it serves.
pub(super) async fn socket(directories: &Directories, is_running: bool) -> (CheckResult, Vec<Served>) {
    let asked = match control::Client::find(control::sockets(directories)) {
        Ok(daemon) => timeout(WITHIN, daemon.status()).await.unwrap_or_else(|_| {
            Err(control::Error::Refused("the daemon does not answer on its control socket".to_owned()))
        }),
        Err(error) => Err(error),
    };
    match asked {
        Ok(status) => {
            let found = format!("tickled {} answers on its control socket (pid {})", status.version, status.pid);
            let served = status.gateways.into_iter().map(|gateway| Served {
                silence: silence(gateway.because).filter(|_| gateway.state == StateKind::Unavailable),
                url: gateway.url,
            });
            (CheckResult::good(Check::Unit, found), served.collect())
        }
        Err(control::Error::NoDaemon(_)) if is_running => {
            let found = "`tickled run` is running, but its control socket is not where this command looks for it";
            let remedy = "if it has a runtime directory of its own, set TICKLED_SOCKET to the control.sock in it";
            (CheckResult { remedy: Some(remedy.to_owned()), ..CheckResult::note(Check::Unit, found) }, Vec::new())
        }
        Err(control::Error::NoDaemon(_)) => (
            CheckResult::note(Check::Unit, "no daemon answers on a control socket: `tickled run` is not running"),
            Vec::new(),
        ),
        Err(control::Error::NotAllowed(socket)) => {
            let found = format!("this user may not use the control socket {}", socket.display());
            let remedy = "join the group of the socket (`sudo usermod -aG tickled $USER`), or use sudo".to_owned();
            (CheckResult { remedy: Some(remedy), ..CheckResult::note(Check::Unit, found) }, Vec::new())
        }
        Err(error @ (control::Error::Silent { .. } | control::Error::Broken { .. } | control::Error::Refused(_))) => {
            let remedy = "`systemctl restart tickled`, which ends no session";
            (CheckResult::warning(Check::Unit, error.to_string(), remedy), Vec::new())
        }
    }
}

/// Returns the cause in a state in which requests to IBKR have no answer.
const fn silence(reason: StateReason) -> Option<Unavailability> {
    let StateReason::Trouble(cause) = reason else { return None };
    if matches!(cause, Unavailability::IbkrSilent | Unavailability::IbkrUnreachable | Unavailability::GatewayWedged) {
        Some(cause)
    } else {
        None
    }
}

/// Whether this user is in the group that may talk to the daemon.
fn group(groups: &str, user: Option<&str>) -> Option<CheckResult> {
    let user = user.filter(|user| *user != "root")?;
    let line = groups.lines().find(|line| line.starts_with("tickled:"))?;
    let members = line.rsplit(':').next().unwrap_or_default();
    if members.split(',').any(|member| member == user) {
        return Some(CheckResult::good(
            Check::Unit,
            format!("{user} is in the group tickled, which may use the control socket"),
        ));
    }
    let found = format!("{user} is not in the group tickled, which may use the control socket");
    let remedy = format!("`sudo usermod -aG tickled {user}`, then log in again; or use sudo");
    Some(CheckResult { remedy: Some(remedy), ..CheckResult::note(Check::Unit, found) })
}

/// Checks the state directory, without writing to it.
pub(super) fn state(directories: &Directories) -> CheckResult {
    let existing = directories.states().iter().find(|folder| fs::symlink_metadata(folder).is_ok());
    let Some(folder) = existing.or(directories.states().first()) else {
        return CheckResult::note(Check::State, "there is no state directory");
    };
    let observed = fs::metadata(folder).map(|is| (is.is_dir(), is.permissions().readonly()));
    evaluate_state(folder, observed, disk(folder))
}

/// What is wrong with the disk that a folder is on, if anything is, and what to do.
fn disk(folder: &Path) -> Option<(&'static str, &'static str)> {
    let is = statvfs(folder).ok()?;
    if is.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Some(("is on a read-only file system", "find out why with `dmesg`, and remount it read-write"));
    }
    (is.f_blocks > 0 && is.f_bavail == 0).then_some(("is on a full disk", "free some space"))
}

fn evaluate_state(folder: &Path, is: io::Result<(bool, bool)>, disk: Option<(&str, &str)>) -> CheckResult {
    let place = folder.display();
    let fault = |found: String, remedy: &str| CheckResult::fault(Check::State, Exit::HumanNeeded, found, remedy);
    match is {
        Ok((true, false)) if let Some((found, remedy)) = disk => fault(format!("{place} {found}"), remedy),
        Ok((true, false)) => CheckResult::good(Check::State, format!("{place} keeps the state across restarts")),
        Ok((true, true)) => fault(format!("{place} is not writable"), "`chmod u+w` it"),
        Ok((false, _)) => fault(format!("{place} is not a directory"), "move it away: systemd creates the directory"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            CheckResult::note(Check::State, format!("{place} does not exist yet: the daemon creates it when it starts"))
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            CheckResult::note(Check::State, format!("{place} belongs to the daemon: this user may not read it"))
        }
        Err(error) => fault(format!("{place}: {error}"), "create it, for the user that runs the daemon"),
    }
}

const UNITS: [&str; 4] =
    ["/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system"];
const PROPERTIES: &str = "--property=ActiveState,UnitFileState,NeedDaemonReload,NRestarts,ExecMainStatus";
const WITHIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use super::{disk, evaluate_state, evaluate_unit, group};
    use crate::doctor::Verdict;
    use crate::exit::Exit;

    #[test]
    fn the_service_is_judged_by_what_systemd_says() {
        let down = Verdict::Fault(Exit::NothingAnswers);
        let rows = [
            (
                "ActiveState=active\nUnitFileState=enabled\nNRestarts=0\nNeedDaemonReload=no",
                Verdict::Good,
                "enabled at boot",
            ),
            ("ActiveState=active\nUnitFileState=enabled\nNRestarts=7", Verdict::Note, "7 times"),
            ("ActiveState=active\nUnitFileState=disabled", Verdict::Warning, "not enabled at boot"),
            ("ActiveState=active\nUnitFileState=enabled\nNeedDaemonReload=yes", Verdict::Warning, "old one"),
            ("ActiveState=failed\nUnitFileState=enabled\nExecMainStatus=78", down, "configuration was wrong"),
            ("ActiveState=failed\nUnitFileState=enabled\nExecMainStatus=70", down, "exit code 70"),
            ("ActiveState=inactive\nUnitFileState=disabled", down, "not running"),
            ("ActiveState=activating", Verdict::Note, "starting"),
        ];
        for (said, verdict, words) in rows {
            let result = evaluate_unit(said);
            assert!(result.verdict == verdict && result.found.contains(words), "{said}: {result:?}");
        }
    }

    #[test]
    fn who_may_talk_to_the_daemon_is_told() {
        let groups = "root:x:0:\ntickled:x:998:anna,ben\n";
        assert_eq!(group(groups, Some("anna")).map(|f| f.verdict), Some(Verdict::Good));
        let stranger = group(groups, Some("carl")).unwrap();
        assert!(stranger.remedy.unwrap().contains("usermod -aG tickled carl"));
        assert_eq!(group(groups, Some("root")), None);
        assert_eq!(group("root:x:0:\n", Some("anna")), None);
    }

    #[test]
    fn the_state_is_judged_without_writing_to_it() {
        let place = Path::new("/var/lib/tickled");
        let verdict = |is| evaluate_state(place, is, None).verdict;
        let gone = || Err(io::ErrorKind::NotFound.into());
        assert_eq!(verdict(Ok((true, false))), Verdict::Good);
        assert_eq!(verdict(gone()), Verdict::Note);
        assert_eq!(verdict(Ok((false, false))), Verdict::Fault(Exit::HumanNeeded));
        assert_eq!(verdict(Ok((true, true))), Verdict::Fault(Exit::HumanNeeded));
        assert_eq!(verdict(Err(io::ErrorKind::PermissionDenied.into())), Verdict::Note);
        let full = evaluate_state(place, Ok((true, false)), Some(("is on a full disk", "free some space")));
        assert_eq!(full.verdict, Verdict::Fault(Exit::HumanNeeded));
    }

    #[test]
    fn a_disk_with_room_is_good() {
        assert_eq!(disk(Path::new("/proc/nowhere")), None);
        assert_eq!(disk(Path::new("/proc")), None, "of no size is not full");
        assert_eq!(disk(&std::env::temp_dir()), None);
    }
}
