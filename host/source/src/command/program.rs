//! The program that a configuration means: a file that can be run, its folder and its environment.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use batch_export_system::explain::{Cause, plain};

use super::CommandSettings;
use crate::error::{SourceError, SourceErrorKind};
use crate::interval::Interval;

/// Returns what it is, to begin a sentence with: without its arguments, which may hold secrets.
pub(super) fn origin(settings: &CommandSettings) -> String {
    format!("the program `{}`", settings.program)
}

/// Returns the command for an interval.
pub(super) fn command(settings: &CommandSettings, interval: &Interval) -> Result<Command, SourceError> {
    let bad = |cause| SourceError::supplier(&origin(settings), cause, SourceErrorKind::Permanent);
    let program = find(settings, env::var_os("PATH")).map_err(bad)?;
    let folder = settings.working_folder();
    if !folder.is_dir() {
        let cause = Cause::new(format!("there is no folder {} to run it in", folder.display()));
        return Err(bad(cause.with_hint("correct the source's `folder`")));
    }
    let mut command = Command::new(program);
    for argument in settings.arguments.of(interval) {
        command.arg(argument.expose());
    }
    command.current_dir(folder).env_clear();
    for name in &settings.environment {
        let value = env::var_os(name).ok_or_else(|| {
            let cause = Cause::new(format!(
                "the environment variable `{name}`, which it is to be given, is not set"
            ));
            bad(cause.with_hint("set it, or remove it from the source's `environment`"))
        })?;
        command.env(name, value);
    }
    Ok(command)
}

/// Returns the error for a program that cannot be started.
pub(super) fn cannot_start(settings: &CommandSettings, error: &io::Error) -> SourceError {
    let cause = Cause::new(format!("it cannot be started: {}", plain(error)));
    let (cause, kind) = match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory | io::ErrorKind::Interrupted => (
            cause.with_hint("run it again when fewer processes are running"),
            SourceErrorKind::Transient,
        ),
        io::ErrorKind::ArgumentListTooLong => (cause.with_hint("shorten its arguments"), SourceErrorKind::Permanent),
        // The system says so of what it does not know, of scripts, and of interpreters that are not there.
        _ => (
            cause.with_hint(
                "name a program for this machine; a script begins with `#!` and its interpreter, or is an argument of \
                 its interpreter",
            ),
            SourceErrorKind::Permanent,
        ),
    };
    SourceError::supplier(&origin(settings), cause, kind)
}

/// Returns the program's file: on `PATH`, or from the configuration's folder where its name has a slash.
fn find(settings: &CommandSettings, path: Option<OsString>) -> Result<PathBuf, Cause> {
    let name = settings.program.as_str();
    if name.contains('/') {
        let file = settings.below(Path::new(name));
        return match fault(&file) {
            None => Ok(file),
            Some(fault) => Err(fault.map(|text| format!("{} {text}", file.display()))),
        };
    }
    let path = path.unwrap_or_default();
    let mut first_fault = None;
    for folder in env::split_paths(&path).filter(|folder| folder.is_absolute()) {
        let file = folder.join(name);
        match fault(&file) {
            None => return Ok(file),
            Some(fault) if file.is_file() => {
                first_fault.get_or_insert(fault.map(|text| format!("{} {text}", file.display())));
            }
            Some(_) => {}
        }
    }
    Err(first_fault.unwrap_or_else(|| {
        let hint = match name.split_once(char::is_whitespace) {
            Some((first, _)) => format!("make each argument a string of its own, as in [\"{first}\", …]"),
            None => "install it, or write its path".to_owned(),
        };
        Cause::new("it is in no folder of PATH").with_hint(hint)
    }))
}

/// Returns why a file cannot be run, for the end of a sentence that begins with its name.
fn fault(file: &Path) -> Option<Cause> {
    match fs::metadata(file) {
        Ok(found) if found.is_dir() => Some(Cause::new("is a folder").with_hint("name a program in it")),
        Ok(_) if !can_run(file) => Some(
            Cause::new("is not executable")
                .with_hint("make it executable (chmod +x), or make it an argument of its interpreter"),
        ),
        Ok(_) => None,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Some(Cause::new("does not exist").with_hint(
                "correct the path of the program; a relative path is relative to the configuration's folder",
            ))
        }
        Err(error) => {
            let cause = Cause::new(format!("cannot be looked at: {}", plain(&error)));
            Some(cause.with_hint("allow the user that runs this program to read it"))
        }
    }
}

#[cfg(unix)]
fn can_run(file: &Path) -> bool {
    rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(not(unix))]
fn can_run(_: &Path) -> bool {
    true
}
