//! The simulator's TLS: 1.2 only, with a certificate as worthless as the real gateway's.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// What every simulated gateway shows: RSA-2048, self-signed, no subject alternative name, expired on 2019-05-11.
pub(super) fn acceptor() -> io::Result<TlsAcceptor> {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_slice(KEY).map_err(io::Error::other)?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate], key))
        .map_err(io::Error::other)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

const CERTIFICATE: &[u8] = include_bytes!("certificate.pem");

/// Public on purpose, like the key of the real gateway's certificate, which is in every download. It belongs to a
/// simulator that listens on loopback only, protects nothing, and is good for nothing else.
const KEY: &[u8] = include_bytes!("key.pem");
