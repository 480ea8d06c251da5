//! CSV record by record, unparsed. The first record names the columns. Quotes, records and lengths are watched apart
//! from the parser, which takes whatever comes; a wrong record is named by its line.

use std::collections::HashMap;
use std::io::{self, Read};

use batch_export_system::explain::{Cause, count, counted};

use super::super::SourceError;
use super::json_rows::MAX_ROW_BYTES;
use super::opened::Opened;
use super::quotes::{Misquoted, Quotes};

/// The way in which CSV is written, where it is not the usual one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Dialect {
    /// The byte between fields; a comma, or a tab in files named .tsv, unless configured.
    pub delimiter: Option<u8>,
    /// Whether fields can be quoted.
    pub quotes: bool,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            delimiter: None,
            quotes: true,
        }
    }
}

const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// Records of CSV.
pub(crate) struct CsvRows {
    file: Opened,
    reader: csv::Reader<Watched>,
    names: Vec<String>,
    record: csv::StringRecord,
    /// Records read, the names included.
    read: u64,
    before: u64,
}

impl CsvRows {
    pub(crate) fn open(file: &Opened) -> Result<Self, SourceError> {
        Self::bounded(file, MAX_ROW_BYTES)
    }

    /// With another limit of a record's length.
    pub(crate) fn bounded(file: &Opened, limit_bytes: u64) -> Result<Self, SourceError> {
        let delimiter = file.delimiter();
        let bytes = without_mark(file.unpacked()?).map_err(|error| file.read_error(error))?;
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .quoting(file.dialect.quotes)
            .from_reader(Watched {
                inner: bytes,
                quotes: Quotes::new(delimiter, file.dialect.quotes),
                limit_bytes,
                since_record: 0,
                is_crlf: false,
            });
        let file = file.describer();
        let header = match reader.headers() {
            Ok(header) => header.clone(),
            Err(error) => return Err(csv_error(&file, reader.get_ref(), None, error)),
        };
        let names: Vec<String> = header.iter().map(str::to_owned).collect();
        let rows = Self {
            read: u64::from(!names.is_empty()),
            file,
            reader,
            names,
            record: csv::StringRecord::new(),
            before: 0,
        };
        rows.check_names(header.position())?;
        Ok(rows)
    }

    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Checks that no name is that of two columns: one of them would be lost.
    fn check_names(&self, at: Option<&csv::Position>) -> Result<(), SourceError> {
        let mut problems = Vec::new();
        let nameless: Vec<String> = (1..)
            .zip(&self.names)
            .filter(|(_, name)| name.is_empty())
            .map(|(number, _)| number.to_string())
            .collect();
        if nameless.len() > 1 {
            problems.push(format!("the header does not name the columns {}", nameless.join(", ")));
        }
        let mut first = HashMap::new();
        for (number, name) in (1_u64..).zip(&self.names).filter(|(_, name)| !name.is_empty()) {
            if let Some(first) = first.insert(name, number) {
                problems.push(format!(
                    "the header has the name `{name}` twice, for the columns {first} and {number}"
                ));
            }
        }
        if problems.is_empty() {
            return Ok(());
        }
        Err(SourceError::BadRow {
            path: self.file.path.clone(),
            line: self.reader.get_ref().line(at),
            cause: Cause::new(problems.join("; ")).with_hint("give each column its own name"),
        })
    }

    /// Returns the next record; `false` at the end.
    pub(crate) fn next(&mut self) -> Result<bool, SourceError> {
        self.before = self.reader.position().byte();
        self.reader.get_mut().since_record = 0;
        match self.reader.read_record(&mut self.record) {
            Ok(true) => {
                self.read += 1;
                Ok(true)
            }
            Ok(false) => self.ended(),
            Err(error) => {
                let begun = self.record.position();
                Err(csv_error(&self.file, self.reader.get_ref(), begun, error))
            }
        }
    }

    /// Checks at the end that the parser found as many records as the bytes have.
    fn ended(&self) -> Result<bool, SourceError> {
        let counted = self.reader.get_ref().quotes.records();
        if counted != self.read {
            return Err(self.file.miscounted("records", self.read, counted));
        }
        Ok(false)
    }

