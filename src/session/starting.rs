//! Nothing is known about the session: at the start, and while it is unavailable.

use super::answer::Reading;
use super::context::Context;
use super::phase::{Next, Phase};
use super::{contested, polls, unavailable};

pub(super) fn on_reading(cx: &mut Context, phase: Phase, reading: Reading) -> Next {
    match reading {
        Reading::Good => cx.prove(phase),
        Reading::Competing => contested::enter(cx, phase),
        Reading::NotEstablished | Reading::Lost | Reading::NoLogin { .. } if cx.suspicion.flags.is_some() => {
            polls::believe(cx, reading)
        }
        Reading::NotEstablished | Reading::Lost | Reading::NoLogin { .. } => cx.doubt(phase, reading),
        Reading::Unknown(cause) => unavailable::enter(cx, phase, cause),
    }
}
