//! JSON Lines row by row, unparsed: the names and values of one object. A row is bounded in size; a wrong one is named
//! by its line. Lines are counted twice, so that none is lost.

use std::fmt;
use std::io::{BufRead, BufReader, Read};

use batch_export_system::explain::{Cause, count, plain_json};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::super::SourceError;
use super::opened::Opened;
use super::unescape::Unescaped;

/// A larger row is not a row but a file without line ends, or a quote that is never closed. Twice the largest row that
/// a destination takes, with JSON's escapes.
pub(crate) const MAX_ROW_BYTES: u64 = 128 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Lines of JSON.
pub(crate) struct JsonRows {
    file: Opened,
    reader: BufReader<Counted>,
    buffer: Vec<u8>,
    line: u64,
    /// Halves of surrogate pairs replaced in the names of the last row.
    replaced: u64,
}

impl JsonRows {
    pub(crate) fn open(file: &Opened) -> Result<Self, SourceError> {
        Ok(Self {
            reader: BufReader::new(Counted {
                inner: file.unpacked()?,
                breaks: 0,
                is_mid_line: false,
            }),
            file: file.describer(),
            buffer: Vec::new(),
            line: 0,
            replaced: 0,
        })
    }

    /// Returns the last row's line, from 1.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    pub(crate) fn row_bytes(&self) -> u64 {
        self.buffer.len() as u64
    }

    /// Halves of surrogate pairs that were replaced in the names of the last row.
    pub(crate) fn surrogates_replaced(&self) -> u64 {
        self.replaced
    }

    /// Hands each name and value of the next row to `each`; `false` at the end. Blank lines are not rows.
    pub(crate) fn next(
        &mut self,
        mut each: impl FnMut(&str, &RawValue) -> Result<(), SourceError>,
    ) -> Result<bool, SourceError> {
        loop {
            self.buffer.clear();
            (&mut self.reader)
                .take(MAX_ROW_BYTES)
                .read_until(b'\n', &mut self.buffer)
                .map_err(|error| self.file.read_error(error))?;
            if self.buffer.is_empty() {
                return self.ended();
            }
            self.line += 1;
            if self.buffer.len() as u64 == MAX_ROW_BYTES {
                let longest = count(MAX_ROW_BYTES);
                return Err(self.bad(
                    Cause::new(format!("the row is longer than {longest} bytes"))
                        .with_hint("check that every row ends with a line break, or split the row"),
                ));
            }
            if !without_mark(&self.buffer).trim_ascii().is_empty() {
                break;
            }
        }
        let text = std::str::from_utf8(without_mark(&self.buffer)).map_err(|error| {
            let at = error.valid_up_to() + 1;
            self.bad(Cause::new(format!("invalid UTF-8 at byte {at}")).with_hint("convert the file to UTF-8"))
        })?;
        let (mut refused, mut replaced) = (None, 0);
        let mut parser = serde_json::Deserializer::from_str(text);
        let parsed = Members {
            each: &mut each,
            refused: &mut refused,
            replaced: &mut replaced,
        }
        .deserialize(&mut parser)
        .and_then(|()| parser.end());
        self.replaced = replaced;
        match (refused, parsed) {
            (Some(error), _) => Err(error),
            (None, Ok(())) => Ok(true),
            (None, Err(error)) => Err(self.bad(json_cause(text, &error))),
        }
    }

    /// Checks at the end that there are as many lines as there are line ends in the bytes.
    fn ended(&self) -> Result<bool, SourceError> {
        let counted = self.reader.get_ref().lines();
        if counted != self.line {
            return Err(self.file.miscounted("lines", self.line, counted));
        }
        Ok(false)
    }

    fn bad(&self, cause: Cause) -> SourceError {
        SourceError::BadRow {
            path: self.file.path.clone(),
            line: self.line,
            cause,
        }
    }
}

/// Returns a line without a byte order mark, which is not part of a row.
fn without_mark(line: &[u8]) -> &[u8] {
    line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line)
}

/// Counts lines by their ends alone.
struct Counted {
    inner: Box<dyn Read + Send>,
    breaks: u64,
    is_mid_line: bool,
}

impl Counted {
    fn lines(&self) -> u64 {
        self.breaks + u64::from(self.is_mid_line)
    }
}

impl Read for Counted {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(to)?;
        let breaks = to[..read].iter().filter(|byte| **byte == b'\n').count();
        self.breaks += breaks as u64;
        if let Some(last) = to[..read].last() {
            self.is_mid_line = *last != b'\n';
        }
        Ok(read)
    }
}

/// Describes what is wrong with a line, judging by its appearance. serde_json counts lines within what it was given,
/// which is one.
fn json_cause(line: &str, error: &serde_json::Error) -> Cause {
    let what = plain_json(error);
    let column = error.column();
    if line.trim_start().starts_with('[') {
        return Cause::new("a JSON array, where an object with a member for each column is expected")
            .with_hint("write one object on each line and no array around them (`jq -c '.[]'` does)");
    }
    if error.is_eof() && line.ends_with('\n') {
        return Cause::new(format!("the JSON object does not end on its line ({what})"))
            .with_hint("write one object on each line (`jq -c .` does)");
    }
    if error.is_eof() {
        return Cause::new(format!("the JSON object ends early, at character {column} ({what})"))
            .with_hint("recreate the file, which may be truncated");
    }
    if let Some(word) = foreign_word(line, column) {
        return Cause::new(format!("not a JSON object at character {column}: JSON has no `{word}`"))
            .with_hint("write null, or a valid JSON value");
    }
    Cause::new(format!("not a JSON object at character {column}: {what}"))
}

/// Values of other languages, which writers that do not know JSON leave in it.
const FOREIGN_WORDS: [&str; 9] = [
    "NaN",
    "nan",
    "Infinity",
    "inf",
    "None",
    "True",
    "False",
    "undefined",
    "Inf",
];

/// Returns the word that an error points at or into.
fn foreign_word(line: &str, column: usize) -> Option<&'static str> {
    let at = column.checked_sub(1)?;
    let is_letter = |byte: &u8| byte.is_ascii_alphabetic();
    let bytes = line.as_bytes();
    let before = bytes.get(..at)?.iter().rev().take_while(|byte| is_letter(byte)).count();
    let from = &bytes[at - before..];
    let from = from.strip_prefix(b"-").unwrap_or(from);
    let word = &from[..from.iter().take_while(|byte| is_letter(byte)).count()];
    FOREIGN_WORDS.into_iter().find(|known| known.as_bytes() == word)
}

/// The members of one object, handed over without being copied.
struct Members<'a, F> {
    each: &'a mut F,
    /// The error that `each` returned: serde's errors cannot carry it.
    refused: &'a mut Option<SourceError>,
    replaced: &'a mut u64,
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
        while let Some(name) = map.next_key::<Unescaped<'de>>()? {
            *self.replaced += name.replaced;
            let value: &RawValue = map.next_value()?;
            if let Err(error) = (self.each)(&name.text, value) {
                *self.refused = Some(error);
                return Err(serde::de::Error::custom("refused"));
            }
        }
        Ok(())
    }
}
