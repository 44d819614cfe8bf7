//! The states in which somebody else must act: another user of the session, the gateway or IBKR, a human.

use std::time::Duration;

use super::answers::says_nothing;
use super::rate_limiter::{backoff, needs_no_confirmation};
use super::{Cause, Competing, Machine, Now, Observation, Request, State, StateReason, Unavailability, WakeReason};

impl Machine {
    /// Somebody else uses the session.
    pub(super) fn contest(&mut self, now: Now) {
        if self.state == State::Live {
            self.taken_away.retain(|t| *t + FIGHT > now.mono);
            self.taken_away.push(now.mono);
        }
        self.forget_doubts();
        self.incident_begins(now).contested = true;
        let outfought = self.taken_away.len() > FIGHTS;
        if self.policy.competing == Competing::TakeOver && !outfought && self.limits.may_take_over(now.mono) {
            return self.recover(now, StateReason::TakenOver);
        }
        let because = if outfought { StateReason::Outfought } else { StateReason::SomebodyElse };
        self.enter(now, State::Contested, because);
        self.wait_for_the_other(now);
    }

    pub(super) fn wait_for_the_other(&mut self, now: Now) {
        self.forget_doubts();
        let at = now.mono + self.limits.routine(now.mono, self.policy.check_every);
        self.ask(Request::Check, at, WakeReason::OtherDue);
    }

    /// Nothing can be said about the session; what is asked next tells the gateway's silence from IBKR's.
    pub(super) fn unavailable(&mut self, now: Now, trouble: Unavailability) {
        self.forget_doubts();
        if matches!(self.state, State::LoginRequired(_)) {
            return self.watch(now);
        }
        self.incident_begins(now);
        // What a closer look has shown already stays so until another look: no need to seem less sure in between.
        let closer = matches!(
            (trouble, self.state),
            (Unavailability::NoAnswer, State::Unavailable(Unavailability::IbkrSilent))
                | (
                    Unavailability::Nonsense | Unavailability::EdgeRefused | Unavailability::IbkrError,
                    State::Unavailable(Unavailability::NotAGateway)
                )
        );
        // A ping that tells no more than the check before it changes nothing.
        if self.last_look == Request::Ping
            && self.check_in_vain
            && says_nothing(trouble)
            && matches!(self.state, State::Unavailable(seen) if says_nothing(seen))
        {
            return self.probe_later(now);
        }
        let known = self.state == State::Unavailable(trouble);
        if !closer {
            self.enter(now, State::Unavailable(trouble), StateReason::Trouble(trouble));
        }
        match trouble {
            Unavailability::NoAnswer => self.ask(Request::IsListening, now.mono, WakeReason::NextStep),
            Unavailability::Nonsense | Unavailability::EdgeRefused | Unavailability::IbkrError if !known => {
                self.ask(Request::IsListening, now.mono, WakeReason::NextStep);
            }
            Unavailability::NothingListens
            | Unavailability::NotAGateway
            | Unavailability::Certificate
            | Unavailability::Tls
            | Unavailability::AddressRefused
            | Unavailability::Network
            | Unavailability::IbkrSilent
            | Unavailability::IbkrError
            | Unavailability::EdgeRefused
            | Unavailability::TooManyRequests { .. }
            | Unavailability::Nonsense => self.probe_later(now),
        }
    }

    /// Whether the gateway process is there tells its own silence, and that of something else, from IBKR's.
    pub(super) fn listened(&mut self, now: Now, observation: Observation) {
        let State::Unavailable(seen) = self.state else {
            return self.listened_before_it_is_believed(now, observation);
        };
        let trouble = match (seen, observation) {
            // The gateway answers this by itself: an error of IBKR's own comes from something in between.
            (_, Observation::Trouble(Unavailability::IbkrError)) => Unavailability::NotAGateway,
            (Unavailability::NoAnswer, Observation::Listening) => Unavailability::IbkrSilent,
            (Unavailability::NotAGateway, Observation::Listening) => Unavailability::Nonsense,
            (seen, Observation::Listening) => seen,
            (_, Observation::Trouble(trouble)) => trouble,
            (
                _,
                Observation::Status(_)
                | Observation::NoStatus
                | Observation::Accepted
                | Observation::NotLoggedIn
                | Observation::Sso(_)
                | Observation::Accounts(_)
                | Observation::Ended
                | Observation::Unauthorized
                | Observation::LoginPage
                | Observation::Gone,
            ) => Unavailability::NotAGateway,
        };
        self.known.trouble = Some(trouble);
        self.enter(now, State::Unavailable(trouble), StateReason::Trouble(trouble));
        self.probe_later(now);
    }

