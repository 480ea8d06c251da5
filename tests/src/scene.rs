//! A store and a sandbox around one component, and runs in it: what the host does for a run, without its scheduler,
//! so that a test sees each step. Keeps nothing between tests but compiled components.

use std::path::Path;
use std::sync::{Arc, Mutex};

use arrow::array::RecordBatch;
use batch_export_runner::config::Config;
use batch_export_runner::exporter::Exporter;
use batch_export_runner::loading::Loaded;
use batch_export_sandbox::CallError;
use batch_export_sandbox::Capabilities;
use batch_export_sandbox::Grants;
use batch_export_sandbox::contract::{Interval, Recovery, Report, Run};
use batch_export_sandbox::{CompileCache, Limits, LoadError, Plugin, Sandbox, SandboxOptions, Session};
use batch_export_sandbox::{CredentialSource, Credentials, Secret};
use batch_export_sandbox::{Journal, MemoryJournal};
use batch_export_sandbox::{Level, MEMORY_BYTES};
use batch_export_sandbox::{Network, NetworkOptions};
use batch_export_sandbox::{OperatorLists, Policy, Protocol};
use batch_export_source::Stream;
use batch_export_system::explain::Explain;
use bytes::Bytes;
use devstore::{DevStore, Options};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::rows::{HOUR_MICROS, START_MICROS};
use crate::{components, program};

/// The store's default bucket, region and credentials.
pub const BUCKET: &str = "test-bucket";
pub const REGION: &str = "us-east-1";
pub const ACCESS_KEY: &str = "test-access-key";
pub const SECRET_KEY: &str = "test-secret-key";

/// A store on loopback and a sandbox.
pub struct Scene {
    pub store: DevStore,
    pub sandbox: Sandbox,
    pub network: Network,
    /// What the host signs with; the store's own at first.
    pub credentials: Credentials,
    /// What the operator lists under `allow_private`; the store's address at first.
    pub allow_private: Vec<String>,
}

/// What became of a run, and what it left with the host.
#[derive(Debug)]
pub struct Outcome {
    /// The report, or the error as a person reads it.
    pub result: Result<Report, String>,
    /// The export in which it ended.
    pub step: &'static str,
    pub notes: Vec<Vec<u8>>,
    pub log: Vec<(Level, String)>,
    pub peak_memory_bytes: usize,
    /// Most bytes that the host held in answers at once.
    pub peak_answers_bytes: usize,
    /// What the guest executed, where the scene's sandbox counts it.
    pub instructions: Option<u64>,
}

impl Outcome {
    /// The error's text; a success fails the test.
    #[track_caller]
    pub fn error(&self) -> &str {
        match &self.result {
            Err(error) => error,
            Ok(report) => panic!("the run should have failed: {report:?}"),
        }
    }

    /// The report; an error fails the test.
    #[track_caller]
    pub fn report(&self) -> &Report {
        match &self.result {
            Ok(report) => report,
            Err(error) => panic!("the run failed in {}: {error}\nlog: {:?}", self.step, self.log),
        }
    }
}

impl Scene {
    /// A new store with default settings.
    pub async fn new() -> Self {
        Self::with(Options::default()).await
    }

    /// A new store with these settings.
    pub async fn with(options: Options) -> Self {
        Self::with_memory(options, MEMORY_BYTES).await
    }

    /// A new store, and so many bytes of memory for all runs together.
    pub async fn with_memory(options: Options, memory_bytes: usize) -> Self {
        let mut sandbox = SandboxOptions::default();
        sandbox.memory_bytes = memory_bytes;
        Self::with_sandbox(options, sandbox).await
    }

    /// A new store, and a sandbox with these options; compiled components are kept for all tests.
    pub async fn with_sandbox(options: Options, mut sandbox: SandboxOptions) -> Self {
        let store = options.start().await.expect("the store starts");
        let network = Network::new(&NetworkOptions::default()).expect("a network");
        // Tests are processes of their own: without a cache each would compile the component anew.
        let folder = program::cache().join("batch-export");
        sandbox.compile_cache = CompileCache::Folder(folder);
        let sandbox = Sandbox::new(&sandbox, Handle::current(), network.clone()).expect("a sandbox");
        Scene {
            allow_private: vec![store.address().to_string()],
            credentials: Credentials {
                access_key_id: ACCESS_KEY.into(),
                secret_access_key: Secret::new(SECRET_KEY),
                session_token: None,
                expires: None,
            },
            store,
            sandbox,
            network,
        }
    }

