//! A destination: a configured place to export to. Made from parts, by a configuration file or by a program, and
//! checked as a whole. Reads no file and sends nothing.

mod checks;
mod configuration;
mod secret_text;

use std::path::PathBuf;

use crate::credentials::CredentialSettings;
use crate::failure::{Failure, FailureClass};
use crate::problem::Problem;
use batch_export_sandbox::{Limits, NetworkOptions, OperatorLists};
use batch_export_source::{ColumnChoice, SourceSettings};

pub use configuration::Configuration;
pub use secret_text::SecretText;

pub(crate) use checks::problems;

/// What a destination is made from. Name, model, source and credentials are needed; everything else has a default.
///
/// ```
/// use batch_export_runner::{CredentialSettings, Configuration, Destination, DestinationParts};
/// use batch_export_sandbox::{Credentials, Secret};
/// use batch_export_source::{Model, SourceSettings};
///
/// let fields = serde_json::json!({"bucket_name": "exports", "region": "eu-central-1"});
/// let keys = Credentials::new(&Secret::new("AKID"), Secret::new("secret"), None, None)?;
/// let destination = Destination::new(DestinationParts {
///     name: "archive".to_owned(),
///     model: "events".to_owned(),
///     configuration: Configuration::from(fields.as_object().cloned().unwrap_or_default()),
///     source: Some(SourceSettings::Sample { model: Model::Events, rows_per_hour: 1_000 }),
///     credentials: Some(CredentialSettings::Keys(keys)),
///     ..DestinationParts::default()
/// })?;
/// assert_eq!(destination.name, "archive");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct DestinationParts {
    /// Letters, digits, `-` and `_`: it is part of run ids and of names of state files.
    pub name: String,
    /// `events`, `persons`, `sessions`, or a name whose columns only the source knows.
    pub model: String,
    /// Whether a model's name is meant although it is nearly that of a known model.
    pub custom_model: bool,
    /// The plugin's fields.
    pub configuration: Configuration,
    /// The source of the rows.
    pub source: Option<SourceSettings>,
    /// The columns of the source that are exported.
    pub choice: ColumnChoice,
    /// What signs; no plugin ever sees it.
    pub credentials: Option<CredentialSettings>,
    /// When the host checks the destination by itself.
    pub check: CheckMode,
    /// What the operator allows beyond the destination's own bucket.
    pub egress: OperatorLists,
    /// How requests reach the network.
    pub network: NetworkOptions,
    /// What a run may take.
    pub limits: Limits,
    /// The component to load; `None` is the one built into this program.
    pub component: Option<PathBuf>,
}

/// A destination that is right but for the plugin's fields, which the plugin checks.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Destination {
    /// Part of run ids and of names of state files.
    pub name: String,
    /// `events`, `persons`, `sessions`, or a name whose columns only the source knows.
    pub model: String,
    /// The plugin's fields.
    pub configuration: Configuration,
    /// The source of the rows.
    pub source: SourceSettings,
    /// The columns of the source that are exported.
    pub choice: ColumnChoice,
    /// What signs; no plugin ever sees it.
    pub credentials: CredentialSettings,
    /// When the host checks the destination by itself.
    pub check: CheckMode,
    /// What the operator allows beyond the destination's own bucket.
    pub egress: OperatorLists,
    /// How requests reach the network.
    pub network: NetworkOptions,
    /// What a run may take.
    pub limits: Limits,
    /// The component to load; `None` is the one built into this program.
    pub component: Option<PathBuf>,
}

/// As much of a destination as its plugin looks at, whether the rest is right or not.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub name: String,
    pub model: String,
    pub configuration: Configuration,
}

/// When the host checks a destination by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CheckMode {
    /// Before the first run with these settings, and for every interval without rows.
    #[default]
    Automatic,
    /// Never: only `batch-export check` does.
    OnRequest,
}

impl Destination {
    /// Makes a destination, or says everything that is wrong with its parts, each by the JSON pointer of its field.
    pub fn new(parts: DestinationParts) -> Result<Self, Failure> {
        let found = problems(&parts);
        match (parts.source, parts.credentials) {
            (Some(source), Some(credentials)) if found.is_empty() => Ok(Destination {
                name: parts.name,
                model: parts.model,
                configuration: parts.configuration,
                source,
                choice: parts.choice,
                credentials,
                check: parts.check,
                egress: parts.egress,
                network: parts.network,
                limits: parts.limits,
                component: parts.component,
            }),
            _ => Err(invalid(found)),
        }
    }
}

/// Returns the failure that problems with one destination make.
pub(crate) fn invalid(problems: Vec<Problem>) -> Failure {
    Failure::with_problems(None, FailureClass::Configuration, problems)
}
