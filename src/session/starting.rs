//! Nothing is known about the session: at the start, and while it is unavailable.

use super::answer::Reading;
use super::context::{Context, Unproved};
use super::phase::{Next, Phase};

impl Context {
    pub(super) fn on_reading_from_nothing(&mut self, phase: Phase, reading: Reading) -> Next {
        match reading {
            Reading::Good => self.prove(phase),
            Reading::Competing => self.contest(phase),
            Reading::NotEstablished | Reading::Lost | Reading::NoLogin { .. }
                if self.suspicion.flags.is_some() || self.suspicion.data == Some(Unproved::NoData) =>
            {
                self.believe(reading)
            }
            Reading::NotEstablished | Reading::Lost | Reading::NoLogin { .. } => self.doubt(phase, reading),
            Reading::Unknown(cause) => self.become_unavailable(phase, cause),
        }
    }
}
