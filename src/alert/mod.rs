//! When a human is told, how often, when that is called off, and by which ways.
//!
//! | part | what |
//! |---|---|
//! | [`Code`] | the catalogue: what can be told, with its patience, its repeats and its causes |
//! | [`Tracker`] | the machine: which incidents there are, and what is to be told of them (pure) |
//! | [`Notice`], [`Message`] | what is told, and the same in words (pure) |
//! | [`Outbox`] | what a channel has still to send, and when it tries (pure) |
//! | [`Deadman`] | when a sign of life is due (pure) |
//! | [`Dispatcher`] | the channels' tasks, and the [`Spool`] that survives a restart |
//! | [`test()`] | a marked test through the channels |
//! | [`Service`] | all of it together, for a daemon |
//!
//! An incident is told once, after its hold-off; again every [`Settings::repeat_every`] while it lasts, or at once when
//! it takes another remedy; and called off once. One that ended within its hold-off is not told at all. While its cause
//! is told, a consequence is silent.

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
mod persist;
mod pipeline;
mod reminder;
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
pub use destination::{ChannelDestination, Destination, Unknown, destinations};
pub use dispatcher::{ChannelStatus, Clock, DeliveryEvent, Dispatcher};
pub use heartbeat::{check_deadman, failure_url};
pub use notice::{About, Message, Notice, Origin, Phase};
pub use outbox::{GIVEN_UP_AFTER, HISTORY_AFTER, MOST, Outbox, Outcome, Progress, Verdict};
pub use persist::{Persisted, PersistedMessage};
pub use pipeline::WakeReason;
pub use secret_file::{check_secret, world_readable_secrets};
pub use service::{Service, matches, warn_of_exposed};
pub use settings::Settings;
pub use spool::{Spool, State};
pub use tracker::{ActiveAlert, Input, Plan, Tracker};
