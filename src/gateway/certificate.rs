//! The certificate that a gateway presents, read without trusting it: subject, dates, fingerprint.

use std::fmt::Write;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::connect::{ConnectError, Connector};
use super::der::{self, Der, OID, SEQUENCE};
use super::{Fingerprint, GatewayUrl};
use crate::text;

/// What a certificate says of itself. Only its fingerprint is proof of anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The SHA-256 of all of it.
    pub fingerprint: Fingerprint,
    /// Whose it is, as `CN=...`; foreign text, escaped.
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

/// Connects to the gateway at `url` and reads its certificate. Nothing else is sent. The
/// handshake proves that the other side has its key.
///
/// # Errors
/// Why no certificate was seen.
pub async fn presented(url: &GatewayUrl, within: Duration) -> Result<Certificate, Unseen> {
    let unreachable = |reason: String| Unseen::Unreachable { url: url.to_string(), reason };
    let no_tls = |reason: String| Unseen::NoTls { url: url.to_string(), reason };
    if !url.is_encrypted() {
        return Err(no_tls("plain http shows none".to_owned()));
    }
    // Any host and any certificate may be inspected: nothing is trusted here.
    let connector = Connector::to_look(url.clone()).map_err(|error| no_tls(error.to_string()))?;
    let connection = connector.connect(within).await.map_err(|error| {
        let is_tls = matches!(error, ConnectError::Tls(_) | ConnectError::Broken(_));
        if is_tls { no_tls(error.to_string()) } else { unreachable(error.to_string()) }
    })?;
    connection.certificate.map(|der| read(&der)).ok_or_else(|| no_tls("it came without one".to_owned()))
}

/// Reads a certificate in DER. What cannot be read of it is left out.
#[must_use]
pub fn read(der: &[u8]) -> Certificate {
    let fingerprint = Fingerprint::of(der);
    let (subject, from, until) = facts(der).unwrap_or_default();
    Certificate { fingerprint, subject, from, until }
}

type CertificateFacts = (String, Option<Timestamp>, Option<Timestamp>);

/// Subject and dates, by their place in the certificate.
fn facts(certificate: &[u8]) -> Option<CertificateFacts> {
    let mut fields = der::fields_from_validity(certificate)?;
    let mut dates = fields.inside(SEQUENCE)?;
    let (from, until) = (time(&mut dates), time(&mut dates));
    let names = fields.inside(SEQUENCE)?;
    Some((subject(names), from, until))
}

fn subject(mut names: Der<'_>) -> String {
    let mut shown = String::new();
    while let Some(mut set) = names.inside(SET) {
        while let Some(mut pair) = set.inside(SEQUENCE).filter(|_| shown.len() < MOST) {
            let (Some((OID, kind)), Some((_, value))) = (pair.next(), pair.next()) else { continue };
            let known = KINDS.iter().find(|(oid, _)| *oid == kind);
            let Some((_, kind)) = known else { continue };
            let value = String::from_utf8_lossy(value);
            let comma = if shown.is_empty() { "" } else { ", " };
            // Writing to a String cannot fail.
            let _ = write!(shown, "{comma}{kind}={}", text::shortened(&value, LONGEST));
        }
    }
    shown
}

fn time(dates: &mut Der<'_>) -> Option<Timestamp> {
    let (tag, content) = dates.next()?;
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

const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SET: u8 = 0x31;
/// The parts of a name that people know, by their object identifiers.
const KINDS: [(&[u8], &str); 6] = [
    (&[0x55, 0x04, 0x03], "CN"),
    (&[0x55, 0x04, 0x06], "C"),
    (&[0x55, 0x04, 0x07], "L"),
    (&[0x55, 0x04, 0x08], "ST"),
    (&[0x55, 0x04, 0x0A], "O"),
    (&[0x55, 0x04, 0x0B], "OU"),
];
/// No part of a name that is worth showing is longer, and no name is much longer than that.
const LONGEST: usize = 64;
const MOST: usize = 512;
