//! The `log` capability: lines of the plugin, cut and counted, handed to whoever listens. Keeps none itself.

use std::sync::Arc;

use crate::limits::Limits;
use batch_export_system::terminal::is_harmful;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// For whoever looks for a fault.
    Debug,
    /// Progress worth keeping.
    Info,
    /// Done, but the operator should know.
    Warn,
    /// Why the run failed.
    Error,
}

/// Receives a session's lines, on the session's own thread: it should be quick and must not block for long.
pub type LogSink = Arc<dyn Fn(Level, &str) + Send + Sync>;

/// Returns a sink that keeps nothing.
pub fn discard() -> LogSink {
    Arc::new(|_, _| {})
}

/// One session's log.
pub(crate) struct Log {
    sink: LogSink,
    lines_left: usize,
    line_bytes: usize,
    /// The last line of level `Error` in the current call: a panic hook writes there just before the trap.
    last_error: Option<String>,
}

impl Log {
    pub(crate) fn new(sink: LogSink, limits: &Limits) -> Self {
        Log {
            sink,
            lines_left: limits.log_lines,
            line_bytes: limits.log_line_bytes,
            last_error: None,
        }
    }

    /// Hands a line on, cut to its limit and on one line; past the limit on lines, drops it after saying so once.
    pub(crate) fn write(&mut self, level: Level, message: &str) {
        let line = tidy(message, self.line_bytes);
        if self.lines_left > 0 {
            self.lines_left -= 1;
            (self.sink)(level, &line);
            if self.lines_left == 0 {
                (self.sink)(
                    Level::Warn,
                    "the plugin reached its limit of log lines; further ones are dropped",
                );
            }
        }
        if level == Level::Error {
            self.last_error = Some(line);
        }
    }

    pub(crate) fn begin_call(&mut self) {
        self.last_error = None;
    }

    pub(crate) fn take_last_error(&mut self) -> Option<String> {
        self.last_error.take()
    }
}

/// One line of at most `limit_bytes`, without characters that could move a terminal's cursor or fake a line.
pub fn tidy(message: &str, limit_bytes: usize) -> String {
    const CUT: &str = " …";
    let end = message.floor_char_boundary(limit_bytes);
    let mut line: String = message
        .get(..end)
        .unwrap_or_default()
        .chars()
        .map(|c| if is_harmful(c) { ' ' } else { c })
        .collect();
    if end < message.len() {
        line.push_str(CUT);
    }
    line
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn written(lines: usize, line_bytes: usize, messages: &[&str]) -> Vec<String> {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&kept);
        let mut log = Log::new(
            Arc::new(move |_, line: &str| sink.lock().unwrap().push(line.to_owned())),
            &Limits {
                log_lines: lines,
                log_line_bytes: line_bytes,
                ..Limits::default()
            },
        );
        for message in messages {
            log.write(Level::Info, message);
        }
        kept.lock().unwrap().clone()
    }

    #[test]
    fn lines_are_cut_at_a_character_and_stay_one_line() {
        assert_eq!(
            written(10, 4, &["abc\u{1b}[2J", "äöü", "a\nb"]),
            ["abc  …", "äö …", "a b"]
        );
    }

    #[test]
    fn a_flood_ends_with_one_sentence() {
        let lines = written(2, 100, &["1", "2", "3", "4"]);
        assert_eq!(lines.len(), 3);
        assert!(lines[2].contains("limit of log lines"), "{lines:?}");
    }
}
