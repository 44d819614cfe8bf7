//! The endpoint: what monitoring, load balancers and browsers may see over TCP. Read-only, and from memory alone.
//!
//! | path | what it is |
//! |---|---|
//! | `/` | a page for a browser |
//! | `/livez` | 200 while the daemon works; independent of the gateways |
//! | `/readyz` | 200 while all sessions are live, or the one of `?gateway=NAME`; else 503 with the reason; `?verbose` |
//! | `/status` | the whole status, as JSON |
//! | `/events` | what happens, as Server-Sent Events; `?gateway=NAME` |
//! | `/metrics` | for Prometheus |
//!
//! No request here causes a request to a gateway.

mod counts;
mod health;
mod hosts;
mod metrics;
mod page;
mod server;
mod view;

pub use counts::Counts;
pub use health::{Health, livez, readyz};
pub use hosts::{Hosts, is_loopback};
pub use metrics::text as metrics;
pub use page::{Timelines, html};
pub use server::serve;
pub use view::{View, ViewRequest};
