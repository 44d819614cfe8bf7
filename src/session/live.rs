//! The session works.

use std::time::Duration;

use super::answer::Reading;
use super::context::{Context, Doubt, REFUTED};
use super::phase::{Ask, Live, Next, Phase};
use super::rate_limiter::Priority;
use super::{Failure, Request, Sso, StateReason, WakeReason};

impl Context {
    /// Good flags, and data that confirms them.
    pub(super) fn go_live(&mut self, from: Phase, reason: StateReason) -> Next {
        self.suspicion.clear();
        self.stream.denied_at.take_if(|_| !matches!(from, Phase::Live(_)));
        if self.stream.denied_at.is_some() && self.stream.refuted < REFUTED {
            self.suspicion.flags = Some(Doubt::Session);
        }
        // The attempt that led here has not failed; those before it have.
        let failed = self.outage.take().map_or(0, |outage| outage.attempts.saturating_sub(1));
        self.flapping.carry_attempts(failed);
        if matches!(from, Phase::LoginRequired(_)) {
            // A new login may have come with a new gateway: what the old one did not know, this one may.
            self.unsupported.clear();
            self.flapping.forget_attempts();
        }
        self.facts.lived = true;
        let since = if matches!(from, Phase::Live(_)) { self.since.mono } else { self.now.mono };
        let live = Live { data_ok_at: self.now.mono, is_proof_wanted: false };
        let ask = self.next_poll(live, since);
        Next { phase: Phase::Live(live), reason, ask }
    }

    pub(super) fn on_reading_while_live(&mut self, live: Live, asked: Request, reading: Reading) -> Next {
        let phase = Phase::Live(live);
        match reading {
            // It was asked before the stream denied the session.
            Reading::Good if self.stream.denied_at.is_some_and(|at| at > self.polls.last_at) => {
                self.stay(phase, Ask::Now(Request::Check, WakeReason::AskAgain))
            }
            // Of two answers that contradict each other neither is believed: data decides.
            Reading::Good if self.suspicion.flags.is_some() || self.suspicion.data.is_some() => self.prove(phase),
            Reading::Good => {
                self.refute_stream(self.polls.last_at);
                self.outage = None;
                self.stay_live(live)
            }
            Reading::Competing => self.contest(phase),
            // A second answer would take too long: a recovery asks without competing, and does no harm.
            Reading::Lost if self.is_busy() => self.believe(reading),
            Reading::NotEstablished | Reading::Lost | Reading::NoLogin { .. } if self.suspicion.flags.is_some() => {
                self.believe(reading)
            }
            // Two different requests with the same answer prove as much as one that is repeated, and a second sooner.
            Reading::NotEstablished | Reading::Lost if !self.is_unsupported(Request::Ping) => {
                self.suspicion.flags = Some(Doubt::Session);
                let other = if asked == Request::Ping { Request::Check } else { Request::Ping };
                self.stay(phase, Ask::Now(other, WakeReason::AskAgain))
            }
            Reading::NotEstablished | Reading::Lost | Reading::NoLogin { .. } => self.doubt(phase, reading),
            Reading::Unknown(cause) => self.confirm_unavailable(phase, cause),
        }
    }

    /// What `validate_sso` answered when the login's age was asked.
    pub(super) fn on_sso_while_live(&mut self, live: Live, answer: Result<Sso, Failure>) -> Next {
        let phase = Phase::Live(live);
        match answer {
            Err(Failure::Unauthorized | Failure::LoginPage) => {
                self.stay(phase, Ask::Now(Request::Check, WakeReason::AskAgain))
            }
            Err(Failure::Unavailable(cause)) if cause.is_on_the_way() => self.confirm_unavailable(phase, cause),
            Ok(_) | Err(Failure::NoSession | Failure::Unsupported | Failure::Unavailable(_)) => self.stay_live(live),
        }
    }

    fn stay_live(&mut self, live: Live) -> Next {
        let ask = self.next_poll(live, self.since.mono);
        self.stay(Phase::Live(live), ask)
    }

    /// Schedules the next request. A ping reports as a check does, so it takes the place of one.
    fn next_poll(&mut self, live: Live, live_since: Duration) -> Ask {
        let now = self.now.mono;
        let check = self.polls.last_at + self.limits.poll_interval(now, self.policy.check_every);
        let ping = self.limits.pinged().map_or(now, |t| t + self.policy.ping_every);
        let ping_due = ping < check + self.policy.check_every && !self.is_unsupported(Request::Ping);
        let proof = live.data_ok_at + self.policy.confirm_every;
        let (poll, at, reason) = if ping_due {
            (Request::Ping, ping.min(check), WakeReason::PingDue)
        } else {
            (Request::Check, check, WakeReason::CheckDue)
        };
        if live.is_proof_wanted && !self.is_unsupported(Request::Accounts) {
            return Ask::Extra(Request::Accounts, WakeReason::ProofDue, Priority::Pressing);
        }
        // The earliest goes first: none of the others may delay a ping. The next one follows apart from it.
        let apart = if self.is_busy() { Duration::ZERO } else { APART.min(self.policy.check_every / 10) };
        let (due, request, other) = if !self.policy.confirm_every.is_zero() && proof <= at {
            (proof, Request::Accounts, WakeReason::ProofDue)
        } else if let Some(age) = self.login_age_due(live_since).filter(|age| *age <= at) {
            (age, Request::ValidateSso, WakeReason::LoginAge)
        } else {
            (at, poll, reason)
        };
        if poll == Request::Ping && at < due + apart {
            Ask::At(due, poll, reason)
        } else {
            Ask::At(due.max(now + apart), request, other)
        }
    }

    /// When the login's age is to be asked, which tells when this login will end.
    fn login_age_due(&self, live_since: Duration) -> Option<Duration> {
        if !self.auth_time_stale || self.is_unsupported(Request::ValidateSso) {
            return None;
        }
        let first = live_since + LOGIN_AGE;
        let asked = self.limits.validated().filter(|t| *t >= live_since);
        Some(asked.map_or(first, |t| t + AGE_AGAIN))
    }
}

/// Two scheduled requests are so far apart that a recovery finds room for its own in the same second.
const APART: Duration = Duration::from_secs(1);
/// How long after the session became live the login's age is asked.
const LOGIN_AGE: Duration = Duration::from_secs(60);

/// And how long after an answer that did not tell it is asked again.
const AGE_AGAIN: Duration = Duration::from_secs(3600);
