//! The format and the compression of one file, detected from its first bytes or, if that is not possible, from its
//! name. Reads headers only.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::PathBuf;

use ::parquet::arrow::arrow_reader::ArrowReaderMetadata;
use ::parquet::errors::ParquetError;
use arrow::datatypes::SchemaRef;
use batch_export_system::explain::Cause;
use batch_export_system::{Token, open_regular};

use super::super::SourceError;
use super::csv_rows::Dialect;
use super::discover::unpacked_name;
use super::frames::{Codec, Frames};
use super::handle::Handle;
use super::input::Input;
use super::keys::Key;
use super::{Batches, TextFormat, parquet, signature, walk};
use crate::arrow_ipc::{self as ipc, Describe};

/// The format of a file once it is decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Parquet,
    ArrowFile,
    ArrowStream,
    JsonLines,
    Csv,
}

/// A file that was looked into.
#[derive(Debug)]
pub(crate) struct Opened {
    pub path: PathBuf,
    pub content: Content,
    codec: Option<Codec>,
    pub dialect: Dialect,
    /// Columns of files that carry a schema; text files have none.
    pub schema: Option<SchemaRef>,
    /// Columns that the file's folders hold.
    pub keys: Vec<Key>,
    /// Ends reading when the work must end.
    token: Token,
}

/// Enough for every magic number and the first characters of text.
const SNIFFED_BYTES: usize = 64;
/// Magic numbers at both ends and the length of a footer.
const SMALLEST_BINARY_BYTES: u64 = 12;
/// What its files are called.
const PARQUET: &str = "Parquet";
/// Buffer between file and decoder: fewer system calls.
const READ_BUFFER_BYTES: usize = 256 << 10;

impl Opened {
    pub(crate) fn open(
        path: PathBuf,
        format: Option<TextFormat>,
        dialect: Dialect,
        token: &Token,
    ) -> Result<Self, SourceError> {
        token.check()?;
        let mut opened = Self {
            token: token.clone(),
            content: Content::JsonLines,
            codec: None,
            dialect,
            schema: None,
            keys: Vec::new(),
            path,
        };
        opened.codec = opened.detect_codec()?;
        let head = opened.head()?;
        if let Some(found) = signature::unsupported(&head, &opened.name(), opened.codec.is_some()) {
            return Err(SourceError::Unsupported {
                path: opened.path,
                what: found.what,
                remedy: found.remedy,
            });
        }
        opened.content = opened
            .told_content(&head, format)
            .ok_or_else(|| SourceError::UnknownFormat {
                path: opened.path.clone(),
            })?;
        opened.schema = opened.read_schema()?;
        Ok(opened)
    }

    /// Keeps the columns of the file before it, where they are the same: columns are most of what is kept of a file.
    pub(crate) fn share_schema(&mut self, before: Option<&Self>) {
        let known = before.and_then(|before| before.schema.as_ref());
        if let Some(known) = known.filter(|known| self.schema.as_ref() == Some(*known)) {
            self.schema = Some(SchemaRef::clone(known));
        }
    }

    fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().to_ascii_lowercase()
    }

    fn detect_codec(&self) -> Result<Option<Codec>, SourceError> {
        let file = BufReader::new(self.file()?);
        let codec = Codec::detect(file, &self.name()).map_err(|error| self.read_error(error))?;
        // Brotli has no magic number, but Parquet has.
        let is_named = codec == Some(Codec::Brotli);
        let is_parquet = is_named && self.head()?.starts_with(b"PAR1");
        Ok(codec.filter(|_| !is_parquet))
    }

    fn head(&self) -> Result<Vec<u8>, SourceError> {
        let mut head = Vec::with_capacity(SNIFFED_BYTES);
        self.unpacked()?
            .take(SNIFFED_BYTES as u64)
            .read_to_end(&mut head)
            .map_err(|error| self.read_error(error))?;
        Ok(head)
    }

    fn told_content(&self, head: &[u8], format: Option<TextFormat>) -> Option<Content> {
        let unpacked = unpacked_name(&self.name());
        let named = |endings: &[&str]| endings.iter().any(|ending| unpacked.ends_with(ending));
        if head.starts_with(b"PAR1") || named(&[".parquet"]) {
            Some(Content::Parquet)
        } else if head.starts_with(b"ARROW1") {
            Some(Content::ArrowFile)
        } else if head.starts_with(&[0xff; 4]) {
            Some(Content::ArrowStream)
        } else if named(&[".arrow", ".feather", ".ipc", ".arrows"]) {
            Some(Content::ArrowFile)
        } else if let Some(format) = format {
            Some(match format {
                TextFormat::JsonLines => Content::JsonLines,
                TextFormat::Csv => Content::Csv,
            })
        } else if named(&[".csv", ".tsv"]) {
            Some(Content::Csv)
        } else if named(&[".jsonl", ".ndjson"]) || signature::is_json_object(head) {
            Some(Content::JsonLines)
        } else {
            None
        }
    }

    fn read_schema(&self) -> Result<Option<SchemaRef>, SourceError> {
        match self.content {
            Content::Parquet => Ok(Some(self.parquet_metadata()?.schema().clone())),
            Content::ArrowFile => Ok(Some(self.arrow_file()?.schema())),
            Content::ArrowStream => {
                let stream = ipc::Batches::of_stream(Box::new(self.describer()), self.unpacked()?)?;
                Ok(Some(stream.schema()))
            }
            Content::JsonLines | Content::Csv => Ok(None),
        }
    }

    /// Returns the byte between the fields of CSV.
    pub(crate) fn delimiter(&self) -> u8 {
        let is_tab_separated = || unpacked_name(&self.name()).ends_with(".tsv");
        let usual = || if is_tab_separated() { b'\t' } else { b',' };
        self.dialect.delimiter.unwrap_or_else(usual)
    }

    /// Opens it, unless something else than a file has taken its place meanwhile.
    pub(crate) fn file(&self) -> Result<File, SourceError> {
        open_regular(&self.path).map_err(|error| walk::cannot_open(&self.path, error))
    }

    /// Its bytes from the start to the end, decompressed.
    pub(crate) fn unpacked(&self) -> Result<Box<dyn Read + Send>, SourceError> {
        let file = self.file()?;
        let length = file.metadata().map_err(|error| self.read_error(error))?.len();
        let file = BufReader::with_capacity(READ_BUFFER_BYTES, file);
        let input = Input::new(file, length, self.token.clone());
        Ok(match self.codec {
            None => Box::new(input),
            Some(codec) => Box::new(Frames::new(codec, input)),
        })
    }

    /// Parquet and Arrow files are read from their end.
    fn seekable(&self, content: &'static str) -> Result<(File, u64), SourceError> {
        match self.codec {
            None => {
                let file = self.file()?;
                let bytes = file.metadata().map_err(|error| self.read_error(error))?.len();
                // The readers would seek to before the beginning.
                if bytes < SMALLEST_BINARY_BYTES {
                    return Err(self.damaged(format!("it has only {bytes} bytes")));
                }
                Ok((file, bytes))
            }
            Some(codec) => Err(SourceError::PackedBinary {
                path: self.path.clone(),
                content,
                packing: codec.name(),
            }),
        }
    }

    fn parquet_metadata(&self) -> Result<ArrowReaderMetadata, SourceError> {
        let (file, length) = self.seekable(PARQUET)?;
        let handle = Handle::by_place(file, length);
        parquet::metadata(&handle).map_err(|error| self.parquet_error(error))
    }

    /// Returns a Parquet file to be read, with its header.
    pub(crate) fn parquet(&self) -> Result<(Handle, ArrowReaderMetadata), SourceError> {
        let (file, length) = self.seekable(PARQUET)?;
        let handle = Handle::of(file, length).map_err(|error| self.read_error(error))?;
        let metadata = parquet::metadata(&handle).map_err(|error| self.parquet_error(error))?;
        Ok((handle, metadata))
    }

    /// Returns batches of an Arrow file or stream.
    pub(crate) fn arrow_batches(&self) -> Result<Batches, SourceError> {
        Ok(match self.content {
            Content::ArrowFile => Box::new(self.arrow_file()?.load()?),
            _ => Box::new(ipc::Batches::of_stream(Box::new(self.describer()), self.unpacked()?)?),
        })
    }

    fn arrow_file(&self) -> Result<ipc::Batches, SourceError> {
        ipc::Batches::of_file(Box::new(self.describer()), self.seekable("an Arrow file")?.0)
    }

    /// Returns a copy that outlives the borrow, to describe errors with.
    pub(crate) fn describer(&self) -> Self {
        Self {
            path: self.path.clone(),
            content: self.content,
            codec: self.codec,
            dialect: self.dialect,
            schema: None,
            keys: Vec::new(),
            token: self.token.clone(),
        }
    }

    /// Returns an error if the work must end.
    pub(crate) fn check(&self) -> Result<(), SourceError> {
        Ok(self.token.check()?)
    }

    /// Returns what an I/O error means: decoders answer damage with the same type as the disk does.
    pub(crate) fn read_error(&self, error: io::Error) -> SourceError {
        if error.raw_os_error().is_some() {
            return SourceError::Unreadable {
                path: self.path.clone(),
                source: error,
            };
        }
        let cause = error.to_string();
        self.damaged(cause)
    }

    /// Two counts of the same thing differ, so rows may be lost.
    pub(crate) fn miscounted(&self, what: &'static str, read: u64, counted: u64) -> SourceError {
        SourceError::Miscounted {
            path: self.path.clone(),
            what,
            read,
            counted,
        }
    }

    pub(crate) fn parquet_error(&self, error: ParquetError) -> SourceError {
        match error {
            ParquetError::NYI(cause) => self.unsupported(cause),
            error => self.damaged(error),
        }
    }

    /// Returns the error for what is valid in itself, and not read by this program.
    pub(crate) fn unsupported(&self, cause: impl Into<Cause>) -> SourceError {
        SourceError::Foreign {
            path: self.path.clone(),
            cause: cause.into().map(|text| text.replace('\n', " ")),
        }
    }

    pub(crate) fn damaged(&self, cause: impl ToString) -> SourceError {
        SourceError::Damaged {
            path: self.path.clone(),
            cause: cause.to_string().replace('\n', " "),
        }
    }
}

impl Describe for Opened {
    fn check(&self) -> Result<(), SourceError> {
        Opened::check(self)
    }

    fn damaged(&self, cause: String) -> SourceError {
        Opened::damaged(self, cause)
    }

    fn unsupported(&self, cause: Cause) -> SourceError {
        Opened::unsupported(self, cause)
    }

    fn too_large(&self, cause: Cause) -> SourceError {
        SourceError::TooLarge {
            path: self.path.clone(),
            cause,
        }
    }

    fn read_error(&self, error: io::Error) -> SourceError {
        Opened::read_error(self, error)
    }

    fn needs_end(&self) -> bool {
        false
    }
}
