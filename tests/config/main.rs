//! The configuration as an operator meets it: the shipped file, the environment, and every fault at once.

mod budget;
mod host;
mod maintenance;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tickled::calendar::{Maintenance, Region};
use tickled::config::{self, Config, DEFAULT, Diagnostics, Location};
use tickled::gateway::Trust;
use tickled::log::{self, Format, Level};
use tickled::session::{Account, Competing, Method, Policy};

/// How many broken files stand in `tests/data/config`.
const BROKEN_FILES: usize = 34;

const TWO_LINES: &str = "[gateway.main]\nurl = \"https://localhost:5000\"\n";

fn parse(text: &str) -> Result<Config, Diagnostics> {
    parse_with(text, &[])
}

fn parse_with(text: &str, environment: &[(&str, &str)]) -> Result<Config, Diagnostics> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let environment: BTreeMap<String, String> = environment.iter().map(own).collect();
    config::parse(text, Path::new("tickled.toml"), &environment)
}

fn faults(text: &str) -> String {
    parse(text).expect_err("a broken file").to_string()
}

fn faults_with(text: &str, environment: &[(&str, &str)]) -> String {
    parse_with(text, environment).expect_err("a broken environment").to_string()
}

/// The shipped file with every commented key and table switched on.
fn uncommented() -> String {
    let switch_on = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => {
            format!("{rest}\n")
        }
        _ => format!("{line}\n"),
    };
    DEFAULT.lines().map(switch_on).collect()
}

/// The path of the table that begins on this line, `[]` behind it for one of a list.
fn header(line: &str) -> Option<String> {
    let one_of_a_list = line.strip_prefix("[[").and_then(|line| line.strip_suffix("]]"));
    let single = || line.strip_prefix('[').and_then(|line| line.strip_suffix(']'));
    one_of_a_list.map(|path| format!("{path}[]")).or_else(|| single().map(str::to_owned))
}

#[test]
fn two_lines_are_enough() {
    let config = parse(TWO_LINES).unwrap();
    assert_eq!(config.log, log::Settings::default());
    assert_eq!(config.maintenance, Maintenance::default());
    let [gateway] = config.gateways.as_slice() else {
        panic!("one gateway expected: {config:?}");
    };
    assert_eq!(gateway.name, "main");
    assert_eq!(gateway.target.url.as_str(), "https://localhost:5000");
    assert_eq!(gateway.target.trust, Trust::Loopback);
    assert_eq!(gateway.target.answer_within, Policy::default().answer_within);
    assert_eq!(gateway.region, Region::NorthAmerica);
    assert_eq!(gateway.policy, Policy::default());
}

#[test]
fn the_shipped_file_is_those_two_lines() {
    let active: Vec<&str> = DEFAULT.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert_eq!(active, TWO_LINES.lines().collect::<Vec<_>>());
    assert_eq!(parse(DEFAULT).unwrap(), parse(TWO_LINES).unwrap());
}

#[test]
fn each_value_in_the_shipped_file_is_the_default() {
    let mut config = parse(&uncommented()).unwrap_or_else(|faults| panic!("{faults}"));
    // Channels have no default: those in the file are examples, and there is one of each type.
    let examples: Vec<_> = config.alerts.channels.drain(..).map(|channel| channel.kind.name()).collect();
    assert_eq!(examples, ["webhook", "webhook", "webhook", "email", "command"]);
    // So have hooks.
    let hooks: Vec<_> = config.hooks.drain(..).map(|hook| hook.name).collect();
    assert_eq!(hooks, ["bot"]);
    assert_eq!(config, parse(TWO_LINES).unwrap());
}

