//! Requests of the host's own, such as reading back what a run wrote: through the very grants, addresses and checks
//! that a plugin's requests go through. Follows nothing and repeats nothing.

use batch_export_system::Budget;
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use super::http::{Http, Observer, Opened, Request, TransportError};
use super::network::{Network, NetworkError};
use super::redact::Redactor;
use super::signer::{Refresh, ScopedKey, Signer, SignerError};
use crate::contract::SigningScope;
use crate::credentials::CredentialSource;
use crate::egress::Grants;
use crate::limits::HttpLimits;

/// A host's own way out, with the limits of one session of a plugin.
pub struct HostRequests {
    http: Http,
    signer: Mutex<Signer>,
}

impl HostRequests {
    /// Returns a way out for these grants. Opens no connection. The requests run on this runtime.
    pub fn new(
        network: &Network,
        grants: Grants,
        credentials: CredentialSource,
        runtime: Handle,
    ) -> Result<Self, NetworkError> {
        // Bodies are read piece by piece, so nothing of them is held.
        let held = Budget::new(0);
        let limits = HttpLimits::default();
        let http = Http::new(network, grants.clone(), limits, runtime, held, None)?;
        let signer = Signer::new(credentials, grants, http.server_date(), http.redactor());
        Ok(HostRequests {
            http,
            signer: Mutex::new(signer),
        })
    }

    /// Says who is told of each request when it leaves and when its response or error is there.
    #[must_use]
    pub fn with_observer(mut self, observer: Observer) -> Self {
        self.http = self.http.with_observer(observer);
        self
    }

    /// Returns the key to sign the next request with, as far as the scope is granted.
    pub async fn scoped_key(&self, scope: &SigningScope, refresh: Refresh) -> Result<ScopedKey, SignerError> {
        let mut signer = self.signer.lock().await;
        signer.scoped_key(&scope.service, &scope.region, refresh).await
    }

    /// Sends a request, as far as a grant covers it, and returns the beginning of its response.
    pub async fn send(&self, request: Request) -> Result<Opened, TransportError> {
        self.http.open(request).await
    }

    /// Hides secrets in texts that quote what an object holds; all else that comes back has none.
    pub fn redactor(&self) -> Redactor {
        self.http.redactor()
    }
}
