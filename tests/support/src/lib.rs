//! What several tests and the benches share: a simulated gateway, the real program as a child, chance.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]
#![allow(clippy::missing_panics_doc, reason = "a helper that fails fails its test")]

mod blindness;
pub mod chance;
mod daemon;
pub mod flights;
mod gateway;
mod host;
pub mod port;
pub mod receiver;
pub mod rules;
mod said;
pub mod year;

pub use daemon::{Daemon, SOON, by_day, file, program, tickled};
pub use gateway::Gateway;
pub use host::{closed_port, copy_program, until_file};
pub use said::{Said, said};
