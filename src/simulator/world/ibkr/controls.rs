//! What each control does to the world.

use std::time::Duration;

use crate::simulator::world::World;
use crate::simulator::world::call::{Call, Route};
use crate::simulator::world::control::{Control, Established, LoginFault, Reach, Times, Unanswered};
use crate::simulator::world::pacing::Pacing;
use crate::simulator::world::places::Places;

impl World {
    /// Lets something happen to the world at `at`.
    pub fn set(&mut self, at: Duration, control: Control) {
        self.advance(at);
        let (at, ibkr) = (self.now, &mut self.ibkr);
        match control {
            Control::LogIn => {
                drop(self.route(&Call::post(Route::Dispatcher)));
            }
            Control::ExpireLogin => ibkr.end_login(),
            Control::ExpireLoginAt(when) => {
                if let Some(login) = &mut ibkr.login {
                    login.ends_at = Some(when.max(at));
                }
            }
            Control::Lapse => ibkr.lapse(),
            Control::LogOutElsewhere => ibkr.log_out(),
            Control::Compete(competitor) => ibkr.compete(competitor),
            Control::Leave => {
                (ibkr.holder, ibkr.returns, ibkr.fight_ends_at) = (None, None, None);
                ibkr.competing = false;
            }
            Control::Ibkr(Reach::Away) => {
                self.reach = Reach::Away;
                self.streams.go_silent();
            }
            Control::Ibkr(reach) => self.come_back(reach, Unanswered::Closed),
            Control::Return(unanswered) => self.come_back(Reach::Here, unanswered),
            Control::CloseConnections => {
                self.places.close();
                self.streams.close_handshakes();
            }
            Control::AuthDelay(delay) => self.process.auth_delay = delay,
            Control::Restart { down } => {
                self.process.restart(at, down);
                ibkr.forget();
                self.streams.close_all();
                self.places = Places::new();
            }
            Control::FailReauthentications(times) => self.process.failing = times,
            Control::FailInits { times, status } => (ibkr.failing_inits, ibkr.failing_init_status) = (times, status),
            Control::Script(rule) => self.rules.add(rule),
            Control::Clear => {
                self.rules.clear();
                self.process.failing = Times::NEVER;
                self.streams.refusing = Times::NEVER;
                ibkr.failing_inits = Times::NEVER;
                ibkr.false_results = Times::NEVER;
                ibkr.no_sessions = Times::NEVER;
                ibkr.false_statuses = Times::NEVER;
            }
            Control::Pacing(limits) => ibkr.pacing = Pacing::new(limits),
            Control::Latency(latency) => self.latency = latency,
            Control::Borrow(on) => {
                ibkr.foreign_app = on;
                if on && ibkr.login.is_some() {
                    ibkr.borrowed = true;
                    ibkr.lapse();
                }
            }
            Control::RefuseLogins(fault) => {
                ibkr.refuses_logins = fault;
                if let Some(login) = &mut ibkr.login
                    && login.fault == Some(LoginFault::NotEnabled)
                {
                    login.fault = fault;
                }
            }
            Control::FalseResults { times, zero } => (ibkr.false_results, ibkr.false_is_zero) = (times, zero),
            Control::NoSession(times) => ibkr.no_sessions = times,
            Control::FalseStatuses(times) => ibkr.false_statuses = times,
            Control::Established(shows) => {
                ibkr.shows_established = shows;
                ibkr.established = ibkr.authenticated && shows != Established::Never;
            }
            Control::Settle { authenticated, established } => {
                (ibkr.settle_authenticated, ibkr.settle_established) = (authenticated, established);
            }
            Control::Paper(paper) => ibkr.paper = paper,
            Control::Deny(denied) => self.denied = denied,
            Control::Streams(mode) => self.streams.set_mode(at, mode),
            Control::RefuseSubscriptions(times) => self.streams.refusing = times,
        }
        self.send_waiting();
        self.streams.tell(self.now, &self.ibkr);
    }
}
