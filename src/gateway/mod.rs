//! The Client Portal Gateway, one method a request, and what went wrong by meaning.
//!
//! A client keeps one connection alive, follows no redirect, ignores the proxy variables, and believes nothing that is
//! not JSON: 200 alone means nothing. It needs no cookies, they live inside the gateway. It is a library of its own:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use tickled::gateway::{Client, Target, Trust};
//!
//! let client = Client::new(Target {
//!     url: "https://localhost:5000".to_owned(),
//!     answer_within: Duration::from_secs(15),
//!     trust: Trust::Loopback,
//! })?;
//! let status = client.check_auth_status().await?;
//! println!("authenticated: {}, connected: {}", status.authenticated, status.connected);
//! # Ok(()) }
//! ```

pub mod certificate;
mod fault;
mod place;
pub mod stream;
pub mod tls;
pub mod wire;

pub use fault::{Error, Fault};
pub use place::Elsewhere;
pub use tls::{Fingerprint, Trust};
pub use wire::{Accounts, AuthStatus, Call, Logout, Reauthentication, SessionId, SsoValidation, Tickle};

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Method, Response, Url, redirect};
use serde::Serialize;
use wire::{Refusal, Reply};

/// A gateway, and how to reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `scheme://host:port`, nothing behind it.
    pub url: String,
    /// How long one answer may take, head and body together. IBKR's own 503 takes ten seconds.
    pub answer_within: Duration,
    /// Whom to take for the gateway.
    pub trust: Trust,
}

