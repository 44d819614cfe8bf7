//! What reaches the service manager, over real sockets: all of it in order, and nothing that makes the daemon wait.
#![expect(clippy::disallowed_methods, reason = "these tests measure how long real calls take")]
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::PathBuf;
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use tickled::systemd::{Notifier, monotonic_usec, watchdog_interval_of};

#[test]
fn a_whole_life_over_a_path() {
    let manager = Manager::at_path("life");
    live(&manager, &mut Notifier::new(Some(&manager.name)).unwrap());
}

#[test]
fn a_whole_life_over_an_abstract_name() {
    let manager = Manager::at_abstract_name("life");
    live(&manager, &mut Notifier::new(Some(&manager.name)).unwrap());
}

fn live(manager: &Manager, notifier: &mut Notifier) {
    assert!(notifier.has_manager());
    notifier.status("asking main");
    notifier.ready();
    notifier.status("live: main");
    notifier.status("live: main");
    notifier.watchdog();
    notifier.reloading(Some(1_234_567));
    notifier.ready();
    notifier.reloading(None);
    notifier.ready();
    notifier.stopping();
    assert_eq!(
        manager.heard(),
        [
            "STATUS=asking main",
            "READY=1",
            "STATUS=live: main",
            "WATCHDOG=1",
            "RELOADING=1\nMONOTONIC_USEC=1234567",
            "READY=1",
            "RELOADING=1",
            "READY=1",
            "STOPPING=1",
        ]
    );
    assert_eq!(notifier.dropped(), 0);
}

#[test]
fn a_stuck_manager_costs_nothing_and_hears_what_matters_later() {
    let manager = Manager::at_path("stuck");
    manager.fill();
    let mut notifier = Notifier::new(Some(&manager.name)).unwrap();
    swiftly(|| notifier.ready());
    swiftly(|| notifier.status("first"));
    swiftly(|| notifier.watchdog());
    swiftly(|| notifier.status("live: main"));
    swiftly(|| assert!(!notifier.retry()));
    assert!(notifier.dropped() >= 5, "{}", notifier.dropped());

    assert!(manager.heard().iter().all(|message| message == FILLER));
    assert!(notifier.retry());
    assert_eq!(manager.heard(), ["READY=1", "STATUS=live: main"], "the latest status, and no stale watchdog");
    assert!(notifier.retry());
    assert!(manager.heard().is_empty(), "once");
}

#[test]
fn a_reload_that_nobody_heard_of_is_told_in_order_and_once() {
    let manager = Manager::at_path("reloads");
    manager.fill();
    let mut notifier = Notifier::new(Some(&manager.name)).unwrap();
    notifier.ready();
    for usec in 1..=100 {
        notifier.reloading(Some(usec));
        notifier.ready();
    }
    manager.heard();
    notifier.watchdog();
    assert_eq!(manager.heard(), ["READY=1", "RELOADING=1\nMONOTONIC_USEC=100", "READY=1", "WATCHDOG=1"]);
}

#[test]
fn the_end_is_the_last_word() {
    let manager = Manager::at_path("end");
    manager.fill();
    let mut notifier = Notifier::new(Some(&manager.name)).unwrap();
    notifier.ready();
    notifier.stopping();
    notifier.ready();
    manager.heard();
    assert!(notifier.retry());
    assert_eq!(manager.heard(), ["STOPPING=1"]);
}

#[test]
fn a_manager_that_comes_back_hears_what_it_missed() {
    let manager = Manager::at_path("back");
    let mut notifier = Notifier::new(Some(&manager.name)).unwrap();
    let path = PathBuf::from(&manager.name);
    drop(manager);
    swiftly(|| notifier.ready());
    assert_eq!(notifier.dropped(), 1);
    let manager = Manager { socket: UnixDatagram::bind(&path).unwrap(), name: path.into() };
    manager.socket.set_nonblocking(true).unwrap();
    notifier.status("live: main");
    assert_eq!(manager.heard(), ["READY=1", "STATUS=live: main"]);
}

