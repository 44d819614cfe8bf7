//! IBKR's servers: the login, the one brokerage session of a user, and who else wants it.

mod answers;
mod controls;

use std::time::Duration;

use super::Options;
use super::answer::{AuthStatus, SessionId};
use super::control::{Competitor, Established, LoginFault, Shows, Times};
use super::names;
use super::pacing::Pacing;
use super::trading::{Trading, View};

/// The login: what only a human and a browser make.
#[derive(Clone, Copy, Debug)]
pub(super) struct Login {
    pub(super) since: Duration,
    pub(super) ends_at: Option<Duration>,
    pub(super) fault: Option<LoginFault>,
    pub(super) session: SessionId,
}

/// IBKR's side of the world. Everything in it happens when [`Ibkr::next`] says so, or because of a request.
#[derive(Clone, Debug)]
pub(super) struct Ibkr {
    pub(super) login: Option<Login>,
    pub(super) authenticated: bool,
    pub(super) connected: bool,
    pub(super) competing: bool,
    pub(super) established: bool,
    pub(super) holder: Option<Competitor>,
    pub(super) evictions: u32,
    pub(super) pacing: Pacing,
    pub(super) trading: Trading,
    options: Options,
    logins: u32,
    last_request: Duration,
    authenticates_at: Option<Duration>,
    establishes_at: Option<Duration>,
    fight_ends_at: Option<Duration>,
    returns: Option<(Duration, Competitor)>,
    foreign_app: bool,
    borrowed: bool,
    refuses_logins: Option<LoginFault>,
    settle_authenticated: Duration,
    settle_established: Duration,
    shows_established: Established,
    paper: bool,
    failing_inits: Times,
    failing_init_status: Option<u16>,
    false_results: Times,
    false_is_zero: bool,
    no_sessions: Times,
    false_statuses: Times,
}

impl Ibkr {
    pub(super) fn new(options: &Options) -> Ibkr {
        Ibkr {
            login: None,
            authenticated: false,
            connected: false,
            competing: false,
            established: false,
            holder: None,
            evictions: 0,
            pacing: Pacing::new(options.limits),
            trading: Trading::new(options.epoch_ms),
            options: options.clone(),
            logins: 0,
            last_request: Duration::ZERO,
            authenticates_at: None,
            establishes_at: None,
            fight_ends_at: None,
            returns: None,
            foreign_app: false,
            borrowed: false,
            refuses_logins: None,
            settle_authenticated: Duration::ZERO,
            settle_established: Duration::ZERO,
            shows_established: Established::Follows,
            paper: options.paper,
            failing_inits: Times::NEVER,
            failing_init_status: None,
            false_results: Times::NEVER,
            false_is_zero: false,
            no_sessions: Times::NEVER,
            false_statuses: Times::NEVER,
        }
    }

    /// The login, where it is worth something.
    pub(super) fn good_login(&self) -> Option<Login> {
        self.login.filter(|login| login.fault.is_none())
    }

    pub(super) fn is_paper(&self) -> bool {
        self.paper
    }

    pub(super) fn is_borrowed(&self) -> bool {
        self.borrowed
    }

    /// The flags as IBKR would tell them now.
    pub(super) fn flags(&self) -> AuthStatus {
        AuthStatus {
            authenticated: self.authenticated,
            competing: self.competing,
            connected: self.connected,
            established: match self.shows_established {
                Established::Follows | Established::Never => Some(self.established),
                Established::Absent => None,
            },
        }
    }

    /// When something happens here by itself.
    pub(super) fn next(&self) -> Option<Duration> {
        [
            self.login.and_then(|login| login.ends_at),
            self.idles_at(),
            self.authenticates_at,
            self.establishes_at,
            self.fight_ends_at,
            self.returns.map(|(at, _)| at),
            self.trading.next(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Handles everything that is due.
    pub(super) fn advance(&mut self, at: Duration) {
        let due = |when: Option<Duration>| when.is_some_and(|when| when <= at);
        if due(self.login.and_then(|login| login.ends_at)) {
            self.end_login();
        }
        if due(self.idles_at()) {
            if self.borrowed {
                self.borrowed = false;
                self.end_login();
            } else {
                self.lapse();
            }
        }
        if due(self.authenticates_at) {
            self.authenticates_at = None;
            self.authenticate(at);
        }
        if due(self.establishes_at) {
            self.establishes_at = None;
            self.established = self.authenticated && self.shows_established != Established::Never;
        }
        if due(self.fight_ends_at) {
            self.fight_ends_at = None;
            self.competing = self.holder.is_some();
        }
        if let Some((when, competitor)) = self.returns
            && when <= at
        {
            self.compete(competitor);
        }
        if due(self.trading.next()) {
            self.trading.advance(at);
        }
    }

    /// The number of the account.
    pub(super) fn account(&self) -> &'static str {
        names::account(self.paper)
    }

    /// What a websocket sees of the trading side.
    pub(super) fn view(&self) -> View<'_> {
        let live = self.authenticated && self.connected && self.established && !self.competing;
        View { trading: &self.trading, account: self.account(), live }
    }

    /// The gateway restarted: its cookies are gone, and with them the login and the session on top.
    pub(super) fn forget(&mut self) {
        self.borrowed = false;
        self.end_login();
    }

    /// About six minutes without a request end the session. A borrowed login ends with its last request the same way.
    fn idles_at(&self) -> Option<Duration> {
        let borrowed = self.login.is_some() && self.borrowed && !self.foreign_app;
        (self.authenticated || borrowed).then(|| self.last_request + self.options.idle_after)
    }

    fn log_in(&mut self, at: Duration) {
        self.end_login();
        self.logins += 1;
        self.login = Some(Login {
            since: at,
            ends_at: self.options.login_lasts.map(|lasts| at + lasts),
            fault: self.refuses_logins,
            session: SessionId::new(self.options.seed, self.logins),
        });
        self.last_request = at;
        self.borrowed |= self.foreign_app;
    }

    fn end_login(&mut self) {
        self.log_out_session();
        self.login = None;
    }

    fn log_out(&mut self) {
        if !self.borrowed {
            self.log_out_session();
        }
    }

    fn log_out_session(&mut self) {
        self.lose_authentication();
        self.connected = false;
        self.competing = false;
        self.fight_ends_at = None;
    }

    fn lapse(&mut self) {
        if self.login.is_some() {
            self.lose_authentication();
            self.connected = true;
        }
    }

    fn lose_authentication(&mut self) {
        if self.authenticated {
            self.trading.end_session();
        }
        self.authenticated = false;
        self.established = false;
        self.authenticates_at = None;
        self.establishes_at = None;
    }

    fn compete(&mut self, competitor: Competitor) {
        self.holder = Some(competitor);
        self.returns = None;
        self.fight_ends_at = None;
        if self.good_login().is_none() {
            return;
        }
        match competitor.shows {
            Shows::Taken => {
                self.lapse();
                self.competing = true;
            }
            Shows::Both => self.competing = true,
            Shows::Quiet => {
                self.lapse();
                self.competing = false;
            }
        }
    }

    fn authenticate(&mut self, at: Duration) {
        self.authenticated = true;
        self.last_request = at;
        if self.settle_established.is_zero() {
            self.established = self.shows_established != Established::Never;
        } else {
            self.establishes_at = Some(at + self.settle_established);
        }
    }
}
