//! Makes sure that what building needs is there: installs it where that needs no question, else stops with the exact
//! command. Never asks, and never uses `sudo` by itself.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::process::{self, say};
use crate::workspace::{WASM_TARGET, Workspace};

/// A C file that needs the compiler's own headers and its wasm back end, and nothing else: what zstd needs.
const PROBE: &str = "#include <stddef.h>\nsize_t probe(void) { return sizeof(max_align_t); }\n";

/// Compilers that may know WebAssembly where the first `clang` in PATH does not, or there is none: Debian's package and
/// Homebrew's.
const CLANGS: &[&str] = &[
    "clang",
    "/usr/bin/clang",
    "/opt/homebrew/opt/llvm/bin/clang",
    "/usr/local/opt/llvm/bin/clang",
];

/// The tools that a component is built with.
pub struct Toolchain {
    /// A clang that compiles for wasm32.
    pub clang: PathBuf,
    /// rustc's own folder.
    pub sysroot: PathBuf,
    /// The commit that rustc and std were built from, under which std's sources are known.
    pub rustc_commit: String,
}

/// `cargo xtask setup`.
pub fn run(workspace: &Workspace, _arguments: &[String]) -> Result<()> {
    let toolchain = ensure(workspace)?;
    say(format!(
        "ready: target {WASM_TARGET} in {}, C compiler {}",
        toolchain.sysroot.display(),
        toolchain.clang.display()
    ));
    Ok(())
}

/// Installs what is missing, or says how.
pub fn ensure(workspace: &Workspace) -> Result<Toolchain> {
    let rustc = || {
        let mut command = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        command.current_dir(&workspace.root);
        command
    };
    let sysroot = PathBuf::from(process::read(rustc().args(["--print", "sysroot"]))?.trim());
    let version = process::read(rustc().arg("-vV"))?;
    let rustc_commit = version
        .lines()
        .find_map(|line| line.strip_prefix("commit-hash: "))
        .context("`rustc -vV` does not name a commit")?
        .to_owned();
    ensure_wasm_target(workspace, &sysroot)?;
    Ok(Toolchain {
        clang: ensure_clang()?,
        sysroot,
        rustc_commit,
    })
}

fn ensure_wasm_target(workspace: &Workspace, sysroot: &Path) -> Result<()> {
    let installed = sysroot.join("lib/rustlib").join(WASM_TARGET).join("lib");
    if installed.is_dir() {
        return Ok(());
    }
    say(format!(
        "adding the Rust target {WASM_TARGET} with rustup (about 20 MB)"
    ));
    let mut command = Command::new("rustup");
    command
        .args(["target", "add", WASM_TARGET])
        .current_dir(&workspace.root);
    process::run(&mut command).with_context(|| {
        format!(
            "the Rust target {WASM_TARGET} is missing and `rustup target add {WASM_TARGET}` did not add it; \
             install Rust by rustup (https://rustup.rs), or add that target by the means of your Rust's packager"
        )
    })
}

fn ensure_clang() -> Result<PathBuf> {
    if let Some(clang) = find_clang() {
        return Ok(clang);
    }
    if can_apt() {
        say("installing clang with apt-get (zstd is C code; about 350 MB on disk, a minute or two)");
        apt_install(&["clang"])?;
        return find_clang().context(
            "clang is installed but cannot compile for wasm32, or is not where it is looked for (PATH and /usr/bin); \
             specify another one: `CC_wasm32_unknown_unknown=clang-19 cargo xtask …`",
        );
    }
    bail!(
        "a clang that compiles for WebAssembly is missing (the zstd codec is C code). Install it with\n\n    {}\n\n\
         and run the same command again; another clang can be named in CC_wasm32_unknown_unknown",
        remedy()
    )
}

/// The first compiler that works: the one named in the environment alone, else the usual ones.
fn find_clang() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("CC_wasm32_unknown_unknown") {
        return Some(PathBuf::from(named)).filter(|clang| compiles_for_wasm(clang));
    }
    CLANGS.iter().map(PathBuf::from).find(|clang| compiles_for_wasm(clang))
}

/// Apple's own clang, for one, has no WebAssembly back end: asking for a version would not tell.
fn compiles_for_wasm(clang: &Path) -> bool {
    let compile = || -> std::io::Result<bool> {
        let mut child = Command::new(clang)
            .args(["--target=wasm32-unknown-unknown", "-msimd128", "-x", "c"])
            .args(["-c", "-o", "-", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(PROBE.as_bytes())?;
        }
        Ok(child.wait()?.success())
    };
    compile().unwrap_or(false)
}

/// Whether Debian's package manager can be used without a question.
pub fn can_apt() -> bool {
    Path::new("/etc/debian_version").exists()
        && process::read(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

/// Installs Debian's packages of these names.
pub fn apt_install(packages: &[&str]) -> Result<()> {
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    process::run(apt().args(["update", "-qq"]))?;
    let install = ["install", "-y", "-qq", "--no-install-recommends"];
    // The package manager's long list is not the command's own output, which may be read by a program.
    process::run(apt().args(install).args(packages).stdout(Stdio::null()))
}

/// The command for this system, by the files that tell distributions apart.
fn remedy() -> &'static str {
    if cfg!(target_os = "macos") {
        return "brew install llvm        (Apple's own clang does not support WebAssembly)";
    }
    let families = [
        (
            "/etc/debian_version",
            "sudo apt-get install -y --no-install-recommends clang",
        ),
        ("/etc/fedora-release", "sudo dnf install -y clang"),
        ("/etc/redhat-release", "sudo dnf install -y clang"),
        ("/etc/alpine-release", "sudo apk add clang"),
        ("/etc/arch-release", "sudo pacman -S --needed clang"),
    ];
    families
        .into_iter()
        .find(|(file, _)| Path::new(file).exists())
        .map_or("your package manager: the package is called clang", |(_, command)| {
            command
        })
}
