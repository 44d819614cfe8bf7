//! The certificate that a gateway presents, looked at before anybody trusts it: whose it is, its dates, its fingerprint.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use reqwest::Url;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{Fingerprint, Trust, place};

/// What a certificate says of itself. Only its fingerprint is proof of anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The SHA-256 of all of it.
    pub fingerprint: Fingerprint,
    /// Whose it is, as `CN=...`; foreign text, without control characters.
    pub subject: String,
    /// From when it is meant to be good.
    pub from: Option<Timestamp>,
    /// Until when it is meant to be good.
    pub until: Option<Timestamp>,
}

/// Why no certificate was seen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unseen {
    /// There is no connection.
    #[error("nothing answers at {url}: {reason}")]
    Unreachable {
        /// The gateway.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// What answers speaks no TLS, or none that can be used.
    #[error("{url} presents no certificate: {reason}")]
    NoTls {
        /// The gateway.
        url: String,
        /// What went wrong.
        reason: String,
    },
}

/// Connects to the gateway at `url`, and looks at what it presents. Nothing else is sent. Whoever presents it has proved
/// to have its key.
///
/// # Errors
/// Why no certificate was seen.
pub async fn presented(url: &str, within: Duration) -> Result<Certificate, Unseen> {
    let unreachable = |reason: String| Unseen::Unreachable { url: url.to_owned(), reason };
    let no_tls = |reason: String| Unseen::NoTls { url: url.to_owned(), reason };
    let place = Url::parse(url).map_err(|error| unreachable(error.to_string()))?;
    if place.scheme() != "https" {
        return Err(no_tls("plain http shows none".to_owned()));
    }
    let host = place.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let name = ServerName::try_from(host.to_owned()).map_err(|error| unreachable(error.to_string()))?;
    // Any host may be looked at, and any certificate: nothing is believed here.
    let port = place.port_or_known_default().unwrap_or_default();
    let tls = Trust::Loopback.config().map_err(|error| no_tls(error.to_string()))?;
    let connect = async {
        let addresses = place::addresses(&Trust::System, host, port).await?;
        TcpStream::connect(addresses.as_slice()).await
    };
    let late = |_| unreachable("no answer in time".to_owned());
    let tcp = timeout(within, connect).await.map_err(late)?.map_err(|error| unreachable(error.to_string()))?;
    let shaken = timeout(within, TlsConnector::from(Arc::new(tls)).connect(name, tcp)).await;
    let tls = shaken.map_err(|_| no_tls("no answer to the greeting".to_owned()))?;
    let tls = tls.map_err(|error| no_tls(error.to_string()))?;
    let certificates = tls.get_ref().1.peer_certificates().unwrap_or_default();
    certificates.first().map(|der| read(der)).ok_or_else(|| no_tls("it came without one".to_owned()))
}

/// Reads a certificate in DER. What cannot be read of it is left out.
#[must_use]
pub fn read(der: &[u8]) -> Certificate {
    let fingerprint = Fingerprint::of(der);
    let (subject, from, until) = facts(der).unwrap_or_default();
    Certificate { fingerprint, subject, from, until }
}

type Facts = (String, Option<Timestamp>, Option<Timestamp>);

/// Subject and dates, by their place in the certificate.
fn facts(der: &[u8]) -> Option<Facts> {
    let mut whole = Der(der).inside(SEQUENCE)?;
    let mut fields = whole.inside(SEQUENCE)?;
    if fields.tag() == Some(VERSION) {
        fields.next()?;
    }
    // Serial number, algorithm, issuer.
    for _ in 0..3 {
        fields.next()?;
    }
    let mut dates = fields.inside(SEQUENCE)?;
    let (from, until) = (dates.time(), dates.time());
    let names = fields.inside(SEQUENCE)?;
    Some((subject(names), from, until))
}

fn subject(mut names: Der<'_>) -> String {
    let mut text = String::new();
    while let Some(mut set) = names.inside(SET) {
        while let Some(mut pair) = set.inside(SEQUENCE) {
            let (Some((OID, kind)), Some((_, value))) = (pair.next(), pair.next()) else { continue };
            let known = KINDS.iter().find(|(oid, _)| *oid == kind);
            let Some((_, kind)) = known else { continue };
            let value = String::from_utf8_lossy(value);
            let shown = value.chars().filter(|c| !c.is_control()).take(LONGEST);
            let comma = if text.is_empty() { "" } else { ", " };
            // Writing to a String cannot fail.
            let _ = write!(text, "{comma}{kind}={}", shown.collect::<String>());
        }
    }
    text.chars().take(2 * LONGEST).collect()
}

/// The rest of a run of DER elements.
#[derive(Debug, Clone, Copy)]
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    const fn tag(&self) -> Option<u8> {
        match self.0 {
            [tag, ..] => Some(*tag),
            [] => None,
        }
    }

    /// The next element, its tag and its content.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let [tag, length, rest @ ..] = self.0 else { return None };
        let (length, rest) = match *length {
            short @ 0..0x80 => (usize::from(short), rest),
            long => {
                let count = usize::from(long & 0x7F);
                let (bytes, rest) = rest.split_at_checked(count).filter(|_| (1..=3).contains(&count))?;
                (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, content))
    }

    /// What is inside the next element, if it has that tag.
    fn inside(&mut self, tag: u8) -> Option<Self> {
        if self.tag() != Some(tag) {
            return None;
        }
        self.next().map(|(_, content)| Self(content))
    }

    fn time(&mut self) -> Option<Timestamp> {
        let (tag, content) = self.next()?;
        let text = std::str::from_utf8(content).ok()?;
        let text = match tag {
            // Two digits name a year from 1950 to 2049.
            UTC_TIME => format!("{}{text}", if text < "50" { "20" } else { "19" }),
            GENERALIZED_TIME => text.to_owned(),
            _ => return None,
        };
        let time = DateTime::strptime("%Y%m%d%H%M%SZ", text).ok()?;
        TimeZone::UTC.to_timestamp(time).ok()
    }
}

const OID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xA0;
/// The parts of a name that people know, by their object identifiers.
const KINDS: [(&[u8], &str); 6] = [
    (&[0x55, 0x04, 0x03], "CN"),
    (&[0x55, 0x04, 0x06], "C"),
    (&[0x55, 0x04, 0x07], "L"),
    (&[0x55, 0x04, 0x08], "ST"),
    (&[0x55, 0x04, 0x0A], "O"),
    (&[0x55, 0x04, 0x0B], "OU"),
];
/// No name worth showing is longer.
const LONGEST: usize = 64;
