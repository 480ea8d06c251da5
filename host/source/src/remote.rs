//! A `files` source in a child process: what it reads comes over as frames of bounded length. The parent never decodes
//! what a file says, and treats output without its last frame as a failure.

use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ChildStdout;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamDecoder;
use batch_export_system::child::{self, Running, Task};
use batch_export_system::explain::{Cause, Explain};
use batch_export_system::{Budget, Share, Token};
use serde::{Deserialize, Serialize};

use crate::error::{SourceError, SourceErrorKind};
use crate::factory::Source;
use crate::files::{Files, FilesSettings};
use crate::message::{Encoder, MAX_MESSAGE_BYTES, Message, MessageSource, Summary, read_schema};
use crate::select::Selection;
use crate::tally::Tally;

/// The child's task. Its job holds settings and a selection: a configuration file's size, with room. It writes no file.
pub const TASK: Task = Task {
    name: "read-files",
    perform: serve,
    job_bytes: 32 << 20,
    file_bytes: 0,
};
/// A schema message: ten thousand columns with long names and marks.
const MAX_SCHEMA_BYTES: usize = 16 << 20;
/// File names, tallies and errors: texts for people.
const MAX_TEXT_BYTES: usize = 1 << 20;
/// Kind, rows and length in front of every frame.
const HEADER_BYTES: usize = 1 + 8 + 4;
/// Buffer between pipe and frames: what a pipe holds.
const READ_BUFFER_BYTES: usize = 64 << 10;

/// The job of a child.
#[derive(Serialize, Deserialize)]
struct Job {
    settings: FilesSettings,
    selection: Selection,
}

/// The last words of a child that cannot continue.
#[derive(Serialize, Deserialize)]
struct Failed {
    message: String,
    hint: Option<String>,
    kind: SourceErrorKind,
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
    let output = Output(Mutex::new(output));
    match read(&job, &output) {
        Ok(()) => Ok(()),
        Err(error) => {
            let failed = Failed {
                message: shortened(error.message()),
                hint: error.hint().map(shortened),
                kind: error.kind(),
            };
            output.write(FAILED, 0, &serde_json::to_vec(&failed)?)
        }
    }
}

/// Reads the source to its end, or until the receiver is gone because the run ended before its source.
fn read(job: &Job, output: &Output<'_>) -> Result<(), SourceError> {
    // The parent kills this process when the work must end, and counts the memory of what it takes.
    let (token, budget) = (Token::new(), Budget::unlimited());
    // The name goes out before the file is looked at: what it does to this process is known to be its doing.
    let reading = |path: &Path| {
        output.write(FILE, 0, path.as_os_str().as_encoded_bytes()).ok();
    };
    let files = Files::open(&job.settings, job.selection.clone(), &token, reading)?;
    let mut messages = Encoder::new(Box::new(files), &token, &budget)?;
    let mut is_heard = output.write(SCHEMA, 0, messages.schema()).is_ok();
    while is_heard && let Some(message) = messages.next_message()? {
        is_heard = output.write(BATCH, message.rows, &message.bytes).is_ok();
    }
    if is_heard {
        let summary = serde_json::to_vec(&messages.summary()).unwrap_or_default();
        output.write(END, 0, &summary).ok();
    }
    Ok(())
}

/// Returns a text of bounded length: an error may repeat names from a file, which may be of any length.
fn shortened(mut text: String) -> String {
    let limit = MAX_TEXT_BYTES / 8;
    if text.len() > limit {
        let cut = (0..=limit).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(cut.unwrap_or(0));
        text.push('…');
    }
    text
}

/// The destination of the child's frames: from its readers, and from whoever says which file they are at.
struct Output<'a>(Mutex<&'a mut (dyn Write + Send)>);

impl Output<'_> {
    fn write(&self, kind: u8, rows: u64, bytes: &[u8]) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidData)?;
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.push(kind);
        header.extend(rows.to_le_bytes());
        header.extend(length.to_le_bytes());
        let mut output = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        output.write_all(&header)?;
        output.write_all(bytes)?;
        output.flush()
    }
}

/// Something that the child said.
enum Frame {
    Schema(Vec<u8>),
    Batch(Message),
    End(Summary),
}

/// The parent's side: the child's messages as they are.
pub(crate) struct Remote {
    running: Running,
    output: BufReader<ChildStdout>,
    schema: Vec<u8>,
    /// Known at the end.
    summary: Option<Summary>,
    /// The file that the child is at.
    path: Option<PathBuf>,
    memory_bytes: u64,
    token: Token,
    budget: Arc<Budget>,
}