#[test]
fn each_key_stands_in_the_shipped_file_with_what_it_takes() {
    let mut table = String::new();
    let mut prose = String::new();
    let mut shown = BTreeMap::new();
    for line in uncommented().lines() {
        if let Some(header) = header(line) {
            table = header.replace("gateway.main", "gateway.NAME");
            prose.clear();
        } else if let Some(text) = line.strip_prefix('#') {
            prose.push_str(text);
        } else if let Some((key, _)) = line.split_once(" = ") {
            // Of a list of tables the first explains them all.
            shown.entry(format!("{table}.{key}")).or_insert_with(|| std::mem::take(&mut prose));
        } else {
            prose.clear();
        }
    }
    let known: BTreeMap<String, String> = config::keys()
        .into_iter()
        .filter(|key| !key.path.starts_with("gateway.NAME.session."))
        .map(|key| (key.path, key.takes))
        .collect();
    assert_eq!(
        shown.keys().collect::<Vec<_>>(),
        known.keys().collect::<Vec<_>>(),
        "the keys of the shipped file and of the code"
    );
    assert!(known.len() > 20, "{} keys", known.len());
    for (key, prose) in &shown {
        let takes = &known[key];
        assert!(prose.contains(takes), "{key} takes {takes}, and the file says:{prose}");
    }
}

#[test]
fn what_is_shown_is_what_was_read() {
    let text = r#"
        [session]
        account = "paper"
        confirm_every = "0s"
        [session.recovery]
        methods = ["direct"]
        [log]
        format = "json"
        level = "trace"
        heartbeat_every = "1h 30m"
        [gateway.near]
        url = "http://[::1]:5000"
        region = "asia"
        unit = "ibkr-gateway.service"
        stream.enabled = true
        [gateway.pinned]
        url = "https://ibkr.example"
        tls.trust = "pin"
        tls.pins = ["abababababababababababababababababababababababababababababababab"]
        [gateway.signed]
        url = "https://ibkr.example:5001"
        tls = { trust = "ca-file", ca_file = "/etc/tickled/ca.pem" }
        session.competing = "take-over"
        [gateway.public]
        url = "https://ibkr.example:5002"
        login_url = "https://ibkr.tailnet.example"
        tls.trust = "system"
        [alerts]
        hours = { zone = "Asia/Tokyo", days = ["mon", "sun"], from = "22:00", to = "07:00", except = ["2026-12-25"] }
        [[alerts.channel]]
        name = "own"
        type = "webhook"
        url = "https://alerts.example/tickled"
        method = "PUT"
        headers = ["X-Key: {token}"]
        token_file = "own-token"
        body = "{{ title }}"
        codes = ["login-required"]
        after = "15m"
        [[alerts.channel]]
        name = "phone"
        type = "webhook"
        url_file = "/etc/tickled/pushover"
        token_file = "pushover-token"
        preset = "pushover"
        to = "u123"
        [[alerts.channel]]
        name = "mail"
        type = "email"
        host = "smtp.example"
        from = "tickled@example.org"
        to = "you@example.org"
        user = "tickled"
        password_file = "/etc/tickled/mail"
        ca_file = "/etc/tickled/ca.pem"
        gateways = ["near", "public"]
        [[alerts.channel]]
        name = "siren"
        type = "command"
        argv = ["/bin/echo", "a", "a"]
        [deadman]
        url_file = "deadman"
        [[hook]]
        name = "bot"
        gateways = ["near"]
        argv = ["/bin/echo"]
    "#;
    let config = parse(text).unwrap();
    let shown = config::show(&config);
    assert_eq!(parse(&shown).unwrap(), config, "{shown}");

    // Every key stands in it, so nothing that is in force stays hidden.
    let known: BTreeSet<String> =
        config::keys().into_iter().filter(|key| !key.path.starts_with("session.")).map(|key| key.path).collect();
    let mut seen = BTreeSet::new();
    let mut table = String::new();
    for line in shown.lines() {
        if let Some(header) = header(line) {
            table = ["near", "pinned", "signed", "public"]
                .iter()
                .fold(header, |header, name| header.replace(&format!("gateway.{name}"), "gateway.NAME"));
        } else if let Some((key, _)) = line.split_once(" = ") {
            seen.insert(format!("{table}.{key}"));
        }
    }
    assert_eq!(seen, known);
}

