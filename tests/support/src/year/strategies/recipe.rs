//! The recipe of the Elixir library `ibkr_api`, from its guide to authentication: a ping every five minutes; when it is not
//! good, a check, then reauthenticate, then `validate_sso`. What comes of it is logged, and seen by the next ping.

use std::time::Duration;

use tickled::session::Now;
use tickled::simulator::world::{Answer, Call, Route};

use super::{Act, Input, Outcome, Strategy, second};

#[derive(Debug, Default)]
pub(super) struct Recipe {
    step: Step,
    next_ping: Duration,
}

#[derive(Debug, Default, Clone, Copy)]
enum Step {
    #[default]
    Wait,
    Ping,
    Check,
    Reauthenticate,
    Validate,
}

impl Strategy for Recipe {
    fn step(&mut self, now: Now, input: Input, acts: &mut Vec<Act>) {
        let mut send = |step: &mut Step, next: Step, call: Call| {
            *step = next;
            acts.push(Act::send(call, ANSWER_WITHIN));
        };
        match (input, self.step) {
            (Input::Start, _) => (self.step, self.next_ping) = (Step::Wait, now.mono),
            (Input::Wake, _) => {
                self.next_ping = now.mono + PING_EVERY;
                send(&mut self.step, Step::Ping, Call::post(Route::Tickle));
            }
            (Input::Answer(_, outcome), Step::Ping) if !is_good(&outcome) => {
                send(&mut self.step, Step::Check, Call::post(Route::Status));
            }
            (Input::Answer(_, outcome), Step::Check) if !is_good(&outcome) => {
                send(&mut self.step, Step::Reauthenticate, Call::post(Route::Reauthenticate));
            }
            (Input::Answer(..), Step::Reauthenticate) => {
                send(&mut self.step, Step::Validate, Call::get(Route::Validate));
            }
            (Input::Answer(..), _) => self.step = Step::Wait,
            (
                Input::Ready
                | Input::Heartbeat
                | Input::Flags(_)
                | Input::StreamDown
                | Input::OwnerCame
                | Input::Truth(_),
                _,
            ) => {}
        }
    }

    fn wake_at(&self) -> Duration {
        if matches!(self.step, Step::Wait) { self.next_ping } else { Duration::MAX }
    }

    fn period(&self) -> Duration {
        PING_EVERY
    }
}

fn is_good(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Answer(Answer::Tickle(tickle)) => tickle.status.authenticated,
        Outcome::Answer(Answer::Status(status)) => status.authenticated,
        _ => false,
    }
}

/// "Implement a periodic ping to the server (e.g., every 5 minutes)".
const PING_EVERY: Duration = second(300);
/// Assumed: what Elixir's HTTP clients wait by default.
const ANSWER_WITHIN: Duration = second(15);
