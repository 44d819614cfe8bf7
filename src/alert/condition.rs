//! What is wrong with a gateway at one moment. Pure.

use super::Code;
use super::annotations::Annotations;
use super::gateway_text;
use crate::session::{Cause, State, Unavailability};
use crate::status::Snapshot;

/// One thing that is wrong with a gateway at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) code: Code,
    pub(super) annotations: Annotations,
    /// The text once it has lasted for long.
    pub(super) if_long: Option<Annotations>,
}

/// All that is wrong with a gateway. `host` is the name of this host.
pub(super) fn conditions(snapshot: &Snapshot, host: &str) -> Vec<Condition> {
    let mut conditions = Vec::new();
    let mut add = |code, annotations| conditions.push(Condition { code, annotations, if_long: None });
    match snapshot.state {
        // The operator asked for silence, or logged out on purpose.
        State::Paused { .. } | State::LoginRequired(Cause::ByOperator) => return conditions,
        State::Starting | State::Live | State::Recovering { .. } => {}
        State::LoginRequired(cause) => {
            add(Code::LoginRequired, gateway_text::login(cause, snapshot, host));
            if let Some(trouble) = snapshot.facts.trouble.filter(|trouble| forbids_a_login(*trouble)) {
                let (code, annotations) = gateway_text::unavailable(trouble, snapshot, host);
                add(code, annotations);
            }
        }
        State::Contested => add(Code::SessionContested, gateway_text::contested(snapshot)),
        State::Unavailable(trouble) => {
            let (code, annotations) = gateway_text::unavailable(trouble, snapshot, host);
            let if_long = gateway_text::unavailable_for_long(trouble, snapshot);
            conditions.push(Condition { code, annotations, if_long });
        }
    }
    let mut add = |code, annotations| conditions.push(Condition { code, annotations, if_long: None });
    // While the session is live, no action is needed.
    if snapshot.out_of_attempts && snapshot.state != State::Live {
        add(Code::SessionFlapping, gateway_text::budget_spent(snapshot, host));
    } else if snapshot.flapping {
        add(Code::SessionFlapping, gateway_text::flapping());
    }
    if snapshot.wrong_account {
        add(Code::WrongAccount, gateway_text::wrong_account(snapshot));
    }
    conditions
}

/// Whether a login would not help now, or would be the wrong thing to do. The other troubles are not certain while a
/// login is required: the session is then only watched, and nothing tells the gateway's silence from IBKR's.
const fn forbids_a_login(trouble: Unavailability) -> bool {
    matches!(trouble, Unavailability::Certificate | Unavailability::AddressRefused | Unavailability::EdgeRefused)
}
