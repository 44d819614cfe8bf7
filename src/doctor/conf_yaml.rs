//! The gateway's own conf.yaml against the configuration here: port, TLS, addresses, the delay of its recovery.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::answers::allow_line;
use super::observations::Subject;
use super::report::{Check, CheckResult, Verdict};
use crate::exit::Exit;
use crate::session::CONFIRM_WITHIN;

/// The settings of conf.yaml that are checked. Absent keys are `None`. The keystore password is not read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Conf {
    port: Option<u16>,
    ssl: Option<bool>,
    auth_delay_ms: Option<u64>,
    allow: Vec<String>,
    deny: Vec<String>,
}

/// Reads the conf.yaml of the gateway in this folder and judges it.
pub(super) fn look(folder: &Path, subjects: &[Subject]) -> Vec<CheckResult> {
    let files = ["root/conf.yaml", "conf.yaml"].map(|name| folder.join(name));
    let Some((file, text)) = files.iter().find_map(|file| Some((file, fs::read_to_string(file).ok()?))) else {
        let found = format!("there is no root/conf.yaml in {}, or it cannot be read", folder.display());
        let remedy = "name the folder into which the gateway was unpacked";
        return vec![CheckResult::fault(Check::ConfYaml, Exit::HumanNeeded, found, remedy)];
    };
    let mut results = evaluate(&Conf::read(&text), subjects);
    if results.iter().all(|result| result.verdict == Verdict::Note) {
        let found = format!("{} agrees with the configuration", file.display());
        results.push(CheckResult::good(Check::ConfYaml, found));
    }
    results
}

fn evaluate(conf: &Conf, subjects: &[Subject]) -> Vec<CheckResult> {
    let fault = |exit, found: String, remedy: String| CheckResult::fault(Check::ConfYaml, exit, found, remedy);
    let mut results = Vec::new();
    let port = conf.port.unwrap_or(PORT);
    let ssl = conf.ssl.unwrap_or(true);
    let scheme = if ssl { "https" } else { "http" };
    let here: Vec<&Subject> = subjects.iter().filter(|subject| subject.is_here()).collect();
    let ours = here.iter().find(|subject| subject.host_and_port().1 == port);
    match (ours, here.first()) {
        (None, Some(first)) => {
            let found = format!("listenPort is {port}, but {} is configured as {}", first.name, first.url());
            results.push(fault(Exit::Configuration, found, format!("write url = \"{scheme}://localhost:{port}\"")));
        }
        (Some(subject), _) if subject.url().is_encrypted() != ssl => {
            let found = format!("listenSsl is {ssl}, but {} is configured as {}", subject.name, subject.url());
            let (host, _) = subject.host_and_port();
            results.push(fault(Exit::Configuration, found, format!("write url = \"{scheme}://{host}:{port}\"")));
        }
        (Some(_) | None, _) => {}
    }
    let own = IpAddr::from([127, 0, 0, 1]);
    let is_in = |list: &[String]| list.iter().any(|pattern| matches(pattern, &own.to_string()));
    if !here.is_empty() && (is_in(&conf.deny) || !is_in(&conf.allow)) {
        let (found, remedy) = if is_in(&conf.deny) {
            ("ips: deny: blocks this host itself".to_owned(), "remove 127.0.0.1 from ips: deny:".to_owned())
        } else {
            let list = if conf.allow.is_empty() { "no address".to_owned() } else { conf.allow.join(", ") };
            (
                format!("ips: allow: allows {list}, but not this host itself"),
                format!("add the line `    - {}`", allow_line(own)),
            )
        };
        let remedy = format!("{remedy}, and restart the gateway, which costs a login");
        results.push(fault(Exit::HumanNeeded, found, remedy));
    }
    if conf.allow.iter().any(|pattern| matches!(pattern.as_str(), "*" | "*.*.*.*" | "0.0.0.0")) {
        let found =
            "ips: allow: allows every address: anyone who can reach the port can use the account without a password";
        results.push(CheckResult::warning(Check::ConfYaml, found, "list only the addresses that need access"));
    }
    let delay = Duration::from_millis(conf.auth_delay_ms.unwrap_or(AUTH_DELAY_MS));
    if delay >= CONFIRM_WITHIN {
        let found = format!(
            "authDelay is {}, but a recovery attempt waits only {}: recovery by the gateway itself cannot succeed",
            crate::log::human_duration(delay),
            crate::log::human_duration(CONFIRM_WITHIN)
        );
        results.push(CheckResult::warning(
            Check::ConfYaml,
            found,
            format!("write authDelay: {AUTH_DELAY_MS}, the default"),
        ));
    } else {
        let takes = (delay + OTHER_STEPS).as_secs_f64();
        let shorter = if delay > SHORT_DELAY { "; with 500 it takes 0.6 s" } else { "" };
        let found = format!(
            "authDelay is {}: a recovery by the gateway itself (method \"gateway\") takes {takes:.1} s{shorter}",
            delay.as_millis()
        );
        results.push(CheckResult::note(Check::ConfYaml, found));
    }
    results
}

