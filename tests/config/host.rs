//! What the configuration meets on its host: variables of others, two names for one gateway, files that are not there.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tickled::config;

use crate::{TWO_LINES, parse_with};

/// A folder of its own that every user may enter, removed with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tickled-config-host-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// All that Kubernetes and Docker set for a service or a linked container called `tickled` or `tickled-NAME`.
#[test]
fn variables_of_container_runtimes_are_ignored_silently() {
    let expected = parse_with(TWO_LINES, &[]).unwrap();
    // Among the services are some whose names are those of tables and keys.
    for service in
        ["", "_METRICS", "_ENDPOINT", "_LOG", "_SESSION", "_ALERT", "_MAIN_GATEWAY", "_LOG_LEVEL", "_9780", "_1"]
    {
        for (suffix, text) in [
            ("SERVICE_HOST", "10.0.171.239"),
            ("SERVICE_PORT", "9780"),
            ("SERVICE_PORT_METRICS", "9780"),
            ("SERVICE_PORT_HTTP_WEB", "9780"),
            ("PORT", "tcp://10.0.171.239:9780"),
            ("PORT_9780_TCP", "tcp://10.0.171.239:9780"),
            ("PORT_9780_TCP_PROTO", "tcp"),
            ("PORT_9780_TCP_PORT", "9780"),
            ("PORT_9780_TCP_ADDR", "10.0.171.239"),
            ("PORT_53_UDP_ADDR", "10.0.171.239"),
            ("PORT_9899_SCTP", "sctp://10.0.171.239:9899"),
        ] {
            let name = format!("TICKLED{service}_{suffix}");
            let config = parse_with(TWO_LINES, &[(&name, text)]).unwrap_or_else(|faults| panic!("{faults}"));
            assert_eq!(config, expected, "{name}: no warning either");
        }
    }
    for (name, text) in [("TICKLED_NAME", "/trader/tickled"), ("TICKLED_ENV_PATH", "/bin")] {
        assert_eq!(parse_with(TWO_LINES, &[(name, text)]).unwrap(), expected, "{name}");
    }
}

#[test]
fn a_variable_that_is_close_to_a_key_is_refused_and_any_other_is_a_warning() {
    for (name, hint) in [
        ("TICKLED_LOG_LEVEL", "TICKLED_LOG__LEVEL"),
        ("TICKLED_LOG__LEVLE", "TICKLED_LOG__LEVEL"),
        ("TICKLED_LGO__LEVEL", "TICKLED_LOG__LEVEL"),
        ("TICKLED_SESSION__PING_EVRY", "TICKLED_SESSION__PING_EVERY"),
        ("TICKLED_SESSION__PING__EVERY", "TICKLED_SESSION__PING_EVERY"),
        ("TICKLED_GATEWAY_MAIN_URL", "TICKLED_GATEWAY__MAIN__URL"),
        ("TICKLED_GATEWAY__MAIN__ULR", "TICKLED_GATEWAY__MAIN__URL"),
        ("TICKLED_CONFG", "TICKLED_CONFIG"),
        ("TICKLED_SOKET", "TICKLED_SOCKET"),
        // The right key in the table above or below its own.
        ("TICKLED_GATEWAY__MAIN__ACCOUNT", "TICKLED_GATEWAY__MAIN__SESSION__ACCOUNT"),
        ("TICKLED_SESSION__ATTEMPTS", "TICKLED_SESSION__RECOVERY__ATTEMPTS"),
        ("TICKLED_SESSION__RECOVERY__PING_EVERY", "TICKLED_SESSION__PING_EVERY"),
    ] {
        let faults = parse_with(TWO_LINES, &[(name, "1")]).err().unwrap_or_else(|| panic!("{name} is accepted"));
        assert_eq!(faults.to_string(), format!("environment variable {name}: it names no key; did you mean {hint}?"));
    }
    for (name, what, hint) in [
        ("tickled_log__level", "variables are written in capitals", "TICKLED_LOG__LEVEL"),
        ("Tickled_Session__Ping_Every", "variables are written in capitals", "TICKLED_SESSION__PING_EVERY"),
        ("tickled_log__levl", "it names no key", "TICKLED_LOG__LEVEL"),
        ("tickled_config", "it names no key", "TICKLED_CONFIG"),
    ] {
        let faults = parse_with(TWO_LINES, &[(name, "info")]).unwrap_err().to_string();
        assert_eq!(faults, format!("environment variable {name}: {what}; did you mean {hint}?"));
    }
    for name in ["TICKLED_ALERTS__CHANNEL", "TICKLED_ALERTS__CHANNEL__URL", "TICKLED_ALERTS__CHANNEL_0__URL"] {
        let faults = parse_with(TWO_LINES, &[(name, "1")]).unwrap_err().to_string();
        assert!(faults.ends_with("which no variable can hold; write [[alerts.channel]] in the file"), "{faults}");
    }
    for name in [
        "TICKLED_DEBUG",
        "tickled_debug",
        "TICKLED_HOME",
        "TICKLED_REAL_GATEWAY",
        "TICKLED_",
        "TICKLED_METRICS_PORT",
        "TICKLED_VERSION",
        "TICKLED_HOOKED",
        "TICKLED__",
        // In tables of ours too.
        "TICKLED_LOG__COLOUR",
        "TICKLED_ENDPOINT__PORT",
        "TICKLED_SESSION__RECOVERY__FIRST_PAUSE",
        "TICKLED_GATEWAY__MAIN__COLOUR",
        "TICKLED_ALERTS__CHANNELLED",
        "TICKLED_NO__SUCH__TABLE",
    ] {
        let config = parse_with(TWO_LINES, &[(name, "1")]).unwrap_or_else(|faults| panic!("{faults}"));
        let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
        let expected = format!(
            "environment variable {name}: it names no key and is ignored; `tickled config default` lists all keys"
        );
        assert_eq!(warnings, [expected]);
    }
}

