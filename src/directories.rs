//! Where a daemon keeps its state, its control socket and its locks. The daemon and the verbs follow the same rule, so that
//! they find each other.

use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::process::geteuid;

/// The directories of a daemon, from options and the environment.
///
/// State: the option, else `$STATE_DIRECTORY`, else `$XDG_STATE_HOME/tickled`, else `~/.local/state/tickled`, else
/// `/var/lib/tickled`. Runtime: the option, else `$RUNTIME_DIRECTORY`, else `$XDG_RUNTIME_DIR/tickled`, else `run` in the
/// state directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directories {
    /// Named by an option or a service manager: used in any case.
    named_state: Option<PathBuf>,
    named_runtime: Option<PathBuf>,
    /// Otherwise the first of these that can be used.
    usual_states: Vec<PathBuf>,
    usual_runtime: Option<PathBuf>,
    /// Whether `named_runtime` is an option, so that no other directory is searched for a daemon.
    is_runtime_fixed: bool,
}

/// The directories that a daemon uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chosen {
    /// The directory for what must survive a restart.
    pub state: Option<PathBuf>,
    /// The directory of the control socket.
    pub runtime: Option<PathBuf>,
    /// The directory of the gateways' locks.
    pub locks: Option<PathBuf>,
    /// Where other daemons of this host may have their locks.
    pub other_locks: Vec<PathBuf>,
    /// Why there is no state directory, or none that can be used yet.
    pub state_fault: Option<String>,
    /// Why there is no runtime directory.
    pub runtime_fault: Option<String>,
}

impl Directories {
    /// The directories of this process. The arguments are the options of the command line.
    #[must_use]
    pub fn from_env(state: Option<PathBuf>, runtime: Option<PathBuf>) -> Self {
        let own = |home: &PathBuf| is_own(home);
        let home = || absolute("HOME").filter(own).or_else(|| home_of_user().filter(own));
        let xdg_state = absolute("XDG_STATE_HOME").filter(|folder| !folder.exists() || is_own(folder));
        let state_home = xdg_state.or_else(|| Some(home()?.join(".local/state")));
        let usual_states = state_home.map(|folder| folder.join(NAME)).into_iter().chain([OF_SERVICE_STATE.into()]);
        let given = |option: Option<PathBuf>, variable| {
            let option = option.map(|folder| std::path::absolute(&folder).unwrap_or(folder));
            option.or_else(|| first_of(variable))
        };
        Self {
            named_state: given(state, "STATE_DIRECTORY"),
            is_runtime_fixed: runtime.is_some(),
            named_runtime: given(runtime, "RUNTIME_DIRECTORY"),
            usual_states: usual_states.collect(),
            usual_runtime: user_folder().map(|folder| folder.join(NAME)),
        }
    }

    /// Where the state may be, the best first.
    #[must_use]
    pub fn states(&self) -> &[PathBuf] {
        self.named_state.as_ref().map_or(&self.usual_states, std::slice::from_ref)
    }

    /// Where a daemon may have its control socket, the best first: this process's own directory, then those of other
    /// daemons that this user may have started, then the service's.
    #[must_use]
    pub fn runtimes(&self) -> Vec<PathBuf> {
        if let Some(named) = self.named_runtime.clone().filter(|_| self.is_runtime_fixed) {
            return vec![named];
        }
        let mut all: Vec<PathBuf> = self.named_runtime.clone().into_iter().chain(self.other_runtimes()).collect();
        all.push(OF_SERVICE.into());
        all
    }

    fn other_runtimes(&self) -> impl Iterator<Item = PathBuf> {
        // A shell of `sudo`, `su` or cron lacks the variable.
        let of_login = PathBuf::from(format!("/run/user/{}", geteuid().as_raw()));
        let of_login =
            is_own(&of_login).then(|| of_login.join(NAME)).filter(|of| Some(of) != self.usual_runtime.as_ref());
        let in_states = self.states().iter().map(|state| state.join(IN_STATE));
        self.usual_runtime.clone().into_iter().chain(of_login).chain(in_states)
    }

