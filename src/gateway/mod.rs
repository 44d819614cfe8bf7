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
//!     url: "https://localhost:5000".parse()?,
//!     answer_within: Duration::from_secs(15),
//!     trust: Trust::Loopback,
//! })?;
//! let status = client.check_auth_status().await?;
//! println!("authenticated: {}, connected: {}", status.authenticated, status.connected);
//! # Ok(()) }
//! ```

mod body;
pub mod certificate;
mod connect;
mod der;
mod error;
mod error_kind;
mod http;
pub mod ibkr_host;
mod metered;
pub mod probe;
mod request;
mod signature;
pub mod stream;
pub mod tls;
mod url;
pub mod wire;

pub use connect::{ConnectError, Elsewhere, TlsError};
pub use error::Error;
pub use error_kind::ErrorKind;
pub use ibkr_host::IbkrHost;
pub use request::Request;
pub use signature::Unusable;
pub use tls::{Fingerprint, Trust};
pub use url::{GatewayUrl, InvalidUrl};
pub use wire::{AccountsAnswer, AuthStatus, Logout, Reauthentication, SessionId, SsoValidation, Tickle};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use body::IncomingBody;
use connect::Connector;
use http::{CONNECT_WITHIN, GatewayHttp, HttpAnswer, HttpError, named};
use hyper::header::{CONTENT_ENCODING, LOCATION, RETRY_AFTER};
use wire::{RawReply, Refusal};

/// A gateway, and how to reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Where it is.
    pub url: GatewayUrl,
    /// How long one answer may take, head and body together. IBKR's own 503 takes ten seconds.
    pub answer_within: Duration,
    /// How to verify that it is the gateway.
    pub trust: Trust,
}

/// A client for one gateway. Cheap to clone; clones share the connection.
///
/// Each call sends one request, and never a second one: what is worth asking again is asked again by the caller, who
/// counts. After a failure the next call opens a fresh connection.
#[derive(Debug, Clone)]
pub struct Client {
    http: GatewayHttp,
    target: Target,
    /// Whether `check_auth_status` is asked by GET, because POST was refused.
    checks_by_get: Arc<AtomicBool>,
    keeps_session: bool,
    has_time_limit: bool,
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
}

impl Client {
    /// A client for `target`; connects when first used.
    ///
    /// # Errors
    /// When the trust cannot be set up, or is not for this address.
    pub fn new(target: Target) -> Result<Self, BuildError> {
        let connector = Connector::new(target.url.clone(), &target.trust)?;
        connector.check()?;
        Ok(Self {
            http: GatewayHttp::new(connector),
            target,
            checks_by_get: Arc::default(),
            keeps_session: false,
            has_time_limit: true,
        })
    }

    /// Makes pings return the session id, which [`Client::stream`] needs. Without this it is not read at all.
    #[must_use]
    pub fn with_session_ids(self) -> Self {
        Self { keeps_session: true, ..self }
    }

    /// Removes the time limit for answers: the call waits until the answer comes or the connection ends. Connecting
    /// keeps its limit, and so does [`Client::is_listening`], so that [`ErrorKind::NoAnswer`] means that the request
    /// was not sent.
    ///
    /// A call that is left standing has a connection of its own; the calls of clones go by others.
    #[must_use]
    pub fn without_time_limit(self) -> Self {
        Self { has_time_limit: false, ..self }
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
        let by_get = self.checks_by_get.load(Ordering::Relaxed);
        let body = if by_get { None } else { Request::Check.body() };
        let checked = self.send(Request::Check, body, wire::read_status).await;
        // Some builds know it by GET alone. The next check tries the other method; what works stays.
        checked.map_err(|error| {
            if !matches!(
                (error.kind, error.status),
                (ErrorKind::NotUnderstood | ErrorKind::Gone, Some(400 | 404 | 405))
            ) {
                return error;
            }
            self.checks_by_get.store(!by_get, Ordering::Relaxed);
            let detail = "it was refused; POST and GET are tried in turn".to_owned();
            Error { kind: ErrorKind::NotUnderstood, detail, ..error }
        })
    }

    /// Keeps login and session alive, and reports: POST /v1/api/tickle. IBKR allows one a second.
    ///
    /// # Errors
    /// What went wrong, by meaning.
    pub async fn ping_server(&self) -> Result<Tickle, Error> {
        self.ask(Request::Ping, wire::read).await
    }

    /// Asks the gateway to reopen the brokerage session: POST /v1/api/iserver/reauthenticate. Another client that uses
    /// the session is evicted. Only a later [`Client::check_auth_status`] shows whether it worked.
    ///
    /// # Errors
    /// What went wrong, by meaning.
    pub async fn reauthenticate(&self) -> Result<Reauthentication, Error> {
        self.ask(Request::Reauthenticate, wire::read_reauthentication).await
    }