#[test]
fn two_names_for_one_gateway_are_one_gateway() {
    let two = |one: &str, other: &str| {
        let text = format!("[gateway.a]\nurl = \"{one}\"\n[gateway.b]\nurl = \"{other}\"\n");
        parse_with(&text, &[]).err().map(|faults| faults.to_string())
    };
    for (one, other) in [
        ("https://localhost:5000", "https://127.0.0.1:5000"),
        ("https://localhost:5000", "https://[::1]:5000"),
        ("https://127.0.0.1:5000", "https://[::1]:5000"),
        ("https://127.0.0.1:5000", "https://[::ffff:7f00:1]:5000"),
        ("https://localhost:5000", "http://localhost:5000"),
        ("http://127.0.0.1:5000", "https://localhost:5000"),
        ("https://localhost", "https://127.0.0.1:443"),
    ] {
        let told = two(one, other).unwrap_or_else(|| panic!("{one} and {other} are two"));
        assert!(told.starts_with("tickled.toml:4:7: gateway.b.url: "), "{told}");
        assert!(told.contains("is the same gateway as") && told.contains("gateway.a"), "{told}");
    }
    assert_eq!(two("https://localhost:5000", "https://localhost:5001"), None);
    assert_eq!(two("https://localhost:5000", "https://127.0.0.2:5000"), None);
}

