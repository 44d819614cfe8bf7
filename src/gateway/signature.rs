//! The signature that proves that a server has the key of its certificate, for certificates of any form.
//!
//! The TLS library verifies handshakes with certificates of version 3 only, with keys of at least 2048 bits, and
//! without critical extensions that it does not know. A gateway that is trusted by its fingerprint, by its place, or by
//! name in a CA file may have any certificate, so that the key is read here and `ring` verifies the signature with it.

use std::sync::Arc;

use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use rustls::SignatureScheme::{
    self, ECDSA_NISTP256_SHA256, ECDSA_NISTP384_SHA384, ED25519, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
    RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512,
};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::{CertificateError, DigitallySignedStruct, OtherError, ProtocolVersion};

use super::der::{self, BIT_STRING, Der, OID, SEQUENCE};

/// Why a certificate cannot be used, whichever host it is for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Its key cannot be read.
    #[error("its key cannot be read")]
    Malformed,
    /// Its key is of a kind that `tickled` does not support.
    #[error("its key is not RSA, ECDSA on P-256 or P-384, or Ed25519")]
    UnknownKey,
    /// Its RSA key has too few or too many bits.
    #[error("its RSA key has {0} bits, and between 1024 and 8192 can be used")]
    RsaBits(usize),
    /// Its RSA key is too short for the signature that was made with it: it is good for TLS 1.2 with PKCS#1 alone.
    #[error("its RSA key has {0} bits, and TLS 1.3 needs 2048")]
    RsaTooShortForPss(usize),
}

impl From<Unusable> for rustls::Error {
    fn from(reason: Unusable) -> Self {
        CertificateError::Other(OtherError(Arc::new(reason))).into()
    }
}

/// Verifies a handshake's signature by the key of the certificate.
///
/// # Errors
/// When the key cannot be used, or did not make this signature.
pub(super) fn verify(
    version: ProtocolVersion,
    message: &[u8],
    certificate: &[u8],
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    is_signed(version, message, certificate, signed.scheme, signed.signature())?;
    Ok(HandshakeSignatureValid::assertion())
}

fn is_signed(
    version: ProtocolVersion,
    message: &[u8],
    certificate: &[u8],
    scheme: SignatureScheme,
    signature: &[u8],
) -> Result<(), rustls::Error> {
    let key = PublicKey::of(certificate)?;
    let algorithm = key.algorithm(version, scheme)?;
    let verified = UnparsedPublicKey::new(algorithm, key.bytes).verify(message, signature);
    verified.map_err(|_| CertificateError::BadSignature.into())
}

/// The schemes that can be verified with a key of at least 2048 bits.
pub(super) const SCHEMES: [SignatureScheme; 9] = [
    ECDSA_NISTP384_SHA384,
    ECDSA_NISTP256_SHA256,
    ED25519,
    RSA_PSS_SHA512,
    RSA_PSS_SHA384,
    RSA_PSS_SHA256,
    RSA_PKCS1_SHA512,
    RSA_PKCS1_SHA384,
    RSA_PKCS1_SHA256,
];
/// The schemes that can be verified with a shorter one, in TLS 1.2 alone.
pub(super) const SHORT_KEY_SCHEMES: [SignatureScheme; 2] = [RSA_PKCS1_SHA256, RSA_PKCS1_SHA512];

struct PublicKey<'a> {
    kind: KeyAlgorithm,
    bytes: &'a [u8],
}

#[derive(Clone, Copy)]
enum KeyAlgorithm {
    Rsa { bits: usize },
    P256,
    P384,
    Ed25519,
}

impl<'a> PublicKey<'a> {
    fn of(certificate: &'a [u8]) -> Result<Self, Unusable> {
        let (algorithm, curve, bytes) = parts(certificate).ok_or(Unusable::Malformed)?;
        let kind = match (algorithm, curve) {
            (RSA | RSA_PSS, _) => KeyAlgorithm::Rsa { bits: modulus_bits(bytes).ok_or(Unusable::Malformed)? },
            (EC, Some(P256)) => KeyAlgorithm::P256,
            (EC, Some(P384)) => KeyAlgorithm::P384,
            (EDWARDS, _) => KeyAlgorithm::Ed25519,
            _ => return Err(Unusable::UnknownKey),
        };
        Ok(Self { kind, bytes })
    }

