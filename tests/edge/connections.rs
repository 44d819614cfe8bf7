//! One kept connection, what its loss costs, and the two families behind the name `localhost`.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use tickled::gateway::Fault;
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
    let server = Raw::doing(|_, before| match before {
        0 => Deed::Say(format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{LIVE}", LIVE.len())),
        1 => Deed::Close,
        _ => json(LIVE),
    })
    .await;
    let client = server.client();
    client.check_auth_status().await.unwrap();
    client.check_auth_status().await.unwrap();
    let connections: Vec<usize> = server.heard().iter().map(|heard| heard.connection).collect();
    assert_eq!(connections, [0, 1, 2]);
}

/// What only asks may be asked once more at once; what changes something may already have done so.
#[tokio::test]
async fn a_broken_connection_is_tried_once_more_by_what_only_asks() {
    let server = Raw::doing(|_, _| Deed::Close).await;
    let client = server.client();
    assert_eq!(client.check_auth_status().await.unwrap_err().fault, Fault::Broken);
    assert_eq!(client.ping_server().await.unwrap_err().fault, Fault::Broken);
    assert_eq!(server.lines(), [["POST /v1/api/iserver/auth/status"; 2], ["POST /v1/api/tickle"; 2]].concat());

    let server = Raw::doing(|_, _| Deed::Close).await;
    let client = server.client();
    assert_eq!(client.reauthenticate().await.unwrap_err().fault, Fault::Broken);
    assert_eq!(client.open_brokerage(false).await.unwrap_err().fault, Fault::Broken);
    assert_eq!(client.end_session().await.unwrap_err().fault, Fault::Broken);
    assert_eq!(
        server.lines(),
        ["POST /v1/api/iserver/reauthenticate", "POST /v1/api/iserver/auth/ssodh/init", "POST /v1/api/logout"]
    );
}

/// The other end of the kept connection is gone without a farewell.
#[tokio::test]
async fn a_reset_of_the_kept_connection_alone_costs_what_only_asks_nothing() {
    for broken in [Deed::Reset, Deed::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"auth".to_vec())] {
        let breaks = broken.clone();
        let server = Raw::doing(move |_, before| if before == 1 { breaks.clone() } else { json(LIVE) }).await;
        let client = if matches!(broken, Deed::Reset) { server.client() } else { server.hasty_client() };
        client.check_auth_status().await.unwrap();
        let again = client.check_auth_status().await;
        if matches!(broken, Deed::Reset) {
            again.unwrap();
            assert_eq!(server.heard().iter().map(|heard| heard.connection).collect::<Vec<_>>(), [0, 0, 1]);
        } else {
            // Half an answer and then silence took all the time there was: nothing is asked twice.
            assert_eq!(again.unwrap_err().fault, Fault::NoAnswer);
            assert_eq!(server.heard().len(), 2);
        }
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
    assert_eq!(client.check_auth_status().await.unwrap_err().fault, Fault::NoAnswer);
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
    assert_eq!(client.ping_server().await.unwrap_err().fault, Fault::NoAnswer);
    client.check_auth_status().await.unwrap();
    assert_eq!(server.heard().iter().map(|heard| heard.connection).collect::<Vec<_>>(), [0, 1]);
}

#[tokio::test]
async fn nothing_that_listens_is_told_from_what_does_not_answer() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    assert_eq!(client(&url).ping_server().await.unwrap_err().fault, Fault::NothingListens);
}
