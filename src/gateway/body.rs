//! The body of an answer, read piece by piece: of a JSON object only what a reader uses is kept.
//!
//! An advisor's list of accounts has a megabyte of properties, of which none is read, and some may not even be valid
//! JSON: an alias in another encoding, a number that is NaN. While the bytes come, the values of other keys become
//! null, long strings are emptied, and long lists and deep levels are cut short.

use super::wire::is_read;

/// A body as it comes.
#[derive(Debug)]
pub(super) struct IncomingBody {
    kept: Vec<u8>,
    /// The first bytes as they came, without a session id that is not kept.
    sample: Vec<u8>,
    came: usize,
    scanner: Scanner,
    /// Whether the value of `session` is kept.
    keeps_session: bool,
}

/// Why a body is not read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong {
    /// The limit in bytes.
    pub(super) limit: usize,
}

/// The parts of a body that are kept.
#[derive(Debug)]
pub(super) struct KeptParts {
    /// Valid JSON if the whole was.
    pub(super) bytes: Vec<u8>,
    /// The first bytes as they came, without a session id that is not kept.
    pub(super) sample: Vec<u8>,
}

impl IncomingBody {
    pub(super) const fn new(keeps_session: bool) -> Self {
        Self { kept: Vec::new(), sample: Vec::new(), came: 0, scanner: Scanner::new(), keeps_session }
    }

    /// Checks a length that was announced.
    ///
    /// # Errors
    /// When so much would be too long, whatever it is.
    pub(super) const fn announce(&self, length: u64) -> Result<(), TooLong> {
        if length > LONGEST as u64 { Err(TooLong { limit: LONGEST }) } else { Ok(()) }
    }

    /// Reads the next piece.
    ///
    /// # Errors
    /// When it is too long for what it is.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), TooLong> {
        self.came += piece.len();
        if self.came > LONGEST {
            return Err(TooLong { limit: LONGEST });
        }
        for byte in piece {
            let was_secret = self.scanner.is_secret();
            self.take(*byte);
            if self.sample.len() < SAMPLE && !(was_secret && self.scanner.is_secret()) {
                self.sample.push(*byte);
            }
            if self.kept.len() > KEPT {
                return Err(TooLong { limit: KEPT });
            }
        }
        Ok(())
    }

    /// Whether a whole JSON object has come, and nothing behind it: then nothing is missing, however the connection ended.
    pub(super) fn is_whole_object(&self) -> bool {
        self.scanner.is_object && self.scanner.is_over
    }

    pub(super) fn finish(self) -> KeptParts {
        // A text in another encoding is still a text.
        let bytes = String::from_utf8(self.kept)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
            .into_bytes();
        KeptParts { bytes, sample: self.sample }
    }

    fn take(&mut self, byte: u8) {
        let scanner = &mut self.scanner;
        if !scanner.is_object {
            // What does not begin as an object is kept as it is, up to the limit.
            let before = self.kept.trim_ascii();
            scanner.is_object = byte == b'{' && (before.is_empty() || before == BYTE_ORDER_MARK);
            if !scanner.is_object {
                return self.kept.push(byte);
            }
            self.kept.clear();
        }
        if let Some(string) = &mut scanner.string {
            string.length += 1;
            let ends = byte == b'"' && !string.is_escaped;
            string.is_escaped = byte == b'\\' && !string.is_escaped;
            if !string.is_muted {
                // A control character is not valid in a string, and means nothing in any that is read.
                self.kept.push(if byte.is_ascii_control() { b' ' } else { byte });
            }
            if string.length > LONGEST_STRING && !string.is_muted {
                self.kept.truncate(string.start);
                string.is_muted = true;
            }
            if ends {
                if string.is_muted && scanner.skipped.is_none() {
                    self.kept.push(b'"');
                }
                scanner.string = None;
            }
            return;
        }
        if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
            return;
        }
        // Anything behind the end is an error, which the reader of the JSON will name.
        scanner.is_over = false;
        if let Some(skipped) = &mut scanner.skipped {
            let is_inside = skipped.depth > 0;
            match byte {
                b'"' => scanner.string = Some(BodyText { start: 0, length: 0, is_escaped: false, is_muted: true }),
                b'{' | b'[' => skipped.depth += 1,
                b'}' | b']' if is_inside => skipped.depth -= 1,
                b'}' | b']' => scanner.skipped = None,
                b',' if !is_inside && !skipped.is_rest => scanner.skipped = None,
                _ => {}
            }
            if scanner.skipped.is_some() {
                return;
            }
        }
        match byte {
            b'"' => {
                self.kept.push(byte);
                scanner.key = self.kept.len();
                scanner.string = Some(BodyText { start: scanner.key, length: 0, is_escaped: false, is_muted: false });
            }
            b':' => {
                let key = self.kept.get(scanner.key..).and_then(|key| key.strip_suffix(b"\"")).unwrap_or_default();
                let is_secret = key == b"session" && !self.keeps_session;
                if is_read(key) && !is_secret {
                    self.kept.push(byte);
                } else {
                    self.kept.truncate(scanner.key);
                    self.kept.extend_from_slice(b"\":null");
                    scanner.skipped = Some(Skipped { is_secret, ..Skipped::default() });
                }
            }
            b'{' | b'[' if scanner.levels.len() == DEEPEST => {
                self.kept.extend_from_slice(b"null");
                scanner.skipped = Some(Skipped { depth: 1, ..Skipped::default() });
            }
            b'{' | b'[' => {
                self.kept.push(byte);
                scanner.levels.push((byte == b'[').then_some(0));
            }
            b'}' | b']' => {
                scanner.levels.pop();
                self.kept.push(byte);
                scanner.is_over = scanner.levels.is_empty();
            }
            b',' => {
                if let Some(Some(items)) = scanner.levels.last_mut() {
                    *items += 1;
                    if *items == ITEMS {
                        scanner.skipped = Some(Skipped { is_rest: true, ..Skipped::default() });
                        return;
                    }
                }
                self.kept.push(byte);
            }
            other => self.kept.push(other),
        }
    }
}

#[derive(Debug)]
struct Scanner {
    is_object: bool,
    is_over: bool,
    /// The open objects and lists, and how many items of a list have come.
    levels: Vec<Option<usize>>,
    skipped: Option<Skipped>,
    string: Option<BodyText>,
    /// Where the first character of the last string stands in what is kept: of the key, when a colon comes.
    key: usize,
}

/// What is not kept.
#[derive(Debug, Default)]
struct Skipped {
    /// How deep in it the next byte is.
    depth: usize,
    /// It is the rest of a list, rather than one value.
    is_rest: bool,
    /// It is the session id.
    is_secret: bool,
}

#[derive(Debug)]
struct BodyText {
    /// Where its first character stands in what is kept.
    start: usize,
    length: usize,
    is_escaped: bool,
    is_muted: bool,
}

impl Scanner {
    const fn new() -> Self {
        Self { is_object: false, is_over: false, levels: Vec::new(), skipped: None, string: None, key: 0 }
    }

    fn is_secret(&self) -> bool {
        self.skipped.as_ref().is_some_and(|skipped| skipped.is_secret)
    }
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// The longest answer that is read.
const LONGEST: usize = 1024 * 1024;
/// The most that is kept of it.
const KEPT: usize = 64 * 1024;
/// How much is kept as it came.
const SAMPLE: usize = 512;
/// A longer string is kept as an empty one.
const LONGEST_STRING: usize = 1024;
/// How many items of a list are kept.
const ITEMS: usize = 16;
/// Deeper levels are kept as null: the flags in a ping are at the third.
const DEEPEST: usize = 5;