/// One fault of each kind in each key that names a file or a program.
#[test]
fn whatever_the_configuration_names_is_looked_for() {
    let folder = Folder::new("names");
    let at = |name: &str| folder.0.join(name).to_str().unwrap().to_owned();
    let empty = folder.write("empty", "", 0o600);
    let secret = folder.write("secret", "one line\n", 0o600);
    let plain = folder.write("plain", "not a program", 0o644);
    let script = folder.write("script", "#!/nope/interpreter -x\n", 0o755);
    let good = folder.write("good", "#!/bin/sh\n", 0o755);
    let fifo = at("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let channel = |name: &str, keys: &str| format!("[[alerts.channel]]\nname = \"{name}\"\n{keys}\n");
    let webhook = |name: &str, file: &str| {
        channel(name, &format!("type = \"webhook\"\npreset = \"ntfy\"\nurl_file = \"{file}\""))
    };
    let command = |name: &str, program: &str| channel(name, &format!("type = \"command\"\nargv = [\"{program}\"]"));
    let mail =
        "type = \"email\"\nhost = \"127.0.0.1\"\nfrom = \"a@example.org\"\nto = \"b@example.org\"\nuser = \"me\"";
    let text = [
        format!("{TWO_LINES}wedged.restart = [\"/nope/restart\", \"now\"]\n"),
        webhook("absent", "/nope"),
        webhook("empty", &empty),
        webhook("directory", folder.0.to_str().unwrap()),
        webhook("fifo", &fifo),
        webhook("below-a-file", &format!("{secret}/below")),
        webhook("device", "/dev/null"),
        webhook("good", &secret),
        webhook("credential", "ntfy-url"),
        channel(
            "token",
            &format!(
                "type = \"webhook\"\npreset = \"json\"\nurl = \"https://127.0.0.1/\"\ntoken_file = \"{}\"",
                at("no-token")
            ),
        ),
        channel("mail", &format!("{mail}\npassword_file = \"{}\"\nca_file = \"{plain}\"", at("no-password"))),
        command("no-program", "/nope/siren"),
        command("not-executable", &plain),
        command("directory-run", "/tmp"),
        command("no-interpreter", &script),
        command("runs", &good),
        format!("[deadman]\nurl_file = \"{}\"\n", at("no-address")),
    ]
    .concat();
    let file = folder.write("tickled.toml", &text, 0o644);
    let told = config::check(Path::new(&file), &BTreeMap::new()).unwrap_err().to_string();
    let told: Vec<String> = told
        .replace(folder.0.to_str().unwrap(), "FOLDER")
        .lines()
        .map(|line| line.split_once(": ").unwrap().1.to_owned())
        .collect();
    let secret = "write the secret into it, as one line, and `chmod 600` it";
    let program = "install the program, or correct argv";
    let expected = [
        format!("gateway.main.wedged.restart[0]: \"/nope/restart\" does not exist; {program}"),
        format!("alerts.channel[0].url_file: \"/nope\" does not exist; {secret}"),
        format!("alerts.channel[1].url_file: \"FOLDER/empty\" is empty; {secret}"),
        format!("alerts.channel[2].url_file: \"FOLDER\" is a directory, not a file; {secret}"),
        format!("alerts.channel[3].url_file: \"FOLDER/fifo\" is a FIFO, not a file; {secret}"),
        format!("alerts.channel[4].url_file: \"FOLDER/secret/below\" does not exist; {secret}"),
        format!("alerts.channel[5].url_file: \"/dev/null\" is a device, not a file; {secret}"),
        format!("alerts.channel[8].token_file: \"FOLDER/no-token\" does not exist; {secret}"),
        format!("alerts.channel[9].password_file: \"FOLDER/no-password\" does not exist; {secret}"),
        "alerts.channel[9].ca_file: ".to_owned(),
        format!("alerts.channel[10].argv[0]: \"/nope/siren\" does not exist; {program}"),
        "alerts.channel[11].argv[0]: \"FOLDER/plain\" is not executable; `chmod +x FOLDER/plain`".to_owned(),
        format!("alerts.channel[12].argv[0]: \"/tmp\" is a directory, not a file; {program}"),
        "alerts.channel[13].argv[0]: \"FOLDER/script\" needs \"/nope/interpreter\", which does not exist; install that, or \
         correct the first line of the script"
            .to_owned(),
        format!("deadman.url_file: \"FOLDER/no-address\" does not exist; {secret}"),
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(&expected) {
        assert!(told.starts_with(expected), "{told:?}, and not {expected:?}");
    }
    assert!(config::load(Path::new(&file), &BTreeMap::new()).is_ok(), "the daemon starts: other channels still alert");
}

/// What another user or another host may see differently is a warning.
#[test]
fn what_this_user_cannot_know_is_a_warning() {
    let folder = Folder::new("unsure");
    let secret = folder.write("secret", "one line\n", 0o600);
    let keys = "type = \"webhook\"\npreset = \"ntfy\"\n";
    let text = format!(
        "{TWO_LINES}wedged.restart = [\"no-such-program\"]\n[gateway.far]\nurl = \"https://gateway.invalid:5000\"\ntls.trust = \"system\"\n\
         [[alerts.channel]]\nname = \"file\"\n{keys}url_file = \"{secret}\"\n\
         [[alerts.channel]]\nname = \"credential\"\n{keys}url_file = \"ntfy-url\"\n\
         [endpoint]\nlisten = \"192.0.2.1:9780\"\n"
    );
    let file = folder.write("tickled.toml", &text, 0o644);
    let config = config::check(Path::new(&file), &BTreeMap::new()).unwrap_or_else(|faults| panic!("{faults}"));
    let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    let about =
        |key: &str| warnings.iter().find(|warning| warning.contains(key)).map(String::as_str).unwrap_or_default();
    assert!(about("gateway.far.url").contains("the name \"gateway.invalid\" "), "{warnings:?}");
    let restart = about("gateway.main.wedged.restart");
    assert!(restart.contains("\"no-such-program\" is in no directory of PATH"), "{warnings:?}");
    assert!(about("alerts.channel[1].url_file").contains("the credential \"ntfy-url\" is not checked"), "{warnings:?}");
    assert!(about("endpoint.listen").contains("192.0.2.1 is not an address of this host"), "{warnings:?}");
    assert!(warnings.iter().all(|warning| warning.contains(".toml:")), "each has its line: {warnings:?}");

    let credentials = [("CREDENTIALS_DIRECTORY".to_owned(), folder.0.to_str().unwrap().to_owned())].into();
    let told = config::check(Path::new(&file), &credentials).unwrap_err().to_string();
    assert!(told.contains("ntfy-url\" does not exist"), "under systemd it can be known: {told}");
}

fn tickled(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickled"));
    command.args(arguments).env_clear().envs(environment.iter().copied()).output().unwrap()
}

fn told(output: &Output) -> (Option<i32>, String) {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code(), text)
}

