//! Others on this host that keep a session: two of them work against each other.

use std::fs;
use std::path::{Path, PathBuf};

use super::report::{Check, CheckResult};
use crate::exit::Exit;
use crate::text;

/// A keeper that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Keeper {
    pub(super) pid: u32,
    pub(super) kind: Kind,
}

/// Which keeper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// `tickled run`, with its configuration.
    Tickled(PathBuf),
    /// Another program, by its name.
    Other(&'static str),
}

/// The keepers among the processes that this user may see.
pub(super) fn look() -> Vec<Keeper> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let keepers = processes.flatten().filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        // Another user's directory and environment cannot be read, and are taken for usual ones.
        let directory = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        Some(Keeper { pid, kind: kind(&words(&line), &words(&environment), &directory)? })
    });
    keepers.collect()
}

/// Whether one of them is a daemon with this configuration.
pub(super) fn daemon<'a>(keepers: &'a [Keeper], config: &Path) -> Vec<&'a Keeper> {
    let same = |named: &Path| {
        named == config
            || fs::canonicalize(named).is_ok_and(|named| fs::canonicalize(config).is_ok_and(|ours| ours == named))
    };
    keepers
        .iter()
        .filter(|keeper| match &keeper.kind {
            Kind::Tickled(named) => same(named),
            Kind::Other(_) => false,
        })
        .collect()
}

/// Whether any of them is a daemon, with whatever configuration.
pub(super) fn is_tickled_at_work(keepers: &[Keeper]) -> bool {
    keepers.iter().any(|keeper| matches!(keeper.kind, Kind::Tickled(_)))
}

/// Judges them.
pub(super) fn evaluate(keepers: &[Keeper], config: &Path) -> Vec<CheckResult> {
    let mut results = Vec::new();
    let ours = daemon(keepers, config);
    match ours.as_slice() {
        [] => {}
        [one] => {
            results.push(CheckResult::good(Check::Keeper, format!("`tickled run` is at work (process {})", one.pid)));
        }
        several => {
            let pids: Vec<String> = several.iter().map(|keeper| keeper.pid.to_string()).collect();
            let found = format!(
                "`tickled run` runs {} times with this configuration: processes {}",
                several.len(),
                pids.join(", ")
            );
            results.push(CheckResult::fault(Check::Keeper, Exit::AnotherInstance, found, "end all but one"));
        }
    }
    for keeper in keepers {
        match &keeper.kind {
            Kind::Other(name) => {
                let found = format!(
                    "{name} keeps a session as well (process {}): two keepers undo each other's work",
                    keeper.pid
                );
                let remedy = format!("end {name} if it is for the same gateway");
                results.push(CheckResult::warning(Check::Keeper, found, remedy));
            }
            Kind::Tickled(named) if !ours.contains(&keeper) => {
                let named = text::escaped(&named.display().to_string());
                let found =
                    format!("`tickled run` is at work with another configuration, {named} (process {})", keeper.pid);
                results.push(CheckResult::note(Check::Keeper, found));
            }
            Kind::Tickled(_) => {}
        }
    }
    if results.is_empty() {
        results.push(CheckResult::note(
            Check::Keeper,
            "nothing on this host keeps a session, as far as this user may see",
        ));
    }
    results
}

