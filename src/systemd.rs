//! Notifies the service manager: ready, status, reloading, stopping, watchdog.
//!
//! Calls never block: the socket is non-blocking, so a message is sent at once or not at all.
//! READY, RELOADING, STOPPING and the latest STATUS that could not be sent are kept, and go out first with the next call
//! of any kind; [`Notifier::retry`] does only that. A lost WATCHDOG is not kept, because the next one follows soon.
//!
//! Children would inherit `NOTIFY_SOCKET`: the code that starts them removes it from their environment.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};
use std::{env, io, process};

pub mod unit;

/// Speaks the notify protocol of sd_notify(3) to the service manager, if there is one.
#[derive(Debug, Default)]
pub struct Notifier {
    manager: Option<Manager>,
    /// Unsent messages: at most READY, RELOADING, READY; or STOPPING.
    unsent: VecDeque<Milestone>,
    status: String,
    is_status_unsent: bool,
    dropped: u64,
}

impl Notifier {
    /// A notifier for the socket in `NOTIFY_SOCKET`. It does nothing if the variable is not set.
    ///
    /// # Errors
    /// When the variable names no usable socket; continue with [`Notifier::default`].
    pub fn from_env() -> io::Result<Self> {
        Self::new(env::var_os("NOTIFY_SOCKET").as_deref())
    }

    /// A notifier for a socket by its path, or by its abstract name after `@`. It does nothing for `None`.
    ///
    /// # Errors
    /// When `socket` is not usable; continue with [`Notifier::default`].
    pub fn new(socket: Option<&OsStr>) -> io::Result<Self> {
        let manager = socket.map(Manager::at).transpose()?;
        Ok(Self { manager, ..Self::default() })
    }

    /// Whether there is a service manager.
    #[must_use]
    pub fn has_manager(&self) -> bool {
        self.manager.is_some()
    }

    /// Reports that the start, or a reload, is complete.
    pub fn ready(&mut self) {
        self.reach(Milestone::Ready);
    }

    /// Reports that a reload has begun. [`ready`](Self::ready) must follow, even if the reload fails.
    ///
    /// `Type=notify-reload` needs the time, read after the signal came: see [`monotonic_usec`]. `Type=notify` does not.
    pub fn reloading(&mut self, monotonic_usec: Option<u64>) {
        self.reach(Milestone::Reloading { monotonic_usec });
    }

    /// Reports that the daemon is stopping.
    pub fn stopping(&mut self) {
        self.reach(Milestone::Stopping);
    }

    /// Sets the status line of `systemctl status`: one line, at most 200 bytes. An unchanged text is not sent again.
    pub fn status(&mut self, text: &str) {
        let text: String = text.chars().map(|c| if crate::text::is_disturbing(c) { ' ' } else { c }).collect();
        let text = &text[..text.floor_char_boundary(MAX_STATUS)];
        if self.has_manager() && self.status != text {
            text.clone_into(&mut self.status);
            self.is_status_unsent = true;
        }
        self.retry();
    }

    /// Reports that the daemon is alive. Call it only while that is true.
    pub fn watchdog(&mut self) {
        self.send_once("WATCHDOG=1");
    }

    /// Sends kept messages. Returns whether all are sent. Call it at every wake-up until then.
    pub fn retry(&mut self) -> bool {
        while let Some(milestone) = self.unsent.front() {
            let message = milestone.message();
            if !self.send(&message) {
                return false;
            }
            self.unsent.pop_front();
        }
        if self.is_status_unsent {
            let message = format!("STATUS={}", self.status);
            self.is_status_unsent = !self.send(&message);
        }
        !self.is_status_unsent
    }

