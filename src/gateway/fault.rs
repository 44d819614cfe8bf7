//! What went wrong with a request, by meaning, and in words that an operator can act on.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::time::Duration;

use reqwest::Url;
use rustix::io::Errno;

use super::Target;
use super::place::{Elsewhere, LOCALHOST};
use super::tls::PinMismatch;
use super::wire::{Call, Refusal};

/// A request that got no answer of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What was asked.
    pub call: Call,
    /// Of which gateway.
    pub url: String,
    /// The HTTP status, if the answer came so far.
    pub status: Option<u16>,
    /// What it means.
    pub fault: Fault,
    /// What exactly came back or went wrong; empty if `fault` says it all.
    pub detail: String,
    /// The beginning of a body that is not understood. Foreign text: redact before showing it.
    pub sample: Vec<u8>,
}

/// What a failed request means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
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
    /// What answers is not a gateway, or speaks TLS where plain HTTP was asked for, or the reverse.
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

impl Fault {
    /// What happened, and what to do about it where that is known.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NothingListens => "nothing listens there; start the gateway, or correct the port",
            Self::NoAnswer => "no answer in time",
            Self::Broken => "the connection broke",
            Self::Network => "the host cannot be reached; check its name and the network",
            Self::Certificate => "the certificate is not trusted",
            Self::NotAGateway => "what answers is not a gateway",
            Self::Unauthorized { denied: false } => "nobody is logged in",
            Self::Unauthorized { denied: true } => {
                "access denied: nobody is logged in, or this host is not in ips.allow of the gateway's conf.yaml"
            }
            Self::LoginPage => "the login page came: nobody is logged in",
            Self::NoBrokerageSession => "there is no brokerage session",
            Self::AddressRefused => "access denied: add this host to ips.allow in the gateway's conf.yaml",
            Self::EdgeRefused => "IBKR's edge refuses this host; addresses of data centres often are",
            Self::Gone => "the request is not known there",
            Self::TooManyRequests { .. } => "too many requests; silence is due for a quarter of an hour",
            Self::Ibkr => "IBKR has a fault of its own",
            Self::NotUnderstood => "the answer cannot be understood",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.call.name(), self.url, self.fault.sentence())?;
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
pub(super) fn from_refusal(call: Call, target: &Target, status: u16, refusal: Refusal, body: &[u8]) -> Error {
    let (fault, detail) = match refusal {
        Refusal::Unauthorized { denied } => (Fault::Unauthorized { denied }, String::new()),
        Refusal::LoginPage => (Fault::LoginPage, String::new()),
        Refusal::NoBrokerageSession => (Fault::NoBrokerageSession, String::new()),
        Refusal::AddressRefused => (Fault::AddressRefused, String::new()),
        Refusal::EdgeRefused => (Fault::EdgeRefused, String::new()),
        Refusal::Gone => (Fault::Gone, String::new()),
        Refusal::TooManyRequests { retry_after } => (Fault::TooManyRequests { retry_after }, String::new()),
        Refusal::Ibkr => (Fault::Ibkr, String::new()),
        Refusal::NotAGateway => (Fault::NotAGateway, String::new()),
        Refusal::NotUnderstood(detail) => (Fault::NotUnderstood, detail),
    };
    let sample = if fault == Fault::NotUnderstood { body.iter().copied().take(SAMPLE).collect() } else { Vec::new() };
    Error { call, url: target.url.clone(), status: Some(status), fault, detail, sample }
}

/// What a transport's failure means. The library's own text is useless alone, so the whole chain is looked through.
pub(super) fn from_transport(call: Call, target: &Target, error: &reqwest::Error) -> Error {
    let causes = causes(error);
    let fault = if error.is_timeout() {
        Fault::NoAnswer
    } else if is_localhost(target) && error.is_connect() && causes.iter().any(|cause| cause.lacks_address) {
        // Of two families the library tells what went wrong with the second: this host has no IPv6, and nothing listens
        // on its IPv4, which was tried first.
        Fault::NothingListens
    } else if let Some(fault) = causes.iter().find_map(|cause| cause.fault) {
        fault
    } else if error.is_connect() && causes.iter().any(|cause| cause.text.contains("dns error")) {
        Fault::Network
    } else if error.is_connect() && causes.iter().any(|cause| cause.text.contains("open files")) {
        Fault::NoAnswer
    } else if causes.iter().any(|cause| cause.text.contains("invalid HTTP version")) {
        Fault::NotAGateway
    } else if causes.iter().any(|cause| cause.is_nonsense) {
        Fault::NotUnderstood
    } else {
        Fault::Broken
    };
    let hint = match fault {
        Fault::NotAGateway if causes.iter().any(|cause| cause.text.contains("corrupt message")) => {
            "; it speaks no TLS: a gateway with listenSsl: false is asked by http://"
        }
        Fault::NotAGateway if target.url.starts_with("http:") => {
            "; a gateway with listenSsl: true, as it comes, is asked by https://"
        }
        Fault::NotAGateway
        | Fault::NothingListens
        | Fault::NoAnswer
        | Fault::Broken
        | Fault::Network
        | Fault::Certificate
        | Fault::Unauthorized { .. }
        | Fault::LoginPage
        | Fault::NoBrokerageSession
        | Fault::AddressRefused
        | Fault::EdgeRefused
        | Fault::Gone
        | Fault::TooManyRequests { .. }
        | Fault::Ibkr
        | Fault::NotUnderstood => "",
    };
    let last = causes.last().map_or("", |cause| cause.text.as_str());
    Error {
        call,
        url: target.url.clone(),
        status: error.status().map(|status| status.as_u16()),
        fault,
        detail: format!("{last}{hint}"),
        sample: Vec::new(),
    }
}

