//! What decides a machine's future, for the search that visits all states.

use super::behind::is_proof;
use super::context::{Context, CurrentOutage, LastReading, Polls, StreamTrust, Suspicion};
use super::machine::{InFlight, Machine, Question, Wanted};
use super::phase::{LoginRequired, Phase, RecoveryPhase};
use super::rate_limiter::Priority;
use super::silence::SilenceKey;
use super::{Cause, Competing, Facts, Method, Request, WakeReason};

/// Everything that decides what a machine does next, except for times and budgets. Two machines with equal keys behave alike as
/// far as no time or budget is concerned.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    phase: Phase,
    question: (Option<Request>, WakeReason, Priority),
    in_flight: Option<Request>,
    standing: Option<Request>,
    /// Whether there is a data call behind a check, whether it is answered, and whether that is proof.
    behind: Option<Option<bool>>,
    wanted: Option<Wanted>,
    suspicion: Suspicion,
    evidence: LastReading,
    unsupported: Vec<Request>,
    lived: bool,
    sso: Option<(bool, bool)>,
    auth_time_stale: bool,
    outage: Option<OutageKey>,
    carried_attempts: u8,
    is_outfought: bool,
    is_busy: bool,
    polls: (Request, bool, Option<bool>),
    silence: SilenceKey,
    stream: (Option<(bool, bool, bool)>, u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct OutageKey {
    attempts: u8,
    contested: bool,
    refusals: u8,
    flag_seen: bool,
    is_login_invalid: bool,
    proofs: u8,
}

impl Machine {
    /// What decides its future, without the times. It must have been [normalized](Self::normalize).
    #[must_use]
    pub fn key(&self) -> Key {
        // All fields are named, so that a new one is decided about.
        let Self { cx, phase, question, in_flight, standing, behind, watched_at: _, wanted, last: _ } = self;
        let Context {
            now: _,
            policy: _,
            limits: _,
            facts,
            unsupported,
            auth_time_stale,
            outage,
            suspicion,
            polls,
            silence,
            is_late: _,
            stream,
            flapping,
            login_expected_until: _,
            since: _,
            reason: _,
        } = cx;
        let Facts {
            lived,
            evidence,
            sso,
            last_good: _,
            last_data: _,
            is_paper: _,
            auth_time: _,
            answer_took: _,
            trouble: _,
        } = facts;
        let Question { request, reason, priority, at: _ } = question;
        let Polls { last, check_in_vain, pings_only_until, last_at, failed_probes: _, answering_since: _ } = polls;
        let StreamTrust { denied_at, refuted, refutations: _ } = stream;
        let sent_at = standing.or(*in_flight).map(|flight| flight.sent_at);
        Key {
            phase: phase.without_times(),
            question: (*request, *reason, *priority),
            in_flight: in_flight.map(|flight| flight.request),
            standing: standing.map(|flight| flight.request),
            behind: behind.map(|behind| behind.early.map(|answer| is_proof(&answer))),
            wanted: *wanted,
            suspicion: *suspicion,
            evidence: *evidence,
            unsupported: unsupported.clone(),
            lived: *lived,
            sso: sso.map(|(_, sso)| (sso.valid, sso.borrowed)),
            auth_time_stale: *auth_time_stale,
            outage: outage.map(OutageKey::of),
            carried_attempts: flapping.carried_attempts(),
            is_outfought: flapping.is_outfought(),
            is_busy: cx.is_busy(),
            polls: (*last, *check_in_vain, pings_only_until.map(|_| cx.is_pings_only())),
            silence: silence.key(cx.now.mono),
            stream: (
                denied_at.map(|at| {
                    let is_confirmed_since = self.confirming().is_some_and(|confirmation| at > confirmation.since);
                    (sent_at.is_some_and(|sent_at| sent_at >= at), at > *last_at, is_confirmed_since)
                }),
                *refuted,
            ),
        }
    }

    /// Gives one value to all that is remembered and will be overwritten before it is read. The machine plans the same as before.
    pub fn normalize(&mut self) {
        let flights = [self.in_flight, self.standing, self.unanswered_behind()]
            .into_iter()
            .flatten()
            .map(|InFlight { request, .. }| request);
        let awaited: Vec<Request> = flights.chain(self.cx.silence.awaited()).collect();
        let awaits = |request| awaited.contains(&request);
        let is_data_next =
            self.behind.is_some() || awaits(Request::Accounts) || self.question.request == Some(Request::Accounts);
        let Context { policy, facts, unsupported, outage, polls, .. } = &mut self.cx;
        // Every poll that says something overwrites it, and only these go on without one.
        let is_asking =
            matches!(self.phase, Phase::Recovering(RecoveryPhase::Requesting(_) | RecoveryPhase::Validating(_)));
        if !is_asking && !is_data_next {
            facts.evidence = LastReading::default();
        }
        if let Phase::LoginRequired(LoginRequired { cause, had_no_login, was_connected, .. }) = &mut self.phase {
            *had_no_login &= *cause != Cause::ByOperator;
            *was_connected &= *cause != Cause::ByOperator && !*had_no_login;
        }
        // A valid login that has been live is as good as one of which nothing is known.
        facts.sso = facts.sso.filter(|(_, sso)| !facts.lived || !sso.valid || sso.borrowed);
        unsupported.sort_unstable_by_key(|request| request.name());
        unsupported.dedup_by_key(|request| request.name());
        if !polls.check_in_vain && !awaits(Request::Check) {
            polls.last = Request::Check;
        }
        if let Some(outage) = outage {
            outage.flag_seen &= outage.refusals > 1;
            outage.contested &=
                policy.competing == Competing::TakeOver || policy.recovery.methods.contains(&Method::Gateway);
        }
    }
}

impl OutageKey {
    fn of(outage: CurrentOutage) -> Self {
        let CurrentOutage { attempts, contested, refusals, flag_seen, invalid_since, proofs, .. } = outage;
        Self {
            attempts,
            contested,
            refusals: refusals.min(MANY),
            flag_seen,
            is_login_invalid: invalid_since.is_some(),
            proofs,
        }
    }
}

/// More refusals than these make the pauses longer, and nothing else.
const MANY: u8 = 2;
