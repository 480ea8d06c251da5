//! Loads a plugin: looked at first, compiled by a child process with little memory and time, kept for the next command.
//! Only asks it to describe itself.

use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::sync::OnceCell;

use super::failure::Failure;
use crate::component::Component;
use batch_export_sandbox::contract::Description;
use batch_export_sandbox::{
    CacheFolder, CompileCache, LoadError, Plugin, Sandbox, SandboxOptions, compile_in_child, compile_key, examine,
};
use batch_export_sandbox::{Network, NetworkOptions};
use batch_export_system::child;
use batch_export_system::explain::Cause;

/// A plugin that is loaded, with what it says of itself.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The plugin.
    pub plugin: Plugin,
    /// What it says of itself.
    pub description: Description,
    /// The configuration's JSON Schema.
    pub schema: Value,
}

/// Something to say while a plugin is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadingNote {
    /// A message for somebody who waits.
    Progress(String),
    /// What the operator should know, and what to do about it.
    Warning(Cause),
}

/// Where this process finds compiled code.
enum Place {
    Kept(CacheFolder),
    /// For this process only, because nothing can be kept: deleted when dropped.
    Temporary {
        folder: CacheFolder,
        _made: TempDir,
    },
    /// Nothing can be written at all.
    Nowhere,
}

impl Place {
    /// The user's cache, or another way for now; the second is why.
    fn find() -> (Self, Option<Cause>) {
        let problem = match CacheFolder::of_user() {
            Ok(folder) => return (Place::Kept(folder), None),
            Err(problem) => problem,
        };
        let temporary = tempfile::tempdir().ok().and_then(|made| {
            let folder = CacheFolder::at(made.path()).ok()?;
            Some(Place::Temporary { folder, _made: made })
        });
        (temporary.unwrap_or(Place::Nowhere), Some(problem))
    }

    fn folder(&self) -> Option<&CacheFolder> {
        match self {
            Place::Kept(folder) | Place::Temporary { folder, .. } => Some(folder),
            Place::Nowhere => None,
        }
    }
}

/// Loads components into one sandbox, which is made with the first of them.
pub(crate) struct Loader {
    memory_bytes: usize,
    ready: OnceCell<Ready>,
}

struct Ready {
    sandbox: Sandbox,
    place: Place,
    /// Why nothing is kept, where it is so.
    problem: Option<Cause>,
}

impl Loader {
    /// Returns a loader whose plugins may together use this many bytes.
    pub(crate) fn new(memory_bytes: usize) -> Self {
        Loader {
            memory_bytes,
            ready: OnceCell::new(),
        }
    }

    fn prepare(&self) -> Result<Ready, Failure> {
        let (place, problem) = Place::find();
        let mut options = SandboxOptions::default();
        options.memory_bytes = self.memory_bytes;
        options.compile_cache = match place.folder() {
            Some(folder) => CompileCache::Folder(folder.path().to_path_buf()),
            None => CompileCache::Off,
        };
        // The pure exports send nothing; each destination brings its own network for the rest.
        let network = Network::new(&NetworkOptions::default())?;
        let sandbox = Sandbox::new(&options, Handle::current(), network)?;
        Ok(Ready {
            sandbox,
            place,
            problem,
        })
    }

    /// Compiles a component, unless that was done earlier, and asks it for its description. `tell` receives lines for
    /// somebody who waits.
    pub(crate) async fn load(
        &self,
        component: &Component,
        tell: &(dyn Fn(LoadingNote) + Sync),
    ) -> Result<Loaded, Failure> {
        examine(&component.bytes).map_err(|error| Failure::load(&component.name, error))?;
        let ready = self.ready.get_or_try_init(|| async { self.prepare() });
        ready.await?.load(component, tell).await
    }
}

impl Ready {
    async fn load(&self, component: &Component, tell: &(dyn Fn(LoadingNote) + Sync)) -> Result<Loaded, Failure> {
        let failed = |error| Failure::load(&component.name, error);
        let Ready {
            sandbox,
            place,
            problem,
        } = self;
        let sandbox = sandbox.clone();
        let bytes: Arc<[u8]> = Arc::from(&*component.bytes);
        let key = compile_key(&sandbox, &bytes);
        let is_known = place.folder().is_some_and(|folder| folder.knows(&key));
        if !is_known {
            if let Some(problem) = problem {
                tell(LoadingNote::Warning(problem.clone()));
            }
            tell(LoadingNote::Progress(waiting(&component.name, bytes.len(), place)));
            if let Some(folder) = place.folder()
                && child::is_available()
            {
                compile_in_child(folder.path(), &bytes).await.map_err(failed)?;
            }
        }
        // What a child compiled is only read here.
        let loading = tokio::task::spawn_blocking(move || sandbox.load(&bytes));
        let plugin = loading
            .await
            .unwrap_or_else(|error| Err(LoadError::Compiler(error.to_string())))
            .map_err(failed)?;
        if let Some(folder) = place.folder()
            && !is_known
        {
            folder.remember(&key);
        }
        let described = plugin.describe().await.map_err(Failure::from);
        let within = format!("cannot load {}", component.name);
        let description = described.map_err(|failure| failure.within(&within))?;
        let schema = serde_json::from_str(&description.configuration_schema)
            .map_err(|error| Failure::description(&component.name, error))?;
        Ok(Loaded {
            plugin,
            description,
            schema,
        })
    }
}

/// Tenths of core-seconds that compiling a MiB of a plugin takes, measured on the S3 destination, for a message only:
/// for development the compiler itself is compiled with fewer optimisations.
const CORE_TENTHS_PER_MIB: usize = if cfg!(debug_assertions) { 40 } else { 12 };

fn waiting(name: &str, bytes: usize, place: &Place) -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mib = bytes.div_ceil(1 << 20);
    let seconds = (mib * CORE_TENTHS_PER_MIB).div_ceil(10 * cores);
    let kept = match place {
        Place::Kept(folder) => format!("the first time; kept in {}", folder.path().display()),
        Place::Temporary { .. } | Place::Nowhere => "each time".to_owned(),
    };
    format!("compiling {name}, about {seconds} s {kept}")
}
