//! Only a human can help: one slow poll, and nothing else.

use std::time::Duration;

use super::answer::Reading;
use super::context::{Context, LastReading};
use super::phase::{Ask, LoginRequired, Next, Phase};
use super::{Cause, Request, StateReason, WakeReason};

impl Context {
    /// A human is alerted.
    pub(super) fn require_login(&mut self, cause: Cause) -> Next {
        self.suspicion.clear();
        match cause {
            Cause::Expired | Cause::NeverLoggedIn | Cause::LoggedOut => {
                self.facts.lived = false;
                self.facts.auth_time = None;
                self.facts.sso = None;
            }
            Cause::Borrowed | Cause::NotEnabled | Cause::Exhausted | Cause::ByOperator => {}
        }
        if cause != Cause::ByOperator {
            self.outage().proofs = 0;
        }
        let LastReading { no_login, connected, .. } = self.facts.evidence;
        let login = LoginRequired { cause, seen_at: None, had_no_login: no_login, was_connected: connected };
        Next { reason: StateReason::Cause(cause), ..self.watch_for_login(login) }
    }

    /// Waits for the next slow poll.
    pub(super) fn watch_for_login(&mut self, login: LoginRequired) -> Next {
        let watch_every = self.policy.watch_every;
        let is_expected = self.login_expected_until.is_some_and(|until| self.now.mono < until);
        let spacing = if login.seen_at.is_some() {
            self.policy.check_every.min(watch_every)
        } else if login.cause == Cause::Borrowed {
            // Any request keeps a borrowed login alive, and while it is alive it is of no use here.
            watch_every.max(IDLED_OUT)
        } else if is_expected {
            watch_every.min(WATCH_EXPECTED)
        } else {
            watch_every
        };
        let ask = Ask::In(self.limits.jitter(spacing), Request::Check, WakeReason::WatchDue);
        self.stay(Phase::LoginRequired(login), ask)
    }

    pub(super) fn on_reading_while_login_required(&mut self, login: LoginRequired, reading: Reading) -> Next {
        let phase = Phase::LoginRequired(login);
        match reading {
            Reading::Good => self.prove(phase),
            Reading::Competing if login.cause != Cause::ByOperator => self.contest(phase),
            Reading::Unknown(_) if self.should_ping() => {
                self.stay(phase, Ask::Now(Request::Ping, WakeReason::NextStep))
            }
            Reading::Competing | Reading::Unknown(_) => self.watch_for_login(login),
            // The other application's login has ended, so a new login is enough.
            Reading::NoLogin { .. } if login.cause == Cause::Borrowed => self.require_login(Cause::Expired),
            Reading::NoLogin { .. } => {
                self.watch_for_login(LoginRequired { seen_at: None, had_no_login: true, ..login })
            }
            Reading::NotEstablished | Reading::Lost => self.login_may_be_back(login),
        }
    }

    /// There is a login, which is better evidence than that on which the human was alerted. The gateway itself turns a
    /// login into a session within seconds. If it has not after a minute, another recovery is worth a try.
    fn login_may_be_back(&mut self, login: LoginRequired) -> Next {
        let is_better = login.had_no_login || (self.facts.evidence.connected && !login.was_connected);
        if login.cause == Cause::ByOperator || !is_better {
            return self.watch_for_login(login);
        }
        let seen_at = login.seen_at.unwrap_or(self.now.mono);
        if self.now.mono < seen_at + HANDS_OFF {
            return self.watch_for_login(LoginRequired { seen_at: Some(seen_at), ..login });
        }
        if let Some(outage) = &mut self.outage {
            outage.attempts = 0;
        }
        self.recover(StateReason::LoginSeen)
    }
}

/// Interval between checks while a human is expected to log in.
const WATCH_EXPECTED: Duration = Duration::from_secs(10);
/// How long a fresh login is left to the gateway: asking for the session in this time is known to disturb it.
const HANDS_OFF: Duration = Duration::from_secs(60);

/// IBKR ends what has been silent for about six minutes; a fifth more than that, for the jitter.
const IDLED_OUT: Duration = Duration::from_secs(460);
