//! Every verb with every kind of argument that makes no sense, in every odd environment: never a fault of the program.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::fs::{self, File};
use std::io::pipe;
use std::path::Path;
use std::process::{Command, Stdio};

/// A verb and its arguments, separated by spaces; `_` is an empty one, GOOD a configuration, LONG a text without an end.
const CALLS: &[&str] = &[
    "",
    "--",
    "-",
    "LONG",
    "--verzion",
    "-h",
    "--version",
    "help run",
    "run --config /",
    "run --config /nowhere",
    "run --config _",
    "run --config /dev/null",
    "run --config /proc/self/mem",
    "run x",
    "demo x",
    "demo --json",
    "simulate --listen 0.0.0.0:1",
    "simulate --listen x",
    "simulate --listen 127.0.0.1:99999",
    "simulate --control 192.0.2.1:1",
    "simulate --listen [::1]",
    "simulate --listen 127.0.0.1:1 --control 127.0.0.1:1",
    "status nobody",
    "status _",
    "status --socket /",
    "status --socket /dev/null",
    "status --socket LONG",
    "status --jso",
    "watch",
    "watch --socket /",
    "wait --socket /",
    "wait --until never",
    "wait --within -1s",
    "wait main --within _ --json",
    "history --since _",
    "history --since -1d",
    "history --since 99999999999999999999d",
    "history --since 1x",
    "history --svg / --socket /nowhere",
    "check --url _",
    "check --url https://",
    "check --url https://[::1",
    "check --url https://localhost:99999",
    "check --url ftp://x",
    "check --url https://user:word@localhost:1",
    "check --url https://127.0.0.1:1",
    "check --url http://127.0.0.1:1 --json",
    "check --url LONG",
    "check main --url https://127.0.0.1:1",
    "check --config /",
    "check --config GOOD",
    "check --config GOOD nobody",
    "pause",
    "pause main --for _",
    "pause main --for -1h",
    "pause main --for 999999999999h",
    "pause _",
    "pause a/b",
    "pause a b",
    "resume",
    "resume _",
    "resume main --socket /",
    "logout",
    "logout main --for 1h",
    "logout main --socket /dev/null",
    "ack a b",
    "ack --code _",
    "ack --code nothing",
    "cert",
    "cert --url _",
    "cert --url http://127.0.0.1:1",
    "cert --url https://127.0.0.1:1 --json",
    "cert --url LONG",
    "alert",
    "alert x",
    "alert test --config /",
    "alert test --config /nowhere",
    "alert test --config GOOD",
    "alert test --config GOOD --channel x",
    "alert test --channel _",
    "alert test --socket /",
    "login --url _",
    "login --url https://127.0.0.1:1 --within 1s",
    "login --within 0s",
    "login --within -1s",
    "login --config /",
    "login nobody --config GOOD",
    "login --config GOOD --within 1s --json",
    "doctor --offline --config /",
    "doctor --offline --config /dev/null --json",
    "doctor x",
    "doctor --offline --config GOOD --gateway-dir /nowhere",
    "doctor --offline --config GOOD --gateway-dir /etc/passwd",
    "config",
    "config default x",
    "config check /",
    "config check /nowhere",
    "config check _",
    "config check /dev/zero",
    "config check /proc/self/mem",
    "config check GOOD",
    "config show /",
    "config show GOOD",
    "man x",
    "man config check x",
    "man _",
    "man --into _",
    "man --into /dev/null/x",
    "man --into /proc/x",
    "man --into /tmp run",
    "completions",
    "completions x",
    "completions _",
];

/// Environments: a variable without a value is removed.
const ENVIRONMENTS: &[&[(&str, Option<&str>)]] = &[
    &[],
    &[("HOME", None), ("USER", None), ("XDG_RUNTIME_DIR", None), ("LANG", None), ("PATH", Some("/nowhere"))],
    &[("LC_ALL", Some("C")), ("TERM", Some("dumb")), ("COLUMNS", Some("0"))],
    &[
        ("LANG", Some("xx_YY.ISO-8859-99")),
        ("TERM", Some("")),
        ("COLUMNS", Some("-7")),
        ("TZ", Some("Nowhere/Land")),
        ("XDG_RUNTIME_DIR", Some("relative")),
        ("HOME", Some("/nowhere")),
    ],
    &[("COLUMNS", Some("18446744073709551615")), ("TZ", Some(":/etc/passwd")), ("TERM", Some("\u{1b}[31m"))],
    &[("COLUMNS", Some("1")), ("HOME", Some("")), ("XDG_RUNTIME_DIR", Some("")), ("TZ", Some(""))],
];