    /// How many messages could not be sent.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn reach(&mut self, milestone: Milestone) {
        if !self.has_manager() || self.unsent.contains(&Milestone::Stopping) {
            return;
        }
        match milestone {
            // Earlier notifications do not matter once the daemon stops.
            Milestone::Stopping => self.unsent.clear(),
            // A reload that was not notified yet is replaced by the next one.
            Milestone::Reloading { .. } => {
                let pending = self.unsent.iter().position(|earlier| matches!(earlier, Milestone::Reloading { .. }));
                self.unsent.truncate(pending.unwrap_or(self.unsent.len()));
            }
            Milestone::Ready => {}
        }
        if self.unsent.back() != Some(&milestone) {
            self.unsent.push_back(milestone);
        }
        self.retry();
    }

    fn send_once(&mut self, message: &str) {
        if self.retry() {
            self.send(message);
        } else {
            self.dropped += 1;
        }
    }

    fn send(&mut self, message: &str) -> bool {
        let is_sent = self.manager.as_ref().is_none_or(|manager| manager.send(message).is_ok());
        self.dropped += u64::from(!is_sent);
        is_sent
    }
}

/// The interval between calls of [`Notifier::watchdog`]: half of `WatchdogSec=`, from the environment.
#[must_use]
pub fn watchdog_interval() -> Option<Duration> {
    let (usec, pid) = (env::var("WATCHDOG_USEC").ok(), env::var("WATCHDOG_PID").ok());
    watchdog_interval_of(usec.as_deref(), pid.as_deref(), process::id())
}

/// Like [`watchdog_interval`], from the two variables. `None` if they are meant for another process than `own_pid`.
#[must_use]
pub fn watchdog_interval_of(usec: Option<&str>, pid: Option<&str>, own_pid: u32) -> Option<Duration> {
    let is_meant = pid.is_none_or(|pid| pid.parse() == Ok(own_pid));
    let usec: u64 = usec?.parse().ok()?;
    (is_meant && usec > 0).then(|| Duration::from_micros(usec) / 2)
}

/// The time `at` on CLOCK_MONOTONIC in microseconds, for [`Notifier::reloading`].
///
/// On Linux an [`Instant`] holds that clock, and only its `Debug` text shows it without unsafe code. `None` if the text is
/// not as expected. `/proc/uptime` is no substitute: it includes suspended time, has steps of 10 ms, is hidden by
/// `ProcSubset=pid`, and is replaced in containers. With a time that is too early the manager would wait forever.
#[must_use]
pub fn monotonic_usec(at: Instant) -> Option<u64> {
    let text = format!("{at:?}");
    let number = |key: &str| -> Option<u64> {
        let digits = text.split_once(key)?.1;
        digits[..digits.find(|c: char| !c.is_ascii_digit())?].parse().ok()
    };
    number("tv_sec: ")?.checked_mul(1_000_000)?.checked_add(number("tv_nsec: ")? / 1000)
}

/// A message that must reach the manager, if late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Milestone {
    Ready,
    Reloading { monotonic_usec: Option<u64> },
    Stopping,
}

impl Milestone {
    fn message(self) -> String {
        match self {
            Self::Ready => "READY=1".to_owned(),
            Self::Reloading { monotonic_usec: Some(usec) } => format!("RELOADING=1\nMONOTONIC_USEC={usec}"),
            Self::Reloading { monotonic_usec: None } => "RELOADING=1".to_owned(),
            Self::Stopping => "STOPPING=1".to_owned(),
        }
    }
}

/// The manager's end of the socket.
#[derive(Debug)]
struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Manager {
    fn at(name: &OsStr) -> io::Result<Self> {
        let address = match name.as_bytes() {
            [b'@', rest @ ..] => abstract_address(rest)?,
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            _ => {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "NOTIFY_SOCKET is neither a path nor @name"));
            }
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address })
    }

    fn send(&self, message: &str) -> io::Result<usize> {
        self.socket.send_to_addr(message.as_bytes(), &self.address)
    }
}

#[cfg(target_os = "linux")]
fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;

    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_: &[u8]) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}

const MAX_STATUS: usize = 200;
