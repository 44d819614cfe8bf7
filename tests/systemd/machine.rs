//! A real systemd to try things on: a box that boots in half a second, and what can be asked of it.

use std::env;
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

/// Which system the box is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    /// This one.
    Host,
    /// A small Debian with systemd 257, which is made once and kept.
    Trixie,
}

/// Tries the same on both systems, side by side.
pub(crate) fn on_both(test: fn(Base)) {
    thread::scope(|scope| {
        for base in [Base::Host, Base::Trixie] {
            scope.spawn(move || test(base));
        }
    });
}

/// A booted systemd of its own for one test; gone with it.
pub(crate) struct Machine {
    script: PathBuf,
    folder: PathBuf,
    base: Base,
}

/// What a command in the box came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Machine {
    /// Boots; none, said why, where there is no such box.
    pub(crate) fn boot(base: Base) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let Some(script) = env::var_os("TICKLED_SYSTEMD_BOX").map(PathBuf::from) else {
            println!("skipped: TICKLED_SYSTEMD_BOX names no script that boots a systemd (as root)");
            return None;
        };
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("tickled-box-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        if base == Base::Trixie {
            if !has_trixie(&script) {
                lacks("trixie", &format!("a Debian with systemd 257 cannot be had here, see {KEPT}/debian.log"));
                return None;
            }
            symlink(Path::new(KEPT).join("debian-trixie"), folder.join("debian-trixie")).unwrap();
        }
        let machine = Self { script, folder, base };
        let booted = machine.command(&["up"]).output().unwrap();
        assert!(booted.status.success(), "no boot: {}", String::from_utf8_lossy(&booted.stderr));
        Some(machine)
    }

    /// Runs a line of shell as root.
    pub(crate) fn run(&self, line: &str) -> Ran {
        let ran = self.command(&["run", "bash", "-c", line]).stdin(Stdio::null()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ran { code: ran.status.code(), out: text(ran.stdout), err: text(ran.stderr) }
    }

    /// The same, which must succeed; what it wrote.
    pub(crate) fn ok(&self, line: &str) -> String {
        let ran = self.run(line);
        assert_eq!(ran.code, Some(0), "{line}\n{}\n{}\n{}", ran.out, ran.err, self.log());
        ran.out.trim().to_owned()
    }

    /// Writes a file.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let mut child = self.command(&["copy", "-", path]).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{path}");
    }

    /// Installs the program, as the README says.
    pub(crate) fn install(&self) -> String {
        self.ok(&format!("BINARY={} ./systemd/install.sh", binary().display()))
    }

    /// Starts a simulated gateway at <https://127.0.0.1:5000>, with a login.
    pub(crate) fn simulate(&self) {
        self.ok(&format!(
            "systemd-run --quiet --unit=simulator {} simulate --listen 127.0.0.1:5000 --control 127.0.0.1:5001",
            binary().display()
        ));
        self.until("a simulator", || self.run("exec 3<>/dev/tcp/127.0.0.1/5001").code == Some(0));
        self.set("login");
        self.until("a session", || self.read("world")["truth"]["live"] == true);
    }

    /// Gives the world of the simulated gateway a turn.
    pub(crate) fn set(&self, command: &str) {
        let answer = self.http(5001, &format!("POST /{command}"));
        assert!(answer.starts_with("HTTP/1.1 2"), "{command}: {answer}");
    }

    /// Reads a page of the simulated gateway's control port.
    pub(crate) fn read(&self, page: &str) -> Value {
        self.read_at(5001, page)
    }

    /// The same of another one's.
    pub(crate) fn read_at(&self, port: u16, page: &str) -> Value {
        let answer = self.http(port, &format!("GET /{page}"));
        let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{page}: {answer}"));
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{page}: {error}: {body}"))
    }

    /// How often clients asked the simulated gateway for that path, or for anything if it is empty.
    pub(crate) fn asked_for(&self, path: &str) -> usize {
        let seen = self.read("requests");
        seen.as_array().unwrap().iter().filter(|seen| path.is_empty() || seen["path"] == path).count()
    }

    fn http(&self, port: u16, request: &str) -> String {
        self.run(&format!(
            "exec 3<>/dev/tcp/127.0.0.1/{port}; \
             printf '{request} HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n' >&3; cat <&3"
        ))
        .out
    }

    /// A property of the unit.
    pub(crate) fn shows(&self, property: &str) -> String {
        self.ok(&format!("systemctl show --value --property={property} tickled"))
    }

    /// What the daemon itself said, oldest first.
    pub(crate) fn journal(&self) -> Vec<Map<String, Value>> {
        let text = self.ok("journalctl --quiet --unit=tickled --identifier=tickled --output=json");
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The daemon's entries with these fields.
    pub(crate) fn entries(&self, signs: &[(&str, &str)]) -> Vec<Map<String, Value>> {
        let is_it = |entry: &Map<String, Value>| {
            signs.iter().all(|(field, value)| entry.get(*field).is_some_and(|is| is == value))
        };
        self.journal().into_iter().filter(is_it).collect()
    }

    /// The unit's whole journal, for the message of a failed test.
    pub(crate) fn log(&self) -> String {
        self.run("systemctl status --no-pager tickled; journalctl --unit=tickled --no-pager --output=short-precise").out
    }

    /// Waits until something is so.
    pub(crate) fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        self.within(Duration::from_secs(60), what, &mut is_so);
    }

    /// Waits so long at most; how long it took.
    pub(crate) fn within(&self, limit: Duration, what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() < limit, "not within {limit:?}: {what}\n{}", self.log());
            sleep(Duration::from_millis(50));
        }
        began.elapsed()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.script);
        let root = env!("CARGO_MANIFEST_DIR");
        let built = binary().parent().unwrap().display();
        // The daemon would take the variable for a key of its configuration.
        command.args(arguments).env_remove("TICKLED_SYSTEMD_BOX").current_dir(root);
        command.env("SYSTEMD_BOX_DIR", &self.folder);
        command.env("SYSTEMD_BOX_BIND", format!("{root}:ro {built}:ro {}:ro", env!("CARGO_TARGET_TMPDIR")));
        if self.base == Base::Trixie {
            command.env("SYSTEMD_BOX_BASE", "debian").env("SYSTEMD_BOX_SUITE", "trixie");
        }
        command
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.command(&["down", "--kill"]).output());
        fs::remove_dir_all(&self.folder).ok();
    }
}

