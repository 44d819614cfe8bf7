//! Which gateway is trusted: any on the loopback, a pinned certificate, a CA file, or the system's list.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};
use rustls_platform_verifier::BuilderVerifierExt;

/// Whom to take for the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Any certificate. Only for a host whose every address is a loopback one: nobody stands in between.
    Loopback,
    /// A certificate with one of these fingerprints, whatever its name and dates.
    Pin(Vec<Fingerprint>),
    /// A certificate for the host's name, signed by one in this PEM file.
    CaFile(PathBuf),
    /// A certificate for the host's name that this system trusts.
    System,
    /// Whoever answers in plain HTTP, wherever it is; no certificate is good enough. Everybody on the way sees the
    /// session, and may speak in the gateway's name: the operator knows.
    Plain,
}

/// The SHA-256 of a certificate in DER, shown as `AA:BB:...`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The certificate that every downloaded gateway comes with. Its private key is in every download too, so it tells
    /// a gateway from something else, and not one gateway from another.
    pub const STOCK: Self = Self([
        0x13, 0xDA, 0xF8, 0x9A, 0x07, 0x12, 0xB9, 0x62, 0xC3, 0xEC, 0xAA, 0x5E, 0xDE, 0x34, 0x41, 0x00, 0xAE, 0xE0,
        0xD3, 0xB5, 0xDE, 0xC5, 0xA7, 0x9A, 0xBD, 0x76, 0x02, 0xA8, 0x12, 0xED, 0xA3, 0xBE,
    ]);

    /// The fingerprint of a certificate.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, certificate).as_ref());
        Self(bytes)
    }
}

/// What a gateway's certificate was, and what it should have been.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it presented {presented}, pinned is {}", list(.pinned))]
pub struct PinMismatch {
    /// The fingerprint of what was presented.
    pub presented: Fingerprint,
    /// The fingerprints that would have done.
    pub pinned: Vec<Fingerprint>,
}

/// Why a kind of trust cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The CA file cannot be read, or holds no certificate.
    #[error("cannot read certificates from {}: {reason}", .path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// The TLS library refuses.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
}

impl Trust {
    /// The TLS configuration for this trust. Sessions are not resumed: a resumed one would skip the check.
    ///
    /// # Errors
    /// When the CA file cannot be used, or the system has no list of its own.
    pub fn config(&self) -> Result<ClientConfig, Error> {
        let provider = provider();
        let builder =
            ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let verifier: Arc<dyn ServerCertVerifier> = match self {
            Self::Loopback => Arc::new(Presented { provider, pinned: None }),
            Self::Pin(pins) => Arc::new(Presented { provider, pinned: Some(pins.clone()) }),
            Self::CaFile(path) => {
                let roots = WebPkiServerVerifier::builder_with_provider(Arc::new(authorities(path)?), provider);
                roots.build().map_err(|error| no_authorities(path, &error))?
            }
            Self::Plain => Arc::new(Presented { provider, pinned: Some(Vec::new()) }),
            Self::System => return Ok(without_resumption(builder.with_platform_verifier()?.with_no_client_auth())),
        };
        Ok(without_resumption(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()))
    }
}

/// Whether [`Trust::CaFile`] can be had with this file.
///
/// # Errors
/// When it cannot be read, or holds no certificate.
pub fn certificates(path: &Path) -> Result<(), Error> {
    authorities(path).map(drop)
}

/// The certificates in a file, of which there is at least one.
fn authorities(path: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    let unread = |error: pem::Error| no_authorities(path, &error);
    for certificate in CertificateDer::pem_file_iter(path).map_err(unread)? {
        let certificate = certificate.map_err(unread)?;
        roots.add(certificate).map_err(|error| no_authorities(path, &error))?;
    }
    if roots.is_empty() { Err(no_authorities(path, &"there is none in it")) } else { Ok(roots) }
}

fn no_authorities(path: &Path, reason: &dyn fmt::Display) -> Error {
    Error::CaFile { path: path.to_owned(), reason: reason.to_string() }
}

/// The one place that names the cryptography in use.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn without_resumption(mut config: ClientConfig) -> ClientConfig {
    config.resumption = Resumption::disabled();
    config
}

/// Judges a certificate by its fingerprint alone, and its owner by a real signature: who only replays it is refused.
#[derive(Debug)]
struct Presented {
    provider: Arc<CryptoProvider>,
    /// None takes any certificate.
    pinned: Option<Vec<Fingerprint>>,
}

impl ServerCertVerifier for Presented {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let presented = Fingerprint::of(end_entity);
        match &self.pinned {
            Some(pinned) if !pinned.contains(&presented) => {
                let mismatch = PinMismatch { presented, pinned: pinned.clone() };
                Err(CertificateError::Other(OtherError(Arc::new(mismatch))).into())
            }
            Some(_) | None => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            let colon = if i == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

/// A text that is no fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 fingerprint is 64 hexadecimal digits, colons and spaces aside; this one {0}")]
pub struct NoFingerprint(String);

impl FromStr for Fingerprint {
    type Err = NoFingerprint;

    fn from_str(text: &str) -> Result<Self, NoFingerprint> {
        let mut digits = Vec::with_capacity(64);
        for c in text.chars().filter(|c| !matches!(c, ':' | ' ')) {
            let digit = c.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            digits.push(digit.ok_or_else(|| NoFingerprint(format!("has {c:?} in it")))?);
        }
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() {
            return Err(NoFingerprint(format!("has {}", digits.len())));
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair.iter().fold(0, |byte, digit| byte << 4 | digit);
        }
        Ok(Self(bytes))
    }
}

fn list(pins: &[Fingerprint]) -> String {
    pins.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}
