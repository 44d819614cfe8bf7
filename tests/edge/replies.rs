//! Recorded replies: what each of them means to the machine, through a real connection.
//!
//! A file in `tests/data/replies/` is one answer, status line to body, named after what it means; every name, number
//! and address in it is invented. A file in `tests/data/frames/` is what the stream says in one frame.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use support::Said::{
    self, Accepted, Ended, Listening, LoginPage, NoStatus, NotLoggedIn, Unauthorized, Unavailable, Unsupported,
};
use tickled::driver::Port;
use tickled::driver::answers;
use tickled::gateway::stream::{self, StreamMessage};
use tickled::session::Request::{
    self, Accounts, Check, EndSession, IsListening, OpenBrokerage, Ping, Reauthenticate, ValidateSso,
};
use tickled::session::Unavailability::{
    AddressRefused, EdgeRefused, IbkrError, Nonsense, NotAGateway, TooManyRequests,
};
use tickled::session::{self, Sso, Status};

use crate::raw::{Deed, Raw};
use Flag::{Authenticated, Competing, Connected, Established, NotEstablished};

/// Each reply, the request that it answers, and what it means.
fn meanings() -> Vec<(&'static str, Request, Said)> {
    vec![
        ("ping-live", Ping, flags(&[Authenticated, Connected])),
        ("ping-live-established", Ping, flags(&[Authenticated, Connected, Established])),
        ("ping-live-without-history-farm", Ping, flags(&[Authenticated, Connected])),
        ("ping-live-history-farm-down", Ping, flags(&[Authenticated, Connected])),
        ("ping-live-in-the-form-of-2021", Ping, flags(&[Authenticated, Connected])),
        ("ping-live-by-oauth", Ping, flags(&[Authenticated, Connected])),
        ("ping-live-login-counter-at-its-top", Ping, flags(&[Authenticated, Connected])),
        ("ping-live-login-counter-near-its-end", Ping, flags(&[Authenticated, Connected])),
        ("ping-live-login-counter-run-out", Ping, flags(&[Authenticated, Connected])),
        ("ping-live-login-counter-as-text", Ping, flags(&[Authenticated, Connected])),
        ("ping-live-with-unknown-fields", Ping, flags(&[Authenticated, Connected])),
        ("ping-session-lapsed", Ping, flags(&[Connected])),
        ("ping-session-lapsed-and-not-connected", Ping, flags(&[])),
        ("ping-kicked-at-night", Ping, flags(&[])),
        ("ping-logged-out-counter-still-full", Ping, flags(&[])),
        ("ping-competing", Ping, flags(&[Authenticated, Connected, Competing])),
        ("ping-not-established", Ping, flags(&[Authenticated, Connected, NotEstablished])),
        ("ping-authenticated-and-not-connected", Ping, flags(&[Authenticated])),
        ("ping-no-session", Ping, NoStatus),
        ("ping-failed-to-process", Ping, NoStatus),
        ("ping-without-a-status", Ping, NoStatus),
        ("ping-without-the-brokerage-part", Ping, NoStatus),
        ("ping-brokerage-part-null", Ping, NoStatus),
        ("ping-not-logged-in", Ping, Unauthorized),
        ("ping-not-logged-in-in-words", Ping, Unauthorized),
        ("ping-not-logged-in-as-a-page", Ping, Unauthorized),
        ("ping-sent-to-the-login-page", Ping, LoginPage),
        ("ping-sent-to-the-dispatcher", Ping, LoginPage),
        ("ping-login-page", Ping, LoginPage),
        ("ping-address-not-on-the-list", Ping, Unavailable(AddressRefused)),
        ("ping-edge-refuses", Ping, Unavailable(EdgeRefused)),
        ("ping-edge-refuses-with-200", Ping, Unavailable(EdgeRefused)),
        ("ping-ibkr-restarts", Ping, Unavailable(IbkrError)),
        ("ping-ibkr-unavailable-after-ten-seconds", Ping, Unavailable(IbkrError)),
        ("ping-bad-gateway", Ping, Unavailable(IbkrError)),
        ("ping-ibkr-too-late", Ping, Unavailable(IbkrError)),
        ("ping-too-fast", Ping, Unavailable(TooManyRequests { retry_after: None })),
        ("ping-too-fast-wait-twenty-minutes", Ping, quiet(1200)),
        ("ping-too-fast-wait-until-a-date", Ping, Unavailable(TooManyRequests { retry_after: None })),
        ("ping-length-missing", Ping, Unavailable(Nonsense)),
        ("ping-path-not-the-gateways", Ping, Unsupported),
        ("ping-not-known-any-more", Ping, Unsupported),
        ("ping-method-not-allowed", Ping, Unsupported),
        ("ping-sent-to-another-program", Ping, Unavailable(NotAGateway)),
        ("ping-flags-in-words", Ping, Unavailable(Nonsense)),
        ("check-live", Check, flags(&[Authenticated, Connected, Established])),
        ("check-live-older-gateway", Check, flags(&[Authenticated, Connected])),
        ("check-live-with-prompts-of-2020", Check, flags(&[Authenticated, Connected])),
        ("check-session-lapsed", Check, flags(&[Connected])),
        ("check-session-lapsed-no-reason-given", Check, flags(&[Connected])),
        ("check-logged-out", Check, flags(&[])),
        ("check-logged-out-server-null", Check, flags(&[])),
        ("check-no-flags-at-all", Check, Unavailable(Nonsense)),
        ("check-competing", Check, flags(&[Authenticated, Connected, Competing])),
        ("check-lost-to-another-client", Check, flags(&[Connected, Competing])),
        ("check-not-established-yet", Check, flags(&[Authenticated, Connected, NotEstablished])),
        ("check-authenticated-and-not-connected", Check, flags(&[Authenticated])),
        ("check-established-in-words", Check, flags(&[Authenticated, Connected])),
        ("check-flags-in-words", Check, Unavailable(Nonsense)),
        ("check-flags-null", Check, flags(&[])),
        ("check-compete-flag-misused", Check, flags(&[Connected])),
        ("check-not-logged-in", Check, Unauthorized),
        ("check-not-logged-in-with-200", Check, Unauthorized),
        ("check-not-logged-in-at-midnight", Check, Unauthorized),
        ("check-session-to-be-opened-first", Check, NoStatus),
        ("check-no-bridge", Check, NoStatus),
        ("check-session-expired-601", Check, NoStatus),
        ("check-bad-request", Check, Unavailable(Nonsense)),
        ("check-login-page", Check, LoginPage),
        ("check-login-page-in-the-form-of-2020", Check, LoginPage),
        ("check-maintenance-page-with-a-link-to-the-login", Check, Unavailable(Nonsense)),
        ("check-page-that-writes-of-passwords", Check, Unavailable(Nonsense)),
        ("check-login-page-of-a-router", Check, Unavailable(Nonsense)),
        ("check-another-page", Check, Unavailable(Nonsense)),
        ("check-another-error", Check, Unavailable(Nonsense)),
        ("check-cut-off", Check, Unavailable(Nonsense)),
        ("check-empty", Check, Unavailable(Nonsense)),
        ("check-no-content", Check, Unavailable(Nonsense)),
        ("check-not-utf8", Check, flags(&[Authenticated, Connected])),
        ("check-a-list", Check, Unavailable(Nonsense)),
        ("check-a-word", Check, Unavailable(Nonsense)),
        ("check-nested-too-deep", Check, flags(&[Authenticated, Connected])),
        ("check-the-same-flag-twice", Check, flags(&[Connected])),
        ("check-number-without-end", Check, flags(&[Authenticated, Connected])),
        ("check-a-proxy-with-a-login-of-its-own", Check, Unavailable(NotAGateway)),
        ("check-a-proxy-whose-gateway-is-late", Check, Unavailable(IbkrError)),
        ("check-teapot", Check, Unavailable(Nonsense)),
        ("reauthenticate-triggered", Reauthenticate, Accepted),
        ("reauthenticate-authenticated-already", Reauthenticate, Accepted),
        ("reauthenticate-done-by-its-own-word", Reauthenticate, Accepted),
        ("reauthenticate-in-other-words", Reauthenticate, Accepted),
        ("reauthenticate-not-logged-in-since-its-start", Reauthenticate, NotLoggedIn),
        ("reauthenticate-not-logged-in", Reauthenticate, Unauthorized),
        ("reauthenticate-not-known-any-more", Reauthenticate, Unsupported),
        ("reauthenticate-removed", Reauthenticate, Unsupported),
        ("reauthenticate-ibkr-unavailable", Reauthenticate, Unavailable(IbkrError)),
        ("reauthenticate-says-nothing", Reauthenticate, Unavailable(Nonsense)),
        ("open-brokerage-done", OpenBrokerage { compete: false }, flags(&[Authenticated, Connected, Established])),
        (
            "open-brokerage-not-established-yet",
            OpenBrokerage { compete: false },
            flags(&[Authenticated, Connected, NotEstablished]),
        ),
        (
            "open-brokerage-raises-the-bridge-alone",
            OpenBrokerage { compete: false },
            flags(&[Connected, NotEstablished]),
        ),
        (
            "open-brokerage-refused-while-another-client-competes",
            OpenBrokerage { compete: false },
            flags(&[Connected, Competing, NotEstablished]),
        ),
        (
            "open-brokerage-taken-and-still-competing",
            OpenBrokerage { compete: false },
            flags(&[Authenticated, Connected, Competing, NotEstablished]),
        ),
        ("open-brokerage-not-logged-in", OpenBrokerage { compete: false }, Unauthorized),
        ("open-brokerage-publish-missing", OpenBrokerage { compete: false }, Unavailable(IbkrError)),
        ("open-brokerage-wedged", OpenBrokerage { compete: false }, Unavailable(IbkrError)),
        ("open-brokerage-not-known-any-more", OpenBrokerage { compete: false }, Unsupported),
        ("validate-login-stands", ValidateSso, sso(true, false, LOGIN)),
        ("validate-paper-login-stands", ValidateSso, sso(true, false, LOGIN)),
        ("validate-login-stands-qualified-for-mobile", ValidateSso, sso(true, false, LOGIN)),
        ("validate-login-stands-as-a-number", ValidateSso, sso(true, false, LOGIN)),
        ("validate-login-stands-as-a-word", ValidateSso, sso(true, false, LOGIN)),
        ("validate-login-does-not-stand", ValidateSso, sso(false, false, LOGIN)),
        ("validate-login-does-not-stand-as-a-number", ValidateSso, sso(false, false, LOGIN)),
        ("validate-nothing-said", ValidateSso, sso(false, false, None)),
        ("validate-login-stands-in-the-form-of-2020", ValidateSso, sso(true, false, None)),
        ("validate-login-time-beyond-all-calendars", ValidateSso, sso(true, false, None)),
        ("validate-borrowed-by-the-phone", ValidateSso, sso(true, true, LOGIN)),
        ("validate-not-logged-in", ValidateSso, Unauthorized),
        ("validate-second-within-the-minute", ValidateSso, Unavailable(TooManyRequests { retry_after: None })),
        ("validate-sent-to-the-login-page", ValidateSso, LoginPage),
        ("validate-asked-by-the-wrong-method", ValidateSso, Unsupported),
        ("end-session-done", EndSession, Ended),
        ("end-session-not-logged-in", EndSession, Unauthorized),
        ("accounts-live", Accounts, accounts(true, Some(false))),
        ("accounts-paper", Accounts, accounts(true, Some(true))),
        ("accounts-none-while-another-client-competes", Accounts, accounts(false, None)),
        ("accounts-none-while-not-established", Accounts, accounts(false, Some(false))),
        ("accounts-not-a-list", Accounts, accounts(false, None)),
        ("accounts-no-bridge", Accounts, NoStatus),
        ("accounts-no-bridge-with-200", Accounts, NoStatus),
        ("accounts-not-logged-in", Accounts, Unauthorized),
        ("accounts-ibkr-unavailable", Accounts, Unavailable(IbkrError)),
        ("accounts-not-known-any-more", Accounts, Unsupported),
        ("is-listening-a-gateway", IsListening, Listening),
        ("is-listening-a-gateway-behind-a-proxy", IsListening, Listening),
        ("is-listening-a-gateway-with-its-page", IsListening, Listening),
        ("is-listening-address-not-on-the-list", IsListening, Unavailable(AddressRefused)),
        ("is-listening-a-page-with-a-link-to-the-login", IsListening, Unavailable(NotAGateway)),
        ("is-listening-another-program", IsListening, Unavailable(NotAGateway)),
        ("is-listening-a-loudspeaker", IsListening, Unavailable(NotAGateway)),
        ("is-listening-a-proxy-with-a-login-of-its-own", IsListening, Unavailable(NotAGateway)),
        ("is-listening-a-proxy-whose-gateway-is-late", IsListening, Unavailable(NotAGateway)),
        ("is-listening-a-proxy-without-a-gateway", IsListening, Unavailable(NotAGateway)),
    ]
}

