//! The rows of one run of a program, and the proofs that they are all: the end of the stream, the end of the output and
//! the exit code.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use batch_export_system::Token;
use batch_export_system::explain::Cause;
use batch_export_system::terminal::one_line;

use super::process::{End, Process};
use super::stderr::{LineSink, Lines};
use super::{CommandSettings, ENDING_TIME, program};
use crate::arrow_ipc::{Batches, Describe};
use crate::error::{SourceError, SourceErrorKind};
use crate::interval::Interval;
use crate::supplier::Supplier;

/// How long a program whose output is wrong may take to say why, by its exit code and its standard error.
const SETTLING_TIME: Duration = Duration::from_secs(1);
/// The first bytes of an Arrow IPC stream.
const STREAM: [u8; 4] = [0xff; 4];
/// The exit code of programs that may succeed later without any change: `EX_TEMPFAIL` of sysexits.h.
const TEMPORARY_FAILURE: i32 = 75;
/// Shells report a command that a signal ended as this and the signal's number.
const SHELL_SIGNAL: i32 = 128;
/// Signals by which others end a program: hangup, interrupt, kill, terminate.
const SIGNALS_OF_OTHERS: [i32; 4] = [1, 2, 9, 15];
/// Bytes of output that is not Arrow that are shown where they are not text.
const SHOWN_BYTES: usize = 8;

/// What went wrong with a program.
struct Fault {
    origin: String,
    token: Token,
}

/// The rows that a program writes.
pub(super) struct Rows {
    origin: String,
    running: Running,
    batches: Batches,
}

/// A program at work, and what it says.
struct Running {
    process: Process,
    lines: Lines,
    token: Token,
}

impl Rows {
    /// Starts the program and waits for its columns.
    pub(super) fn start(
        settings: &CommandSettings,
        interval: &Interval,
        log: &LineSink,
        token: &Token,
    ) -> Result<Self, SourceError> {
        token.check()?;
        let command = program::command(settings, interval)?;
        let cannot_start = |error: io::Error| program::cannot_start(settings, &error);
        let (process, stderr) = Process::start(command, token).map_err(cannot_start)?;
        let lines = Lines::of(stderr, log.clone()).map_err(SourceError::Thread)?;
        let origin = program::origin(settings);
        let fault = Fault {
            origin: origin.clone(),
            token: token.clone(),
        };
        let running = Running {
            process: process.clone(),
            lines,
            token: token.clone(),
        };
        match Batches::of_stream(Box::new(fault), Box::new(process)) {
            Ok(batches) => Ok(Self {
                origin,
                running,
                batches,
            }),
            Err(error) => Err(running.failed(&origin, error)),
        }
    }
}

impl Supplier for Rows {
    fn origin(&self) -> &str {
        &self.origin
    }

    fn schema(&self) -> SchemaRef {
        self.batches.schema()
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        match self.batches.next() {
            Some(Ok(batch)) => Ok(Some(batch)),
            Some(Err(error)) => Err(self.running.failed(&self.origin, error)),
            None => self.running.succeeded(&self.origin).map(|()| None),
        }
    }
}

impl Running {
    /// Checks that a program whose output is whole and over ends well, too.
    fn succeeded(&self, origin: &str) -> Result<(), SourceError> {
        let has_ended = self.process.settle(ENDING_TIME)?;
        match self.process.end() {
            End::Exited(status) => match exit(status) {
                None => Ok(()),
                Some((cause, kind)) => Err(self.told(SourceError::supplier(origin, cause, kind))),
            },
            End::Killed if has_ended => {
                let cause = Cause::new("how it ended is not known").with_hint("run it again");
                Err(SourceError::supplier(origin, cause, SourceErrorKind::Transient))
            }
            End::Killed => {
                let time = ENDING_TIME.as_secs();
                let cause = Cause::new(format!(
                    "it was still running {time} s after it had closed its standard output"
                ))
                .with_hint("let it end when it has written its rows: its exit code tells whether they are all");
                Err(self.told(SourceError::supplier(origin, cause, SourceErrorKind::Permanent)))
            }
        }
    }

    /// Returns why rows did not come: a program that failed says more than what is missing of its output.
    fn failed(&self, origin: &str, error: SourceError) -> SourceError {
        if let Err(reason) = self.process.settle(SETTLING_TIME) {
            return reason.into();
        }
        let failure = match self.process.end() {
            End::Exited(status) => exit(status),
            End::Killed => None,
        };
        if let Some((cause, kind)) = failure {
            return self.told(SourceError::supplier(origin, cause, kind));
        }
        let head = self.process.head();
        let error = match head.starts_with(&STREAM) {
            true => error,
            false => SourceError::supplier(origin, not_a_stream(&head), SourceErrorKind::Permanent),
        };
        self.told(error)
    }

    /// Adds the last lines of its standard error.
    fn told(&self, error: SourceError) -> SourceError {
        if let Err(reason) = self.token.check() {
            return reason.into();
        }
        match error {
            SourceError::Supplier { origin, cause, kind } => SourceError::Supplier {
                origin,
                cause: cause.map(|text| self.lines.added_to(text)),
                kind,
            },
            error => error,
        }
    }
}

