//! Any text: what may stand in a log of it is short, one line, and clean.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tickled::log::redact;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let shown = redact(&text);
    assert!(shown.len() <= 200, "{}", shown.len());
    assert!(!shown.contains(tickled::text::is_disturbing), "{shown:?}");
    // Whatever stands around it, and cut off where it is.
    let personal = format!("{{\"USER_NAME\":\"jdoe77\",{}", &text[..text.floor_char_boundary(40)]);
    assert!(!redact(&personal).contains("jdoe77"), "{personal:?}");
});
