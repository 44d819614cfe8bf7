//! The image as a container: its root file system, read-only, with a directory for the state, 32 MB and nothing else.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command as Blocking, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use tokio::process::Command;

use crate::{folder, repository};

/// The image: its settings and its root file system.
pub(crate) struct Image {
    pub(crate) archive: PathBuf,
    pub(crate) config: Value,
    root: PathBuf,
}

/// The image of the static program; none, said why, where it cannot be built or run.
pub(crate) fn image() -> Option<&'static Image> {
    static BUILT: OnceLock<Option<Image>> = OnceLock::new();
    BUILT.get_or_init(build).as_ref()
}

#[expect(clippy::print_stderr, reason = "what is skipped is said")]
fn build() -> Option<Image> {
    let Some(binary) = std::env::var_os("STATIC") else {
        eprintln!("skipped: STATIC names no static program (packaging/build binary)");
        return None;
    };
    let is_there = |program| Blocking::new("sh").args(["-c", &format!("command -v {program} >/dev/null")]).status();
    if std::env::var("USER").is_ok_and(|user| user != "root") || !is_there("buildah").unwrap().success() {
        eprintln!("skipped: the image needs root and buildah (apt-get install --no-install-recommends buildah)");
        return None;
    }
    let (dist, layers) = (folder("dist"), folder("layers"));
    run(Blocking::new(repository().join("packaging/build"))
        .arg("image")
        .env("BINARY", fs::canonicalize(binary).unwrap())
        .env("DIST", &dist));
    let archive = fs::read_dir(&dist).unwrap().next().unwrap().unwrap().path();
    run(Blocking::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&layers));
    let read = |name: &str| serde_json::from_slice::<Value>(&fs::read(layers.join(name)).unwrap()).unwrap();
    let manifest = read("manifest.json")[0].clone();
    let root = folder("root");
    for layer in manifest["Layers"].as_array().unwrap() {
        run(Blocking::new("tar").arg("-xpf").arg(layers.join(layer.as_str().unwrap())).arg("-C").arg(&root));
    }
    // An engine mounts these.
    for part in ["proc", "dev"] {
        fs::create_dir_all(root.join(part)).unwrap();
    }
    Some(Image { archive, config: read(manifest["Config"].as_str().unwrap())["config"].clone(), root })
}

fn run(command: &mut Blocking) {
    let ended = command.output().unwrap();
    assert!(ended.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ended.stderr));
}

/// A container of the image, with its configuration and its state in a directory of the test.
pub(crate) struct Container {
    image: &'static Image,
    folder: PathBuf,
    /// Its control group, where the machine has those that limit memory.
    group: Option<PathBuf>,
    /// Whether it has a network of its own.
    pub(crate) is_isolated: bool,
}

impl Container {
    pub(crate) fn new(image: &'static Image, name: &str) -> Self {
        let folder = folder(name);
        for part in ["etc", "state", "root"] {
            fs::create_dir_all(folder.join(part)).unwrap();
        }
        // A new volume gets the owner and the mode of the directory in the image.
        let state = fs::metadata(image.root.join("var/lib/tickled")).unwrap();
        chown(folder.join("state"), Some(state.uid()), Some(state.gid())).unwrap();
        fs::set_permissions(folder.join("state"), state.permissions()).unwrap();
        run(Blocking::new("cp").args(["-a", "--"]).arg(format!("{}/.", image.root.display())).arg(folder.join("root")));
        fs::write(folder.join("root/dev/null"), "").unwrap();
        Self { image, group: group(name), folder, is_isolated: false }
    }

    /// A file of the host that the engine mounts, or that the test adds to the image.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// The directory that is mounted as `/etc/tickled`.
    pub(crate) fn etc(&self) -> PathBuf {
        self.folder.join("etc")
    }

    /// The directory that is mounted as `/var/lib/tickled`.
    pub(crate) fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// The entry point with these arguments as process 1, in 32 MB where the machine can limit that. `before` is a shell
    /// command that runs first, outside of the root file system.
    pub(crate) fn run(&self, arguments: &[&str], before: &str) -> Command {
        let script = format!(
            "set -e; cd {folder}; {limit}; {before}
             mount --bind root root; mount --bind etc root/etc/tickled; mount --bind state root/var/lib/tickled
             mount --bind /dev/null root/dev/null; mount -t proc proc root/proc
             mount -o remount,bind,ro root; mount -o remount,bind,ro root/etc/tickled
             exec env -i {environment} \"$@\"",
            folder = self.folder.display(),
            limit = self.limit(),
            environment = self.environment(),
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child"]);
        if self.is_isolated {
            command.arg("--net");
        }
        command.args(["sh", "-c", &script, "sh", "chroot", "--userspec=65532:65532", "--groups=65532", "root"]);
        command.args(self.entry_point()).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// A shell command by which a process limits its own memory, and that of its children.
    fn limit(&self) -> String {
        match &self.group {
            Some(group) => format!("echo $$ >{}/cgroup.procs", group.display()),
            // The next best: what the process allocates.
            None => "ulimit -d 32768".to_owned(),
        }
    }

    fn entry_point(&self) -> Vec<String> {
        let words = self.image.config["Entrypoint"].as_array().unwrap();
        let mut words: Vec<String> = words.iter().map(|word| word.as_str().unwrap().to_owned()).collect();
        // chroot searches in the path of the container.
        words[0] = format!("/usr/bin/{}", words[0]);
        words
    }

    fn environment(&self) -> String {
        let variables = self.image.config["Env"].as_array().unwrap();
        let variables: Vec<&str> = variables.iter().map(|variable| variable.as_str().unwrap()).collect();
        // `chroot` itself is the host's.
        format!("{} TICKLED_LOG__FORMAT=json PATH=/usr/bin:/usr/sbin:/bin", variables.join(" "))
    }

    /// A program of the container, run in it as `docker exec` does.
    pub(crate) async fn exec(&self, Init(init): &Init, arguments: &[&str]) -> Output {
        let mut enter = Command::new("nsenter");
        enter.arg(format!("--target={init}")).args(["--mount", "--pid", "--net", "--root", "--wd=/"]);
        enter.args(["--setuid=65532", "--setgid=65532"]).args(self.entry_point()).args(arguments);
        enter.env_clear().env("PATH", "/usr/bin:/bin").env("STATE_DIRECTORY", "/var/lib/tickled");
        enter.stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap()
    }
}

/// Process 1 of a container. All of the container ends with this.
pub(crate) struct Init(pub(crate) u32);

impl Init {
    /// That of the container that `unshare` has started.
    pub(crate) fn of(unshare: u32) -> Self {
        Self(children(unshare).into_iter().next().expect("a process 1"))
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        drop(Blocking::new("kill").args(["-KILL", &self.0.to_string()]).stderr(Stdio::null()).status());
    }
}

/// The children of a process.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let all = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    all.split_ascii_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// A control group of 32 MB.
fn group(name: &str) -> Option<PathBuf> {
    let group = Path::new("/sys/fs/cgroup/memory").join(format!("tickled-{}-{name}", std::process::id()));
    let is_limited =
        fs::create_dir(&group).is_ok() && fs::write(group.join("memory.limit_in_bytes"), "33554432").is_ok();
    is_limited.then_some(group)
}

impl Drop for Container {
    fn drop(&mut self) {
        let Some(group) = &self.group else { return };
        for _ in 0..500 {
            // A test that failed has left its processes.
            let left = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            for pid in left.lines().filter_map(|pid| pid.parse().ok()).filter(|pid| *pid > 1) {
                drop(Init(pid));
            }
            if fs::remove_dir(group).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}