    /// A question had no answer, and this one goes by another connection: if it has one, that first connection may be to
    /// blame, and it is asked once more.
    fn listened_before_it_is_believed(&mut self, now: Now, observation: Observation) {
        match observation {
            Observation::Trouble(trouble) => self.unavailable(now, trouble),
            Observation::Listening
            | Observation::Status(_)
            | Observation::NoStatus
            | Observation::Accepted
            | Observation::NotLoggedIn
            | Observation::Sso(_)
            | Observation::Accounts(_)
            | Observation::Ended
            | Observation::Unauthorized
            | Observation::LoginPage
            | Observation::Gone => self.ask(Request::Check, now.mono, WakeReason::AskAgain),
        }
    }

    /// Probes are spaced from start to start: a question that hangs costs no time twice. A check that nobody understands is
    /// followed by a ping at once, which may be understood, and keeps the session alive.
    fn probe_later(&mut self, now: Now) {
        if matches!(self.state, State::Unavailable(trouble) if says_nothing(trouble)) && self.should_ping() {
            return self.ask(Request::Ping, now.mono, WakeReason::NextStep);
        }
        self.unanswered = self.unanswered.saturating_add(1);
        let spacing = if self.unanswered > PROBES {
            self.policy.watch_every
        } else {
            backoff(self.unanswered, FIRST_PROBE, self.policy.watch_every)
        };
        let at = self.looked + self.limits.jitter(spacing);
        self.ask(Request::Check, at.max(now.mono), WakeReason::RetryDue);
    }

    /// Unavailability is asked again before it is believed: silence by another connection, what nobody understands by a ping.
    pub(super) fn trouble_twice(&mut self, now: Now, trouble: Unavailability) {
        if needs_no_confirmation(trouble) || self.troubled {
            return self.unavailable(now, trouble);
        }
        self.troubled = true;
        if trouble == Unavailability::NoAnswer {
            self.ask(Request::IsListening, now.mono, WakeReason::AskAgain);
        } else if says_nothing(trouble) && self.should_ping() {
            self.ask(Request::Ping, now.mono, WakeReason::AskAgain);
        } else {
            self.ask_again(now);
        }
    }

    /// Only a human can help: from here on one slow look, and nothing else.
    pub(super) fn login_required(&mut self, now: Now, cause: Cause) {
        self.forget_doubts();
        self.login_seen = None;
        match cause {
            Cause::Expired | Cause::NeverLoggedIn | Cause::LoggedOut => {
                self.known.lived = false;
                self.known.auth_time = None;
                self.known.sso = None;
            }
            Cause::Borrowed | Cause::NotEnabled | Cause::Exhausted | Cause::ByOperator => {}
        }
        if cause != Cause::ByOperator {
            let evidence = self.known.evidence;
            let incident = self.incident_begins(now);
            incident.no_login = evidence.no_login;
            incident.connected = evidence.connected;
        }
        self.enter(now, State::LoginRequired(cause), StateReason::Cause(cause));
        self.watch(now);
    }

    pub(super) fn watch(&mut self, now: Now) {
        let watch_every = self.policy.watch_every;
        let spacing = match self.state {
            State::LoginRequired(_) if self.login_seen.is_some() => self.policy.check_every.min(watch_every),
            // Any question keeps a borrowed login alive, and alive it is of no use to anybody here.
            State::LoginRequired(Cause::Borrowed) => watch_every.max(IDLED_OUT),
            State::LoginRequired(_)
            | State::Starting
            | State::Live
            | State::Recovering { .. }
            | State::Contested
            | State::Unavailable(_)
            | State::Paused { .. } => watch_every,
        };
        let at = now.mono + self.limits.jitter(spacing);
        self.ask(Request::Check, at, WakeReason::WatchDue);
    }

    /// Better evidence than that on which a human was called: a login, which the gateway itself turns into a session
    /// within seconds. If it has not after a minute, it is worth another recovery.
    pub(super) fn login_may_be_back(&mut self, now: Now, cause: Cause) {
        let evidence = self.known.evidence;
        let better =
            self.incident.as_ref().is_some_and(|then| then.no_login || (evidence.connected && !then.connected));
        if cause == Cause::ByOperator || !better {
            return self.watch(now);
        }
        let seen = *self.login_seen.get_or_insert(now.mono);
        if now.mono < seen + HANDS_OFF {
            return self.watch(now);
        }
        self.login_seen = None;
        if let Some(incident) = &mut self.incident {
            incident.attempts = 0;
        }
        self.recover(now, StateReason::LoginSeen);
    }
}

/// How long a fresh login is left to the gateway: asking for the session in this time is known to disturb it.
const HANDS_OFF: Duration = Duration::from_secs(60);
/// The session taken away more often than this within [`FIGHT`] is no longer fought for.
const FIGHTS: usize = 3;
const FIGHT: Duration = Duration::from_secs(600);
/// IBKR ends what has been silent for about six minutes; a fifth more than that, for the jitter.
const IDLED_OUT: Duration = Duration::from_secs(460);
/// The first pause between probes, and how many are counted before `watch_every` holds.
const FIRST_PROBE: Duration = Duration::from_secs(5);
const PROBES: u32 = 3;