struct Cause {
    text: String,
    fault: Option<Fault>,
    /// What came is no HTTP.
    is_nonsense: bool,
    /// This host has no address of the family that was asked for.
    lacks_address: bool,
}

impl Cause {
    const fn of(fault: Option<Fault>, text: String) -> Self {
        Self { text, fault, is_nonsense: false, lacks_address: false }
    }
}

/// The causes behind an error, outermost first. `io::Error::source` skips the error inside, where TLS puts its own.
fn causes(error: &reqwest::Error) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            let is_nonsense = matches!(io.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData);
            let lacks_address = lacks_address(io);
            causes.push(Cause { is_nonsense, lacks_address, ..Cause::of(from_io(io), cause.to_string()) });
            let inner: Option<&(dyn std::error::Error + 'static)> = match io.get_ref() {
                Some(inner) => Some(inner),
                None => cause.source(),
            };
            next = inner;
        } else if let Some(elsewhere) = cause.downcast_ref::<Elsewhere>() {
            causes.push(Cause::of(Some(Fault::Certificate), elsewhere.to_string()));
            next = None;
        } else if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            causes.push(from_tls(tls));
            next = None;
        } else {
            let is_nonsense = cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse);
            causes.push(Cause { is_nonsense, ..Cause::of(None, cause.to_string()) });
            next = cause.source();
        }
    }
    causes
}

fn is_localhost(target: &Target) -> bool {
    Url::parse(&target.url).is_ok_and(|url| url.host_str() == Some(LOCALHOST))
}

fn lacks_address(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error())
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the list is the standard library's, and grows")]
fn from_io(error: &io::Error) -> Option<Fault> {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Some(Fault::NothingListens),
        _ if lacks_address(error) => Some(Fault::Network),
        // A firewall of this host's own says that nobody may go there.
        io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown
        | io::ErrorKind::PermissionDenied => Some(Fault::Network),
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => Some(Fault::Broken),
        io::ErrorKind::TimedOut => Some(Fault::NoAnswer),
        _ => None,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the list is the TLS library's, and grows")]
fn from_tls(error: &rustls::Error) -> Cause {
    let mismatch = match error {
        rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)) => {
            other.0.downcast_ref::<PinMismatch>().map(ToString::to_string)
        }
        _ => None,
    };
    let fault = match error {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => Fault::Certificate,
        _ => Fault::NotAGateway,
    };
    Cause::of(Some(fault), mismatch.unwrap_or_else(|| error.to_string()))
}

/// How much of a body that is not understood is kept.
const SAMPLE: usize = 512;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use reqwest::dns::{Name, Resolve, Resolving};
    use rustix::io::Errno;

    use super::*;
    use crate::gateway::Trust;

    /// As a connection that fails so: what a resolver says comes the same way.
    struct Failing(Errno);

    impl Resolve for Failing {
        fn resolve(&self, _: Name) -> Resolving {
            let error = io::Error::from(self.0);
            Box::pin(async move { Err(error.into()) })
        }
    }

    async fn meant(errno: Errno, host: &str) -> Fault {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(Trust::Loopback.config().expect("trust"))
            .dns_resolver(Arc::new(Failing(errno)))
            .no_proxy()
            .build()
            .expect("a client");
        let target = Target {
            url: format!("https://{host}:5000"),
            answer_within: Duration::from_secs(10),
            trust: Trust::Loopback,
        };
        let error = client.get(&target.url).send().await.expect_err("a refusal");
        from_transport(Call::PingServer, &target, &error).fault
    }

    #[tokio::test]
    async fn a_host_without_ipv6_still_tells_that_nothing_listens() {
        for errno in [Errno::ADDRNOTAVAIL, Errno::AFNOSUPPORT] {
            assert_eq!(meant(errno, "localhost").await, Fault::NothingListens, "{errno}");
            assert_eq!(meant(errno, "desk").await, Fault::Network, "{errno}");
        }
        for errno in [Errno::PERM, Errno::ACCESS, Errno::NETUNREACH] {
            assert_eq!(meant(errno, "localhost").await, Fault::Network, "{errno}");
        }
        assert_eq!(meant(Errno::CONNREFUSED, "desk").await, Fault::NothingListens);
    }
}
