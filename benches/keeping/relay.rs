//! A port on every loopback address that hands all bytes on to one gateway, and counts them.

use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::{TcpListener, TcpStream};

/// The port.
pub(crate) struct Relay {
    pub(crate) port: u16,
    bytes: Rc<Cell<u64>>,
    connections: Rc<Cell<u64>>,
}

impl Relay {
    pub(crate) async fn to(gateway: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let bytes = Rc::new(Cell::new(0));
        let connections = Rc::new(Cell::new(0));
        let (count, accepted) = (Rc::clone(&bytes), Rc::clone(&connections));
        tokio::task::spawn_local(async move {
            while let Ok((near, _)) = listener.accept().await {
                accepted.set(accepted.get() + 1);
                let count = Rc::clone(&count);
                tokio::task::spawn_local(async move {
                    let Ok(far) = TcpStream::connect(gateway).await else { return };
                    let ((from_near, to_near), (from_far, to_far)) = (split(near), split(far));
                    tokio::task::spawn_local(hand_on(from_near, to_far, Rc::clone(&count)));
                    tokio::task::spawn_local(hand_on(from_far, to_near, count));
                });
            }
        });
        Self { port, bytes, connections }
    }

    /// How many connections were opened.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.get()
    }

    /// How many bytes went through, both ways together.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.get()
    }
}

async fn hand_on(mut from: ReadHalf<TcpStream>, mut to: WriteHalf<TcpStream>, count: Rc<Cell<u64>>) {
    let mut bytes = vec![0; 8 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        count.set(count.get() + read as u64);
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
    drop(to.shutdown().await);
}
