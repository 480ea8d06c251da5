//! A destination that is ready to export to: joined with its plugin, with the policy, the network and the credentials
//! that sessions get. Runs nothing but the plugin's pure exports.

mod fields;
mod ids;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::events::RunEvents;
use super::failure::Failure;
use super::loading::Loaded;
use super::proof;
use super::recovery;
use super::state::{Header, Origin};
use crate::config::Config;
use crate::credentials::{Chain, ChainOptions, CredentialSettings, material};
use crate::destination::{self, CheckMode, Destination};
use crate::pointer;
use crate::problem::Problem;
use batch_export_sandbox::Capabilities;
use batch_export_sandbox::CredentialSource;
use batch_export_sandbox::Journal;
use batch_export_sandbox::Network;
use batch_export_sandbox::contract::{self, Failure as PluginFailure, Plan, Run};
use batch_export_sandbox::{CallError, Limits, Plugin, Session, USUAL_COLUMNS};
use batch_export_sandbox::{GrantRefused, Grants};
use batch_export_sandbox::{Policy, PolicyError};
use batch_export_source::{
    ColumnChoice, EventFilter, Interval, LineSink, Selection, SourceFactory, SourceSettings, TimeOf, choosing,
};
use batch_export_system::Budget;
use fields::{PROTOCOL, not_texts, operator_fields, placed, properties, secret_fields};

pub use fields::SAMPLE_HOUR;
pub(crate) use fields::plan_of;
pub(crate) use ids::hexadecimal;
pub use ids::{attempt_id, run_id};

/// A destination with its plugin: what its runs are made from. Cheap to clone.
#[derive(Clone)]
pub struct Exporter {
    /// The destination's name.
    pub name: String,
    /// The model that it exports.
    pub model: String,
    /// The source of the rows.
    pub source: SourceSettings,
    /// The columns of the source that are exported.
    choice: ColumnChoice,
    /// When the host checks it by itself.
    pub check: CheckMode,
    /// What a run may take.
    pub limits: Limits,
    /// Its plugin.
    pub plugin: Plugin,
    /// What its plugin calls itself, and its version.
    plugin_name: Arc<str>,
    /// A JSON object without secrets.
    configuration: Arc<str>,
    public: Arc<Value>,
    /// The fields that the host itself goes by, as the operator wrote them.
    operator: Arc<Value>,
    destination: Arc<Destination>,
    /// What the plugin says that its largest settings and widest tables need.
    memory_limit_bytes: u64,
    properties: Arc<BTreeSet<String>>,
    siblings: Option<Arc<Siblings>>,
    /// The time by which rows belong to an interval.
    by: TimeOf,
}

/// All destinations of the configuration file that a destination is in.
struct Siblings {
    file: PathBuf,
    names: BTreeSet<String>,
}

/// Without the values of fields: variables may have put secrets into any of them.
impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter")
            .field("name", &self.name)
            .field("model", &self.model)
            .field("configuration", &self.destination.configuration)
            .finish_non_exhaustive()
    }
}

/// What sessions need beyond the configuration. Cheap to clone.
#[derive(Clone)]
pub struct Access {
    pub(crate) network: Network,
    pub(crate) credentials: CredentialSource,
}

/// What a session is made from.
pub(crate) struct SessionParts<'a> {
    pub run: &'a Run,
    pub plan: &'a Plan,
    pub access: &'a Access,
    pub memory: &'a Arc<Budget>,
    pub limits: Limits,
    pub journal: Box<dyn Journal>,
    pub events: &'a RunEvents,
}

