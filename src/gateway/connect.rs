//! Connections to a gateway: its host is resolved, an address that the trust allows is connected to, TLS is negotiated.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::Trust;
use super::metered::{Meter, Metered};
use super::signature::Unusable;
use super::tls::{self, PinMismatch};
use super::url::{GatewayUrl, LOCALHOST};

/// A host whose certificate would not be verified, and that has an address of another machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{host} is at {address}, which is not this host: trust \"loopback\" takes any certificate, so it must not leave it"
)]
pub struct Elsewhere {
    /// The host by its name.
    pub host: String,
    /// An address of it that is not a loopback one.
    pub address: IpAddr,
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The host's name does not resolve.
    #[error("its name does not resolve: {0}")]
    Resolve(String),
    /// The host is not this one, and the trust is for this one alone.
    #[error(transparent)]
    Elsewhere(#[from] Elsewhere),
    /// Nothing listens on the port.
    #[error("connection refused")]
    Refused,
    /// There is no way to the host.
    #[error("{0}")]
    Unreachable(String),
    /// This host cannot open a connection.
    #[error("{0}")]
    Local(String),
    /// Nothing answered in time.
    #[error("no answer in time")]
    TimedOut,
    /// The connection ended while TLS was negotiated.
    #[error("the connection broke while TLS was negotiated: {0}")]
    Broken(String),
    /// TLS was not agreed upon.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Why TLS was not agreed upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsError {
    /// The certificate is not one that is trusted, or the server does not have its key.
    Untrusted(String),
    /// The certificate cannot be used, whether it is trusted or not.
    Unusable(String),
    /// The certificate's key is too short for the signature that was made with it.
    ShortKey(String),
    /// It speaks TLS, but no version or cipher that `tickled` speaks.
    NothingInCommon(String),
    /// It asks for a certificate of the client's.
    WantsCertificate(String),
    /// It answers in plain HTTP; this URL would do.
    PlainHttp(GatewayUrl),
    /// It answers in TLS where plain HTTP was asked for; this URL would do.
    NotPlainHttp(GatewayUrl),
    /// It answers, and neither in TLS nor in HTTP.
    Neither,
    /// It takes the connection, and does not answer.
    NoAnswer,
    /// The trust cannot be set up.
    Setup(String),
}

impl ConnectError {
    /// Whether the other side speaks TLS all the same.
    #[must_use]
    pub const fn is_over_tls(&self) -> bool {
        matches!(
            self,
            Self::Tls(
                TlsError::Untrusted(_)
                    | TlsError::Unusable(_)
                    | TlsError::ShortKey(_)
                    | TlsError::NothingInCommon(_)
                    | TlsError::WantsCertificate(_)
            )
        )
    }
}

impl TlsError {
    /// What was found, as part of a sentence.
    #[must_use]
    pub fn description(&self) -> String {
        match self {
            Self::Untrusted(reason) | Self::Setup(reason) => reason.clone(),
            Self::Unusable(reason) | Self::ShortKey(reason) => format!("its certificate cannot be used: {reason}"),
            Self::NothingInCommon(reason) => {
                format!("it speaks TLS, but no version or cipher that tickled speaks ({reason})")
            }
            Self::WantsCertificate(reason) => format!("it asks for a client certificate ({reason})"),
            Self::PlainHttp(_) => "it speaks plain HTTP, and the url says https".to_owned(),
            Self::NotPlainHttp(_) => "it speaks TLS, and the url says http".to_owned(),
            Self::Neither => "it speaks neither TLS nor HTTP".to_owned(),
            Self::NoAnswer => "it does not answer a TLS greeting".to_owned(),
        }
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        let remedy = match self {
            Self::Untrusted(_) | Self::Neither | Self::NoAnswer | Self::Setup(_) => return None,
            Self::Unusable(_) | Self::ShortKey(_) => {
                "give the gateway another certificate (sslCert in its conf.yaml)".to_owned()
            }
            Self::NothingInCommon(_) => "tickled speaks TLS 1.2 and 1.3 with AES-GCM or ChaCha20 and ECDHE on X25519, \
                                         P-256 or P-384: run the gateway with a newer Java, or give it a certificate \
                                         (sslCert in its conf.yaml) with an RSA, P-256, P-384 or Ed25519 key"
                .to_owned(),
            Self::WantsCertificate(_) => {
                "tickled has none, and a gateway asks for none: ask the gateway itself, or have \
                                          the proxy before it let this host in without one"
                    .to_owned()
            }
            Self::PlainHttp(url) if url.is_loopback() => {
                format!("write url = \"{url}\", or set listenSsl: true in the gateway's conf.yaml")
            }
            Self::PlainHttp(_) => {
                "set listenSsl: true in the gateway's conf.yaml: over a network a gateway must not be \
                                   asked in plain text"
                    .to_owned()
            }
            Self::NotPlainHttp(url) => {
                format!("write url = \"{url}\": a gateway has listenSsl: true unless it was changed")
            }
        };
        Some(remedy)
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.description())?;
        self.remedy().map_or(Ok(()), |remedy| write!(f, "; {remedy}"))
    }
}

