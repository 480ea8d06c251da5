//! A destination joined with its plugin: the configuration without its secrets, the policy, the network and the
//! credentials that sessions get. Runs nothing but the plugin's pure exports.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::events::RunEvents;
use super::failure::{Failure, FailureClass, FailureCode};
use super::loading::Loaded;
use super::proof;
use super::recovery;
use super::state::{Header, Origin};
use crate::config::{CheckMode, Config, Destination, Problem, Problems, near_miss};
use crate::credentials::{Chain, ChainOptions, CredentialSettings};
use batch_export_sandbox::Capabilities;
use batch_export_sandbox::CredentialSource;
use batch_export_sandbox::Journal;
use batch_export_sandbox::Network;
use batch_export_sandbox::contract::{self, Failure as PluginFailure, Plan, Run};
use batch_export_sandbox::{CallError, Limits, Plugin, Session};
use batch_export_sandbox::{GrantRefused, Grants};
use batch_export_sandbox::{Policy, PolicyError, Protocol};
use batch_export_source::Interval;
use batch_export_source::{EVENT_LISTS, EventFilter, SourceSettings};

/// The protocol that every destination is checked by: the host's choice, whatever its plugin calls itself.
const PROTOCOL: Protocol = Protocol::S3;

/// The host's own keys of a destination, for hints.
const HOST_KEYS: [&str; 7] = [
    "model",
    "custom_model",
    "source",
    "check",
    "egress",
    "limits",
    "credentials",
];

/// What runs of one destination are made from. Cheap to clone.
#[derive(Clone)]
pub struct Target {
    pub name: String,
    pub model: String,
    pub source: SourceSettings,
    pub check: CheckMode,
    pub limits: Limits,
    pub plugin: Plugin,
    /// A JSON object without secrets.
    configuration: Arc<str>,
    public: Arc<Value>,
    /// The fields that the host itself goes by, as the operator wrote them.
    operator: Arc<Value>,
    destination: Arc<Destination>,
    properties: Arc<BTreeSet<String>>,
    file: Arc<Path>,
    /// Names of all destinations in the file.
    destinations: Arc<BTreeSet<String>>,
}

/// Without the values of fields: variables may have put secrets into any of them.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("name", &self.name)
            .field("model", &self.model)
            .field("fields", &self.destination.fields)
            .finish_non_exhaustive()
    }
}

/// What sessions need beyond the configuration. Cheap to clone.
#[derive(Clone)]
pub struct Access {
    pub(crate) network: Network,
    pub(crate) credentials: CredentialSource,
}

impl Target {
    pub fn new(
        config: &Config,
        destination: &Arc<Destination>,
        loaded: &Loaded,
    ) -> Result<Self, Failure> {
        let properties: BTreeSet<String> = loaded.schema["properties"]
            .as_object()
            .map(|properties| properties.keys().cloned().collect())
            .unwrap_or_default();
        let (public, mistyped) = destination.fields.open(&secret_fields(&loaded.schema));
        let mut problems: Vec<Problem> = mistyped
            .iter()
            .map(|field| destination.problem(field, "expected a string"))
            .collect();
        if let CredentialSettings::Host(options) = &destination.credentials {
            let fault = options.environment_fault(&|name| std::env::var(name).ok());
            problems.extend(fault.map(|fault| destination.problem("credentials", fault)));
        }
        Problems::check(&config.file, problems)?;
        Ok(Self {
            name: destination.name.clone(),
            model: destination.model.clone(),
            source: destination.source.clone(),
            check: destination.check,
            limits: destination.limits.clone(),
            plugin: loaded.plugin.clone(),
            configuration: public.to_string().into(),
            public: Arc::new(public),
            operator: Arc::new(operator_fields(
                &destination.fields.open(&BTreeSet::new()).0,
            )),
            destination: Arc::clone(destination),
            properties: Arc::new(properties),
            file: config.file.as_path().into(),
            destinations: Arc::new(config.destinations.iter().map(|d| d.name.clone()).collect()),
        })
    }

