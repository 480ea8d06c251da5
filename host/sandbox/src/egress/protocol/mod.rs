//! The protocols that a run may speak, one file each. The operator's host chooses one for a destination; nothing that a
//! plugin says of itself has a part in it. Judges no request: it says what there is to allow.

mod s3;

use std::collections::BTreeSet;

use http::Method;
use serde_json::Value;

use super::policy::{OperatorLists, Place, PolicyError, Reading};
use crate::contract::{Run, SigningScope};

/// A protocol that requests of a run are checked by: how a destination's configuration becomes addresses and keys, and
/// which methods, query keys and headers an export needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Protocol {
    /// Amazon S3's, which many other stores speak too.
    #[default]
    S3,
}

/// What a protocol derives from a destination's configuration and a run.
#[derive(Debug, Clone)]
pub(super) struct Territory {
    pub(super) places: Vec<Place>,
    pub(super) scopes: Vec<SigningScope>,
    /// What every key of the run begins with.
    pub(super) key_heads: Vec<String>,
    /// Headers that are allowed because the configuration asks for what they do.
    pub(super) further_headers: Vec<&'static str>,
    /// The operator forbids overwriting.
    pub(super) never_overwrites: bool,
}

/// A kind of request that an export may need.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) method: &'static str,
    /// Exactly these keys.
    pub(super) query: &'static [&'static str],
    pub(super) reaches: Reaches,
}

/// What an operation acts on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reaches {
    /// What lies under one of the run's keys.
    Keys,
    /// The root of all keys, to list those that begin with what this query key says.
    Root { prefix_key: &'static str },
}

impl Protocol {
    /// Returns the fields of a destination that the host itself goes by, whatever the plugin's schema says of them.
    pub fn fields(self) -> &'static [&'static str] {
        match self {
            Protocol::S3 => &s3::FIELDS,
        }
    }

    pub(super) fn for_run(
        self,
        configuration: &Value,
        operator: &OperatorLists,
        run: &Run,
    ) -> Result<Territory, PolicyError> {
        match self {
            Protocol::S3 => s3::for_run(configuration, operator, run),
        }
    }

    pub(super) fn for_keys(
        self,
        configuration: &Value,
        operator: &OperatorLists,
        key_heads: Vec<String>,
    ) -> Result<Territory, PolicyError> {
        match self {
            Protocol::S3 => s3::for_keys(configuration, operator, key_heads),
        }
    }

    pub(super) fn operation(self, method: &Method, query: &BTreeSet<String>) -> Option<&'static Operation> {
        let operations: &'static [Operation] = match self {
            Protocol::S3 => &s3::OPERATIONS,
        };
        operations.iter().find(|operation| {
            operation.method == method.as_str()
                && operation.query.len() == query.len()
                && operation.query.iter().all(|key| query.contains(*key))
        })
    }

    /// Patterns of the headers that its operations carry. A trailing `*` covers every ending.
    pub(super) fn headers(self) -> &'static [&'static str] {
        match self {
            Protocol::S3 => &s3::HEADERS,
        }
    }

    /// Returns the path that stands for a key, relative to the root of all keys.
    pub(super) fn path_of(self, key: &str) -> String {
        match self {
            Protocol::S3 => s3::encoded(key),
        }
    }

    pub(super) fn reading(self, place: &Place, scope: &SigningScope) -> Option<Reading> {
        match self {
            Protocol::S3 => s3::reading(place, scope),
        }
    }
}
