//! The number of rows that a Parquet file's footer has, read without the library that reads its rows: Thrift's compact
//! protocol, skipped up to the one field. Reads no data page.
//! <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>

use std::io::{self, BufReader, Read, Seek, SeekFrom};

/// Length of the footer and the magic number, at the end of the file.
const TAIL_BYTES: i64 = 8;
/// Structures within structures that are skipped: Parquet's own are four deep.
const DEPTH_LIMIT: u8 = 16;
/// The field `num_rows` of `FileMetaData`, and its type, a 64-bit integer.
const NUM_ROWS: (i64, u8) = (3, 6);

/// Reads `num_rows`.
pub(super) fn rows(file: &mut (impl Read + Seek)) -> io::Result<u64> {
    file.seek(SeekFrom::End(-TAIL_BYTES))?;
    let mut tail = [0; TAIL_BYTES as usize];
    file.read_exact(&mut tail)?;
    let [l0, l1, l2, l3, magic @ ..] = tail;
    if &magic != b"PAR1" {
        return Err(broken("the file does not end like a Parquet file"));
    }
    let length = u32::from_le_bytes([l0, l1, l2, l3]);
    file.seek(SeekFrom::End(-TAIL_BYTES - i64::from(length)))?;
    let mut footer = Compact(BufReader::new(file.take(u64::from(length))));
    let mut id = 0;
    while let Some((next, kind)) = footer.field(id)? {
        if (next, kind) == NUM_ROWS {
            return u64::try_from(footer.zigzag()?).map_err(|_| broken("its number of rows is negative"));
        }
        footer.skip(kind, 0)?;
        id = next;
    }
    Err(broken("its footer does not give the number of rows"))
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// A structure in Thrift's compact protocol.
struct Compact<R>(R);

impl<R: Read> Compact<R> {
    /// Id and type of the next field; `None` at the structure's end.
    fn field(&mut self, last: i64) -> io::Result<Option<(i64, u8)>> {
        let head = self.byte()?;
        if head == 0 {
            return Ok(None);
        }
        let id = match head >> 4 {
            0 => self.zigzag()?,
            further => last.saturating_add(i64::from(further)),
        };
        Ok(Some((id, head & 0x0f)))
    }

    fn skip(&mut self, kind: u8, depth: u8) -> io::Result<()> {
        if depth > DEPTH_LIMIT {
            return Err(broken("its footer is nested too deeply"));
        }
        match kind {
            // Booleans are their own type.
            1 | 2 => Ok(()),
            3 => self.byte().map(|_| ()),
            4..=6 => self.varint().map(|_| ()),
            7 => self.skip_bytes(8),
            8 => {
                let length = self.varint()?;
                self.skip_bytes(length)
            }
            9 | 10 => {
                let head = self.byte()?;
                let length = match head >> 4 {
                    0x0f => self.varint()?,
                    short => u64::from(short),
                };
                self.skip_elements(&[head & 0x0f], length, depth)
            }
            11 => {
                let length = self.varint()?;
                let kinds = if length == 0 { 0 } else { self.byte()? };
                self.skip_elements(&[kinds >> 4, kinds & 0x0f], length, depth)
            }
            12 => {
                let mut id = 0;
                while let Some((next, kind)) = self.field(id)? {
                    self.skip(kind, depth + 1)?;
                    id = next;
                }
                Ok(())
            }
            _ => Err(broken("its footer contains a type that does not exist in Thrift")),
        }
    }

    fn skip_elements(&mut self, kinds: &[u8], length: u64, depth: u8) -> io::Result<()> {
        for _ in 0..length {
            for kind in kinds {
                match kind {
                    // In a list, booleans are bytes.
                    1 | 2 => self.byte().map(|_| ())?,
                    kind => self.skip(*kind, depth + 1)?,
                }
            }
        }
        Ok(())
    }

    fn skip_bytes(&mut self, length: u64) -> io::Result<()> {
        match io::copy(&mut (&mut self.0).take(length), &mut io::sink())? == length {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.0.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    fn varint(&mut self) -> io::Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(broken("its footer has a number that is too long"))
    }

    fn zigzag(&mut self) -> io::Result<i64> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::sync::Arc;

    use arrow::array::{Int64Array, RecordBatch, StringArray};
    use parquet::arrow::ArrowWriter;

    #[test]
    fn the_rows_of_a_footer_are_those_that_were_written() {
        for rows in [0, 1, 200, 300_000] {
            let numbers = Int64Array::from_iter_values(0..rows);
            let texts = StringArray::from_iter_values((0..rows).map(|n| n.to_string()));
            let batch = RecordBatch::try_from_iter([("n", Arc::new(numbers) as _), ("s", Arc::new(texts) as _)]);
            let batch = batch.expect("a batch");
            let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("a writer");
            writer.write(&batch).expect("written");
            let bytes = writer.into_inner().expect("written");
            let found = super::rows(&mut Cursor::new(&bytes)).expect("a footer");
            assert_eq!(found, rows.cast_unsigned());
            for cut in [bytes.len() - 1, bytes.len() / 2, 5] {
                super::rows(&mut Cursor::new(&bytes[..cut])).expect_err("it is cut short");
            }
        }
    }

    #[test]
    fn a_footer_that_is_none_ends_with_an_error() {
        let with_tail = |footer: &[u8]| {
            let length = (footer.len() as u32).to_le_bytes();
            [footer, &length[..], b"PAR1"].concat()
        };
        for footer in [
            &[][..],
            &[0],
            // Lists of lists without an end, a number without an end, a text longer than the file, an unknown type.
            &[0x19; 100],
            &[0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0x18, 0xff, 0xff, 0xff, 0x0f, 1],
            &[0x1f, 1],
        ] {
            let error = super::rows(&mut Cursor::new(with_tail(footer)));
            error.expect_err("it is not a footer");
        }
        let huge = [&u32::MAX.to_le_bytes()[..], b"PAR1"].concat();
        super::rows(&mut Cursor::new(huge)).expect_err("it is longer than the file");
    }
}
