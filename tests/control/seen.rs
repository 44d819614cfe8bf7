//! What people see: every verb in every place where it is typed, as files that were read by a person. `BLESS=1` writes
//! them.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use crate::places::another_version;
use crate::{Asked, Host};
use support::{Gateway, SOON, copy_program, file, tickled};

const VERBS: &[&str] = &[
    "status",
    "status main",
    "status nobody",
    "watch",
    "check",
    "history --since 1h",
    "pause main --for 30m",
    "status main",
    "resume main",
    "pause nobody",
    "ack",
    "ack --code nothing",
    "alert test",
    "login main",
    "login ira --within 1s --no-browser",
    "login nobody",
    "logout nobody",
    "cert --url MAIN",
    "cert --url http://127.0.0.1:1",
    "check --url MAIN",
    "config check c.toml",
    "doctor --config c.toml",
];

/// Two gateways, one live and one without a login, and what people ask about them.
struct Scene {
    host: Host,
    live: Gateway,
    _lost: Gateway,
    changes: usize,
}

impl Scene {
    async fn set() -> Self {
        let (live, lost) = (Gateway::logged_in().await, Gateway::start().await);
        let config = format!(
            "[gateway.ira]\nurl = \"{}\"\n[gateway.main]\nurl = \"{}\"\n[session]\nping_every = \"5m\"\ncheck_every = \"20s\"\n\
             [maintenance]\nwindow = []\n",
            lost.url(),
            live.url()
        );
        let mut host = Host::start(&config);
        // Whatever the umask of this host makes of it, doctor has nothing to say of that.
        let own = host.place.join("c.toml");
        std::fs::copy(&host.config, &own).unwrap();
        std::fs::set_permissions(&own, std::fs::Permissions::from_mode(0o644)).unwrap();
        host.daemon.hears(&[("event", "alert"), ("phase", "raised")], SOON * 2).await;
        let mut scene = Self { host, live, _lost: lost, changes: 3 };
        scene.settles().await;
        scene
    }

    /// Waits until both do no more than wait, for some time yet, and what has changed is written down.
    async fn settles(&mut self) {
        let until = Instant::now() + SOON * 3;
        let time = |value: &Value| value.as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok());
        let waits = |gateway: &Value, at: &Value| {
            let left = time(&gateway["next_at"]).zip(time(at)).map(|(next, at)| next.duration_since(at).as_millis());
            let next = gateway["next"].as_str().unwrap();
            let is_calm = ["the next check is due", "checking for a login", "the pause ends"];
            is_calm.contains(&next) && gateway["state"] != "starting" && left.is_some_and(|left| left > 5000)
        };
        loop {
            let status: Value = serde_json::from_str(&self.host.asks(&["status", "--json"]).await.out).unwrap();
            if status["gateways"]
                .as_array()
                .is_some_and(|all| all.len() == 2 && all.iter().all(|gateway| waits(gateway, &status["at"])))
            {
                break;
            }
            assert!(Instant::now() < until, "{status:#}");
            sleep(Duration::from_millis(100)).await;
        }
        self.host.has_written(self.changes).await;
    }

    /// After a verb: what it set going has come to its end.
    async fn after(&mut self, verb: &str) {
        self.changes += match verb.split(' ').next() {
            Some("pause") if verb.contains("main") => 1,
            // It is looked at anew.
            Some("resume") => 2,
            _ => 0,
        };
        self.settles().await;
    }

    fn line(&self, verb: &str) -> String {
        verb.replace("MAIN", &self.live.url())
    }

    /// What was said and how it ended, without what differs from host to host and from run to run.
    fn shown(&self, verb: &str, asked: &Asked) -> String {
        let said = format!("{}{}", asked.out, asked.err).replace(self.host.socket().to_str().unwrap(), "SOCKET");
        shown(verb, &said, asked.code)
    }
}

