//! How a client verifies the gateway: no byte of a request is sent before that.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tickled::gateway::{BuildError, Client, ErrorKind, Fingerprint, Target, Trust, certificate};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::raw::PATIENCE;

pub(crate) const LIVE: &str = r#"{"authenticated":true,"competing":false,"connected":true,"message":""}"#;

/// What a server shows, and with which key it proves that it may.
#[derive(Debug, Clone)]
pub(crate) struct Face(Arc<CertifiedKey>);

impl Face {
    /// The certificate of one, with the key of another where they differ.
    fn of(certificate: &CertificateDer<'static>, key: &KeyPair) -> Self {
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let key = ring::sign::any_supported_type(&key).unwrap();
        Self(Arc::new(CertifiedKey::new(vec![certificate.clone()], key)))
    }

    /// One from a PEM file that holds the key as well.
    fn of_file(pem: &[u8]) -> Self {
        let certificate = CertificateDer::from_pem_slice(pem).unwrap();
        let key = ring::sign::any_supported_type(&PrivateKeyDer::from_pem_slice(pem).unwrap()).unwrap();
        Self(Arc::new(CertifiedKey::new(vec![certificate], key)))
    }

    fn with_key_of(&self, other: &Self) -> Self {
        Self(Arc::new(CertifiedKey::new(self.0.cert.clone(), Arc::clone(&other.0.key))))
    }

    pub(crate) fn own() -> Self {
        let (certificate, key) = own();
        Self::of(&certificate, &key)
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.0.cert[0])
    }
}

pub(crate) fn own() -> (CertificateDer<'static>, KeyPair) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    (made.cert.der().clone(), made.signing_key)
}

/// A server over TLS that answers every check with a live session, one request a connection.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) face: Arc<Mutex<Face>>,
    /// How many bytes of requests have come.
    heard: Arc<AtomicUsize>,
}

#[derive(Debug)]
pub(crate) struct Showing(pub(crate) Arc<Mutex<Face>>);

impl ResolvesServerCert for Showing {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.lock().unwrap().0))
    }
}

impl Server {
    pub(crate) async fn showing(face: Face) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let (face, heard) = (Arc::new(Mutex::new(face)), Arc::new(AtomicUsize::new(0)));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Showing(Arc::clone(&face))));
        let (acceptor, count) = (TlsAcceptor::from(Arc::new(config)), Arc::clone(&heard));
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, count) = (acceptor.clone(), Arc::clone(&count));
                tokio::spawn(async move { answer(acceptor, tcp, &count).await });
            }
        });
        Self { url, face, heard }
    }

    fn client(&self, trust: Trust) -> Client {
        client(&self.url, trust).unwrap()
    }

    pub(crate) fn heard(&self) -> usize {
        self.heard.load(Ordering::Relaxed)
    }
}

async fn answer(acceptor: TlsAcceptor, tcp: tokio::net::TcpStream, heard: &AtomicUsize) -> io::Result<()> {
    let mut tls = acceptor.accept(tcp).await?;
    let mut bytes = [0; 4096];
    let read = tls.read(&mut bytes).await?;
    heard.fetch_add(read, Ordering::Relaxed);
    let said = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{LIVE}", LIVE.len());
    tls.write_all(said.as_bytes()).await?;
    tls.shutdown().await
}

pub(crate) fn client(url: &str, trust: Trust) -> Result<Client, BuildError> {
    Client::new(Target { url: url.parse().expect("a URL"), answer_within: PATIENCE, trust })
}

/// Whether it leads nowhere else is judged at each connection.
#[test]
fn a_name_other_than_localhost_is_this_machine_only_if_the_operator_says_so() {
    let config = |text: &str| tickled::config::parse(text, Path::new("tickled.toml"), &BTreeMap::new());
    let text = "[gateway.main]\nurl = \"https://desk:5000\"\ntls.trust = \"loopback\"\n";
    assert_eq!(config(text).unwrap().gateways[0].target.trust, Trust::Loopback);
    for refused in [text.replace("tls", "#"), text.replace("desk", "192.168.1.5"), text.replace("https", "http")] {
        assert!(config(&refused).is_err(), "{refused}");
    }
}

#[tokio::test]
async fn on_the_loopback_any_certificate_will_do_and_nowhere_else() {
    let server = Server::showing(Face::own()).await;
    server.client(Trust::Loopback).check_auth_status().await.unwrap();
    for far in ["https://192.0.2.1:5000", "https://[2001:db8::1]:5000", "http://192.0.2.1:5000", "https://0.0.0.0:5000"]
    {
        let refused = client(far, Trust::Loopback).unwrap_err();
        assert!(matches!(refused, BuildError::Elsewhere(_)), "{far}: {refused}");
        client(far, Trust::System).unwrap();
    }
}