#[test]
fn the_file_is_named_by_position_option_or_variable() {
    let folder = Folder::new("ways");
    let file = folder.write("tickled.toml", TWO_LINES, 0o644);
    for verb in ["check", "show"] {
        for (arguments, environment) in [
            (vec!["config", verb, &file], vec![]),
            (vec!["config", verb, "--config", &file], vec![]),
            (vec!["config", verb], vec![("TICKLED_CONFIG", file.as_str())]),
            (vec!["config", verb, &file], vec![("TICKLED_CONFIG", "/nope")]),
            (vec!["config", verb, "--config", &file], vec![("TICKLED_CONFIG", "/nope")]),
        ] {
            let (code, text) = told(&tickled(&arguments, &environment));
            assert_eq!(code, Some(0), "{arguments:?} {environment:?}: {text}");
            assert!(text.contains("main"), "{text}");
        }
        assert_eq!(
            told(&tickled(&["config", verb, &file, "--config", &file], &[])).0,
            Some(64),
            "both are one too many"
        );
    }
}

#[test]
fn a_configuration_is_read_from_a_pipe() {
    let folder = Folder::new("pipe");
    let (good, bad) = (folder.write("good", TWO_LINES, 0o644), folder.write("bad", "[gateway.main]\nurl = 1\n", 0o644));
    for (file, code, text) in [(good, 0, "/dev/stdin is valid"), (bad, 78, "/dev/stdin:2:7: gateway.main.url: ")] {
        let program = env!("CARGO_BIN_EXE_tickled");
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("cat {file} | {program} config check /dev/stdin")]);
        let (is, said) = told(&shell.output().unwrap());
        assert_eq!(is, Some(code), "{said}");
        assert!(said.contains(text), "{said}");
    }
}

