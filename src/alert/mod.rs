//! When a human is told, how often, when that is called off, and by which ways.
//!
//! | part | what |
//! |---|---|
//! | [`Code`] | the catalogue: what can be told, with its patience, its repeats and its causes |
//! | [`Desk`] | the machine: which incidents there are, and what is to be told of them (pure) |
//! | [`Notice`], [`Message`] | what is told, and the same in words (pure) |
//! | [`Outbox`] | what a channel has still to send, and when it tries (pure) |
//! | [`Deadman`] | when a sign of life is due (pure) |
//! | [`Dispatcher`] | the channels' tasks, and the [`Spool`] that survives a restart |
//! | [`test()`] | a marked test through the channels |
//! | [`Alarm`] | all of it together, for a daemon |
//!
//! An incident is told once, after its hold-off; again every [`Settings::repeat_every`] while it lasts, or at once when
//! it takes another remedy; and called off once. One that ended within its hold-off is not told at all. While its cause
//! is told, a consequence is silent.

mod alarm;
mod annotations;
mod catalogue;
pub mod channels;
mod clockwork;
mod condition;
mod deadman;
mod desk;
mod dispatcher;
mod gateway_text;
mod heartbeat;
mod keep;
mod notice;
mod outbox;
mod reach;
mod reminder;
mod schedule;
mod scrub;
mod secret;
pub mod settings;
mod spool;
mod trial;

pub use alarm::{Alarm, exposed, takes};
pub use catalogue::{Code, Entry, Severity};
pub use deadman::{Deadman, Sign};
pub use desk::{Desk, Input, Plan, Reason, Standing};
pub use dispatcher::{ChannelStatus, Clock, DeliveryEvent, Dispatcher};
pub use heartbeat::{check_deadman, failure_url};
pub use keep::{Kept, PersistedMessage};
pub use notice::{About, Message, Notice, Origin, Phase};
pub use outbox::{GIVEN_UP_AFTER, HISTORY_AFTER, MOST, Outbox, Outcome, Progress, Verdict};
pub use reach::{NoWay, Place, Way, ways};
pub use secret::check_secret;
pub use settings::Settings;
pub use spool::{Spool, State};
pub use trial::{DEADMAN, TestResult, test, testable};