impl Conf {
    /// Reads as much of YAML as that file has: keys, lists of one value a line or in brackets, comments, quotes.
    fn read(text: &str) -> Self {
        let mut conf = Self::default();
        let (mut table, mut list) = (String::new(), String::new());
        for line in text.lines() {
            let line = without_comment(line);
            let bare = line.trim();
            if bare.is_empty() {
                continue;
            }
            let is_top = !line.starts_with([' ', '\t', '-']);
            if let Some(item) = bare.strip_prefix("- ") {
                conf.add(&table, &list, unquoted(item));
                continue;
            }
            let Some((key, value)) = bare.split_once(':') else { continue };
            let (key, value) = (key.trim(), value.trim());
            if is_top {
                key.clone_into(&mut table);
                list.clear();
                conf.set(key, unquoted(value));
            } else {
                key.clone_into(&mut list);
            }
            if let Some(items) = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                for item in items.split(',') {
                    conf.add(&table, &list, unquoted(item.trim()));
                }
            }
        }
        conf
    }

    fn set(&mut self, key: &str, value: &str) {
        match key {
            "listenPort" => self.port = value.parse().ok(),
            "listenSsl" => self.ssl = value.parse().ok(),
            "authDelay" => self.auth_delay_ms = value.parse().ok(),
            _ => {}
        }
    }

    fn add(&mut self, table: &str, list: &str, item: &str) {
        match (table, list) {
            ("ips", "allow") => self.allow.push(item.to_owned()),
            ("ips", "deny") => self.deny.push(item.to_owned()),
            _ => {}
        }
    }
}

/// Whether a pattern such as `192.168.*` holds for an address: a star stands for the rest of a part, or of the address.
fn matches(pattern: &str, address: &str) -> bool {
    let mut parts = address.split('.');
    for piece in pattern.split('.') {
        let Some(part) = parts.next() else { return false };
        let is_it = match piece.split_once('*') {
            Some((start, _)) => part.starts_with(start),
            None => part == piece,
        };
        if !is_it {
            return false;
        }
    }
    parts.next().is_none() || pattern.ends_with('*')
}

fn without_comment(line: &str) -> &str {
    let at = line
        .match_indices('#')
        .map(|(at, _)| at)
        .find(|at| line[..*at].chars().next_back().is_none_or(char::is_whitespace));
    at.map_or(line, |at| &line[..at])
}

