//! The journal's own protocol: each line is one datagram of fields, so that `journalctl` can filter and explain it.
//!
//! The log's writer thread sends them, so a journal that stalls delays nothing else. The crate `tracing-journald` sends
//! from the caller, and blocks it.

use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::event;
use super::settings::Level;
use crate::session::StateKind;

/// A kind of line that the journal's catalogue explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageId {
    /// The event.
    pub event: &'static str,
    /// The field that distinguishes the kinds of this event.
    pub field: &'static str,
    /// That field's value.
    pub value: &'static str,
    /// The value of `MESSAGE_ID`. It never changes.
    pub id: &'static str,
}

/// Where the journal listens.
pub const SOCKET: &str = "/run/systemd/journal/socket";

/// Sends each write as one datagram. One that is too long for the socket is sent without its end.
#[derive(Debug)]
pub struct JournalSocket {
    socket: UnixDatagram,
    path: PathBuf,
}

impl JournalSocket {
    /// A socket for the journal that listens at `path`.
    ///
    /// # Errors
    /// When no process listens there.
    pub fn at(path: &Path) -> io::Result<Self> {
        UnixDatagram::unbound()?.connect(path)?;
        // Sends by path each time: a restarted journal has a new socket.
        Ok(Self { socket: UnixDatagram::unbound()?, path: path.to_owned() })
    }
}

impl Write for JournalSocket {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        let sent = self.socket.send_to(datagram, &self.path);
        match sent {
            Err(_) if datagram.len() > SHORT => {
                self.socket.send_to(&shortened(datagram), &self.path)?;
            }
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns as many whole fields as fit into [`SHORT`] bytes, and the beginning of a message that does not fit.
fn shortened(datagram: &[u8]) -> Vec<u8> {
    let head = &datagram[..SHORT - 1];
    let whole = head.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
    let is_message = head[whole..].starts_with(b"\nMESSAGE=");
    let text = head.utf8_chunks().next().map_or(0, |chunk| chunk.valid().len());
    let mut short = head[..if is_message { text } else { whole }].to_vec();
    short.push(b'\n');
    short
}

/// The `MESSAGE_ID` of a line, from its event and fields.
pub(super) fn message_id(event: &str, fields: &[(&str, &str)]) -> Option<&'static str> {
    // The id of a resolved alert comes first: it needs no action.
    let has = |wanted: &MessageId| fields.contains(&(wanted.field, wanted.value));
    let of_event = || message_ids().filter(|known| known.event == event);
    let over = of_event().find(|known| known.field == "phase" && has(known));
    over.or_else(|| of_event().find(|known| has(known))).map(|known| known.id)
}

/// The name of a field in the journal.
#[must_use]
pub fn name(field: &str) -> String {
    let field = if field == "to" { "state" } else { field };
    let plain: String =
        field.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    format!("TICKLED_{plain}")
}

/// The syslog priority of a level.
pub(super) const fn priority(level: Level) -> char {
    match level {
        Level::Error => '3',
        Level::Warn => '4',
        Level::Info => '6',
        Level::Debug | Level::Trace => '7',
    }
}

/// A size that every socket accepts: the smallest send buffer that the kernel allows.
const SHORT: usize = 4096;

const fn alert(value: &'static str, id: &'static str) -> MessageId {
    MessageId { event: event::ALERT, field: "code", value, id }
}

const fn state(state: StateKind) -> MessageId {
    let id = match state {
        StateKind::Starting => "45b8f25552624eeba7dddabc0cb7a98c",
        StateKind::Live => "32f39516fa194a9ebe045e7280577cac",
        StateKind::Recovering => "a2f0a9030f3843f7858e6182302ffa68",
        StateKind::Contested => "9dc2e4362df543f5a25d0c316696e9c9",
        StateKind::Unavailable => "9da9adc77e234244959e9f31755361ea",
        StateKind::LoginRequired => "e1512c94b54540f7a878e23e5e1144f5",
        StateKind::Paused => "b32ffc11ab28409586badc55b7aa7468",
    };
    MessageId { event: event::STATE_CHANGED, field: "to", value: state.name(), id }
}

/// Every kind of line that the catalogue explains. An id is never reused for another kind.
pub fn message_ids() -> impl Iterator<Item = MessageId> {
    ALERTS.iter().copied().chain(StateKind::ALL.iter().map(|kind| state(*kind)))
}

const ALERTS: &[MessageId] = &[
    alert("login-required", "aef53c820492470bafc53f3d4e6f9c71"),
    alert("session-contested", "12bd2a5c83ca4818947bc60e581269ab"),
    alert("gateway-unreachable", "f35996bae42645b4a3e323c053850594"),
    alert("certificate-changed", "d7ab125b9ff6438fb9af50c526cbf4b8"),
    alert("access-denied", "213da8a1da72412583340d2ec24de8cc"),
    alert("ibkr-unavailable", "681de2c39e32489aae7fb3652ce42c8f"),
    alert("gateway-wedged", "d76f8efc2aa44e1bba0c0e0d3a9cd52b"),
    alert("session-flapping", "fd95343599784d528378b76c883a7d82"),
    alert("wrong-account", "8911d1d1389b4e7bbf816bd1d963fc7f"),
    alert("not-ready", "c32a3dfc10fc4fb5adee8b583e5b1970"),
    alert("ready", "e71fb5f25f5a49db93e120b33f020681"),
    alert("config-rejected", "4f3da7bb23a549c7bd9668e83b529690"),
    alert("alert-undeliverable", "95da315829944863afbc172fb3005be5"),
    MessageId { event: event::ALERT, field: "phase", value: "resolved", id: "cf9ef444e4574665bb1e5b15222dd601" },
    MessageId { event: event::ALERT, field: "phase", value: "withdrawn", id: "38e77e37451f4e36986bd781119f7c0c" },
];
