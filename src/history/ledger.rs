//! The ledger on disk: JSON lines, the oldest dropped when it grows too long.

use std::fs::File;
use std::io::{self, Read as _, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::row::Row;
use crate::atomic_file::{open, read, replace};

/// A ledger in a folder. Every call blocks: the disk may be slow.
#[derive(Debug, Clone)]
pub struct Ledger {
    file: PathBuf,
    limit: u64,
}

/// The content of a ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadLedger {
    /// The rows, oldest first.
    pub rows: Vec<Row>,
    /// How many lines could not be read: torn by a crash, or written by another version.
    pub unreadable: usize,
}

impl Ledger {
    /// The ledger in this folder; the file need not be there yet.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { file: folder.join(NAME), limit: LIMIT }
    }

    /// The same, but with another length in bytes at which its older half is dropped.
    #[must_use]
    pub fn with_limit(self, limit: u64) -> Self {
        Self { limit, ..self }
    }

    /// Adds rows at the end: all of them, or none. A line that a crash has torn is ended first, so that it spoils no
    /// other.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn append(&self, rows: &[Row]) -> io::Result<()> {
        let mut text = String::new();
        for row in rows {
            text.push_str(&serde_json::to_string(row)?);
            text.push('\n');
        }
        let mut file = self.open()?;
        if file.metadata()?.len() + text.len() as u64 > self.limit {
            self.shorten()?;
            file = self.open()?;
        }
        let length = file.metadata()?.len();
        if length > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                text.insert(0, '\n');
            }
        }
        file.write_all(text.as_bytes()).and_then(|()| file.sync_data()).inspect_err(|_| {
            // Otherwise adding them again would duplicate them.
            drop(file.set_len(length));
        })
    }

    fn open(&self) -> io::Result<File> {
        open(File::options().read(true).append(true).create(true).mode(0o600), &self.file)
    }

    /// Reads all rows; none if there is no file.
    ///
    /// # Errors
    /// When there is one, and it cannot be read.
    pub fn read(&self) -> io::Result<ReadLedger> {
        let bytes = match read(&self.file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ReadLedger::default()),
            Err(error) => return Err(error),
        };
        let mut read = ReadLedger::default();
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice(line) {
                Ok(row) => read.rows.push(row),
                Err(_) => read.unreadable += 1,
            }
        }
        Ok(read)
    }

    /// Keeps the newer half.
    fn shorten(&self) -> io::Result<()> {
        let bytes = read(&self.file)?;
        let middle = bytes.len() / 2;
        let line = bytes[middle..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| middle + at + 1);
        replace(&self.file, &bytes[line..])
    }
}

const NAME: &str = "ledger.jsonl";
/// Some ten thousand changes: years, for a handful of gateways.
const LIMIT: u64 = 2 * 1024 * 1024;