/// Returns what an end means that is not success.
fn exit(status: ExitStatus) -> Option<(Cause, SourceErrorKind)> {
    if status.success() {
        return None;
    }
    let (signal, how) = match (signal(status), status.code()) {
        (Some(signal), _) => (Some(signal), format!("signal {signal} ended it")),
        (None, Some(code)) => {
            let signal = code - SHELL_SIGNAL;
            let how = format!("it ended with exit code {code}");
            (SIGNALS_OF_OTHERS.contains(&signal).then_some(signal), how)
        }
        (None, None) => (None, format!("it ended with {status}")),
    };
    let is_temporary = status.code() == Some(TEMPORARY_FAILURE);
    let is_ended = signal.is_some_and(|signal| SIGNALS_OF_OTHERS.contains(&signal));
    let cause = Cause::new(how);
    Some(match is_temporary || is_ended {
        true => (cause.with_hint("run it again"), SourceErrorKind::Transient),
        false => (
            cause.with_hint(format!(
                "correct what it says is wrong; where the same may succeed later, let it end with exit code \
                 {TEMPORARY_FAILURE}"
            )),
            SourceErrorKind::Permanent,
        ),
    })
}

#[cfg(unix)]
fn signal(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal(_: ExitStatus) -> Option<i32> {
    None
}

/// Says what output looks like that is not an Arrow IPC stream.
fn not_a_stream(head: &[u8]) -> Cause {
    let hint = "write an Arrow IPC stream, as pyarrow.ipc.new_stream(sys.stdout.buffer, schema) does";
    let binary = [
        (&b"ARROW1"[..], "an Arrow file, not a stream"),
        (b"PAR1", "Parquet, not an Arrow IPC stream"),
        (&[0x1f, 0x8b], "compressed with gzip, not an Arrow IPC stream"),
        (
            &[0x28, 0xb5, 0x2f, 0xfd],
            "compressed with zstd, not an Arrow IPC stream",
        ),
        (
            &[0x04, 0x22, 0x4d, 0x18],
            "compressed with lz4, not an Arrow IPC stream",
        ),
    ];
    if head.is_empty() {
        return Cause::new("it wrote nothing to its standard output").with_hint(format!(
            "{hint}; without rows it has the columns and the end all the same"
        ));
    }
    if let Some((_, what)) = binary.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Cause::new(format!("its output is {what}")).with_hint(hint);
    }
    // The bytes that are known may end within a character.
    let text = match std::str::from_utf8(head) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&head[..error.valid_up_to()]).ok(),
        Err(_) => None,
    };
    match text.filter(|text| !text.contains(|c: char| c.is_control() && !c.is_whitespace())) {
        Some(text) => {
            let line = text.trim_start().lines().next().unwrap_or_default();
            Cause::new(format!(
                "its output is text, not an Arrow IPC stream: `{}`",
                one_line(line)
            ))
            .with_hint(format!("{hint}; print messages to its standard error"))
        }
        None => {
            let bytes: Vec<String> = head
                .iter()
                .take(SHOWN_BYTES)
                .map(|byte| format!("{byte:02x}"))
                .collect();
            Cause::new(format!(
                "its output is not an Arrow IPC stream: it begins with {}",
                bytes.join(" ")
            ))
            .with_hint(hint)
        }
    }
}

impl Fault {
    fn permanent(&self, cause: Cause) -> SourceError {
        SourceError::supplier(&self.origin, cause, SourceErrorKind::Permanent)
    }
}

impl Describe for Fault {
    fn check(&self) -> Result<(), SourceError> {
        Ok(self.token.check()?)
    }

    fn damaged(&self, cause: String) -> SourceError {
        let cause = Cause::new(format!("its output is not a whole and valid Arrow IPC stream: {cause}")).with_hint(
            "write rows that fit the stream's schema, close its writer at the end, and write nothing else to standard \
             output",
        );
        self.permanent(cause)
    }

    fn unsupported(&self, cause: Cause) -> SourceError {
        self.permanent(cause.map(|text| format!("its output cannot be read here: {}", text.replace('\n', " "))))
    }

    fn too_large(&self, cause: Cause) -> SourceError {
        self.permanent(cause.map(|text| format!("its output needs too much memory: {text}")))
    }

    fn read_error(&self, error: io::Error) -> SourceError {
        if error.kind() == io::ErrorKind::TimedOut {
            let time = ENDING_TIME.as_secs();
            let cause = Cause::new(format!(
                "it has ended, but {time} s later a process that it started still keeps its standard output open"
            ));
            return self.permanent(cause.with_hint("let it wait for the processes that it starts"));
        }
        if error.raw_os_error().is_some() {
            let cause = Cause::new(format!("its output cannot be read: {error}"));
            return SourceError::supplier(
                &self.origin,
                cause.with_hint("run it again"),
                SourceErrorKind::Transient,
            );
        }
        self.damaged(error.to_string())
    }

    fn needs_end(&self) -> bool {
        true
    }
}
