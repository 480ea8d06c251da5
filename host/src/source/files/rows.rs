//! Rows of text files one by one, unparsed: names and values of a JSON object, fields of a CSV record. A row is
//! bounded in size; a wrong one is named by its line.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::super::SourceError;
use super::opened::Opened;

/// A larger row is no row but a file without line ends, or a quote that is never closed. Twice the largest row that a
/// destination takes, with JSON's escapes.
const MAX_ROW_BYTES: u64 = 128 << 20;

/// Bytes of each read that are searched for the file's line ends.
const HEADER_BYTES: usize = 4096;

/// Lines of JSON.
pub struct JsonRows {
    file: Opened,
    reader: BufReader<Box<dyn Read + Send>>,
    buffer: Vec<u8>,
    line: u64,
}

impl JsonRows {
    pub fn open(file: &Opened) -> Result<Self, SourceError> {
        Ok(Self {
            reader: BufReader::new(file.unpacked()?),
            file: file.describer(),
            buffer: Vec::new(),
            line: 0,
        })
    }

    /// The last row's line, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    pub fn row_bytes(&self) -> u64 {
        self.buffer.len() as u64
    }

    /// Hands each name and value of the next row to `each`; `false` at the end. Blank lines are no rows.
    pub fn next(
        &mut self,
        mut each: impl FnMut(&str, &RawValue) -> Result<(), SourceError>,
    ) -> Result<bool, SourceError> {
        loop {
            self.buffer.clear();
            self.line += 1;
            (&mut self.reader)
                .take(MAX_ROW_BYTES)
                .read_until(b'\n', &mut self.buffer)
                .map_err(|error| self.file.read_error(error))?;
            if self.buffer.is_empty() {
                return Ok(false);
            }
            if self.buffer.len() as u64 == MAX_ROW_BYTES {
                return Err(self.bad(format!(
                    "the row is longer than {MAX_ROW_BYTES} bytes; line ends may be missing"
                )));
            }
            if !self.buffer.trim_ascii().is_empty() {
                break;
            }
        }
        // A byte order mark is no part of the first row.
        let bytes = self
            .buffer
            .strip_prefix(b"\xef\xbb\xbf")
            .unwrap_or(&self.buffer);
        let text = std::str::from_utf8(bytes)
            .map_err(|error| self.bad(format!("not UTF-8 at byte {}", error.valid_up_to() + 1)))?;
        let mut refused = None;
        let mut parser = serde_json::Deserializer::from_str(text);
        let parsed = Members {
            each: &mut each,
            refused: &mut refused,
        }
        .deserialize(&mut parser)
        .and_then(|()| parser.end());
        match (refused, parsed) {
            (Some(error), _) => Err(error),
            (None, Ok(())) => Ok(true),
            (None, Err(error)) => Err(self.bad(json_cause(&error))),
        }
    }

    fn bad(&self, cause: String) -> SourceError {
        SourceError::BadRow {
            path: self.file.path.clone(),
            line: self.line,
            cause,
        }
    }
}

/// serde_json counts lines within what it was given, which is one line.
fn json_cause(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    if error.is_eof() {
        format!(
            "the JSON object ends early, at character {} ({what}); the file may be cut short",
            error.column()
        )
    } else {
        format!("not a JSON object at character {}: {what}", error.column())
    }
}

/// The members of one object, handed over without being copied.
struct Members<'a, F> {
    each: &'a mut F,
    /// What `each` answered: serde's errors cannot carry it.
    refused: &'a mut Option<SourceError>,
}

impl<'de, F> DeserializeSeed<'de> for Members<'_, F>
where
    F: FnMut(&str, &RawValue) -> Result<(), SourceError>,
{
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F> Visitor<'de> for Members<'_, F>
where
    F: FnMut(&str, &RawValue) -> Result<(), SourceError>,
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a member for each column")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Name<'de>>()? {
            let value: &RawValue = map.next_value()?;
            if let Err(error) = (self.each)(name.0.as_ref(), value) {
                *self.refused = Some(error);
                return Err(serde::de::Error::custom("refused"));
            }
        }
        Ok(())
    }
}

/// A member's name, borrowed unless it holds an escape.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] std::borrow::Cow<'a, str>);

