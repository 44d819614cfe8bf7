//! What IBKR answers to a request that reached it.

use std::time::Duration;

use super::{Ibkr, Login};
use crate::simulator::world::answer::{Answer, AuthStatus, Tickle, Validate, Verdict};
use crate::simulator::world::call::{Call, Method, Route};
use crate::simulator::world::control::Who;
use crate::simulator::world::millis;

impl Ibkr {
    /// Answers a request that reached IBKR. `refused`: it exceeds a rate limit.
    pub(in crate::simulator::world) fn answer(&mut self, at: Duration, call: &Call, who: Who, refused: bool) -> Answer {
        if !call.user_agent {
            return Answer::EdgeDenied;
        }
        if call.method == Method::Post && !call.content_length {
            return Answer::LengthRequired;
        }
        if call.foreign {
            return Answer::Unauthorized;
        }
        if let Some(answer) = self.answer_without_login(at, call) {
            return answer;
        }
        if refused {
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

    /// What needs no login: the login page and where it posts to.
    fn answer_without_login(&mut self, at: Duration, call: &Call) -> Option<Answer> {
        if call.route == Route::LoginPage {
            Some(Answer::LoginPage)
        } else if call.route == Route::Dispatcher && call.method == Method::Post {
            self.log_in(at);
            Some(Answer::LoginSucceeds)
        } else if call.route == Route::Dispatcher {
            Some(Answer::LoginRedirect)
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
            Route::Accounts => {
                self.trading.prime();
                Answer::Accounts { paper: self.paper }
            }
            Route::Iserver(_) | Route::Proxied(_) => self.trading.answer(at, call, self.account()),
            Route::Unknown(_)
            | Route::Root
            | Route::GatewayStatus
            | Route::Reauthenticate
            | Route::LoginPage
            | Route::Dispatcher
            | Route::Stream => Answer::NotFound,
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
        Method::Delete => matches!(route, Route::Iserver(_)),
        Method::Other => false,
    }
}