impl Exporter {
    /// Joins a destination with its plugin.
    pub fn new(destination: &Arc<Destination>, loaded: &Loaded) -> Result<Self, Failure> {
        let properties = properties(&loaded.schema);
        let configuration = &destination.configuration;
        let (public, mistyped) = configuration.open(&secret_fields(&loaded.schema));
        let mut problems = not_texts(&mistyped);
        if let CredentialSettings::Host(options) = &destination.credentials {
            let fault = options.environment_fault(&|name| std::env::var(name).ok());
            problems.extend(fault.map(|fault| Problem::new("/credentials", fault)));
        }
        if !problems.is_empty() {
            return Err(destination::invalid(problems));
        }
        Ok(Self {
            name: destination.name.clone(),
            model: destination.model.clone(),
            source: destination.source.clone(),
            choice: destination.choice.clone(),
            check: destination.check,
            limits: destination.limits.clone(),
            plugin: loaded.plugin.clone(),
            plugin_name: format!("{} {}", loaded.description.name, loaded.description.version).into(),
            configuration: public.to_string().into(),
            public: Arc::new(public),
            operator: Arc::new(operator_fields(&configuration.open(&BTreeSet::new()).0)),
            destination: Arc::clone(destination),
            memory_limit_bytes: loaded.description.memory_limit_bytes,
            properties: Arc::new(properties),
            siblings: None,
            by: TimeOf::default(),
        })
    }

    /// Returns what opens the source for a run: with the columns that are exported, and within its memory.
    pub fn rows(&self) -> Arc<dyn SourceFactory> {
        self.logging_rows(LineSink::none())
    }

    /// Returns the same, which passes on to `log` the lines that the source has for the log of a run.
    pub(crate) fn logging_rows(&self, log: LineSink) -> Arc<dyn SourceFactory> {
        let source = self.source.logging_factory(self.limits.source_memory_bytes, log);
        choosing(source, &self.choice)
    }

    /// Sets by which time rows belong to an interval: that of their arrival unless said otherwise. What was exported by
    /// one time is read back by the same.
    #[must_use]
    pub fn selecting(mut self, by: TimeOf) -> Self {
        self.by = by;
        self
    }

    /// Sets which other destinations exist: what a run of any other destination left open no longer belongs to anyone.
    #[must_use]
    pub fn among(mut self, config: &Config) -> Self {
        let destinations = config.destinations.iter();
        self.siblings = Some(Arc::new(Siblings {
            file: config.file.clone(),
            names: destinations.map(|other| other.name.clone()).collect(),
        }));
        self
    }

    /// Returns the same destination with what its plugin was configured with earlier. Its secrets and the operator's
    /// rules are today's.
    pub(super) fn configured(&self, configuration: Value) -> Self {
        Self {
            configuration: configuration.to_string().into(),
            operator: Arc::new(operator_fields(&configuration)),
            public: Arc::new(configuration),
            ..self.clone()
        }
    }

    /// In which fields an earlier configuration differs from today's.
    pub(super) fn differing(&self, earlier: &Value) -> String {
        recovery::differing(earlier, &self.public)
    }

    /// Returns whether a destination of that name exists, as far as is known here.
    pub(super) fn knows(&self, destination: &str) -> bool {
        let siblings = self.siblings.as_ref();
        siblings.is_none_or(|siblings| siblings.names.contains(destination))
    }

    /// Returns where destinations are configured, for a message.
    pub(super) fn place_of_destinations(&self) -> String {
        match &self.siblings {
            Some(siblings) => siblings.file.display().to_string(),
            None => "the configuration".to_owned(),
        }
    }

    /// Returns the destination as it was configured.
    pub(super) fn destination(&self) -> &Arc<Destination> {
        &self.destination
    }

    /// Returns what the notes of an attempt belong to.
    pub(super) fn origin(&self, header: &Header, attempt: &str) -> Origin {
        Origin::new(header.clone(), attempt.to_owned(), Value::clone(&self.public))
    }

    /// Returns what a run will do; the plugin's problems come back with the pointers of their fields.
    pub async fn plan(&self, run: &Run) -> Result<Plan, Failure> {
        match self.plugin.plan(&self.configuration, run).await {
            Ok(plan) => Ok(plan),
            Err(CallError::Failed(PluginFailure::Config(problems))) => Err(self.placed(problems)),
            Err(other) => Err(other.into()),
        }
    }

