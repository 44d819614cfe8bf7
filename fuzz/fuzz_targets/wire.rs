//! Any answer, in the form of `tests/data/replies`: no reader panics, and none believes what the answer does not say.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tickled::gateway::wire::{self, RawReply};
use tickled::gateway::{AccountsAnswer, AuthStatus, Logout, Reauthentication, SsoValidation, Tickle};

fuzz_target!(|data: &[u8]| {
    let end = data.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = end.map_or((&b""[..], data), |end| (&data[..end], &data[end + 2..]));
    let head = String::from_utf8_lossy(head);
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok()).unwrap_or(200);
    let retry_after = field("Retry-After:").and_then(|s| s.parse().ok()).map(Duration::from_secs);
    let reply = RawReply { status, location: field("Location:"), retry_after, body };
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    let is_good = (200..300).contains(&status) && said.is_object();

    if let Ok(status) = wire::read_status(&reply) {
        assert!(is_good);
        no_better_than(&status, &said);
    }
    if let Ok(tickle) = wire::read::<Tickle>(&reply) {
        assert!(is_good);
        if let Some(status) = &tickle.auth_status {
            no_better_than(status, &said["iserver"]["authStatus"]);
        }
        assert!(!format!("{tickle:?}").contains("SessionId(\""));
    }
    if let Ok(accounts) = wire::read::<AccountsAnswer>(&reply) {
        assert!(is_good);
        assert_eq!(accounts.count, said["accounts"].as_array().map_or(0, Vec::len));
    }
    if let Ok(sso) = wire::read::<SsoValidation>(&reply) {
        assert!(is_good);
        let result = &said["RESULT"];
        let says_so = result == true
            || result.as_f64().is_some_and(|number| number > 0.0)
            || result.as_str().is_some_and(|word| word.eq_ignore_ascii_case("true"));
        assert_eq!(sso.result, says_so);
    }
    if let Ok(said_so) = wire::read_reauthentication(&reply) {
        assert!(is_good);
        match said_so {
            Reauthentication::Triggered => assert_eq!(said["message"], "triggered"),
            Reauthentication::NotLoggedIn => assert_eq!(said["error"], "not logged in"),
            Reauthentication::Authenticated | Reauthentication::Reauthenticated | Reauthentication::Other(_) => {}
        }
    }
    if wire::read::<Logout>(&reply).is_ok() {
        assert!(is_good);
    }
    if wire::read_listening(&reply).is_ok() {
        assert!((200..400).contains(&status));
    }
    let refused = wire::read_status(&reply).err().into_iter().chain(wire::read::<Tickle>(&reply).err());
    for refused in refused {
        // A refusal goes into the log as it is, so it may not carry what the other side wrote.
        assert!(format!("{refused:?}").len() < 200, "{refused:?}");
    }
});

/// A flag that is up stands in the answer as true, and as nothing else.
fn no_better_than(status: &AuthStatus, said: &Value) {
    let up = |flag: &str| said[flag] == true;
    assert_eq!(status.authenticated, up("authenticated"));
    assert_eq!(status.connected, up("connected"));
    assert_eq!(status.competing, up("competing"));
    assert_eq!(status.established == Some(true), up("established"));
}
