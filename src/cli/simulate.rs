//! `tickled simulate`: a simulated gateway as a server.

use std::future::pending;
use std::io::ErrorKind;
use std::net::SocketAddr;

use clap::Args;

use super::output::{complain, say};
use crate::exit::Exit;
use crate::simulator::{self, Addresses, Settings};

/// Run a simulated gateway to test your own program against
#[derive(Debug, Args)]
pub(super) struct Simulate {
    /// Address of the gateway; loopback only
    #[arg(long, default_value = "127.0.0.1:15000")]
    listen: SocketAddr,
    /// Address of the control port, which lists the faults to simulate; loopback only
    #[arg(long, default_value = "127.0.0.1:15001")]
    control: SocketAddr,
    /// Speak HTTP instead of HTTPS, as a gateway with `listenSsl: false`
    #[arg(long)]
    plain: bool,
}

impl Simulate {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        let mut settings = Settings::new(self.listen, self.control);
        settings.plain = self.plain;
        let ready = |addresses: Addresses| {
            let lines = format!(
                "simulated gateway at {}; log in at {0}/sso/Login; faults to simulate are listed at {}\n",
                addresses.gateway_url(),
                addresses.control_url(),
            );
            drop(say(&lines));
        };
        match simulator::serve(settings, ready, pending()).await {
            Err(error) if is_about_address(error.kind()) => {
                complain(&format!("{error}; --listen and --control name other addresses"));
                Ok(Exit::Usage)
            }
            ended => Ok(ended.map(|()| Exit::Live)?),
        }
    }
}

const fn is_about_address(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::InvalidInput | ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable | ErrorKind::PermissionDenied
    )
}
