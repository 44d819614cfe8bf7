//! The handshake with IBKR's API host, against listeners of this host.

use std::time::Duration;

use tickled::gateway::ibkr_host::Unreachable;
use tickled::gateway::{IbkrHost, Trust};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::raw::PATIENCE;
use crate::trust::{Face, Server};

/// The handshake with IBKR's host sends no request, and tells a silent IBKR from a host without a way to it.
#[tokio::test]
async fn a_handshake_tells_a_silent_ibkr_from_no_way_to_it() {
    const WITHIN: Duration = Duration::from_secs(2);
    let server = Server::showing(Face::own()).await;
    let host = server.url.strip_prefix("https://").unwrap();
    let pin = Trust::Pin(vec![server.face.lock().unwrap().fingerprint()]);
    IbkrHost::new(host, &pin).unwrap().handshake(PATIENCE).await.unwrap();
    assert_eq!(server.heard(), 0, "no byte of a request");

    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let portal = plain.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = plain.accept().await {
            drop(tcp.write_all(b"HTTP/1.1 302 Found\r\nLocation: http://portal/\r\n\r\n").await);
            drop(tcp.read(&mut [0; 4096]).await);
        }
    });
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nothing = closed.local_addr().unwrap().to_string();
    drop(closed);
    let deaf = deaf.local_addr().map(|address| (address, deaf)).unwrap();
    for (host, within, is_ibkr, says) in [
        (nothing.as_str(), PATIENCE, true, "refused"),
        (deaf.0.to_string().as_str(), WITHIN, true, "does not answer a TLS greeting"),
        (portal.as_str(), PATIENCE, false, "something else answers in its place: it speaks plain HTTP"),
        ("no-such-host.invalid", PATIENCE, false, "its name does not resolve"),
        // The system has no route to it, so that nothing leaves this host.
        ("255.255.255.255", PATIENCE, false, "nreachable"),
    ] {
        let error = IbkrHost::new(host, &pin).unwrap().handshake(within).await.unwrap_err();
        assert_eq!(matches!(error, Unreachable::NoAnswer(_)), is_ibkr, "{host}: {error:?}");
        assert!(error.to_string().contains(says) && !error.to_string().contains("conf.yaml"), "{host}: {error}");
    }
    // A certificate that is not trusted is that of a portal.
    *server.face.lock().unwrap() = Face::own();
    let error = IbkrHost::new(host, &pin).unwrap().handshake(PATIENCE).await.unwrap_err();
    assert!(matches!(error, Unreachable::NoWay(_)), "{error:?}");
    for odd in ["", "a b", "api.ibkr.com/v1", "user@api.ibkr.com", "https://api.ibkr.com"] {
        assert!(IbkrHost::new(odd, &pin).is_err(), "{odd:?}");
    }
}
