//! Failed requests, by what the failure means, with a text that an operator can act on.

use std::fmt;
use std::time::Duration;

use super::Target;
use super::connect::{ConnectError, TlsError};
use super::http::HttpError;
use super::request::Request;
use super::wire::Refusal;
use crate::text::escaped;

/// A request that got no answer of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What was asked.
    pub request: Request,
    /// Of which gateway.
    pub url: String,
    /// The HTTP status, if the answer came so far.
    pub status: Option<u16>,
    /// What it means.
    pub kind: ErrorKind,
    /// What exactly came back or went wrong; empty if `kind` says it all.
    pub detail: String,
    /// The request was sent and IBKR has not answered it, as far as is known: the gateway may keep one of its five
    /// connections for it, also after its client has hung up.
    pub holds_place: bool,
    /// The beginning of a body that is not understood. Foreign text: redact before showing it.
    pub sample: Vec<u8>,
}

/// What a failed request means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Nothing listens on the port.
    NothingListens,
    /// No answer in time.
    NoAnswer,
    /// The connection broke under the request.
    Broken,
    /// The host's name does not resolve, or there is no way to it.
    Network,
    /// The certificate is not one that is trusted.
    Certificate,
    /// No TLS connection can be agreed upon: the detail says why.
    Tls,
    /// What answers is not a gateway.
    NotAGateway,
    /// 401: there is no login. `denied` when the body says "Access Denied".
    Unauthorized {
        /// The body says "Access Denied", as a wrong `ips.allow` also makes it.
        denied: bool,
    },
    /// A redirect to the login page, or that page itself: there is no login.
    LoginPage,
    /// There is no brokerage session.
    NoBrokerageSession,
    /// The gateway's own list of addresses refuses this host.
    AddressRefused,
    /// IBKR's edge refuses this host.
    EdgeRefused,
    /// The request is not known any more.
    Gone,
    /// Too many requests.
    TooManyRequests {
        /// `Retry-After`, where given.
        retry_after: Option<Duration>,
    },
    /// IBKR has a fault of its own.
    Ibkr,
    /// The answer cannot be understood.
    NotUnderstood,
}

impl ErrorKind {
    /// What happened, and what to do about it where that is known.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NothingListens => "nothing listens there; start the gateway, or correct the port",
            Self::NoAnswer => "no answer in time",
            Self::Broken => "the connection broke",
            Self::Network => "the host cannot be reached; check its name and the network",
            Self::Certificate => "the certificate is not trusted",
            Self::Tls => "TLS cannot be agreed upon",
            Self::NotAGateway => "what answers is not a gateway",
            Self::Unauthorized { denied: false } => "not logged in",
            Self::Unauthorized { denied: true } => {
                "access denied: not logged in, or this host is not in ips.allow of the gateway's conf.yaml"
            }
            Self::LoginPage => "not logged in: it sent the login page",
            Self::NoBrokerageSession => "there is no brokerage session",
            Self::AddressRefused => "access denied: add this host to ips.allow in the gateway's conf.yaml",
            Self::EdgeRefused => "IBKR's edge refuses this host; addresses of data centres often are",
            Self::Gone => "the request is unknown there",
            Self::TooManyRequests { .. } => "too many requests: nothing may be sent for 15 minutes",
            Self::Ibkr => "IBKR answered with an error",
            Self::NotUnderstood => "the answer cannot be understood",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.request.name(), self.url, self.kind.sentence())?;
        if let Some(status) = self.status {
            write!(f, " (status {status})")?;
        }
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// What a refusal means, with the beginning of its body where that is all there is to say.
pub(super) fn from_refusal(request: Request, target: &Target, status: u16, refusal: Refusal, sample: Vec<u8>) -> Error {
    let (kind, detail) = match refusal {
        Refusal::Unauthorized { denied } => (ErrorKind::Unauthorized { denied }, String::new()),
        Refusal::LoginPage => (ErrorKind::LoginPage, String::new()),
        Refusal::NoBrokerageSession => (ErrorKind::NoBrokerageSession, String::new()),
        Refusal::AddressRefused => (ErrorKind::AddressRefused, String::new()),
        Refusal::EdgeRefused => (ErrorKind::EdgeRefused, String::new()),
        Refusal::Gone => (ErrorKind::Gone, String::new()),
        Refusal::TooManyRequests { retry_after } => (ErrorKind::TooManyRequests { retry_after }, String::new()),
        Refusal::Ibkr => (ErrorKind::Ibkr, String::new()),
        Refusal::NotAGateway => (ErrorKind::NotAGateway, String::new()),
        Refusal::NotUnderstood(detail) => (ErrorKind::NotUnderstood, detail),
    };
    let sample = if kind == ErrorKind::NotUnderstood { sample } else { Vec::new() };
    // A proxy before the gateway gives up; the gateway does not.
    let holds_place = request.is_proxied() && status == 504;
    Error {
        request,
        url: target.url.to_string(),
        status: Some(status),
        kind,
        holds_place,
        detail: escaped(&detail),
        sample,
    }
}

/// What a failure below the answer means.
pub(super) fn from_http(request: Request, target: &Target, error: HttpError) -> Error {
    let is_unanswered = matches!(error, HttpError::TimedOut | HttpError::Broken { is_sent: true, .. });
    let holds_place = request.is_proxied() && is_unanswered;
    let (kind, detail) = match error {
        HttpError::Connect(error) => (from_connect(&error), error.to_string()),
        HttpError::TimedOut => (ErrorKind::NoAnswer, String::new()),
        HttpError::Broken { reason, .. } => (ErrorKind::Broken, reason),
        HttpError::NotHttp { .. } => (ErrorKind::NotAGateway, "what came is not HTTP".to_owned()),
        HttpError::Invalid(reason) => (ErrorKind::NotUnderstood, reason),
    };
    Error {
        request,
        url: target.url.to_string(),
        status: None,
        kind,
        holds_place,
        detail: escaped(&detail),
        sample: Vec::new(),
    }
}

const fn from_connect(error: &ConnectError) -> ErrorKind {
    match error {
        ConnectError::Refused => ErrorKind::NothingListens,
        ConnectError::Resolve(_) | ConnectError::Unreachable(_) => ErrorKind::Network,
        ConnectError::Elsewhere(_) | ConnectError::Tls(TlsError::Untrusted(_)) => ErrorKind::Certificate,
        ConnectError::Local(_) | ConnectError::TimedOut | ConnectError::Tls(TlsError::NoAnswer) => ErrorKind::NoAnswer,
        ConnectError::Broken(_) => ErrorKind::Broken,
        ConnectError::Tls(TlsError::Neither) => ErrorKind::NotAGateway,
        ConnectError::Tls(
            TlsError::Unusable(_)
            | TlsError::ShortKey(_)
            | TlsError::NothingInCommon(_)
            | TlsError::PlainHttp(_)
            | TlsError::NotPlainHttp(_)
            | TlsError::Setup(_),
        ) => ErrorKind::Tls,
    }
}
