//! A simulated Client Portal Gateway, for tests, for the demo, and for rehearsing a lapse.
//!
//! [`world`] is what happens; this is how it is reached: HTTPS and a websocket where the gateway would be, and a
//! second, plain port that sets the world. [`serve`] runs both until the shutdown future ends, or it is dropped. Both
//! listen on loopback only.
//!
//! It imports nothing else of this crate, not even the shape of IBKR's answers: a shared mistake would hide itself.

mod body;
mod browser;
mod control;
mod control_port;
mod server;
mod shared_world;
mod stream;
mod tls;
pub mod world;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use tokio::net::TcpListener;

use server::Server;
use shared_world::SharedWorld;
use world::Options;

/// Where and as what a simulated gateway runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the gateway listens. Loopback only; port 0 for any free one.
    pub listen: SocketAddr,
    /// Where the control port listens. Loopback only; port 0 for any free one.
    pub control: SocketAddr,
    /// HTTP instead of HTTPS, as with `listenSsl: false`.
    pub plain: bool,
    /// What the world is like. Its `epoch_ms` is replaced by the clock's.
    pub options: Options,
}

impl Settings {
    /// HTTPS on these addresses, with the usual world behind it.
    #[must_use]
    pub fn new(listen: SocketAddr, control: SocketAddr) -> Settings {
        Settings { listen, control, plain: false, options: Options::default() }
    }
}

/// Where a simulated gateway has come to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The gateway.
    pub gateway: SocketAddr,
    /// The control port.
    pub control: SocketAddr,
    /// The gateway speaks HTTP, not HTTPS.
    pub plain: bool,
}

impl Addresses {
    /// The gateway's URL, without a path.
    #[must_use]
    pub fn gateway_url(&self) -> String {
        let scheme = if self.plain { "http" } else { "https" };
        format!("{scheme}://{}", self.gateway)
    }

    /// The control port's URL, without a path.
    #[must_use]
    pub fn control_url(&self) -> String {
        format!("http://{}", self.control)
    }
}

/// Runs one simulated gateway until `shutdown`. Calls `ready` with the addresses once both ports listen.
///
/// # Errors
///
/// When an address is not a loopback one, or cannot be listened on.
pub async fn serve(
    settings: Settings,
    ready: impl FnOnce(Addresses),
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let gateway = bind(settings.listen).await?;
    let control = bind(settings.control).await?;
    let addresses = Addresses { gateway: gateway.local_addr()?, control: control.local_addr()?, plain: settings.plain };
    let acceptor = if settings.plain { None } else { Some(tls::acceptor()?) };
    let (world, clockwork) = SharedWorld::new(&Options { epoch_ms: epoch_ms(), ..settings.options });
    let world = Arc::new(world);
    let server = Server::new(Arc::clone(&world), addresses.gateway, acceptor);
    ready(addresses);
    tokio::select! {
        () = shutdown => Ok(()),
        never = clockwork.run(&world) => match never {},
        outcome = server.serve(gateway) => outcome,
        outcome = control_port::serve(Arc::clone(&world), control, addresses.control) => outcome,
    }
}

async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    if !address.ip().is_loopback() {
        let refusal = format!(
            "the simulator does not listen on {address}: it answers every client, so it takes loopback addresses only, \
             for instance 127.0.0.1:{}",
            address.port()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, refusal));
    }
    TcpListener::bind(address)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("the simulator cannot listen on {address}: {error}")))
}

#[expect(clippy::disallowed_methods, reason = "the world's dates are those of the clock")]
fn epoch_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