fn shown(verb: &str, said: &str, code: Option<i32>) -> String {
    let said = said.replace(&tickled::daemon::host_name(), "HOST").replace(env!("CARGO_PKG_VERSION"), "VERSION");
    let mut page = format!("\n$ tickled {verb}\n");
    let (mut is_todo, mut is_hidden) = (false, false);
    for line in said.lines() {
        // What doctor finds on this very host is another matter on each.
        let begins = line.chars().next().is_some_and(|first| first != ' ');
        if verb.starts_with("doctor") && begins {
            is_hidden = ["programs", "unit", "state", "java"].iter().any(|check| {
                line.split_once("  ")
                    .is_some_and(|(_, label)| label.trim_start().trim_start_matches("- ").starts_with(check))
            });
        }
        if is_hidden || (verb.starts_with("doctor") && line.ends_with("begin with the first")) {
            continue;
        }
        // Where lines with the host's name end depends on its length.
        let is_more = is_todo && line.starts_with("    ");
        let text = even(line);
        if is_more {
            page.pop();
            writeln!(page, " {}", text.trim_start()).unwrap();
        } else {
            is_todo = line.starts_with("    -> ") || line.trim_start().starts_with("to do: log in at");
            writeln!(page, "{text}").unwrap();
        }
    }
    writeln!(page, "[{}]", code.unwrap()).unwrap();
    page
}

/// A line without its numbers, times and timelines.
fn even(line: &str) -> String {
    let indent = line.len() - line.trim_start().len();
    if !line.trim().is_empty() && line.trim().chars().all(|sign| "█▓▒░×-· ".contains(sign)) {
        return format!("{}(timeline)", &line[..indent.min(4)]);
    }
    let mut short = String::new();
    for character in line.trim().chars() {
        match character {
            '0'..='9' if short.ends_with('#') => {}
            '0'..='9' => short.push('#'),
            ' ' if short.ends_with("  ") => {}
            '\u{1b}' => short.push('^'),
            other => short.push(other),
        }
    }
    let mut short = short.replace("#.#", "#");
    // Whether a login's end is known yet is a matter of when one asks.
    if let Some(row) = short.strip_suffix("  unknown") {
        short = format!("{row}  in #s");
    }
    let mut words: Vec<String> = Vec::new();
    for word in short.split(' ') {
        let core = word.trim_matches(['(', ')', ',', ';', ':', '.', '\n']);
        let is_time = ["#ms", "#s", "#m", "#h", "#d"].contains(&core);
        match words.last_mut() {
            Some(last) if is_time && last.ends_with("TIME") => {
                let before = last.trim_end_matches("TIME").to_owned();
                *last = before + &word.replace(core, "TIME");
            }
            _ if is_time => words.push(word.replace(core, "TIME")),
            _ => words.push(word.to_owned()),
        }
    }
    format!("{}{}", &line[..indent], words.join(" "))
}

/// Holds a page against the one that was read.
fn held(name: &str, page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/verbs").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, page).unwrap();
    }
    let read = std::fs::read_to_string(&path).unwrap();
    for (line, (is, was)) in page.lines().zip(read.lines()).enumerate() {
        assert_eq!(is, was, "tests/data/verbs/{name}:{}", line + 1);
    }
    assert_eq!(page.lines().count(), read.lines().count(), "tests/data/verbs/{name}");
}

/// A command in a pipe.
fn piped(line: &str) -> Command {
    let mut command = tickled(&line.split(' ').collect::<Vec<_>>());
    command.env_remove("COLUMNS").env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").env_remove("TICKLED_CONFIG");
    command
}

