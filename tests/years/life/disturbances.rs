//! What happens in a life: the disturbances, one after the other, and what follows from each.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use support::rules::{hour, minute, second};
use tickled::calendar::Region;
use tickled::session::Input;
use tickled::simulator::world::{Control, Reach as How, Times, Unanswered};

use super::{Life, epoch};
use crate::fate::{self, Event};

impl Life {
    pub(crate) fn happens(&mut self, event: Event) -> Result<(), String> {
        self.log(|| format!("{event:?}"));
        match event {
            Event::World(control) => {
                if matches!(control, Control::Ibkr(_) | Control::Return(_)) {
                    self.silence = matches!(control, Control::Ibkr(How::Away)).then_some(Unanswered::Closed);
                }
                self.world.set(self.at, control);
                self.advance();
                self.reach.watch(&self.world, self.at, self.silence.is_some())?;
            }
            Event::Returns(unanswered) => self.silence = self.silence.and(Some(unanswered)),
            Event::ProgramAsks(requests) => {
                self.program_asks = requests;
                self.advance();
            }
            Event::DaemonRestarts => self.restart()?,
            Event::Midnight => self.midnight(),
            Event::HumanLogsIn => {
                self.world.set(self.at, Control::LogIn);
                let in_vain = !self.world.truth().login;
                self.human = in_vain.then_some(self.at + minute(10));
                if in_vain {
                    self.later(minute(10), Event::HumanLogsIn);
                }
            }
            Event::Sleep(span) => {
                self.at += span;
                self.slept += span;
                self.world.advance(self.at);
            }
            Event::ClockSet(seconds) => self.off += SignedDuration::from_secs(seconds),
            Event::Pause(span) => {
                let until = self.now().wall.saturating_add(span).unwrap_or(Timestamp::MAX);
                self.step(Input::Pause { until: Some(until) })?;
            }
            Event::Check => self.step(Input::Check)?,
            Event::Resume => {
                self.reach.resumed(&self.world);
                self.step(Input::Resume)?;
            }
            Event::Logout => {
                self.step(Input::Logout)?;
                let back = self.chance.span(minute(10), hour(6));
                self.later(back, Event::HumanLogsIn);
            }
            Event::Begins => {
                // What an earlier incident left at the gateway counts no more.
                self.reach.resumed(&self.world);
                self.begins()?;
            }
            Event::Over => self.over()?,
        }
        Ok(())
    }

    /// The disturbance is over, and the next one is drawn.
    fn over(&mut self) -> Result<(), String> {
        self.murky = false;
        self.program_asks = 0;
        self.program.clear();
        let returns = self.silence.unwrap_or(Unanswered::Closed);
        let end = [
            Control::Clear,
            Control::Leave,
            Control::Borrow(false),
            Control::RefuseLogins(None),
            Control::FailReauthentications(Times::NEVER),
            Control::FailInits { times: Times::NEVER, status: None },
            Control::Return(returns),
        ];
        for control in end {
            self.happens(Event::World(control))?;
        }
        if returns == Unanswered::Kept {
            let delay = self.chance.span(second(10), hour(3));
            self.later(delay, Event::World(Control::CloseConnections));
        }
        // What is refused or borrowed stays so until a human has been at it.
        if !self.world.truth().login && self.human.is_none() {
            let delay = self.chance.span(minute(5), hour(20));
            self.human = Some(self.at + delay);
            self.later(delay, Event::HumanLogsIn);
        }
        let pause = self.chance.span(second(30), self.weather.every * 2);
        self.later(pause, Event::Begins);
        Ok(())
    }

    /// The next disturbance is drawn, and begins.
    fn begins(&mut self) -> Result<(), String> {
        let soon = minute(1) + Duration::from_millis(self.chance.below(1000));
        let (events, lasts) = fate::disturbance(&mut self.chance, self.weather);
        let needs_no_confirmation = matches!(
            events[..],
            [Event::World(Control::Lapse | Control::LogOutElsewhere | Control::ExpireLogin | Control::Restart { .. })]
        );
        self.murky = !needs_no_confirmation;
        self.later(lasts.max(soon), Event::Over);
        for event in events {
            self.happens(event)?;
        }
        if self.silence.is_some() || self.program_asks > 0 {
            for event in fate::meanwhile(&mut self.chance) {
                let after = self.chance.span(second(1), lasts);
                self.later(after, event);
            }
        }
        Ok(())
    }

    fn midnight(&mut self) {
        if self.chance.below(10) < 8 {
            self.world.set(self.at, Control::ExpireLogin);
        }
        if self.chance.one_in(4) {
            self.world.set(self.at, Control::LogOutElsewhere);
        }
        let tomorrow = Region::NorthAmerica.login_ends(epoch() + self.at).unwrap_or(Timestamp::MAX);
        let left = Duration::try_from(tomorrow.duration_since(epoch() + self.at)).unwrap_or(hour(24));
        self.later(left.max(minute(1)), Event::Midnight);
    }
}
