//! `tickled doctor` and the ways a first day goes wrong: in each the right cause is named first, with what to do. And
//! `tickled login`, which most of them end with.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod gateway;
mod host;
mod login;
mod strangers;
mod visit;
