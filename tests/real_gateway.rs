//! A real Client Portal Gateway, where `TICKLED_REAL_GATEWAY=https://localhost:5000` names one: whatever its session is,
//! it must be recognised for what it is. Nothing is asked that changes anything.

#![expect(clippy::print_stdout, reason = "a test that tries nothing says why")]
use std::process::Command;
use std::time::Duration;

use tickled::gateway::{Client, ErrorKind, Fingerprint, Target, Trust};

/// The gateway's URL; none says why nothing is tried.
fn named() -> Option<String> {
    let url = std::env::var("TICKLED_REAL_GATEWAY").ok();
    if url.is_none() {
        println!("skipped: TICKLED_REAL_GATEWAY names no gateway");
    }
    url
}

fn client(url: &str, trust: Trust) -> Client {
    let target = Target { url: url.parse().expect("a URL"), answer_within: Duration::from_secs(15), trust };
    Client::new(target).expect("a client").with_session_ids()
}

#[tokio::test]
async fn it_listens_and_its_answer_to_a_check_is_understood() {
    let Some(url) = named() else { return };
    let client = client(&url, Trust::Loopback);
    client.is_listening().await.expect("a gateway that listens");
    if let Err(error) = client.check_auth_status().await {
        let strange = [
            ErrorKind::NotUnderstood,
            ErrorKind::NotAGateway,
            ErrorKind::Gone,
            ErrorKind::Broken,
            ErrorKind::Certificate,
        ];
        assert!(!strange.contains(&error.kind), "{error}");
    }
    if let Err(error) = client.ping_server().await {
        assert_ne!(error.kind, ErrorKind::NotUnderstood, "{error}");
    }
}

#[tokio::test]
async fn its_certificate_can_be_pinned_and_a_wrong_pin_is_refused() {
    let Some(url) = named().filter(|url| url.starts_with("https:")) else { return };
    let wrong: Fingerprint = "00".repeat(32).parse().expect("a fingerprint");
    let refused = client(&url, Trust::Pin(vec![wrong])).is_listening().await.expect_err("a refusal");
    assert_eq!(refused.kind, ErrorKind::Certificate, "{refused}");
    let presented = refused.detail.split_whitespace().find_map(|word| word.trim_end_matches(',').parse().ok());
    let presented: Fingerprint = presented.expect("the fingerprint that was presented");
    client(&url, Trust::Pin(vec![presented])).is_listening().await.expect("the right pin");
    println!("it presents {}", if presented == Fingerprint::STOCK { "the stock certificate" } else { "its own" });
}

#[test]
fn the_check_verb_knows_what_it_is() {
    let Some(url) = named() else { return };
    let ended = Command::new(env!("CARGO_BIN_EXE_tickled")).args(["check", "--url", &url]).output().expect("a run");
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    println!("{said}");
    assert!(matches!(ended.status.code(), Some(0..=2)), "{:?}: {said}", ended.status);
}
