//! Files, ports and programs of this host, without races against other tests and processes.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tokio::net::TcpSocket;
use tokio::time::{sleep, timeout};

use crate::{SOON, program};

/// A port at which nothing listens. It is reserved for as long as the socket lives.
pub fn closed_port() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// Copies the program to where other users may run it. Another process copies: a file that this process has open for
/// writing cannot be run while a child of another thread has inherited the descriptor.
pub fn copy_program(to: &Path) {
    let done = Command::new("cp").arg(program()).arg(to).status().unwrap();
    assert!(done.success());
}

/// Waits until a file is as wanted, and returns its text.
pub async fn until_file(file: &Path, what: &str, is_wanted: impl Fn(&str) -> bool) -> String {
    let wanted = async {
        loop {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            if is_wanted(&text) {
                return text;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON * 2, wanted).await.unwrap_or_else(|_| panic!("{what} is not in {}", file.display()))
}
