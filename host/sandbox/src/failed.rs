//! Why a component was not loaded or a call has no result, in sentences that name the limit and the way out.

use std::time::Duration;

use super::contract::{Failure, PACKAGE, REPORT, VERSION};
use batch_export_system::explain::{Explain, count};

/// Why bytes are not a plugin that this host can run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The bytes do not begin like WebAssembly.
    #[error("not a WebAssembly file: it does not begin with `\\0asm`")]
    NotWasm,
    /// A core module.
    #[error("a core WebAssembly module, not a component")]
    CoreModule,
    /// A component that does not pass validation, or that uses a proposal this host does not run.
    #[error("the component cannot be compiled: {0}")]
    Invalid(String),
    /// It is built to keep a compiler busy, or is not a plugin at all.
    #[error(
        "the component has {} {what}, and the limit is {}: no plugin needs that many, and compiling it could take very long",
        count(*found),
        count(*limit)
    )]
    OverLimit {
        /// What there is too much of.
        what: &'static str,
        /// How much of it was found before the rest was not looked at.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// Compiling it used up its time or memory.
    #[error(
        "the component was not compiled ({ended}): compiling it may take {} s on one processor and {} MiB of memory, which is several times what a plugin needs",
        count(*seconds),
        count(*memory_bytes >> 20)
    )]
    TookTooMuch {
        /// How the compiling process ended.
        ended: String,
        /// The limit.
        seconds: u64,
        /// The limit.
        memory_bytes: u64,
    },
    /// No fault of the component's.
    #[error("the compiler could not be run: {0}")]
    Compiler(String),
    /// The right export of a contract version that this host does not speak.
    #[error("the component implements contract {PACKAGE} {found}, but this host supports {VERSION}")]
    ContractVersion {
        /// The version in the component's export.
        found: String,
    },
    /// A component, but of something else.
    #[error("the component exports no `{PACKAGE}/exporter@{VERSION}`, so it is not a destination plugin; it exports {}", list(.exports))]
    NoExporter {
        /// What it exports instead.
        exports: Vec<String>,
    },
    /// It wants more than the contract gives.
    #[error("the component imports {}, which the contract {PACKAGE} {VERSION} does not provide", list(.names))]
    ExtraImports {
        /// Every import that is not the contract's.
        names: Vec<String>,
    },
    /// Names match the contract, types do not.
    #[error("the component's interfaces differ from contract {PACKAGE} {VERSION}: {0}")]
    Mismatch(String),
}

fn list(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        names => names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", "),
    }
}

/// Why a sandbox could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// wasmtime refused its settings, or the machine lacks something that it needs.
    #[error("the WebAssembly engine cannot start on this machine: {0}")]
    Engine(String),
    /// No thread for the ticker.
    #[error("the sandbox's clock thread cannot start: {0}")]
    Thread(#[from] std::io::Error),
}

/// Why a call into the plugin has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The plugin said why: the contract's cases.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The instance is gone: it can never be entered again; a fresh one's `recover` cleans up from its notes.
    #[error("the plugin's `{export}` {cause}")]
    Crashed {
        /// The export in which it happened.
        export: &'static str,
        /// What happened.
        cause: Crash,
    },
}

/// How an instance ended before its time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Crash {
    /// Memory growth was refused, and the guest could not go on.
    #[error(
        "ran out of memory: it asked for {} bytes, and the limit is {}",
        count(*wanted_bytes as u64),
        count(*limit_bytes as u64)
    )]
    OutOfMemory {
        /// What it asked for in all.
        wanted_bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// All runs of this host together hold as much memory as they may.
    #[error(
        "found no free memory: all runs of this host together already use the {} bytes that are allowed \
         (`memory_bytes`)",
        count(*limit_bytes as u64)
    )]
    Crowded {
        /// What they may hold.
        limit_bytes: usize,
    },
    /// It computed for longer than allowed.
    #[error("computed for longer than {} s in one call", .limit.as_secs_f64())]
    ComputeTime {
        /// The limit for one call.
        limit: Duration,
    },
    /// It waited for longer than allowed.
    #[error("waited for longer than {} s in one call", .limit.as_secs_f64())]
    WaitingTime {
        /// The limit for one call.
        limit: Duration,
    },
    /// It went over another limit of the contract, such as bytes in payloads.
    #[error("exceeded a limit of its sandbox: {0}")]
    OverLimit(String),
    /// The plugin panicked; the text is what its panic hook logged.
    #[error("panicked: {0}")]
    Panic(String),
    /// Another trap.
    #[error("trapped: {0}")]
    Trap(String),
    /// The host cancelled the run, or dropped the session.
    #[error("was cancelled")]
    Cancelled,
    /// The instance could not be made, or its thread not be started.
    #[error("could not start: {0}")]
    Start(String),
    /// The session's thread ended without a result: a fault of this host.
    #[error("returned nothing because its thread ended, which is a bug in this host")]
    Lost,
}

impl Explain for LoadError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            LoadError::NotWasm => "specify a destination component such as s3_destination.wasm",
            LoadError::CoreModule => "turn it into a component with `cargo xtask build` or `wasm-tools component new`",
            LoadError::Invalid(_) => "rebuild it; the file may be corrupt or truncated",
            LoadError::OverLimit { .. } => "build it with optimisation for size, or split it up",
            LoadError::TookTooMuch { .. } => "build it with optimisation for size",
            LoadError::Compiler(_) => "try again, and report the problem if it persists",
            LoadError::ContractVersion { found } => {
                return Some(format!(
                    "use a plugin built for {VERSION}, or a host that supports {found}"
                ));
            }
            LoadError::NoExporter { .. } => "specify a destination plugin",
            LoadError::ExtraImports { .. } => {
                "build it without WASI (target wasm32-unknown-unknown) and with the contract's imports only"
            }
            LoadError::Mismatch(_) => "build it from the released `wit/`",
        };
        Some(hint.to_owned())
    }
}

impl Explain for SandboxError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            SandboxError::Engine(_) => "run it on a machine and in a container that WebAssembly engines support",
            SandboxError::Thread(_) => "let this process start more threads",
        };
        Some(hint.to_owned())
    }
}

impl Explain for Crash {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Crash::OutOfMemory { .. } => "raise `guest_memory_mb`, or lower the plugin's part or row size",
            Crash::Crowded { .. } => "run it again when fewer runs are in progress",
            Crash::ComputeTime { .. } => "raise `compute_time_s` if you trust the plugin and the machine is slow",
            Crash::WaitingTime { .. } => "raise `waiting_time_s` if the destination is that slow",
            Crash::OverLimit(_) => "choose settings that need less, or report it to the plugin's author",
            Crash::Panic(_) | Crash::Trap(_) => REPORT,
            Crash::Cancelled => return None,
            Crash::Start(_) => "check that this machine has memory and threads left",
            Crash::Lost => "report it",
        };
        Some(hint.to_owned())
    }
}

impl Explain for CallError {
    fn message(&self) -> String {
        match self {
            CallError::Crashed { .. } => self.to_string(),
            CallError::Failed(failure) => failure.message(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            CallError::Crashed { cause, .. } => cause.hint(),
            CallError::Failed(failure) => failure.hint(),
        }
    }
}
