//! The binary form of `COPY … TO STDOUT`: a header, rows of fields that each say their length, and a trailer without
//! which the rows are not all there. Knows no types; bounds every length.

use std::ops::Range;

use batch_export_system::explain::{Cause, count};

use crate::message::MAX_MESSAGE_BYTES;

/// What the data begin with.
const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// The flags and the length of what further headers there are.
const HEADER_BYTES: usize = SIGNATURE.len() + 8;
/// Flags that a reader must know; it knows none.
const CRITICAL_FLAGS: u32 = 0xffff_0000;
/// Further headers: no version of the server writes any.
const MAX_FURTHER_BYTES: usize = 64 << 10;
/// The bytes of a row before its fields, and of a field before its value.
const COUNT_BYTES: usize = 2;
const LENGTH_BYTES: usize = 4;
/// The number of fields that is no row but the end.
const TRAILER: i16 = -1;
/// The length that is no value.
const NULL: i32 = -1;
/// The largest row: what a destination can be configured for at most.
pub(super) const MAX_ROW_BYTES: usize = MAX_MESSAGE_BYTES;

/// What is wrong with the data.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// They end before they are complete.
    Cut,
    /// They are not in the form that they should be.
    Malformed(String),
    /// A row, from 1, is larger than any that can be exported.
    TooLarge(u64),
    /// A value cannot be exported, by its row and the index of its column.
    Value { row: u64, column: usize, cause: Cause },
}

/// Where a field's value is in its row's bytes; `None` for null.
pub(super) type Field = Option<Range<usize>>;

/// What takes rows.
pub(super) trait Rows {
    /// Takes the row of that number, from 1.
    fn row(&mut self, number: u64, bytes: &[u8], fields: &[Field]) -> Result<(), Fault>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Header,
    Rows,
    Ended,
}

/// Takes the data apart, whatever pieces they come in.
#[derive(Debug)]
pub(super) struct Decoder {
    columns: usize,
    state: State,
    /// The beginning of what is not complete yet.
    pending: Vec<u8>,
    /// The bytes of it without which nothing more can be said.
    needed: usize,
    fields: Vec<Field>,
    rows: u64,
}

/// What is to be done next.
enum Step {
    /// Go on after so many bytes.
    Taken(usize),
    /// Wait until there are so many bytes.
    Needs(usize),
}

impl Decoder {
    /// Returns a decoder of rows with so many fields.
    pub(super) fn new(columns: usize) -> Self {
        Self {
            columns,
            state: State::Header,
            pending: Vec::new(),
            needed: 0,
            fields: Vec::with_capacity(columns),
            rows: 0,
        }
    }

    /// Takes the next piece, and gives the rows that it completes away.
    pub(super) fn feed(&mut self, piece: &[u8], rows: &mut dyn Rows) -> Result<(), Fault> {
        if self.pending.is_empty() {
            let taken = self.take(piece, rows)?;
            self.pending.extend_from_slice(&piece[taken..]);
            return Ok(());
        }
        self.pending.extend_from_slice(piece);
        if self.pending.len() < self.needed {
            return Ok(());
        }
        let mut pending = std::mem::take(&mut self.pending);
        let taken = self.take(&pending, rows)?;
        pending.drain(..taken);
        self.pending = pending;
        Ok(())
    }

    /// Checks, once nothing more comes, that the data are complete.
    pub(super) fn finish(&self) -> Result<(), Fault> {
        match self.state {
            State::Ended => Ok(()),
            State::Header | State::Rows => Err(Fault::Cut),
        }
    }

    /// Takes what is complete, and returns its length.
    fn take(&mut self, bytes: &[u8], rows: &mut dyn Rows) -> Result<usize, Fault> {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            if rest.is_empty() {
                return Ok(at);
            }
            let step = match self.state {
                State::Header => self.header(rest)?,
                State::Rows => self.row(rest, rows)?,
                State::Ended => return Err(malformed("there is more after their end")),
            };
            match step {
                Step::Taken(length) => at += length,
                Step::Needs(length) => {
                    self.needed = length;
                    return Ok(at);
                }
            }
        }
    }

    fn header(&mut self, bytes: &[u8]) -> Result<Step, Fault> {
        let known = bytes.len().min(SIGNATURE.len());
        if bytes[..known] != SIGNATURE[..known] {
            return Err(malformed("they do not begin as binary COPY data"));
        }
        if bytes.len() < HEADER_BYTES {
            // What is not such data is said as soon as it is seen.
            return Ok(Step::Needs(bytes.len() + 1));
        }
        let flags = long(bytes, SIGNATURE.len()).cast_unsigned();
        if flags & CRITICAL_FLAGS != 0 {
            return Err(malformed(format!("their flags {flags:#x} are not known")));
        }
        let further = long(bytes, SIGNATURE.len() + LENGTH_BYTES);
        let further = usize::try_from(further)
            .ok()
            .filter(|length| *length <= MAX_FURTHER_BYTES);
        let Some(further) = further else {
            return Err(malformed("the length of their header is not possible"));
        };
        let end = HEADER_BYTES + further;
        if bytes.len() < end {
            return Ok(Step::Needs(end));
        }
        self.state = State::Rows;
        Ok(Step::Taken(end))
    }

    fn row(&mut self, bytes: &[u8], rows: &mut dyn Rows) -> Result<Step, Fault> {
        let Some((fields, mut rest)) = bytes.split_first_chunk::<COUNT_BYTES>() else {
            return Ok(Step::Needs(COUNT_BYTES));
        };
        let number = self.rows + 1;
        match i16::from_be_bytes(*fields) {
            TRAILER => {
                self.state = State::Ended;
                return Ok(Step::Taken(COUNT_BYTES));
            }
            fields if usize::try_from(fields) == Ok(self.columns) => {}
            fields => {
                return Err(malformed(format!(
                    "row {} has {fields} fields, expected {}",
                    count(number),
                    self.columns
                )));
            }
        }
        self.fields.clear();
        let mut at = COUNT_BYTES;
        for _ in 0..self.columns {
            let Some((length, after)) = rest.split_first_chunk::<LENGTH_BYTES>() else {
                return Ok(Step::Needs(at + LENGTH_BYTES));
            };
            (rest, at) = (after, at + LENGTH_BYTES);
            let length = match i32::from_be_bytes(*length) {
                NULL => {
                    self.fields.push(None);
                    continue;
                }
                length => usize::try_from(length)
                    .map_err(|_| malformed(format!("a value of row {} has the length {length}", count(number))))?,
            };
            if at + length > MAX_ROW_BYTES {
                return Err(Fault::TooLarge(number));
            }
            let Some(after) = rest.get(length..) else {
                return Ok(Step::Needs(at + length));
            };
            self.fields.push(Some(at..at + length));
            (rest, at) = (after, at + length);
        }
        rows.row(number, &bytes[..at], &self.fields)?;
        self.rows = number;
        Ok(Step::Taken(at))
    }
}

fn long(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn malformed(what: impl Into<String>) -> Fault {
    Fault::Malformed(what.into())
}