#[test]
fn a_gateway_overrides_key_by_key() {
    let text = r#"
        [session]
        ping_every = "30s"
        recovery.attempts = 2
        [gateway.one]
        url = "https://localhost:5000"
        [gateway.two]
        url = "https://localhost:5001"
        session.ping_every = "1m 30s"
        session.recovery.max_per_hour = 4
    "#;
    let config = parse(text).unwrap();
    let policies: Vec<&Policy> = config.gateways.iter().map(|gateway| &gateway.policy).collect();
    assert_eq!(policies[0].ping_every, Duration::from_secs(30));
    assert_eq!(policies[0].recovery.max_per_hour, Policy::default().recovery.max_per_hour);
    assert_eq!(policies[1].ping_every, Duration::from_secs(90));
    assert_eq!(policies[1].recovery.max_per_hour, 4);
    for policy in policies {
        assert_eq!(policy.recovery.attempts, 2);
        assert_eq!(policy.check_every, Policy::default().check_every);
    }
}

#[test]
fn the_environment_wins_over_the_file() {
    let text = "[gateway.my-desk]\n[gateway.main]\nurl = \"https://localhost:5000\"\n\
                [session]\nping_every = \"2m\"\nwatch_every = \"10s\"\n";
    let config = parse_with(
        text,
        &[
            ("HOME", "/root"),
            ("TICKLED_CONFIG", "/etc/tickled/tickled.toml"),
            ("TICKLED_SOCKET", "/run/tickled/control.sock"),
            ("TICKLED_SESSION__PING_EVERY", "30s"),
            ("TICKLED_SESSION__RECOVERY__METHODS", "direct, gateway"),
            ("TICKLED_SESSION__RECOVERY__ATTEMPTS", "5"),
            ("TICKLED_LOG__LEVEL", "debug"),
            ("TICKLED_LOG__FORMAT", "text"),
            ("TICKLED_GATEWAY__MY_DESK__URL", "https://127.0.0.1:5001"),
            ("TICKLED_GATEWAY__Main__session__COMPETING", "take-over"),
            ("TICKLED_GATEWAY__MAIN__STREAM__ENABLED", "true"),
        ],
    )
    .unwrap();
    let [main, desk] = config.gateways.as_slice() else {
        panic!("two gateways expected: {config:?}");
    };
    assert_eq!(desk.target.url.as_str(), "https://127.0.0.1:5001");
    assert_eq!(desk.policy.competing, Competing::Yield);
    assert_eq!(main.policy.competing, Competing::TakeOver);
    assert_eq!((main.stream, desk.stream), (true, false));
    assert_eq!(main.policy.ping_every, Duration::from_secs(30));
    assert_eq!(main.policy.watch_every, Duration::from_secs(10));
    assert_eq!(main.policy.recovery.methods, [Method::Direct, Method::Gateway]);
    assert_eq!(main.policy.recovery.attempts, 5);
    assert_eq!((config.log.level, config.log.format), (Level::Debug, Format::Text));
}

#[test]
fn an_account_number_of_digits_stays_a_text() {
    // What looks like a number in the environment is what the key takes, never a guess.
    let told = faults_with(TWO_LINES, &[("TICKLED_SESSION__ACCOUNT", "0123")]);
    assert!(told.contains("\"0123\" is not a valid value"), "{told}");
    assert_eq!(parse(TWO_LINES).unwrap().gateways[0].policy.account, Account::Any);
}

#[test]
fn faults_of_the_environment_name_the_variable() {
    let told = faults_with(
        "[gateway.main]\nurl = \"https://localhost:5000\"\n[gateway.a-b]\nurl = \"https://localhost:5001\"\n\
         [gateway.a_b]\nurl = \"https://localhost:5002\"\n",
        &[
            ("TICKLED_SESSION__PING_EVRY", "30s"),
            ("TICKLED_SESSION_PING_EVERY", "30s"),
            ("TICKLED_SESSION__RECOVERY__FIRST_PAUSE", "30s"),
            ("TICKLED_CONFG", "tickled.toml"),
            ("TICKLED_SESSION__CHECK_EVERY", "10"),
            ("TICKLED_GATEWAY__MIAN__URL", "https://localhost:5003"),
            ("TICKLED_GATEWAY__OFFICE__SESSION__ACCOUNT", "paper"),
            ("TICKLED_GATEWAY__A_B__URL", "https://localhost:5003"),
            ("TICKLED_SESSION__RECOVERY__ATTEMPTS", "many"),
            ("TICKLED_SESSION__RECOVERY__METHODS", "gateway,gateway"),
            ("TICKLED_GATEWAY__MAIN__URL", "https://ibkr.example:5000"),
            ("TICKLED_LOG__LEVEL", "info"),
            ("TICKLED_log__LEVEL", "warn"),
        ],
    );
    golden("environment.txt", &format!("{told}\n"));
}

