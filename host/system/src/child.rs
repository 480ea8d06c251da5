//! This program once more, as a child process with limited memory and an empty environment, for input that nobody
//! vouches for. The job comes in on stdin, the output goes out on stdout. Never decides what a task does.

use std::env;
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use crate::token::Token;

/// First argument of a child, which nobody types by chance.
const COMMAND: &str = "child-process";
/// Threads of a child, and the regions that their memory comes from: each takes address space, which is limited.
const THREADS: &str = "4";
/// How long a child that closed its output may take to end before it is killed.
const ENDING_TIME: Duration = Duration::from_secs(2);
const ENDING_STEP: Duration = Duration::from_millis(5);
/// How often the work of a running child is asked whether it must end.
const WATCH_STEP: Duration = Duration::from_millis(50);

/// A task of a child: does a job, and writes the output.
pub struct Task {
    /// The name that the child is told.
    pub name: &'static str,
    /// Does the job.
    pub perform: fn(&[u8], &mut (dyn Write + Send)) -> io::Result<()>,
    /// The largest job; no more is read.
    pub job_bytes: u64,
    /// The largest file that it may write.
    pub file_bytes: u64,
}

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Names the program that children run. Its `main` must begin with [`answer`]. Only the first call counts. If it is
/// never called, no children are started and the work is done in this process.
pub fn use_program(program: PathBuf) {
    PROGRAM.get_or_init(|| program);
}

/// Names this very program, whose `main` must begin with [`answer`].
pub fn use_this_program() {
    // The file that runs now, even when another was put in its place meanwhile.
    let linked = Path::new("/proc/self/exe");
    if linked.exists() {
        use_program(linked.to_path_buf());
    } else if let Ok(program) = env::current_exe() {
        use_program(program);
    }
}

/// Returns whether there is a program to run as a child.
pub fn is_available() -> bool {
    PROGRAM.get().is_some()
}

/// Does the job if this process is a child that was given one of these tasks; `None` in every other process. Belongs at
/// the beginning of `main`.
pub fn answer(tasks: &[Task]) -> Option<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    if arguments.next()? != COMMAND {
        return None;
    }
    let done = match (arguments.next(), arguments.next()) {
        (Some(task), Some(memory)) => perform(tasks, &task, &memory),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    };
    Some(match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    })
}

fn perform(tasks: &[Task], task: &OsStr, memory_bytes: &OsStr) -> io::Result<()> {
    let task = tasks.iter().find(|known| task == known.name);
    let memory_bytes = memory_bytes.to_str().and_then(|text| text.parse().ok());
    let (Some(task), Some(memory_bytes)) = (task, memory_bytes) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    limit(memory_bytes, task.file_bytes)?;
    // A panic is part of the output; nobody reads its trace.
    std::panic::set_hook(Box::new(|_| {}));
    let mut job = Vec::new();
    io::stdin().lock().take(task.job_bytes).read_to_end(&mut job)?;
    let mut output = io::stdout();
    (task.perform)(&job, &mut output)?;
    output.flush()
}

/// Takes the right to more memory than it has now and `memory_bytes`, to write larger files, and to leave a core dump.
#[cfg(unix)]
fn limit(memory_bytes: u64, file_bytes: u64) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    // What the program itself takes in the address space differs from build to build.
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split(' ').next()?.parse::<u64>().ok())
        .unwrap_or(0);
    let own_bytes = pages.saturating_mul(rustix::param::page_size() as u64);
    for (resource, most) in [
        (Resource::As, memory_bytes.saturating_add(own_bytes)),
        (Resource::Fsize, file_bytes),
        (Resource::Core, 0),
    ] {
        // A stricter limit of the parent stays.
        let most = getrlimit(resource).maximum.map_or(most, |known| known.min(most));
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit)?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn limit(_: u64, _: u64) -> io::Result<()> {
    Ok(())
}

/// A child at work. Dropping the last copy kills it.
#[derive(Debug, Clone)]
pub struct Running(Arc<Process>);

#[derive(Debug)]
struct Process(Mutex<Child>);

/// The end of a child that did not finish its output.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Ended {
    /// How it ended, for a sentence.
    pub in_words: String,
    /// Whether somebody killed it, so that another attempt may succeed.
    pub was_killed: bool,
}

/// Starts a child; its output is read from what comes back. A child that dies at once shows in its output.
pub fn start(task: &Task, job: &[u8], memory_bytes: u64) -> io::Result<(Running, ChildStdout)> {
    let program = PROGRAM.get().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    let mut command = Command::new(program);
    command
        .args([COMMAND, task.name, &memory_bytes.to_string()])
        // No secret of this process is any business of what reads foreign files.
        .env_clear()
        .env("RAYON_NUM_THREADS", THREADS)
        .env("MALLOC_ARENA_MAX", THREADS)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        // Ctrl-C is for the parent, which ends its children in order.
        command.arg0("batch-export").process_group(0);
    }
    let mut child = command.spawn()?;
    let pipes = (child.stdin.take(), child.stdout.take());
    let running = Running(Arc::new(Process(Mutex::new(child))));
    let (Some(mut input), Some(output)) = pipes else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    // A child that is gone already cannot take it.
    input.write_all(job).ok();
    Ok((running, output))
}

impl Running {
    /// Ends the child now; its output ends too.
    pub fn kill(&self) {
        self.0.child().kill().ok();
    }

    /// Kills the child when the work must end that it was started for. Watches on a thread of its own, until the child
    /// has ended or the last copy of this is dropped.
    pub fn end_with(&self, token: &Token) -> io::Result<()> {
        let (process, token) = (Arc::downgrade(&self.0), token.clone());
        let watch = move || {
            loop {
                let must_end = token.sleep(WATCH_STEP).is_err();
                let Some(process) = process.upgrade() else {
                    return;
                };
                if must_end {
                    process.end();
                }
                if must_end || !matches!(process.child().try_wait(), Ok(None)) {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("child-watch".into());
        thread.spawn(watch).map(|_| ())
    }

    /// Returns how it ended, once its output is over.
    pub fn ended(&self) -> Ended {
        let mut waited = Duration::ZERO;
        while waited < ENDING_TIME {
            if let Ok(Some(status)) = self.0.child().try_wait() {
                return Ended {
                    in_words: status.to_string(),
                    was_killed: is_kill(status),
                };
            }
            thread::sleep(ENDING_STEP);
            waited += ENDING_STEP;
        }
        Ended {
            in_words: "it stopped responding".to_owned(),
            was_killed: false,
        }
    }
}

#[cfg(unix)]
fn is_kill(status: std::process::ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    status.signal() == Some(rustix::process::Signal::KILL.as_raw())
}

#[cfg(not(unix))]
fn is_kill(_: std::process::ExitStatus) -> bool {
    false
}

impl Process {
    /// Kills it, and waits for that, so that nothing of it stays in the system's table.
    fn end(&self) {
        let mut child = self.child();
        child.kill().ok();
        child.wait().ok();
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
