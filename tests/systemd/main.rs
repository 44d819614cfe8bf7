//! The unit, the installer and the package on a real systemd, where `TICKLED_SYSTEMD_BOX` names a script that boots one.
//!
//! The script's interface is `up`, `run CMD...`, `copy - PATH` and `down --kill`, and `SYSTEMD_BOX_DIR` tells its boxes
//! apart. Without it nothing is tried, and that is said; with it, what a test needs and does not find is a fault.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![expect(clippy::disallowed_methods, reason = "real services take real time")]
#![expect(clippy::print_stdout, reason = "a test that tries nothing says why")]

mod control;
mod events;
mod install;
mod journal;
mod keepers;
mod machine;
mod outside;
mod package;
mod reload;
mod secret;
mod supervision;
mod unit;
