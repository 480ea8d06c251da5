//! What a session is given, one module per WIT import. A capability knows nothing of wasmtime's store: the sandbox
//! translates between the bindings and these types.

pub mod http;
pub mod journal;
pub mod log;
pub mod network;
pub mod redact;
mod resolve;
pub mod signer;

use crate::credentials::CredentialSource;
use crate::egress::Grants;
use journal::{Journal, MemoryJournal};
use log::LogSink;
use network::Network;

/// Everything that a session may use. Nothing else of the host reaches the plugin.
pub struct Capabilities {
    /// What it may send and sign.
    pub grants: Grants,
    /// TLS and proxy settings that its requests are carried with.
    pub network: Network,
    /// Where its signing keys come from.
    pub credentials: CredentialSource,
    /// Where its notes are kept.
    pub journal: Box<dyn Journal>,
    /// Where its log lines go.
    pub log: LogSink,
    /// Told of each request when it leaves and when it is answered.
    pub observer: Option<http::Observer>,
}

impl Capabilities {
    /// No request, no key, no note; log lines go to `log`. What the pure exports get.
    pub fn none(network: &Network, log: LogSink) -> Self {
        Capabilities {
            grants: Grants::none(),
            network: network.clone(),
            credentials: CredentialSource::None,
            journal: Box::new(MemoryJournal::default()),
            log,
            observer: None,
        }
    }
}
