//! The body of an answer, read piece by piece: of a long JSON object only its upper levels are kept.
//!
//! An advisor's list of accounts has a megabyte of properties, of which none is read. While the bytes come, long
//! strings are emptied, long lists and deep levels are cut short, and the rest is valid JSON if the whole was.

/// A body as it comes.
#[derive(Debug)]
pub(super) struct Body {
    kept: Vec<u8>,
    came: usize,
    scanner: Scanner,
    /// Whether the value of a top-level `session` is kept.
    keeps_session: bool,
}

/// Why a body is not read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong {
    /// The limit in bytes.
    pub(super) limit: usize,
}

impl Body {
    pub(super) const fn new(keeps_session: bool) -> Self {
        Self { kept: Vec::new(), came: 0, scanner: Scanner::new(), keeps_session }
    }

    /// Checks a length that was announced.
    ///
    /// # Errors
    /// When so much would be too long, whatever it is.
    pub(super) const fn announce(&self, length: u64) -> Result<(), TooLong> {
        if length > LONGEST as u64 { Err(TooLong { limit: LONGEST }) } else { Ok(()) }
    }

    /// Takes in the next piece.
    ///
    /// # Errors
    /// When it is too long for what it is.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), TooLong> {
        self.came += piece.len();
        if self.came > LONGEST {
            return Err(TooLong { limit: LONGEST });
        }
        for byte in piece {
            self.take(*byte);
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

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.kept
    }

    fn take(&mut self, byte: u8) {
        let scanner = &mut self.scanner;
        if !scanner.is_object {
            // What does not begin as an object is kept as it is, up to the limit.
            scanner.is_object = byte == b'{' && self.kept.trim_ascii().is_empty();
            if !scanner.is_object {
                return self.kept.push(byte);
            }
        }
        if let Some(string) = &mut scanner.string {
            string.length += 1;
            let is_skipped = scanner.muted_from.is_some();
            let ends = byte == b'"' && !string.is_escaped;
            string.is_escaped = byte == b'\\' && !string.is_escaped;
            if !string.is_muted {
                self.kept.push(byte);
            }
            if string.length > LONGEST_STRING && !string.is_muted {
                self.kept.truncate(string.start);
                string.is_muted = true;
            }
            if ends {
                if string.is_muted && !is_skipped {
                    self.kept.push(b'"');
                }
                scanner.key_is_session =
                    scanner.levels.len() == 1 && !string.is_muted && self.kept[string.start..] == *b"session\"";
                scanner.string = None;
            }
            return;
        }
        if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
            return;
        }
        // Anything behind the end is an error, which the reader of the JSON will name.
        scanner.is_over = false;
        match byte {
            b'"' => {
                let is_muted = scanner.is_muted();
                let is_session = scanner.key_is_session && !self.keeps_session;
                if !is_muted {
                    self.kept.push(byte);
                }
                let start = self.kept.len();
                scanner.string = Some(Text { start, length: 0, is_escaped: false, is_muted: is_muted || is_session });
            }
            b'{' | b'[' => {
                if !scanner.is_muted() {
                    self.kept.push(byte);
                }
                scanner.key_is_session = false;
                scanner.levels.push(Level { members: 0, most: if byte == b'{' { MEMBERS } else { ITEMS } });
                if scanner.levels.len() > DEEPEST {
                    scanner.muted_from.get_or_insert(scanner.levels.len());
                }
            }
            b'}' | b']' => {
                if scanner.muted_from == Some(scanner.levels.len()) {
                    scanner.muted_from = None;
                }
                scanner.levels.pop();
                if !scanner.is_muted() {
                    self.kept.push(byte);
                }
                scanner.is_over = scanner.levels.is_empty();
            }
            b',' => {
                let depth = scanner.levels.len();
                scanner.key_is_session = false;
                if let Some(level) = scanner.levels.last_mut() {
                    level.members += 1;
                    if level.members == level.most && depth > 1 {
                        scanner.muted_from.get_or_insert(depth);
                    }
                }
                if !scanner.is_muted() {
                    self.kept.push(byte);
                }
            }
            other => {
                if !scanner.is_muted() {
                    self.kept.push(other);
                }
            }
        }
        if scanner.levels.len() > TOO_DEEP {
            // As deep as this no reader follows: what has come is no JSON for it.
            scanner.muted_from = Some(0);
        }
    }
}

#[derive(Debug)]
struct Scanner {
    is_object: bool,
    is_over: bool,
    levels: Vec<Level>,
    /// The level whose rest is left out, and all below it.
    muted_from: Option<usize>,
    string: Option<Text>,
    key_is_session: bool,
}

#[derive(Debug)]
struct Level {
    members: usize,
    most: usize,
}

#[derive(Debug)]
struct Text {
    /// Where its first character stands in what is kept.
    start: usize,
    length: usize,
    is_escaped: bool,
    is_muted: bool,
}

impl Scanner {
    const fn new() -> Self {
        Self {
            is_object: false,
            is_over: false,
            levels: Vec::new(),
            muted_from: None,
            string: None,
            key_is_session: false,
        }
    }

    const fn is_muted(&self) -> bool {
        self.muted_from.is_some()
    }
}

/// The longest answer that is read.
const LONGEST: usize = 1024 * 1024;
/// The most that is kept of it.
const KEPT: usize = 64 * 1024;
/// A longer string is kept as an empty one.
const LONGEST_STRING: usize = 1024;
/// How many members of an object below the top are kept, and how many items of a list.
const MEMBERS: usize = 32;
const ITEMS: usize = 16;
/// Deeper levels are kept as empty ones: the flags in a ping are at the third.
const DEEPEST: usize = 5;
const TOO_DEEP: usize = 127;
