//! Runs a program for an alert: JSON on its standard input, the most important fields in its environment. What it
//! prints is only repeated when it fails. It cannot outlive its time.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;

use super::receivers::Message;
use batch_export_runner::config::AlertCommand;
use batch_export_sandbox::Secret;
use batch_export_system::explain::{Cause, plain};
use batch_export_system::terminal::one_line;

/// Time for a command to end, after which it is killed together with what it started.
const COMMAND_TIME: Duration = Duration::from_secs(60);
/// Time for the output of a command that has ended: what it started in the background may keep it open.
const OUTPUT_TIME: Duration = Duration::from_millis(500);
/// Bytes of the end of its output that are kept.
const TAIL_BYTES: usize = 4 << 10;
/// Characters of its last line that an error repeats.
const SHOWN_CHARS: usize = 300;

/// Fields of an alert that a command has in its environment.
pub(super) const VARIABLES: [(&str, &str); 6] = [
    ("BATCH_EXPORT_ALERT_KIND", "kind"),
    ("BATCH_EXPORT_ALERT_DESTINATION", "destination"),
    ("BATCH_EXPORT_ALERT_RUN_ID", "run_id"),
    ("BATCH_EXPORT_ALERT_AT", "at"),
    ("BATCH_EXPORT_ALERT_MESSAGE", "message"),
    ("BATCH_EXPORT_ALERT_TEXT", "text"),
];

/// A program of the configuration that is run for each alert, without a shell.
#[derive(Debug)]
pub(super) struct Command {
    command: AlertCommand,
    time: Duration,
}

impl Command {
    pub(super) fn new(command: &AlertCommand) -> Self {
        Command {
            command: command.clone(),
            time: COMMAND_TIME,
        }
    }

    /// Returns the program, without its arguments, which may hold secrets.
    pub(super) fn program(&self) -> String {
        self.command.program.display().to_string()
    }

    #[cfg(test)]
    pub(super) fn within(self, time: Duration) -> Self {
        Command { time, ..self }
    }

    pub(super) async fn deliver(&self, message: &Message) -> Result<(), Cause> {
        let mut command = tokio::process::Command::new(&self.command.program);
        command
            .args(self.command.arguments.iter().map(Secret::expose))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        for (variable, field) in VARIABLES {
            command.env(variable, variable_text(message.text(field).unwrap_or_default()));
        }
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn().map_err(|error| {
            Cause::new(format!("`{}` cannot be started: {}", self.program(), plain(&error)))
                .with_hint("correct `command` in [alerts]")
        })?;
        let said = Said::default();
        let group = Group::of(&child);
        let ended = tokio::time::timeout(self.time, performed(&mut child, message.json(), &said)).await;
        match ended {
            Ok(ended) => {
                group.has_ended();
                self.judged(ended, &said)
            }
            Err(_) => {
                drop(group);
                // Killed with its group; this only takes it off the system's table.
                child.kill().await.ok();
                let time = self.time.as_secs();
                let what = format!("`{}` did not end within {time} s and was killed", self.program());
                Err(said.added_to(what).into())
            }
        }
    }

    fn judged(&self, ended: io::Result<ExitStatus>, said: &Said) -> Result<(), Cause> {
        match ended {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => {
                let what = format!("`{}` failed with {status}", self.program());
                Err(said.added_to(what).into())
            }
            Err(error) => Err(format!("`{}` cannot be waited for: {}", self.program(), plain(&error)).into()),
        }
    }
}

/// A text as a variable can hold it.
fn variable_text(text: &str) -> String {
    text.replace('\0', "")
}

/// Gives a child its input, and reads its output until it has ended.
async fn performed(child: &mut Child, input: String, said: &Said) -> io::Result<ExitStatus> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A command that does not care for its input may close it.
            stdin.write_all(input.as_bytes()).await.ok();
        }
    };
    let talk = async {
        tokio::join!(
            feed,
            said.listen(stdout, &said.output),
            said.listen(stderr, &said.errors)
        );
    };
    let mut talk = std::pin::pin!(talk);
    let mut is_over = false;
    let ended = loop {
        tokio::select! {
            ended = child.wait() => break ended,
            () = &mut talk, if !is_over => is_over = true,
        }
    };
    if !is_over {
        tokio::time::timeout(OUTPUT_TIME, talk).await.ok();
    }
    ended
}

/// The end of what a command printed.
#[derive(Debug, Default)]
struct Said {
    output: Mutex<Vec<u8>>,
    errors: Mutex<Vec<u8>>,
}

impl Said {
    /// Reads all there is, and keeps its end.
    async fn listen(&self, from: Option<impl AsyncRead + Unpin>, kept: &Mutex<Vec<u8>>) {
        let Some(mut from) = from else { return };
        let mut piece = [0; TAIL_BYTES];
        while let Ok(read @ 1..) = from.read(&mut piece).await {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend_from_slice(&piece[..read]);
            let excess = kept.len().saturating_sub(TAIL_BYTES);
            kept.drain(..excess);
        }
    }

    /// Returns a text, and after it the last line that was printed.
    fn added_to(&self, text: String) -> String {
        let last = |kept: &Mutex<Vec<u8>>| {
            let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            let printed = String::from_utf8_lossy(&kept).into_owned();
            let last = printed.lines().map(str::trim).rfind(|line| !line.is_empty());
            last.map(|line| one_line(line).chars().take(SHOWN_CHARS).collect::<String>())
        };
        match last(&self.errors).or_else(|| last(&self.output)) {
            Some(line) => format!("{text}: {line}"),
            None => text,
        }
    }
}

/// A command and everything that it started, killed when this is dropped before it has ended.
struct Group {
    #[cfg(unix)]
    leader: Option<rustix::process::Pid>,
}

impl Group {
    #[cfg(unix)]
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Group {
            leader: id.and_then(rustix::process::Pid::from_raw),
        }
    }

    #[cfg(not(unix))]
    fn of(_: &Child) -> Self {
        Group {}
    }

    /// Lets go of it: its number may soon be that of others.
    #[cfg(unix)]
    fn has_ended(mut self) {
        self.leader = None;
    }

    #[cfg(not(unix))]
    fn has_ended(self) {}
}

#[cfg(unix)]
impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.leader {
            // It may have ended by itself a moment ago.
            rustix::process::kill_process_group(leader, rustix::process::Signal::KILL).ok();
        }
    }
}
