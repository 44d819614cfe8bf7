//! The Java that the gateway would run on.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::report::{Check, CheckResult};
use super::settings::find;
use crate::exit::Exit;

/// Looks for Java as the gateway's start script does: on the path. `is_needed` when a gateway of this host is named.
pub(super) async fn look(is_needed: bool) -> CheckResult {
    let Some(java) = find(Path::new("java")) else { return evaluate(None, is_needed) };
    let mut command = Command::new(&java);
    command.arg("-version").stdin(Stdio::null()).kill_on_drop(true);
    let said = match timeout(WITHIN, command.output()).await {
        Ok(Ok(output)) => {
            String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no output".to_owned(),
    };
    evaluate(Some(&said), is_needed)
}

/// A version as `(8, 192)` for 1.8.0_192, `(17, 0)` for 17.0.15.
type Version = (u32, u32);

fn evaluate(said: Option<&str>, is_needed: bool) -> CheckResult {
    let remedy = "install Java 8u192 or later, for instance `apt install default-jre-headless`";
    let Some(said) = said else {
        let found = "there is no java on the path";
        return match is_needed {
            true => CheckResult::fault(Check::Java, Exit::NothingAnswers, found, remedy),
            false => CheckResult::note(Check::Java, format!("{found}; the gateway's host or container needs it")),
        };
    };
    match version(said) {
        Some(version) if version >= NEEDED => CheckResult::good(Check::Java, format!("Java {}", words(version))),
        Some(version) => {
            let found = format!("Java {} is too old for the gateway", words(version));
            match is_needed {
                true => CheckResult::fault(Check::Java, Exit::NothingAnswers, found, remedy),
                false => CheckResult::warning(Check::Java, found, remedy),
            }
        }
        None => {
            let first = said.lines().next().map(super::connection::printable).unwrap_or_default();
            CheckResult::warning(Check::Java, format!("java does not print its version: {first:?}"), remedy)
        }
    }
}

/// Reads `version "1.8.0_192"` and `version "17.0.15"`, also with `-ea` and the like behind.
fn version(said: &str) -> Option<Version> {
    let (_, rest) = said.split_once("version \"")?;
    let (whole, _) = rest.split_once('"')?;
    let mut numbers = whole.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let first = numbers.next()?.ok()?;
    if first > 1 {
        return Some((first, 0));
    }
    let second = numbers.next()?.ok()?;
    let update =
        whole.split_once('_').and_then(|(_, update)| update.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
    Some((second, update.unwrap_or_default()))
}

fn words((number, update): Version) -> String {
    if number == NEEDED.0 { format!("{number}u{update}") } else { number.to_string() }
}

const NEEDED: Version = (8, 192);
const WITHIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::{evaluate, version};
    use crate::doctor::Verdict;
    use crate::exit::Exit;

    #[test]
    fn versions_are_read_in_both_ways_of_counting() {
        let rows = [
            ("java version \"1.8.0_192\"\nJava(TM) SE", Some((8, 192))),
            ("openjdk version \"1.8.0_432-ea\"", Some((8, 432))),
            ("java version \"1.7.0_80\"", Some((7, 80))),
            ("java version \"1.8.0\"", Some((8, 0))),
            ("openjdk version \"11.0.2\" 2019-01-15", Some((11, 0))),
            ("openjdk version \"17.0.15\" 2025-04-15", Some((17, 0))),
            ("openjdk version \"25-ea\"", Some((25, 0))),
            ("Error: could not find libjava.so", None),
            ("", None),
        ];
        for (said, is) in rows {
            assert_eq!(version(said), is, "{said}");
        }
    }

    #[test]
    fn eight_u192_is_enough_and_nothing_before_it() {
        let verdict = |said: &str, needed| evaluate(Some(said), needed).verdict;
        assert_eq!(verdict("java version \"1.8.0_192\"", true), Verdict::Good);
        assert_eq!(verdict("java version \"1.8.0_191\"", true), Verdict::Fault(Exit::NothingAnswers));
        assert_eq!(verdict("java version \"1.8.0_191\"", false), Verdict::Warning);
        assert_eq!(verdict("what?", true), Verdict::Warning);
        assert_eq!(evaluate(None, true).verdict, Verdict::Fault(Exit::NothingAnswers));
        assert_eq!(evaluate(None, false).verdict, Verdict::Note);
    }
}
