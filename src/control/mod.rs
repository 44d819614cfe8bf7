//! The control socket: HTTP and JSON over a Unix socket, by which verbs and programs ask and steer a running daemon.
//!
//! [`ROUTES`] has all that can be asked; docs/control.md shows each with an example. Reads are answered from memory and
//! cause no request to a gateway.

mod client;
mod paths;
mod routes;
mod server;
mod words;

pub use client::{Client, Error};
pub use paths::{
    bind, bind_with_mode, common_folders, connect_at_once, create_folder, default_socket, own_folder, sockets,
    user_folder,
};
pub use routes::{ROUTES, Route, span};
pub use server::{no_such_gateway, serve};
pub use words::{Alert, Answer, Asked, Channel, Failure, Gateway, Status, Test, Until, Window, Wish};

use tokio::sync::oneshot;

/// Something asked of the daemon's loop.
#[derive(Debug)]
pub struct Ask {
    /// What.
    pub wish: Wish,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Answer>,
}
