//! What is kept across restarts, and what follows from it: files that are torn, foreign or full, and a ledger with known outages.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod disk;
mod events;
mod record;
mod reports;