    /// Creates the directories of a daemon. Blocks.
    #[must_use]
    pub fn open(&self) -> Chosen {
        let (state, state_fault) = match &self.named_state {
            // A volume of a container may belong to anyone.
            Some(named) => (Some(named.clone()), create_writable(named, OWN).err().map(|why| reason(named, &why))),
            None => first_usable(&self.usual_states, OWN),
        };
        let (runtime, runtime_fault) = match &self.named_runtime {
            // What is wrong with it is reported with each lock, and with the socket.
            Some(named) => (Some(named.clone()), None),
            None => {
                let in_state = state.as_ref().map(|state| state.join(IN_STATE));
                let all: Vec<PathBuf> = self.usual_runtime.clone().into_iter().chain(in_state).collect();
                first_usable(&all, VISIBLE)
            }
        };
        // Root's own directories are closed to the service and to other users, who must see the locks.
        let visible = self.named_runtime.is_none() && geteuid().is_root();
        let visible = visible.then(|| PathBuf::from(OF_ROOT)).filter(|folder| create(folder, VISIBLE).is_ok());
        let locks = visible.or_else(|| runtime.clone());
        let others = self.other_runtimes().chain([OF_ROOT.into(), OF_SERVICE.into()]);
        let other_locks = others.filter(|folder| Some(folder) != locks.as_ref()).collect();
        Chosen { state, runtime, locks, other_locks, state_fault, runtime_fault }
    }
}

/// The first that can be created and written, or why none can.
fn first_usable(folders: &[PathBuf], mode: u32) -> (Option<PathBuf>, Option<String>) {
    let mut faults = Vec::new();
    for folder in folders {
        match create(folder, mode) {
            Ok(()) => return (Some(folder.clone()), None),
            Err(why) => faults.push(reason(folder, &why)),
        }
    }
    (None, Some(if faults.is_empty() { "no variable names one".to_owned() } else { faults.join(", ") }))
}

fn reason(folder: &Path, why: &io::Error) -> String {
    format!("{}: {why}", folder.display())
}

/// Creates a directory with these permissions, if it does not exist, and checks that this process may write there.
fn create_writable(folder: &Path, mode: u32) -> io::Result<()> {
    create_folder(folder, mode)?;
    Ok(accessat(CWD, folder, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)?)
}

/// The same for a directory that was not named.
fn create(folder: &Path, mode: u32) -> io::Result<()> {
    create_writable(folder, mode)?;
    let owner = fs::metadata(folder)?.uid();
    if geteuid().is_root() && owner != 0 {
        // Files that root leaves there are in its owner's way.
        return Err(io::Error::other(format!("it belongs to user {owner}")));
    }
    Ok(())
}

/// Creates a directory, and those above it. One that exists stays as it is.
///
/// # Errors
/// When it cannot be created.
pub fn create_folder(folder: &Path, mode: u32) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(mode).create(folder)
}

/// `$XDG_RUNTIME_DIR`, unless it belongs to another user, as it does for root after `su` or `sudo -E`: that user could
/// place links there.
#[must_use]
pub fn user_folder() -> Option<PathBuf> {
    absolute("XDG_RUNTIME_DIR").filter(|folder| is_own(folder))
}

fn is_own(folder: &Path) -> bool {
    fs::metadata(folder).is_ok_and(|folder| folder.uid() == geteuid().as_raw())
}

fn absolute(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).map(PathBuf::from).filter(|folder| folder.is_absolute())
}

/// systemd separates several directories by colons.
fn first_of(variable: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os(variable)?).next().filter(|folder| folder.is_absolute())
}

/// The home directory in `/etc/passwd`: services and some containers have no `$HOME`.
fn home_of_user() -> Option<PathBuf> {
    let user = geteuid().as_raw().to_string();
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let home =
        fields.filter(|fields| fields.get(2) == Some(&user.as_str())).find_map(|fields| fields.get(5).copied())?;
    Some(PathBuf::from(home)).filter(|home| home.is_absolute())
}

/// Permissions of a directory that only its owner may read.
pub const OWN: u32 = 0o700;
/// Permissions of a directory in which others may look up sockets.
pub const VISIBLE: u32 = 0o755;
const NAME: &str = "tickled";
const IN_STATE: &str = "run";
const OF_SERVICE_STATE: &str = "/var/lib/tickled";
const OF_SERVICE: &str = "/run/tickled";
/// The locks of a daemon that root started by hand. Not [`OF_SERVICE`]: systemd removes that when the service ends.
const OF_ROOT: &str = "/run/tickled-by-hand";