fn unquoted(text: &str) -> &str {
    let inner = |quote| text.strip_prefix(quote).and_then(|rest: &str| rest.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

/// What the gateway does when its file says nothing.
const PORT: u16 = 5000;
const AUTH_DELAY_MS: u64 = 3000;
const SHORT_DELAY: Duration = Duration::from_millis(500);
/// How long the gateway's own recovery takes besides `authDelay`.
const OTHER_STEPS: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Check, Conf, evaluate, matches};
    use crate::doctor::observations::Subject;
    use crate::doctor::{CheckResult, Verdict};
    use crate::exit::Exit;
    use crate::gateway::{Target, Trust};
    use crate::session::Account;

    /// The file as shipped, except for some names that do not matter.
    const SHIPPED: &str = "ip2loc: \"US\"\nproxyRemoteSsl: true\nproxyRemoteHost: \"https://api.ibkr.com\"\n\
        listenPort: 5000\nlistenSsl: true\nccp: false\nsvcEnvironment: \"v1\"\nsslCert: \"vertx.jks\"\n\
        sslPwd: \"secret\"\nauthDelay: 3000\nportalBaseURL: \"\"\nserverOptions:\n    eventLoopPoolSize: 20\ncors:\n\
        \x20   origin.allowed: \"*\"\nwebApps:\n    - name: \"demo\"\n      index: \"index.html\"\nips:\n  allow:\n\
        \x20   - 10.*\n    - 192.*  # the house\n    - 131.216.*\n    - 127.0.0.1\n  deny:\n    - 212.90.324.10\n";

    fn subject(url: &str) -> Subject {
        let target =
            Target { url: url.parse().unwrap(), answer_within: Duration::from_secs(15), trust: Trust::Loopback };
        Subject {
            name: "main".to_owned(),
            target,
            account: Account::Any,
            here: "HOST".to_owned(),
            no_validation: None,
            known_silence: None,
            ibkr_host: None,
        }
    }

    fn evaluated(text: &str, url: &str) -> Vec<CheckResult> {
        evaluate(&Conf::read(text), &[subject(url)])
    }

    fn delay(ms: u64, takes: &str) -> CheckResult {
        let found = format!("authDelay is {ms}: a recovery by the gateway itself (method \"gateway\") takes {takes}");
        CheckResult::note(Check::ConfYaml, found)
    }

    #[test]
    fn the_file_as_it_comes_is_read_and_good() {
        let conf = Conf::read(SHIPPED);
        assert_eq!((conf.port, conf.ssl, conf.auth_delay_ms), (Some(5000), Some(true), Some(3000)));
        assert_eq!(conf.allow, ["10.*", "192.*", "131.216.*", "127.0.0.1"]);
        assert_eq!(conf.deny, ["212.90.324.10"]);
        assert_eq!(evaluated(SHIPPED, "https://localhost:5000"), [delay(3000, "3.1 s; with 500 it takes 0.6 s")]);
        let short = SHIPPED.replace("3000", "500");
        assert_eq!(evaluated(&short, "https://localhost:5000"), [delay(500, "0.6 s")]);
        assert!(!format!("{conf:?}").contains("secret"));
    }

    #[test]
    fn each_disagreement_is_told_with_what_to_write() {
        let rows = [
            ("listenPort: 5000", "listenPort: 5001", "write url = \"https://localhost:5001\""),
            ("listenSsl: true", "listenSsl: false", "write url = \"http://localhost:5000\""),
            ("    - 127.0.0.1\n", "", "add the line `    - 127.0.0.1`"),
            ("212.90.324.10", "127.*", "remove 127.0.0.1"),
            ("131.216.*", "\"*\"", "list only the addresses"),
            ("authDelay: 3000", "authDelay: 30000", "write authDelay: 3000"),
        ];
        for (is, becomes, remedy) in rows {
            let results = evaluated(&SHIPPED.replace(is, becomes), "https://localhost:5000");
            let remedies: Vec<String> = results.into_iter().filter_map(|result| result.remedy).collect();
            assert!(remedies.len() == 1 && remedies[0].contains(remedy), "{becomes}: {remedies:?}");
        }
        let bracketed = "ips:\n  allow: [192.*, '10.*']\n";
        assert_eq!(evaluated(bracketed, "https://localhost:5000")[0].verdict, Verdict::Fault(Exit::HumanNeeded));
        assert!(
            evaluated(SHIPPED, "https://gateway.example:5000").iter().all(|result| result.verdict == Verdict::Note)
        );
    }

    #[test]
    fn patterns_hold_as_the_gateway_means_them() {
        let rows = [
            ("127.0.0.1", true),
            ("127.*", true),
            ("127.0.0.*", true),
            ("*", true),
            ("12*", true),
            ("127.0.0.10", false),
            ("10.*", false),
            ("127.0.0", false),
            ("127.0.0.1.1", false),
        ];
        for (pattern, holds) in rows {
            assert_eq!(matches(pattern, "127.0.0.1"), holds, "{pattern}");
        }
    }
}
