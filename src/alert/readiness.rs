//! Whether the sessions are ready at the deadline of the day. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Code;
use super::condition::Condition;
use super::gateway_text;
use crate::session::{Cause, Now, State};
use crate::status::Snapshot;

/// The state of one gateway and its deadlines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Readiness {
    /// The last deadline that was judged, and whether the session was ready; `None` if that did not matter.
    pub(super) judged: Option<(Timestamp, Option<bool>)>,
    /// The deadline that was missed, until the session is live.
    pub(super) missed: Option<Timestamp>,
}

/// The sessions at a deadline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadinessReport {
    /// The deadline.
    pub deadline: Timestamp,
    /// The gateways that were ready.
    pub ready: Vec<String>,
    /// The gateways that were not.
    pub not_ready: Vec<String>,
}

impl Readiness {
    /// Judges the session at or after the deadline, unless that was done, or it is too early to know. Returns whether
    /// anything changed.
    pub(super) fn judge(&mut self, deadline: Timestamp, snapshot: &Snapshot, now: Now) -> bool {
        if self.is_judged(deadline) {
            return false;
        }
        let is_ready = match snapshot.state {
            // Data was asked for shortly before. A gateway that knows no data call is believed.
            State::Live if !is_proved(snapshot, deadline) && now.wall.duration_since(deadline) < PATIENCE => {
                return false;
            }
            State::Live => Some(true),
            // The operator does not want it to be live.
            State::Paused { .. } | State::LoginRequired(Cause::ByOperator) => None,
            State::LoginRequired(_) => Some(false),
            State::Starting | State::Recovering { .. } | State::Contested | State::Unavailable(_) => {
                let since = snapshot.outage_since.unwrap_or(snapshot.since);
                if now.mono.saturating_sub(since.mono) < BLIP {
                    return false;
                }
                Some(false)
            }
        };
        self.judged = Some((deadline, is_ready));
        self.missed = (is_ready == Some(false)).then_some(deadline);
        true
    }

    pub(super) fn is_judged(self, deadline: Timestamp) -> bool {
        self.judged.is_some_and(|(judged, _)| judged >= deadline)
    }

    /// Records the state of the session. Returns whether anything changed.
    pub(super) fn observe(&mut self, state: State) -> bool {
        let is_over = matches!(state, State::Live | State::Paused { .. } | State::LoginRequired(Cause::ByOperator));
        is_over && self.missed.take().is_some()
    }
}

/// The conditions of a gateway that missed its deadline: the one that keeps the session from being live is `not-ready`.
pub(super) fn as_not_ready(conditions: Vec<Condition>, time: &str) -> Vec<Condition> {
    let is_replaced = |condition: &Condition| Code::NotReady.entry().replaces.contains(&condition.code);
    let (mut reasons, mut rest): (Vec<_>, Vec<_>) = conditions.into_iter().partition(is_replaced);
    // The last one says what comes before a login.
    let Condition { annotations, if_long, .. } = reasons.pop().unwrap_or_else(|| Condition {
        code: Code::NotReady,
        annotations: gateway_text::being_restored(),
        if_long: None,
    });
    let (annotations, if_long) = (annotations.not_ready(time), if_long.map(|long| long.not_ready(time)));
    rest.insert(0, Condition { code: Code::NotReady, annotations, if_long });
    rest
}

/// Whether data proved the session in the minute before the deadline, or after it.
fn is_proved(snapshot: &Snapshot, deadline: Timestamp) -> bool {
    snapshot.facts.last_data.is_some_and(|data| deadline.duration_since(data.wall) <= PATIENCE)
}

/// How old the proof may be, and how long it is waited for.
const PATIENCE: SignedDuration = SignedDuration::from_mins(1);
/// An outage that is shorter than this does not make a session unready.
const BLIP: Duration = Duration::from_mins(1);
/// How long before a deadline live sessions are proved by a data call.
pub(super) const PROOF_LEAD: Duration = Duration::from_secs(50);
/// How long after a deadline its report is still meaningful.
pub(super) const REPORT_WITHIN: Duration = Duration::from_mins(10);
