//! What the machine knows and remembers beside its state: all that a handler may read and change.

use std::time::Duration;

use jiff::Timestamp;

use super::answer::Reading;
use super::flap_detector::FlapDetector;
use super::phase::{Ask, Next, Phase};
use super::rate_limiter::RateLimiter;
use super::silence::Silence;
use super::{
    Answer, Cause, Competing, Failure, Method, Now, Policy, Request, Sso, StateReason, Status, Unavailability,
    WakeReason,
};

/// What is known beside the state, for status and alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts {
    /// When the flags were last good.
    pub last_good: Option<Now>,
    /// Whether the session has been live since the present login.
    pub lived: bool,
    /// What the last poll said about the login.
    pub evidence: LastReading,
    /// When a data call last confirmed the session.
    pub last_data: Option<Now>,
    /// `isPaper`, from the last data call.
    pub is_paper: Option<bool>,
    /// The last answer of `validate_sso`, and when it came.
    pub sso: Option<(Duration, Sso)>,
    /// When the human logged in.
    pub auth_time: Option<Timestamp>,
    /// How long the last answer of IBKR took.
    pub answer_took: Option<Duration>,
    /// Why the last poll said nothing about the session, until one does.
    pub trouble: Option<Unavailability>,
}

/// What a poll said about the login behind the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct LastReading {
    /// The answer was that of a gateway without a login.
    pub no_login: bool,
    /// The `connected` flag.
    pub connected: bool,
    /// The `competing` flag.
    pub competing: bool,
}

/// All that outlives a state.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) now: Now,
    pub(super) policy: Policy,
    pub(super) limits: RateLimiter,
    pub(super) facts: Facts,
    /// Requests that the other side does not know.
    pub(super) unsupported: Vec<Request>,
    /// The login may be another one than that whose age is known.
    pub(super) auth_time_stale: bool,
    pub(super) outage: Option<CurrentOutage>,
    pub(super) suspicion: Suspicion,
    pub(super) polls: Polls,
    pub(super) silence: Silence,
    /// The answer that is handled ends a silence. The next one waits in the gateway's queue for long enough.
    pub(super) is_late: bool,
    pub(super) stream: StreamTrust,
    pub(super) flapping: FlapDetector,
    /// Until when a human is expected to log in.
    pub(super) login_expected_until: Option<Duration>,
    /// When the present state was entered, and why.
    pub(super) since: Now,
    pub(super) reason: StateReason,
}

/// From the first bad answer to the next live session.
#[derive(Debug, Clone, Copy)]
pub(super) struct CurrentOutage {
    pub(super) since: Now,
    /// Attempts begun since a human was last alerted.
    pub(super) attempts: u8,
    /// The next attempt begins no earlier: its pause.
    pub(super) not_before: Duration,
    /// Another client was seen to use the session.
    pub(super) contested: bool,
    /// When IBKR last refused the session because of another client.
    pub(super) refused: Option<Duration>,
    /// How often it has.
    pub(super) refusals: u8,
    /// The other client's flag was up after the last refusal: once it is down, the client may have left.
    pub(super) flag_seen: bool,
    /// When `RESULT` was first false.
    pub(super) invalid_since: Option<Duration>,
    /// Consecutive checks answered as if no user were logged in, and the time of the first.
    pub(super) proofs: u8,
    pub(super) proofs_since: Duration,
}

/// Bad answers that are asked again before they are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Suspicion {
    pub(super) flags: Option<Doubt>,
    /// Why the last data call has not proved good flags. Good flags do not clear this: they can stay good while data
    /// fails, and alternating the two would use up the budget of requests.
    pub(super) data: Option<Unproved>,
    /// The last answer said nothing about the session.
    pub(super) unavailable: bool,
    /// There is proof that the login is gone, for this reason; one more check is to confirm it.
    pub(super) login_gone: Option<Cause>,
}

/// A bad answer to a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Doubt {
    /// The flags said that the session is gone.
    Session,
    /// The answer was that of a gateway without a login.
    Login,
    /// The login page came: proof, after one more check.
    LoginPage,
}

/// A data call that proved nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Unproved {
    /// It returned nothing, or was refused.
    NoData,
    /// Its answer said nothing about the session.
    Unavailable,
    /// It is not known on the other side.
    Unsupported,
}

/// The recent polls and their outcomes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Polls {
    /// When the last poll was sent, and which one it was.
    pub(super) last_at: Duration,
    pub(super) last: Request,
    /// The last check was answered, but not in a way that can be understood.
    pub(super) check_in_vain: bool,
    /// Until when pings stand in for checks, because only pings are understood.
    pub(super) pings_only_until: Option<Duration>,
    /// Probes in a row without an answer that says something. Forgotten only when answers have lasted.
    pub(super) failed_probes: u32,
    pub(super) answering_since: Option<Duration>,
}

