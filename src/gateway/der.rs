//! A reader for DER, as far as certificates need it. Never fails on what it cannot read: it returns `None`.

/// The rest of a run of DER elements.
#[derive(Debug, Clone, Copy)]
pub(super) struct Der<'a>(pub(super) &'a [u8]);

impl<'a> Der<'a> {
    /// Returns the tag of the next element.
    pub(super) const fn tag(&self) -> Option<u8> {
        match self.0 {
            [tag, ..] => Some(*tag),
            [] => None,
        }
    }

    /// Reads the next element: its tag and its content.
    pub(super) fn next(&mut self) -> Option<(u8, &'a [u8])> {
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

    /// Reads the next element if it has this tag, and returns a reader for its content.
    pub(super) fn inside(&mut self, tag: u8) -> Option<Self> {
        self.content(tag).map(Self)
    }

    /// Reads the next element if it has this tag, and returns its content.
    pub(super) fn content(&mut self, tag: u8) -> Option<&'a [u8]> {
        if self.tag() != Some(tag) {
            return None;
        }
        self.next().map(|(_, content)| content)
    }
}

/// Returns the fields of a certificate from its validity on: validity, subject, public key, extensions.
pub(super) fn fields_from_validity(certificate: &[u8]) -> Option<Der<'_>> {
    let mut fields = Der(certificate).inside(SEQUENCE)?.inside(SEQUENCE)?;
    // Version 1 does not state its version.
    if fields.tag() == Some(VERSION) {
        fields.next()?;
    }
    // Serial number, signature algorithm, issuer.
    for _ in 0..3 {
        fields.next()?;
    }
    Some(fields)
}

pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OID: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xA0;