    fn placed(&self, problems: Vec<contract::Problem>) -> Failure {
        placed(problems, &self.destination.configuration, &self.properties)
    }

    /// Returns which events the operator wants: from the configuration itself, never from what a plugin says.
    pub fn events(&self) -> Result<EventFilter, Failure> {
        EventFilter::of(&self.operator, &self.model).map_err(|error| {
            let pointer = pointer::join("", error.field);
            destination::invalid(vec![Problem::new(pointer, error.message)])
        })
    }

    /// Returns the rows of an interval that the operator wants.
    pub(crate) fn selection(&self, interval: Interval) -> Result<Selection, Failure> {
        Ok(Selection::new(interval, self.events()?).by(self.by))
    }

    /// Names the plugin in a failure that is its fault.
    pub(super) fn naming_plugin(&self, failure: Failure) -> Failure {
        use super::failure::FailureCode as Code;
        match failure.code() {
            Code::PLUGIN_CRASHED
            | Code::PLUGIN_DEFECT
            | Code::PLUGIN_OVER_LIMIT
            | Code::PLUGIN_COMPUTED_TOO_LONG
            | Code::PLAN_INVALID
            | Code::REPORT_INVALID => failure.within(&format!("plugin {}", self.plugin_name)),
            _ => failure,
        }
    }

    /// Returns the name of the bucket, for a message.
    pub(super) fn bucket_name(&self) -> &str {
        self.public["bucket_name"].as_str().unwrap_or_default()
    }

    /// Returns where one run may send and sign, by the operator's configuration alone.
    pub fn policy(&self, run: &Run) -> Result<Policy, Failure> {
        Policy::for_run(PROTOCOL, &self.operator, &self.destination.egress, run)
            .map_err(|error| self.policy_problem(error))
    }

    /// Decides with which network and credentials sessions work. Sends nothing.
    pub fn access(&self) -> Result<Access, Failure> {
        let destination = &self.destination;
        let network = self.plugin.sandbox().network(&destination.network)?;
        let credentials = match &destination.credentials {
            CredentialSettings::Keys(keys) => CredentialSource::Static(keys.clone()),
            CredentialSettings::Host(options) => {
                let options = ChainOptions {
                    region: self.public["region"].as_str().map(str::to_owned),
                    ..options.clone()
                };
                CredentialSource::Renewable(Arc::new(Chain::new(&network, options)?))
            }
        };
        Ok(Access { network, credentials })
    }

    /// Returns what sessions of an earlier configuration may reach, by today's rules and with today's credentials. The
    /// host's own credentials are today's choice for today's endpoint: an earlier one never gets them.
    pub(super) fn access_earlier(&self, earlier: &Self, now: &Access) -> Result<Access, Failure> {
        let field = "endpoint_url";
        let is_elsewhere = earlier.public[field] != self.public[field];
        if is_elsewhere && matches!(now.credentials, CredentialSource::Renewable(_)) {
            return Err(self.policy_problem(PolicyError::Field {
                field,
                message: "the endpoint was a different one then, and the host's own credentials are only used with \
                          the current one"
                    .into(),
            }));
        }
        Ok(Access {
            network: now.network.clone(),
            credentials: now.credentials.clone(),
        })
    }

    /// Checks that a plan is one that this host carries out: the operator's policy covers what it asks for, its keys
    /// are the run's own, it stays within the limits, and the event lists can be applied. Neither reads certificates
    /// nor asks for credentials.
    pub fn grants(&self, run: &Run, plan: &Plan) -> Result<(), Failure> {
        let policy = self.policy(run)?;
        self.decided(plan, &policy)?;
        proof::of_plan(plan, &policy)?;
        self.limits
            .admit(plan)
            .map_err(|error| Failure::not_admitted(&self.name, error))?;
        self.events()?;
        Ok(())
    }