#[test]
fn a_default_is_named_as_one_when_it_stands_in_the_way() {
    let told = faults_with(TWO_LINES, &[("TICKLED_SESSION__PING_EVERY", "5s")]);
    assert_eq!(
        told,
        "environment variable TICKLED_SESSION__PING_EVERY: session.ping_every: \"5s\" is less than check_every, \
         which is \"10s\" by default; write at least \"10s\", or set check_every = \"5s\" as well"
    );
}

/// Each `NAME.toml` of the folder is broken in its own way, and `NAME.txt` is all that is said about it.
#[test]
fn each_broken_file_is_told_what_is_wrong() {
    let mut visited = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        visited += 1;
        let name = PathBuf::from(path.file_name().unwrap());
        let text = fs::read_to_string(&path).unwrap();
        let told = match config::parse(&text, &name, &BTreeMap::new()) {
            Ok(config) => panic!("{} is accepted: {config:?}", name.display()),
            Err(faults) => format!("{faults}\n"),
        };
        assert!(!told.contains("hunter2"), "a secret is repeated: {told}");
        golden(name.with_extension("txt").to_str().unwrap(), &told);
    }
    assert_eq!(visited, BROKEN_FILES);
}

/// Compares with a file of the folder; with `BLESS` in the environment of the tests it is written instead.
fn golden(name: &str, told: &str) {
    let path = folder().join(name);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, told).expect("a folder to write to");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(told, expected, "{name}: is that what is to be said? Then run again with BLESS=1");
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/config")
}

#[test]
fn byte_order_mark_and_foreign_line_ends_are_read() {
    let windows = format!("\u{feff}{}", TWO_LINES.replace('\n', "\r\n"));
    assert_eq!(parse(&windows).unwrap(), parse(TWO_LINES).unwrap());

    let broken = windows.replace("url", "ürl");
    let faults = parse(&broken).unwrap_err();
    assert_eq!(faults.iter().next().unwrap().location.to_string(), "tickled.toml:2:1");
}

#[test]
fn columns_count_characters() {
    let told = faults("\u{feff}sesion = 1\n");
    assert!(told.contains("tickled.toml:1:1: sesion: "), "{told}");
    let told = faults("gateway.main = { url = \"https://localhost:5000\", \"größe\" = 1, region = \"\" }\n");
    assert!(told.starts_with("tickled.toml:1:50: gateway.main.\"größe\": "), "{told}");
    assert!(told.contains("tickled.toml:1:72: gateway.main.region: "), "{told}");
}

#[test]
fn a_fault_is_one_line_and_may_be_taken_apart() {
    let faults = parse("[gateway.main]\nurl = \"https://localhost:5000\\n\\u001b[31m\"\nregoin = 1\n").unwrap_err();
    assert_eq!(faults.count(), 2);
    assert_eq!(faults.to_string().lines().count(), 2, "{faults}");
    assert!(!faults.to_string().contains('\u{1b}'), "{faults}");
    let last = faults.iter().last().unwrap();
    assert_eq!(last.key, "gateway.main.regoin");
    assert_eq!(last.what, "unknown key");
    assert_eq!(last.hint, "did you mean region?");
    let place = Location::Character { file: "tickled.toml".to_owned(), line: 3, column: 1 };
    assert_eq!(last.location, place);
}