/// What a person sees who types that, and who presses q once the screen says that it ends.
async fn typed(line: &str, columns: usize, socket: &Path, folder: &Path) -> Asked {
    let line = format!("stty rows 50 cols {columns}; {} {line}", env!("CARGO_BIN_EXE_tickled"));
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    script
        .current_dir(folder)
        .env("TICKLED_SOCKET", socket)
        .env("TERM", "xterm")
        .env("LC_ALL", "C.UTF-8")
        .kill_on_drop(true);
    for own in ["COLUMNS", "NO_COLOR", "DISPLAY", "WAYLAND_DISPLAY", "TICKLED_CONFIG"] {
        script.env_remove(own);
    }
    let mut child = script.spawn().unwrap();
    let (mut keys, mut out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut seen = Vec::new();
    let mut is_pressed = false;
    loop {
        let mut bytes = [0; 4096];
        let read = timeout(SOON * 6, out.read(&mut bytes)).await.unwrap().unwrap();
        if read == 0 {
            break;
        }
        seen.extend_from_slice(&bytes[..read]);
        if !is_pressed && String::from_utf8_lossy(&seen).contains("q ends") {
            is_pressed = true;
            keys.write_all(b"q").await.unwrap();
            keys.flush().await.unwrap();
        }
    }
    let code = child.wait().await.unwrap().code();
    // Of what was redrawn, what stood there last.
    let seen = String::from_utf8(seen).unwrap().replace("\r\n", "\n");
    let seen = seen.lines().map(|line| line.rsplit("\r\u{1b}[K").next().unwrap_or(line)).collect::<Vec<_>>().join("\n");
    let frame = seen.rsplit("\u{1b}[H").next().unwrap_or(&seen).split("\u{1b}[?25h").next().unwrap_or(&seen);
    Asked { code, out: frame.replace("\u{1b}[K", "").replace("\u{1b}[J", ""), err: String::new() }
}

/// No line is cut or broken by the terminal itself but one that holds something that has to stay whole.
fn fits(verb: &str, said: &str, columns: usize) {
    for line in said.lines() {
        let mut plain = line.to_owned();
        for colour in ["\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m", "\u{1b}[0m"] {
            plain = plain.replace(colour, "");
        }
        let longest = plain.split('`').flat_map(|part| part.split("  ")).map(str::len).max().unwrap_or(0);
        let is_whole = !plain.trim().contains(' ')
            || plain.contains(':') && plain.split(' ').any(|word| word.len() > 40)
            || plain.matches('`').count() >= 2 && longest > 20
            || plain.starts_with("    ssh ");
        assert!(plain.chars().count() <= columns || is_whole, "{verb} at {columns} columns: {plain:?}");
    }
}

#[tokio::test]
async fn in_a_pipe_and_in_terminals() {
    let mut scene = Scene::set().await;
    let socket = scene.host.socket();
    let mut page = String::new();
    for verb in VERBS {
        let mut command = piped(&scene.line(verb));
        command.env("TICKLED_SOCKET", &socket).current_dir(&scene.host.place);
        let asked = Asked::from(command.output().await.unwrap());
        assert!(!format!("{}{}", asked.out, asked.err).contains('\u{1b}'), "{verb} in colours: {asked:?}");
        page += &scene.shown(verb, &asked);
        scene.after(verb).await;
    }
    held("pipe.txt", &page);
    for columns in [80, 40] {
        let mut page = String::new();
        for verb in VERBS {
            let asked = typed(&scene.line(verb), columns, &socket, &scene.host.place).await;
            fits(verb, &asked.out, columns);
            page += &scene.shown(verb, &asked);
            scene.after(verb).await;
        }
        held(&format!("terminal-{columns}.txt"), &page);
    }

    // The same line with the variable before it.
    let line = format!("status; NO_COLOR=1 {} status", env!("CARGO_BIN_EXE_tickled"));
    let asked = typed(&line, 80, &socket, &scene.host.place).await;
    assert_eq!(asked.out.matches("\u{1b}[32m").count(), 1, "{}", asked.out);
    assert!(asked.out.contains("\nmain     live "), "{}", asked.out);

    let mut page = String::new();
    for verb in ["status", "history", "check", "pause main --for 30m", "resume main", "login main", "cert --url MAIN"] {
        let asked =
            piped(&format!("{} --json", scene.line(verb))).env("TICKLED_SOCKET", &socket).output().await.unwrap();
        let asked = Asked::from(asked);
        assert_eq!((asked.err.as_str(), asked.out.lines().count()), ("", 1), "{verb}");
        let mut keys = BTreeSet::new();
        keys_of(&serde_json::from_str(&asked.out).unwrap(), "", &mut keys);
        writeln!(page, "\n$ tickled {verb} --json").unwrap();
        keys.iter().for_each(|key| writeln!(page, "{key}").unwrap());
        scene.after(verb).await;
    }
    held("json.txt", &page);
}

/// Where something stands in an object, as `gateways[].state`.
fn keys_of(value: &Value, at: &str, keys: &mut BTreeSet<String>) {
    match value {
        Value::Object(all) => all.iter().for_each(|(key, value)| keys_of(value, &format!("{at}.{key}"), keys)),
        Value::Array(all) if !all.is_empty() => all.iter().for_each(|value| keys_of(value, &format!("{at}[]"), keys)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            keys.insert(at.trim_start_matches('.').to_owned());
        }
    }
}

const ASKING: &[&str] = &[
    "status",
    "watch",
    "history",
    "check",
    "pause main",
    "resume main",
    "logout main",
    "ack",
    "alert test",
    "login main",
];

#[tokio::test]
async fn where_no_daemon_is() {
    let mut page = String::new();
    for verb in ASKING {
        let asked = piped(verb).env("TICKLED_SOCKET", "/nowhere/control.sock").output().await.unwrap();
        let asked = Asked::from(asked);
        page += &shown(verb, &format!("{}{}", asked.out, asked.err), asked.code);
        let said = typed(verb, 40, Path::new("/nowhere/control.sock"), Path::new("/")).await;
        fits(verb, &said.out, 40);
    }
    held("no-daemon.txt", &page);
}

#[tokio::test]
async fn where_a_daemon_of_another_version_is() {
    let (folder, socket) = another_version("seen");
    let mut page = String::new();
    for verb in ASKING.iter().filter(|verb| **verb != "watch") {
        let asked = Asked::from(piped(verb).env("TICKLED_SOCKET", &socket).output().await.unwrap());
        let said = format!("{}{}", asked.out, asked.err).replace(socket.to_str().unwrap(), "SOCKET");
        page += &shown(verb, &said, asked.code);
    }
    std::fs::remove_dir_all(folder).unwrap();
    held("another-version.txt", &page);
}

#[tokio::test]
async fn as_a_user_without_rights() {
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("skipped: only root can become somebody else");
        return;
    }
    let mut scene = Scene::set().await;
    let (binary, folder) = for_nobody(&scene.host.config);
    let mut page = String::new();
    for verb in ASKING.iter().copied().chain(["doctor --config c.toml"]) {
        let mut nobody = Command::new("setpriv");
        nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&binary).args(verb.split(' '));
        nobody.env("TICKLED_SOCKET", scene.host.socket()).env_remove("TICKLED_CONFIG").stdin(Stdio::null());
        let asked = Asked::from(nobody.current_dir(&folder).output().await.unwrap());
        page += &scene.shown(verb, &asked);
    }
    scene.settles().await;
    std::fs::remove_dir_all(folder).unwrap();
    held("not-allowed.txt", &page);
}

