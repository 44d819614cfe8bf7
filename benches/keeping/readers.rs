//! Many who read the endpoint's page again and again, each on a thread of its own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

/// They read until this is dropped.
pub(crate) struct Readers {
    stop: Arc<AtomicBool>,
    pages: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    pub(crate) fn start(port: u16, count: usize) -> Self {
        let (stop, pages) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let reader = |_| {
            let (stop, pages) = (Arc::clone(&stop), Arc::clone(&pages));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    pages.fetch_add(u64::from(read(port).is_ok()), Ordering::Relaxed);
                }
            })
        };
        let threads = (0..count).map(reader).collect();
        Self { stop, pages, threads }
    }

    pub(crate) fn pages(&self) -> u64 {
        self.pages.load(Ordering::Relaxed)
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

fn read(port: u16) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut page = Vec::new();
    stream.read_to_end(&mut page)?;
    if page.starts_with(b"HTTP/1.1 200 ") { Ok(()) } else { Err(std::io::Error::other("no page")) }
}
