//! A program in a process group of its own: its standard output, how it ended, and the end of all that it started.
//! Knows nothing of what it writes.

use std::io::{self, Read};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use batch_export_system::{Interrupted, Token};

/// How long a program that is told to end (SIGTERM) may take before it is killed with all that it started: with what
/// follows, it ends within a second of the token.
const TERM_TIME: Duration = Duration::from_millis(400);
/// How long the system may take to end what was killed. Longer is a disk that does not respond, which nobody waits for.
const KILL_TIME: Duration = Duration::from_millis(300);
const ENDING_STEP: Duration = Duration::from_millis(5);
/// How often the token is asked while nothing is written.
const WATCH_STEP: Duration = Duration::from_millis(50);
/// Bytes that are read at once: what a pipe holds.
const CHUNK_BYTES: usize = 64 << 10;
/// Chunks that wait, so that the program writes while rows are encoded. More only costs memory.
const CHUNKS_WAITING: usize = 4;
/// Bytes at the beginning of the output that tell what it is.
const HEAD_BYTES: usize = 64;

/// The end of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It ended by itself.
    Exited(ExitStatus),
    /// It had to be ended.
    Killed,
}

/// A running program. Clones share it; when the last one is dropped, the program and all that it started are ended.
#[derive(Debug, Clone)]
pub(super) struct Process {
    group: Arc<Mutex<Group>>,
    output: Arc<Mutex<Output>>,
    token: Token,
}

impl Process {
    /// Starts a program with nothing to read. Also returns its standard error.
    pub(super) fn start(mut command: Command, token: &Token) -> io::Result<(Self, ChildStderr)> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        #[cfg(unix)]
        {
            use std::os::unix::process::CommandExt;
            // Ctrl-C is for this program, which ends the others in order.
            command.process_group(0);
        }
        let mut child = command.spawn()?;
        let pipes = (child.stdout.take(), child.stderr.take());
        let group = Group { child, end: None };
        let (Some(stdout), Some(stderr)) = pipes else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let (sender, chunks) = sync_channel(CHUNKS_WAITING);
        let thread = thread::Builder::new().name("source-stdout".into());
        thread.spawn(move || pass_on(stdout, &sender))?;
        let output = Output {
            chunks,
            chunk: io::Cursor::default(),
            head: Vec::new(),
            is_over: false,
        };
        let process = Self {
            group: Arc::new(Mutex::new(group)),
            output: Arc::new(Mutex::new(output)),
            token: token.clone(),
        };
        Ok((process, stderr))
    }

    /// Returns the first bytes of its output, as far as they were read.
    pub(super) fn head(&self) -> Vec<u8> {
        locked(&self.output).head.clone()
    }

    /// Waits until it has ended by itself, for a time at most, and drops what it still writes. Returns whether it has.
    pub(super) fn settle(&self, time: Duration) -> Result<bool, Interrupted> {
        let begun = Instant::now();
        loop {
            self.token.check()?;
            let output = locked(&self.output).skip(ENDING_STEP);
            if locked(&self.group).has_ended() && output.is_none_or(|is_over| is_over) {
                return Ok(true);
            }
            if begun.elapsed() >= time {
                return Ok(false);
            }
            if output == Some(true) {
                thread::sleep(ENDING_STEP);
            }
        }
    }

    /// Ends it, if it has not ended by itself, and everything that it started.
    pub(super) fn end(&self) -> End {
        locked(&self.group).end()
    }
}

/// Its standard output. An error of the kind `TimedOut` means that it has ended, but something that it started keeps
/// its output open.
impl Read for Process {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let mut silent_since = None;
        loop {
            self.token.check().map_err(io::Error::other)?;
            if let Some(read) = locked(&self.output).read(to, WATCH_STEP)? {
                return Ok(read);
            }
            if locked(&self.group).has_ended() {
                let since = silent_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= super::ENDING_TIME {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
        }
    }
}

fn locked<T>(of_process: &Mutex<T>) -> MutexGuard<'_, T> {
    of_process.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads to the end, or until nobody listens any more. A process that keeps the pipe open and left its group also keeps
/// the thread.
fn pass_on(mut stdout: ChildStdout, to: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut chunk = vec![0; CHUNK_BYTES];
        let read = stdout.read(&mut chunk).map(|read| {
            chunk.truncate(read);
            chunk
        });
        match read {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(chunk) if chunk.is_empty() => return,
            read => {
                let is_error = read.is_err();
                if to.send(read).is_err() || is_error {
                    return;
                }
            }
        }
    }
}