/// How far the stream's pushes can be relied on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct StreamTrust {
    /// When the stream first denied the session, which was live, until that is decided or the session is back.
    pub(super) denied_at: Option<Duration>,
    /// How often in a row data refuted it.
    pub(super) refuted: u32,
    /// The same since the machine was made.
    pub(super) refutations: u32,
}

impl Suspicion {
    pub(super) const fn clear(&mut self) {
        *self = Self { flags: None, data: None, unavailable: false, login_gone: None };
    }
}

impl Context {
    /// The same state, perhaps with other data.
    pub(super) const fn stay(&self, phase: Phase, ask: Ask) -> Next {
        Next { phase, reason: self.reason, ask }
    }

    /// An answer that no longer matters in this state: the next check tells how the session is.
    pub(super) const fn check_now(&self, phase: Phase) -> Next {
        self.stay(phase, Ask::Now(Request::Check, WakeReason::NextStep))
    }

    /// An answer that reports too many requests is followed by silence, whatever was asked.
    pub(super) fn heed_penalty(&mut self, answer: Answer) {
        if let Some(Failure::Unavailable(Unavailability::TooManyRequests { retry_after })) = answer.failure() {
            self.limits.back_off(self.now, retry_after);
        }
    }

    pub(super) fn record_sso(&mut self, sso: Sso) {
        self.facts.sso = Some((self.now.mono, sso));
        if sso.valid {
            self.facts.auth_time = sso.auth_time;
            self.auth_time_stale = sso.auth_time.is_none();
        }
    }

    /// Records what a poll said.
    pub(super) fn record(&mut self, phase: Phase, reading: Reading, status: Option<Status>) {
        let now = self.now;
        if reading == Reading::Good {
            self.facts.last_good = Some(now);
        } else if phase.is_watching() {
            self.outage().count_proof(now, matches!(reading, Reading::NoLogin { .. }));
        }
        if let Reading::Unknown(cause) = reading {
            self.facts.trouble = Some(cause);
            self.polls.answering_since = None;
            return;
        }
        self.facts.trouble = None;
        self.suspicion.unavailable = false;
        let since = *self.polls.answering_since.get_or_insert(now.mono);
        if now.mono >= since + STEADY {
            self.polls.failed_probes = 0;
        }
        self.facts.evidence = LastReading {
            no_login: matches!(reading, Reading::NoLogin { .. }),
            connected: status.is_some_and(|s| s.connected),
            competing: status.is_some_and(|s| s.competing),
        };
    }

    /// If a check cannot be understood and a ping can, pings stand in for checks, and keep the session alive.
    pub(super) fn compare_polls(&mut self, asked: Request, reading: Reading) {
        let polls = &mut self.polls;
        match (asked, reading) {
            (Request::Check, Reading::Unknown(cause)) => polls.check_in_vain = cause.is_uninformative(),
            (Request::Check, _) => (polls.check_in_vain, polls.pings_only_until) = (false, None),
            (_, Reading::Unknown(_)) => polls.pings_only_until = None,
            (_, _) if std::mem::take(&mut polls.check_in_vain) => {
                polls.pings_only_until = Some(self.now.mono + STAND_IN);
            }
            (_, _) => {}
        }
    }

    /// Whether a ping may tell what a check did not.
    pub(super) fn should_ping(&self) -> bool {
        self.polls.check_in_vain && self.polls.last == Request::Check && !self.is_unsupported(Request::Ping)
    }

    /// Whether pings stand in for checks.
    pub(super) fn is_pings_only(&self) -> bool {
        self.polls.pings_only_until.is_some_and(|until| self.now.mono < until)
    }

    /// Whether `request` is one that the other side does not know, or does not answer.
    pub(super) fn is_unsupported(&self, request: Request) -> bool {
        self.unsupported.iter().any(|unsupported| unsupported.name() == request.name())
            || self.silence.is_blocked(self.now.mono, request)
    }

    /// The present outage, which begins with this.
    pub(super) fn outage(&mut self) -> &mut CurrentOutage {
        let (now, attempts) = (self.now, self.flapping.carried_attempts());
        self.outage.get_or_insert(CurrentOutage {
            since: now,
            attempts,
            not_before: Duration::ZERO,
            contested: false,
            refused: None,
            refusals: 0,
            flag_seen: false,
            invalid_since: None,
            proofs: 0,
            proofs_since: now.mono,
        })
    }

