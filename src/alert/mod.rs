//! When a human is told, and when that is called off: the catalogue of codes, and the desk that keeps the incidents. Pure.

mod catalogue;

pub use catalogue::{Code, Entry, Severity};

use std::collections::BTreeMap;
use std::time::Duration;

use crate::session::{Cause, Now, State, Trouble};
use crate::status::Snapshot;

/// Something that a human is to be told, or that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The gateway it is about.
    pub gateway: String,
    /// What it is, in the catalogue.
    pub code: Code,
    /// Whether it begins or ends.
    pub phase: Phase,
    /// When the incident began.
    pub since: Now,
    /// What it looks like, as a stable word.
    pub cause: &'static str,
    /// The same, as part of a sentence.
    pub what: &'static str,
    /// What to do about it.
    pub todo: String,
}

/// Where an incident is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// A human is told.
    Raised,
    /// It is over.
    Resolved {
        /// How long it took, from the first bad observation on.
        lasted: Duration,
    },
}

/// Keeps the incidents of all gateways: each is told once, after its hold-off, and called off once.
#[derive(Debug, Clone, Default)]
pub struct Desk {
    open: BTreeMap<(String, Code), Incident>,
    /// The name of this host, for the line that makes a tunnel to it.
    host: String,
}

#[derive(Debug, Clone)]
struct Incident {
    since: Now,
    /// When it was first seen to be so: the hold-off counts from here.
    seen: Duration,
    told: bool,
    cause: &'static str,
    what: &'static str,
    todo: String,
}

/// What is wrong with a gateway at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Condition {
    code: Code,
    cause: &'static str,
    what: &'static str,
}

impl Desk {
    /// A desk without incidents, on the host of that name.
    #[must_use]
    pub fn new(host: &str) -> Self {
        Self { open: BTreeMap::new(), host: host.to_owned() }
    }

    /// Takes in how a gateway is at `now`, and says what is to be told.
    pub fn step(&mut self, now: Now, snapshot: &Snapshot) -> Vec<Notice> {
        let conditions = conditions(snapshot);
        for condition in &conditions {
            let todo = catalogue::todo(condition.code, snapshot, &self.host);
            let key = (snapshot.gateway.clone(), condition.code);
            let since = snapshot.incident_since.unwrap_or(now);
            let incident = self.open.entry(key).or_insert(Incident {
                since,
                seen: now.mono,
                told: false,
                cause: condition.cause,
                what: condition.what,
                todo: String::new(),
            });
            incident.cause = condition.cause;
            incident.what = condition.what;
            incident.todo = todo;
        }
        let mut notices = self.over(now, snapshot, &conditions);
        notices.extend(self.due(now));
        notices
    }

    /// What is to be told because its hold-off is over.
    pub fn due(&mut self, now: Now) -> Vec<Notice> {
        let mut notices = Vec::new();
        for ((gateway, code), incident) in &mut self.open {
            if !incident.told && now.mono >= incident.seen + code.entry().hold_off {
                incident.told = true;
                notices.push(Notice {
                    gateway: gateway.clone(),
                    code: *code,
                    phase: Phase::Raised,
                    since: incident.since,
                    cause: incident.cause,
                    what: incident.what,
                    todo: incident.todo.clone(),
                });
            }
        }
        notices
    }

    /// When [`Desk::due`] has something to say next, by [`Now::mono`].
    #[must_use]
    pub fn wake_at(&self) -> Option<Duration> {
        let waiting = self.open.iter().filter(|(_, incident)| !incident.told);
        waiting.map(|((_, code), incident)| incident.seen + code.entry().hold_off).min()
    }

    /// The codes that a human has been told of a gateway and that are not over.
    #[must_use]
    pub fn open(&self, gateway: &str) -> Vec<Code> {
        let of_it = self.open.iter().filter(|((name, _), incident)| name == gateway && incident.told);
        of_it.map(|((_, code), _)| *code).collect()
    }

    fn over(&mut self, now: Now, snapshot: &Snapshot, conditions: &[Condition]) -> Vec<Notice> {
        let is_over =
            |code: Code| !conditions.iter().any(|c| c.code == code) && code.entry().ends_with.is(snapshot.state);
        let mut notices = Vec::new();
        self.open.retain(|(gateway, code), incident| {
            if *gateway != snapshot.gateway || !is_over(*code) {
                return true;
            }
            if incident.told {
                notices.push(Notice {
                    gateway: gateway.clone(),
                    code: *code,
                    phase: Phase::Resolved { lasted: now.mono.saturating_sub(incident.since.mono) },
                    since: incident.since,
                    cause: incident.cause,
                    what: incident.what,
                    todo: String::new(),
                });
            }
            false
        });
        notices
    }
}

/// What is wrong with a gateway, if anything.
fn conditions(snapshot: &Snapshot) -> Vec<Condition> {
    let mut conditions = Vec::new();
    let mut tell = |code, cause, what| conditions.push(Condition { code, cause, what });
    match snapshot.state {
        State::LoginRequired(Cause::ByOperator)
        | State::Starting
        | State::Live
        | State::Recovering { .. }
        | State::Paused { .. } => {}
        State::LoginRequired(cause) => tell(Code::LoginRequired, cause.code(), cause.sentence()),
        State::Contested => tell(Code::SessionContested, snapshot.because.code(), snapshot.because.sentence()),
        State::Unavailable(trouble) => tell(code_of(trouble), trouble.code(), trouble.sentence()),
    }
    if snapshot.wrong_account && snapshot.known.is_paper == Some(true) {
        tell(Code::WrongAccount, "paper", "it is a paper account");
    } else if snapshot.wrong_account {
        tell(Code::WrongAccount, "live", "it is a live account");
    }
    conditions
}

const fn code_of(trouble: Trouble) -> Code {
    match trouble {
        Trouble::NothingListens | Trouble::NoAnswer | Trouble::NotAGateway | Trouble::Network => {
            Code::GatewayUnreachable
        }
        Trouble::Certificate => Code::CertificateChanged,
        Trouble::AddressRefused | Trouble::EdgeRefused => Code::AccessDenied,
        Trouble::IbkrSilent | Trouble::IbkrError | Trouble::TooManyRequests { .. } | Trouble::Nonsense => {
            Code::IbkrUnavailable
        }
    }
}
