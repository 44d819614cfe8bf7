//! What the controls do to IBKR.

use std::time::Duration;

use super::Ibkr;
use crate::simulator::world::control::{Control, Established, LoginFault, Times};
use crate::simulator::world::pacing::Pacing;

impl Ibkr {
    /// Lets one of the controls that concern IBKR happen.
    pub(in crate::simulator::world) fn set(&mut self, at: Duration, control: &Control) {
        match *control {
            Control::ExpireLogin => self.end_login(),
            Control::ExpireLoginAt(when) => {
                if let Some(login) = &mut self.login {
                    login.ends_at = Some(when.max(at));
                }
            }
            Control::Lapse => self.lapse(),
            Control::LogOutElsewhere => self.log_out(),
            Control::Compete(competitor) => self.compete(competitor),
            Control::Leave => {
                self.holder = None;
                self.returns = None;
                self.fight_ends_at = None;
                self.competing = false;
            }
            Control::FailInits { times, status } => {
                self.failing_inits = times;
                self.failing_init_status = status;
            }
            Control::Pacing(limits) => self.pacing = Pacing::new(limits),
            Control::Borrow(on) => {
                self.foreign_app = on;
                if on && self.login.is_some() {
                    self.borrowed = true;
                    self.lapse();
                }
            }
            Control::RefuseLogins(fault) => {
                self.refuses_logins = fault;
                if let Some(login) = &mut self.login
                    && login.fault == Some(LoginFault::NotEnabled)
                {
                    login.fault = fault;
                }
            }
            Control::FalseResults { times, zero } => {
                self.false_results = times;
                self.false_is_zero = zero;
            }
            Control::NoSession(times) => self.no_sessions = times,
            Control::FalseStatuses(times) => self.false_statuses = times,
            Control::Established(shows) => {
                self.shows_established = shows;
                self.established = self.authenticated && shows != Established::Never;
            }
            Control::Settle { authenticated, established } => {
                self.settle_authenticated = authenticated;
                self.settle_established = established;
            }
            Control::Paper(paper) => self.paper = paper,
            Control::Clear => {
                self.failing_inits = Times::NEVER;
                self.false_results = Times::NEVER;
                self.no_sessions = Times::NEVER;
                self.false_statuses = Times::NEVER;
            }
            Control::LogIn
            | Control::Ibkr(_)
            | Control::Return(_)
            | Control::CloseConnections
            | Control::AuthDelay(_)
            | Control::Restart { .. }
            | Control::FailReauthentications(_)
            | Control::Script(_)
            | Control::Latency(_)
            | Control::Deny(_)
            | Control::Streams(_)
            | Control::RefuseSubscriptions(_) => {}
        }
    }
}
