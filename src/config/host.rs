//! Checks what the configuration names on this host: files, programs, hosts, units, addresses.
//!
//! A finding is an error when no user of this host could have a different answer (the file does not exist), and a
//! warning when the daemon may run as another user or on another host (this user may not read the file, the name does
//! not resolve).

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::net::{TcpListener, ToSocketAddrs};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use reqwest::Url;
use rustix::fs::{Access, access};

use super::diagnostic::quoted;
use super::validate::Config;
use crate::alert;
use crate::alert::settings::{ChannelKind, Url as WebhookUrl};
use crate::gateway::tls;

/// What is wrong with one thing that a key names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HostProblem {
    pub(super) key: String,
    pub(super) what: String,
    pub(super) hint: String,
    pub(super) is_certain: bool,
}

/// The files, programs and hosts that one configuration names.
#[derive(Debug, Default)]
struct Inspection {
    problems: Vec<HostProblem>,
    /// Host names to resolve, with the key of each.
    hosts: Vec<(String, String)>,
    credentials: Option<PathBuf>,
}

/// Checks everything that `config` names. Takes at most a few seconds, whatever the resolver does.
pub(super) fn inspect(config: &Config, environment: &BTreeMap<String, String>) -> Vec<HostProblem> {
    let credentials = environment.get("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let mut inspection = Inspection { credentials, ..Inspection::default() };
    for gateway in &config.gateways {
        let path = format!("gateway.{}", gateway.name);
        inspection.url(format!("{path}.url"), gateway.target.url.as_str());
        if let Some(unit) = &gateway.unit {
            inspection.unit(format!("{path}.unit"), unit);
        }
        if let Some(program) = gateway.wedged_restart.first() {
            let search = environment.get("PATH").map_or(USUAL_PATH, String::as_str);
            inspection.command(format!("{path}.wedged.restart[0]"), program, search);
        }
    }
    for (index, channel) in config.alerts.channels.iter().enumerate() {
        let key = |name: &str| format!("alerts.channel[{index}].{name}");
        match &channel.kind {
            ChannelKind::Webhook(webhook) => {
                match &webhook.url {
                    WebhookUrl::Plain(url) => inspection.url(key("url"), url),
                    WebhookUrl::File(file) => inspection.secrets(key("url_file"), Some(file)),
                }
                inspection.secrets(key("token_file"), webhook.token_file.as_deref());
                inspection.certificates(key("ca_file"), webhook.ca_file.as_deref());
            }
            ChannelKind::Email(email) => {
                inspection.hosts.push((key("host"), email.host.clone()));
                inspection.secrets(key("password_file"), email.password_file.as_deref());
                inspection.certificates(key("ca_file"), email.ca_file.as_deref());
            }
            ChannelKind::Command(command) => {
                if let Some(program) = command.argv.first() {
                    inspection.program(key("argv[0]"), Path::new(program));
                }
            }
        }
    }
    for (index, hook) in config.hooks.iter().enumerate() {
        if let Some(program) = hook.argv.first() {
            inspection.program(format!("hook[{index}].argv[0]"), Path::new(program));
        }
    }
    if let Some(deadman) = &config.alerts.deadman {
        let key = "deadman.url_file";
        if inspection.secret(key.to_owned(), &deadman.url_file)
            && let Err(why) = alert::check_deadman(deadman)
        {
            inspection.fail(key.to_owned(), "a failure cannot be reported to the dead man's switch".to_owned(), why);
        }
    }
    if let Some(listen) = config.endpoint.listen
        && let Err(error) = TcpListener::bind((listen.ip(), 0))
        && error.kind() == ErrorKind::AddrNotAvailable
    {
        let what = format!("{} is not an address of this host", listen.ip());
        inspection.warn("endpoint.listen".to_owned(), what, "`ip address` lists them".to_owned());
    }
    inspection.resolve();
    inspection.problems
}

/// Whether the file holds certificates. Never waits for a FIFO.
pub(super) fn certificates(path: &Path) -> Result<(), String> {
    match fs::metadata(path) {
        Ok(is) if !is.is_file() => Err(format!("{} is {}, not a file", quoted(&path.display().to_string()), kind(&is))),
        Ok(_) | Err(_) => tls::certificates(path).map_err(|error| error.to_string()),
    }
}

/// Opens a regular file. Never waits: a FIFO without a writer is refused.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let is = fs::metadata(path)?;
    if is.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    // A pipe that was handed to this process, as /dev/stdin, has no name. One with a name may have no other end.
    let is_handed = is.file_type().is_fifo() && fs::canonicalize(path).is_err();
    if !is.is_file() && !is_handed {
        return Err(io::Error::new(ErrorKind::InvalidInput, format!("it is {}, not a file", kind(&is))));
    }
    File::open(path)
}