/// Records of CSV, the first of which names the columns.
pub struct CsvRows {
    file: Opened,
    reader: csv::Reader<Leashed>,
    names: Vec<String>,
    record: csv::StringRecord,
    seen: Arc<Seen>,
    before: u64,
}

impl CsvRows {
    pub fn open(file: &Opened) -> Result<Self, SourceError> {
        Self::bounded(file, MAX_ROW_BYTES)
    }

    /// With another limit of a record's length.
    pub fn bounded(file: &Opened, limit_bytes: u64) -> Result<Self, SourceError> {
        let seen = Arc::new(Seen {
            limit_bytes,
            since_record: AtomicU64::new(0),
            is_crlf: AtomicBool::new(false),
        });
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(if file.is_tab_separated() { b'\t' } else { b',' })
            .from_reader(Leashed {
                inner: file.unpacked()?,
                seen: Arc::clone(&seen),
            });
        let file = file.describer();
        let names = reader
            .headers()
            .map_err(|error| csv_error(&file, &seen, None, error))?
            .iter()
            .map(str::to_owned)
            .collect();
        Ok(Self {
            file,
            reader,
            names,
            record: csv::StringRecord::new(),
            seen,
            before: 0,
        })
    }

    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The next record; `false` at the end.
    pub fn next(&mut self) -> Result<bool, SourceError> {
        self.before = self.reader.position().byte();
        self.seen.since_record.store(0, Ordering::Relaxed);
        self.reader
            .read_record(&mut self.record)
            .map_err(|error| csv_error(&self.file, &self.seen, self.record.position(), error))
    }

    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.record.iter()
    }

    pub fn line(&self) -> u64 {
        self.seen.line(self.record.position())
    }

    pub fn row_bytes(&self) -> u64 {
        self.reader.position().byte() - self.before
    }
}

/// `begun` is where the record begins that could not be read to its end.
fn csv_error(
    file: &Opened,
    seen: &Seen,
    begun: Option<&csv::Position>,
    error: csv::Error,
) -> SourceError {
    let line = seen.line(error.position().or(begun));
    let bad = |cause: String| SourceError::BadRow {
        path: file.path.clone(),
        line,
        cause,
    };
    match error.into_kind() {
        csv::ErrorKind::Io(_) if seen.is_endless() => bad(format!(
            "the record is longer than {} bytes; a quote may be missing",
            seen.limit_bytes
        )),
        csv::ErrorKind::Io(error) => file.read_error(error),
        csv::ErrorKind::Utf8 { err, .. } => bad(format!("not UTF-8 in field {}", err.field() + 1)),
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => bad(format!(
            "the record has {len} fields, the header {expected_len}; the file may be cut short, or a quote be missing"
        )),
        kind => bad(format!("not CSV: {kind:?}")),
    }
}

/// What the bytes of a CSV file showed on their way to the parser.
struct Seen {
    /// Of a record.
    limit_bytes: u64,
    /// Bytes since the last record.
    since_record: AtomicU64,
    /// Whether lines end in CR LF.
    is_crlf: AtomicBool,
}

impl Seen {
    /// The line that a record begins on. The parser takes the LF of a CR LF for the next record's first character, so
    /// its own count is one behind.
    fn line(&self, position: Option<&csv::Position>) -> u64 {
        let behind = u64::from(self.is_crlf.load(Ordering::Relaxed));
        position.map_or(1, |position| position.line() + behind)
    }

    /// Whether a record was given up as too long.
    fn is_endless(&self) -> bool {
        self.since_record.load(Ordering::Relaxed) > self.limit_bytes
    }
}

/// Ends a record that grows without end.
struct Leashed {
    inner: Box<dyn Read + Send>,
    seen: Arc<Seen>,
}

impl Read for Leashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if buffer[..read]
            .windows(2)
            .take(HEADER_BYTES)
            .any(|pair| pair == b"\r\n")
        {
            self.seen.is_crlf.store(true, Ordering::Relaxed);
        }
        self.seen
            .since_record
            .fetch_add(read as u64, Ordering::Relaxed);
        if self.seen.is_endless() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(read)
    }
}
