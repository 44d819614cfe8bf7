//! The answer to a program that asks for a live session. Pure.

use serde::{Deserialize, Serialize};

use super::api::{DaemonStatus, GatewayStatus};
use crate::session::StateKind;

/// The result of a request for a live session: the answer to `POST /v1/gateways/NAME/ensure`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnsureResult {
    /// `already-authenticated`, `reauthenticated`, `login-required`, `paused` or `failed`.
    pub result: String,
    /// Why there is no live session, and what to do; none if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The gateway. Its last request is the step that failed.
    pub gateway: GatewayStatus,
}

/// The answer to a request that was made at `before`; `None` while waiting may help. At the end of the time limit there
/// is always an answer.
pub(super) fn verdict(
    before: &DaemonStatus,
    present: &DaemonStatus,
    name: &str,
    is_last: bool,
) -> Option<EnsureResult> {
    let gateway = present.gateway(name)?.clone();
    let was_session = before.gateway(name).map(|gateway| gateway.session);
    let is_good = gateway.last_good.is_some_and(|good| good >= before.at);
    let was_asked = gateway.last_asked.as_ref().is_some_and(|asked| asked.at >= before.at);
    let (result, error) = match gateway.state {
        StateKind::Live if is_good || is_last => {
            let is_same = was_session == Some(gateway.session);
            (if is_same { "already-authenticated" } else { "reauthenticated" }, None)
        }
        // After a good check a user has logged in, and a data call confirms it.
        StateKind::LoginRequired if (was_asked && !is_good) || is_last => {
            let error = format!("login required: {}; log in at {}", gateway.why, gateway.url);
            ("login-required", Some(error))
        }
        StateKind::Paused => ("paused", Some(format!("paused; `tickled resume {name}` ends that"))),
        StateKind::Live
        | StateKind::LoginRequired
        | StateKind::Starting
        | StateKind::Recovering
        | StateKind::Contested
        | StateKind::Unavailable => {
            let last = gateway.last_asked.as_ref().map(|asked| format!("; {}: {}", asked.call, asked.outcome));
            let error = format!("{}: {}{}", gateway.state, gateway.why, last.unwrap_or_default());
            is_last.then_some(("failed", Some(error)))?
        }
    };
    Some(EnsureResult { result: result.to_owned(), error, gateway })
}
