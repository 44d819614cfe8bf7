//! The client against raw sockets that do what no decent server does: the traps of an HTTP library, and connections that break.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod connections;
mod raw;
mod replies;
mod traps;
mod trust;