impl Inspection {
    fn fail(&mut self, key: String, what: String, hint: String) {
        self.problems.push(HostProblem { key, what, hint, is_certain: true });
    }

    fn warn(&mut self, key: String, what: String, hint: String) {
        self.problems.push(HostProblem { key, what, hint, is_certain: false });
    }

    fn secrets(&mut self, key: String, file: Option<&Path>) {
        if let Some(file) = file {
            self.secret(key, file);
        }
    }

    /// Whether it can be read and holds one line.
    fn secret(&mut self, key: String, file: &Path) -> bool {
        let path = match &self.credentials {
            _ if file.is_absolute() => file.to_owned(),
            Some(folder) => folder.join(file),
            None => {
                let what = format!("the credential {} is not checked", quoted(&file.display().to_string()));
                let hint = "systemd gives it to the daemon alone; try it with `tickled alert test`".to_owned();
                self.warn(key, what, hint);
                return false;
            }
        };
        let remedy = "write the secret into it, as one line, and `chmod 600` it";
        if !self.readable(key.clone(), &path, remedy) {
            return false;
        }
        let fault = alert::check_secret(&path).err();
        let is_good = fault.is_none();
        if let Some(fault) = fault {
            self.fail(key, fault, remedy.to_owned());
        }
        is_good
    }

    /// Whether there is a regular file that is not empty and that this user may read.
    fn readable(&mut self, key: String, path: &Path, remedy: &str) -> bool {
        let Some(is) = self.exists(&key, path, remedy) else { return false };
        if is.len() == 0 {
            self.fail(key, format!("{} is empty", shown(path)), remedy.to_owned());
            return false;
        }
        match access(path, Access::READ_OK) {
            Ok(()) => true,
            Err(error) => {
                self.warn(key, format!("{} cannot be read by this user: {error}", shown(path)), OTHER_USER.to_owned());
                false
            }
        }
    }

