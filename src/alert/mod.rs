//! Alerts: when a human is notified, how often, and through which channels.
//!
//! | part | what |
//! |---|---|
//! | [`Code`] | the catalogue: every alert with its severity, hold-off, repeats and causes |
//! | [`Tracker`] | which alerts are open, and when a human is notified of one (pure) |
//! | [`Notice`], [`Message`] | a notification, and its texts (pure) |
//! | [`Outbox`] | the unsent messages of a channel, and when it tries (pure) |
//! | [`Deadman`] | when a sign of life is due (pure) |
//! | [`Dispatcher`] | the tasks of the channels, and the [`Spool`] that survives a restart |
//! | [`test()`] | a marked test through the channels |
//! | [`Service`] | all of it together, for a daemon |
//!
//! A human is notified of an alert once, after its hold-off; again every [`Settings::repeat_every`] while it lasts, or
//! at once when it needs another action; and once of its end. An alert that ends within its hold-off is not notified,
//! nor is a consequence while its cause is.

mod annotations;
mod catalogue;
mod channel_test;
pub mod channels;
mod condition;
mod deadman;
mod destination;
mod dispatcher;
mod gateway_text;
mod heartbeat;
mod lifecycle;
mod notice;
mod outbox;
mod pipeline;
mod plan;
mod readiness;
pub mod schedule;
mod secret_file;
mod secrets;
mod service;
pub mod settings;
mod spool;
mod time;
mod tracker;

pub use catalogue::{Code, Entry, Severity};
pub use channel_test::{DEADMAN, TestResult, test, testable};
pub use deadman::{Deadman, Sign};
pub use destination::{ChannelDestination, Destination, UnknownDestination, destinations};
pub use dispatcher::{ChannelStatus, DeliveryEvent, Dispatcher, ReadClocks};
pub use heartbeat::{check_deadman, failure_url};
pub use lifecycle::Persisted;
pub use notice::{About, AlertPhase, Audience, Message, Notice, Origin, Who};
pub use outbox::{DeliveryVerdict, GIVEN_UP_AFTER, HISTORY_AFTER, MOST, Outbox, Outcome, PersistedMessage, Progress};
pub use pipeline::{AlertWakeReason, Held, HeldBy, held_text};
pub use plan::{ActiveAlert, AlertInput, AlertPlan};
pub use readiness::ReadinessReport;
pub use secret_file::{check_secret, world_readable_secrets};
pub use service::{Service, warn_of_exposed};
pub use settings::Settings;
pub use spool::{Spool, SpoolContent};
pub use tracker::Tracker;
