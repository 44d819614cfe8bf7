//! The history across restarts: the last state and the pause of each gateway, and a ledger of all changes.

pub mod chart;
mod event_id;
mod events;
mod ledger;
mod persisted;
mod record;
pub mod report;
mod row;

pub use event_id::EventId;
pub use events::Events;
pub use ledger::{Ledger, ReadLedger};
pub use persisted::{DriverInit, PersistedGateway, PersistedState};
pub use record::Record;
pub use row::{Row, What};