impl std::error::Error for TlsError {}

/// Opens connections to one gateway.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    url: GatewayUrl,
    /// Whether the host must be this one.
    only_here: bool,
    tls: Arc<ClientConfig>,
    /// For servers whose RSA key is too short for `tls`.
    short_key_tls: Option<Arc<ClientConfig>>,
}

/// A connection.
pub(super) struct Connection {
    pub(super) io: Metered,
    /// What the gateway presented, if it was asked over TLS.
    pub(super) certificate: Option<CertificateDer<'static>>,
    /// The address of this host that the connection goes out from.
    pub(super) own_address: Option<IpAddr>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Connector {
    /// A connector for `url` by this trust.
    ///
    /// # Errors
    /// When the trust cannot be set up.
    pub(super) fn new(url: GatewayUrl, trust: &Trust) -> Result<Self, tls::Error> {
        let short_key_tls = trust.short_key_config().transpose()?.map(Arc::new);
        Ok(Self { url, only_here: *trust == Trust::Loopback, tls: Arc::new(trust.config()?), short_key_tls })
    }

    /// The same for any host. Its certificate is read, but not verified.
    pub(super) fn to_look(url: GatewayUrl) -> Result<Self, tls::Error> {
        Ok(Self { only_here: false, ..Self::new(url, &Trust::Loopback)? })
    }

    pub(super) const fn url(&self) -> &GatewayUrl {
        &self.url
    }

    /// Refuses a URL whose host is an address of another host. A name is looked at when it is resolved.
    pub(super) fn check(&self) -> Result<(), Elsewhere> {
        self.url.address().map_or(Ok(()), |address| self.allow([address]))
    }

    /// Connects within this time, TLS included.
    pub(super) async fn connect(&self, within: Duration) -> Result<Connection, ConnectError> {
        let addresses = self.resolve(within).await?;
        self.connect_to(&addresses, within).await
    }

    /// Resolves the host within this time.
    pub(super) async fn resolve(&self, within: Duration) -> Result<Vec<SocketAddr>, ConnectError> {
        let (host, port) = (self.url.host(), self.url.port());
        if host == LOCALHOST {
            // The gateway may listen on either family.
            let here = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
            return Ok(here.map(|address| SocketAddr::new(address, port)).to_vec());
        }
        let found = timeout_at(Instant::now() + within, lookup_host((host, port)));
        let found = found.await.map_err(|_| ConnectError::TimedOut)?;
        let addresses: Vec<_> = found.map_err(|error| ConnectError::Resolve(error.to_string()))?.collect();
        if addresses.is_empty() {
            return Err(ConnectError::Resolve("it has no address".to_owned()));
        }
        self.allow(addresses.iter().map(SocketAddr::ip))?;
        Ok(addresses)
    }

    /// Connects to one of these addresses within this time, TLS included.
    pub(super) async fn connect_to(
        &self,
        addresses: &[SocketAddr],
        within: Duration,
    ) -> Result<Connection, ConnectError> {
        let until = Instant::now() + within;
        let tcp = first(addresses, until).await?;
        let own_address = tcp.local_addr().ok().map(|own| own.ip());
        if !self.url.is_encrypted() {
            return Ok(Connection { io: Metered::new(Box::pin(tcp)), certificate: None, own_address });
        }
        let mut shaken = self.handshake(&self.tls, tcp, until).await;
        if let (Err(ConnectError::Tls(TlsError::ShortKey(_))), Some(tls)) = (&shaken, &self.short_key_tls) {
            shaken = self.handshake(tls, first(addresses, until).await?, until).await;
        }
        // Some servers close the connection without an alert when they have nothing in common with the client.
        if matches!(shaken, Err(ConnectError::Broken(_))) && answers_old_tls(addresses, until).await {
            let reason = "it ends the connection without a reason".to_owned();
            return Err(TlsError::NothingInCommon(reason).into());
        }
        let (io, certificate) = shaken?;
        Ok(Connection { io, certificate: Some(certificate), own_address })
    }

    async fn handshake(
        &self,
        tls: &Arc<ClientConfig>,
        tcp: TcpStream,
        until: Instant,
    ) -> Result<(Metered, CertificateDer<'static>), ConnectError> {
        let name = ServerName::try_from(self.url.host().to_owned());
        let name = name.map_err(|error| TlsError::Setup(error.to_string()))?;
        let tcp = Metered::new(Box::pin(tcp));
        let meter = tcp.meter();
        let connecting = TlsConnector::from(Arc::clone(tls)).connect(name, tcp);
        let stream = timeout_at(until, connecting).await.map_err(|_| TlsError::NoAnswer)?;
        let stream = stream.map_err(|error| self.handshake_failed(&error, &meter))?;
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).cloned();
        let certificate = certificate.ok_or_else(|| TlsError::Unusable("it presented none".to_owned()))?;
        Ok((Metered::new(Box::pin(stream)), certificate.into_owned()))
    }

