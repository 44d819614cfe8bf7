//! The catalogue: every code that a human can be told, with its words and its patience.

use std::time::Duration;

use crate::session::{Cause, State, Trouble};
use crate::status::Snapshot;

/// What a human can be told. The code is stable: it stands in logs and alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
    /// The account is of the other kind than configured.
    WrongAccount,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// It is being handled, or passes.
    Warning,
    /// A human is needed.
    Error,
}

/// A row of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The code as it is written.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it is, in a few words.
    pub title: &'static str,
    /// How long it must last before anybody is told.
    pub hold_off: Duration,
    /// In which states it counts as over once it is no longer so.
    pub(super) ends_with: Ends,
}

/// In which states an incident counts as over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// When the session is live: the daemon's own attempts in between are part of the incident.
    Live,
    /// When any state tells more than that.
    Known,
}

impl Code {
    /// All codes.
    pub const ALL: [Self; 7] = [
        Self::LoginRequired,
        Self::SessionContested,
        Self::GatewayUnreachable,
        Self::CertificateChanged,
        Self::AccessDenied,
        Self::IbkrUnavailable,
        Self::WrongAccount,
    ];

    /// The code's row.
    #[must_use]
    pub const fn entry(self) -> Entry {
        let (code, severity, title, hold_off, ends_with) = match self {
            Self::LoginRequired => ("login-required", Severity::Error, "manual login required", 0, Ends::Live),
            Self::SessionContested => {
                ("session-contested", Severity::Warning, "somebody else uses the session", 120, Ends::Known)
            }
            Self::GatewayUnreachable => {
                ("gateway-unreachable", Severity::Error, "the gateway cannot be reached", 180, Ends::Known)
            }
            Self::CertificateChanged => (
                "certificate-changed",
                Severity::Error,
                "the gateway's certificate is not the expected one",
                0,
                Ends::Known,
            ),
            Self::AccessDenied => ("access-denied", Severity::Error, "this host is refused", 60, Ends::Known),
            Self::IbkrUnavailable => ("ibkr-unavailable", Severity::Warning, "IBKR does not answer", 300, Ends::Known),
            Self::WrongAccount => {
                ("wrong-account", Severity::Error, "the account is not of the configured kind", 0, Ends::Live)
            }
        };
        Entry { code, severity, title, hold_off: Duration::from_secs(hold_off), ends_with }
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.entry().code)
    }
}

impl Ends {
    pub(super) const fn is(self, state: State) -> bool {
        match (self, state) {
            (Self::Live | Self::Known, State::Live)
            | (Self::Known, State::Contested | State::LoginRequired(_) | State::Unavailable(_)) => true,
            (Self::Live, State::Contested | State::LoginRequired(_) | State::Unavailable(_))
            | (Self::Live | Self::Known, State::Starting | State::Recovering { .. } | State::Paused { .. }) => false,
        }
    }
}

/// What to do about it.
pub(super) fn todo(code: Code, snapshot: &Snapshot, host: &str) -> String {
    match code {
        Code::LoginRequired => login(snapshot, host),
        Code::SessionContested => {
            "nothing, if that is you: the session is taken back when it is free. A second user name \
             at IBKR lets program and human work side by side"
                .to_owned()
        }
        Code::GatewayUnreachable => format!("see that the gateway runs and listens at {}", snapshot.url),
        Code::CertificateChanged => {
            "if the gateway got a new certificate, pin that one; if not, find out who answers in its place".to_owned()
        }
        Code::AccessDenied => match snapshot.state {
            State::Unavailable(Trouble::EdgeRefused) => {
                "IBKR refuses this host's address; run the gateway where it does not".to_owned()
            }
            State::Unavailable(_)
            | State::Starting
            | State::Live
            | State::Recovering { .. }
            | State::Contested
            | State::LoginRequired(_)
            | State::Paused { .. } => {
                "add this host's address to ips.allow in the gateway's root/conf.yaml, and restart the gateway"
                    .to_owned()
            }
        },
        Code::IbkrUnavailable => "nothing yet: the session is checked until IBKR answers again".to_owned(),
        Code::WrongAccount => format!("log out at {} and log in with the other account", snapshot.url),
    }
}

/// The way through a manual login, from this host and from elsewhere.
fn login(snapshot: &Snapshot, host: &str) -> String {
    let url = &snapshot.url;
    let (scheme, authority) = url.split_once("://").unwrap_or(("https", url));
    let (name, port) = match authority.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port),
        Some(_) | None => (authority, if scheme == "https" { "443" } else { "80" }),
    };
    let here = matches!(name, "localhost" | "127.0.0.1" | "[::1]") || name.starts_with("127.");
    let there = if here { host } else { name };
    let first = match snapshot.state {
        State::LoginRequired(Cause::Borrowed) => {
            "log out in the other application, restart the gateway, then log in at "
        }
        State::LoginRequired(Cause::NotEnabled) => {
            "log in once at IBKR's website and answer what it asks (or have IBKR enable the account), then log in at "
        }
        State::LoginRequired(
            Cause::Expired | Cause::NeverLoggedIn | Cause::LoggedOut | Cause::Exhausted | Cause::ByOperator,
        )
        | State::Starting
        | State::Live
        | State::Recovering { .. }
        | State::Contested
        | State::Unavailable(_)
        | State::Paused { .. } => "log in at ",
    };
    format!(
        "{first}{url} in a browser on {}; from elsewhere run `ssh -L {port}:localhost:{port} {there}` and open \
         {scheme}://localhost:{port}",
        if here { "this host" } else { "that host" }
    )
}
