//! The catalogue of alerts: every code with its severity, its hold-off, its repeats and what holds it back.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::session::{CALM, State};

/// The code of an alert. Codes are stable: logs, messages and the configuration use them.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::VariantArray,
    strum::IntoStaticStr,
)]
#[strum(serialize_all = "kebab-case")]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// Only a login in a browser brings the session back.
    LoginRequired,
    /// Another program uses the brokerage session.
    SessionContested,
    /// The gateway does not answer.
    GatewayUnreachable,
    /// The gateway's certificate is not the expected one.
    CertificateChanged,
    /// This host is refused.
    AccessDenied,
    /// The gateway answers, IBKR does not.
    IbkrUnavailable,
    /// The gateway holds requests that were never answered, and sends no others.
    GatewayWedged,
    /// The session is lost and restored again and again.
    SessionFlapping,
    /// The account is of the other kind than configured.
    WrongAccount,
    /// A session was not live at the deadline.
    NotReady,
    /// All sessions were live at the deadline.
    Ready,
    /// A changed configuration was refused, and the old one stays in force.
    ConfigRejected,
    /// A channel did not deliver an alert.
    AlertUndeliverable,
}

/// The severity of an alert, the lowest first.
#[derive(
    Default,
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::VariantArray,
    strum::IntoStaticStr,
)]
#[strum(serialize_all = "kebab-case")]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Good to know.
    #[default]
    Info,
    /// It is being handled, or passes by itself.
    Warning,
    /// A human is needed.
    Error,
}

/// A row of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// How severe it is while no human has to act; an error as soon as one has to.
    pub severity: Severity,
    /// What it is, in a few words.
    pub title: &'static str,
    /// Title of the recovery message; `None` sends no recovery message.
    pub resolved_title: Option<&'static str>,
    /// How long the problem must last before a human is notified.
    pub hold_off: Duration,
    /// Whether it is repeated while it lasts.
    pub repeats: bool,
    /// Whether it waits for the end of a maintenance window.
    pub waits_for_window: bool,
    /// The causes of this one: while one of them is notified and present, this one is held back.
    pub depends_on: &'static [Code],
    /// The alerts that this one replaces, once they are no longer present.
    pub replaces: &'static [Code],
    /// Whether it is part of `session-flapping`, and notified by itself only when it lasts for long without a break.
    pub may_flap: bool,
    /// When it ends, once the problem is no longer seen.
    pub(super) resolve_when: ResolveWhen,
}

/// When an alert ends, once its problem is no longer seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResolveWhen {
    /// When the session is live. Attempts to restore it in between are part of the outage.
    SessionLive,
    /// When the session has been live for some minutes.
    SessionStable,
    /// When the state of the session is known.
    SessionKnown,
    /// At once.
    Immediately,
}

impl Code {
    /// All codes.
    pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

