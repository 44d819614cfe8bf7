//! What happens to the world and in it, and what the owner does about it.

use std::cmp::Reverse;
use std::time::Duration;

use jiff::SignedDuration;
use tickled::simulator::world::{Control, PLACES, Reach, Unanswered};

use super::super::almanac::Event;
use super::super::assumptions::fixed;
use super::super::owner;
use super::super::strategies::{Input, Outcome};
use super::super::tally::Wait;
use super::{Later, Life, Need};

impl Life {
    /// The owner looks, because of a call or not.
    pub(super) fn owner_comes(&mut self, is_called: bool) {
        let truth = self.truth;
        self.tell(|| format!("the owner comes, called: {is_called}, {truth:?}"));
        self.step(Input::OwnerCame);
        if truth.live && self.host_up {
            self.tally.in_vain += u64::from(is_called);
            return;
        }
        let is_fresh = self.at < self.not_live_since + fixed::PATIENCE;
        if truth.held_elsewhere && !truth.login {
            self.comes_again(fixed::NEXT_VISIT);
            return;
        }
        if truth.held_elsewhere || (is_fresh && !is_called) {
            return;
        }
        if !self.host_up || !truth.reachable || self.at < self.locked_until || !self.has_network {
            self.comes_again(fixed::NEXT_VISIT);
        } else if truth.wedged {
            self.restart(fixed::START);
            self.agenda.push(Reverse((self.at + fixed::LOGIN_AFTER_START, Later::OwnerLogsIn)));
        } else {
            self.owner_logs_in();
        }
    }

    pub(super) fn owner_logs_in(&mut self) {
        self.world.set(self.at - self.skipped, Control::LogIn);
        if self.world.truth().login && self.host_up {
            self.tally.logins += 1;
            self.logged_in_at = self.at;
            self.waits_for = Wait::FreshLogin;
        } else {
            self.comes_again(fixed::NEXT_LOGIN);
        }
    }

    pub(super) fn comes_again(&mut self, pause: Duration) {
        if !self.is_coming {
            self.is_coming = true;
            let at = self.at + pause;
            let at = self.almanac.sleeps_until(at).unwrap_or(at);
            self.agenda.push(Reverse((at, Later::OwnerComes)));
        }
    }

    pub(super) fn happens(&mut self, event: Event) {
        let here = self.at - self.skipped;
        self.tell(|| format!("{event:?}"));
        if let Some(wait) = event.has_the_session_wait() {
            self.waits_for = wait;
        }
        match event {
            Event::Lapse => self.world.set(here, Control::Lapse),
            Event::Kick => self.world.set(here, Control::LogOutElsewhere),
            Event::LoginEnds => self.world.set(here, Control::ExpireLogin),
            Event::Silent(is_silent, unanswered) => {
                self.is_silent = is_silent;
                self.reach(unanswered);
            }
            Event::Failing(status) => {
                self.is_failing = status;
                self.reach(Unanswered::Closed);
            }
            Event::Network(has_network) => {
                self.has_network = has_network;
                self.reach(Unanswered::Closed);
            }
            Event::Crash => self.restart(fixed::START),
            Event::Host(is_up) => {
                if is_up {
                    self.host_up = true;
                    self.step(Input::Start);
                } else {
                    self.restart(fixed::REBOOT + fixed::START);
                    self.host_up = false;
                    self.flights.clear();
                }
            }
            Event::Clock(by) => self.off = SignedDuration::from_secs(by),
            Event::Takes(competitor) => {
                if self.trades_since.is_none() {
                    self.trades_since = Some(self.truth.evictions);
                    self.world.set(here, Control::Compete(competitor));
                }
            }
            Event::Leaves => {
                self.trades_since = None;
                self.world.set(here, Control::Leave);
            }
            Event::Looks => self.owner_comes(false),
        }
    }

    /// Sets how IBKR is reached, after one of the reasons has changed.
    pub(super) fn reach(&mut self, unanswered: Unanswered) {
        let here = self.at - self.skipped;
        let is_away = self.is_silent || !self.has_network;
        let was_away = std::mem::replace(&mut self.is_away, is_away);
        let control = match self.is_failing {
            _ if is_away => Control::Ibkr(Reach::Away),
            Some(status) => {
                let after = if status == 503 { fixed::SLOW_ERROR } else { Duration::ZERO };
                Control::Ibkr(Reach::Failing { status, after })
            }
            None if was_away => Control::Return(unanswered),
            None => Control::Ibkr(Reach::Here),
        };
        self.world.set(here, control);
        if was_away && !is_away {
            let load = self.world.load();
            if self.world.truth().wedged && load.waiting_of_gateway < PLACES {
                self.tell(|| format!("wedged by the strategy: {load:?}"));
                self.tally.wedges += 1;
            }
        }
    }

    pub(super) fn restart(&mut self, down: Duration) {
        self.world.set(self.at - self.skipped, Control::Restart { down });
        for flight in &mut self.flights {
            flight.lands.get_or_insert((self.at, Outcome::Reset));
        }
        if self.stream.is_some() {
            self.close_stream();
            self.step(Input::StreamDown);
        }
    }

    /// Looks what has changed in truth.
    pub(super) fn look(&mut self) {
        let truth = self.world.truth();
        if self.trades_since.is_some_and(|evictions| truth.evictions >= evictions + fixed::GIVES_UP) {
            self.trades_since = None;
            self.world.set(self.at - self.skipped, Control::Leave);
        }
        let is_locked = self.at < self.locked_until;
        let is_solved = truth.login && truth.logged_in_here && !(truth.wedged && truth.reachable) && !is_locked;
        let can_begin = self.host_up && truth.reachable && truth.listening;
        match &self.need {
            None if !is_solved && can_begin => {
                self.tally.needs += 1;
                self.need = Some(Need { since: self.at, is_called: false });
                self.tell(|| format!("a human is needed: {truth:?}"));
            }
            Some(need) if is_solved => {
                let at_work = owner::at_work(&self.almanac, need.since, self.at);
                if !need.is_called && at_work > fixed::MISSED {
                    self.tally.missed += 1;
                    self.tell(|| "it was missed".to_owned());
                }
                self.need = None;
            }
            None | Some(_) => {}
        }
        if truth != self.truth {
            if self.truth.live && !truth.live {
                self.not_live_since = self.at;
            }
            if self.truth.live != truth.live {
                self.tell(|| if truth.live { "LIVE".to_owned() } else { format!("DOWN {truth:?}") });
            }
            self.truth = truth;
            self.calm = None;
            if self.strategy.knows_the_truth() {
                self.step(Input::Truth(truth));
            }
        }
    }
}
