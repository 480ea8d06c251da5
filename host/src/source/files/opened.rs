//! What one file holds and how it is packed, told from its first bytes and, where they cannot tell, from its name.
//! Reads headers only.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::PathBuf;

use ::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::{FileReader, StreamReader};

use super::super::SourceError;
use super::discover::unpacked_name;
use super::{Batches, TextFormat};

/// What a file holds once it is unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    Parquet,
    ArrowFile,
    ArrowStream,
    JsonLines,
    Csv,
}

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    None,
    Gzip,
    Zstd,
    Lz4,
    Brotli,
}

impl Packing {
    fn name(self) -> &'static str {
        match self {
            Packing::None => "no",
            Packing::Gzip => "gzip",
            Packing::Zstd => "zstd",
            Packing::Lz4 => "lz4",
            Packing::Brotli => "brotli",
        }
    }
}

/// A file that was looked into.
#[derive(Debug)]
pub struct Opened {
    pub path: PathBuf,
    pub content: Content,
    packing: Packing,
    /// Columns of files that carry a schema; text files have none.
    pub schema: Option<SchemaRef>,
}

/// Enough for every magic number and the first characters of text.
const SNIFFED_BYTES: usize = 64;
/// Magic numbers at both ends and the length of a footer.
const SMALLEST_BINARY_BYTES: u64 = 12;
/// Buffer between file and decoder: fewer system calls.
const READ_BUFFER_BYTES: usize = 256 << 10;

impl Opened {
    pub fn open(path: PathBuf, format: Option<TextFormat>) -> Result<Self, SourceError> {
        let mut opened = Self {
            content: Content::JsonLines,
            packing: Packing::None,
            schema: None,
            path,
        };
        let head = opened.head()?;
        opened.packing = packing(&head, &opened.name());
        let head = match opened.packing {
            Packing::None => head,
            _ => opened.head()?,
        };
        opened.content =
            opened
                .told_content(&head, format)
                .ok_or_else(|| SourceError::UnknownFormat {
                    path: opened.path.clone(),
                })?;
        opened.schema = opened.read_schema()?;
        Ok(opened)
    }

    fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().to_ascii_lowercase()
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
        } else if named(&[".jsonl", ".ndjson"]) || head.trim_ascii_start().starts_with(b"{") {
            Some(Content::JsonLines)
        } else {
            None
        }
    }

    fn read_schema(&self) -> Result<Option<SchemaRef>, SourceError> {
        match self.content {
            Content::Parquet => Ok(Some(self.parquet_metadata()?.1.schema().clone())),
            Content::ArrowFile => Ok(Some(self.arrow_file()?.schema())),
            Content::ArrowStream => Ok(Some(self.arrow_stream()?.schema())),
            Content::JsonLines | Content::Csv => Ok(None),
        }
    }

    /// Whether columns stand between tabs.
    pub fn is_tab_separated(&self) -> bool {
        unpacked_name(&self.name()).ends_with(".tsv")
    }

    pub fn file(&self) -> Result<File, SourceError> {
        File::open(&self.path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => SourceError::NotFound(self.path.clone()),
            _ => SourceError::Unreadable {
                path: self.path.clone(),
                source,
            },
        })
    }

    /// Its bytes from the start, unpacked. Several gzip members or frames count as one.
    pub fn unpacked(&self) -> Result<Box<dyn Read + Send>, SourceError> {
        let file = BufReader::with_capacity(READ_BUFFER_BYTES, self.file()?);
        Ok(match self.packing {
            Packing::None => Box::new(file),
            Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
            Packing::Zstd => Box::new(
                zstd::stream::read::Decoder::with_buffer(file)
                    .map_err(|error| self.read_error(error))?,
            ),
            Packing::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(file)),
            Packing::Brotli => Box::new(brotli::Decompressor::new(file, READ_BUFFER_BYTES)),
        })
    }

    /// Parquet and Arrow files are read from their end.
    fn seekable(&self, content: &'static str) -> Result<File, SourceError> {
        match self.packing {
            Packing::None => {
                let file = self.file()?;
                let bytes = file
                    .metadata()
                    .map_err(|error| self.read_error(error))?
                    .len();
                // The readers would seek to before the beginning.
                if bytes < SMALLEST_BINARY_BYTES {
                    return Err(self.damaged(format!("it has only {bytes} bytes")));
                }
                Ok(file)
            }
            packing => Err(SourceError::PackedBinary {
                path: self.path.clone(),
                content,
                packing: packing.name(),
            }),
        }
    }

    pub fn parquet_metadata(&self) -> Result<(File, ArrowReaderMetadata), SourceError> {
        let file = self.seekable("Parquet")?;
        let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())
            .map_err(|error| self.damaged(error))?;
        Ok((file, metadata))
    }

    fn arrow_file(&self) -> Result<FileReader<BufReader<File>>, SourceError> {
        let file = BufReader::new(self.seekable("an Arrow file")?);
        FileReader::try_new(file, None).map_err(|error| self.arrow_error(error))
    }

    fn arrow_stream(&self) -> Result<StreamReader<Box<dyn Read + Send>>, SourceError> {
        StreamReader::try_new(self.unpacked()?, None).map_err(|error| self.arrow_error(error))
    }

    /// Batches of an Arrow file or stream.
    pub fn arrow_batches(&self) -> Result<Batches, SourceError> {
        let describe = self.describer();
        Ok(match self.content {
            Content::ArrowFile => Box::new(
                self.arrow_file()?
                    .map(move |batch| batch.map_err(|error| describe.arrow_error(error))),
            ),
            _ => Box::new(
                self.arrow_stream()?
                    .map(move |batch| batch.map_err(|error| describe.arrow_error(error))),
            ),
        })
    }

    /// A copy that outlives the borrow, to describe errors with.
    pub fn describer(&self) -> Self {
        Self {
            path: self.path.clone(),
            content: self.content,
            packing: self.packing,
            schema: None,
        }
    }

    /// What an I/O error means: decoders answer damage with the same type as the disk does.
    pub fn read_error(&self, error: io::Error) -> SourceError {
        if error.raw_os_error().is_some() {
            return SourceError::Unreadable {
                path: self.path.clone(),
                source: error,
            };
        }
        let cause = match (self.packing, error.kind()) {
            (Packing::None, _) => error.to_string(),
            (packing, io::ErrorKind::UnexpectedEof) => {
                format!("its {} data end early", packing.name())
            }
            (packing, _) => format!("its {} data cannot be unpacked ({error})", packing.name()),
        };
        self.damaged(cause)
    }

    pub fn arrow_error(&self, error: ArrowError) -> SourceError {
        match error {
            ArrowError::IoError(_, error) => self.read_error(error),
            error => self.damaged(error),
        }
    }

    pub fn damaged(&self, cause: impl ToString) -> SourceError {
        SourceError::Damaged {
            path: self.path.clone(),
            cause: cause.to_string().replace('\n', " "),
        }
    }
}

fn packing(head: &[u8], name: &str) -> Packing {
    if head.starts_with(&[0x1f, 0x8b]) {
        Packing::Gzip
    } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Packing::Zstd
    } else if head.starts_with(&[0x04, 0x22, 0x4d, 0x18]) {
        Packing::Lz4
    // Brotli has no magic number.
    } else if name.ends_with(".br") && !head.starts_with(b"PAR1") {
        Packing::Brotli
    } else {
        Packing::None
    }
}
