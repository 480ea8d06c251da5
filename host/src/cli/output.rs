//! How outcomes are shown: JSON or lines on standard output, one message on standard error. Colours only where a
//! person looks.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use serde::Serialize;

use super::error::CommandError;

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
    writeln!(stderr.lock(), "{on}error:{off} {error}").ok();
    ExitCode::from(error.exit_code())
}

/// https://no-color.org: set and not empty means none.
pub fn colours_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Prints a value as JSON.
pub fn json(value: &impl Serialize) -> Result<(), CommandError> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| CommandError::Output(error.into()))?;
    lines(&text)
}

/// Prints text to standard output. A reader that went away (`| head`) is no failure.
pub fn lines(text: &str) -> Result<(), CommandError> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{}", text.trim_end()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CommandError::Output(error)),
        _ => Ok(()),
    }
}

/// Prints a line to standard error, for people who wait.
pub fn note(text: &str) {
    // A closed standard error is nobody listening.
    writeln!(io::stderr().lock(), "{text}").ok();
}

/// Two columns, the first padded.
pub fn table(rows: &[(String, String)]) -> String {
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