/// What the kernel tells of a process: words that end with a zero.
fn words(text: &[u8]) -> Vec<String> {
    text.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// What a command line is, by its program or by the script that an interpreter runs.
fn kind(words: &[String], environment: &[String], directory: &Path) -> Option<Kind> {
    let name = |word: &String| Some(Path::new(word).file_stem()?.to_str()?.to_ascii_lowercase());
    let program = name(words.first()?)?;
    if program == "tickled" {
        let arguments = words.get(1..)?;
        arguments.first().filter(|verb| *verb == "run")?;
        let named = arguments.iter().enumerate().find_map(|(at, word)| match word.strip_prefix("--config=") {
            Some(path) => Some(path.to_owned()),
            None if word == "--config" => arguments.get(at + 1).cloned(),
            None => None,
        });
        let by_environment =
            || environment.iter().find_map(|pair| pair.strip_prefix("TICKLED_CONFIG=")).map(str::to_owned);
        let named = named.or_else(by_environment).unwrap_or_else(|| USUAL_CONFIG.to_owned());
        return Some(Kind::Tickled(directory.join(named)));
    }
    let interprets = ["python", "node", "sh", "bash", "dash"].iter().any(|known| program.starts_with(known));
    let looked_at = if interprets { words.iter().take(4).filter_map(name).collect() } else { vec![program] };
    OTHERS.iter().find(|(sign, _)| looked_at.iter().any(|word| word == sign)).map(|(_, known)| Kind::Other(known))
}

/// The names of programs and scripts that keep a session, and what people call them.
const OTHERS: &[(&str, &str)] = &[
    ("ibeam", "IBeam"),
    ("ibeam_starter", "IBeam"),
    ("bezant", "bezant"),
    ("bezant-server", "bezant"),
    ("interactive-brokers-mcp", "interactive-brokers-mcp"),
    ("tickler", "a tickler script"),
];

const USUAL_CONFIG: &str = "/etc/tickled/tickled.toml";

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Keeper, Kind, evaluate, kind};
    use crate::doctor::Verdict;
    use crate::exit::Exit;

    fn of(line: &str) -> Option<Kind> {
        kind(&line.split(' ').map(str::to_owned).collect::<Vec<_>>(), &[], Path::new("/srv"))
    }

    #[test]
    fn keepers_are_known_by_what_they_run() {
        let with = |config: &str| Some(Kind::Tickled(PathBuf::from(config)));
        let rows = [
            ("/usr/bin/tickled run --config /etc/a.toml", with("/etc/a.toml")),
            ("tickled run --config=/etc/a.toml", with("/etc/a.toml")),
            ("tickled run --config b.toml", with("/srv/b.toml")),
            ("tickled run", with("/etc/tickled/tickled.toml")),
            ("tickled doctor", None),
            ("python3 /srv/ibeam/ibeam_starter.py", Some(Kind::Other("IBeam"))),
            ("/usr/bin/python3 -m ibeam", Some(Kind::Other("IBeam"))),
            ("bash ./tickler.sh", Some(Kind::Other("a tickler script"))),
            ("node /app/interactive-brokers-mcp", Some(Kind::Other("interactive-brokers-mcp"))),
            ("vim ibeam.md", None),
            ("grep -r ibeam .", None),
            ("", None),
        ];
        for (line, is) in rows {
            assert_eq!(of(line), is, "{line}");
        }
        let by_environment = kind(
            &["tickled".to_owned(), "run".to_owned()],
            &["HOME=/".to_owned(), "TICKLED_CONFIG=c.toml".to_owned()],
            Path::new("/srv"),
        );
        assert_eq!(by_environment, with("/srv/c.toml"));
    }

    #[test]
    fn two_of_the_same_are_a_fault_and_a_foreign_one_a_warning() {
        let config = Path::new("/nowhere/a.toml");
        let ours = |pid| Keeper { pid, kind: Kind::Tickled(PathBuf::from("/nowhere/a.toml")) };
        let other = Keeper { pid: 3, kind: Kind::Tickled(PathBuf::from("/nowhere/b.toml")) };
        let foreign = Keeper { pid: 4, kind: Kind::Other("IBeam") };
        let verdicts = |keepers: &[Keeper]| evaluate(keepers, config).iter().map(|f| f.verdict).collect::<Vec<_>>();
        assert_eq!(verdicts(&[]), [Verdict::Note]);
        assert_eq!(verdicts(std::slice::from_ref(&other)), [Verdict::Note]);
        let said = evaluate(std::slice::from_ref(&other), config)[0].found.clone();
        assert!(said.contains("at work with another configuration, /nowhere/b.toml"), "{said}");
        assert_eq!(verdicts(&[ours(1), other]), [Verdict::Good, Verdict::Note]);
        assert_eq!(verdicts(&[ours(1), ours(2), foreign]), [Verdict::Fault(Exit::AnotherInstance), Verdict::Warning]);
    }
}
