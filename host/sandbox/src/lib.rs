//! The sandbox: loads destination components and runs each in an instance of its own that can do what the contract's
//! imports allow and nothing else. Knows nothing of schedules, sources or files.

mod bindings;
mod cache;
mod capability;
mod clock;
mod compile;
pub mod contract;
mod convert;
mod credentials;
mod egress;
mod examine;
mod failed;
mod imports;
mod limits;
mod memory;
mod plugin;
mod session;

pub use cache::CacheFolder;
pub use capability::Capabilities;
pub use capability::http::{Event, EventKind, Http, Observer, Opened, Request, TransportError};
pub use capability::journal::{FileJournal, Journal, MemoryJournal, Notes, read_notes};
pub use capability::log::{Level, LogSink, discard as discard_log, tidy};
pub use capability::network::{Network, NetworkError, NetworkOptions, with_causes};
pub use capability::redact::Redactor;
pub use capability::signer::{Refresh, ScopedKey, Signer};
pub use compile::{TASK as COMPILE_TASK, compile_in_child, compile_key};
pub use credentials::{
    CredentialError, CredentialProvider, CredentialSource, Credentials, Fetching,
    RENEW_BEFORE_EXPIRY, Secret,
};
pub use egress::address::AddressRefused;
pub use egress::policy::{AllowedUrl, OperatorLists, Policy, PolicyError, Reading};
pub use egress::protocol::Protocol;
pub use egress::{GrantRefused, Grants};
pub use examine::examine;
pub use failed::{CallError, Crash, LoadError, SandboxError};
pub use limits::{COMPONENT_BYTES, HttpLimits, Limits, MEMORY_BYTES};
pub use plugin::{CompileCache, Plugin, Sandbox, SandboxOptions};
pub use session::{Canceller, Session};
