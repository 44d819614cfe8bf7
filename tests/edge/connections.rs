//! One kept connection, what its loss costs, and the two families behind the name `localhost`.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use tickled::gateway::ErrorKind;
use tokio::time::Instant;

use crate::raw::{Deed, Raw, client, json};

const LIVE: &str = r#"{"authenticated":true,"competing":false,"connected":true,"message":""}"#;
/// How long a connection may take to come.
const A_CONNECTION: Duration = Duration::from_secs(3);

#[tokio::test]
async fn one_connection_is_kept_for_all() {
    let server = Raw::doing(|_, _| json(LIVE)).await;
    let client = server.client();
    for _ in 0..3 {
        client.check_auth_status().await.unwrap();
        client.ping_server().await.unwrap();
    }
    assert!(server.heard().iter().all(|heard| heard.connection == 0));
    assert_eq!(server.heard().len(), 6);
}

/// A gateway that ends an idle connection is nothing to speak of.
#[tokio::test]
async fn a_connection_that_ended_between_two_requests_costs_nothing() {
    for farewell in ["Connection: close\r\n", ""] {
        let said = format!("HTTP/1.1 200 OK\r\n{farewell}Content-Length: {}\r\n\r\n{LIVE}", LIVE.len());
        let server = Raw::doing(move |_, _| Deed::Last(said.clone())).await;
        let client = server.client();
        client.check_auth_status().await.unwrap();
        // The end of the connection has come by then, unnoticed or not.
        tokio::time::sleep(Duration::from_millis(300)).await;
        client.check_auth_status().await.unwrap();
        let connections: Vec<usize> = server.heard().iter().map(|heard| heard.connection).collect();
        assert_eq!(connections, [0, 1], "{farewell:?}");
    }
}

/// Requests are counted by the caller, so that none leaves behind its back.
#[tokio::test]
async fn a_call_sends_one_request_whatever_happens_to_the_connection() {
    let server = Raw::doing(|_, before| if before % 2 == 0 { Deed::Close } else { Deed::Reset }).await;
    let client = server.client();
    assert_eq!(client.check_auth_status().await.unwrap_err().kind, ErrorKind::Broken);
    assert_eq!(client.ping_server().await.unwrap_err().kind, ErrorKind::Broken);
    assert_eq!(client.accounts().await.unwrap_err().kind, ErrorKind::Broken);
    assert_eq!(client.validate_sso().await.unwrap_err().kind, ErrorKind::Broken);
    assert_eq!(client.reauthenticate().await.unwrap_err().kind, ErrorKind::Broken);
    assert_eq!(client.open_brokerage(false).await.unwrap_err().kind, ErrorKind::Broken);
    assert_eq!(client.end_session().await.unwrap_err().kind, ErrorKind::Broken);
    assert_eq!(
        server.lines(),
        [
            "POST /v1/api/iserver/auth/status",
            "POST /v1/api/tickle",
            "GET /v1/api/iserver/accounts",
            "GET /v1/api/sso/validate",
            "POST /v1/api/iserver/reauthenticate",
            "POST /v1/api/iserver/auth/ssodh/init",
            "POST /v1/api/logout",
        ]
    );
}

/// A kept connection may be dead while new ones work: whatever failed there is asked anew by a fresh one.
#[tokio::test]
async fn after_any_failure_the_next_request_goes_by_a_fresh_connection() {
    let half = Deed::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"auth".to_vec());
    let rows = [
        (Deed::Reset, ErrorKind::Broken),
        (Deed::Close, ErrorKind::Broken),
        (half, ErrorKind::NoAnswer),
        (Deed::Hang, ErrorKind::NoAnswer),
    ];
    for (fails, fault) in rows {
        let failing = fails.clone();
        let server = Raw::doing(move |_, before| if before == 1 { failing.clone() } else { json(LIVE) }).await;
        let client = server.hasty_client();
        client.check_auth_status().await.unwrap();
        assert_eq!(client.check_auth_status().await.unwrap_err().kind, fault, "{fails:?}");
        client.check_auth_status().await.unwrap();
        assert_eq!(server.heard().iter().map(|heard| heard.connection).collect::<Vec<_>>(), [0, 0, 1], "{fails:?}");
    }
}

/// An answer that comes after its request was given up must not be taken for the next one's.
#[tokio::test]
async fn a_late_answer_is_nobodys() {
    let late = r#"{"authenticated":false,"competing":true,"connected":false}"#;
    let late = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{late}", late.len());
    let server = Raw::doing(move |_, before| match before {
        0 => Deed::Late(2, late.clone()),
        _ => json(LIVE),
    })
    .await;
    let client = server.hasty_client();
    assert_eq!(client.check_auth_status().await.unwrap_err().kind, ErrorKind::NoAnswer);
    for _ in 0..3 {
        assert!(client.check_auth_status().await.unwrap().authenticated);
    }
    assert_eq!(server.heard().iter().map(|heard| heard.connection).collect::<Vec<_>>(), [0, 1, 1, 1]);
}

#[tokio::test]
async fn localhost_is_found_on_either_family_alone() {
    for address in [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), SocketAddr::from((Ipv6Addr::LOCALHOST, 0))] {
        let server = Raw::at(address, |_, _| json(LIVE)).await;
        let started = Instant::now();
        client(&format!("http://localhost:{}", server.port())).check_auth_status().await.unwrap();
        let took = started.elapsed();
        assert!(took < A_CONNECTION, "{address}: {took:?}, the other family was waited for");
        assert_eq!(server.heard()[0].header("Host"), Some(format!("localhost:{}", server.port()).as_str()));
    }
}

#[tokio::test]
async fn a_gateway_that_hangs_is_given_up_and_asked_anew_on_a_fresh_connection() {
    let server = Raw::doing(|_, before| if before == 0 { Deed::Hang } else { json(LIVE) }).await;
    let client = server.hasty_client();
    assert_eq!(client.ping_server().await.unwrap_err().kind, ErrorKind::NoAnswer);
    client.check_auth_status().await.unwrap();
    assert_eq!(server.heard().iter().map(|heard| heard.connection).collect::<Vec<_>>(), [0, 1]);
}

#[tokio::test]
async fn nothing_that_listens_is_told_from_what_does_not_answer() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    assert_eq!(client(&url).ping_server().await.unwrap_err().kind, ErrorKind::NothingListens);
}
