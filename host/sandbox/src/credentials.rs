//! Where long-lived secrets come from and how they are held: redacted when printed, wiped when dropped. Nothing here
//! is ever handed to a plugin; `capability::signer` derives what it gets.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use batch_export_system::Secret;
use batch_export_system::explain::{Cause, Explain};

/// Credentials are requested again when less than this is left: a part of 32 MiB on a slow line still arrives.
pub const RENEW_BEFORE_EXPIRY: Duration = Duration::from_secs(5 * 60);

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

impl Credentials {
    /// Credentials of which every part can be what it is meant to be.
    pub fn new(
        access_key_id: &Secret,
        secret_access_key: Secret,
        session_token: Option<Secret>,
        expires: Option<SystemTime>,
    ) -> Result<Self, KeyFault> {
        let parts = [
            ("access key id", Some(access_key_id)),
            ("secret access key", Some(&secret_access_key)),
            ("session token", session_token.as_ref()),
        ];
        for (part, key) in parts {
            if let Some(fault) = key.and_then(Secret::fault_as_key) {
                return Err(KeyFault { part, fault });
            }
        }
        Ok(Credentials {
            access_key_id: access_key_id.expose().to_owned(),
            secret_access_key,
            session_token,
            expires,
        })
    }

    /// Whether they still hold after this time.
    pub fn outlast(&self, time: Duration) -> bool {
        self.expires.is_none_or(|end| end > SystemTime::now() + time)
    }
}

/// What is wrong with one part of a set of credentials; repeats nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the {part} {fault}")]
pub struct KeyFault {
    part: &'static str,
    fault: &'static str,
}

/// The reasons why there are no credentials, each with what to do about it where the source knows that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// None are configured or found, or they were refused: action required.
    #[error("{0}")]
    Missing(Cause),
    /// The source cannot be reached for now.
    #[error("{0}")]
    Unavailable(Cause),
}

impl Explain for CredentialError {
    fn hint(&self) -> Option<String> {
        match self {
            CredentialError::Missing(cause) | CredentialError::Unavailable(cause) => cause.hint(),
        }
    }
}

/// Credentials that are being asked for.
pub type Fetching<'a> = Pin<Box<dyn Future<Output = Result<Credentials, CredentialError>> + Send + 'a>>;

/// A source of credentials that can bring others when they end.
pub trait CredentialProvider: fmt::Debug + Send + Sync {
    /// Credentials other than `instead_of`, as far as the source has any. Bounded in time, and asked by all sessions
    /// that share the source.
    fn fetch<'a>(&'a self, instead_of: Option<&'a Credentials>) -> Fetching<'a>;
}

/// A source of credentials. Cheap to clone.
#[derive(Debug, Clone)]
pub enum CredentialSource {
    /// There are none: for the pure exports.
    None,
    /// Fixed ones, from the destination's configuration.
    Static(Credentials),
    /// Ones that are asked for when they are needed, and again when they end.
    Renewable(Arc<dyn CredentialProvider>),
}

impl CredentialSource {
    /// Credentials other than `instead_of`, as far as the source has any. Bounded in time.
    pub async fn fetch(&self, instead_of: Option<&Credentials>) -> Result<Credentials, CredentialError> {
        match self {
            CredentialSource::None => Err(CredentialError::Missing("this call has no credentials".into())),
            CredentialSource::Static(credentials) => Ok(credentials.clone()),
            CredentialSource::Renewable(provider) => provider.fetch(instead_of).await,
        }
    }

    /// Whether asking again can bring other credentials.
    pub fn is_renewable(&self) -> bool {
        matches!(self, CredentialSource::Renewable(_))
    }
}
