//! How outcomes are shown: JSON or lines on standard output, one message on standard error. Colours only where a
//! person looks. The one exit for texts: nothing passes it that could move a terminal or hide.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use serde::Serialize;

use super::error::CommandError;
use crate::terminal::{harmless, harmless_json, one_line};

/// Prints a failure and answers its exit code.
pub fn report(error: &CommandError) -> ExitCode {
    let stderr = io::stderr();
    let coloured = stderr.is_terminal() && colours_wanted();
    let (on, off) = if coloured {
        ("\x1b[1;31m", "\x1b[0m")
    } else {
        ("", "")
    };
    // Nothing more can be done when even this cannot be written: the exit code still tells.
    let error_text = error.to_string();
    writeln!(stderr.lock(), "{on}error:{off} {}", harmless(&error_text)).ok();
    ExitCode::from(error.exit_code())
}

/// Prints help, or what is wrong with the arguments, which it quotes.
pub fn usage(error: &clap::Error) -> ExitCode {
    let code = ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
    if error.use_stderr() {
        note(error.render().to_string().trim_end());
        return code;
    }
    match error.print() {
        Ok(()) => code,
        // Nobody reads it: as with all output.
        Err(_) => ExitCode::FAILURE,
    }
}

/// https://no-color.org: set and not empty means none.
pub fn colours_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Prints a value as JSON.
pub fn json(value: &impl Serialize) -> Result<(), CommandError> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| CommandError::Output(error.into()))?;
    verbatim(&harmless_json(&text))
}

/// Prints text to standard output.
pub fn lines(text: &str) -> Result<(), CommandError> {
    verbatim(&harmless(text))
}

/// Prints text of this program's own as it is. A reader that went away (`| head`) is no failure.
pub fn verbatim(text: &str) -> Result<(), CommandError> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{}", text.trim_end()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CommandError::Output(error)),
        _ => Ok(()),
    }
}

/// Prints a line to standard error, for people who wait.
pub fn note(text: &str) {
    // A closed standard error is nobody listening.
    writeln!(io::stderr().lock(), "{}", harmless(text)).ok();
}

/// Has a panic say what happened without whatever its message quotes moving the terminal.
pub fn tame_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        note(&format!(
            "a defect of this program ended the thread `{}`: {}; report it",
            thread.name().unwrap_or("?"),
            one_line(&panic.to_string())
        ));
        let backtrace = std::backtrace::Backtrace::capture();
        if backtrace.status() == std::backtrace::BacktraceStatus::Captured {
            note(&backtrace.to_string());
        }
    }));
}

/// Two columns, the first padded. Each row is one line, whatever it holds.
pub fn table(rows: &[(String, String)]) -> String {
    let rows: Vec<_> = rows
        .iter()
        .map(|(name, value)| (one_line(name), one_line(value)))
        .collect();
    let width = rows
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    rows.iter()
        .map(|(name, value)| format!("  {name:width$}  {value}\n"))
        .collect()
}

/// Bytes for a person.
pub fn bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// A number of files for a person.
pub fn files(files: u64) -> String {
    match files {
        1 => "1 file".to_owned(),
        many => format!("{} files", count(many)),
    }
}

/// A count with separators.
pub fn count(count: u64) -> String {
    indicatif::HumanCount(count).to_string()
}