/// Says what is missing here for a part of these tests: a fault, unless `WITHOUT=deb,java,trixie` names it.
pub(crate) fn lacks(what: &str, fault: &str) {
    let without = env::var("WITHOUT").unwrap_or_default();
    assert!(without.split(',').any(|name| name == what), "{fault}; WITHOUT={what} tries the rest");
    println!("skipped: {fault}");
}

/// Whether the small Debian is there, which is made if it is not.
fn has_trixie(script: &Path) -> bool {
    // Once, however many tests wait for it.
    static MADE: OnceLock<bool> = OnceLock::new();
    *MADE.get_or_init(|| {
        let kept = Path::new(KEPT);
        kept.join("debian-trixie").exists() || make_trixie(script, kept)
    })
}

/// Makes the small Debian, which takes most of a minute and a network.
fn make_trixie(script: &Path, kept: &Path) -> bool {
    let made = Command::new("timeout")
        .args(["180", script.to_str().unwrap(), "up"])
        .env("SYSTEMD_BOX_DIR", kept)
        .env("SYSTEMD_BOX_BASE", "debian")
        .env("SYSTEMD_BOX_SUITE", "trixie")
        .env("SYSTEMD_BOX_PACKAGES", "ca-certificates")
        .output();
    drop(Command::new(script).args(["down", "--kill"]).env("SYSTEMD_BOX_DIR", kept).output());
    made.is_ok_and(|made| made.status.success()) && kept.join("debian-trixie").exists()
}

/// The program that is tried: what `BINARY` names, as for the installer, or what cargo built for these tests.
pub(crate) fn binary() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let named = env::var_os("BINARY").map_or_else(|| env!("CARGO_BIN_EXE_tickled").into(), PathBuf::from);
        named.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", named.display()))
    })
}

/// Where the small Debian is kept.
const KEPT: &str = "/var/tmp/tickled-systemd-box";
