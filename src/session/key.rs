//! The state of a machine without its times, for the search that visits all states.

use super::context::{LastReading, Suspicion};
use super::machine::Machine;
use super::phase::Phase;
use super::rate_limiter::Priority;
use super::silence::SilenceKey;
use super::{Request, WakeReason};

/// Everything that decides what a machine does next, except for times and the rest of its budgets. Two machines with equal keys
/// behave alike as far as no time or budget is concerned.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    phase: Phase,
    question: (Option<Request>, WakeReason, Priority),
    in_flight: Option<Request>,
    wanted: Option<(WakeReason, Priority)>,
    suspicion: Suspicion,
    last: LastReading,
    unsupported: Vec<Request>,
    lived: bool,
    sso: Option<(bool, bool)>,
    auth_time_stale: bool,
    outage: Option<OutageKey>,
    carried_attempts: u8,
    is_outfought: bool,
    last_poll: Request,
    check_in_vain: bool,
    is_pings_only: bool,
    silence: SilenceKey,
    standing: Option<Request>,
    is_denied: bool,
    refuted: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct OutageKey {
    attempts: u8,
    contested: bool,
    refused: bool,
    refusals: u8,
    flag_seen: bool,
    invalid: bool,
    proofs: u8,
}

impl Machine {
    /// What this machine will do, without the times.
    #[must_use]
    pub fn key(&self) -> Key {
        let cx = &self.cx;
        let mut unsupported = cx.unsupported.clone();
        unsupported.sort_unstable();
        unsupported.dedup_by_key(|request| request.name());
        Key {
            phase: self.phase.without_times(),
            question: (self.question.request, self.question.reason, self.question.priority),
            in_flight: self.in_flight.map(|flight| flight.request),
            wanted: self.wanted,
            suspicion: cx.suspicion,
            last: cx.facts.evidence,
            unsupported,
            lived: cx.facts.lived,
            sso: cx.facts.sso.map(|(_, sso)| (sso.valid, sso.borrowed)),
            auth_time_stale: cx.auth_time_stale,
            outage: cx.outage.map(|outage| OutageKey {
                attempts: outage.attempts,
                contested: outage.contested,
                refused: outage.refused.is_some(),
                refusals: outage.refusals.min(MANY),
                flag_seen: outage.flag_seen,
                invalid: outage.invalid_since.is_some(),
                proofs: outage.proofs.min(MANY),
            }),
            carried_attempts: cx.flapping.carried_attempts(),
            is_outfought: cx.flapping.is_outfought(),
            last_poll: cx.polls.last,
            check_in_vain: cx.polls.check_in_vain,
            is_pings_only: cx.is_pings_only(),
            silence: cx.silence.key(),
            standing: self.standing.map(|flight| flight.request),
            is_denied: cx.stream.denied_at.is_some(),
            refuted: cx.stream.refuted.min(u32::from(MANY)),
        }
    }
}

/// Counts above this make no difference.
const MANY: u8 = 3;
