//! The control socket: HTTP and JSON over a Unix socket, by which verbs and programs query and control a running
//! daemon.
//!
//! [`ROUTES`] lists all requests; docs/control.md shows each with an example. Reads are answered from memory and
//! cause no request to a gateway.

mod api;
mod client;
mod ensure;
mod event;
mod listen;
mod listening;
mod paths;
mod routes;
mod server;

pub use api::{
    Asked, ChannelTest, Command, CurrentWindow, DaemonStatus, ErrorBody, GatewayStatus, OpenAlert, Response, Tried,
    Until,
};
pub(crate) use client::{Client, Error};
pub use ensure::EnsureResult;
pub use event::{AlertEvent, Event, SessionEvent, StateEvent};
pub use listen::Listener;

pub use paths::{bind, bind_with_mode, connect_at_once, socket_in, sockets};
pub use routes::{ROUTES, Route, span};
pub use server::{no_such_gateway, serve};

use tokio::sync::oneshot;

/// A request to the daemon's loop.
#[derive(Debug)]
pub struct ControlRequest {
    /// The command.
    pub command: Command,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Response>,
}
