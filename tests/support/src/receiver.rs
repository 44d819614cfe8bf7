//! Receives web requests of alerts: on loopback, with or without TLS, well-behaved or not.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// What a receiver was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

/// What a receiver does with a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// It answers: the status, further lines of the head, the body.
    Answer(u16, &'static str, &'static str),
    /// It takes the request, and never answers.
    Hang,
    /// It takes the request, and closes.
    Close,
    /// It answers this status, and its body never ends.
    Endless(u16),
    /// It answers this status after a while.
    Late(u16, Duration),
}

pub struct Receiver {
    pub address: SocketAddr,
    scheme: &'static str,
    asked: mpsc::UnboundedReceiver<Asked>,
    replies: Arc<Mutex<VecDeque<Reply>>>,
}

impl Receiver {
    /// One that takes everything.
    pub async fn start() -> Self {
        Self::serve(None).await
    }

    /// The same over TLS.
    pub async fn secured(by: &Authority) -> Self {
        Self::serve(Some(by.acceptor())).await
    }

    pub async fn serve(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (sender, asked) = mpsc::unbounded_channel();
        let replies: Arc<Mutex<VecDeque<Reply>>> = Arc::default();
        let script = Arc::clone(&replies);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (sender, script, tls) = (sender.clone(), Arc::clone(&script), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => converse(tcp, &sender, &script).await,
                        // A client that does not believe the certificate is gone.
                        Some(tls) => match tls.accept(tcp).await {
                            Ok(stream) => converse(stream, &sender, &script).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        Self { address, scheme, asked, replies }
    }

    /// What it does with the next requests; after them it takes everything again.
    pub fn replies(&self, replies: impl IntoIterator<Item = Reply>) {
        self.replies.lock().unwrap().extend(replies);
    }

    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    pub async fn hears(&mut self, within: Duration) -> Asked {
        timeout(within, self.asked.recv()).await.expect("a request in time").unwrap()
    }

    /// The next alert, of a channel with the preset "json": its phase, its code, and all of it.
    pub async fn is_told(&mut self, within: Duration) -> (String, String, Value) {
        let body: Value = serde_json::from_str(&self.hears(within).await.body).unwrap();
        let text = |key: &str| body[key].as_str().unwrap().to_owned();
        (text("phase"), text("code"), body)
    }

    /// The requests that were not looked at yet.
    pub fn rest(&mut self) -> Vec<Asked> {
        std::iter::from_fn(|| self.asked.try_recv().ok()).collect()
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    sender: &mpsc::UnboundedSender<Asked>,
    script: &Mutex<VecDeque<Reply>>,
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let mut first = lines.first()?.split(' ').map(str::to_owned);
        let headers: BTreeMap<String, String> = lines
            .iter()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect();
        let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        let body = String::from_utf8(body).unwrap();
        let asked = Asked { method: first.next()?, path: first.next()?, headers, body };
        let reply = script.lock().unwrap().pop_front().unwrap_or(Reply::Answer(200, "", "taken"));
        drop(sender.send(asked));
        match reply {
            Reply::Answer(status, head, body) => {
                let length = body.len();
                let answer = format!("HTTP/1.1 {status} So\r\n{head}Content-Length: {length}\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).await.ok()?;
                stream.flush().await.ok()?;
            }
            Reply::Hang => std::future::pending().await,
            Reply::Close => return None,
            Reply::Endless(status) => {
                let head = format!("HTTP/1.1 {status} So\r\nContent-Length: 100000\r\n\r\nand so on");
                stream.write_all(head.as_bytes()).await.ok()?;
                stream.flush().await.ok()?;
                std::future::pending::<()>().await;
            }
            Reply::Late(status, after) => {
                tokio::time::sleep(after).await;
                let head = format!("HTTP/1.1 {status} So\r\nContent-Length: 0\r\n\r\n");
                stream.write_all(head.as_bytes()).await.ok()?;
                stream.flush().await.ok()?;
            }
        }
    }
}

/// A certificate authority for 127.0.0.1 and localhost that no system trusts.
pub struct Authority {
    certificate: rcgen::Certificate,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(rcgen::DnType::CommonName, "a test's authority");
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        Self { certificate, issuer: rcgen::Issuer::new(parameters, key) }
    }

    /// A certificate that is its own authority, as `openssl req -x509` makes one: the acceptor and the file of it.
    pub fn self_signed(is_ca: bool, names: &[&str]) -> (TlsAcceptor, PathBuf) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = rcgen::CertificateParams::new(names).unwrap();
        if is_ca {
            parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        }
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        let file = crate::file(&certificate.pem());
        (acceptor(certificate.der().clone(), &key), file)
    }

    /// Its certificate in a file.
    pub fn file(&self) -> PathBuf {
        crate::file(&self.certificate.pem())
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let leaf = rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        acceptor(leaf.der().clone(), &key)
    }
}

fn acceptor(certificate: CertificateDer<'static>, key: &rcgen::KeyPair) -> TlsAcceptor {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
