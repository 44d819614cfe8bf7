//! Nothing can be said about the session: the gateway or IBKR does not answer, or not in a way that says anything.

use std::time::Duration;

use super::backoff::backoff;
use super::context::Context;
use super::phase::{Ask, Next, Phase};
use super::{Failure, Request, StateReason, Unavailability, WakeReason};

impl Context {
    /// Nothing can be said about the session. The next request tells the gateway's silence from IBKR's.
    pub(super) fn become_unavailable(&mut self, from: Phase, cause: Unavailability) -> Next {
        self.suspicion.clear();
        if let Phase::LoginRequired(login) = from {
            return self.watch_for_login(login);
        }
        if self.silence.is_on && matches!(cause, Unavailability::IbkrSilent | Unavailability::GatewayWedged) {
            return self.begin_rounds(from, cause);
        }
        self.outage().proofs = 0;
        // What a closer look has shown stays so until another look.
        let is_known_closer = matches!(
            (cause, from),
            (Unavailability::NoAnswer, Phase::Unavailable(Unavailability::IbkrSilent))
                | (
                    Unavailability::Nonsense | Unavailability::EdgeRefused | Unavailability::IbkrError,
                    Phase::Unavailable(Unavailability::NotAGateway)
                )
        );
        // A ping that is as uninformative as the check before it changes nothing.
        if let Phase::Unavailable(seen) = from
            && self.polls.last == Request::Ping
            && self.polls.check_in_vain
            && cause.is_uninformative()
            && seen.is_uninformative()
        {
            let ask = self.probe_later(seen);
            return self.stay(from, ask);
        }
        let is_known = from == Phase::Unavailable(cause);
        let (phase, shown, reason) = match from {
            Phase::Unavailable(seen) if is_known_closer => (from, seen, self.reason),
            Phase::Starting
            | Phase::Live(_)
            | Phase::Recovering(_)
            | Phase::Contested
            | Phase::Unavailable(_)
            | Phase::LoginRequired(_)
            | Phase::Paused { .. } => (Phase::Unavailable(cause), cause, StateReason::Trouble(cause)),
        };
        let is_unclear = cause == Unavailability::NoAnswer || (cause.is_uninformative() && !is_known);
        let ask =
            if is_unclear { Ask::Now(Request::IsListening, WakeReason::NextStep) } else { self.probe_later(shown) };
        Next { phase, reason, ask }
    }

    /// Asks again before an answer is believed: after silence on another connection, after an answer that cannot be understood by
    /// a ping.
    pub(super) fn confirm_unavailable(&mut self, phase: Phase, cause: Unavailability) -> Next {
        if cause.needs_no_confirmation() || self.suspicion.unavailable {
            return self.become_unavailable(phase, cause);
        }
        self.suspicion.unavailable = true;
        if cause == Unavailability::NoAnswer {
            self.stay(phase, Ask::Now(Request::IsListening, WakeReason::AskAgain))
        } else if cause.is_uninformative() && self.should_ping() {
            self.stay(phase, Ask::Now(Request::Ping, WakeReason::AskAgain))
        } else {
            self.ask_again(phase)
        }
    }

    /// The answer to `GET /`, which the gateway process gives by itself.
    pub(super) fn on_listening(&mut self, phase: Phase, answer: Result<(), Failure>) -> Next {
        if self.silence.is_on {
            let failed = answer.err().map(|failure| listening_failure(&failure));
            return self.on_watch(phase, failed);
        }
        let Phase::Unavailable(seen) = phase else {
            // It went by another connection: if it was answered, the first connection may be to blame, and the session is
            // asked about once more.
            return match answer {
                Err(Failure::Unavailable(cause)) => self.become_unavailable(phase, cause),
                Ok(()) | Err(_) => self.stay(phase, Ask::Now(Request::Check, WakeReason::AskAgain)),
            };
        };
        let cause = match (seen, answer) {
            (Unavailability::NoAnswer, Ok(())) => Unavailability::IbkrSilent,
            (Unavailability::NotAGateway, Ok(())) => Unavailability::Nonsense,
            (seen, Ok(())) => seen,
            (_, Err(failure)) => listening_failure(&failure),
        };
        self.facts.trouble = Some(cause);
        let ask = self.probe_later(cause);
        Next { phase: Phase::Unavailable(cause), reason: StateReason::Trouble(cause), ask }
    }

    /// The next probe. Probes are spaced from start to start, so a probe that hangs delays the next one less. An answer that cannot
    /// be understood is followed by a ping at once, which may be understood and keeps the session alive.
    fn probe_later(&mut self, cause: Unavailability) -> Ask {
        if cause.is_uninformative() && self.should_ping() {
            return Ask::Now(Request::Ping, WakeReason::NextStep);
        }
        self.polls.failed_probes = self.polls.failed_probes.saturating_add(1);
        let spacing = if self.polls.failed_probes > PROBES {
            self.policy.watch_every
        } else {
            backoff(self.polls.failed_probes, FIRST_PROBE, self.policy.watch_every)
        };
        let at = self.polls.last_at + self.limits.jitter(spacing);
        let at = at.max(self.now.mono);
        // While something answers, a ping that is due takes the place of the check: it reports the same, and keeps alive a
        // session of which only the data cannot be read.
        let is_ping_due = self.limits.pinged().is_none_or(|pinged| at >= pinged + self.policy.ping_every);
        if cause.is_uninformative() && is_ping_due && !self.is_unsupported(Request::Ping) {
            return Ask::At(at, Request::Ping, WakeReason::PingDue);
        }
        Ask::At(at, Request::Check, WakeReason::RetryDue)
    }
}

/// What is wrong when `GET /` fails. An error in IBKR's name can only come from something in between.
const fn listening_failure(failure: &Failure) -> Unavailability {
    match failure {
        Failure::Unavailable(Unavailability::IbkrError)
        | Failure::Unauthorized
        | Failure::LoginPage
        | Failure::NoSession
        | Failure::Unsupported => Unavailability::NotAGateway,
        Failure::Unavailable(cause) => *cause,
    }
}

/// The first pause between probes, and how many are counted before `watch_every` holds.
const FIRST_PROBE: Duration = Duration::from_secs(5);

const PROBES: u32 = 3;
