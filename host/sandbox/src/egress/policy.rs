//! The operator's policy: where one run may send, derived from the destination's configuration, the run's model and
//! interval, and the operator's own lists. Knows no protocol itself; trusts nothing a plugin says.

use std::str::FromStr;
use std::sync::Arc;

use serde_json::Value;
use url::Url;

use super::address::{AddressPolicy, PrivateRule};
use super::pattern_covers;
use super::protocol::{Protocol, Territory};
use super::request::{check_path, decoded, origin_of};
use crate::contract::{Grant, Run, SigningScope};
use batch_export_system::explain::{Cause, Explain};

/// Where one run may send and sign.
#[derive(Debug, Clone)]
pub struct Policy {
    pub(super) protocol: Protocol,
    pub(super) territory: Territory,
    pub(super) addresses: Arc<AddressPolicy>,
}

/// What the host itself needs to read a run's keys back.
#[derive(Debug, Clone)]
pub struct Reading {
    pub(super) protocol: Protocol,
    /// Scheme, host and port.
    pub origin: String,
    /// The path under which all keys are: `/` or `/<bucket>/`.
    pub root: String,
    /// For these requests and no others.
    pub grants: Vec<Grant>,
    /// The scope to sign in.
    pub scope: SigningScope,
}

/// One origin, and the beginnings of the paths there that requests may go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) origin: String,
    /// Percent-encoded: the run's own keys, or a folder that the operator lists.
    pub(super) path_prefixes: Vec<String>,
    /// The path under which all keys are, which is not an object itself. `None` where the operator lists an address.
    pub(super) root: Option<String>,
}

impl Place {
    /// Whether every path that begins with this one is allowed. Two spellings of the same path are the same.
    pub(super) fn covers(&self, path_prefix: &str) -> bool {
        let asked = decoded(path_prefix);
        let mut prefixes = self.path_prefixes.iter();
        prefixes.any(|prefix| asked.starts_with(&decoded(prefix)))
    }

    /// Whether a path is the root itself, with or without the slash at its end.
    pub(super) fn is_root(&self, path: &str) -> bool {
        let root = self.root.as_deref();
        root.is_some_and(|root| path == root || Some(path) == root.strip_suffix('/'))
    }
}

/// What the operator lists for a destination beyond its configuration. Begin with `default()`, which lists nothing.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct OperatorLists {
    /// `allow = ["https://host:port/path-prefix"]`
    pub allow: Vec<AllowedUrl>,
    /// `allow_private = ["127.0.0.1:9000", "minio.internal", "10.0.0.0/8"]`
    pub allow_private: Vec<PrivateRule>,
}

/// One entry of `allow`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedUrl(Place);

/// The reasons why no policy could be made; the plugin's `plan` reports the configuration's other mistakes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A field that the policy is derived from.
    #[error("`{field}`: {message}")]
    Field {
        /// The field's name.
        field: &'static str,
        /// What is wrong with it.
        message: Cause,
    },
    /// An entry of `allow`.
    #[error("`allow`: `{entry}` {rule}")]
    Allow {
        /// As written.
        entry: String,
        /// What is wrong with it.
        rule: String,
    },
}

impl Explain for PolicyError {
    fn hint(&self) -> Option<String> {
        match self {
            PolicyError::Field { message, .. } => message.hint(),
            PolicyError::Allow { .. } => {
                Some("use for example \"https://proxy.internal:8443/bucket/exports/\"".to_owned())
            }
        }
    }
}

impl FromStr for AllowedUrl {
    type Err = PolicyError;

    fn from_str(entry: &str) -> Result<Self, PolicyError> {
        let refuse = |rule: String| PolicyError::Allow {
            // What is before the host may be a password.
            entry: match entry.rsplit_once('@') {
                Some((_, after)) => format!("…@{after}"),
                None => entry.to_owned(),
            },
            rule,
        };
        let url = Url::parse(entry).map_err(|e| refuse(format!("is not a URL ({e})")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refuse("is neither http nor https".to_owned()));
        }
        if url.query().is_some() || url.fragment().is_some() || has_user(&url) {
            return Err(refuse("contains more than an address and a path".to_owned()));
        }
        check_path(url.path()).map_err(|rule| refuse(format!("is refused: {rule}")))?;
        // A folder, as a prefix is: `/exports` is not to cover `/exports-of-others/`.
        let folder = match url.path() {
            folder if folder.ends_with('/') => folder.to_owned(),
            folder => format!("{folder}/"),
        };
        Ok(AllowedUrl(Place {
            origin: origin_of(&url),
            path_prefixes: vec![folder],
            root: None,
        }))
    }
}

fn has_user(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

impl AllowedUrl {
    pub(super) fn origin(&self) -> &str {
        &self.0.origin
    }
}

impl Policy {
    /// Returns the policy for one run of a destination: its own keys, where its configuration has them, and what the
    /// operator lists. Of `configuration`, a JSON object, it reads [`Protocol::fields`].
    pub fn for_run(
        protocol: Protocol,
        configuration: &Value,
        operator: &OperatorLists,
        run: &Run,
    ) -> Result<Policy, PolicyError> {
        let territory = protocol.for_run(configuration, operator, run)?;
        Ok(Policy::within(protocol, territory, operator))
    }

    /// Returns the same for all keys that begin with `head`, for a host that chooses the keys of its runs itself.
    pub fn with_head(
        protocol: Protocol,
        configuration: &Value,
        operator: &OperatorLists,
        head: &str,
    ) -> Result<Policy, PolicyError> {
        let territory = protocol.for_keys(configuration, operator, vec![head.to_owned()])?;
        Ok(Policy::within(protocol, territory, operator))
    }

    fn within(protocol: Protocol, mut territory: Territory, operator: &OperatorLists) -> Policy {
        let listed = operator.allow.iter().map(|allowed| allowed.0.clone());
        territory.places.extend(listed);
        Policy {
            protocol,
            territory,
            addresses: Arc::new(AddressPolicy::new(operator.allow_private.clone())),
        }
    }

    /// Returns what the host itself needs to read the run's keys back at an address: checked like a plugin's grants.
    /// `None` where the policy does not have the run's keys at this address.
    pub fn reading(&self, origin: &str) -> Option<Reading> {
        let mut places = self.territory.places.iter();
        let place = places.find(|place| place.origin == origin)?;
        self.protocol.reading(place, self.territory.scopes.first()?)
    }

    /// Whether the operator forbids overwriting, so that a rerun leaves an equal object as it is and sends no bytes.
    pub fn never_overwrites(&self) -> bool {
        self.territory.never_overwrites
    }

    /// Checks that a key is one of the run's own; the error is the rule that it breaks.
    pub fn check_key(&self, key: &str) -> Result<(), String> {
        check_path(&format!("/{}", self.protocol.path_of(key))).map_err(|rule| format!("which is refused: {rule}"))?;
        let heads = &self.territory.key_heads;
        if heads.iter().any(|head| key.starts_with(head.as_str())) {
            return Ok(());
        }
        Err(format!(
            "which is not one of this run's keys; those begin with `{}`",
            heads.first().map(String::as_str).unwrap_or_default()
        ))
    }

    /// Whether requests may carry every header that this pattern covers.
    pub(super) fn allows_header(&self, pattern: &str) -> bool {
        let mut known = self.protocol.headers().iter();
        known.any(|known| pattern_covers(known, pattern)) || self.territory.further_headers.contains(&pattern)
    }
}

impl Reading {
    /// Returns the percent-encoded path of a key.
    pub fn path(&self, key: &str) -> String {
        format!("{}{}", self.root, self.protocol.path_of(key))
    }
}
