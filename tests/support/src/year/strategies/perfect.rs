//! A keeper that knows the truth and acts at once: what nothing can improve on. It leaves the session to the owner who uses
//! another program, and asks nothing while IBKR is silent. When IBKR is back it lets the second pass in which the gateway sends
//! what has waited in its queue: one request more in that second can be the one that is too many.

use std::time::Duration;

use tickled::session::Now;
use tickled::simulator::world::{Answer, Call, Route, Truth};

use super::{Act, Input, Outcome, Strategy, second};

#[derive(Debug, Default)]
pub(super) struct Perfect {
    truth: Option<Truth>,
    wake_at: Duration,
    quiet_until: Duration,
    is_asking: bool,
    has_called: bool,
}

impl Strategy for Perfect {
    fn step(&mut self, now: Now, input: Input, acts: &mut Vec<Act>) {
        match input {
            Input::Truth(truth) => {
                let was_away = self.truth.is_some_and(|before| !before.reachable);
                if was_away && truth.reachable {
                    self.quiet_until = self.quiet_until.max(now.mono + RUSH);
                    self.wake_at = self.wake_at.min(self.quiet_until);
                }
                self.truth = Some(truth);
            }
            Input::Answer(_, outcome) => {
                self.is_asking = false;
                if outcome == Outcome::Answer(Answer::TooManyRequests) {
                    (self.quiet_until, self.wake_at) = (now.mono + PENALTY, now.mono + PENALTY);
                }
            }
            Input::Start => (self.is_asking, self.wake_at) = (false, now.mono),
            Input::Wake | Input::Ready | Input::Heartbeat | Input::Flags(_) | Input::StreamDown | Input::OwnerCame => {}
        }
        let is_due = now.mono >= self.wake_at;
        if is_due {
            self.wake_at = now.mono + PING_EVERY;
        }
        let Some(truth) = self.truth.filter(|truth| truth.listening && truth.reachable) else { return };
        if !truth.login || !truth.logged_in_here || truth.wedged {
            if !std::mem::replace(&mut self.has_called, true) {
                acts.push(Act::Call("login-required"));
            }
            return;
        }
        self.has_called = false;
        if self.is_asking {
            return;
        }
        if truth.authenticated && is_due {
            self.is_asking = true;
            acts.push(Act::send(Call::post(Route::Tickle), second(15)));
        } else if !truth.authenticated && !truth.held_elsewhere && now.mono >= self.quiet_until {
            self.is_asking = true;
            self.wake_at = now.mono + second(1);
            acts.push(Act::send(Call::init(false), second(15)));
        }
    }

    fn wake_at(&self) -> Duration {
        self.wake_at
    }

    fn period(&self) -> Duration {
        PING_EVERY
    }

    fn knows_the_truth(&self) -> bool {
        true
    }
}

const PING_EVERY: Duration = second(240);
const PENALTY: Duration = second(900);
const RUSH: Duration = Duration::from_millis(1100);
