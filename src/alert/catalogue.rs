//! The catalogue: every code that a human can be told, with its patience, its repeats and what silences it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::session::{CALM, State};

/// What a human can be told. The code is stable: it stands in logs, alerts and the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// Only a login in a browser brings the session back.
    LoginRequired,
    /// Somebody else uses the brokerage session.
    SessionContested,
    /// The gateway does not answer.
    GatewayUnreachable,
    /// The gateway's certificate is not the expected one.
    CertificateChanged,
    /// This host is refused.
    AccessDenied,
    /// The gateway answers, IBKR does not.
    IbkrUnavailable,
    /// The session comes and goes.
    SessionFlapping,
    /// The account is of the other kind than configured.
    WrongAccount,
    /// The login ends in a while, as it does every day.
    LoginEndsSoon,
    /// A changed configuration was refused, and the old one stays in force.
    ConfigRejected,
    /// A channel did not take an alert.
    AlertUndeliverable,
}

/// How bad it is, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// It is being handled, or passes.
    Warning,
    /// A human is needed.
    Error,
}

/// A row of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The code as it is written; also the anchor of its paragraph in `docs/alerts.md`.
    pub code: &'static str,
    /// How severe it is while no human has to act; an error as soon as one has to.
    pub severity: Severity,
    /// What it is, in a few words.
    pub title: &'static str,
    /// Title of the recovery message; `None` sends no recovery message.
    pub over: Option<&'static str>,
    /// How long it must last before anybody is told.
    pub hold_off: Duration,
    /// Whether it is told again while it lasts.
    pub repeats: bool,
    /// Whether it waits until IBKR's maintenance window is over.
    pub waits_for_window: bool,
    /// While one of these is told and true, this one is its consequence, and silent.
    pub depends_on: &'static [Code],
    /// When one of these was told and is no longer so, this one takes its place.
    pub replaces: &'static [Code],
    /// While the session flaps, this one is part of that, and told only when it has lasted for long without a break.
    pub may_flap: bool,
    /// When it counts as over once it is no longer so.
    pub(super) ends: Ends,
}

/// When an incident counts as over, once it is no longer so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// When the session is live: the daemon's own attempts in between are part of the incident.
    Live,
    /// When the session has been live for some minutes.
    Steady,
    /// When an answer tells more about the session than that.
    Known,
    /// At once.
    Gone,
}

impl Code {
    /// All codes.
    pub const ALL: [Self; 11] = [
        Self::LoginRequired,
        Self::SessionContested,
        Self::GatewayUnreachable,
        Self::CertificateChanged,
        Self::AccessDenied,
        Self::IbkrUnavailable,
        Self::SessionFlapping,
        Self::WrongAccount,
        Self::LoginEndsSoon,
        Self::ConfigRejected,
        Self::AlertUndeliverable,
    ];

