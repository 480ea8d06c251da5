//! Measures programs from outside, with all that they start: time, CPU and memory. Knows nothing of exports.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::measure::{ProcessTimes, process_times};

/// How often memory is looked at: short enough to see a buffer that is copied.
const SAMPLE_STEP: Duration = Duration::from_millis(5);
/// How many samples pass until new processes are looked for, which costs more.
const SAMPLES_A_SEARCH: u32 = 8;
/// The end of a program's messages that is shown when it fails.
const COMPLAINT_CHARS: usize = 2_000;

/// What some programs took together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// From the start of all to the end of the last.
    pub seconds: f64,
    /// User's and system's, of all processes.
    pub cpu_seconds: f64,
    /// The most resident memory of all processes at one moment; what two of them share counts twice.
    pub peak_bytes: u64,
}

/// A program at work, and its descendants as far as they were seen. Dropping it kills the program.
struct Tree {
    child: Child,
    seen: BTreeSet<u32>,
    ended: Option<ProcessTimes>,
}

impl Drop for Tree {
    fn drop(&mut self) {
        // It has nearly always ended, and then both have nothing to do.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Runs the programs at once, their messages going to files in `logs`; a failure shows what one said last.
pub fn measured(commands: Vec<Command>, logs: &Path) -> Result<Usage> {
    let begun = Instant::now();
    let mut trees = Vec::new();
    for (number, mut command) in commands.into_iter().enumerate() {
        let log = logs.join(format!("{number}.log"));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let seen = BTreeSet::from([child.id()]);
        trees.push(Tree {
            child,
            seen,
            ended: None,
        });
    }
    let mut usage = Usage::default();
    for sample in 0_u32.. {
        let mut resident_bytes = 0;
        for tree in trees.iter_mut().filter(|tree| tree.ended.is_none()) {
            if sample.is_multiple_of(SAMPLES_A_SEARCH) {
                search(&mut tree.seen);
            }
            resident_bytes += tree.seen.iter().map(|id| resident(*id)).sum::<u64>();
            let times = process_times(&tree.child.id().to_string())?;
            tree.ended = times.ended.then_some(times);
        }
        usage.peak_bytes = usage.peak_bytes.max(resident_bytes);
        if trees.iter().all(|tree| tree.ended.is_some()) {
            break;
        }
        sleep(SAMPLE_STEP);
    }
    usage.seconds = begun.elapsed().as_secs_f64();
    let ended = trees.iter().filter_map(|tree| tree.ended);
    usage.cpu_seconds = ended.map(|times| times.own_seconds + times.children_seconds).sum();
    for (number, tree) in trees.iter_mut().enumerate() {
        let status = tree.child.wait()?;
        ensure_success(status, &logs.join(format!("{number}.log")))?;
    }
    Ok(usage)
}

fn ensure_success(status: ExitStatus, log: &Path) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    let said = fs::read_to_string(log).unwrap_or_default();
    let skipped = said.chars().count().saturating_sub(COMPLAINT_CHARS);
    let end: String = said.chars().skip(skipped).collect();
    bail!("it ended with {status} and these messages:\n{}", end.trim());
}

/// Adds what these processes have started.
fn search(seen: &mut BTreeSet<u32>) {
    let mut unasked: Vec<u32> = seen.iter().copied().collect();
    while let Some(id) = unasked.pop() {
        for child in children(id) {
            if seen.insert(child) {
                unasked.push(child);
            }
        }
    }
}

/// The children that a process's threads have started; none once it has ended.
fn children(id: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|id| id.parse().ok())
                .collect::<Vec<u32>>()
        })
        .collect()
}

/// Resident memory of a process; none once it has ended.
fn resident(id: u32) -> u64 {
    let pages = || -> Option<u64> {
        let sizes = fs::read_to_string(format!("/proc/{id}/statm")).ok()?;
        sizes.split(' ').nth(1)?.parse().ok()
    };
    pages().unwrap_or(0) * rustix::param::page_size() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn what_a_program_starts_is_counted() {
        let logs = std::env::temp_dir().join(format!("bench-tree-{}", std::process::id()));
        fs::create_dir_all(&logs).unwrap();
        // The shell waits for another one that computes; both are in the sum.
        let script = "sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'; true";
        let usage = measured(vec![shell(script), shell("true")], &logs).unwrap();
        assert!(usage.cpu_seconds > 0.05, "{usage:?}");
        assert!(usage.seconds >= usage.cpu_seconds / 2.0, "{usage:?}");
        assert!(usage.peak_bytes > 0, "{usage:?}");
        let error = measured(vec![shell("echo no such store >&2; exit 3")], &logs).unwrap_err();
        assert!(error.to_string().contains("no such store"), "{error}");
        fs::remove_dir_all(&logs).unwrap();
    }
}