    fn algorithm(
        &self,
        version: ProtocolVersion,
        scheme: SignatureScheme,
    ) -> Result<&'static dyn VerificationAlgorithm, rustls::Error> {
        let is_tls12 = version == ProtocolVersion::TLSv1_2;
        let algorithm: &dyn VerificationAlgorithm = match (self.kind, scheme) {
            (KeyAlgorithm::Rsa { bits }, _) if !(1024..=8192).contains(&bits) => {
                return Err(Unusable::RsaBits(bits).into());
            }
            (KeyAlgorithm::Rsa { bits: ..2048 }, RSA_PKCS1_SHA256) if is_tls12 => {
                &signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY
            }
            (KeyAlgorithm::Rsa { bits: ..2048 }, RSA_PKCS1_SHA512) if is_tls12 => {
                &signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY
            }
            (KeyAlgorithm::Rsa { bits: bits @ ..2048 }, _) => return Err(Unusable::RsaTooShortForPss(bits).into()),
            (KeyAlgorithm::Rsa { .. }, RSA_PKCS1_SHA256) if is_tls12 => &signature::RSA_PKCS1_2048_8192_SHA256,
            (KeyAlgorithm::Rsa { .. }, RSA_PKCS1_SHA384) if is_tls12 => &signature::RSA_PKCS1_2048_8192_SHA384,
            (KeyAlgorithm::Rsa { .. }, RSA_PKCS1_SHA512) if is_tls12 => &signature::RSA_PKCS1_2048_8192_SHA512,
            (KeyAlgorithm::Rsa { .. }, RSA_PSS_SHA256) => &signature::RSA_PSS_2048_8192_SHA256,
            (KeyAlgorithm::Rsa { .. }, RSA_PSS_SHA384) => &signature::RSA_PSS_2048_8192_SHA384,
            (KeyAlgorithm::Rsa { .. }, RSA_PSS_SHA512) => &signature::RSA_PSS_2048_8192_SHA512,
            (KeyAlgorithm::P256, ECDSA_NISTP256_SHA256) => &signature::ECDSA_P256_SHA256_ASN1,
            (KeyAlgorithm::P384, ECDSA_NISTP384_SHA384) => &signature::ECDSA_P384_SHA384_ASN1,
            // In TLS 1.2 the scheme names the hash alone.
            (KeyAlgorithm::P256, ECDSA_NISTP384_SHA384) if is_tls12 => &signature::ECDSA_P256_SHA384_ASN1,
            (KeyAlgorithm::P384, ECDSA_NISTP256_SHA256) if is_tls12 => &signature::ECDSA_P384_SHA256_ASN1,
            (KeyAlgorithm::Ed25519, ED25519) => &signature::ED25519,
            // Its key cannot make such a signature.
            _ => return Err(CertificateError::BadSignature.into()),
        };
        Ok(algorithm)
    }
}

type Parts<'a> = (&'a [u8], Option<&'a [u8]>, &'a [u8]);

/// Returns the public key of a certificate: its algorithm, the first of the algorithm's parameters, and its bytes.
fn parts(certificate: &[u8]) -> Option<Parts<'_>> {
    let mut fields = der::fields_from_validity(certificate)?;
    // Validity, subject.
    for _ in 0..2 {
        fields.next()?;
    }
    let mut key = fields.inside(SEQUENCE)?;
    let mut algorithm = key.inside(SEQUENCE)?;
    let (oid, parameter) = (algorithm.content(OID)?, algorithm.content(OID));
    match key.content(BIT_STRING)? {
        [0, bytes @ ..] => Some((oid, parameter, bytes)),
        [_, ..] | [] => None,
    }
}

fn modulus_bits(key: &[u8]) -> Option<usize> {
    let modulus = Der(key).inside(SEQUENCE)?.content(INTEGER)?;
    let significant = modulus.iter().position(|byte| *byte != 0)?;
    let first = modulus.get(significant)?;
    Some((modulus.len() - significant) * 8 - first.leading_zeros() as usize)
}