#[tokio::test]
async fn one_of_several_pins_is_enough_and_a_wrong_one_gets_nothing() {
    let face = Face::own();
    let (right, server) = (face.fingerprint(), Server::showing(face).await);
    let wrong = Face::own().fingerprint();
    server.client(Trust::Pin(vec![wrong, right])).check_auth_status().await.unwrap();
    let heard = server.heard();
    assert!(heard > 0);
    let refused = server.client(Trust::Pin(vec![wrong, Fingerprint::STOCK])).check_auth_status().await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Certificate, "{refused}");
    assert_eq!(refused.detail, format!("it presented {right}, but {wrong} or {} is pinned", Fingerprint::STOCK));
    assert_eq!(server.heard(), heard, "not a byte of the request was sent");
}

/// Everybody can show the certificate of a gateway; only who has its key can sign with it.
#[tokio::test]
async fn a_certificate_that_is_only_replayed_is_refused() {
    let (certificate, _) = own();
    let (_, other_key) = own();
    let server = Server::showing(Face::of(&certificate, &other_key)).await;
    for trust in [Trust::Pin(vec![Fingerprint::of(&certificate)]), Trust::Loopback] {
        let refused = server.client(trust).check_auth_status().await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Certificate, "{refused}");
    }
    assert_eq!(server.heard(), 0);
}

/// Certificates as people make them, and as no public authority would.
fn odd_faces() -> Vec<(&'static str, Face)> {
    let made = |change: &dyn Fn(&mut CertificateParams)| {
        let mut parameters = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        change(&mut parameters);
        let key = KeyPair::generate().unwrap();
        Face::of(parameters.self_signed(&key).unwrap().der(), &key)
    };
    let of_algorithm = |algorithm| {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let parameters = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        Face::of(parameters.self_signed(&key).unwrap().der(), &key)
    };
    vec![
        ("version 1", Face::of_file(include_bytes!("../data/certificates/version-1.pem"))),
        ("an authority's own", made(&|p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))),
        ("no name", made(&|p| p.subject_alt_names.clear())),
        ("another name", made(&|p| p.subject_alt_names = vec![SanType::DnsName("desk".try_into().unwrap())])),
        ("expired", made(&|p| p.not_after = rcgen::date_time_ymd(2019, 5, 11))),
        ("not yet valid", made(&|p| p.not_before = rcgen::date_time_ymd(3000, 1, 1))),
        ("for clients alone", made(&|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth])),
        ("for signing nothing", made(&|p| p.key_usages = vec![KeyUsagePurpose::KeyEncipherment])),
        (
            "a critical extension that is unknown",
            made(&|p| {
                let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![0x05, 0x00]);
                extension.set_criticality(true);
                p.custom_extensions = vec![extension];
            }),
        ),
        ("P-384", of_algorithm(&rcgen::PKCS_ECDSA_P384_SHA384)),
        ("Ed25519", of_algorithm(&rcgen::PKCS_ED25519)),
    ]
}

/// Where the operator has named the certificate, or its place, its form does not matter. Its key does.
#[tokio::test]
async fn a_certificate_of_any_form_is_accepted_where_it_is_named() {
    for (form, face) in odd_faces() {
        let file = std::env::temp_dir().join(format!("tickled-odd-{}.pem", std::process::id()));
        fs::write(&file, pem(&[&face, &Face::own()])).unwrap();
        let (pin, in_file) = (Trust::Pin(vec![face.fingerprint()]), Trust::CaFile(file.clone()));
        let server = Server::showing(face.clone()).await;
        for trust in [Trust::Loopback, pin.clone(), in_file.clone()] {
            let checked = server.client(trust.clone()).check_auth_status().await;
            assert!(checked.is_ok(), "{form} by {trust:?}: {checked:?}");
        }
        assert_eq!(
            certificate::presented(&server.url.parse().unwrap(), PATIENCE).await.unwrap().fingerprint,
            face.fingerprint()
        );
        // With another's key it is only a copy.
        let heard = server.heard();
        *server.face.lock().unwrap() = face.with_key_of(&Face::own());
        for trust in [Trust::Loopback, pin, in_file] {
            let refused = server.client(trust).check_auth_status().await.unwrap_err();
            assert_eq!(refused.kind, ErrorKind::Certificate, "{form}: {refused}");
        }
        assert_eq!(server.heard(), heard, "{form}");
        fs::remove_file(&file).unwrap();
    }
}

