//! Opens, moves and closes the daemon's endpoint, following the configuration.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::sleep;
use tracing::{info, warn};

use super::host::host_name;
use crate::config::Endpoint;
use crate::driver::HostClock;
use crate::endpoint::{self, Hosts, ViewRequest};
use crate::history::Events;
use crate::log::event;

/// The endpoint, open or not. Dropping this closes it.
pub(super) struct EndpointTask {
    clock: HostClock,
    requests: mpsc::Sender<ViewRequest>,
    folder: Option<PathBuf>,
    events: Rc<Events>,
    server: Option<AbortHandle>,
}

impl EndpointTask {
    /// Opens the endpoint if it is configured. `folder` holds the ledger, if there is one.
    pub(super) fn open(
        endpoint: &Endpoint,
        clock: HostClock,
        folder: Option<PathBuf>,
        events: Rc<Events>,
    ) -> (Self, mpsc::Receiver<ViewRequest>) {
        let (requests, inbox) = mpsc::channel(WAITING);
        let mut endpoint_task = Self { clock, requests, folder, events, server: None };
        endpoint_task.change(endpoint);
        (endpoint_task, inbox)
    }

    /// Applies a changed configuration. If the address cannot be bound, it is tried again: an address may come up later than
    /// the daemon.
    pub(super) fn change(&mut self, wanted: &Endpoint) {
        if let Some(server) = self.server.take() {
            server.abort();
        }
        let Some(at) = wanted.listen else { return };
        let mut hosts = wanted.hosts.clone();
        hosts.push(host_name());
        let (clock, requests, folder) = (self.clock, self.requests.clone(), self.folder.clone());
        let events = Rc::clone(&self.events);
        // Bound here and not in the task, so that it is open before the daemon reports that it is ready.
        let first = bind(at);
        let server = async move {
            let mut next = first;
            while next.is_none() {
                sleep(AGAIN_AFTER).await;
                next = try_bind(at).ok().inspect(|listener| log_open(at, listener));
            }
            if let Some(listener) = next {
                endpoint::serve(listener, Hosts(hosts), clock, folder, events, requests).await;
            }
        };
        self.server = Some(spawn_local(server).abort_handle());
    }
}

impl Drop for EndpointTask {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}

fn bind(at: SocketAddr) -> Option<TcpListener> {
    match try_bind(at) {
        Ok(listener) => {
            log_open(at, &listener);
            Some(listener)
        }
        Err(error) => {
            let (listen, fault) = (at.to_string(), error.to_string());
            warn!(
                event = event::ENDPOINT_CLOSED,
                listen, fault, "nothing is shown at {listen} until that can be had: {fault}"
            );
            None
        }
    }
}

fn log_open(at: SocketAddr, listener: &TcpListener) {
    let listen = listener.local_addr().unwrap_or(at).to_string();
    let scope = if endpoint::is_loopback(at.ip()) { "this host" } else { "every host that can reach it" };
    info!(event = event::ENDPOINT_OPEN, listen, "the endpoint http://{listen}/ is open to {scope}");
}

/// Binds with `SO_REUSEADDR`, so that an address can be used again at once.
fn try_bind(at: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if at.is_ipv4() { tokio::net::TcpSocket::new_v4()? } else { tokio::net::TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(at)?;
    socket.listen(BACKLOG)
}

/// How many requests may wait for the loop.
const WAITING: usize = 16;
const BACKLOG: u32 = 128;
const AGAIN_AFTER: Duration = Duration::from_secs(10);