    pub(crate) fn fields(&self) -> impl Iterator<Item = &str> {
        self.record.iter()
    }

    pub(crate) fn line(&self) -> u64 {
        self.reader.get_ref().line(self.record.position())
    }

    pub(crate) fn row_bytes(&self) -> u64 {
        self.reader.position().byte() - self.before
    }
}

/// Returns the bytes without a byte order mark, which is not part of the first name.
fn without_mark(mut bytes: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let mut head = Vec::with_capacity(BYTE_ORDER_MARK.len());
    (&mut bytes).take(BYTE_ORDER_MARK.len() as u64).read_to_end(&mut head)?;
    if head == BYTE_ORDER_MARK {
        return Ok(bytes);
    }
    Ok(Box::new(io::Cursor::new(head).chain(bytes)))
}

/// `begun` is where the record begins that could not be read to its end.
fn csv_error(file: &Opened, seen: &Watched, begun: Option<&csv::Position>, error: csv::Error) -> SourceError {
    let bad = |line: u64, cause: Cause| SourceError::BadRow {
        path: file.path.clone(),
        line,
        cause,
    };
    let line = seen.line(error.position().or(begun));
    match error.into_kind() {
        csv::ErrorKind::Io(error) => {
            let fault = error.get_ref().and_then(|inner| inner.downcast_ref());
            match fault {
                Some(Fault::TooLong) => bad(
                    line,
                    Cause::new(format!("the record is longer than {} bytes", count(seen.limit_bytes)))
                        .with_hint("look for a missing quote, or split the record"),
                ),
                Some(Fault::Misquoted { line, what }) => {
                    bad(*line, Cause::new(what.to_string()).with_hint(Misquoted::REMEDY))
                }
                None => file.read_error(error),
            }
        }
        csv::ErrorKind::Utf8 { err, .. } => bad(
            line,
            Cause::new(format!("invalid UTF-8 in field {}", err.field() + 1)).with_hint("convert the file to UTF-8"),
        ),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => bad(
            line,
            Cause::new(format!(
                "the record has {}, but the header has {expected_len}",
                counted(len, "field")
            ))
            .with_hint("look for a missing quote, or recreate the file if it is truncated"),
        ),
        kind => bad(line, format!("not CSV: {kind:?}").into()),
    }
}

/// A fault that was seen before the parser saw it. Travels inside an [`io::Error`].
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("the record is too long")]
    TooLong,
    #[error("line {line}: {what}")]
    Misquoted { line: u64, what: Misquoted },
}

/// The bytes on their way to the parser: ends a record that grows without end, and quotes that are wrong.
struct Watched {
    inner: Box<dyn Read + Send>,
    quotes: Quotes,
    /// Of a record.
    limit_bytes: u64,
    /// Bytes since the last record.
    since_record: u64,
    /// Whether lines end in CR LF.
    is_crlf: bool,
}

/// Bytes of each read that are searched for the file's line ends.
const SEARCHED_BYTES: usize = 4096;

impl Watched {
    /// Returns the line that a record begins on. The parser takes the LF of a CR LF for the next record's first
    /// character, so its own count is one behind.
    fn line(&self, position: Option<&csv::Position>) -> u64 {
        let behind = u64::from(self.is_crlf);
        position.map_or(1, |position| match position.byte() {
            0 => 1,
            _ => position.line() + behind,
        })
    }
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let bytes = &buffer[..read];
        self.is_crlf |= bytes.windows(2).take(SEARCHED_BYTES).any(|pair| pair == b"\r\n");
        self.since_record += read as u64;
        if self.since_record > self.limit_bytes {
            return Err(io::Error::new(io::ErrorKind::InvalidData, Fault::TooLong));
        }
        let watched = match bytes {
            [] if !buffer.is_empty() => self.quotes.end(),
            bytes => self.quotes.take(bytes),
        };
        watched.map_err(|(line, what)| io::Error::new(io::ErrorKind::InvalidData, Fault::Misquoted { line, what }))?;
        Ok(read)
    }
}