#[test]
fn a_password_in_a_url_is_not_repeated() {
    for url in ["https://trader:hunter2@localhost:5000", "trader:hunter2@localhost", "ftp://trader:hunter2@h"] {
        let told = faults(&format!("[gateway.main]\nurl = \"{url}\"\n"));
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[test]
fn sizes_have_an_end() {
    let told = faults(&"# nothing\n".repeat(100_000));
    assert!(told.starts_with("tickled.toml: it is larger than 256 KiB; "), "{told}");

    // All faults are reported, the first and the last.
    let many: String = (0..20_000).map(|at| format!("k{at} = 1\n")).collect();
    let many = parse(&many).unwrap_err();
    assert_eq!(many.count(), 20_001);
    assert_eq!(many.iter().last().unwrap().key, "k19999");

    let deep = format!("{TWO_LINES}x = {}1{}\n", "[".repeat(100_000), "]".repeat(100_000));
    assert!(faults(&deep).contains("invalid TOML"));
    let deep = format!("{TWO_LINES}[{}]\n", vec!["a"; 60_000].join("."));
    assert!(!faults(&deep).is_empty());

    let long = format!("{TWO_LINES}{} = 1\n", "x".repeat(200_000));
    assert!(faults(&long).len() < 400);
}

#[test]
fn a_file_that_cannot_be_read_says_what_to_do() {
    let folder = std::env::temp_dir().join(format!("tickled-config-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let load = |path: &Path| config::load(path, &BTreeMap::new());
    let told = |path: &Path| {
        let told = load(path).unwrap_err().to_string();
        told.replace(&folder.display().to_string(), "FOLDER")
    };

    let absent = folder.join("absent.toml");
    assert_eq!(
        told(&absent),
        "FOLDER/absent.toml: the file does not exist; write one with `tickled config default > FILE`"
    );
    assert_eq!(
        told(&folder),
        "FOLDER: it is a directory; name a file like the one that `tickled config default > FILE` writes"
    );
    let latin = folder.join("latin.toml");
    fs::write(&latin, b"# one\n# M\xfcller\n").unwrap();
    assert_eq!(told(&latin), "FOLDER/latin.toml: line 2 is not UTF-8; save it as UTF-8, or leave foreign letters out");
    let large = folder.join("large.toml");
    fs::write(&large, "ü".repeat(500_000)).unwrap();
    assert!(told(&large).starts_with("FOLDER/large.toml: it is larger than 256 KiB; "));
    let odd = folder.join("odd.toml");
    fs::write(&odd, format!("#{}", "ü".repeat(500_000))).unwrap();
    assert!(told(&odd).starts_with("FOLDER/odd.toml: it is larger than 256 KiB; "));

    let right = folder.join("right.toml");
    fs::write(&right, DEFAULT).unwrap();
    assert_eq!(load(&right).unwrap(), parse(TWO_LINES).unwrap());
    fs::remove_dir_all(&folder).unwrap();
}

/// Whatever is cut out of, written into or swapped within the file: an answer, never a panic.
#[test]
fn no_text_makes_it_panic() {
    let shipped: Vec<char> = uncommented().chars().collect();
    let scraps: Vec<char> = "[]{}\"'=.,#\n\\ü\u{0}\u{feff}-_0:e\u{301}".chars().collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..3_000 {
        let mut text = shipped.clone();
        for _ in 0..=random(4) {
            let at = random(text.len());
            match random(4) {
                0 => drop(text.remove(at)),
                1 => text.insert(at, scraps[random(scraps.len())]),
                2 => text[at] = scraps[random(scraps.len())],
                _ => drop(text.splice(at..(at + random(200)).min(text.len()), [])),
            }
        }
        let text: String = text.into_iter().collect();
        match parse(&text) {
            Ok(config) => {
                accepted += 1;
                assert_eq!(parse(&config::show(&config)).unwrap(), config);
            }
            Err(faults) => {
                refused += 1;
                assert_eq!(faults.to_string().lines().count(), faults.count(), "{faults}");
            }
        }
    }
    assert!(accepted > 100 && refused > 100, "{accepted} accepted, {refused} refused");
}
