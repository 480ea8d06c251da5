//! Where long-lived secrets come from and how they are held: redacted when printed, wiped when dropped. Nothing here
//! is ever handed to a plugin; `capability::signer` derives what it gets.

mod chain;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use zeroize::Zeroizing;

pub use chain::{AssumeRole, Chain, ChainOptions};

/// A text that is never printed and is wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Take a secret over.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(Zeroizing::new(text.into()))
    }

    /// The secret itself: to derive from or to sign with, never to print.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// One set of credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The public part.
    pub access_key_id: String,
    /// The secret part.
    pub secret_access_key: Secret,
    /// Of temporary credentials.
    pub session_token: Option<Secret>,
    /// When they end, as far as known.
    pub expires: Option<SystemTime>,
}

/// Why there are no credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// None are configured or found, or they were refused: a person must act.
    #[error("{0}")]
    Missing(String),
    /// The source cannot be reached for now.
    #[error("{0}")]
    Unavailable(String),
}

/// Where credentials come from. Cheap to clone.
#[derive(Debug, Clone)]
pub enum CredentialSource {
    /// There are none: for the pure exports.
    None,
    /// Fixed ones, from the destination's configuration.
    Static(Credentials),
    /// AWS's own chain: environment, profile files, web identity, container and instance metadata, and a role on top.
    Chain(Arc<Chain>),
}

impl CredentialSource {
    /// The keys of a destination's configuration (`aws_access_key_id`, `aws_secret_access_key`,
    /// `aws_session_token`), or `None` when it has neither key, so that the chain is meant. Empty is absent.
    pub fn from_keys(
        access_key_id: Option<&Secret>,
        secret_access_key: Option<&Secret>,
        session_token: Option<&Secret>,
    ) -> Result<Option<Self>, CredentialError> {
        let filled = |s: Option<&Secret>| s.filter(|s| !s.expose().is_empty()).cloned();
        match (filled(access_key_id), filled(secret_access_key)) {
            (None, None) => Ok(None),
            (Some(id), Some(secret_access_key)) => {
                Ok(Some(CredentialSource::Static(Credentials {
                    access_key_id: id.expose().to_owned(),
                    secret_access_key,
                    session_token: filled(session_token),
                    expires: None,
                })))
            }
            (Some(_), None) => Err(half("aws_secret_access_key", "aws_access_key_id")),
            (None, Some(_)) => Err(half("aws_access_key_id", "aws_secret_access_key")),
        }
    }

    /// Ask the source, without any cache. Bounded in time.
    pub async fn fetch(&self) -> Result<Credentials, CredentialError> {
        match self {
            CredentialSource::None => Err(CredentialError::Missing(
                "this call has no credentials".to_owned(),
            )),
            CredentialSource::Static(credentials) => Ok(credentials.clone()),
            CredentialSource::Chain(chain) => chain.fetch().await,
        }
    }

    /// Whether asking again can bring other credentials.
    pub fn is_renewable(&self) -> bool {
        matches!(self, CredentialSource::Chain(_))
    }
}

fn half(missing: &str, present: &str) -> CredentialError {
    CredentialError::Missing(format!(
        "the configuration has `{present}` but no `{missing}`; give both, or neither to use the host's credential chain"
    ))
}