/// The exit codes but 70, a fault of the program.
const CODES: [i32; 7] = [0, 1, 2, 3, 64, 69, 78];

fn command(call: &str, good: &Path) -> Command {
    let long = "x".repeat(20_000);
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickled"));
    for word in call.split_whitespace() {
        match word {
            "_" => command.arg(""),
            "LONG" => command.arg(&long),
            "GOOD" => command.arg(good),
            _ => command.arg(word),
        };
    }
    command.stdin(Stdio::null()).env_remove("TICKLED_CONFIG").env_remove("NOTIFY_SOCKET");
    // No daemon of this host's own is asked.
    command.env("TICKLED_SOCKET", "/nowhere/control.sock");
    command
}

/// A configuration whose gateway is not there.
fn good(name: &str) -> std::path::PathBuf {
    let file = std::env::temp_dir().join(format!("tickled-{name}-{}.toml", std::process::id()));
    fs::write(&file, "[gateway.main]\nurl = \"https://127.0.0.1:1\"\n[session]\nanswer_within = \"1s\"\n").unwrap();
    file
}

#[test]
fn no_argument_and_no_environment_is_a_fault_of_the_program() {
    let good = good("odd-arguments");
    for environment in ENVIRONMENTS {
        for call in CALLS {
            let mut command = command(call, &good);
            for (name, value) in *environment {
                match value {
                    Some(value) => command.env(name, value),
                    None => command.env_remove(name),
                };
            }
            let ended = command.output().unwrap();
            let said = String::from_utf8(ended.stderr).unwrap();
            let code = ended.status.code();
            assert!(code.is_some_and(|code| CODES.contains(&code)), "{call} in {environment:?}: {code:?} {said}");
            assert!(!said.contains("panicked"), "{call} in {environment:?}: {said}");
            assert!(code == Some(0) || !said.is_empty() || !ended.stdout.is_empty(), "{call} fails and says nothing");
        }
    }
    fs::remove_file(good).unwrap();
}

/// A program that reads only the beginning, as `grep -q` does, must not make a dead session look live.
#[test]
fn a_closed_pipe_and_closed_streams_do_not_change_the_exit_code() {
    let good = good("closed-streams");
    for call in [
        "check --url https://127.0.0.1:1",
        "check --config GOOD --json",
        "cert --url https://127.0.0.1:1 --json",
        "login --url https://127.0.0.1:1 --within 1s",
        "config check GOOD",
        "config default",
        "man",
        "--help",
        "doctor --offline --config /nowhere",
        "completions zsh",
    ] {
        let usual = command(call, &good).output().unwrap().status.code();
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let closed = command(call, &good).stdout(writer).stderr(Stdio::null()).status().unwrap();
        assert_eq!(closed.code(), usual, "{call} into a closed pipe");
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let silent = command(call, &good).stdout(Stdio::null()).stderr(writer).status().unwrap();
        assert_eq!(silent.code(), usual, "{call} with nobody who reads its errors");
    }
    fs::remove_file(good).unwrap();
}

#[test]
fn what_cannot_be_written_is_said_and_is_no_success() {
    let good = good("full-disk");
    for call in ["config default", "man", "--help", "config check GOOD", "completions bash"] {
        let full =
            command(call, &good).stdout(File::options().write(true).open("/dev/full").unwrap()).output().unwrap();
        assert_eq!(full.status.code(), Some(70), "{call}");
        let said = String::from_utf8(full.stderr).unwrap();
        assert!(call == "--help" || said.contains("cannot write to standard output: No space left"), "{call}: {said}");
    }
    fs::remove_file(good).unwrap();
}
