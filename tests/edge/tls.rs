//! TLS that does not come about, or ends badly: each reason is named.

use std::sync::{Arc, Mutex};

use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tickled::gateway::{ErrorKind, Trust, certificate};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::raw::PATIENCE;
use crate::trust::{Face, LIVE, Showing, client, own};

/// A server that answers a TLS greeting with these bytes.
async fn greeting_back(bytes: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let mut heard = [0; 4096];
            drop(tcp.read(&mut heard).await);
            drop(tcp.write_all(&bytes).await);
        }
    });
    url
}

/// A gateway with an old Java, or with a curve of its own, speaks TLS all the same.
#[tokio::test]
async fn tls_that_is_not_ours_is_told_as_that() {
    let alert = |description: u8| vec![0x15, 3, 1, 0, 2, 2, description];
    // A greeting that chooses TLS 1.1.
    let mut tls11 = vec![0x16, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    tls11.extend([7; 32]);
    tls11.extend([0, 0xC0, 0x13, 0]);
    for (name, bytes) in [
        ("handshake_failure", alert(40)),
        ("protocol_version", alert(70)),
        ("insufficient_security", alert(71)),
        ("an alert that is unknown", alert(199)),
        ("TLS 1.1", tls11),
    ] {
        let url = greeting_back(bytes).await;
        let refused = client(&url, Trust::Loopback).unwrap().check_auth_status().await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Tls, "{name}: {refused}");
        let words = "it speaks TLS, but no version or cipher that tickled speaks";
        assert!(refused.detail.contains(words) && refused.detail.contains("TLS 1.2"), "{name}: {refused}");
        let unseen = certificate::presented(&url.parse().unwrap(), PATIENCE).await.unwrap_err().to_string();
        assert!(unseen.contains(words), "{name}: {unseen}");
    }
    for (bytes, fault) in [(&b"SSH-2.0-OpenSSH_9.2\r\n"[..], ErrorKind::NotAGateway), (b"", ErrorKind::Broken)] {
        let url = greeting_back(bytes.to_vec()).await;
        let refused = client(&url, Trust::Loopback).unwrap().check_auth_status().await.unwrap_err();
        assert_eq!(refused.kind, fault, "{refused}");
    }
}

/// A proxy before the gateway may ask for a certificate of the client's; in TLS 1.3 it refuses after the handshake.
#[tokio::test]
async fn who_asks_for_a_client_certificate_is_told_as_that() {
    let words = "it asks for a client certificate";
    for description in [42, 48, 49, 116] {
        let url = greeting_back(vec![0x15, 3, 1, 0, 2, 2, description]).await;
        let refused = client(&url, Trust::Loopback).unwrap().check_auth_status().await.unwrap_err();
        assert!(refused.kind == ErrorKind::Tls && refused.detail.contains(words), "{description}: {refused}");
    }
    let (authority, _) = own();
    let mut roots = RootCertStore::empty();
    roots.add(authority).unwrap();
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_client_cert_verifier(Arc::clone(&verifier))
            .with_cert_resolver(Arc::new(Showing(Arc::new(Mutex::new(Face::own())))));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                drop(acceptor.accept(tcp).await);
            }
        });
        let refused = client(&url, Trust::Loopback).unwrap().check_auth_status().await.unwrap_err();
        assert!(refused.kind == ErrorKind::Tls && refused.detail.contains(words), "{version:?}: {refused}");
    }
}

/// Ends the connection at a greeting without the curve that it has, and greets back where that is offered.
#[tokio::test]
async fn tls_that_ends_without_a_word_is_told_as_that() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let mut heard = vec![0; 4096];
            let read = tcp.read(&mut heard).await.unwrap_or_default();
            let offers_p521 = heard[..read].windows(4).any(|window| window == [0, 0x18, 0, 0x19]);
            assert_eq!(usize::from(heard[3]) << 8 | usize::from(heard[4]), read - 5, "a whole record");
            if offers_p521 {
                drop(tcp.write_all(&[0x16, 3, 3, 0, 1, 2]).await);
            }
        }
    });
    let refused = client(&url, Trust::Loopback).unwrap().check_auth_status().await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Tls, "{refused}");
    assert!(refused.detail.contains("no version or cipher that tickled speaks"), "{refused}");
}

/// Without a close_notify TLS says that the answer may have been cut: one that is a whole object is complete all the same.
#[tokio::test]
async fn a_whole_answer_counts_though_tls_is_cut_without_a_word() {
    let half = &LIVE[..LIVE.len() - 20];
    for (said, is_whole) in [(LIVE, true), (half, false)] {
        let face = Face::own();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Showing(Arc::new(Mutex::new(face)))));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut tls = TlsAcceptor::from(Arc::new(config)).accept(tcp).await.unwrap();
            drop(tls.read(&mut [0; 4096]).await);
            tls.write_all(format!("HTTP/1.1 200 OK\r\n\r\n{said}").as_bytes()).await.unwrap();
            tls.flush().await.unwrap();
            // Ends the connection below TLS.
            tls.get_mut().0.shutdown().await.unwrap();
            std::future::pending::<()>().await;
        });
        match client(&url, Trust::Loopback).unwrap().check_auth_status().await {
            Ok(status) => assert!(is_whole && status.authenticated),
            Err(error) => assert!(!is_whole && error.kind == ErrorKind::Broken, "{error:?}"),
        }
    }
}