impl Remote {
    /// Starts a child, which is killed when `token` says so, and waits for its columns.
    pub(crate) fn open(
        settings: &FilesSettings,
        selection: &Selection,
        memory_bytes: u64,
        token: &Token,
        budget: &Arc<Budget>,
    ) -> Result<Self, SourceError> {
        token.check()?;
        let job = Job {
            settings: settings.clone(),
            selection: selection.clone(),
        };
        let job = serde_json::to_vec(&job).map_err(|error| SourceError::Child(error.into()))?;
        let (running, output) = child::start(&TASK, &job, memory_bytes).map_err(SourceError::Child)?;
        running.end_with(token).map_err(SourceError::Thread)?;
        let mut remote = Self {
            running,
            output: BufReader::with_capacity(READ_BUFFER_BYTES, output),
            schema: Vec::new(),
            summary: None,
            path: None,
            memory_bytes,
            token: token.clone(),
            budget: Arc::clone(budget),
        };
        match remote.next_frame()? {
            Frame::Schema(schema) => remote.schema = schema,
            _ => return Err(remote.broken()),
        }
        Ok(remote)
    }

    /// Returns the next thing that the child has to say.
    fn next_frame(&mut self) -> Result<Frame, SourceError> {
        loop {
            let mut header = [0; HEADER_BYTES];
            self.fill(&mut header)?;
            let [kind, rest @ ..] = header;
            let [rows @ .., l0, l1, l2, l3] = rest;
            let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
            if limit_bytes(kind).is_none_or(|limit| length > limit) {
                self.running.kill();
                return Err(self.ended("it sent something unexpected".to_owned(), false));
            }
            let mut held = Share::none(&self.budget);
            held.blocking_admit(length, &self.token)?;
            let mut bytes = vec![0; length];
            self.fill(&mut bytes)?;
            let rows = u64::from_le_bytes(rows);
            return Ok(match kind {
                FILE => {
                    self.path = Some(PathBuf::from(String::from_utf8_lossy(&bytes).into_owned()));
                    continue;
                }
                SCHEMA => Frame::Schema(bytes),
                BATCH => Frame::Batch(Message::new(bytes, rows).holding(held)),
                END => Frame::End(serde_json::from_slice(&bytes).map_err(|_| self.broken())?),
                _ => {
                    let failed: Failed = serde_json::from_slice(&bytes).map_err(|_| self.broken())?;
                    return Err(SourceError::Told {
                        message: failed.message,
                        hint: failed.hint,
                        kind: failed.kind,
                    });
                }
            });
        }
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), SourceError> {
        self.output.read_exact(bytes).map_err(|_| self.broken())
    }

    /// Returns the reason why the child does not say what it should.
    fn broken(&self) -> SourceError {
        if let Err(reason) = self.token.check() {
            return reason.into();
        }
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

impl MessageSource for Remote {
    fn schema(&self) -> &[u8] {
        &self.schema
    }

    fn next_message(&mut self) -> Result<Option<Message>, SourceError> {
        if self.summary.is_some() {
            return Ok(None);
        }
        match self.next_frame()? {
            Frame::Batch(message) => Ok(Some(message)),
            Frame::End(summary) => {
                self.summary = Some(summary);
                Ok(None)
            }
            Frame::Schema(_) => Err(self.broken()),
        }
    }

    fn summary(&self) -> Summary {
        self.summary.clone().unwrap_or_default()
    }
}

/// The same as a source, for those who want rows and not messages.
pub(crate) struct RemoteSource {
    remote: Remote,
    schema: SchemaRef,
    decoder: StreamDecoder,
    /// What the batch that was returned last takes of the budget.
    held: Option<Share>,
}

impl RemoteSource {
    pub(crate) fn new(mut remote: Remote) -> Result<Self, SourceError> {
        let bytes = std::mem::take(&mut remote.schema);
        let mut decoder = StreamDecoder::new();
        let schema = read_schema(&bytes).map_err(SourceError::Encode)?;
        decoder
            .decode(&mut Buffer::from_vec(bytes))
            .map_err(SourceError::Encode)?;
        Ok(Self {
            remote,
            schema,
            decoder,
            held: None,
        })
    }
}

impl Source for RemoteSource {
    fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        self.held = None;
        let Some(mut message) = self.remote.next_message()? else {
            self.remote.summary().tally.check_files()?;
            return Ok(None);
        };
        self.held = message.take_share();
        let mut bytes = Buffer::from_vec(message.bytes);
        while !bytes.is_empty() {
            let decoded = self.decoder.decode(&mut bytes);
            if let Some(batch) = decoded.map_err(SourceError::Encode)? {
                return Ok(Some(batch));
            }
        }
        Err(self.remote.broken())
    }

    fn tally(&self) -> Tally {
        self.remote.summary().tally
    }

    fn warnings(&self) -> Vec<Cause> {
        self.remote.summary().warnings
    }
}
