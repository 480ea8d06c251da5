//! The sandbox: loads destination components and runs each in an instance of its own that can do what the contract's
//! imports allow and nothing else. Knows nothing of schedules, sources or files.
//!
//! A host gives a run four things: grants, a network, a source of signing keys, and a journal. It supplies rows as
//! messages of an Arrow IPC stream and compares the report with what it supplied:
//!
//! ```no_run
//! use batch_export_sandbox::contract::Run;
//! use batch_export_sandbox::*;
//!
//! /// Exports the rows of one run: the stream's schema message, then its record batches.
//! async fn export(
//!     component: &[u8],
//!     configuration: &str,
//!     run: Run,
//!     schema: Vec<u8>,
//!     batches: Vec<Vec<u8>>,
//!     rows: u64,
//! ) -> Result<(), Box<dyn std::error::Error>> {
//!     let options = SandboxOptions::default();
//!     let network = Network::new(&NetworkOptions::default())?;
//!     let sandbox = Sandbox::new(&options, tokio::runtime::Handle::current(), network.clone())?;
//!     let plugin = sandbox.load(component)?;
//!
//!     // Plan, then grant: what the plan asks for, as far as the operator's policy allows it to this very run.
//!     let plan = plugin.plan(configuration, &run).await?;
//!     let fields = serde_json::from_str(configuration)?;
//!     let policy = Policy::for_run(Protocol::S3, &fields, &OperatorLists::default(), &run)?;
//!     let grants = Grants::decide(&plan.grants, &plan.signing, &policy)?;
//!     let keys = Credentials::new(&Secret::new("AKIDEXAMPLE"), Secret::new("the-secret"), None, None)?;
//!     let journal = Box::new(MemoryJournal::default());
//!     let capabilities = Capabilities::new(grants, &network, CredentialSource::Static(keys), journal);
//!
//!     let session = plugin.start(run, configuration, capabilities, Limits::default())?;
//!     session.configure(schema).await?;
//!     for batch in batches {
//!         session.encode_batch(batch).await?;
//!     }
//!     // A report is the plugin's word; the host's own count is the proof.
//!     let report = session.finish(rows).await?;
//!     assert_eq!(report.rows_received, rows);
//!     session.close().await;
//!     Ok(())
//! }
//! ```
//!
//! `examples/embed.rs` is the same with a store, and `docs/embedding.md` in the project says what each import asks of a
//! host.

#![warn(missing_docs, unreachable_pub)]

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
mod recent;
mod session;

// A component, and a run of it.
pub use plugin::{CompileCache, Plugin, Sandbox, SandboxOptions};
pub use session::{Canceller, Session};

// What a run may do.
pub use batch_export_system::Secret;
pub use capability::Capabilities;
pub use capability::journal::{Journal, MemoryJournal};
pub use capability::log::{Level, LogSink, discard as discard_log, tidy};
pub use capability::network::{Network, NetworkError, NetworkOptions, with_causes};
pub use credentials::{
    CredentialError, CredentialProvider, CredentialSource, Credentials, Fetching, KeyFault, RENEW_BEFORE_EXPIRY,
};
pub use egress::address::{AddressRefused, PrivateRule, PrivateRuleError};
pub use egress::policy::{AllowedUrl, OperatorLists, Policy, PolicyError};
pub use egress::protocol::Protocol;
pub use egress::{GrantRefused, Grants};
pub use limits::{COMPONENT_BYTES, HttpLimits, Limits, MEMORY_BYTES, NotAdmitted, USUAL_COLUMNS};

// How it went.
pub use capability::http::{Event, EventKind, Observer, Traffic, TransportError};
pub use failed::{CallError, Crash, LoadError, SandboxError};

// Requests of the host's own.
pub use capability::host::HostRequests;
pub use capability::http::{Opened, Request};
pub use capability::redact::Redactor;
pub use capability::signer::{Refresh, ScopedKey, SignerError};
pub use egress::policy::Reading;

// Compiling in another process, and looking at what is to be compiled.
pub use cache::CacheFolder;
pub use compile::{TASK as COMPILE_TASK, compile_in_child, compile_key};
pub use examine::examine;