    /// The code's row.
    #[must_use]
    pub const fn entry(self) -> Entry {
        match self {
            Self::LoginRequired => Entry {
                depends_on: &[Self::GatewayUnreachable, Self::CertificateChanged, Self::AccessDenied],
                ..row("login-required", Severity::Error, "manual login required", "live again", Ends::Live)
            },
            Self::SessionContested => Entry {
                hold_off: Duration::from_secs(120),
                depends_on: &[Self::LoginRequired],
                replaces: &[Self::LoginRequired],
                may_flap: true,
                ..row(
                    "session-contested",
                    Severity::Warning,
                    "somebody else uses the session",
                    "session is free again",
                    Ends::Known,
                )
            },
            Self::GatewayUnreachable => Entry {
                hold_off: Duration::from_secs(180),
                replaces: &[
                    Self::SessionContested,
                    Self::CertificateChanged,
                    Self::AccessDenied,
                    Self::IbkrUnavailable,
                ],
                may_flap: true,
                ..row(
                    "gateway-unreachable",
                    Severity::Error,
                    "the gateway cannot be reached",
                    "gateway answers again",
                    Ends::Known,
                )
            },
            Self::CertificateChanged => Entry {
                waits_for_window: false,
                replaces: &[
                    Self::SessionContested,
                    Self::GatewayUnreachable,
                    Self::AccessDenied,
                    Self::IbkrUnavailable,
                ],
                ..row(
                    "certificate-changed",
                    Severity::Error,
                    "the gateway's certificate is not the expected one",
                    "expected certificate is back",
                    Ends::Known,
                )
            },
            Self::AccessDenied => Entry {
                hold_off: Duration::from_secs(60),
                replaces: &[
                    Self::SessionContested,
                    Self::GatewayUnreachable,
                    Self::CertificateChanged,
                    Self::IbkrUnavailable,
                ],
                ..row("access-denied", Severity::Error, "this host is refused", "access is allowed again", Ends::Known)
            },
            Self::IbkrUnavailable => Entry {
                hold_off: Duration::from_secs(300),
                depends_on: &[Self::LoginRequired, Self::GatewayUnreachable],
                replaces: &[
                    Self::SessionContested,
                    Self::GatewayUnreachable,
                    Self::CertificateChanged,
                    Self::AccessDenied,
                ],
                may_flap: true,
                ..row("ibkr-unavailable", Severity::Warning, "IBKR is not available", "IBKR answers again", Ends::Known)
            },
            Self::SessionFlapping => Entry {
                depends_on: &[Self::LoginRequired],
                ..row(
                    "session-flapping",
                    Severity::Warning,
                    "the session comes and goes",
                    "session is stable again",
                    Ends::Steady,
                )
            },
            Self::WrongAccount => Entry {
                waits_for_window: false,
                depends_on: &[Self::LoginRequired],
                ..row(
                    "wrong-account",
                    Severity::Error,
                    "the login is for the wrong kind of account",
                    "logged in with the right account",
                    Ends::Live,
                )
            },
            Self::LoginEndsSoon => Entry {
                over: None,
                repeats: false,
                waits_for_window: false,
                ..row("login-ends-soon", Severity::Info, "the login ends soon", "", Ends::Gone)
            },
            Self::ConfigRejected => Entry {
                waits_for_window: false,
                ..row(
                    "config-rejected",
                    Severity::Error,
                    "the changed configuration is refused",
                    "configuration accepted",
                    Ends::Gone,
                )
            },
            // Only the next alert proves that a channel works again, and repeats of this one do not go to it.
            Self::AlertUndeliverable => Entry {
                repeats: false,
                waits_for_window: false,
                ..row(
                    "alert-undeliverable",
                    Severity::Error,
                    "an alert could not be delivered",
                    "delivers again",
                    Ends::Gone,
                )
            },
        }
    }

    /// The code of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.entry().code == name)
    }
}

/// A row with what most codes have: told at once, repeated, held in a window, a consequence of nothing.
const fn row(code: &'static str, severity: Severity, title: &'static str, over: &'static str, ends: Ends) -> Entry {
    Entry {
        code,
        severity,
        title,
        over: Some(over),
        hold_off: Duration::ZERO,
        repeats: true,
        waits_for_window: true,
        depends_on: &[],
        replaces: &[],
        may_flap: false,
        ends,
    }
}

impl Ends {
    /// Whether it is over in a state that has lasted for `held`.
    pub(super) fn is(self, state: State, held: Duration) -> bool {
        match (self, state) {
            (Self::Gone, state) => !matches!(state, State::Paused { .. }),
            (Self::Steady, State::Live) => held >= CALM,
            (Self::Live | Self::Known, State::Live) | (Self::Known, State::Contested | State::LoginRequired(_)) => true,
            (Self::Live | Self::Steady, State::Contested | State::LoginRequired(_))
            | (
                Self::Live | Self::Steady | Self::Known,
                State::Starting | State::Recovering { .. } | State::Unavailable(_) | State::Paused { .. },
            ) => false,
        }
    }
}

impl Ends {
    /// What an alert waits for that is no longer seen.
    pub(super) const fn awaited(self, recurs: bool) -> &'static str {
        match (self, recurs) {
            (Self::Steady, _) | (_, true) => "no longer seen; closes once the session has been live for 5 minutes",
            (Self::Live, false) => "no longer seen; closes when the session is live",
            (Self::Known | Self::Gone, false) => "no longer seen; closes when the state of the session is known",
        }
    }
}

impl Severity {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Error];

    /// How it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.entry().code)
    }
}