#[tokio::test]
async fn every_recorded_reply_means_what_its_name_says() {
    let reply = Arc::new(Mutex::new(Vec::new()));
    let said = Arc::clone(&reply);
    let server = Raw::doing(move |_, _| Deed::Bytes(said.lock().unwrap().clone())).await;
    let client = server.client().with_session_ids();
    let mut visited = BTreeSet::new();
    for (name, request, meaning) in meanings() {
        let recorded = recorded(name);
        let names_session = recorded.windows(9).any(|window| window == b"\"session\"");
        *reply.lock().unwrap() = recorded;
        let answer = client.ask(request).await;
        assert_eq!(Some(answer.answer), meaning.to(request), "{name}: {:?}", answer.error);
        let shown = format!("{:?} {:?}", answer.error.as_ref().map(ToString::to_string), answer.session);
        for personal in ["02:00:00", "51a051a0", "simulated00", "192.0.2.1", "0f0e0d0c", "U0000000", "100000001"] {
            assert!(!shown.contains(personal), "{name}: {shown}");
        }
        assert_eq!(answer.session.is_some(), names_session && answer.error.is_none(), "{name}");
        assert!(visited.insert(name.to_owned()), "{name} stands there twice");
    }
    assert_eq!(visited, files("replies"), "the replies that were read, and those in the folder");
    assert!(visited.len() > 120);
    // None of them, however strange, costs the connection.
    assert!(server.heard().iter().all(|heard| heard.connection == 0));
}

