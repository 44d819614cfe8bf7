//! A closer look at what is behind a gateway's address, for diagnosis: step by step, and with the answers as they come.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hyper::header::{DATE, LOCATION, SERVER};

use super::body::IncomingBody;
use super::certificate::{self, Certificate};
use super::connect::{ConnectError, Connection, Connector, Elsewhere};
use super::http::{self, GatewayHttp, HttpError};
use super::request::Request;
use super::wire::RawReply;
use super::{Target, tls};

/// Looks at one gateway.
#[derive(Debug)]
pub struct Probe {
    http: GatewayHttp,
    /// For any host and any certificate. Neither is trusted.
    looking: Connector,
}

/// A connection that was made, and closed again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// What the gateway presented, if it was asked over TLS.
    pub certificate: Option<Certificate>,
    /// The address of this host that the connection went out from.
    pub own_address: Option<IpAddr>,
}

/// An answer, as far as it is judged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProbeAnswer {
    /// The HTTP status.
    pub status: u16,
    /// `Location`
    pub location: Option<String>,
    /// `Server`; foreign text.
    pub server: Option<String>,
    /// `Date`
    pub date: Option<String>,
    /// What the client keeps of the body.
    pub body: Vec<u8>,
}

impl ProbeAnswer {
    /// The same as the client reads it.
    #[must_use]
    pub fn reply(&self) -> RawReply<'_> {
        RawReply { status: self.status, location: self.location.as_deref(), retry_after: None, body: &self.body }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAnswer {
    /// None came in time.
    TimedOut,
    /// The connection broke, or the answer is not valid.
    Broken(String),
    /// What came is not HTTP; this is how it begins.
    NotHttp(Vec<u8>),
}

impl From<HttpError> for NoAnswer {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Connect(ConnectError::TimedOut) | HttpError::TimedOut => Self::TimedOut,
            HttpError::Connect(error) => Self::Broken(error.to_string()),
            HttpError::Broken { reason, .. } | HttpError::Invalid(reason) => Self::Broken(reason),
            HttpError::NotHttp { first, .. } => Self::NotHttp(first),
        }
    }
}

impl From<Connection> for Contact {
    fn from(connection: Connection) -> Self {
        let certificate = connection.certificate.as_ref().map(|der| certificate::read(der));
        Self { certificate, own_address: connection.own_address }
    }
}

impl Probe {
    /// A probe for `target`.
    ///
    /// # Errors
    /// When its trust cannot be set up.
    pub fn new(target: &Target) -> Result<Self, tls::Error> {
        let connector = Connector::new(target.url.clone(), &target.trust)?;
        Ok(Self { http: GatewayHttp::new(connector), looking: Connector::to_look(target.url.clone())? })
    }

    /// Resolves the host, wherever it is.
    ///
    /// # Errors
    /// When it has no address.
    pub async fn resolve(&self, within: Duration) -> Result<Vec<SocketAddr>, ConnectError> {
        self.looking.resolve(within).await
    }

    /// Whether the trust allows these addresses.
    ///
    /// # Errors
    /// When it is for this host alone, and one of them is not.
    pub fn allows(&self, addresses: &[SocketAddr]) -> Result<(), Elsewhere> {
        self.http.connector().allow(addresses.iter().map(SocketAddr::ip))
    }

    /// Connects as the client does.
    ///
    /// # Errors
    /// Why there is no connection.
    pub async fn connect(&self, addresses: &[SocketAddr], within: Duration) -> Result<Contact, ConnectError> {
        self.http.connector().connect_to(addresses, within).await.map(Contact::from)
    }

    /// Connects to whatever is there, with any certificate, over TLS.
    ///
    /// # Errors
    /// Why there is no connection.
    pub async fn look(&self, addresses: &[SocketAddr], within: Duration) -> Result<Contact, ConnectError> {
        self.looking.over(true).connect_to(addresses, within).await.map(Contact::from)
    }

    /// Asks as the client does.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn request(&self, request: Request, within: Duration) -> Result<ProbeAnswer, NoAnswer> {
        self.send(&self.http, request.path(), request.body(), within).await
    }

    /// Gets a page.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn get(&self, path: &str, within: Duration) -> Result<ProbeAnswer, NoAnswer> {
        self.send(&self.http, path, None, within).await
    }

    /// Gets a page in plain HTTP, whatever the URL says.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn get_plain(&self, path: &str, within: Duration) -> Result<ProbeAnswer, NoAnswer> {
        self.send(&GatewayHttp::new(self.looking.over(false)), path, None, within).await
    }

    async fn send(
        &self,
        http: &GatewayHttp,
        path: &str,
        json: Option<&'static str>,
        within: Duration,
    ) -> Result<ProbeAnswer, NoAnswer> {
        let answer = http.request(path, json, IncomingBody::new(false), Some(within)).await.map_err(NoAnswer::from)?;
        let text = |name| http::named(&answer.headers, name).map(ToOwned::to_owned);
        Ok(ProbeAnswer {
            status: answer.status,
            location: text(&LOCATION),
            server: text(&SERVER),
            date: text(&DATE),
            body: answer.body.bytes,
        })
    }
}
