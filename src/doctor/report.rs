//! The doctor's report: named checks, each with its result and remedy, in the order to read them. Pure.

use serde_json::{Value, json};

use crate::exit::Exit;
use crate::text::{plural, wrap};

/// A subject of a check, in the order of causes: an earlier fault explains later ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::VariantArray, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Check {
    /// The configuration, and who may write it.
    Config,
    /// Java, which the gateway runs on.
    Java,
    /// The gateway's own conf.yaml.
    ConfYaml,
    /// The name of the gateway's host.
    Name,
    /// The gateway's port.
    Port,
    /// The protocol and the certificate.
    Tls,
    /// Whether what answers is a gateway.
    Gateway,
    /// The gateway's list of addresses.
    IpList,
    /// IBKR's edge.
    Edge,
    /// IBKR's servers.
    Ibkr,
    /// The login.
    Login,
    /// The brokerage session.
    Session,
    /// Paper or live.
    Account,
    /// Other programs that keep a session alive.
    Programs,
    /// This host's clock.
    Clock,
    /// The channels of alerts.
    Channels,
    /// The state that survives restarts.
    State,
    /// The service of systemd.
    Unit,
}

impl Check {
    /// All of them, in the order of causes.
    pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

    /// Its name, which is stable.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// The subject, for the documentation.
    #[must_use]
    pub const fn looks_at(self) -> &'static str {
        self.row().1
    }

    const fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::Config => ("config", "the configuration, who may change it, and who may read its secrets"),
            Self::Java => ("java", "Java on the path, and its version: the gateway needs 8u192 or later"),
            Self::ConfYaml => ("conf-yaml", "the gateway's own conf.yaml: port, TLS, addresses, authDelay"),
            Self::Name => ("name", "whether the host's name resolves"),
            Self::Port => ("port", "whether the port is open, and by what"),
            Self::Tls => ("tls", "the protocol, whose certificate it is, and its dates"),
            Self::Gateway => ("gateway", "whether what answers is a gateway"),
            Self::IpList => ("ip-list", "whether the gateway's list of addresses lets this host in"),
            Self::Edge => ("edge", "whether IBKR's edge refuses this host, as it does many data centres"),
            Self::Ibkr => ("ibkr", "whether IBKR's servers answer"),
            Self::Login => ("login", "whether there is a login, and whether the gateway holds it"),
            Self::Session => ("session", "whether the brokerage session is live, and account data arrives"),
            Self::Account => ("account", "whether it is a paper or a live account, as configured"),
            Self::Programs => ("programs", "whether another program on this host keeps a session alive"),
            Self::Clock => ("clock", "this host's clock against the Date header of the answers"),
            Self::Channels => ("channels", "whether the channels of alerts can be reached; nothing is sent"),
            Self::State => ("state", "the directory of the state that survives restarts"),
            Self::Unit => ("unit", "the systemd service, the control socket and its group, where installed"),
        }
    }
}

/// How a result is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// This alone prevents a live session, or prevents alerts.
    Fault(Exit),
    /// It works, and should not stay so.
    Warning,
    /// Good to know.
    Note,
    /// As it should be.
    Good,
    /// Not checked, and why.
    NotAsked,
}

impl Verdict {
    /// Its name, which is stable.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().1
    }

    const fn rank(self) -> u8 {
        self.row().0
    }

    /// Its rank, its name, and its word in the report.
    const fn row(self) -> (u8, &'static str, &'static str) {
        match self {
            Self::Fault(_) => (0, "fault", "FAULT"),
            Self::Warning => (1, "warning", "warning"),
            Self::Note => (2, "note", "note"),
            Self::Good => (3, "good", "good"),
            Self::NotAsked => (4, "not-asked", "-"),
        }
    }
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckResult {
    /// Which.
    pub check: Check,
    /// The gateway or channel it is about, by name.
    pub about: Option<String>,
    /// How it is meant.
    pub verdict: Verdict,
    /// What was found, one sentence or a few lines.
    pub found: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl CheckResult {
    fn new(check: Check, verdict: Verdict, found: impl Into<String>, remedy: Option<String>) -> Self {
        Self { check, about: None, verdict, found: found.into(), remedy }
    }

    pub(super) fn good(check: Check, found: impl Into<String>) -> Self {
        Self::new(check, Verdict::Good, found, None)
    }

    pub(super) fn note(check: Check, found: impl Into<String>) -> Self {
        Self::new(check, Verdict::Note, found, None)
    }

    pub(super) fn not_asked(check: Check, why: impl Into<String>) -> Self {
        Self::new(check, Verdict::NotAsked, why, None)
    }

    pub(super) fn warning(check: Check, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(check, Verdict::Warning, found, Some(remedy.into()))
    }

    pub(super) fn fault(check: Check, exit: Exit, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(check, Verdict::Fault(exit), found, Some(remedy.into()))
    }

    pub(super) fn about(self, name: &str) -> Self {
        Self { about: Some(name.to_owned()), ..self }
    }

    fn json(&self) -> Value {
        json!({
            "check": self.check.name(),
            "about": self.about,
            "verdict": self.verdict.name(),
            "found": self.found,
            "remedy": self.remedy,
        })
    }
}

/// All results, the worst first, and among faults the cause before its consequences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    results: Vec<CheckResult>,
}

impl Diagnosis {
    pub(super) fn new(mut results: Vec<CheckResult>) -> Self {
        results.sort_by_key(|result| (result.verdict.rank(), result.check));
        Self { results }
    }

