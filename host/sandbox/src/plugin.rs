//! The sandbox: loads destination components and runs each in an instance of its own that can do what the contract's
//! imports allow and nothing else. Knows nothing of schedules, sources or S3.

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use batch_export_system::Budget;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit};
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Cache, CacheConfig, Config, Engine};

use crate::bindings::{Destination, DestinationPre};
use crate::cache::CacheFolder;
use crate::capability::Capabilities;
use crate::capability::network::{Network, NetworkError, NetworkOptions};
use crate::clock::TICK;
use crate::contract::{Description, Interval, PACKAGE, Plan, Run, VERSION};
use crate::examine::examine;
use crate::failed::{CallError, LoadError, SandboxError};
use crate::imports::State;
use crate::limits::{GUEST_STACK_BYTES, MEMORY_BYTES, PURE_CALLS};
use crate::recent::Recent;
use crate::session::{Session, Start};

use crate::limits::Limits;

/// The place where compiled components are kept between processes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CompileCache {
    /// `batch-export` in the user's cache folder (`~/.cache` on Linux, or what `XDG_CACHE_HOME` says).
    #[default]
    UserFolder,
    /// This folder.
    Folder(PathBuf),
    /// Nowhere: every start compiles again.
    Off,
}

/// Options of a sandbox. Begin with `default()` and set what should differ.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SandboxOptions {
    /// Where compiled components are kept.
    pub compile_cache: CompileCache,
    /// What all sessions may hold together: guest memory, payloads and responses.
    pub memory_bytes: usize,
    /// Whether [`Session::instructions`] counts what guests execute, to compare costs of plugins independently of the
    /// machine. Guests are slower, and a component is compiled for this alone.
    pub count_instructions: bool,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        SandboxOptions {
            compile_cache: CompileCache::default(),
            memory_bytes: MEMORY_BYTES,
            count_instructions: false,
        }
    }
}

/// One engine for all plugins and sessions. Cheap to clone; the last clone stops the clock thread.
#[derive(Clone)]
pub struct Sandbox {
    pub(crate) engine: Engine,
    runtime: Handle,
    network: Network,
    cache_problem: Option<Arc<str>>,
    memory: Arc<Budget>,
    /// The pure exports count against no budget: so few are called at once that they need none.
    pure_calls: Arc<Semaphore>,
    /// By digest.
    components: Recent<Arc<str>, Arc<Loaded>>,
    networks: Recent<(NetworkOptions, Option<SystemTime>), Network>,
    _ticker: Arc<Ticker>,
}

/// Components that are kept in memory, and networks: a host has a few of each, and a compiled component takes tens of
/// MiB.
const KEPT: usize = 16;

/// A component that keeps to the contract, compiled and linked. Cheap to clone.
#[derive(Clone)]
pub struct Plugin {
    sandbox: Sandbox,
    loaded: Arc<Loaded>,
}

struct Loaded {
    pre: DestinationPre<State>,
    digest: Arc<str>,
    imports: Vec<String>,
}

/// The very same component, loaded by the same sandbox.
impl PartialEq for Plugin {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.loaded, &other.loaded)
    }
}

impl Eq for Plugin {}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin")
            .field("digest", &self.loaded.digest)
            .finish_non_exhaustive()
    }
}

impl Sandbox {
    /// Returns a sandbox whose requests run on this runtime, which must have more than one thread (the guest's own
    /// thread blocks, and requests go on at the same time). `network` serves the pure calls; sessions bring their own.
    pub fn new(options: &SandboxOptions, runtime: Handle, network: Network) -> Result<Self, SandboxError> {
        let (engine, cache_problem) = engine(&options.compile_cache, options.count_instructions)?;
        let ticker = Ticker::start(engine.clone())?;
        Ok(Sandbox {
            engine,
            runtime,
            network,
            cache_problem: cache_problem.map(Arc::from),
            memory: Budget::new(options.memory_bytes),
            pure_calls: Arc::new(Semaphore::new(PURE_CALLS)),
            components: Recent::new(KEPT),
            networks: Recent::new(KEPT),
            _ticker: Arc::new(ticker),
        })
    }

    /// Returns why compiled components are not kept, if they are not: in a sentence for the operator. Nothing else is
    /// wrong.
    pub fn cache_problem(&self) -> Option<&str> {
        self.cache_problem.as_deref()
    }