    fn decided(&self, plan: &Plan, policy: &Policy) -> Result<Grants, Failure> {
        let decided = Grants::decide(&plan.grants, &plan.signing, policy);
        decided.map_err(|error| match &error {
            GrantRefused::Address(refused) => {
                let hint = refused.hint_in(&format!("[destinations.{}.egress]", self.name));
                Failure::from(error).with_hint(hint)
            }
            _ => error.into(),
        })
    }

    fn policy_problem(&self, error: PolicyError) -> Failure {
        let error = match error {
            PolicyError::Field { field, message } => PolicyError::Field {
                message: message.each(|said| self.destination.configuration.redacted(field, said)),
                field,
            },
            other => other,
        };
        Failure::policy(&self.name, error)
    }

    /// Returns the limits of a session that exports a table of so many columns: what its plan says, or what the plugin
    /// says of all where the plan does not speak of tables that wide.
    pub(crate) fn limits_of(&self, plan: &Plan, columns: usize) -> Limits {
        let mut limits = self.limits.of_plan(plan);
        if columns > USUAL_COLUMNS {
            let wide = usize::try_from(self.memory_limit_bytes).unwrap_or(usize::MAX);
            let wide = wide.min(self.limits.guest_memory_bytes);
            limits.guest_memory_bytes = limits.guest_memory_bytes.max(wide);
        }
        limits
    }

    /// Starts a fresh instance, granted what the plan asks for as far as the policy allows this very run.
    pub(crate) fn session(&self, parts: SessionParts<'_>) -> Result<Session, Failure> {
        let SessionParts {
            run,
            plan,
            access,
            memory,
            limits,
            journal,
            events,
        } = parts;
        let grants = self.decided(plan, &self.policy(run)?)?;
        let credentials = access.credentials.clone();
        let capabilities = Capabilities::new(grants, &access.network, credentials, journal)
            .with_memory(Arc::clone(memory))
            .with_log(events.log_sink())
            .with_observer(events.observer());
        Ok(self
            .plugin
            .start(run.clone(), &self.configuration, capabilities, limits)?)
    }

    /// Returns a seal of the settings and of what signs: a hash with its own key, which is the first part. It reveals
    /// nothing about a secret that cannot be guessed.
    pub fn seal(&self) -> Result<String, Failure> {
        let key = attempt_id()?;
        Ok(format!("{key} {}", self.hashed(key.as_bytes())?))
    }

    /// Returns whether nothing has changed since a seal was made: neither a setting nor a secret.
    pub fn is_sealed_by(&self, seal: &str) -> Result<bool, Failure> {
        match seal.split_once(' ') {
            Some((key, hash)) => Ok(self.hashed(key.as_bytes())? == hash),
            None => Ok(false),
        }
    }

    fn hashed(&self, key: &[u8]) -> Result<String, Failure> {
        let destination = &self.destination;
        let mut hash =
            Hmac::<Sha256>::new_from_slice(key).map_err(|_| Failure::plan("the key of a seal is empty".to_owned()))?;
        let all = Zeroizing::new(destination.configuration.open(&BTreeSet::new()).0.to_string());
        hash.update(format!("{}\n", self.name).as_bytes());
        hash.update(all.as_bytes());
        match &destination.credentials {
            CredentialSettings::Keys(keys) => {
                let token = keys.session_token.as_ref().map_or("", |token| token.expose());
                for part in [&keys.access_key_id, keys.secret_access_key.expose(), token] {
                    hash.update(format!("\n{}:", part.len()).as_bytes());
                    hash.update(part.as_bytes());
                }
            }
            CredentialSettings::Host(options) => {
                hash.update(&material(options, &|name| std::env::var(name).ok()));
            }
        }
        Ok(hexadecimal(&hash.finalize().into_bytes()))
    }

    /// Returns what identifies a run of this destination.
    pub fn header(&self, interval: Interval) -> Header {
        Header {
            destination: self.name.clone(),
            id: run_id(&self.name, &self.model, interval),
            model: self.model.clone(),
            start_micros: interval.start().map(|start| start.0),
            end_micros: interval.end().0,
        }
    }
}
