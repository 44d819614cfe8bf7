//! Programs on this host that keep a session alive. Two of them for one gateway undo each other's work.

use std::fs;
use std::path::{Path, PathBuf};

use super::report::{Check, CheckResult};
use crate::exit::Exit;
use crate::text;

/// A running program that keeps a session alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) program: Program,
}

/// Which program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Program {
    /// `tickled run`, with its configuration.
    Tickled(PathBuf),
    /// Another program, by its name.
    Other(&'static str),
}

/// Finds such programs among the processes that this user can see.
pub(super) fn find() -> Vec<Process> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let found = processes.flatten().filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        // Another user's directory and environment cannot be read, and are taken for usual ones.
        let directory = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        Some(Process { pid, program: program(&words(&line), &words(&environment), &directory)? })
    });
    found.collect()
}

/// Returns the daemons with this configuration.
pub(super) fn daemons<'a>(processes: &'a [Process], config: &Path) -> Vec<&'a Process> {
    let same = |named: &Path| {
        named == config
            || fs::canonicalize(named).is_ok_and(|named| fs::canonicalize(config).is_ok_and(|ours| ours == named))
    };
    processes.iter().filter(|process| matches!(&process.program, Program::Tickled(named) if same(named))).collect()
}

/// Whether a daemon runs, with any configuration.
pub(super) fn is_daemon_running(processes: &[Process]) -> bool {
    processes.iter().any(|process| matches!(process.program, Program::Tickled(_)))
}

/// Evaluates them.
pub(super) fn evaluate(processes: &[Process], config: &Path) -> Vec<CheckResult> {
    let mut results = Vec::new();
    let ours = daemons(processes, config);
    match ours.as_slice() {
        [] => {}
        [one] => {
            results.push(CheckResult::good(Check::Programs, format!("`tickled run` is running (pid {})", one.pid)));
        }
        several => {
            let pids: Vec<String> = several.iter().map(|process| process.pid.to_string()).collect();
            let found = format!(
                "`tickled run` is running {} times with this configuration: pids {}",
                several.len(),
                pids.join(", ")
            );
            results.push(CheckResult::fault(Check::Programs, Exit::AnotherInstance, found, "stop all but one"));
        }
    }
    for process in processes {
        match &process.program {
            Program::Other(name) => {
                let found = format!(
                    "{name} also keeps a session alive (pid {}): on the same gateway, the two work against each other",
                    process.pid
                );
                let remedy = format!("stop {name} if it uses the same gateway");
                results.push(CheckResult::warning(Check::Programs, found, remedy));
            }
            Program::Tickled(named) if !ours.contains(&process) => {
                let named = text::escaped(&named.display().to_string());
                let found =
                    format!("`tickled run` is running with another configuration, {named} (pid {})", process.pid);
                results.push(CheckResult::note(Check::Programs, found));
            }
            Program::Tickled(_) => {}
        }
    }
    if results.is_empty() {
        results.push(CheckResult::note(
            Check::Programs,
            "no program that keeps a session alive is running on this host, as far as this user can see",
        ));
    }
    results
}

/// Splits a process's command line or environment as the kernel shows it: words that end with a zero byte.
fn words(text: &[u8]) -> Vec<String> {
    text.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// Recognises a command line by its program, or by the script that an interpreter runs.
fn program(words: &[String], environment: &[String], directory: &Path) -> Option<Program> {
    let name = |word: &String| Some(Path::new(word).file_stem()?.to_str()?.to_ascii_lowercase());
    let executable = name(words.first()?)?;
    if executable == "tickled" {
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
        return Some(Program::Tickled(directory.join(named)));
    }
    let interprets = ["python", "node", "sh", "bash", "dash"].iter().any(|known| executable.starts_with(known));
    let looked_at = if interprets { words.iter().take(4).filter_map(name).collect() } else { vec![executable] };
    OTHERS.iter().find(|(sign, _)| looked_at.iter().any(|word| word == sign)).map(|(_, known)| Program::Other(known))
}

/// Programs and scripts that keep a session alive: the file name, and the usual name.
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

    use super::{Process, Program, evaluate, program};
    use crate::doctor::Verdict;
    use crate::exit::Exit;

    fn of(line: &str) -> Option<Program> {
        program(&line.split(' ').map(str::to_owned).collect::<Vec<_>>(), &[], Path::new("/srv"))
    }

    #[test]
    fn programs_are_recognised_by_their_command_line() {
        let with = |config: &str| Some(Program::Tickled(PathBuf::from(config)));
        let rows = [
            ("/usr/bin/tickled run --config /etc/a.toml", with("/etc/a.toml")),
            ("tickled run --config=/etc/a.toml", with("/etc/a.toml")),
            ("tickled run --config b.toml", with("/srv/b.toml")),
            ("tickled run", with("/etc/tickled/tickled.toml")),
            ("tickled doctor", None),
            ("python3 /srv/ibeam/ibeam_starter.py", Some(Program::Other("IBeam"))),
            ("/usr/bin/python3 -m ibeam", Some(Program::Other("IBeam"))),
            ("bash ./tickler.sh", Some(Program::Other("a tickler script"))),
            ("node /app/interactive-brokers-mcp", Some(Program::Other("interactive-brokers-mcp"))),
            ("vim ibeam.md", None),
            ("grep -r ibeam .", None),
            ("", None),
        ];
        for (line, is) in rows {
            assert_eq!(of(line), is, "{line}");
        }
        let by_environment = program(
            &["tickled".to_owned(), "run".to_owned()],
            &["HOME=/".to_owned(), "TICKLED_CONFIG=c.toml".to_owned()],
            Path::new("/srv"),
        );
        assert_eq!(by_environment, with("/srv/c.toml"));
    }

    #[test]
    fn two_of_the_same_are_a_fault_and_a_foreign_one_a_warning() {
        let config = Path::new("/nowhere/a.toml");
        let ours = |pid| Process { pid, program: Program::Tickled(PathBuf::from("/nowhere/a.toml")) };
        let other = Process { pid: 3, program: Program::Tickled(PathBuf::from("/nowhere/b.toml")) };
        let foreign = Process { pid: 4, program: Program::Other("IBeam") };
        let verdicts =
            |processes: &[Process]| evaluate(processes, config).iter().map(|f| f.verdict).collect::<Vec<_>>();
        assert_eq!(verdicts(&[]), [Verdict::Note]);
        assert_eq!(verdicts(std::slice::from_ref(&other)), [Verdict::Note]);
        let said = evaluate(std::slice::from_ref(&other), config)[0].found.clone();
        assert!(said.contains("running with another configuration, /nowhere/b.toml"), "{said}");
        assert_eq!(verdicts(&[ours(1), other]), [Verdict::Good, Verdict::Note]);
        assert_eq!(verdicts(&[ours(1), ours(2), foreign]), [Verdict::Fault(Exit::AnotherInstance), Verdict::Warning]);
    }
}
