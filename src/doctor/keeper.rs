//! Others on this host that keep a session: two of them work against each other.

use std::fs;
use std::path::Path;

use super::finding::{Check, Finding};
use crate::exit::Exit;

/// A keeper that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Keeper {
    pub(super) pid: u32,
    pub(super) kind: Kind,
}

/// Which keeper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// `tickled run`, with the configuration it names, if it names one.
    Tickled(Option<String>),
    /// Another program, by its name.
    Other(&'static str),
}

/// The keepers among the processes that this user may see.
pub(super) fn look() -> Vec<Keeper> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let keepers = processes.flatten().filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let words: Vec<String> =
            line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        Some(Keeper { pid, kind: kind(&words)? })
    });
    keepers.collect()
}

/// Whether one of them is a daemon with this configuration.
pub(super) fn daemon<'a>(keepers: &'a [Keeper], config: &Path) -> Vec<&'a Keeper> {
    let same = |named: &str| {
        Path::new(named) == config
            || fs::canonicalize(named).is_ok_and(|named| fs::canonicalize(config).is_ok_and(|ours| ours == named))
    };
    keepers
        .iter()
        .filter(|keeper| match &keeper.kind {
            Kind::Tickled(named) => same(named.as_deref().unwrap_or(USUAL_CONFIG)),
            Kind::Other(_) => false,
        })
        .collect()
}

/// Judges them.
pub(super) fn judge(keepers: &[Keeper], config: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    let ours = daemon(keepers, config);
    match ours.as_slice() {
        [] => {}
        [one] => findings.push(Finding::good(Check::Keeper, format!("`tickled run` is at work (process {})", one.pid))),
        several => {
            let pids: Vec<String> = several.iter().map(|keeper| keeper.pid.to_string()).collect();
            let found = format!(
                "`tickled run` runs {} times with this configuration: processes {}",
                several.len(),
                pids.join(", ")
            );
            findings.push(Finding::fault(Check::Keeper, Exit::AnotherInstance, found, "end all but one"));
        }
    }
    for keeper in keepers {
        if let Kind::Other(name) = keeper.kind {
            let found =
                format!("{name} keeps a session as well (process {}): two keepers undo each other's work", keeper.pid);
            findings.push(Finding::warning(Check::Keeper, found, format!("end {name} if it is for the same gateway")));
        }
    }
    if findings.is_empty() {
        findings
            .push(Finding::note(Check::Keeper, "nothing on this host keeps a session, as far as this user may see"));
    }
    findings
}

/// What a command line is, by its program or by the script that an interpreter runs.
fn kind(words: &[String]) -> Option<Kind> {
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
        return Some(Kind::Tickled(named));
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
    use std::path::Path;

    use super::{Keeper, Kind, judge, kind};
    use crate::doctor::Verdict;
    use crate::exit::Exit;

    fn of(line: &str) -> Option<Kind> {
        kind(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn keepers_are_known_by_what_they_run() {
        let rows = [
            ("/usr/bin/tickled run --config /etc/a.toml", Some(Kind::Tickled(Some("/etc/a.toml".to_owned())))),
            ("tickled run --config=/etc/a.toml", Some(Kind::Tickled(Some("/etc/a.toml".to_owned())))),
            ("tickled run", Some(Kind::Tickled(None))),
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
    }

    #[test]
    fn two_of_the_same_are_a_fault_and_a_foreign_one_a_warning() {
        let config = Path::new("/nowhere/a.toml");
        let ours = |pid| Keeper { pid, kind: Kind::Tickled(Some("/nowhere/a.toml".to_owned())) };
        let other = Keeper { pid: 3, kind: Kind::Tickled(Some("/nowhere/b.toml".to_owned())) };
        let foreign = Keeper { pid: 4, kind: Kind::Other("IBeam") };
        let verdicts = |keepers: &[Keeper]| judge(keepers, config).iter().map(|f| f.verdict).collect::<Vec<_>>();
        assert_eq!(verdicts(&[]), [Verdict::Note]);
        assert_eq!(verdicts(std::slice::from_ref(&other)), [Verdict::Note]);
        assert_eq!(verdicts(&[ours(1), other]), [Verdict::Good]);
        assert_eq!(verdicts(&[ours(1), ours(2), foreign]), [Verdict::Fault(Exit::AnotherInstance), Verdict::Warning]);
    }
}
