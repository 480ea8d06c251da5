//! Watches the bytes of a CSV file on their way to the parser, which takes any use of quotes: what RFC 4180 does not
//! allow is an error that names the line, so that no row is lost inside a quote. Counts records by itself, and never
//! changes a byte.

/// The place of the last byte in its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum QuotePlace {
    /// Before the first byte of a record.
    Record,
    /// Before the first byte of a field.
    Field,
    Unquoted,
    Quoted,
    /// Behind a quote inside a quoted field: its end, or the first of two.
    Quote,
}

/// A quote where none may be, or one that is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Misquoted {
    #[error("a quote that is opened on this line is not closed before the end of the file")]
    Unclosed,
    #[error("a quote is opened on this line, but the field continues after the next quote, on line {line}")]
    Behind { line: u64 },
    #[error("there is a quote inside a field that does not begin with one")]
    Stray,
}

impl Misquoted {
    /// The way out, for the end of a sentence.
    pub(crate) const REMEDY: &str = "enclose a field that contains quotes in quotes, and double each quote inside it; if the file does not use quotes, set the source's `quotes` to `none`";
}

/// Reads the file along with the parser.
#[derive(Debug)]
pub(crate) struct Quotes {
    delimiter: u8,
    /// Whether the file uses quotes; otherwise they are characters like any other.
    used: bool,
    place: QuotePlace,
    /// Of the byte to come, from 1.
    line: u64,
    /// Where the quote was opened that is open.
    opened: u64,
    /// Whether the last byte was a CR, whose LF ends no further line.
    after_return: bool,
    records: u64,
}

impl Quotes {
    pub(crate) fn new(delimiter: u8, used: bool) -> Self {
        Self {
            delimiter,
            used,
            place: QuotePlace::Record,
            line: 1,
            opened: 0,
            after_return: false,
            records: 0,
        }
    }

    /// Returns the records that ended so far; lines without a byte are none.
    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// Takes the next bytes. An error comes with the line that it is about.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(), (u64, Misquoted)> {
        for byte in bytes {
            self.step(*byte)?;
        }
        Ok(())
    }

    fn step(&mut self, byte: u8) -> Result<(), (u64, Misquoted)> {
        let is_break = byte == b'\n' || byte == b'\r';
        let is_quote = byte == b'"' && self.used;
        self.place = match (self.place, byte) {
            (QuotePlace::Quoted, _) if is_quote => QuotePlace::Quote,
            (QuotePlace::Quoted, _) => QuotePlace::Quoted,
            (QuotePlace::Quote, _) if is_quote => QuotePlace::Quoted,
            (QuotePlace::Record, _) if is_break => QuotePlace::Record,
            (_, _) if is_break => {
                self.records += 1;
                QuotePlace::Record
            }
            (_, byte) if byte == self.delimiter => QuotePlace::Field,
            (QuotePlace::Quote, _) => {
                let line = self.line;
                return Err((self.opened, Misquoted::Behind { line }));
            }
            (QuotePlace::Record | QuotePlace::Field, _) if is_quote => {
                self.opened = self.line;
                QuotePlace::Quoted
            }
            (QuotePlace::Unquoted, _) if is_quote => return Err((self.line, Misquoted::Stray)),
            (QuotePlace::Record | QuotePlace::Field | QuotePlace::Unquoted, _) => QuotePlace::Unquoted,
        };
        if byte == b'\r' || (byte == b'\n' && !self.after_return) {
            self.line += 1;
        }
        self.after_return = byte == b'\r';
        Ok(())
    }

    /// Checks at the end of the file that no quote is open.
    pub(crate) fn end(&mut self) -> Result<(), (u64, Misquoted)> {
        match self.place {
            QuotePlace::Quoted => return Err((self.opened, Misquoted::Unclosed)),
            QuotePlace::Record => {}
            QuotePlace::Field | QuotePlace::Unquoted | QuotePlace::Quote => self.records += 1,
        }
        self.place = QuotePlace::Record;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_quotes_a_quote_is_a_character() {
        let mut quotes = Quotes::new(b'\t', false);
        let text = "query\n\"red shoes\n5\" pipe\n\"";
        let taken = quotes.take(text.as_bytes()).and_then(|()| quotes.end());
        assert_eq!((taken, quotes.records()), (Ok(()), 4));
    }

    fn checked(text: &str) -> Result<u64, (u64, Misquoted)> {
        let mut quotes = Quotes::new(b',', true);
        quotes.take(text.as_bytes())?;
        quotes.end()?;
        Ok(quotes.records())
    }

    #[test]
    fn every_use_of_quotes_is_right_or_named_with_its_line() {
        let behind = |line| Misquoted::Behind { line };
        let cases = [
            ("", Ok(0)),
            ("a,b\n1,2\n", Ok(2)),
            ("a,b\r\n1,2\r\n3,4", Ok(3)),
            ("a\r1\r2\r", Ok(3)),
            ("\n\r\na\n\n1\n\n", Ok(2)),
            ("a\n\"\"\n", Ok(2)),
            ("a,b\n\"1,\"\"x\"\"\n\r\n\",\"\"\n", Ok(2)),
            ("a\n\"1\"", Ok(2)),
            ("a\n\"1", Err((2, Misquoted::Unclosed))),
            ("a\n\"1\"\"", Err((2, Misquoted::Unclosed))),
            ("a\r\n\r\nb\r\n\"x\r\ny", Err((4, Misquoted::Unclosed))),
            ("a\n5\" pipe\n", Err((2, Misquoted::Stray))),
            ("a, \"b\"\n", Err((1, Misquoted::Stray))),
            ("a\n\"b\" ,c\n", Err((2, behind(2)))),
            ("a\n\"b\\\"c\"\n", Err((2, behind(2)))),
            ("a,b\n1,\"x\n2,\"y\"\n", Err((2, behind(3)))),
        ];
        for (text, expect) in cases {
            assert_eq!(checked(text), expect, "{text:?}");
            // Wherever the file's blocks end.
            let mut quotes = Quotes::new(b',', true);
            let mut bytes = text.as_bytes().chunks(1);
            let pieces = bytes
                .try_for_each(|byte| quotes.take(byte))
                .and_then(|()| quotes.end())
                .map(|()| quotes.records());
            assert_eq!(pieces, expect, "{text:?}");
        }
    }
}
