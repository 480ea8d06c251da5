//! The standard error of a program: line by line to the log of the run, and the last lines for an error. Bounded in the
//! length of a line and in the number that is logged; what is beyond is read and dropped, so that no program waits.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use batch_export_system::terminal::one_line;

/// Bytes of a line that are kept: a message with a long value in it.
const MAX_LINE_BYTES: usize = 1 << 10;
/// Lines that are logged in one run; more are progress that nobody reads afterwards.
const MAX_LINES: usize = 1_000;
/// Lines that an error repeats: the end of a traceback.
const LAST_LINES: usize = 5;
/// Bytes that are read at once.
const CHUNK_BYTES: usize = 8 << 10;
/// How long the lines of a program that has ended are waited for: what it started may keep the pipe open.
const LISTENING_TIME: Duration = Duration::from_millis(200);
const LISTENING_STEP: Duration = Duration::from_millis(2);

/// Takes the lines that a source has for the log of its run. Cheap to clone.
#[derive(Clone)]
pub struct LineSink(Arc<dyn Fn(&str) + Send + Sync>);

impl LineSink {
    /// Returns what calls `take` with each line: one line, without characters that are harmful to a terminal.
    pub fn new(take: impl Fn(&str) + Send + Sync + 'static) -> Self {
        LineSink(Arc::new(take))
    }

    /// Returns what drops every line.
    pub fn none() -> Self {
        LineSink::new(|_| {})
    }
}

impl fmt::Debug for LineSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LineSink")
    }
}

/// The lines of one program, heard on a thread of its own.
#[derive(Debug)]
pub(super) struct Lines {
    last: Arc<Mutex<VecDeque<String>>>,
    listener: JoinHandle<()>,
}

impl Lines {
    /// Listens until the end. A process that keeps the pipe open and left its group also keeps the thread.
    pub(super) fn of(stderr: impl Read + Send + 'static, sink: LineSink) -> io::Result<Self> {
        let last = Arc::<Mutex<VecDeque<String>>>::default();
        let kept = Arc::clone(&last);
        let mut heard = 0_usize;
        let take = move |line: &str| {
            heard += 1;
            match heard.cmp(&(MAX_LINES + 1)) {
                std::cmp::Ordering::Less => (sink.0)(line),
                std::cmp::Ordering::Equal => {
                    (sink.0)("the program reached the limit of log lines; further ones are dropped")
                }
                std::cmp::Ordering::Greater => {}
            }
            // What only points at another line says nothing without it.
            if !line.contains(char::is_alphanumeric) {
                return;
            }
            let mut kept = locked(&kept);
            if kept.len() == LAST_LINES {
                kept.pop_front();
            }
            kept.push_back(line.to_owned());
        };
        let thread = thread::Builder::new().name("source-stderr".into());
        let listener = thread.spawn(move || listen(stderr, take))?;
        Ok(Self { last, listener })
    }

    /// Returns a text, and after it the last lines, once the program has ended and no more of them are to come.
    pub(super) fn added_to(&self, text: String) -> String {
        let begun = Instant::now();
        while !self.listener.is_finished() && begun.elapsed() < LISTENING_TIME {
            thread::sleep(LISTENING_STEP);
        }
        let last = locked(&self.last);
        match last.is_empty() {
            true => text,
            false => {
                let lines: Vec<&str> = last.iter().map(|line| line.trim()).collect();
                format!("{text}; its standard error ends with: {}", lines.join(" | "))
            }
        }
    }
}

fn locked(lines: &Mutex<VecDeque<String>>) -> MutexGuard<'_, VecDeque<String>> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads to the end and takes every line that is not blank.
fn listen(mut from: impl Read, mut take: impl FnMut(&str)) {
    let mut line = Line::default();
    let mut chunk = [0; CHUNK_BYTES];
    loop {
        match from.read(&mut chunk) {
            Ok(read @ 1..) => {
                for byte in &chunk[..read] {
                    if let Some(line) = line.push(*byte) {
                        take(&line);
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => break,
        }
    }
    if let Some(line) = line.ended() {
        take(&line);
    }
}

/// A line as far as it was read.
#[derive(Default)]
struct Line {
    bytes: Vec<u8>,
    is_cut: bool,
    /// A carriage return was read: what comes next overwrites the line, as it does on a terminal.
    returned: bool,
}

impl Line {
    /// Adds a byte. Returns the line if it is its end.
    fn push(&mut self, byte: u8) -> Option<String> {
        match byte {
            b'\n' => return self.ended(),
            b'\r' => self.returned = true,
            byte => {
                if std::mem::take(&mut self.returned) {
                    self.bytes.clear();
                    self.is_cut = false;
                }
                match self.bytes.len() < MAX_LINE_BYTES {
                    true => self.bytes.push(byte),
                    false => self.is_cut = true,
                }
            }
        }
        None
    }

    /// Returns the line, unless it is blank, and begins the next.
    fn ended(&mut self) -> Option<String> {
        let line = std::mem::take(self);
        let text = String::from_utf8_lossy(&line.bytes);
        let text = text.trim_end();
        (!text.trim().is_empty()).then(|| match line.is_cut {
            true => format!("{} …", one_line(text)),
            false => one_line(text).into_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(bytes: &[u8]) -> (Vec<String>, String) {
        let kept = Arc::<Mutex<Vec<String>>>::default();
        let sink = {
            let kept = Arc::clone(&kept);
            LineSink::new(move |line| kept.lock().expect("lines").push(line.to_owned()))
        };
        let lines = Lines::of(io::Cursor::new(bytes.to_vec()), sink).expect("a thread");
        let told = lines.added_to("it failed".to_owned());
        let kept = kept.lock().expect("lines").clone();
        (kept, told)
    }

    #[test]
    fn lines_are_whole_harmless_and_bounded() {
        let long = "ä".repeat(MAX_LINE_BYTES);
        let text = format!("one\n\n 10%\r 50%\r100%\r\na\u{1b}[2Jb\tc\n{long}\nlast");
        let (lines, told) = heard(text.as_bytes());
        assert_eq!(lines[..3], ["one", "100%", "a\\u{1b}[2Jb\\tc"]);
        assert_eq!(lines[3], format!("{} …", "ä".repeat(MAX_LINE_BYTES / 2)));
        assert_eq!(lines[4..], ["last"]);
        assert!(
            told.starts_with("it failed; its standard error ends with: one | 100% | "),
            "{told}"
        );
        assert_eq!(heard(b"\n \n"), (vec![], "it failed".to_owned()));
        assert_eq!(heard(b"\xff\n").0, ["\u{fffd}"]);
    }

    #[test]
    fn a_flood_ends_with_one_sentence_in_the_log_and_its_last_lines_in_the_error() {
        let text: String = (0..MAX_LINES * 3).map(|number| format!("line {number}\n")).collect();
        let (lines, told) = heard(text.as_bytes());
        assert_eq!(lines.len(), MAX_LINES + 1);
        assert!(lines[MAX_LINES].contains("the limit of log lines"), "{lines:?}");
        let expect =
            "it failed; its standard error ends with: line 2995 | line 2996 | line 2997 | line 2998 | line 2999";
        assert_eq!(told, expect);
    }
}