/// Each frame of the stream, and what it means.
fn frames() -> Vec<(&'static str, Frame)> {
    vec![
        ("waiting-for-the-session", Frame::Says(StreamMessage::Waiting)),
        ("ready", Frame::Says(StreamMessage::Ready)),
        ("heartbeat", Frame::Says(StreamMessage::Heartbeat)),
        ("live", Frame::Flags(flags(&[Authenticated, Connected]))),
        ("live-in-one-word", Frame::Flags(flags(&[Authenticated, Connected]))),
        ("lapsed", Frame::Flags(flags(&[Connected]))),
        ("lapsed-in-one-word", Frame::Flags(flags(&[]))),
        ("competing", Frame::Flags(flags(&[Authenticated, Connected, Competing]))),
        ("competing-in-one-word", Frame::Flags(flags(&[Competing]))),
        ("not-established", Frame::Flags(flags(&[Authenticated, Connected, NotEstablished]))),
        ("not-competing-and-nothing-else", Frame::Says(StreamMessage::Other)),
        ("flags-in-words", Frame::Says(StreamMessage::Other)),
        ("tic", Frame::Says(StreamMessage::Other)),
        ("accounts", Frame::Says(StreamMessage::Other)),
        ("notification", Frame::Says(StreamMessage::Other)),
        ("bulletin", Frame::Says(StreamMessage::Other)),
        ("topic-unknown", Frame::Says(StreamMessage::Other)),
        ("cut-off", Frame::Says(StreamMessage::Nonsense)),
        ("a-list", Frame::Says(StreamMessage::Nonsense)),
        ("empty", Frame::Says(StreamMessage::Nonsense)),
        ("not-utf8", Frame::Says(StreamMessage::Nonsense)),
    ]
}