    fn handshake_failed(&self, error: &io::Error, meter: &Meter) -> ConnectError {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match tls {
            Some(rustls::Error::InvalidCertificate(reason)) => certificate_refused(reason).into(),
            Some(error) if wants_certificate(error) => TlsError::WantsCertificate(error.to_string()).into(),
            Some(error) if meter.is_tls() => TlsError::NothingInCommon(error.to_string()).into(),
            _ if meter.first().starts_with(b"HTTP/") => TlsError::PlainHttp(self.url.with_encryption(false)).into(),
            Some(_) if !meter.first().is_empty() => TlsError::Neither.into(),
            Some(error) => TlsError::Setup(error.to_string()).into(),
            None => ConnectError::Broken(error.to_string()),
        }
    }

    /// Whether TLS is spoken where plain HTTP was tried.
    pub(super) async fn speaks_tls(&self, within: Duration) -> bool {
        let Ok(looking) = Self::to_look(self.url.with_encryption(true)) else { return false };
        looking.connect(within).await.map_or_else(|error| error.is_over_tls(), |_| true)
    }

    /// The same in plain HTTP or over TLS, whatever the URL says.
    pub(super) fn over(&self, tls: bool) -> Self {
        Self { url: self.url.with_encryption(tls), ..self.clone() }
    }

    /// Refuses addresses of other hosts, if the trust is for this one alone.
    pub(super) fn allow(&self, addresses: impl IntoIterator<Item = IpAddr>) -> Result<(), Elsewhere> {
        let far = addresses.into_iter().find(|address| self.only_here && !address.to_canonical().is_loopback());
        far.map_or(Ok(()), |address| Err(Elsewhere { host: self.url.host().to_owned(), address }))
    }
}

/// Whether the other side gave up because it was shown no certificate. In TLS 1.3 that comes after the handshake.
pub(super) const fn wants_certificate(error: &rustls::Error) -> bool {
    use rustls::AlertDescription::{AccessDenied, BadCertificate, CertificateRequired, NoCertificate, UnknownCA};
    matches!(
        error,
        rustls::Error::AlertReceived(CertificateRequired | BadCertificate | NoCertificate | UnknownCA | AccessDenied)
    )
}

/// Whether a greeting with the versions, curves and signatures that the TLS library lacks is answered in TLS.
async fn answers_old_tls(addresses: &[SocketAddr], until: Instant) -> bool {
    let answered = async {
        let mut tcp = first(addresses, until).await.ok()?;
        tcp.write_all(&old_greeting()).await.ok()?;
        let mut begins = [0; 2];
        tcp.read_exact(&mut begins).await.ok()?;
        // A handshake message; an alert would have come before as well.
        Some(begins == [0x16, 0x03])
    };
    timeout_at(until, answered).await.ok().flatten().unwrap_or_default()
}

/// A `ClientHello` for TLS 1.0 to 1.2.
fn old_greeting() -> Vec<u8> {
    const SUITES: [u16; 16] = [
        0xC02F, 0xC030, 0xC02B, 0xC02C, 0xCCA8, 0xCCA9, 0xC013, 0xC014, 0xC009, 0xC00A, 0x009C, 0x009D, 0x002F, 0x0035,
        0x000A, 0x00FF,
    ];
    const GROUPS: [u16; 5] = [0x001D, 0x0017, 0x0018, 0x0019, 0x001E];
    const SIGNATURES: [u16; 13] =
        [0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0201, 0x0203];
    let list = |numbers: &[u16]| sized(&numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<_>>());
    let extension = |kind: u8, content: Vec<u8>| [vec![0, kind], sized(&content)].concat();
    let extensions =
        [extension(10, list(&GROUPS)), extension(11, vec![1, 0]), extension(13, list(&SIGNATURES))].concat();
    let body = [vec![3, 3], vec![0x5A; 32], vec![0], list(&SUITES), vec![1, 0], sized(&extensions)].concat();
    let message = [vec![1, 0], sized(&body)].concat();
    [vec![0x16, 3, 1], sized(&message)].concat()
}

