//! What a notification says about a problem, and what to do about it; the texts about the daemon and its channels. Pure.
//!
//! A title is an instruction that makes sense on a lock screen among fifty other notifications. The text begins with
//! what to do, then says why, then how.

use super::notice::sentence;
use super::{Code, Severity};

/// What a notification says about a problem.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Annotations {
    /// A stable word for what it looks like.
    pub(super) reason: String,
    /// What to do and why, in a few words: the title without its subject.
    pub(super) title: String,
    /// What is wrong: a sentence without its capital and its full stop.
    pub(super) summary: String,
    /// What to do. The first line is written like `summary`; further lines are whole sentences about how to do it.
    pub(super) action_text: String,
    /// What kind of thing that is. A change of it is notified at once.
    pub(super) action: Action,
}

/// What kind of thing a human has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Action {
    LogIn,
    LogOutElsewhere,
    AskIbkr,
    LogInOrRestart,
    /// Nothing: it passes, or `tickled` handles it.
    Wait,
    SlowDown,
    Diagnose,
    Restart,
    StartGateway,
    FreePort,
    MendNetwork,
    AllowAddress,
    MoveHost,
    JudgeCertificate,
    AdjustTls,
    OtherAccount,
    MendConfig,
    MendChannel,
}

impl Annotations {
    /// How severe the problem is: whatever asks a human to act is an error.
    pub(super) const fn severity(&self, code: Code) -> Severity {
        if matches!(self.action, Action::Wait) { code.entry().severity } else { Severity::Error }
    }

    /// The same for a session that was not live at `time`, its deadline.
    pub(super) fn not_ready(self, time: &str) -> Self {
        let instruction = self.title.split(" – ").next().unwrap_or_default();
        Self {
            title: format!("{instruction} – not ready at {time}"),
            summary: format!("{} (not ready at {time})", self.summary),
            action_text: if self.action == Action::Wait {
                format!("decide what to do without this session.\n{}", sentence(&self.action_text))
            } else {
                self.action_text
            },
            ..self
        }
    }
}

pub(super) fn annotations(
    reason: &str,
    title: impl Into<String>,
    summary: impl Into<String>,
    action_text: impl Into<String>,
    action: Action,
) -> Annotations {
    Annotations {
        reason: reason.to_owned(),
        title: title.into(),
        summary: summary.into(),
        action_text: action_text.into(),
        action,
    }
}

/// All sessions were live at `time`, their deadline.
pub(super) fn ready(gateways: &[String], time: &str) -> Annotations {
    let names = gateways.join(", ");
    annotations(
        "ready",
        format!("ready at {time} – {names}"),
        format!("all sessions were live at {time}: {names}"),
        "nothing to do",
        Action::Wait,
    )
}

/// A changed configuration was refused. `why` is the first error, as `file:line:column: text` where it has a place.
pub(super) fn config_rejected(file: &str, why: &str) -> Annotations {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:,".contains(c);
    let file = if file.chars().all(is_plain) { file.to_owned() } else { format!("'{}'", file.replace('\'', "'\\''")) };
    annotations(
        "config-rejected",
        "fix the configuration – still running the old one",
        format!("still running the old config. {}", at_line(why)),
        format!("fix the file, check it with `tickled config check {file}`, then reload: `systemctl reload tickled`"),
        Action::MendConfig,
    )
}

/// `file:8:1: session.nonsense: unknown key` as `Line 8: unknown key session.nonsense`; a text without a place as a
/// sentence.
fn at_line(why: &str) -> String {
    let mut parts = why.splitn(4, ':');
    let placed = (parts.next(), parts.next(), parts.next(), parts.next());
    let is_number = |text: &str| text.parse::<u32>().is_ok();
    match placed {
        (Some(_), Some(line), Some(column), Some(text)) if is_number(line) && is_number(column) => {
            let text = text.trim();
            match text.split_once(": unknown key") {
                Some((key, rest)) => format!("Line {line}: unknown key {key}{rest}"),
                None => format!("Line {line}: {text}"),
            }
        }
        _ => sentence(why),
    }
}

/// A channel did not deliver the message of this title.
pub(super) fn undeliverable(channel: &str, title: &str, why: &str) -> Annotations {
    annotations(
        "given-up",
        format!("could not deliver \"{}\" ({})", shortened(title, 40), shortened(in_short(why), 30)),
        format!("channel {channel}: {why}. Not delivered: \"{title}\""),
        format!("fix the channel, then test it: `tickled alert test --channel {channel}`"),
        Action::MendChannel,
    )
}

/// The status of an HTTP answer, or the first clause.
fn in_short(why: &str) -> &str {
    let status = why.split_once("answered ").and_then(|(_, rest)| rest.split([' ', ',', ':', '.', ';']).next());
    match status.filter(|status| status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit())) {
        Some(status) => status,
        None => why.split([',', ':', ';']).next().filter(|clause| !clause.is_empty()).unwrap_or("no reason given"),
    }
}

fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most - 1).chain(['…']).collect(),
    }
}