    /// The results, in the order of the report.
    #[must_use]
    pub fn results(&self) -> &[CheckResult] {
        &self.results
    }

    /// The code of the worst result.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let faults = self.results.iter().filter_map(|result| match result.verdict {
            Verdict::Fault(exit) => Some(exit),
            Verdict::Warning | Verdict::Note | Verdict::Good | Verdict::NotAsked => None,
        });
        Exit::worst(faults)
    }

    /// The report for a person, wrapped for a terminal of that width.
    #[must_use]
    pub fn text(&self, width: Option<usize>) -> String {
        let label = |result: &CheckResult| match &result.about {
            Some(about) => format!("{about}: {}", result.check.name()),
            None => result.check.name().to_owned(),
        };
        let shown = self.results.iter().filter(|result| result.verdict != Verdict::NotAsked);
        let wide = shown.clone().map(|result| label(result).chars().count()).max().unwrap_or_default();
        let is_narrow = width.is_some_and(|width| width < INDENT + wide + 2 + COLUMN);
        let mut text = String::new();
        for result in shown {
            let (_, _, word) = result.verdict.row();
            let label = label(result);
            if is_narrow {
                text += &format!("{word:7}  {label}\n{:INDENT$}{}\n", "", wrap(&result.found, INDENT, width));
            } else {
                text += &format!("{word:7}  {label:wide$}  {}\n", wrap(&result.found, INDENT + wide + 2, width));
            }
            if let Some(remedy) = &result.remedy {
                let indent = INDENT + if is_narrow { 0 } else { 7 };
                text += &format!("{:INDENT$}{}\n", "", wrap(&format!("to do: {remedy}"), indent, width));
            }
        }
        let mut rest: Vec<(&CheckResult, Vec<String>)> = Vec::new();
        for result in self.results.iter().filter(|result| result.verdict == Verdict::NotAsked) {
            match rest.iter_mut().find(|(first, _)| first.about == result.about && first.found == result.found) {
                Some((_, checks)) => checks.push(result.check.name().to_owned()),
                None => rest.push((result, vec![label(result)])),
            }
        }
        for (first, checks) in rest {
            text += &format!(
                "{:INDENT$}{}\n",
                "-",
                wrap(&format!("{}: {}", checks.join(", "), first.found), INDENT, width)
            );
        }
        text += &format!("{}\n", wrap(&self.sum(), 0, width));
        text
    }

    /// The report for programs, one object on one line.
    #[must_use]
    pub fn json(&self) -> String {
        let results: Vec<Value> = self.results.iter().map(CheckResult::json).collect();
        json!({ "exit": self.exit().code(), "findings": results }).to_string()
    }

    fn sum(&self) -> String {
        let count = |rank| self.results.iter().filter(|result| result.verdict.rank() == rank).count();
        match (count(0), count(1)) {
            (0, 0) => "all is well".to_owned(),
            (0, warnings) => format!("no fault, {}", plural(warnings, "warning")),
            (faults, warnings) => {
                format!("{}, {}; begin with the first", plural(faults, "fault"), plural(warnings, "warning"))
            }
        }
    }
}

const INDENT: usize = 9;
/// A column narrower than this is no easier to read than lines below its label.
const COLUMN: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Diagnosis {
        Diagnosis::new(vec![
            CheckResult::good(Check::Config, "it is good"),
            CheckResult::not_asked(Check::Session, "not asked: port comes first").about("main"),
            CheckResult::warning(Check::Clock, "it is 2m ahead", "have it kept").about("main"),
            CheckResult::not_asked(Check::Login, "not asked: port comes first").about("main"),
            CheckResult::fault(Check::Channels, Exit::HumanNeeded, "mail: closed", "correct it"),
            CheckResult::fault(Check::Port, Exit::NothingAnswers, "nothing listens there", "start the gateway")
                .about("main"),
        ])
    }

    #[test]
    fn the_cause_comes_first_and_what_was_not_asked_is_one_line() {
        let text = "FAULT    main: port   nothing listens there\n         to do: start the gateway\n\
                    FAULT    channels     mail: closed\n         to do: correct it\n\
                    warning  main: clock  it is 2m ahead\n         to do: have it kept\n\
                    good     config       it is good\n\
                    -        main: login, session: not asked: port comes first\n\
                    2 faults, 1 warning; begin with the first\n";
        assert_eq!(report().text(None), text);
        assert_eq!(report().exit(), Exit::NothingAnswers);
    }

    #[test]
    fn a_narrow_terminal_gets_short_lines() {
        for width in [40, 80] {
            let text = report().text(Some(width));
            assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
            assert_eq!(
                text.split_whitespace().collect::<Vec<_>>(),
                report().text(None).split_whitespace().collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn the_worst_finding_gives_the_code() {
        let of = |exits: &[Exit]| {
            Diagnosis::new(exits.iter().map(|exit| CheckResult::fault(Check::Login, *exit, "x", "y")).collect()).exit()
        };
        assert_eq!(of(&[]), Exit::Live);
        assert_eq!(of(&[Exit::NotLive, Exit::HumanNeeded]), Exit::HumanNeeded);
        assert_eq!(of(&[Exit::NothingAnswers, Exit::HumanNeeded]), Exit::NothingAnswers);
        assert_eq!(of(&[Exit::Configuration, Exit::NothingAnswers]), Exit::Configuration);
    }
}
