//! The bytes of a Parquet file for its readers, which ask for every page by its place: those of a small file are read
//! once, those of a larger one where they are. The crate's own way takes a descriptor for each page of each column.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::sync::Arc;

use ::parquet::errors::ParquetError;
use ::parquet::file::reader::{ChunkReader, Length};
use bytes::Bytes;

/// Bytes of a file that is read at once: less than what its pages cost one by one, and than a batch takes.
const SMALL_FILE_BYTES: u64 = 256 << 10;

/// An open Parquet file. Clones share it.
#[derive(Debug, Clone)]
pub(crate) enum Handle {
    /// All of its bytes.
    Whole(Bytes),
    /// The file, and how many bytes it had when it was opened.
    File(Arc<File>, u64),
}

impl Handle {
    /// Returns what reads a file of that length by places, such as its footer.
    pub(crate) fn by_place(file: File, length: u64) -> Self {
        Handle::File(Arc::new(file), length)
    }

    /// Returns what reads a file of that length to its end.
    pub(crate) fn of(file: File, length: u64) -> io::Result<Self> {
        if length > SMALL_FILE_BYTES {
            return Ok(Self::by_place(file, length));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        // What was appended since would not be what the footer is about.
        file.take(length).read_to_end(&mut bytes)?;
        Ok(Handle::Whole(bytes.into()))
    }
}

impl Length for Handle {
    fn len(&self) -> u64 {
        match self {
            Handle::Whole(bytes) => bytes.len() as u64,
            Handle::File(_, length) => *length,
        }
    }
}

impl ChunkReader for Handle {
    type T = Box<dyn Read>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(match self {
            Handle::Whole(bytes) => Box::new(bytes.get_read(start)?),
            Handle::File(file, _) => Box::new(BufReader::new(Place {
                file: Arc::clone(file),
                at: start,
            })),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        // The crate's own sum of both may overflow.
        let is_inside = start.checked_add(length as u64).is_some_and(|end| end <= self.len());
        if !is_inside {
            return Err(ParquetError::EOF(format!(
                "Expected to read {length} bytes at offset {start}, while file has length {}",
                self.len()
            )));
        }
        match self {
            Handle::Whole(bytes) => bytes.get_bytes(start, length),
            Handle::File(file, _) => {
                let mut bytes = Vec::with_capacity(length);
                let place = Place {
                    file: Arc::clone(file),
                    at: start,
                };
                let read = place.take(length as u64).read_to_end(&mut bytes)?;
                match read == length {
                    true => Ok(bytes.into()),
                    false => Err(ParquetError::EOF(format!(
                        "Expected to read {length} bytes, read only {read}"
                    ))),
                }
            }
        }
    }
}

/// A place in a file, which moves with what is read from it and nothing else.
struct Place {
    file: Arc<File>,
    at: u64,
}

impl Read for Place {
    #[cfg(unix)]
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = std::os::unix::fs::FileExt::read_at(self.file.as_ref(), to, self.at)?;
        self.at += read as u64;
        Ok(read)
    }

    #[cfg(not(unix))]
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        use std::io::{Seek, SeekFrom};

        let mut file = self.file.as_ref();
        file.seek(SeekFrom::Start(self.at))?;
        let read = file.read(to)?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn small_and_large_files_are_read_alike() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"0123456789").expect("written");
        std::io::Seek::rewind(&mut file).expect("at its beginning");
        let by_place = Handle::by_place(file.try_clone().expect("a descriptor"), 10);
        let whole = Handle::of(file, 10).expect("bytes");
        assert!(matches!(whole, Handle::Whole(_)));
        for handle in [by_place, whole] {
            assert_eq!(handle.len(), 10);
            let mut text = String::new();
            let mut rest = handle.get_read(7).expect("a reader");
            assert_eq!(handle.get_bytes(2, 3).expect("bytes"), "234");
            rest.read_to_string(&mut text).expect("text");
            assert_eq!(text, "789");
            for (start, length) in [(8, 3), (11, 0), (u64::MAX, 2)] {
                handle.get_bytes(start, length).expect_err("outside");
            }
        }
    }

    #[test]
    fn a_file_that_became_shorter_is_an_error() {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(5).expect("shorter");
        let handle = Handle::by_place(file, 10);
        let error = handle.get_bytes(2, 8).expect_err("cut");
        assert!(error.to_string().contains("read only 3"), "{error}");
    }
}