/// The bytes behind their length in two bytes.
fn sized(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or_default().to_be_bytes();
    [&length, bytes].concat()
}

/// Connects to the first address that takes a connection. Each gets a fair share of the time.
async fn first(addresses: &[SocketAddr], until: Instant) -> Result<TcpStream, ConnectError> {
    let mut failed = ConnectError::TimedOut;
    for (at, address) in addresses.iter().enumerate() {
        let left = until.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - at).unwrap_or(1);
        match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => {
                keep_alive(&tcp).map_err(|error| connect_failed(&error))?;
                return Ok(tcp);
            }
            // A family that this host does not have says nothing about the other one.
            Ok(Err(error)) if failed == ConnectError::TimedOut || error.kind() == io::ErrorKind::ConnectionRefused => {
                failed = connect_failed(&error);
            }
            Ok(Err(_)) | Err(_) => {}
        }
    }
    Err(failed)
}

/// Makes the kernel notice that the other host is gone, even while an answer is awaited for hours.
fn keep_alive(tcp: &TcpStream) -> io::Result<()> {
    sockopt::set_socket_keepalive(tcp, true)?;
    sockopt::set_tcp_keepidle(tcp, KEEPALIVE_EVERY)?;
    sockopt::set_tcp_keepintvl(tcp, KEEPALIVE_EVERY)?;
    Ok(sockopt::set_tcp_keepcnt(tcp, KEEPALIVE_PROBES)?)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the list is the standard library's, and grows")]
fn connect_failed(error: &io::Error) -> ConnectError {
    let no_such_family = error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error());
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ConnectError::Refused,
        io::ErrorKind::TimedOut => ConnectError::TimedOut,
        // A firewall of this host's own denies permission.
        io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown
        | io::ErrorKind::AddrNotAvailable
        | io::ErrorKind::PermissionDenied => ConnectError::Unreachable(error.to_string()),
        _ if no_such_family => ConnectError::Unreachable(error.to_string()),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => ConnectError::Broken(error.to_string()),
        _ => ConnectError::Local(error.to_string()),
    }
}

const KEEPALIVE_EVERY: Duration = Duration::from_secs(30);
const KEEPALIVE_PROBES: u32 = 4;

/// What a refused certificate means: not the expected one, or none that can be used.
#[expect(clippy::wildcard_enum_match_arm, reason = "the list is the TLS library's, and grows")]
fn certificate_refused(reason: &CertificateError) -> TlsError {
    let CertificateError::Other(other) = reason else {
        return match reason {
            CertificateError::BadEncoding
            | CertificateError::UnhandledCriticalExtension
            | CertificateError::InvalidPurpose
            | CertificateError::InvalidPurposeContext { .. } => unusable(&reason.to_string()),
            CertificateError::UnsupportedSignatureAlgorithmContext { .. }
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
                TlsError::Untrusted("no authority that is trusted has signed it".to_owned())
            }
            _ => TlsError::Untrusted(reason.to_string()),
        };
    };
    if let Some(mismatch) = other.0.downcast_ref::<PinMismatch>() {
        TlsError::Untrusted(mismatch.to_string())
    } else if let Some(short @ Unusable::RsaTooShortForPss(_)) = other.0.downcast_ref() {
        TlsError::ShortKey(short.to_string())
    } else {
        unusable(&other.to_string())
    }
}

/// The library's names for what is wrong, in words.
fn unusable(reason: &str) -> TlsError {
    let words = match reason {
        "CaUsedAsEndEntity" => {
            "it is that of an authority (CA:TRUE), which is accepted if it is itself in ca_file, or pinned"
        }
        "UnsupportedCertVersion" => "it is of X.509 version 1, which is accepted if it is itself in ca_file, or pinned",
        "UnhandledCriticalExtension" => {
            "it has a critical extension that is unknown, which is accepted if it is itself in ca_file, or pinned"
        }
        other => other,
    };
    TlsError::Unusable(words.to_owned())
}
