//! Compiles a component in a child process, because a small file can keep a compiler busy: the child has little memory
//! and time, and what it compiled is in the cache folder when it ends. Knows nothing of what the component does.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::oneshot;
use wasmtime::component::Component;

use super::cache::CacheFolder;
use super::failed::LoadError;
use crate::egress::shortened;
use crate::limits::{
    COMPILE_BASE_SECONDS, COMPILE_MEMORY_BYTES, COMPILE_SECONDS_PER_MIB, COMPILE_WALL_TIME, COMPONENT_BYTES,
};
use crate::plugin::{CompileCache, Sandbox, engine, hex, invalid};
use batch_export_system::child::{self, Running, Task};

/// The child's task. The largest job is the largest component and the path of a folder.
pub const TASK: Task = Task {
    name: "compile",
    perform: serve,
    job_bytes: COMPONENT_BYTES as u64 + (64 << 10),
    file_bytes: 512 << 20,
};
/// The longest reply: a sentence about what is wrong.
const ANSWER_BYTES: u64 = 4 << 10;
/// What the child says when all went well.
const DONE: &str = "compiled";

/// Returns what the compiled form of a component depends on: its bytes, and compiler and settings of this program.
pub fn compile_key(sandbox: &Sandbox, bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    sandbox.engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{}-{:016x}", hex(&Sha256::digest(bytes)), hasher.finish())
}

/// Has a child compile it into a folder. Dropping the future kills the child.
pub async fn compile_in_child(folder: &Path, bytes: &[u8]) -> Result<(), LoadError> {
    let job = job(folder, bytes);
    let (tell, told) = oneshot::channel();
    // On one thread from start to end: the child dies with the thread that started it.
    let reading = tokio::task::spawn_blocking(move || {
        let (running, output) = child::start(&TASK, &job, COMPILE_MEMORY_BYTES)?;
        drop(tell.send(running.clone()));
        let mut answer = String::new();
        output.take(ANSWER_BYTES).read_to_string(&mut answer)?;
        Ok::<_, io::Error>((answer, running.ended().in_words))
    });
    let running = told.await.ok().map(Killed);
    let outcome = tokio::time::timeout(COMPILE_WALL_TIME, reading).await;
    drop(running);
    let could_not = |error: &dyn std::fmt::Display| LoadError::Compiler(error.to_string());
    let (answer, ended) = match outcome {
        Err(_) => return Err(took_too_much("no result in time", bytes.len())),
        Ok(Err(error)) => return Err(could_not(&error)),
        Ok(Ok(Err(error))) => return Err(could_not(&error)),
        Ok(Ok(Ok(answer))) => answer,
    };
    match answer.as_str() {
        DONE => Ok(()),
        "" => Err(took_too_much(&ended, bytes.len())),
        problem => Err(LoadError::Invalid(shortened(problem))),
    }
}

/// A child that nobody waits for any more.
struct Killed(Running);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill();
    }
}

fn took_too_much(ended: &str, bytes: usize) -> LoadError {
    LoadError::TookTooMuch {
        ended: ended.to_owned(),
        seconds: computing(bytes).as_secs(),
        memory_bytes: COMPILE_MEMORY_BYTES,
    }
}

/// Returns the time on processors that compiling so much may take.
fn computing(bytes: usize) -> Duration {
    let mib = bytes.div_ceil(1 << 20) as u64;
    Duration::from_secs(COMPILE_BASE_SECONDS + COMPILE_SECONDS_PER_MIB * mib)
}

/// Returns length and text of the folder's path, then the component.
fn job(folder: &Path, bytes: &[u8]) -> Vec<u8> {
    let folder = folder.as_os_str().as_encoded_bytes();
    let length = u32::try_from(folder.len()).unwrap_or(u32::MAX);
    [&length.to_le_bytes(), folder, bytes].concat()
}

fn split(job: &[u8]) -> Option<(&Path, &[u8])> {
    let (length, rest) = job.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (folder, bytes) = rest.split_at_checked(length)?;
    Some((Path::new(std::str::from_utf8(folder).ok()?), bytes))
}

/// Does the child's part.
fn serve(job: &[u8], answer: &mut (dyn Write + Send)) -> io::Result<()> {
    let (folder, bytes) = split(job).ok_or(io::ErrorKind::InvalidInput)?;
    limit_time(computing(bytes.len()))?;
    let text = match compile(folder, bytes) {
        Ok(()) => DONE.to_owned(),
        Err(problem) => problem,
    };
    answer.write_all(text.as_bytes())
}

fn compile(folder: &Path, bytes: &[u8]) -> Result<(), String> {
    let folder = CacheFolder::at(folder).map_err(|cause| cause.in_one_text())?;
    let (engine, problem) =
        engine(&CompileCache::Folder(folder.path().to_path_buf()), false).map_err(|error| error.to_string())?;
    if let Some(problem) = problem {
        return Err(problem);
    }
    match Component::from_binary(&engine, bytes) {
        Ok(_) => Ok(()),
        Err(error) => match invalid(&error) {
            LoadError::Invalid(text) => Err(text),
            other => Err(other.to_string()),
        },
    }
}

/// Ends this process once it has computed for so long, or when nobody waits for it any more.
#[cfg(unix)]
fn limit_time(limit: Duration) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // The cache's files are nobody else's, whatever is usual here.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let wanted = limit.as_secs();
    let known = getrlimit(Resource::Cpu);
    let most = known.maximum.map_or(wanted, |known| known.min(wanted));
    Ok(setrlimit(
        Resource::Cpu,
        Rlimit {
            current: Some(most),
            ..known
        },
    )?)
}

#[cfg(not(unix))]
fn limit_time(_: Duration) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_a_folder_and_a_component() {
        let whole = job(Path::new("/cache"), b"bytes");
        assert_eq!(split(&whole), Some((Path::new("/cache"), &b"bytes"[..])));
        assert_eq!(split(&whole[..8]), None);
        assert_eq!(split(b"abc"), None);
    }

    #[test]
    fn time_grows_with_size() {
        assert_eq!(computing(1).as_secs(), 40);
        assert_eq!(computing(11 << 20).as_secs(), 240);
    }
}