/// What a frame means.
#[derive(Debug, PartialEq, Eq)]
enum Frame {
    Says(StreamMessage),
    Flags(Said),
}

#[test]
fn every_recorded_frame_means_what_its_name_says() {
    let mut visited = BTreeSet::new();
    for (name, meaning) in frames() {
        let message = stream::read(&fs::read(folder("frames").join(format!("{name}.json"))).unwrap());
        let shown = format!("{message:?}");
        assert!(!shown.contains("simulated") && !shown.contains("U0000000"), "{name}: {shown}");
        let said = match message {
            StreamMessage::Status(status) => Frame::Flags(Said::Status(answers::flags(&status))),
            StreamMessage::Heartbeat
            | StreamMessage::Ready
            | StreamMessage::Waiting
            | StreamMessage::Other
            | StreamMessage::Nonsense => Frame::Says(message),
        };
        assert_eq!(said, meaning, "{name}");
        assert!(visited.insert(name.to_owned()), "{name} stands there twice");
    }
    assert_eq!(visited, files("frames"), "the frames that were read, and those in the folder");
    assert!(visited.len() > 20);
}

/// The reply as it goes over the wire: the length is said for those that say nothing about it.
fn recorded(name: &str) -> Vec<u8> {
    let bytes = fs::read(folder("replies").join(format!("{name}.http"))).unwrap();
    let end = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap();
    let (head, body) = (String::from_utf8(bytes[..end].to_vec()).unwrap(), &bytes[end + 2..]);
    let head = format!("{head}\nContent-Length: {}\n\n", body.len()).replace('\n', "\r\n");
    [head.as_bytes(), body].concat()
}

