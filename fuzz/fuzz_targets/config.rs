//! Any configuration: judged without a panic, every fault on a line of its own, and what is good is shown as what it is.
#![no_main]

use std::collections::BTreeMap;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use tickled::config;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let name = Path::new("tickled.toml");
    match config::parse(text, name, &BTreeMap::new()) {
        Ok(config) => {
            assert!(!config.gateways.is_empty());
            let shown = config::show(&config);
            let again = config::parse(&shown, name, &BTreeMap::new());
            assert_eq!(again.as_ref().ok(), Some(&config), "{shown}");
        }
        Err(faults) => assert!(!faults.to_string().is_empty()),
    }
    if let Ok(url) = config::address(text) {
        assert_eq!(config::address(&url).as_ref(), Ok(&url));
    }
});