    /// The same destination with what its plugin was configured with earlier. Its secrets and the operator's rules are
    /// today's.
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

    /// Whether the configuration file has a destination of that name.
    pub(super) fn knows(&self, destination: &str) -> bool {
        self.destinations.contains(destination)
    }

    /// Returns where destinations are configured, for a message.
    pub(super) fn place_of_destinations(&self) -> String {
        self.file.display().to_string()
    }

    /// Returns the destination as it was configured.
    pub(super) fn destination(&self) -> &Arc<Destination> {
        &self.destination
    }

    /// What the notes of an attempt belong to.
    pub(super) fn origin(&self, header: &Header, attempt: &str) -> Origin {
        Origin::new(
            header.clone(),
            attempt.to_owned(),
            Value::clone(&self.public),
        )
    }

    /// What a run will do; the plugin's problems come back with the lines of the file.
    pub async fn plan(&self, run: &Run) -> Result<Plan, Failure> {
        match self.plugin.plan(&self.configuration, run).await {
            Ok(plan) => Ok(plan),
            Err(CallError::Failed(PluginFailure::Config(problems))) => Err(self.placed(problems)),
            Err(other) => Err(other.into()),
        }
    }

    fn placed(&self, problems: Vec<contract::Problem>) -> Failure {
        let fields = &self.destination.fields;
        let placed = problems
            .iter()
            .map(|problem| {
                let field = problem.field.as_str();
                let placed = self.problem(field, fields.redacted(field, &problem.message));
                let allowed = problem.allowed.as_deref();
                let placed = placed.allowing(allowed.map(|text| fields.redacted(field, text)));
                match near_miss(field, HOST_KEYS).filter(|_| !self.properties.contains(field)) {
                    Some(near) => placed.with_hint(format!("did you mean the host's `{near}`?")),
                    None => placed,
                }
            })
            .collect();
        match Problems::check(&self.file, placed) {
            Err(error) => error.into(),
            Ok(()) => Failure::unexplained(CallError::Failed(PluginFailure::Config(problems))),
        }
    }

    /// Returns a problem with a field of this destination, or with the whole of it.
    pub fn problem(&self, field: &str, message: impl Into<String>) -> Problem {
        self.destination.problem(field, message)
    }

    /// Which events the operator wants: from the configuration itself, never from what a plugin says.
    pub fn events(&self) -> Result<EventFilter, Failure> {
        EventFilter::of(&self.operator, &self.model).map_err(|error| {
            let field = error.field;
            match Problems::check(&self.file, vec![self.problem(field, error.message)]) {
                Err(error) => error.into(),
                Ok(()) => Failure::plan(format!("{field} cannot be applied")),
            }
        })
    }

