//! What a session is given, one module per WIT import. A capability knows nothing of wasmtime's store: the sandbox
//! translates between the bindings and these types.

pub(crate) mod host;
pub(crate) mod http;
pub(crate) mod journal;
pub(crate) mod log;
pub(crate) mod network;
pub(crate) mod redact;
mod resolve;
pub(crate) mod signer;

use std::sync::Arc;

use batch_export_system::Budget;

use crate::credentials::CredentialSource;
use crate::egress::Grants;
use journal::{Journal, MemoryJournal};
use log::LogSink;
use network::Network;

/// Everything that a session may use. Nothing else of the host reaches the plugin.
pub struct Capabilities {
    pub(crate) grants: Grants,
    pub(crate) network: Network,
    pub(crate) credentials: CredentialSource,
    pub(crate) journal: Box<dyn Journal>,
    pub(crate) log: LogSink,
    pub(crate) observer: Option<http::Observer>,
    /// The sandbox's own, where there is no other.
    pub(crate) memory: Option<Arc<Budget>>,
}

impl Capabilities {
    /// Returns what every run needs: what it may send and sign, TLS and proxy settings that its requests are carried
    /// with, where its signing keys come from, and where its notes are kept. Its log lines are dropped and nobody
    /// observes its requests, unless a setter says otherwise.
    pub fn new(grants: Grants, network: &Network, credentials: CredentialSource, journal: Box<dyn Journal>) -> Self {
        Capabilities {
            grants,
            network: network.clone(),
            credentials,
            journal,
            log: log::discard(),
            observer: None,
            memory: None,
        }
    }

    /// Returns capabilities for no request, no key and no note: what the pure exports get.
    pub fn none(network: &Network) -> Self {
        let journal = Box::new(MemoryJournal::default());
        Capabilities::new(Grants::none(), network, CredentialSource::None, journal)
    }

    /// Says where its log lines go.
    #[must_use]
    pub fn with_log(self, log: LogSink) -> Self {
        Capabilities { log, ..self }
    }

    /// Says who is told of each request when it leaves and when its response or error is there.
    #[must_use]
    pub fn with_observer(self, observer: http::Observer) -> Self {
        Capabilities {
            observer: Some(observer),
            ..self
        }
    }

    /// Says against which budget its memory, payloads and responses count: one that is set aside for it, rather than
    /// the sandbox's.
    #[must_use]
    pub fn with_memory(self, memory: Arc<Budget>) -> Self {
        Capabilities {
            memory: Some(memory),
            ..self
        }
    }
}