/// A client for one gateway. Cheap to clone; clones share the connection.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    /// For the stream, which is no request.
    tls: Arc<rustls::ClientConfig>,
    target: Target,
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The trust cannot be set up.
    #[error(transparent)]
    Trust(#[from] tls::Error),
    /// The trust is for this host alone, and the gateway is elsewhere.
    #[error(transparent)]
    Elsewhere(#[from] Elsewhere),
    /// The HTTP library refuses.
    #[error("cannot set up HTTP: {0}")]
    Http(#[from] reqwest::Error),
}

impl Client {
    /// A client for `target`; connects when first used.
    ///
    /// # Errors
    /// When the trust or the HTTP library cannot be set up, or the trust is not for this address.
    pub fn new(target: Target) -> Result<Self, BuildError> {
        let tls = target.trust.config()?;
        if let Ok(url) = Url::parse(&target.url) {
            place::check(&url, &target.trust)?;
        }
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .dns_resolver(Arc::new(place::Resolver(target.trust.clone())))
            .user_agent(USER_AGENT)
            .timeout(target.answer_within)
            .connect_timeout(CONNECT_WITHIN.min(target.answer_within))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .http1_only()
            .pool_max_idle_per_host(1)
            .pool_idle_timeout(KEPT_ALIVE);
        Ok(Self { http: builder.build()?, tls: Arc::new(tls), target })
    }

    /// The gateway that this client talks to.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// Asks for the flags of the brokerage session: POST /v1/api/iserver/auth/status.
    ///
    /// # Errors
    /// What went wrong, by meaning. The first call of a fresh session may say `authenticated: false` although all is
    /// well: ask again after a second.
    pub async fn check_auth_status(&self) -> Result<AuthStatus, Error> {
        self.post(Call::CheckAuthStatus, Empty {}, wire::read_status).await
    }

    /// Keeps login and session alive, and reports: POST /v1/api/tickle. IBKR allows one a second.
    ///
    /// # Errors
    /// What went wrong, by meaning.
    pub async fn ping_server(&self) -> Result<Tickle, Error> {
        self.post(Call::PingServer, Empty {}, wire::read).await
    }

    /// Has the gateway take the brokerage session back: POST /v1/api/iserver/reauthenticate. It competes: whoever else
    /// uses the session is evicted. Whether it worked, only a later [`Client::check_auth_status`] tells.
    ///
    /// # Errors
    /// What went wrong, by meaning.
    pub async fn reauthenticate(&self) -> Result<Reauthentication, Error> {
        self.post(Call::Reauthenticate, Empty {}, wire::read_reauthentication).await
    }

    /// Asks IBKR for the brokerage session: POST /v1/api/iserver/auth/ssodh/init, with `publish` true. With `compete`
    /// whoever else uses the session is evicted.
    ///
    /// # Errors
    /// What went wrong, by meaning. A refusal because of somebody else is no error, but a status that says `competing`.
    pub async fn open_brokerage(&self, compete: bool) -> Result<AuthStatus, Error> {
        self.post(Call::OpenBrokerage, Init { publish: true, compete }, wire::read_status).await
    }

    /// Asks whether the login stands: GET /v1/api/sso/validate. IBKR allows one a minute.
    ///
    /// # Errors
    /// What went wrong, by meaning; [`Fault::Unauthorized`] means that there is no login.
    pub async fn validate_sso(&self) -> Result<SsoValidation, Error> {
        self.get(Call::ValidateSso, wire::read).await
    }

    /// Ends the session: POST /v1/api/logout. Any further activity needs a login, or at least a reauthentication.
    ///
    /// # Errors
    /// What went wrong, by meaning.
    pub async fn end_session(&self) -> Result<Logout, Error> {
        self.post(Call::EndSession, Empty {}, wire::read).await
    }

    /// The data call that proves a session: GET /v1/api/iserver/accounts.
    ///
    /// # Errors
    /// What went wrong, by meaning; [`Fault::NoBrokerageSession`] when the brokerage session is missing.
    pub async fn accounts(&self) -> Result<Accounts, Error> {
        self.get(Call::Accounts, wire::read).await
    }

    /// Asks whether the gateway process is there, whatever IBKR does: GET /, which it answers by itself.
    ///
    /// # Errors
    /// What went wrong, by meaning.
    pub async fn is_listening(&self) -> Result<(), Error> {
        self.get(Call::IsListening, wire::read_listening).await
    }

    async fn post<T>(&self, call: Call, body: impl Serialize + Copy, read: Reader<T>) -> Result<T, Error> {
        // The body is never empty: a POST without a Content-Length is answered with 411.
        self.ask(call, || self.http.request(Method::POST, self.url(call)).json(&body), read).await
    }

    async fn get<T>(&self, call: Call, read: Reader<T>) -> Result<T, Error> {
        self.ask(call, || self.http.request(Method::GET, self.url(call)), read).await
    }

    async fn ask<T>(
        &self,
        call: Call,
        request: impl Fn() -> reqwest::RequestBuilder,
        read: Reader<T>,
    ) -> Result<T, Error> {
        let mut asked = self.ask_once(call, request(), read).await;
        // A connection that broke tells nothing: one fresh one, for what only asks.
        if let Err(Error { fault: Fault::Broken, .. }) = asked
            && call.only_asks()
        {
            asked = self.ask_once(call, request(), read).await;
        }
        asked
    }

    async fn ask_once<T>(&self, call: Call, request: reqwest::RequestBuilder, read: Reader<T>) -> Result<T, Error> {
        let request = if call == Call::IsListening { request.timeout(self.patience()) } else { request };
        let failed = |error: reqwest::Error| fault::from_transport(call, &self.target, &error);
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let too_long = |what: &str| {
            let refusal = Refusal::NotUnderstood(format!("{what} of more than {} KiB", LIMIT / 1024));
            Err(fault::from_refusal(call, &self.target, status, refusal, &[]))
        };
        if length_of(response.headers()) > LIMIT {
            return too_long("a head");
        }
        let Some(body) = whole(&mut response).await.map_err(failed)? else {
            return too_long("a body");
        };
        // The connection goes back to its pool by tasks of its own: a next request that overtakes them opens another.
        for _ in 0..ROUNDS {
            tokio::task::yield_now().await;
        }
        let reply = Reply {
            status,
            location: header(response.headers(), &LOCATION),
            retry_after: header(response.headers(), &RETRY_AFTER).and_then(|s| s.parse().ok()).map(Duration::from_secs),
            body: &body,
        };
        read(&reply).map_err(|refusal| fault::from_refusal(call, &self.target, status, refusal, &body))
    }

    /// The gateway answers `is_listening` by itself, in milliseconds.
    fn patience(&self) -> Duration {
        CONNECT_WITHIN.min(self.target.answer_within)
    }

    fn url(&self, call: Call) -> String {
        format!("{}{}", self.target.url, call.path())
    }
}

type Reader<T> = fn(&Reply<'_>) -> Result<T, Refusal>;

#[derive(Clone, Copy, Serialize)]
struct Empty {}

#[derive(Clone, Copy, Serialize)]
struct Init {
    publish: bool,
    compete: bool,
}

fn header<'a>(headers: &'a HeaderMap, name: &reqwest::header::HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// How much of a head its headers are. It has come whole by then: the library's own limit is six times ours.
fn length_of(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// The body, or nothing when it passes the limit.
async fn whole(response: &mut Response) -> Result<Option<Vec<u8>>, reqwest::Error> {
    if response.content_length().is_some_and(|length| length > LIMIT as u64) {
        return Ok(None);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > LIMIT {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// An empty one is refused by IBKR's edge.
const USER_AGENT: &str = concat!("tickled/", env!("CARGO_PKG_VERSION"));
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
const KEPT_ALIVE: Duration = Duration::from_secs(90);
/// How often everybody else gets a turn before an answer is given out: enough for a thousand answers at once, as tokio
/// lets some sixty tasks run in a round.
const ROUNDS: u32 = 20;
/// No answer that is worth reading is longer.
const LIMIT: usize = 64 * 1024;
