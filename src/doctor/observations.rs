//! What was observed of one gateway, before it is evaluated. Pure.

use std::net::IpAddr;

use jiff::Timestamp;

use crate::gateway::certificate::Certificate;
use crate::gateway::ibkr_host::Unreachable;
use crate::gateway::probe;
use crate::gateway::stream::StreamDown;
use crate::gateway::wire::RawReply;
use crate::gateway::{ConnectError, GatewayUrl, Target, TlsError};
use crate::session::{Account, Unavailability};

/// A gateway to check.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    /// Its name in the configuration.
    pub(super) name: String,
    pub(super) target: Target,
    /// The kind of account the login should be for.
    pub(super) account: Account,
    /// This host's name, as people reach it.
    pub(super) here: String,
    /// Why `validate_sso` is not asked, which IBKR allows once a minute.
    pub(super) no_validation: Option<String>,
    /// Why requests of the daemon have no answer, while they have none. The doctor adds no other.
    pub(super) known_silence: Option<Unavailability>,
    /// IBKR's API host, if it may be connected to.
    pub(super) ibkr_host: Option<String>,
}

/// All that was observed of one gateway; `None` for what was not tried.
#[derive(Debug, Clone, Default)]
pub(super) struct Observations {
    /// The addresses of its host, or why there are none.
    pub(super) addresses: Option<Result<Vec<IpAddr>, ConnectError>>,
    pub(super) port: Option<PortState>,
    /// The address of this host, as the gateway sees it unless it is translated on the way.
    pub(super) own_address: Option<IpAddr>,
    pub(super) tls: Option<TlsState>,
    /// What something that speaks another protocol says to a plain GET.
    pub(super) banner: Option<Banner>,
    /// GET /, which a gateway answers by itself.
    pub(super) root: Option<ProbeResult>,
    /// POST /v1/api/iserver/auth/status, the last of them.
    pub(super) status: Option<ProbeResult>,
    /// The login page, where there is no login.
    pub(super) login_page: Option<ProbeResult>,
    /// GET /v1/api/sso/validate, where the session is gone.
    pub(super) validation: Option<ProbeResult>,
    /// GET /v1/api/iserver/accounts, where the session seems live.
    pub(super) accounts: Option<ProbeResult>,
    /// A websocket through the gateway, where IBKR did not answer a request.
    pub(super) websocket: Option<Result<(), StreamDown>>,
    /// A handshake with IBKR's API host, where no message came through the websocket either.
    pub(super) ibkr_host: Option<Result<(), Unreachable>>,
}

/// The outcome of a connection to the port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PortState {
    Open,
    Refused,
    Silent,
    Unreachable(String),
}

/// The outcome of TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TlsState {
    /// It is the one that is trusted.
    Trusted(Certificate),
    /// It is not, and why.
    Untrusted { certificate: Option<Certificate>, why: String },
    /// The trust cannot be set up on this side.
    NoTrust(String),
    /// It cannot be agreed upon.
    Failed(TlsError),
}

/// What something says to a plain GET.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Banner {
    /// An HTTP answer.
    Http(probe::ProbeAnswer),
    /// Something else; its first line.
    Other(String),
    /// Nothing.
    Nothing,
}

/// The outcome of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ProbeResult {
    Answer(TimedAnswer),
    /// Nothing in time.
    Silent,
    /// The connection broke.
    Broken(String),
}

/// An answer, and when it came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct TimedAnswer {
    pub(super) http: probe::ProbeAnswer,
    /// `Date`
    pub(super) date: Option<Timestamp>,
    /// When it came, by this host's clock.
    pub(super) came: Timestamp,
}

impl ProbeResult {
    /// The answer, if there is one.
    pub(super) const fn answer(&self) -> Option<&TimedAnswer> {
        match self {
            Self::Answer(answer) => Some(answer),
            Self::Silent | Self::Broken(_) => None,
        }
    }
}

impl TimedAnswer {
    /// The same as the client reads it.
    pub(super) fn reply(&self) -> RawReply<'_> {
        self.http.reply()
    }
}

impl Subject {
    pub(super) const fn url(&self) -> &GatewayUrl {
        &self.target.url
    }

    /// The host and port of the URL.
    pub(super) fn host_and_port(&self) -> (&str, u16) {
        (self.url().host(), self.url().port())
    }

    /// Whether the gateway is on this host, by its very name.
    pub(super) fn is_here(&self) -> bool {
        self.url().is_loopback()
    }
}
