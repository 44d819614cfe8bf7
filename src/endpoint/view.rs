//! What the endpoint shows of one moment.

use std::collections::BTreeSet;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::counts::Counts;
use crate::control::{DaemonStatus, GatewayStatus};
use crate::session::{Now, StateKind};

/// All that the endpoint shows of one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// The moment.
    pub now: Now,
    /// The status, without what only the operator may see.
    pub status: DaemonStatus,
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
    pub fn is_live(&self, gateway: &GatewayStatus) -> bool {
        gateway.state == StateKind::Live && !self.late.contains(&gateway.name)
    }
}

/// Asks the daemon's loop for a view.
#[derive(Debug)]
pub struct ViewRequest(pub oneshot::Sender<View>);
