//! x
pub mod systemd;