    /// The code's row.
    #[must_use]
    pub const fn entry(self) -> Entry {
        match self {
            Self::LoginRequired => Entry {
                depends_on: &[Self::GatewayUnreachable, Self::CertificateChanged, Self::AccessDenied],
                ..row(Severity::Error, "manual login required", "live again", ResolveWhen::SessionLive)
            },
            Self::SessionContested => Entry {
                hold_off: Duration::from_secs(120),
                depends_on: &[Self::LoginRequired],
                replaces: &[Self::LoginRequired],
                may_flap: true,
                ..row(
                    Severity::Warning,
                    "another client uses the session",
                    "session is free again",
                    ResolveWhen::SessionKnown,
                )
            },
            Self::GatewayUnreachable => Entry {
                hold_off: Duration::from_secs(180),
                replaces: &[
                    Self::GatewayWedged,
                    Self::SessionContested,
                    Self::CertificateChanged,
                    Self::AccessDenied,
                    Self::IbkrUnavailable,
                ],
                may_flap: true,
                ..row(
                    Severity::Error,
                    "the gateway cannot be reached",
                    "gateway answers again",
                    ResolveWhen::SessionKnown,
                )
            },
            Self::CertificateChanged => Entry {
                waits_for_window: false,
                replaces: &[
                    Self::GatewayWedged,
                    Self::SessionContested,
                    Self::GatewayUnreachable,
                    Self::AccessDenied,
                    Self::IbkrUnavailable,
                ],
                ..row(
                    Severity::Error,
                    "the gateway's certificate is not the expected one",
                    "expected certificate is back",
                    ResolveWhen::SessionKnown,
                )
            },
            Self::AccessDenied => Entry {
                hold_off: Duration::from_secs(60),
                replaces: &[
                    Self::GatewayWedged,
                    Self::SessionContested,
                    Self::GatewayUnreachable,
                    Self::CertificateChanged,
                    Self::IbkrUnavailable,
                ],
                ..row(Severity::Error, "this host is refused", "access is allowed again", ResolveWhen::SessionKnown)
            },
            Self::IbkrUnavailable => Entry {
                hold_off: Duration::from_secs(300),
                depends_on: &[Self::LoginRequired, Self::GatewayUnreachable],
                replaces: &[
                    Self::GatewayWedged,
                    Self::SessionContested,
                    Self::GatewayUnreachable,
                    Self::CertificateChanged,
                    Self::AccessDenied,
                ],
                may_flap: true,
                ..row(Severity::Warning, "IBKR is not available", "IBKR answers again", ResolveWhen::SessionKnown)
            },
            Self::GatewayWedged => Entry {
                hold_off: Duration::from_secs(120),
                replaces: &[
                    Self::SessionContested,
                    Self::GatewayUnreachable,
                    Self::CertificateChanged,
                    Self::AccessDenied,
                    Self::IbkrUnavailable,
                ],
                ..row(Severity::Error, "the gateway is wedged", "gateway works again", ResolveWhen::SessionKnown)
            },
            Self::SessionFlapping => Entry {
                depends_on: &[Self::LoginRequired],
                ..row(
                    Severity::Warning,
                    "the session comes and goes",
                    "session is stable again",
                    ResolveWhen::SessionStable,
                )
            },
            Self::WrongAccount => Entry {
                waits_for_window: false,
                depends_on: &[Self::LoginRequired],
                ..row(
                    Severity::Error,
                    "the login is for the wrong kind of account",
                    "logged in with the right account",
                    ResolveWhen::SessionLive,
                )
            },
            Self::NotReady => Entry {
                waits_for_window: false,
                replaces: &[
                    Self::GatewayWedged,
                    Self::LoginRequired,
                    Self::SessionContested,
                    Self::GatewayUnreachable,
                    Self::CertificateChanged,
                    Self::AccessDenied,
                    Self::IbkrUnavailable,
                ],
                ..row(Severity::Error, "not ready at the deadline", "live again", ResolveWhen::SessionLive)
            },
            Self::Ready => Entry {
                resolved_title: None,
                repeats: false,
                waits_for_window: false,
                ..row(Severity::Info, "all sessions are ready", "", ResolveWhen::Immediately)
            },
            Self::ConfigRejected => Entry {
                waits_for_window: false,
                ..row(
                    Severity::Error,
                    "the changed configuration is refused",
                    "configuration accepted",
                    ResolveWhen::Immediately,
                )
            },
            // Only the next alert proves that a channel works again, and repeats of this one do not go to it.
            Self::AlertUndeliverable => Entry {
                repeats: false,
                waits_for_window: false,
                ..row(Severity::Error, "an alert could not be delivered", "delivers again", ResolveWhen::Immediately)
            },
        }
    }

    /// The code as it is written; also the anchor of its section in `docs/alerts.md`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Whether people are notified of its end.
    #[must_use]
    pub const fn has_end(self) -> bool {
        self.entry().resolved_title.is_some()
    }

    /// The code of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        name.parse().ok()
    }
}

impl FromStr for Code {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|code| code.name() == name).ok_or_else(|| {
            let all: Vec<&str> = Self::ALL.iter().map(|code| code.name()).collect();
            format!("there is no alert {name:?}: there are {}", all.join(", "))
        })
    }
}

/// A row with the values of most codes: no hold-off, repeated, held back in a window, without causes.
const fn row(
    severity: Severity,
    title: &'static str,
    resolved_title: &'static str,
    resolve_when: ResolveWhen,
) -> Entry {
    Entry {
        severity,
        title,
        resolved_title: Some(resolved_title),
        hold_off: Duration::ZERO,
        repeats: true,
        waits_for_window: true,
        depends_on: &[],
        replaces: &[],
        may_flap: false,
        resolve_when,
    }
}

impl ResolveWhen {
    /// Whether an alert ends in a state that has lasted for `held`.
    pub(super) fn is_met(self, state: State, held: Duration) -> bool {
        match (self, state) {
            (Self::Immediately, state) => !matches!(state, State::Paused { .. }),
            (Self::SessionStable, State::Live) => held >= CALM,
            (Self::SessionLive | Self::SessionKnown, State::Live)
            | (Self::SessionKnown, State::Contested | State::LoginRequired(_)) => true,
            (Self::SessionLive | Self::SessionStable, State::Contested | State::LoginRequired(_))
            | (
                Self::SessionLive | Self::SessionStable | Self::SessionKnown,
                State::Starting | State::Recovering { .. } | State::Unavailable(_) | State::Paused { .. },
            ) => false,
        }
    }

    /// What an alert whose problem is no longer seen waits for.
    pub(super) const fn awaited(self, recurs: bool) -> &'static str {
        match (self, recurs) {
            (Self::SessionStable, _) | (_, true) => {
                "no longer seen; closes once the session has been live for 5 minutes"
            }
            (Self::SessionLive, false) => "no longer seen; closes when the session is live",
            (Self::SessionKnown | Self::Immediately, false) => {
                "no longer seen; closes when the state of the session is known"
            }
        }
    }
}

impl Severity {
    /// All of them, the least first.
    pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

    /// How it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