fn files(of: &str) -> BTreeSet<String> {
    let name =
        |file: std::io::Result<fs::DirEntry>| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
    fs::read_dir(folder(of)).unwrap().map(name).collect()
}

fn folder(of: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(of)
}

/// The flags that are up.
fn flags(up: &[Flag]) -> Said {
    let mut status = Status::default();
    for flag in up {
        match flag {
            Authenticated => status.authenticated = true,
            Connected => status.connected = true,
            Competing => status.competing = true,
            Established => status.established = Some(true),
            NotEstablished => status.established = Some(false),
        }
    }
    Said::Status(status)
}

/// What a status says.
#[derive(Clone, Copy)]
enum Flag {
    Authenticated,
    Connected,
    Competing,
    Established,
    NotEstablished,
}

const fn sso(valid: bool, borrowed: bool, auth_time: Option<Timestamp>) -> Said {
    Said::Sso(Sso { valid, borrowed, auth_time })
}

const fn accounts(usable: bool, is_paper: Option<bool>) -> Said {
    Said::Accounts(session::Accounts { usable, is_paper })
}

const fn quiet(seconds: u64) -> Said {
    Unavailable(TooManyRequests { retry_after: Some(Duration::from_secs(seconds)) })
}

/// When the human of the recorded replies logged in.
const LOGIN: Option<Timestamp> = Some(Timestamp::constant(1_764_000_000, 0));