    /// Loads a component from its file.
    pub fn load(&self, path: &Path) -> Result<Plugin, LoadError> {
        self.sandbox.load(&std::fs::read(path).expect("the component's file"))
    }

    /// The shipped component.
    pub fn destination(&self) -> Plugin {
        self.load(&components::destination()).expect("the component loads")
    }

    /// The destination that `configuration` (a file's text) has, with the shipped component.
    pub async fn exporter(&self, configuration: &str) -> Exporter {
        let config = Config::parse(Path::new("exports.toml"), configuration, &|_| None).expect("a configuration");
        let plugin = self.destination();
        let description = plugin.describe().await.expect("a description");
        let schema = serde_json::from_str(&description.configuration_schema).expect("a schema");
        let loaded = Loaded {
            plugin,
            description,
            schema,
        };
        let destination = config.destination(None).expect("one destination");
        Exporter::new(destination, &loaded)
            .expect("a destination")
            .among(&config)
    }

    /// The guest that does what `attack` says.
    pub fn hostile(&self) -> Plugin {
        self.load(&components::guest("hostile")).expect("the guest loads")
    }

    /// A destination's configuration for the store, with further fields on top.
    pub fn configuration(&self, prefix: &str, further: Value) -> Value {
        let mut configuration = json!({
            "bucket_name": BUCKET,
            "region": REGION,
            "prefix": prefix,
            "endpoint_url": self.store.endpoint(),
        });
        for (name, value) in further.as_object().expect("an object") {
            configuration[name] = value.clone();
        }
        configuration
    }

    /// What an operator who uses this store allows a run.
    pub fn policy(&self, configuration: &Value, run: &Run) -> Result<Policy, String> {
        let rules = self.allow_private.iter();
        let mut lists = OperatorLists::default();
        lists.allow_private = rules.map(|rule| rule.parse().expect("a rule")).collect();
        Policy::for_run(Protocol::S3, configuration, &lists, run).map_err(|error| error.to_string())
    }

    /// Plan, grant, configure, all messages, finish: a whole run.
    pub async fn run(&self, plugin: &Plugin, configuration: &Value, messages: &Messages, limits: Limits) -> Outcome {
        self.run_as(&run(), plugin, configuration, messages, limits).await
    }

    /// The same for another run, such as one of another model.
    pub async fn run_as(
        &self,
        run: &Run,
        plugin: &Plugin,
        configuration: &Value,
        messages: &Messages,
        limits: Limits,
    ) -> Outcome {
        let journal = MemoryJournal::default();
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut step = "plan";
        let mut peak_memory_bytes = 0;
        let mut peak_answers_bytes = 0;
        let mut instructions = None;
        let result = async {
            let session = self
                .session(run, plugin, configuration, Box::new(journal.clone()), &log, limits)
                .await?;
            let result = drive(&session, messages, &mut step).await;
            peak_memory_bytes = session.peak_memory_bytes();
            instructions = session.instructions();
            peak_answers_bytes = session.traffic().responses().peak_bytes();
            result
        }
        .await;
        let log = log.lock().expect("the log").clone();
        Outcome {
            result,
            step,
            notes: journal.notes(),
            log,
            peak_memory_bytes,
            peak_answers_bytes,
            instructions,
        }
    }

    /// A whole run of the shipped component over these batches; `attempt` tells reruns apart, as the host does.
    pub async fn export(&self, attempt: &str, configuration: &Value, batches: &[RecordBatch]) -> Outcome {
        let run = Run {
            attempt: attempt.to_owned(),
            ..run()
        };
        let messages = Messages::of(batches);
        let plugin = self.destination();
        self.run_as(&run, &plugin, configuration, &messages, Limits::default())
            .await
    }