    /// Asks IBKR for the brokerage session: POST /v1/api/iserver/auth/ssodh/init, with `publish` true. With `compete`,
    /// another client that uses the session is evicted.
    ///
    /// # Errors
    /// What went wrong, by meaning. A refusal because of another client is not an error but a status with `competing`.
    pub async fn open_brokerage(&self, compete: bool) -> Result<AuthStatus, Error> {
        self.ask(Request::OpenBrokerage { compete }, wire::read_status).await
    }

    /// Asks whether the login is valid: GET /v1/api/sso/validate. IBKR allows one a minute.
    ///
    /// # Errors
    /// What went wrong, by meaning; [`ErrorKind::Unauthorized`] means that there is no login.
    pub async fn validate_sso(&self) -> Result<SsoValidation, Error> {
        self.ask(Request::ValidateSso, wire::read).await
    }

    /// Ends the session: POST /v1/api/logout. Any further activity needs a login, or at least a reauthentication.
    ///
    /// # Errors
    /// What went wrong, by meaning.
    pub async fn end_session(&self) -> Result<Logout, Error> {
        self.ask(Request::EndSession, wire::read).await
    }

    /// The data call that proves a session: GET /v1/api/iserver/accounts.
    ///
    /// # Errors
    /// What went wrong, by meaning; [`ErrorKind::NoBrokerageSession`] when the brokerage session is missing.
    pub async fn accounts(&self) -> Result<AccountsAnswer, Error> {
        self.ask(Request::Accounts, wire::read).await
    }

    /// Asks whether the gateway process runs, whatever IBKR does: GET /, which it answers by itself.
    ///
    /// # Errors
    /// What went wrong, by meaning.
    pub async fn is_listening(&self) -> Result<(), Error> {
        self.ask(Request::IsListening, wire::read_listening).await
    }

    async fn ask<T>(&self, request: Request, read: ReplyReader<T>) -> Result<T, Error> {
        self.send(request, request.body(), read).await
    }

    async fn send<T>(&self, request: Request, json: Option<&'static str>, read: ReplyReader<T>) -> Result<T, Error> {
        let is_watch = request == Request::IsListening;
        let within = if is_watch { self.patience() } else { self.target.answer_within };
        let within = (is_watch || self.has_time_limit).then_some(within);
        let body = IncomingBody::new(self.keeps_session);
        let answer = match self.http.request(request.path(), json, body, within).await {
            Ok(answer) => answer,
            Err(error) => return Err(error::from_http(request, &self.target.url, self.explain(error).await)),
        };
        let reply = answer.reply();
        let mut refusal = match read(&reply) {
            Ok(read) => return Ok(read),
            Err(refusal) => refusal,
        };
        let url = &self.target.url;
        if refusal.kind == ErrorKind::NotUnderstood {
            if self.should_be_https(&reply).await {
                let tls = TlsError::NotPlainHttp(url.with_encryption(true));
                return Err(error::from_http(request, url, HttpError::Connect(tls.into())));
            }
            refusal.detail = answer.encoding().unwrap_or(refusal.detail);
        }
        Err(error::from_refusal(request, url, reply.status, refusal, answer.body.sample))
    }

    /// A connection in plain HTTP that ends without a word, or with TLS, may be one that should have been TLS.
    async fn explain(&self, error: HttpError) -> HttpError {
        let url = self.http.connector().url();
        let is_tls = match &error {
            _ if url.is_encrypted() => false,
            HttpError::NotHttp { is_tls, .. } => *is_tls,
            HttpError::Broken { silent: true, .. } => self.http.connector().speaks_tls(self.patience()).await,
            HttpError::Connect(_) | HttpError::TimedOut | HttpError::Broken { .. } | HttpError::Invalid(_) => false,
        };
        if is_tls { HttpError::Connect(TlsError::NotPlainHttp(url.with_encryption(true)).into()) } else { error }
    }

    /// To plain HTTP on their TLS port many servers answer 400 in plain HTTP.
    async fn should_be_https(&self, reply: &RawReply<'_>) -> bool {
        let connector = self.http.connector();
        reply.status == 400 && !connector.url().is_encrypted() && connector.speaks_tls(self.patience()).await
    }

    /// The gateway answers `is_listening` by itself, in milliseconds.
    fn patience(&self) -> Duration {
        CONNECT_WITHIN.min(self.target.answer_within)
    }
}

impl HttpAnswer {
    fn reply(&self) -> RawReply<'_> {
        let retry_after = named(&self.headers, &RETRY_AFTER).and_then(|seconds| seconds.parse().ok());
        RawReply {
            status: self.status,
            location: named(&self.headers, &LOCATION),
            retry_after: retry_after.map(Duration::from_secs),
            body: &self.body.bytes,
        }
    }

    /// What is wrong with an answer that is compressed, which no request asks for.
    fn encoding(&self) -> Option<String> {
        let encoding = named(&self.headers, &CONTENT_ENCODING).filter(|encoding| *encoding != "identity")?;
        let encoding: String = encoding.chars().take(20).collect();
        Some(format!(
            "its Content-Encoding is {encoding:?}, which was not asked for: something between here and the gateway \
             compresses answers"
        ))
    }
}

type ReplyReader<T> = fn(&RawReply<'_>) -> Result<T, Refusal>;
