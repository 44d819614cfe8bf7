//! A bare tickler: POST /tickle every minute, the answer unread. ibind's `Tickler` does this, and most scripts. ibind sends a
//! tickle that is not answered up to three times more; that is left out, as most scripts do not.

use std::time::Duration;

use tickled::session::Now;
use tickled::simulator::world::{Call, Route};

use super::{Act, Input, Strategy, second};

#[derive(Debug, Default)]
pub(super) struct Tickler {
    wake_at: Duration,
}

impl Strategy for Tickler {
    fn step(&mut self, now: Now, input: Input, acts: &mut Vec<Act>) {
        match input {
            Input::Start => self.wake_at = now.mono,
            Input::Wake => {
                // It waits for the answer, and then for a minute.
                self.wake_at = Duration::MAX;
                acts.push(Act::send(Call::post(Route::Tickle), ANSWER_WITHIN));
            }
            Input::Answer(..) => self.wake_at = now.mono + EVERY,
            Input::Ready
            | Input::Heartbeat
            | Input::Flags(_)
            | Input::StreamDown
            | Input::OwnerCame
            | Input::Truth(_) => {}
        }
    }

    fn wake_at(&self) -> Duration {
        self.wake_at
    }

    fn period(&self) -> Duration {
        EVERY
    }
}

/// `IBIND_TICKLER_INTERVAL`.
const EVERY: Duration = second(60);
/// The `timeout` of ibind's `RestClient`.
const ANSWER_WITHIN: Duration = second(10);