#[tokio::test]
async fn doctor_in_three_faults() {
    let (denied, lapsed) = (Gateway::logged_in().await, Gateway::logged_in().await);
    denied.set("deny").await;
    lapsed.set("compete").await;
    let mut page = String::new();
    for (name, url) in [("denied", &*denied.url()), ("contested", &*lapsed.url()), ("gone", "https://127.0.0.1:1")] {
        // At any hour: a doctor sends no alert.
        let config = file(&format!("[gateway.{name}]\nurl = \"{url}\"\n[session]\nanswer_within = \"2s\"\n"));
        std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o644)).unwrap();
        let asked = Asked::from(piped(&format!("doctor --config {}", config.display())).output().await.unwrap());
        let said = format!("{}{}", asked.out, asked.err).replace(config.to_str().unwrap(), "FILE");
        page += &shown(&format!("doctor ({name})"), &said, asked.code);
    }
    held("doctor.txt", &page);
}

/// The program where everybody may run it, and its folder, with a configuration in it.
fn for_nobody(config: &Path) -> (PathBuf, PathBuf) {
    let folder = std::env::temp_dir().join(format!("tickled-seen-by-nobody-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    let binary = folder.join("tickled");
    copy_program(&binary);
    std::fs::copy(config, folder.join("c.toml")).unwrap();
    (binary, folder)
}

#[tokio::test]
async fn mistyped() {
    // At any hour: it is refused.
    let odd = file("[gateway.main]\nurl = \"localhost:5000\"\nping_evry = \"60s\"\n");
    let mut page = String::new();
    for verb in [
        "statsu",
        "pause",
        "pause main --for",
        "pause main --for soon",
        "history --since yesterday",
        "config check a.toml b.toml",
        "config check /nowhere/tickled.toml",
        "config check ODD",
        "run --config /nowhere/tickled.toml",
        "cert",
        "cert --url nonsense",
        "check --url localhost",
        "check --url https://127.0.0.1:1",
        "login --within soon",
        "login main --config /nowhere/tickled.toml",
        "alert test --config /nowhere/tickled.toml",
        "man staus",
        "simulate --listen 0.0.0.0:5000",
        "--socket x status",
        "doctor --config /nowhere/tickled.toml --offline",
    ] {
        let mut command = piped(&verb.replace("ODD", odd.to_str().unwrap()));
        if !verb.starts_with("login") {
            command.env("TICKLED_SOCKET", "/nowhere/control.sock");
        }
        let asked = Asked::from(command.output().await.unwrap());
        let said = format!("{}{}", asked.out, asked.err).replace(odd.to_str().unwrap(), "ODD");
        page += &shown(verb, &said, asked.code);
    }
    held("mistyped.txt", &page);
}
