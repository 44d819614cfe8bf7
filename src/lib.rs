//! x
pub mod log;
pub mod systemd;
