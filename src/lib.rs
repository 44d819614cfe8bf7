//! Keeps an Interactive Brokers Client Portal session alive, and calls a human when only a human can help.

pub mod calendar;
pub mod config;
pub mod gateway;
pub mod log;
pub mod session;
pub mod systemd;