/// The bytes that a program writes.
#[derive(Debug)]
struct Output {
    chunks: Receiver<io::Result<Vec<u8>>>,
    chunk: io::Cursor<Vec<u8>>,
    head: Vec<u8>,
    is_over: bool,
}

impl Output {
    /// Reads, once there is something or the end; `None` if neither comes in time.
    fn read(&mut self, to: &mut [u8], time: Duration) -> io::Result<Option<usize>> {
        let read = self.chunk.read(to)?;
        if read > 0 || self.is_over || to.is_empty() {
            return Ok(Some(read));
        }
        match self.chunks.recv_timeout(time) {
            Ok(chunk) => {
                self.chunk = io::Cursor::new(chunk?);
                let more = HEAD_BYTES.saturating_sub(self.head.len());
                self.head.extend(self.chunk.get_ref().iter().take(more));
                self.chunk.read(to).map(Some)
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                self.is_over = true;
                Ok(Some(0))
            }
        }
    }

    /// Drops what was written. Returns whether it is over; `None` if nothing came in time.
    fn skip(&mut self, time: Duration) -> Option<bool> {
        self.chunk = io::Cursor::default();
        match self.read(&mut [0], time) {
            Ok(read) => read.map(|read| read == 0),
            Err(_) => Some(true),
        }
    }
}

/// A program and all that it started and that did not leave its process group.
#[derive(Debug)]
struct Group {
    child: Child,
    /// Known once nothing of it is left.
    end: Option<End>,
}

impl Group {
    /// Ends all of it, and takes the program off the system's table last: until then, its number is that of the group
    /// and of no other.
    fn end(&mut self) -> End {
        if let Some(end) = self.end {
            return end;
        }
        let ended_itself = self.has_ended();
        if !ended_itself {
            self.signal(Signal::Term);
            self.wait(TERM_TIME);
        }
        self.signal(Signal::Kill);
        self.wait(KILL_TIME);
        let status = self.child.try_wait().ok().flatten();
        let end = match status {
            Some(status) if ended_itself => End::Exited(status),
            _ => End::Killed,
        };
        self.end = Some(end);
        end
    }

    fn wait(&mut self, time: Duration) {
        let begun = Instant::now();
        while !self.has_ended() && begun.elapsed() < time {
            thread::sleep(ENDING_STEP);
        }
    }

    /// Returns whether the program has ended, whatever it started.
    #[cfg(unix)]
    fn has_ended(&self) -> bool {
        use rustix::process::{WaitId, WaitIdOptions, waitid};

        let looking = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match self.leader() {
            Some(leader) if self.end.is_none() => {
                waitid(WaitId::Pid(leader), looking).is_ok_and(|status| status.is_some())
            }
            _ => true,
        }
    }

    #[cfg(not(unix))]
    fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    #[cfg(unix)]
    fn leader(&self) -> Option<rustix::process::Pid> {
        let id = i32::try_from(self.child.id()).ok()?;
        rustix::process::Pid::from_raw(id)
    }

    #[cfg(unix)]
    fn signal(&self, signal: Signal) {
        use rustix::process::{Signal as Unix, kill_process_group};

        let signal = match signal {
            Signal::Term => Unix::TERM,
            Signal::Kill => Unix::KILL,
        };
        if let Some(leader) = self.leader() {
            kill_process_group(leader, signal).ok();
        }
    }

    #[cfg(not(unix))]
    fn signal(&mut self, _: Signal) {
        self.child.kill().ok();
    }
}

#[derive(Debug, Clone, Copy)]
enum Signal {
    Term,
    Kill,
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end();
    }
}
