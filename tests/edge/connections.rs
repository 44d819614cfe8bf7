//! One kept connection, what its loss costs, and the two families behind the name `localhost`.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use tickled::gateway::{Client, ErrorKind, Target, Trust};
use tokio::time::Instant;

use crate::raw::{Deed, HASTE, Raw, answer, client, json};

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
        // The end of the connection has come, unnoticed or not.
        while server.closed() == 0 {
            tokio::task::yield_now().await;
        }
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
    let (_socket, free) = support::closed_port();
    assert_eq!(client(&format!("http://{free}")).ping_server().await.unwrap_err().kind, ErrorKind::NothingListens);
}

/// A request that IBKR does not answer is left standing instead of being repeated: its connection stays open, other calls
/// go by others, and its late answer arrives.
#[tokio::test]
async fn a_call_without_a_time_limit_gets_its_late_answer_while_others_go_by() {
    let late = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{LIVE}", LIVE.len());
    let server = Raw::doing(move |_, before| match before {
        0 => Deed::Late(4, late.clone()),
        _ => json(LIVE),
    })
    .await;
    let target = Target { answer_within: Duration::from_millis(1), ..server.client().target().clone() };
    let client = Client::new(target).unwrap().without_time_limit();
    let standing = client.check_auth_status();
    let others = async {
        for _ in 0..3 {
            // Longer than the limit that a call would have.
            tokio::time::sleep(Duration::from_millis(20)).await;
            client.ping_server().await.unwrap();
        }
    };
    let (standing, ()) = tokio::join!(standing, others);
    assert!(standing.unwrap().authenticated);
    assert_eq!(server.heard().iter().map(|heard| heard.connection).collect::<Vec<_>>(), [0, 1, 1, 1]);
}

/// A standing call ends with its connection, and an answer without a length ends with its last brace.
#[tokio::test]
async fn a_call_without_a_time_limit_ends_with_its_connection_or_its_answer() {
    let server = Raw::doing(|_, before| match before {
        0 => Deed::Close,
        1 => Deed::Reset,
        _ => Deed::Say(format!("HTTP/1.1 200 OK\r\n\r\n{LIVE}")),
    })
    .await;
    let client = server.client().without_time_limit();
    for _ in 0..2 {
        let error = client.check_auth_status().await.unwrap_err();
        assert!(error.kind == ErrorKind::Broken && error.holds_place, "{error:?}");
    }
    assert!(client.check_auth_status().await.unwrap().authenticated);
}

/// The watch of the process has a limit of its own: the gateway answers it by itself, or it hangs.
#[tokio::test]
async fn the_watch_of_the_process_has_a_limit_whatever_the_client_has() {
    let server = Raw::doing(|_, _| Deed::Hang).await;
    let error = server.hasty_client().without_time_limit().is_listening().await.unwrap_err();
    assert!(error.kind == ErrorKind::NoAnswer && !error.holds_place, "{error:?}");
}

/// What the gateway may hold a place for is what it was sent and has not answered, and what it proxies at all.
#[tokio::test]
async fn an_error_says_whether_the_gateway_may_hold_a_place_for_the_request() {
    let silent = Raw::doing(|_, _| Deed::Hang).await;
    let (check, reauthentication) = (silent.hasty_client(), silent.hasty_client());
    let (check, reauthentication) = tokio::join!(check.check_auth_status(), reauthentication.reauthenticate());
    assert!(check.unwrap_err().holds_place);
    assert!(!reauthentication.unwrap_err().holds_place, "the gateway answers it by itself");
    for (status, holds_place) in [("504 Gateway Time-out", true), ("503 Unavailable", false), ("401 Nobody", false)] {
        let server = Raw::doing(move |_, _| answer(status, "", "")).await;
        assert_eq!(server.client().ping_server().await.unwrap_err().holds_place, holds_place, "{status}");
    }
    // A listener that never accepts answers no greeting: no request was sent.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", deaf.local_addr().unwrap());
    let target = Target { url: url.parse().unwrap(), answer_within: HASTE, trust: Trust::Loopback };
    let error = Client::new(target).unwrap().ping_server().await.unwrap_err();
    assert!(error.kind == ErrorKind::NoAnswer && !error.holds_place, "{error:?}");
    drop(deaf);
    let error = client(&url).ping_server().await.unwrap_err();
    assert!(error.kind == ErrorKind::NothingListens && !error.holds_place, "{error:?}");
}
