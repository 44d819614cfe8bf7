//! Any certificate: read as far as that goes, and nothing in it reaches a terminal as a command.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tickled::gateway::{Fingerprint, certificate};

fuzz_target!(|data: &[u8]| {
    let seen = certificate::read(data);
    assert_eq!(seen.fingerprint, Fingerprint::of(data));
    assert!(!seen.subject.contains(tickled::text::is_disturbing));
    assert!(seen.subject.len() < 2048);
    assert_eq!(seen.fingerprint.to_string().parse(), Ok(seen.fingerprint));
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(fingerprint) = text.parse::<Fingerprint>()
    {
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
    }
});