    /// Whether asking for the session takes it from another client, on purpose.
    pub(super) fn competes(&self) -> bool {
        self.policy.competing == Competing::TakeOver && self.outage.is_some_and(|outage| outage.contested)
    }

    /// Whether IBKR itself may be asked for the session.
    pub(super) fn has_direct(&self) -> bool {
        self.policy.recovery.methods.contains(&Method::Direct)
            && !self.is_unsupported(Request::OpenBrokerage { compete: false })
    }

    /// Which poll to make out of turn. One that is repeated again and again must not keep a ping from its turn.
    pub(super) fn extra_poll(&self, phase: Phase) -> Request {
        let is_ping_due = self.limits.pinged().is_some_and(|t| self.now.mono >= t + self.policy.ping_every);
        if matches!(phase, Phase::Live(_)) && is_ping_due && !self.is_unsupported(Request::Ping) {
            Request::Ping
        } else {
            Request::Check
        }
    }

    /// A request of this time worked: what the stream said before it was not so.
    pub(super) fn refute_stream(&mut self, sent_at: Duration) {
        if self.stream.denied_at.take_if(|denied_at| sent_at >= *denied_at).is_some() {
            self.stream.refuted = (self.stream.refuted + 1).min(REFUTED);
            self.stream.refutations = self.stream.refutations.saturating_add(1);
        }
    }

    /// Whether checks stay unanswered while pings are answered, so that a ping takes their place.
    pub(super) fn is_check_blocked(&self) -> bool {
        self.silence.is_blocked(self.now.mono, Request::Check) && !self.is_unsupported(Request::Ping)
    }

    /// Whether answers take so long that other clients must be using the gateway's connections.
    pub(super) fn is_busy(&self) -> bool {
        self.facts.answer_took.is_some_and(|took| took >= BUSY)
    }

    /// Good flags: one data call shows whether they are true.
    pub(super) fn prove(&mut self, phase: Phase) -> Next {
        if self.silence.is_blocked(self.now.mono, Request::Accounts) {
            return self.stay(phase, Ask::In(self.policy.watch_every, Request::Check, WakeReason::ProofDue));
        }
        self.suspicion.flags = None;
        self.stay(phase, Ask::Now(Request::Accounts, WakeReason::ProofDue))
    }

    /// A bad reading, which a second poll is to confirm.
    pub(super) fn doubt(&mut self, phase: Phase, reading: Reading) -> Next {
        self.suspicion.flags = Some(Doubt::about(reading));
        self.ask_again(phase)
    }

    /// Has an unexpected answer followed by a check before it is believed.
    pub(super) const fn ask_again(&self, phase: Phase) -> Next {
        let delay = if self.is_late { Duration::ZERO } else { ASK_AGAIN };
        self.stay(phase, Ask::In(delay, Request::Check, WakeReason::AskAgain))
    }

    /// There is proof that the login is gone: one confirming check, then a human is alerted.
    pub(super) const fn conclude(&mut self, phase: Phase, cause: Cause) -> Next {
        self.suspicion.login_gone = Some(cause);
        self.ask_again(phase)
    }
}

impl CurrentOutage {
    /// Counts consecutive checks answered as if no user were logged in.
    fn count_proof(&mut self, now: Now, no_login: bool) {
        if !no_login {
            self.proofs = 0;
            return;
        }
        if self.proofs == 0 {
            self.proofs_since = now.mono;
        }
        self.proofs = (self.proofs + 1).min(PROOFS);
    }
}

impl Doubt {
    pub(super) const fn about(reading: Reading) -> Self {
        match reading {
            Reading::NoLogin { page: true } => Self::LoginPage,
            Reading::NoLogin { page: false } => Self::Login,
            Reading::Good | Reading::NotEstablished | Reading::Competing | Reading::Lost | Reading::Unknown(_) => {
                Self::Session
            }
        }
    }
}

/// How long an answer takes from a gateway that is busy.
pub const BUSY: Duration = Duration::from_secs(5);
/// How long after an unexpected answer it is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How long answers must last before failed probes are forgotten.
const STEADY: Duration = Duration::from_secs(60);
/// How long pings stand in for checks before a check is tried again.
const STAND_IN: Duration = Duration::from_secs(3600);
/// Checks in a row without a login, over a span, that are proof by themselves.
pub(super) const PROOFS: u8 = 3;
/// How often in a row data refutes the stream before its pushes lose their urgency.
pub(super) const REFUTED: u32 = 2;