    /// The data files of a run with their bytes, in the order in which its report names them.
    pub fn files(&self, outcome: &Outcome) -> Vec<(String, Vec<u8>)> {
        let keys = outcome.report().files.iter().map(|file| file.key.clone());
        keys.map(|key| {
            let bytes = self.bytes(&key);
            (key, bytes)
        })
        .collect()
    }

    /// The bytes of an object, which must be there.
    #[track_caller]
    pub fn bytes(&self, key: &str) -> Vec<u8> {
        let object = self.store.object(BUCKET, key);
        object.expect("the object").bytes.to_vec()
    }

    /// What the host does with a crashed run's notes: a fresh instance cleans up.
    pub async fn recover(
        &self,
        plugin: &Plugin,
        configuration: &Value,
        notes: Vec<Vec<u8>>,
    ) -> Result<Recovery, String> {
        let log = Arc::new(Mutex::new(Vec::new()));
        let session = self
            .session(
                &run(),
                plugin,
                configuration,
                Box::new(MemoryJournal::default()),
                &log,
                Limits::default(),
            )
            .await?;
        session.recover(notes).await.map_err(|error| error.to_string())
    }

    /// A fresh instance, granted what its plan asks for as far as this operator allows.
    pub async fn session(
        &self,
        run: &Run,
        plugin: &Plugin,
        configuration: &Value,
        journal: Box<dyn Journal>,
        log: &Arc<Mutex<Vec<(Level, String)>>>,
        limits: Limits,
    ) -> Result<Session, String> {
        let policy = self.policy(configuration, run)?;
        let text = configuration.to_string();
        let plan = plugin.plan(&text, run).await.map_err(|error| error.to_string())?;
        let grants = Grants::decide(&plan.grants, &plan.signing, &policy).map_err(|error| error.to_string())?;
        let lines = Arc::clone(log);
        let credentials = CredentialSource::Static(self.credentials.clone());
        let capabilities = Capabilities::new(grants, &self.network, credentials, journal).with_log(Arc::new(
            move |level, line: &str| {
                lines.lock().expect("the log").push((level, line.to_owned()));
            },
        ));
        plugin
            .start(run.clone(), &text, capabilities, limits)
            .map_err(|error| error.to_string())
    }
}

async fn drive(session: &Session, messages: &Messages, step: &mut &'static str) -> Result<Report, String> {
    *step = "configure";
    let schema = messages.schema.clone();
    session.configure(schema).await.map_err(told)?;
    *step = "encode-batch";
    for batch in &messages.batches {
        session.encode_batch(batch.clone()).await.map_err(told)?;
    }
    *step = "finish";
    let report = session.finish(messages.rows).await;
    report.map_err(told)
}

/// What happened and what to do about it, as one text to look into.
fn told(error: CallError) -> String {
    match error.hint() {
        Some(hint) => format!("{}; {hint}", error.message()),
        None => error.message(),
    }
}

/// Arrow IPC as the host hands it over.
#[derive(Debug, Clone, Default)]
pub struct Messages {
    pub schema: Vec<u8>,
    pub batches: Vec<Bytes>,
    /// Rows in the batches, as the host counts them.
    pub rows: u64,
}

impl Messages {
    /// What the host makes of these batches; at least one.
    pub fn of(batches: &[RecordBatch]) -> Self {
        let mut stream = Stream::new(&batches[0].schema()).expect("a schema");
        let schema = stream.schema().to_vec();
        let message = |batch| stream.message(batch).expect("a message").bytes.into();
        Messages {
            schema,
            batches: batches.iter().map(message).collect(),
            rows: batches.iter().map(|batch| batch.num_rows() as u64).sum(),
        }
    }

    /// For guests that do not look at what they get.
    pub fn opaque() -> Self {
        Messages {
            schema: b"schema".to_vec(),
            batches: vec![Bytes::from_static(b"batch")],
            rows: 0,
        }
    }
}

/// The run that all these tests are about: events of one hour.
pub fn run() -> Run {
    Run {
        id: "test-run".into(),
        attempt: "attempt-1".into(),
        model: "events".into(),
        interval: Interval {
            start_micros: Some(START_MICROS),
            end_micros: START_MICROS + HOUR_MICROS,
        },
    }
}
