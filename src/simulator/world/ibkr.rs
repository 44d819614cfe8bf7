//! IBKR's servers: the login, the one brokerage session of a user, and who else wants it.

use std::time::Duration;

use super::Options;
use super::answer::{Answer, AuthStatus, SessionId, Tickle, Validate, Verdict};
use super::call::{Call, Method, Route};
use super::control::{Competitor, Control, Established, LoginFault, Shows, Times, Who};
use super::pacing::Pacing;

/// The login: what only a human and a browser make.
#[derive(Clone, Copy, Debug)]
pub(super) struct Login {
    pub(super) since: Duration,
    pub(super) ends_at: Option<Duration>,
    pub(super) fault: Option<LoginFault>,
    pub(super) session: SessionId,
}

/// IBKR's side of the world. Everything in it happens when [`Ibkr::next`] says so, or because somebody asks.
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
            pacing: Pacing::default(),
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
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Lets happen what is due.
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
    }

    /// Answers a request that reached IBKR.
    pub(super) fn answer(&mut self, at: Duration, call: &Call, who: Who) -> Answer {
        if !call.user_agent && call.route != Route::Stream {
            return Answer::EdgeDenied;
        }
        if call.method == Method::Post && !call.content_length {
            return Answer::LengthRequired;
        }
        if let Some(answer) = self.answer_anybody(at, call) {
            return answer;
        }
        if self.pacing.refuses(at, &call.route, who) {
            return Answer::TooManyRequests;
        }
        let Some(login) = self.good_login() else {
            return Answer::Unauthorized;
        };
        if !takes(&call.route, call.method) {
            return Answer::MethodNotAllowed;
        }
        if !matches!(call.route, Route::SsoPing | Route::Validate) {
            self.last_request = at;
        }
        self.answer_logged_in(at, call, who == Who::Client, login)
    }

    /// What needs no login: the login page and where it posts to, and the opening of a websocket.
    fn answer_anybody(&mut self, at: Duration, call: &Call) -> Option<Answer> {
        if call.route == Route::LoginPage {
            Some(Answer::LoginPage)
        } else if call.route == Route::Dispatcher && call.method == Method::Post {
            self.log_in(at);
            Some(Answer::LoginSucceeds)
        } else if call.route == Route::Dispatcher {
            Some(Answer::LoginRedirect)
        } else if call.route == Route::Stream {
            Some(Answer::Upgrade)
        } else {
            None
        }
    }

    fn answer_logged_in(&mut self, at: Duration, call: &Call, client: bool, login: Login) -> Answer {
        match call.route {
            Route::SsoPing => Answer::SsoPing,
            Route::Validate => Answer::Validate(self.validate(at, client, login)),
            Route::Tickle if client && self.no_sessions.take() => Answer::NoSession,
            Route::Tickle => Answer::Tickle(Tickle {
                session: login.session,
                sso_expires_ms: sso_expires_ms(at, login),
                status: self.flags(),
            }),
            Route::Status => Answer::Status(self.status(client)),
            Route::Init if call.method == Method::Post => self.init(at, call),
            Route::Init | Route::St => {
                self.connected = true;
                Answer::Status(self.flags())
            }
            Route::Logout => {
                self.log_out();
                Answer::LoggedOut
            }
            Route::PortfolioAccounts => Answer::PortfolioAccounts { paper: self.paper },
            Route::Accounts | Route::Iserver(_) if !self.authenticated => Answer::NoBridge,
            Route::Accounts if self.competing || !self.established => Answer::EmptyAccounts,
            Route::Accounts => Answer::Accounts { paper: self.paper },
            Route::Iserver(_)
            | Route::Proxied(_)
            | Route::Unknown(_)
            | Route::Root
            | Route::GatewayStatus
            | Route::Reauthenticate
            | Route::LoginPage
            | Route::Dispatcher
            | Route::Stream => Answer::NotFound,
        }
    }

    /// Lets one of the controls that concern IBKR happen.
    pub(super) fn set(&mut self, at: Duration, control: &Control) {
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
            Control::Pacing(strict) => self.pacing.set(strict),
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
            | Control::Restart { .. }
            | Control::FailReauthentications(_)
            | Control::Script(_)
            | Control::Latency(_)
            | Control::Deny(_)
            | Control::Streams(_) => {}
        }
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

    fn status(&mut self, client: bool) -> AuthStatus {
        let flags = self.flags();
        if client && flags.authenticated && self.false_statuses.take() {
            return AuthStatus { authenticated: false, ..flags };
        }
        flags
    }

    fn validate(&mut self, at: Duration, client: bool, login: Login) -> Validate {
        let result = match client && self.false_results.take() {
            true if self.false_is_zero => Verdict::Zero,
            true => Verdict::False,
            false => Verdict::True,
        };
        Validate {
            result,
            auth_time_ms: self.options.epoch_ms + millis(login.since),
            expires_ms: sso_expires_ms(at, login),
            last_accessed_ms: self.options.epoch_ms + millis(self.last_request),
            paper: self.paper,
            borrowed: self.borrowed,
        }
    }

    /// An init raises the bridge. Whether it also authenticates, only a later status tells.
    fn init(&mut self, at: Duration, call: &Call) -> Answer {
        if !call.publish {
            return Answer::PublishMissing;
        }
        if self.failing_inits.take() {
            if let Some(status) = self.failing_init_status {
                return Answer::Trouble(status);
            }
            self.connected = true;
            return Answer::Status(AuthStatus { authenticated: false, ..self.flags() });
        }
        self.connected = true;
        if self.borrowed {
            return Answer::Status(self.flags());
        }
        if let Some(holder) = self.holder {
            if !call.compete || holder.stubborn {
                self.lose_authentication();
                self.competing = true;
                return Answer::Status(self.flags());
            }
            self.holder = None;
            self.evictions += 1;
            self.returns = holder.returns_after.map(|after| (at + after, holder));
            self.competing = true;
            self.fight_ends_at = Some(at + self.options.fight_lasts);
        }
        if !self.authenticated && self.authenticates_at.is_none() {
            if self.settle_authenticated.is_zero() {
                self.authenticate(at);
            } else {
                self.authenticates_at = Some(at + self.settle_authenticated);
            }
        }
        Answer::Status(self.flags())
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

/// Falls from 600000 and jumps back: no countdown to anything.
fn sso_expires_ms(at: Duration, login: Login) -> u64 {
    600_000 - millis(at.saturating_sub(login.since)) % 590_000
}

/// Which methods IBKR takes, where that is known: a validate by POST fails, the others are read either way.
fn takes(route: &Route, method: Method) -> bool {
    match method {
        Method::Get => true,
        Method::Post => !matches!(route, Route::Validate | Route::Accounts | Route::PortfolioAccounts),
        Method::Other => false,
    }
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
