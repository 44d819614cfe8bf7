//! The endpoint: what monitoring, load balancers and browsers may see over TCP. Read-only, and from memory alone.
//!
//! | path | what it is |
//! |---|---|
//! | `/` | a page for a browser |
//! | `/livez` | 200 while the daemon does its work; knows nothing of the gateways |
//! | `/readyz` | 200 while all sessions are live, or the one of `?gateway=NAME`; else 503 with the reason; `?verbose` |
//! | `/status` | how everything is, as JSON |
//! | `/metrics` | for Prometheus |
//!
//! Nothing asked here causes a request to a gateway.

mod counts;
mod health;
mod hosts;
mod metrics;
mod page;
mod server;

pub use counts::Counts;
pub use health::{Health, livez, readyz};
pub use hosts::{Hosts, is_loopback};
pub use metrics::text as metrics;
pub use page::{Timelines, html};
pub use server::serve;

use std::collections::BTreeSet;

use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::control::{Gateway, Status};
use crate::session::{Now, StateKind};

/// All that the endpoint shows of one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// The moment.
    pub now: Now,
    /// How everything is, without what only the operator may know.
    pub status: Status,
    /// The names of all gateways, those that have not reported yet as well.
    pub gateways: Vec<String>,
    /// Gateways of which nothing new was reported in time: their drivers are late, or the host slept.
    pub late: BTreeSet<String>,
    /// When the configuration in force was read.
    pub config_read: Timestamp,
    /// What was counted.
    pub counts: Counts,
}

impl View {
    /// Whether a gateway's session is live, as far as that is known.
    #[must_use]
    pub fn is_live(&self, gateway: &Gateway) -> bool {
        gateway.state == StateKind::Live && !self.late.contains(&gateway.name)
    }
}

/// Asks the daemon's loop for a view.
#[derive(Debug)]
pub struct ViewRequest(pub oneshot::Sender<View>);