#[test]
fn warnings_do_not_change_the_exit_code() {
    let folder = Folder::new("exit");
    let file = folder.write("tickled.toml", TWO_LINES, 0o644);
    let (code, text) = told(&tickled(&["config", "check", &file], &[("TICKLED_DEBUG", "1")]));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("warning: environment variable TICKLED_DEBUG: it names no key and is ignored"), "{text}");
    assert!(text.contains("is valid"), "{text}");
}

/// A secret of root's is not a fault when another user checks the file.
#[test]
fn another_users_secret_is_a_warning() {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        println!("skipped: only root can try another user");
        return;
    }
    let folder = Folder::new("user");
    let secret = folder.write("secret", "one line\n", 0o600);
    chown(&secret, Some(0), Some(0)).unwrap();
    let hidden = folder.0.join("hidden");
    fs::create_dir(&hidden).unwrap();
    fs::set_permissions(&hidden, Permissions::from_mode(0o700)).unwrap();
    let program = folder.write("program", "#!/bin/sh\n", 0o700);
    let hidden = hidden.display();
    let text = format!(
        "{TWO_LINES}[[alerts.channel]]\nname = \"one\"\ntype = \"webhook\"\npreset = \"ntfy\"\nurl_file = \"{secret}\"\n\
         [[alerts.channel]]\nname = \"two\"\ntype = \"webhook\"\npreset = \"ntfy\"\nurl_file = \"{hidden}/secret\"\n\
         [[alerts.channel]]\nname = \"three\"\ntype = \"command\"\nargv = [\"{program}\"]\n"
    );
    let file = folder.write("tickled.toml", &text, 0o644);
    // The program may stand where only root may go.
    let copy = folder.0.join("tickled");
    // By a program of its own: a copy that is still open for writing cannot be run.
    assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_tickled")).arg(&copy).status().unwrap().success());
    let output = Command::new(&copy).args(["config", "check", &file]).env_clear().uid(65_534).gid(65_534).output();
    let (code, text) = told(&output.unwrap());
    assert_eq!(code, Some(0), "{text}");
    for what in [
        "/secret\" cannot be read by this user",
        "hidden/secret\" cannot be checked",
        "cannot be executed by this user",
    ] {
        assert!(text.contains(what), "{what}: {text}");
    }
}

/// No file makes the check wait or panic, and each is named for what it is.
#[test]
fn odd_files_are_refused_with_their_reason() {
    let folder = Folder::new("odd");
    let path = |name: &str| folder.0.join(name);
    let fifo = path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(TWO_LINES.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    fs::write(path("utf16"), &utf16).unwrap();
    fs::write(path("utf16be"), [0xfe, 0xff, 0, b'[']).unwrap();
    fs::write(path("nul"), format!("{TWO_LINES}\0")).unwrap();
    std::os::unix::fs::symlink("loop", path("loop")).unwrap();
    let ca = format!(
        "{TWO_LINES}wedged.restart = [\"no-such-program\"]\n[gateway.far]\nurl = \"https://192.0.2.1:5000\"\ntls = {{ trust = \"ca-file\", ca_file = {fifo:?} }}\n"
    );
    fs::write(path("ca"), ca).unwrap();
    for (name, what) in [
        ("fifo", "it is a FIFO, not a file"),
        ("utf16", "it is UTF-16; save it as UTF-8"),
        ("utf16be", "it is UTF-16; save it as UTF-8"),
        ("nul", "invalid TOML"),
        ("loop", "it cannot be read"),
        ("ca", "is a FIFO, not a file"),
        ("", "it is a directory"),
    ] {
        let file = path(name);
        let file = if name.is_empty() { folder.0.clone() } else { file };
        for verb in ["check", "show"] {
            let (code, text) = told(&tickled(&["config", verb, file.to_str().unwrap()], &[]));
            assert_eq!(code, Some(78), "{name}: {text}");
            assert!(text.contains(what), "{name}: {text}");
        }
    }
    let (code, text) = told(&tickled(&["config", "check", "/dev/zero"], &[]));
    assert!(code == Some(78) && text.contains("it is a device, not a file"), "{text}");
}
