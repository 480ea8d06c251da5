//! A `files` source in a child process: what it reads comes over as frames of bounded length. The parent never decodes
//! what a file says, and takes an answer without its last frame for a failure.

use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ChildStdout;
use std::sync::{Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamDecoder;
use serde::{Deserialize, Serialize};

use super::feed::{self, Item, MAX_MESSAGE_BYTES, Message, Summary};
use super::files::FilesSettings;
use super::{Selection, Source, SourceError, SourceSettings, Tally};
use batch_export_system::child::{self, Running, Task};

/// The child's task. Its job holds settings and a selection: a configuration file's size, with room. It writes no file.
pub const TASK: Task = Task {
    name: "read-files",
    perform: serve,
    job_bytes: 32 << 20,
    file_bytes: 0,
};
/// A schema message: ten thousand columns with long names and marks.
const MAX_SCHEMA_BYTES: usize = 16 << 20;
/// Names of files, tallies and errors: texts for a person.
const MAX_TEXT_BYTES: usize = 1 << 20;
/// Kind, rows and length in front of every frame.
const HEADER_BYTES: usize = 1 + 8 + 4;
/// Buffer between pipe and frames: what a pipe holds.
const READ_BUFFER_BYTES: usize = 64 << 10;

/// What the child is asked for.
#[derive(Serialize, Deserialize)]
struct Job {
    settings: FilesSettings,
    selection: Selection,
}

/// What the child says when it cannot go on.
#[derive(Serialize, Deserialize)]
struct Failed {
    message: String,
    is_transient: bool,
}

const FILE: u8 = b'f';
const SCHEMA: u8 = b's';
const BATCH: u8 = b'b';
const END: u8 = b'e';
const FAILED: u8 = b'x';

fn limit_bytes(kind: u8) -> Option<usize> {
    match kind {
        SCHEMA => Some(MAX_SCHEMA_BYTES),
        BATCH => Some(MAX_MESSAGE_BYTES),
        FILE | END | FAILED => Some(MAX_TEXT_BYTES),
        _ => None,
    }
}

/// The child's side: reads the source to its end and writes what it finds.
fn serve(job: &[u8], output: &mut (dyn Write + Send)) -> io::Result<()> {
    let job: Job = serde_json::from_slice(job)?;
    let output = Mutex::new(output);
    let write = |kind: u8, rows: u64, bytes: &[u8]| frame(&output, kind, rows, bytes);
    let settings = SourceSettings::Files(job.settings);
    // The name goes out before the file is looked at: what it does to this process is known to be its doing.
    let mut reading = |path: &Path| {
        write(FILE, 0, path.as_os_str().as_encoded_bytes()).ok();
    };
    let read = feed::produce(&settings, job.selection, &mut reading, &mut |item| {
        let written = match item {
            Item::Schema(schema) => write(SCHEMA, 0, &schema),
            Item::Batch(message) => write(BATCH, message.rows, &message.bytes),
            Item::End(summary) => write(END, 0, &serde_json::to_vec(&summary).unwrap_or_default()),
        };
        // Nobody listens any more when the run ended before its source.
        written.is_ok()
    });
    match read {
        Ok(()) => Ok(()),
        Err(error) => {
            let failed = Failed {
                message: shortened(error.to_string()),
                is_transient: error.is_transient(),
            };
            write(FAILED, 0, &serde_json::to_vec(&failed)?)
        }
    }
}

/// An error may repeat names from a file, which may be of any length.
fn shortened(mut text: String) -> String {
    let limit = MAX_TEXT_BYTES / 8;
    if text.len() > limit {
        let cut = (0..=limit).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(cut.unwrap_or(0));
        text.push('…');
    }
    text
}

fn frame(
    output: &Mutex<&mut (dyn Write + Send)>,
    kind: u8,
    rows: u64,
    bytes: &[u8],
) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.push(kind);
    header.extend(rows.to_le_bytes());
    header.extend(length.to_le_bytes());
    let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
    output.write_all(&header)?;
    output.write_all(bytes)?;
    output.flush()
}

/// The parent's side.
pub struct Remote {
    running: Running,
    output: BufReader<ChildStdout>,
    /// The file that the child is at.
    path: Option<PathBuf>,
    memory_bytes: u64,
}

