//! Any frame of the stream: read without a panic, and a flag is up only if the frame says so.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tickled::gateway::stream::{StreamMessage, read};

fuzz_target!(|data: &[u8]| {
    let said: Value = serde_json::from_slice(data).unwrap_or_default();
    match read(data) {
        StreamMessage::Status(status) => {
            assert_eq!(said["topic"], "sts");
            let up = |flag: &str| said["args"][flag] == true;
            assert_eq!(status.authenticated, up("authenticated"));
            assert_eq!(status.competing, up("competing"));
            // What is left out says nothing either way.
            assert!(!status.connected || up("connected") || !said["args"]["connected"].is_boolean());
        }
        StreamMessage::Ready | StreamMessage::Heartbeat => assert_eq!(said["topic"], "system"),
        StreamMessage::Waiting => assert_eq!(said["message"], "waiting for session"),
        StreamMessage::Other => assert!(said.is_object()),
        StreamMessage::Nonsense => assert!(!said.is_object()),
    }
});
