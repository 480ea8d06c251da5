//! Running other programs: progress lines, and failures that name the program. Never decides what to run.

use std::ffi::OsStr;
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

/// Says what goes on, on standard error: standard output belongs to the programs that are run.
pub fn say(message: impl AsRef<str>) {
    eprintln!("xtask: {}", message.as_ref());
}

/// The cargo that runs us, so that nested calls use the same toolchain.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs to the end, output passing through; anything but success is an error.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start `{}`", line(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status}); its output is above", line(command));
    }
    Ok(())
}

/// Becomes this program where the system can, so that signals reach it and its exit code is ours; else runs it.
pub fn replace(command: &mut Command) -> Result<()> {
    #[cfg(unix)]
    {
        let error = std::os::unix::process::CommandExt::exec(command);
        Err(error).with_context(|| format!("cannot start `{}`", line(command)))
    }
    #[cfg(not(unix))]
    run(command)
}

/// Runs to the end and returns what it printed; anything but success is an error that carries its complaint.
pub fn read(command: &mut Command) -> Result<String> {
    let Output { status, stdout, stderr } = command
        .output()
        .with_context(|| format!("cannot start `{}`", line(command)))?;
    if !status.success() {
        let complaint = String::from_utf8_lossy(&stderr);
        bail!("`{}` failed ({status}): {}", line(command), complaint.trim());
    }
    String::from_utf8(stdout).with_context(|| format!("the output of `{}` is not valid UTF-8", line(command)))
}

/// The command as somebody would type it.
fn line(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}
