//! Keeps an Interactive Brokers Client Portal session alive, and calls a human when only a human can help.

pub mod alert;
pub mod calendar;
pub mod config;
pub mod daemon;
pub mod demo;
pub mod driver;
pub mod gateway;
pub mod log;
pub mod observe;
pub mod recipes;
pub mod session;
pub mod simulator;
pub mod status;
pub mod systemd;
pub mod verbs;