    /// Returns what all sessions of this sandbox may hold in memory together. Whatever else a process holds for its
    /// runs, such as the batches of their sources, counts against the same budget.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.memory
    }

    /// Returns the network with these options: the same for all who ask, until the CA file changes. Of networks that
    /// were not asked for lately a new one is made.
    pub fn network(&self, options: &NetworkOptions) -> Result<Network, NetworkError> {
        let changed = options.ca_file.as_ref();
        let changed = changed.and_then(|path| std::fs::metadata(path).ok()?.modified().ok());
        self.networks
            .get_or_make((options.clone(), changed), || Network::new(options))
    }

    /// Compiles and links a component, or returns the plugin that the same bytes gave before. Takes seconds for a large
    /// one that the compile cache does not know yet, on the calling thread; what is not a plugin, and what would take
    /// much longer, is refused before.
    pub fn load(&self, bytes: &[u8]) -> Result<Plugin, LoadError> {
        let digest: Arc<str> = hex(&Sha256::digest(bytes)).into();
        let loaded = self
            .components
            .get_or_make(Arc::clone(&digest), || self.compile(bytes, digest))?;
        Ok(Plugin {
            sandbox: self.clone(),
            loaded,
        })
    }

    fn compile(&self, bytes: &[u8], digest: Arc<str>) -> Result<Arc<Loaded>, LoadError> {
        examine(bytes)?;
        let component = Component::from_binary(&self.engine, bytes).map_err(|e| invalid(&e))?;
        let kind = component.component_type();
        let imports: Vec<String> = kind.imports(&self.engine).map(|(name, _)| name.to_owned()).collect();
        let mut linker: Linker<State> = Linker::new(&self.engine);
        let mismatch = |e: wasmtime::Error| LoadError::Mismatch(format!("{e:#}"));
        Destination::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state).map_err(mismatch)?;
        let pre = linker
            .instantiate_pre(&component)
            .and_then(DestinationPre::new)
            .map_err(mismatch)?;
        Ok(Arc::new(Loaded { pre, digest, imports }))
    }
}

impl Plugin {
    /// Returns the SHA-256 of the component's bytes, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.loaded.digest
    }

    /// Returns the sandbox that it runs in.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// Returns the component's imports by their full names, such as `batch-export:destination/http@0.1.0`.
    pub fn imports(&self) -> &[String] {
        &self.loaded.imports
    }

    /// Returns what the plugin is. Runs in a fresh instance without any grant.
    pub async fn describe(&self) -> Result<Description, CallError> {
        // `describe` takes no run; any is accepted.
        let run = Run {
            id: String::new(),
            attempt: String::new(),
            model: String::new(),
            interval: Interval {
                start_micros: None,
                end_micros: 0,
            },
        };
        let _turn = self.turn().await;
        self.pure(run, "")?.describe().await
    }

    /// Returns what a run with this configuration (a JSON object, as text) will do. Runs in a fresh instance without
    /// any grant; its log lines are dropped.
    pub async fn plan(&self, configuration: &str, run: &Run) -> Result<Plan, CallError> {
        let _turn = self.turn().await;
        self.pure(run.clone(), configuration)?.plan().await
    }

    /// Returns a fresh instance on a thread of its own, for one run. Nothing of the guest has run when this returns.
    pub fn start(
        &self,
        run: Run,
        configuration: &str,
        capabilities: Capabilities,
        limits: Limits,
    ) -> Result<Session, CallError> {
        let run_time = Some(limits.run_time);
        self.session(run, run_time, configuration, capabilities, limits)
    }

    fn session(
        &self,
        run: Run,
        run_time: Option<Duration>,
        configuration: &str,
        mut capabilities: Capabilities,
        limits: Limits,
    ) -> Result<Session, CallError> {
        let memory = capabilities.memory.take();
        Session::start(Start {
            engine: &self.sandbox.engine,
            plugin: self.loaded.pre.clone(),
            runtime: self.sandbox.runtime.clone(),
            run: crate::convert::run(run, &self.loaded.digest, run_time),
            configuration: configuration.into(),
            capabilities,
            limits,
            memory: memory.unwrap_or_else(|| Arc::clone(&self.sandbox.memory)),
        })
    }

    /// Waits until fewer pure exports are called.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed.
        self.sandbox.pure_calls.acquire().await.ok()
    }

    fn pure(&self, run: Run, configuration: &str) -> Result<Session, CallError> {
        let limits = Limits::pure();
        let memory = Budget::new(limits.held_bytes());
        let capabilities = Capabilities::none(&self.sandbox.network).with_memory(memory);
        self.session(run, None, configuration, capabilities, limits)
    }
}