    /// Where one run may send and sign, by the operator's configuration alone.
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
        Ok(Access {
            network,
            credentials,
        })
    }

    /// What sessions of an earlier configuration may reach, by today's rules and with today's credentials. The host's
    /// own credentials are today's choice for today's endpoint: an earlier one never gets them.
    pub(super) fn access_earlier(&self, earlier: &Self, now: &Access) -> Result<Access, Failure> {
        let field = "endpoint_url";
        let is_elsewhere = earlier.public[field] != self.public[field];
        if is_elsewhere && matches!(now.credentials, CredentialSource::Renewable(_)) {
            return Err(self.policy_problem(PolicyError::Field {
                field,
                message:
                    "was another one then, and the host's own credentials are for today's only"
                        .to_owned(),
            }));
        }
        Ok(Access {
            network: now.network.clone(),
            credentials: now.credentials.clone(),
        })
    }

    /// Whether a plan is one that this host carries out: the operator's policy covers what it asks for, its keys are
    /// the run's own, it stays within the limits, and the event lists can be applied. Neither reads certificates nor
    /// asks for credentials.
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
                let table = format!("destinations.{}.egress", self.name);
                let text = refused.with_remedy_in(&table);
                let code = FailureCode::GRANT_REFUSED;
                Failure::divided(FailureClass::Configuration, code, &text)
                    .at("endpoint_url")
                    .with_source(error)
            }
            _ => error.into(),
        })
    }

    fn policy_problem(&self, error: PolicyError) -> Failure {
        let error = match error {
            PolicyError::Field { field, message } => PolicyError::Field {
                message: self.destination.fields.redacted(field, &message),
                field,
            },
            other => other,
        };
        Failure::policy(&self.name, error)
    }

    /// A fresh instance, granted what the plan asks for as far as the policy allows this very run.
    pub(crate) fn session(
        &self,
        run: &Run,
        plan: &Plan,
        access: &Access,
        journal: Box<dyn Journal>,
        events: &RunEvents,
    ) -> Result<Session, Failure> {
        let grants = self.decided(plan, &self.policy(run)?)?;
        let credentials = access.credentials.clone();
        let capabilities = Capabilities::new(grants, &access.network, credentials, journal)
            .with_log(events.log_sink())
            .with_observer(events.observer());
        Ok(self.plugin.start(
            run.clone(),
            &self.configuration,
            capabilities,
            self.limits.clone(),
        )?)
    }

    /// Tells settings apart that have to be tried anew: what the plugin is configured with and whose keys sign.
    /// A hash; of credentials only their names go into it.
    pub fn fingerprint(&self) -> String {
        let destination = &self.destination;
        let whole = format!(
            "{}\n{}\n{:?}",
            self.name, self.public, destination.credentials
        );
        hexadecimal(&Sha256::digest(whole.as_bytes()))
    }

    /// What identifies a run of this destination.
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

/// The fields that the host goes by. A plugin whose schema calls one of them a secret must not make it vanish, so they
/// are taken from the file itself.
fn operator_fields(all: &Value) -> Value {
    all.as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| {
            PROTOCOL.fields().contains(&name.as_str()) || EVENT_LISTS.contains(&name.as_str())
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Names of the fields that the schema marks `writeOnly`. The keys are none of them any more: the host took them out.
fn secret_fields(schema: &Value) -> BTreeSet<String> {
    schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, property)| property["writeOnly"] == Value::Bool(true))
        .map(|(name, _)| name.clone())
        .collect()
}

/// Characters of a destination's name that a run id repeats for people.
const ID_NAME_CHARS: usize = 32;
/// Hexadecimal digits of the hash in a run id: 96 bits tell all runs ever apart.
const ID_HASH_DIGITS: usize = 24;

/// The same for every attempt and rerun: name, model and interval, readable in front, hashed behind.
pub fn run_id(destination: &str, model: &str, interval: Interval) -> String {
    let start = interval
        .start()
        .map_or_else(|| "START".to_owned(), |start| start.0.to_string());
    let whole = format!("{destination}\n{model}\n{start}\n{}", interval.end().0);
    let hash = hexadecimal(&Sha256::digest(whole.as_bytes()));
    let name: String = destination
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(ID_NAME_CHARS)
        .collect();
    format!("{name}-{}", &hash[..ID_HASH_DIGITS])
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A name for one attempt that no other has: from the operating system's randomness, so that copies of a machine,
/// which begin with the same memory, share none.
pub fn attempt_id() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(Failure::randomness)?;
    Ok(hexadecimal(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_are_stable_and_tell_destination_model_and_interval_apart() {
        let hour = Interval::parse("2023-07-28T00:00Z", "2023-07-28T01:00Z").expect("an hour");
        let open = Interval::parse("START", "2023-07-28T01:00Z").expect("open");
        assert_eq!(
            run_id("my_archive", "events", hour),
            run_id("my_archive", "events", hour)
        );
        let ids = BTreeSet::from([
            run_id("my_archive", "events", hour),
            run_id("my_archive", "persons", hour),
            run_id("my-archive", "events", hour),
            run_id("my_archive", "events", open),
        ]);
        assert_eq!(ids.len(), 4);
        for id in ids {
            assert!(id.starts_with("my-archive-") && id.len() <= 128, "{id}");
            assert!(
                id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'),
                "{id}"
            );
        }
    }
}