/// An unusable certificate is distinguished from another one.
#[tokio::test]
async fn a_certificate_that_is_not_named_is_refused_with_the_reason() {
    let file = std::env::temp_dir().join(format!("tickled-other-{}.pem", std::process::id()));
    fs::write(&file, pem(&[&Face::own()])).unwrap();
    let in_file = Trust::CaFile(file.clone());
    let unusable = ["version 1", "an authority's own", "a critical extension that is unknown", "for clients alone"];
    for (form, face) in odd_faces() {
        let server = Server::showing(face.clone()).await;
        let other = server.client(Trust::Pin(vec![Fingerprint::STOCK])).check_auth_status().await.unwrap_err();
        assert_eq!(other.kind, ErrorKind::Certificate, "{form}: {other}");
        assert!(other.detail.starts_with("it presented "), "{form}: {other}");
        let refused = server.client(in_file.clone()).check_auth_status().await.unwrap_err();
        let is_unusable = unusable.contains(&form);
        assert_eq!(refused.kind == ErrorKind::Tls, is_unusable, "{form}: {refused}");
        assert_eq!(refused.detail.contains("cannot be used"), is_unusable, "{form}: {refused}");
        assert_eq!(server.heard(), 0, "{form}");
    }
    fs::remove_file(&file).unwrap();
}

fn pem(faces: &[&Face]) -> String {
    let one = |face: &&Face| {
        let text = base64(&face.0.cert[0]);
        format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    };
    faces.iter().map(one).collect()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place > three.len() { '=' } else { digit.into() });
        }
    }
    text
}

/// A resumed session would show no certificate at all.
#[tokio::test]
async fn a_certificate_is_judged_at_every_connection() {
    let (first, second) = (Face::own(), Face::own());
    let pin = first.fingerprint();
    let server = Server::showing(first.clone()).await;
    let client = server.client(Trust::Pin(vec![pin]));
    client.check_auth_status().await.unwrap();
    client.check_auth_status().await.unwrap();
    *server.face.lock().unwrap() = second.clone();
    let refused = client.check_auth_status().await.unwrap_err();
    assert_eq!(refused.detail, format!("it presented {}, but {pin} is pinned", second.fingerprint()));
    *server.face.lock().unwrap() = first;
    client.check_auth_status().await.unwrap();
}

#[tokio::test]
async fn a_ca_file_vouches_for_what_it_signed_and_for_nothing_else() {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority = parameters.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(parameters, authority_key);
    let file = std::env::temp_dir().join(format!("tickled-edge-{}.pem", std::process::id()));
    fs::write(&file, authority.pem()).unwrap();
    let trust = Trust::CaFile(file.clone());

    let key = KeyPair::generate().unwrap();
    let signed = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap()
    };
    let server = Server::showing(Face::of(signed(&["localhost"]).der(), &key)).await;
    server.client(trust.clone()).check_auth_status().await.unwrap();
    let heard = server.heard();
    // For another name, and signed by no one.
    for face in [Face::of(signed(&["desk"]).der(), &key), Face::own()] {
        *server.face.lock().unwrap() = face;
        let refused = server.client(trust.clone()).check_auth_status().await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Certificate, "{refused}");
    }
    assert_eq!(server.heard(), heard);
    fs::remove_file(&file).unwrap();
    assert!(matches!(client(&server.url, trust), Err(BuildError::Trust(_))), "a file that is not there");
}

#[tokio::test]
async fn what_a_certificate_says_of_itself_is_read() {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(rcgen::DnType::CommonName, "Desk\u{1b}[31m Th\u{202e}r\u{200b}ee\u{e0041}");
    parameters.distinguished_name.push(rcgen::DnType::OrganizationName, "Example");
    parameters.not_before = rcgen::date_time_ymd(1999, 12, 31);
    parameters.not_after = rcgen::date_time_ymd(2057, 2, 28);
    let key = KeyPair::generate().unwrap();
    let made = parameters.self_signed(&key).unwrap();
    let server = Server::showing(Face::of(made.der(), &key)).await;
    let seen = certificate::presented(&server.url.parse().unwrap(), PATIENCE).await.unwrap();
    assert_eq!(seen.subject, r"CN=Desk\u{1b}[31m Th\u{202e}r\u{200b}ee\u{e0041}, O=Example");
    assert_eq!(seen.fingerprint, Fingerprint::of(made.der()));
    assert_eq!(seen.from.unwrap().to_string(), "1999-12-31T00:00:00Z");
    assert_eq!(seen.until.unwrap().to_string(), "2057-02-28T00:00:00Z");
    assert_eq!(server.heard(), 0, "nothing is asked");
    // Cut off anywhere, or changed anywhere, it is read as far as that goes.
    let der = made.der().to_vec();
    for at in 0..der.len() {
        drop(certificate::read(&der[..at]));
        let mut changed = der.clone();
        changed[at] ^= 0xFF;
        drop(certificate::read(&changed));
    }
}