impl Remote {
    pub fn start(
        settings: &FilesSettings,
        selection: &Selection,
        memory_bytes: u64,
    ) -> Result<Self, SourceError> {
        let job = Job {
            settings: settings.clone(),
            selection: selection.clone(),
        };
        let job = serde_json::to_vec(&job).map_err(|error| SourceError::Child(error.into()))?;
        let (running, output) =
            child::start(&TASK, &job, memory_bytes).map_err(SourceError::Child)?;
        Ok(Self {
            running,
            output: BufReader::with_capacity(READ_BUFFER_BYTES, output),
            path: None,
            memory_bytes,
        })
    }

    /// Kills the child when nobody wants its answer any more.
    pub fn running(&self) -> Running {
        self.running.clone()
    }

    /// The next thing that the child has to say. Blocking.
    pub fn next_item(&mut self) -> Result<Item, SourceError> {
        loop {
            let mut header = [0; HEADER_BYTES];
            self.fill(&mut header)?;
            let [kind, rest @ ..] = header;
            let [rows @ .., l0, l1, l2, l3] = rest;
            let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
            if limit_bytes(kind).is_none_or(|limit| length > limit) {
                self.running.kill();
                return Err(self.ended("it said something that it may not say".to_owned(), false));
            }
            let mut bytes = vec![0; length];
            self.fill(&mut bytes)?;
            let rows = u64::from_le_bytes(rows);
            return Ok(match kind {
                FILE => {
                    self.path = Some(PathBuf::from(String::from_utf8_lossy(&bytes).into_owned()));
                    continue;
                }
                SCHEMA => Item::Schema(bytes),
                BATCH => Item::Batch(Message { bytes, rows }),
                END => Item::End(serde_json::from_slice(&bytes).map_err(|_| self.broken())?),
                _ => {
                    let failed: Failed =
                        serde_json::from_slice(&bytes).map_err(|_| self.broken())?;
                    return Err(SourceError::Told {
                        message: failed.message,
                        is_transient: failed.is_transient,
                    });
                }
            });
        }
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), SourceError> {
        self.output.read_exact(bytes).map_err(|_| self.broken())
    }

    fn broken(&self) -> SourceError {
        let ended = self.running.ended();
        self.ended(ended.in_words, ended.was_killed)
    }

    fn ended(&self, how: String, is_transient: bool) -> SourceError {
        SourceError::ChildEnded {
            path: self.path.clone(),
            how,
            is_transient,
            limit_mib: self.memory_bytes >> 20,
        }
    }
}

/// The same as a source, for those who want rows and not messages.
pub struct RemoteSource {
    remote: Remote,
    schema: SchemaRef,
    decoder: StreamDecoder,
    summary: Option<Summary>,
}

impl RemoteSource {
    pub fn open(mut remote: Remote) -> Result<Self, SourceError> {
        let Item::Schema(bytes) = remote.next_item()? else {
            return Err(remote.broken());
        };
        let mut decoder = StreamDecoder::new();
        let schema = feed::read_schema(&bytes).map_err(SourceError::Encode)?;
        decoder
            .decode(&mut Buffer::from_vec(bytes))
            .map_err(SourceError::Encode)?;
        Ok(Self {
            remote,
            schema,
            decoder,
            summary: None,
        })
    }
}

impl Source for RemoteSource {
    fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        if self.summary.is_some() {
            return Ok(None);
        }
        match self.remote.next_item()? {
            Item::Batch(message) => {
                let mut bytes = Buffer::from_vec(message.bytes);
                while !bytes.is_empty() {
                    if let Some(batch) = self
                        .decoder
                        .decode(&mut bytes)
                        .map_err(SourceError::Encode)?
                    {
                        return Ok(Some(batch));
                    }
                }
                Err(self.remote.broken())
            }
            Item::End(summary) => {
                self.summary = Some(summary);
                Ok(None)
            }
            Item::Schema(_) => Err(self.remote.broken()),
        }
    }

    fn tally(&self) -> Tally {
        self.summary
            .as_ref()
            .map_or_else(Tally::default, |summary| summary.tally)
    }

    fn warnings(&self) -> Vec<String> {
        self.summary
            .as_ref()
            .map_or_else(Vec::new, |summary| summary.warnings.clone())
    }
}