#[test]
fn without_a_manager_nothing_is_kept_or_counted() {
    let mut notifier = Notifier::new(None).unwrap();
    swiftly(|| {
        notifier.ready();
        notifier.status("live: main");
        notifier.reloading(None);
        notifier.watchdog();
        notifier.stopping();
        assert!(notifier.retry());
    });
    assert_eq!((notifier.dropped(), notifier.has_manager()), (0, false));
}

#[test]
fn a_name_that_is_no_socket_is_an_error_not_a_surprise() {
    for name in ["", "relative", "vsock:2:1234", &format!("/{}", "x".repeat(200)), &format!("@{}", "x".repeat(200))] {
        assert!(Notifier::new(Some(OsStr::new(name))).is_err(), "{name:?}");
    }
}

#[test]
fn a_status_is_one_short_line() {
    let manager = Manager::at_path("status");
    let mut notifier = Notifier::new(Some(&manager.name)).unwrap();
    notifier.status("live\nREADY=1\r\u{1b}");
    notifier.status(&"ä".repeat(500));
    assert_eq!(manager.heard(), ["STATUS=live READY=1  ".to_owned(), format!("STATUS={}", "ä".repeat(100))]);
}

#[test]
fn the_watchdog_is_for_the_process_it_names() {
    let half_a_minute = Some(Duration::from_secs(30));
    for (usec, pid, interval) in [
        (Some("60000000"), Some("42"), half_a_minute),
        (Some("60000000"), None, half_a_minute),
        (Some("60000000"), Some("43"), None),
        (Some("60000000"), Some(""), None),
        (Some("0"), Some("42"), None),
        (Some("soon"), Some("42"), None),
        (Some("-1"), None, None),
        (None, Some("42"), None),
    ] {
        assert_eq!(watchdog_interval_of(usec, pid, 42), interval, "{usec:?} {pid:?}");
    }
}

#[test]
fn the_monotonic_clock_can_be_read() {
    let at = Instant::now();
    let usec = monotonic_usec(at).expect("std shows an Instant as before");
    let later = monotonic_usec(at + Duration::from_millis(1500)).unwrap();
    assert_eq!(later - usec, 1_500_000);
    // The uptime counts the time asleep as well, and is cut to hundredths.
    let uptime = fs::read_to_string("/proc/uptime").unwrap();
    let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    let seconds = Duration::from_micros(usec).as_secs_f64();
    assert!(seconds > 0.0 && seconds < uptime + 0.02, "{seconds} {uptime}");
}

/// The manager's end, on which nothing listens unless asked to.
struct Manager {
    socket: UnixDatagram,
    name: OsString,
}

impl Manager {
    fn at_path(what: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tickled-notify-{what}-{}", process::id()));
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, name: path.into() }
    }

    fn at_abstract_name(what: &str) -> Self {
        let name = format!("tickled-notify-{what}-{}", process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, name: format!("@{name}").into() }
    }

    /// Everything that waits, each datagram once.
    fn heard(&self) -> Vec<String> {
        let mut messages = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(len) = self.socket.recv(&mut buffer) {
            messages.push(String::from_utf8(buffer[..len].to_vec()).unwrap());
        }
        messages
    }

    /// Leaves no room for one datagram more.
    fn fill(&self) {
        let filler = UnixDatagram::unbound().unwrap();
        filler.set_nonblocking(true).unwrap();
        let full = loop {
            if let Err(error) = filler.send_to(FILLER.as_bytes(), &self.name) {
                break error;
            }
        };
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
        // A notifier that waits is let go in the end, so that its test fails instead of hanging.
        let late = self.socket.try_clone().unwrap();
        drop(thread::spawn(move || {
            thread::sleep(Duration::from_secs(5));
            while late.recv(&mut [0; 64]).is_ok() {}
        }));
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        if !self.name.as_encoded_bytes().starts_with(b"@") {
            fs::remove_file(&self.name).ok();
        }
    }
}

/// Runs `call` and fails when it waited for the full queue, which is emptied after five seconds. A call takes
/// microseconds; a busy machine may put us aside for more.
fn swiftly(call: impl FnOnce()) {
    let began = Instant::now();
    call();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
}

const FILLER: &str = "FILLER=1";
