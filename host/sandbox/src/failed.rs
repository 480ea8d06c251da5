//! Why a component was not loaded or a call has no result, in sentences that name the limit and the way out.

use std::time::Duration;

use super::contract::{Failure, PACKAGE, VERSION};
use crate::{AddressRefused, GrantRefused, NetworkError, PolicyError};
use batch_export_system::explain::{Explain, divided};

/// Why bytes are not a plugin that this host can run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The bytes do not begin like WebAssembly.
    #[error(
        "not a WebAssembly file: it does not begin with `\\0asm`; give the path of a destination component such as s3_destination.wasm"
    )]
    NotWasm,
    /// A core module.
    #[error(
        "a core WebAssembly module, not a component; turn it into one with `cargo xtask build` or `wasm-tools component new`"
    )]
    CoreModule,
    /// A component that does not pass validation, or that uses a proposal this host does not run.
    #[error("the component cannot be compiled: {0}; rebuild it; the file may be corrupt or truncated")]
    Invalid(String),
    /// It is built to keep a compiler busy, or is not a plugin at all.
    #[error(
        "the component has {found} {what}, and the limit is {limit}: no plugin needs that many, and compiling it could take very long; build it with optimisation for size, or split it up"
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
        "the component was not compiled ({ended}): compiling it may take {seconds} s on one processor and {} MiB of memory, which is several times what a plugin needs; build it with optimisation for size", .memory_bytes >> 20
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
    #[error("the compiler could not be run: {0}; try again, and report it if it happens again")]
    Compiler(String),
    /// The right export of a contract version that this host does not speak.
    #[error(
        "the component implements contract {PACKAGE} {found}, this host supports {VERSION}; use a plugin built for {VERSION}, or a host that supports {found}"
    )]
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
    #[error("the component imports {}, which the contract {PACKAGE} {VERSION} does not provide; build it without WASI (target wasm32-unknown-unknown) and with the contract's imports only", list(.names))]
    ExtraImports {
        /// Every import that is not the contract's.
        names: Vec<String>,
    },
    /// Names match the contract, types do not.
    #[error(
        "the component's interfaces differ from contract {PACKAGE} {VERSION}: {0}; build it from the released `wit/`"
    )]
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
        "ran out of memory: it asked for {wanted_bytes} bytes, the limit is {limit_bytes}; raise `guest_memory_mb`, or lower the plugin's part or row size"
    )]
    OutOfMemory {
        /// What it asked for in all.
        wanted_bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// All runs of this host together hold as much memory as they may.
    #[error(
        "found no room in memory: all runs of this host together hold the {limit_bytes} bytes that they may (`memory_bytes`); run it again when fewer run"
    )]
    Crowded {
        /// What they may hold.
        limit_bytes: usize,
    },
    /// It computed for longer than allowed.
    #[error("computed for longer than {} s in one call; raise `compute_time_s` if the plugin is honest and the machine slow", .limit.as_secs_f64())]
    ComputeTime {
        /// The limit for one call.
        limit: Duration,
    },
    /// It waited for longer than allowed.
    #[error("waited for longer than {} s in one call; raise `waiting_time_s` if the destination is that slow", .limit.as_secs_f64())]
    WaitingTime {
        /// The limit for one call.
        limit: Duration,
    },
    /// It went over another limit of the contract, such as bytes in payloads.
    #[error("went over a limit of its sandbox: {0}")]
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
    #[error("returned nothing because its thread ended, which is a fault of this host; report it")]
    Lost,
}

impl Explain for LoadError {}
impl Explain for SandboxError {}
impl Explain for AddressRefused {}
impl Explain for GrantRefused {}
impl Explain for PolicyError {}
impl Explain for NetworkError {}

impl Explain for CallError {
    fn message(&self) -> String {
        match self {
            CallError::Failed(Failure::Defect(text)) => divided(text).0.to_owned(),
            other => divided(&other.to_string()).0.to_owned(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            CallError::Failed(Failure::Defect(_))
            | CallError::Crashed {
                cause: Crash::Panic(_) | Crash::Trap(_),
                ..
            } => Some("report it: this is a defect of the plugin or of this host".to_owned()),
            // Each problem has its own, and so does what it allows.
            CallError::Failed(Failure::Config(_)) => None,
            other => divided(&other.to_string()).1.map(str::to_owned),
        }
    }
}
