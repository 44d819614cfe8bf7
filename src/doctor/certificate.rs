//! What a certificate says of itself, as far as a doctor asks: whose it is by its fingerprint, who signed it, its dates.
//! Pure.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::gateway::Fingerprint;

/// A certificate as it was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    pub(super) fingerprint: Fingerprint,
    /// Issuer and subject are the same. Unknown when it cannot be read.
    pub(super) self_signed: bool,
    /// From when to when it is good; none when it cannot be read.
    pub(super) dates: Option<(Timestamp, Timestamp)>,
}

impl Certificate {
    /// Reads as much of the DER as is needed.
    pub(super) fn read(der: &[u8]) -> Self {
        let fields = fields(der);
        Self {
            fingerprint: Fingerprint::of(der),
            self_signed: fields.is_some_and(|fields| fields.issuer == fields.subject),
            dates: fields.and_then(|fields| {
                let (from, rest) = take(fields.validity)?;
                let (to, _) = take(rest)?;
                Some((moment(from)?, moment(to)?))
            }),
        }
    }

    /// It is the one that comes with every gateway, so its private key is known to everybody.
    pub(super) fn is_stock(&self) -> bool {
        self.fingerprint == Fingerprint::STOCK
    }

    /// Whose it is and how old, in words.
    pub(super) fn words(&self, now: Timestamp) -> String {
        let whose = match (self.is_stock(), self.self_signed) {
            (true, _) => "the certificate that comes with every gateway",
            (false, true) => "a self-signed certificate of its own",
            (false, false) => "a certificate that somebody else signed",
        };
        let dates = match self.dates {
            Some((_, to)) if to < now => format!(", expired on {}", day(to)),
            Some((from, _)) if from > now => format!(", good only from {}", day(from)),
            Some((_, to)) => format!(", good until {}", day(to)),
            None => String::new(),
        };
        format!("{whose}{dates} ({})", self.fingerprint)
    }
}

#[derive(Clone, Copy)]
struct Fields<'a> {
    issuer: &'a [u8],
    validity: &'a [u8],
    subject: &'a [u8],
}

/// One element of DER: its tag and its content.
#[derive(Clone, Copy)]
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
}

/// Certificate > tbsCertificate > [version], serial, algorithm, issuer, validity, subject.
fn fields(der: &[u8]) -> Option<Fields<'_>> {
    let (certificate, _) = take(der)?;
    let (signed, _) = take(certificate.content)?;
    let (first, after_first) = take(signed.content)?;
    let rest = if first.tag == VERSION { take(after_first)?.1 } else { after_first };
    let (_algorithm, rest) = take(rest)?;
    let (issuer, rest) = take(rest)?;
    let (validity, rest) = take(rest)?;
    let (subject, _) = take(rest)?;
    Some(Fields { issuer: issuer.content, validity: validity.content, subject: subject.content })
}

/// The first element, and what follows it.
fn take(der: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&short, rest) = rest.split_first()?;
    let (length, rest) = if short < LONG {
        (usize::from(short), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(short - LONG)).filter(|(bytes, _)| bytes.len() <= 4)?;
        (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((Element { tag, content }, rest))
}

/// `UTCTime` has two digits for the year, `GeneralizedTime` four; both end with Z.
fn moment(element: Element<'_>) -> Option<Timestamp> {
    let digits = std::str::from_utf8(element.content).ok()?.strip_suffix('Z')?;
    let whole = match element.tag {
        UTC_TIME if digits < "5" => format!("20{digits}"),
        UTC_TIME => format!("19{digits}"),
        GENERALIZED_TIME => digits.to_owned(),
        _ => return None,
    };
    let time = DateTime::strptime("%Y%m%d%H%M%S", whole).ok()?;
    TimeZone::UTC.to_timestamp(time).ok()
}

fn day(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%d").to_string()
}

const VERSION: u8 = 0xA0;
const LONG: u8 = 0x80;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    use super::Certificate;

    #[test]
    fn a_certificate_says_whose_it_is_and_how_old() {
        let pem = include_bytes!("../simulator/certificate.pem");
        let der = CertificateDer::from_pem_slice(pem).unwrap();
        let read = Certificate::read(&der);
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        assert!(read.self_signed && !read.is_stock());
        assert!(read.words(now).starts_with("a self-signed certificate of its own, expired on 2019-05-11 ("));
        let before = "2000-01-01T00:00:00Z".parse().unwrap();
        assert!(read.words(before).contains("good only from "), "{}", read.words(before));
    }

    #[test]
    fn what_is_no_certificate_says_nothing_and_breaks_nothing() {
        let pem = include_bytes!("../simulator/certificate.pem");
        let der = CertificateDer::from_pem_slice(pem).unwrap();
        for length in 0..der.len().min(400) {
            let read = Certificate::read(&der[..length]);
            assert_eq!(read.dates, None, "{length}");
        }
        let read = Certificate::read(&[0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF, 0x30]);
        assert!(read.dates.is_none() && !read.self_signed);
    }
}