    /// The metadata of the regular file at `path`.
    fn exists(&mut self, key: &str, path: &Path, remedy: &str) -> Option<Metadata> {
        match fs::metadata(path) {
            Ok(is) if is.is_file() => return Some(is),
            Ok(is) => {
                let what = format!("{} is {}, not a file", shown(path), kind(&is));
                self.fail(key.to_owned(), what, remedy.to_owned());
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                let what = format!("{} cannot be checked by this user: {error}", shown(path));
                self.warn(key.to_owned(), what, OTHER_USER.to_owned());
            }
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                self.fail(key.to_owned(), format!("{} does not exist", shown(path)), remedy.to_owned());
            }
            Err(error) => {
                self.fail(key.to_owned(), format!("{} cannot be used: {error}", shown(path)), remedy.to_owned());
            }
        }
        None
    }

    fn certificates(&mut self, key: String, path: Option<&Path>) {
        let Some(path) = path else { return };
        let remedy = "name a file of certificates in PEM format";
        if self.readable(key.clone(), path, remedy)
            && let Err(error) = tls::certificates(path)
        {
            self.fail(key, error.to_string(), remedy.to_owned());
        }
    }

    fn program(&mut self, key: String, path: &Path) {
        let Some(is) = self.exists(&key, path, "install the program, or correct argv") else { return };
        if is.permissions().mode() & 0o111 == 0 {
            let hint = format!("`chmod +x {}`", path.display());
            return self.fail(key, format!("{} is not executable", shown(path)), hint);
        }
        if let Err(error) = access(path, Access::EXEC_OK) {
            let what = format!("{} cannot be executed by this user: {error}", shown(path));
            return self.warn(key, what, OTHER_USER.to_owned());
        }
        if let Some(interpreter) = interpreter(path)
            && matches!(fs::metadata(&interpreter), Err(error) if error.kind() == ErrorKind::NotFound)
        {
            let what = format!("{} needs {}, which does not exist", shown(path), shown(&interpreter));
            self.fail(key, what, "install that, or correct the first line of the script".to_owned());
        }
    }

    /// The same for one that may be given by its name alone.
    fn command(&mut self, key: String, program: &str, search: &str) {
        if program.contains('/') {
            return self.program(key, Path::new(program));
        }
        match search.split(':').map(|folder| Path::new(folder).join(program)).find(|path| path.is_file()) {
            Some(path) => self.program(key, &path),
            None => self.warn(
                key,
                format!("{} is in no directory of PATH", quoted(program)),
                "write its absolute path: the daemon may have another PATH".to_owned(),
            ),
        }
    }

    /// Whether systemd has the unit, where this host runs systemd.
    fn unit(&mut self, key: String, unit: &str) {
        let template = unit.split_once('@').map(|(stem, _)| format!("{stem}@.service"));
        let is_there = |folder: &&str| {
            let folder = Path::new(folder);
            folder.join(unit).exists() || template.as_ref().is_some_and(|name| folder.join(name).exists())
        };
        if Path::new("/run/systemd/system").exists() && !UNITS.iter().any(is_there) {
            let what = format!("this host has no unit {}", quoted(unit));
            self.warn(key, what, "`systemctl list-unit-files` lists them".to_owned());
        }
    }

    fn url(&mut self, key: String, url: &str) {
        if let Some(host) = Url::parse(url).ok().as_ref().and_then(Url::host_str) {
            self.hosts.push((key, host.to_owned()));
        }
    }

    /// Resolves all names at once, and waits for a moment only.
    fn resolve(&mut self) {
        let (sender, answers) = mpsc::channel();
        let mut waiting = BTreeMap::new();
        for (key, host) in std::mem::take(&mut self.hosts) {
            let bare = host.trim_matches(['[', ']']).to_owned();
            if bare.parse::<std::net::IpAddr>().is_ok() || bare == "localhost" {
                continue;
            }
            let sender = sender.clone();
            let asked = key.clone();
            let lookup = move || {
                let answer = (bare.as_str(), 0).to_socket_addrs().map(|_| ());
                drop(sender.send((asked, answer)));
            };
            if thread::Builder::new().spawn(lookup).is_ok() {
                waiting.insert(key, host);
            }
        }
        drop(sender);
        while let Ok((key, answer)) = answers.recv_timeout(PATIENCE) {
            if let (Some(host), Err(error)) = (waiting.remove(&key), answer) {
                let what = format!("the name {} cannot be resolved: {error}", quoted(&host));
                self.warn(key, what, "correct it, or see if this host reaches its DNS server".to_owned());
            }
        }
        for (key, host) in waiting {
            let what = format!("the name {} was not resolved within {}s", quoted(&host), PATIENCE.as_secs());
            self.warn(key, what, "see if this host reaches its DNS server".to_owned());
        }
        self.problems.sort_by(|one, other| one.key.cmp(&other.key));
    }
}

/// The interpreter that the first line of a script names.
fn interpreter(path: &Path) -> Option<PathBuf> {
    let mut start = Vec::new();
    open(path).ok()?.take(256).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let program = std::str::from_utf8(line).ok()?.split_whitespace().next()?;
    Some(PathBuf::from(program))
}

fn kind(is: &Metadata) -> &'static str {
    let kind = is.file_type();
    match () {
        () if kind.is_dir() => "a directory",
        () if kind.is_fifo() => "a FIFO",
        () if kind.is_socket() => "a socket",
        () => "a device",
    }
}

fn shown(path: &Path) -> String {
    quoted(&path.display().to_string())
}

const OTHER_USER: &str = "check again as the user that the daemon runs as, or as root";

/// How long to wait for the next answer of the resolver.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where systemd looks for units of the system.
const UNITS: [&str; 12] = [
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
];
/// The search path of a service of systemd.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
