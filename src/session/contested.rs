//! Another client uses the brokerage session.

use std::time::Duration;

use super::answer::Reading;
use super::context::Context;
use super::phase::{Ask, Next, Phase};
use super::policy::LONGEST_PAUSE;
use super::{Competing, Request, StateReason, WakeReason};

impl Context {
    /// Another client was seen to use the session. By policy it is left alone, or the session is taken back.
    pub(super) fn contest(&mut self, from: Phase) -> Next {
        if matches!(from, Phase::Live(_)) {
            self.flapping.evicted(self.now.mono);
        }
        self.suspicion.clear();
        self.outage().contested = true;
        let outfought = self.flapping.is_outfought();
        if self.policy.competing == Competing::TakeOver && !outfought && self.limits.may_take_over(self.now.mono) {
            return self.recover(StateReason::TakenOver);
        }
        self.wait_for_other_client(if outfought { StateReason::Outfought } else { StateReason::OtherClient })
    }

    /// Waits for the other client to leave.
    pub(super) fn wait_for_other_client(&mut self, reason: StateReason) -> Next {
        self.suspicion.clear();
        let at = self.now.mono + self.limits.poll_interval(self.now.mono, self.policy.check_every);
        Next { phase: Phase::Contested, reason, ask: Ask::At(at, Request::Check, WakeReason::OtherDue) }
    }

    pub(super) fn on_reading_while_contested(&mut self, reading: Reading) -> Next {
        let phase = Phase::Contested;
        match reading {
            Reading::Good => self.prove(phase),
            Reading::Competing => {
                self.outage().flag_seen = true;
                self.contest(phase)
            }
            Reading::NotEstablished | Reading::Lost if self.was_refused_lately() => {
                self.wait_for_other_client(self.reason)
            }
            Reading::NotEstablished | Reading::Lost | Reading::NoLogin { .. } if self.suspicion.flags.is_some() => {
                self.believe(reading)
            }
            Reading::NotEstablished | Reading::Lost | Reading::NoLogin { .. } => self.doubt(phase, reading),
            Reading::Unknown(cause) => self.confirm_unavailable(phase, cause),
        }
    }

    /// Whether IBKR refused the session because of another client so short a time ago that it is not asked again yet.
    /// The flag of the other client says whether it has left, but not for sure: when the gateway logs itself out after
    /// a lapse, the flag goes down as well, and so does `connected`. So a flag that is down is believed once. After that
    /// the pauses grow, and if no check has seen the flag at all, an hour's attempts are made to last the hour.
    fn was_refused_lately(&self) -> bool {
        let Some(outage) = self.outage else { return false };
        let apart = LONGEST_PAUSE.max(HOUR / u32::from(self.policy.recovery.max_per_hour.max(1)));
        let pause = match outage.refusals {
            0 | 1 if self.facts.evidence.connected => Duration::ZERO,
            0 | 1 => FLAG_DOWN,
            refusals if outage.flag_seen => (FLAG_DOWN * 3_u32.pow(u32::from(refusals.min(5)) - 2)).min(apart),
            _ => apart,
        };
        outage.refused.is_some_and(|t| self.now.mono < t + pause)
    }
}

/// The pause after a refusal where the flag may be down without the other client having left; three times as long after each
/// further refusal.
const FLAG_DOWN: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
