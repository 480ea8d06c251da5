//! `cargo xtask chaos`: what happens to machines, more of it than the suite does, and a disk that is full.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{self, cargo, say};
use crate::workspace::Workspace;
use crate::{build, demo, guests, setup};

/// Times that the service is killed, and that the clock jumps.
const KILLS: &str = "200";
const JUMPS: &str = "100";
/// Room for ledger and notes, little enough to fill at once.
const DISK: &str = "size=16m";

/// `cargo xtask chaos [FILTER]`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let toolchain = setup::ensure(workspace)?;
    let artifact = build::build(workspace, &toolchain)?;
    guests::build(workspace, &toolchain)?;
    let program = demo::build_program(workspace)?;
    let test = |target: &str, further: &[&str]| {
        let mut command = cargo();
        command
            .current_dir(&workspace.root)
            .env("BATCH_EXPORT_COMPONENT", &artifact.path)
            .env("BATCH_EXPORT_PROGRAM", &program)
            .env("BATCH_EXPORT_TEST_GUESTS", workspace.test_guests())
            .env("CHAOS_KILLS", KILLS)
            .env("CHAOS_JUMPS", JUMPS)
            .args(["test", "--locked", "--workspace", "--test", target, "--"])
            .args(further)
            .args(["--nocapture", "--test-threads", "1"]);
        command
    };
    say("killing, stopping and setting clocks (some ten minutes); each test prints its seed");
    let further: Vec<&str> = std::iter::once("chaos::")
        .chain(arguments.iter().map(String::as_str))
        .collect();
    process::run(&mut test("suite", &further))?;
    say("filling a disk");
    let folder = workspace.target.join("chaos-disk");
    let disk = Disk::make(&folder)?;
    process::run(test("disk", &[]).env("CHAOS_DISK", disk.0))
}

/// A small disk in memory, until it is dropped.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn make(folder: &'a Path) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let mode = format!("{DISK},mode=0700");
        let made = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &mode, "tmpfs"])
            .arg(folder)
            .status();
        match made {
            Ok(status) if status.success() => Ok(Disk(folder)),
            _ => bail!(
                "cannot make a small disk with `mount -t tmpfs`, which only root may do: run this as root, or in a \
                 container with the right to mount"
            ),
        }
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        // What stays is some MiB of memory, until the machine is started again.
        Command::new("umount").arg(self.0).status().ok();
    }
}
