//! The sandbox: loads destination components and runs each in an instance of its own that can do what the contract's
//! imports allow and nothing else. Knows nothing of schedules, sources or files.

mod bindings;
mod cache;
pub mod capability;
mod clock;
pub mod compile;
pub mod contract;
mod convert;
pub mod credentials;
pub mod egress;
mod examine;
mod failed;
mod imports;
pub mod limits;
mod memory;
mod plugin;
mod session;

pub use cache::CacheFolder;
pub use compile::{compile_in_child, compile_key};
pub use examine::examine;
pub use failed::{CallError, Crash, LoadError, SandboxError};
pub use limits::{HttpLimits, Limits};
pub use plugin::{CompileCache, Plugin, Sandbox, SandboxOptions};
pub use session::{Canceller, Session};