/// Returns the engine, and why it keeps nothing of what it compiles, if that is so.
pub(crate) fn engine(wanted: &CompileCache, counts: bool) -> Result<(Engine, Option<String>), SandboxError> {
    let (cache, problem) = match cache(wanted) {
        Ok(cache) => (cache, None),
        Err(problem) => (None, Some(problem)),
    };
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .wasm_simd(true)
        .wasm_relaxed_simd(false)
        .epoch_interruption(true)
        .consume_fuel(counts)
        .memory_init_cow(true)
        .max_wasm_stack(GUEST_STACK_BYTES)
        .cache(cache);
    let engine = Engine::new(&config).map_err(|e| SandboxError::Engine(format!("{e:#}")))?;
    Ok((engine, problem))
}

fn cache(wanted: &CompileCache) -> Result<Option<Cache>, String> {
    let folder = match wanted {
        CompileCache::Off => return Ok(None),
        CompileCache::UserFolder => CacheFolder::of_user(),
        CompileCache::Folder(folder) => CacheFolder::at(folder),
    };
    let folder = folder.map_err(|cause| cause.in_one_text())?;
    let absolute = std::path::absolute(folder.path()).map_err(|error| error.to_string())?;
    let mut config = CacheConfig::new();
    config.with_directory(absolute);
    Cache::new(config)
        .map(Some)
        .map_err(|error| format!("compiled plugins are not kept: {error:#}"))
}

/// Checks that it is a component: its first eight bytes tell text, core modules and components apart (WebAssembly Core
/// Specification, "Modules"; Component Model, "Binary Format").
pub(crate) fn check_preamble(bytes: &[u8]) -> Result<(), LoadError> {
    match bytes {
        [b'\0', b'a', b's', b'm', _, _, 0, 0, ..] => Err(LoadError::CoreModule),
        [b'\0', b'a', b's', b'm', ..] => Ok(()),
        _ => Err(LoadError::NotWasm),
    }
}

pub(crate) fn check_exports(exports: Vec<String>) -> Result<(), LoadError> {
    let prefix = format!("{PACKAGE}/exporter@");
    let found: Vec<&str> = exports.iter().filter_map(|name| name.strip_prefix(&prefix)).collect();
    match found.as_slice() {
        versions if versions.contains(&VERSION) => Ok(()),
        [] => Err(LoadError::NoExporter { exports }),
        versions => Err(LoadError::ContractVersion {
            found: versions.join(" and "),
        }),
    }
}

pub(crate) fn check_imports(imports: &[String]) -> Result<(), LoadError> {
    let is_contracts = |name: &String| {
        ["types", "http", "signer", "journal", "log"]
            .iter()
            .any(|interface| *name == format!("{PACKAGE}/{interface}@{VERSION}"))
    };
    let names: Vec<String> = imports.iter().filter(|n| !is_contracts(n)).cloned().collect();
    match names.is_empty() {
        true => Ok(()),
        false => Err(LoadError::ExtraImports { names }),
    }
}

pub(crate) fn invalid(error: &wasmtime::Error) -> LoadError {
    LoadError::Invalid(error.root_cause().to_string())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Advances the engine's epoch on a thread of its own, which ends within a tick of this being dropped.
struct Ticker {
    _alive: std::sync::mpsc::Sender<()>,
}

impl Ticker {
    fn start(engine: Engine) -> Result<Self, SandboxError> {
        let (alive, ended) = std::sync::mpsc::channel();
        std::thread::Builder::new()
            .name("sandbox-clock".to_owned())
            .spawn(move || {
                use std::sync::mpsc::RecvTimeoutError::Timeout;
                while ended.recv_timeout(TICK) == Err(Timeout) {
                    engine.increment_epoch();
                }
            })?;
        Ok(Ticker { _alive: alive })
    }
}