const INTEGER: u8 = 0x02;
const RSA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01];
const RSA_PSS: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x0A];
const EC: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01];
const P256: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2B, 0x81, 0x04, 0x00, 0x22];
const EDWARDS: &[u8] = &[0x2B, 0x65, 0x70];

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    use super::*;

    /// Made with `openssl dgst -sha256 -sign`, by the key of the certificate.
    const SIGNATURE: [u8; 128] = [
        0x06, 0x89, 0x63, 0x18, 0xBE, 0xDD, 0xA1, 0xB1, 0x9F, 0xD2, 0x4F, 0xB0, 0xB1, 0xAF, 0xB0, 0x16, 0x48, 0x5D,
        0x07, 0x09, 0x75, 0x28, 0x59, 0x00, 0xCA, 0x83, 0x4A, 0x33, 0x46, 0x2D, 0x0E, 0x41, 0xA0, 0xE2, 0x1F, 0xB4,
        0x44, 0x4D, 0x5C, 0x33, 0xD2, 0xF2, 0x8B, 0x1C, 0x43, 0xA8, 0x08, 0xAF, 0x72, 0x9F, 0xD7, 0x0D, 0xE4, 0x60,
        0x57, 0x2A, 0x04, 0x6C, 0x48, 0x7C, 0xB0, 0x65, 0x67, 0xBF, 0x2E, 0x76, 0x10, 0x5F, 0xA9, 0x6C, 0x90, 0xC4,
        0x42, 0x5C, 0xC5, 0x41, 0xA3, 0xFA, 0x50, 0x42, 0x1C, 0x57, 0x43, 0x68, 0x92, 0x39, 0x6F, 0xCB, 0x1E, 0x1E,
        0xDB, 0x27, 0xF6, 0x83, 0xC0, 0x32, 0xAF, 0x7F, 0x5D, 0x45, 0x44, 0x3B, 0x46, 0xF2, 0x6B, 0x0C, 0x57, 0xF6,
        0x4F, 0xE2, 0x09, 0x79, 0x95, 0x42, 0xAD, 0x5F, 0xFB, 0x52, 0x10, 0x5A, 0xE6, 0xEC, 0x30, 0x7C, 0x42, 0x43,
        0xA1, 0xB6,
    ];
    const MESSAGE: &[u8] = b"a handshake";

    fn certificate() -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(include_bytes!("../../tests/data/certificates/rsa-1024.pem"))
            .expect("a PEM file")
    }

    /// The TLS library refuses to sign with such a key, so that no server of a test has one.
    #[test]
    fn a_short_rsa_key_verifies_in_tls_1_2_alone() {
        let certificate = certificate();
        let is_signed = |version, message: &[u8], scheme, signature: &[u8]| {
            is_signed(version, message, &certificate, scheme, signature)
        };
        let (tls12, tls13) = (ProtocolVersion::TLSv1_2, ProtocolVersion::TLSv1_3);
        assert_eq!(is_signed(tls12, MESSAGE, RSA_PKCS1_SHA256, &SIGNATURE), Ok(()));
        let is_signed = |version, message: &[u8], scheme, signature: &[u8]| {
            is_signed(version, message, scheme, signature).map_err(|error| error.to_string())
        };
        let bad = Err("invalid peer certificate: BadSignature".to_owned());
        assert_eq!(is_signed(tls12, b"another handshake", RSA_PKCS1_SHA256, &SIGNATURE), bad);
        assert_eq!(is_signed(tls12, MESSAGE, RSA_PKCS1_SHA512, &SIGNATURE), bad);
        assert_eq!(is_signed(tls12, MESSAGE, RSA_PKCS1_SHA256, &SIGNATURE[1..]), bad);
        let too_short = Err(rustls::Error::from(Unusable::RsaTooShortForPss(1024)).to_string());
        assert_eq!(is_signed(tls13, MESSAGE, RSA_PKCS1_SHA256, &SIGNATURE), too_short);
        assert_eq!(is_signed(tls12, MESSAGE, RSA_PSS_SHA256, &SIGNATURE), too_short);
        assert_eq!(is_signed(tls12, MESSAGE, ECDSA_NISTP256_SHA256, &SIGNATURE), too_short);
    }

    #[test]
    fn a_certificate_that_is_cut_off_or_changed_verifies_nothing() {
        let whole = certificate();
        for at in 0..whole.len() {
            let cut = is_signed(ProtocolVersion::TLSv1_2, MESSAGE, &whole[..at], RSA_PKCS1_SHA256, &SIGNATURE);
            assert!(cut.is_err(), "cut at {at}");
            let mut changed = whole.to_vec();
            changed[at] ^= 0x10;
            let changed = is_signed(ProtocolVersion::TLSv1_2, MESSAGE, &changed, RSA_PKCS1_SHA256, &SIGNATURE);
            // What is not the key may be anything.
            assert!(
                changed.is_ok() || changed.is_err_and(|error| matches!(error, rustls::Error::InvalidCertificate(_)))
            );
        }
    }
}
