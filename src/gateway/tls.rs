//! Which gateway is trusted: any on the loopback, a pinned certificate, a CA file, or the system's list.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, ProtocolVersion, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
};
use rustls_platform_verifier::BuilderVerifierExt;
use webpki_roots::TLS_SERVER_ROOTS;

use super::{der, signature};

/// Which server is accepted as the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// One with any certificate. Only for a host all of whose addresses are loopback addresses.
    Loopback,
    /// One with a certificate that has one of these fingerprints, whatever its form, name and dates.
    Pin(Vec<Fingerprint>),
    /// One with a certificate that is in this PEM file, or that is for the host's name and signed by one in the file.
    CaFile(PathBuf),
    /// A certificate for the host's name that this system trusts.
    System,
    /// Plain HTTP to any host, without a certificate. Anyone on the network path can read the session and impersonate
    /// the gateway; the operator has accepted that.
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
#[error("it presented {presented}, but {} is pinned", list(.pinned))]
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
    /// When the CA file cannot be used.
    pub fn config(&self) -> Result<ClientConfig, Error> {
        let accepted = match self {
            Self::Loopback => Accepted::Any,
            Self::Pin(pins) => Accepted::Pinned(pins.clone()),
            Self::CaFile(path) => Accepted::from_file(path)?,
            Self::Plain => Accepted::Pinned(Vec::new()),
            Self::System => {
                let builder = builder(rustls::ALL_VERSIONS)?;
                // A system without certificates, as an empty container, trusts Mozilla's.
                let verified = builder.clone().with_platform_verifier().unwrap_or_else(|_| {
                    builder.with_root_certificates(RootCertStore::from_iter(TLS_SERVER_ROOTS.iter().cloned()))
                });
                return Ok(without_resumption(verified.with_no_client_auth()));
            }
        };
        let verifier = Verifier { accepted, schemes: &signature::SCHEMES };
        with_verifier(verifier, rustls::ALL_VERSIONS)
    }

    /// The same for a server whose RSA key is too short for TLS 1.3 and its signatures, if this trust may accept one.
    pub(super) fn short_key_config(&self) -> Option<Result<ClientConfig, Error>> {
        let accepted = match self {
            Self::Loopback => Ok(Accepted::Any),
            Self::Pin(pins) => Ok(Accepted::Pinned(pins.clone())),
            Self::CaFile(path) => Accepted::from_file(path),
            Self::Plain | Self::System => return None,
        };
        Some(accepted.and_then(|accepted| {
            let verifier = Verifier { accepted, schemes: &signature::SHORT_KEY_SCHEMES };
            with_verifier(verifier, &[&rustls::version::TLS12])
        }))
    }
}

/// Checks that [`Trust::CaFile`] can be used with this file.
///
/// # Errors
/// When it cannot be read, or holds no certificate.
pub fn certificates(path: &Path) -> Result<(), Error> {
    Accepted::from_file(path).map(drop)
}

fn ca_file_error(path: &Path, reason: &dyn fmt::Display) -> Error {
    Error::CaFile { path: path.to_owned(), reason: reason.to_string() }
}

/// The one place that names the cryptography in use.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

type Builder = rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>;

fn builder(versions: &[&'static SupportedProtocolVersion]) -> Result<Builder, rustls::Error> {
    ClientConfig::builder_with_provider(provider()).with_protocol_versions(versions)
}

fn with_verifier(verifier: Verifier, versions: &[&'static SupportedProtocolVersion]) -> Result<ClientConfig, Error> {
    let builder = builder(versions)?.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    Ok(without_resumption(builder.with_no_client_auth()))
}

fn without_resumption(mut config: ClientConfig) -> ClientConfig {
    config.resumption = Resumption::disabled();
    config
}

/// Accepts certificates by the operator's choice instead of a public authority. The other side must still prove by a
/// signature that it has the key.
#[derive(Debug)]
struct Verifier {
    accepted: Accepted,
    schemes: &'static [SignatureScheme],
}

/// Which certificates are accepted.
#[derive(Debug)]
enum Accepted {
    Any,
    /// Those with one of these fingerprints, whatever their form, names and dates.
    Pinned(Vec<Fingerprint>),
    /// Those in a file, whatever their form, names and dates; and those that one of them signed, for the host's name.
    File {
        listed: Vec<CertificateDer<'static>>,
        /// None if no certificate in the file can sign others.
        signed: Option<Arc<WebPkiServerVerifier>>,
    },
}

impl Accepted {
    fn from_file(path: &Path) -> Result<Self, Error> {
        let unread = |error: pem::Error| ca_file_error(path, &error);
        let certificates = CertificateDer::pem_file_iter(path).map_err(unread)?;
        let listed = certificates.collect::<Result<Vec<_>, _>>().map_err(unread)?;
        let mut roots = RootCertStore::empty();
        for certificate in &listed {
            if der::fields_from_validity(certificate).is_none() {
                return Err(ca_file_error(path, &"what is marked as a certificate in it is not one"));
            }
            // A certificate that cannot sign others, such as one of version 1, is still accepted for itself.
            drop(roots.add(certificate.clone()));
        }
        if listed.is_empty() {
            return Err(ca_file_error(path, &"there is none in it"));
        }
        let signed = if roots.is_empty() {
            None
        } else {
            let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
            Some(verifier.map_err(|error| ca_file_error(path, &error))?)
        };
        Ok(Self::File { listed, signed })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match &self.accepted {
            Accepted::Any => Ok(ServerCertVerified::assertion()),
            Accepted::Pinned(pinned) => {
                let presented = Fingerprint::of(end_entity);
                if pinned.contains(&presented) {
                    return Ok(ServerCertVerified::assertion());
                }
                let mismatch = PinMismatch { presented, pinned: pinned.clone() };
                Err(CertificateError::Other(OtherError(Arc::new(mismatch))).into())
            }
            Accepted::File { listed, .. } if listed.contains(end_entity) => Ok(ServerCertVerified::assertion()),
            Accepted::File { signed: Some(signed), .. } => {
                signed.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
            Accepted::File { signed: None, .. } => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        signature::verify(ProtocolVersion::TLSv1_2, message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        signature::verify(ProtocolVersion::TLSv1_3, message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.to_vec()
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
