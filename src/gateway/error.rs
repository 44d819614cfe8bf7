//! Failed requests, by what the failure means, with a text that an operator can act on.

use std::fmt;

use super::connect::{ConnectError, TlsError};
use super::error_kind::ErrorKind;
use super::http::HttpError;
use super::request::Request;
use super::url::GatewayUrl;
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

/// The meaning of a refusal, with the beginning of its body where nothing else is known.
pub(super) fn from_refusal(
    request: Request,
    url: &GatewayUrl,
    status: u16,
    refusal: Refusal,
    sample: Vec<u8>,
) -> Error {
    let Refusal { kind, detail } = refusal;
    let sample = if kind == ErrorKind::NotUnderstood { sample } else { Vec::new() };
    // A proxy before the gateway gives up; the gateway does not.
    let holds_place = request.is_proxied() && status == 504;
    Error { request, url: url.to_string(), status: Some(status), kind, holds_place, detail: escaped(&detail), sample }
}

/// What a failure below the answer means.
pub(super) fn from_http(request: Request, url: &GatewayUrl, error: HttpError) -> Error {
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
        url: url.to_string(),
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
            | TlsError::WantsCertificate(_)
            | TlsError::PlainHttp(_)
            | TlsError::NotPlainHttp(_)
            | TlsError::Setup(_),
        ) => ErrorKind::Tls,
    }
}
