//! How each typed error becomes a failure: its class, its code and its field, written down one by one.

use std::path::Path;
use std::time::Duration;

use super::{Failure, FailureClass, FailureCode};
use crate::component::ComponentError;
use crate::config::ConfigError;
use crate::verify::StoreError;
use batch_export_sandbox::contract::Failure as PluginFailure;
use batch_export_sandbox::{
    CallError, Crash, GrantRefused, LoadError, NetworkError, NotAdmitted, PolicyError, SandboxError,
};
use batch_export_source::{IntervalError, SourceError, SourceErrorKind};
use batch_export_system::explain::count;
use batch_export_system::private::PrivateError;

/// The hint for what only a fault of the plugin can bring about.
const REPORT: &str = "report this to the plugin's author; retrying does not help";

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let code = match error {
            ConfigError::Invalid(problems) => return problems.into_failure(),
            ConfigError::Unreadable { .. }
            | ConfigError::NoDefault(_)
            | ConfigError::TooLarge { .. }
            | ConfigError::NotText { .. } => FailureCode::CONFIGURATION_UNREADABLE,
            ConfigError::NoSuchDestination { .. } => FailureCode::DESTINATION_UNKNOWN,
            ConfigError::ManyDestinations { .. } => FailureCode::DESTINATION_NOT_CHOSEN,
        };
        Failure::of(FailureClass::Configuration, code, error)
    }
}

impl From<IntervalError> for Failure {
    fn from(error: IntervalError) -> Self {
        Failure::of(FailureClass::Configuration, FailureCode::INTERVAL_INVALID, error)
    }
}

impl From<ComponentError> for Failure {
    fn from(error: ComponentError) -> Self {
        let code = FailureCode::COMPONENT_UNREADABLE;
        Failure::of(FailureClass::Configuration, code, error)
    }
}

impl From<SandboxError> for Failure {
    fn from(error: SandboxError) -> Self {
        Failure::of(FailureClass::Failed, FailureCode::ENGINE_UNAVAILABLE, error)
    }
}

impl From<GrantRefused> for Failure {
    fn from(error: GrantRefused) -> Self {
        let is_address = matches!(error, GrantRefused::Address(_));
        let code = FailureCode::GRANT_REFUSED;
        let failure = Failure::of(FailureClass::Configuration, code, error);
        match is_address {
            true => failure.at("/endpoint_url"),
            false => failure,
        }
    }
}

impl From<NetworkError> for Failure {
    fn from(error: NetworkError) -> Self {
        let field = match error {
            NetworkError::CaFile { .. } => Some("/egress/ca_file"),
            NetworkError::Proxy(_) => Some("/egress/proxy"),
            _ => None,
        };
        let code = FailureCode::NETWORK_INVALID;
        let failure = Failure::of(FailureClass::Configuration, code, error);
        match field {
            Some(field) => failure.at(field),
            None => failure,
        }
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        let (class, code) = match error.kind() {
            _ if matches!(error, SourceError::Died) => (FailureClass::Defect, FailureCode::THREAD_LOST),
            SourceErrorKind::Cancelled => return Failure::cancelled().with_source(error),
            SourceErrorKind::TimedOut => (FailureClass::TimedOut, FailureCode::RUN_TIMED_OUT),
            SourceErrorKind::Transient => (FailureClass::Retryable, FailureCode::SOURCE_UNAVAILABLE),
            SourceErrorKind::Defect => (FailureClass::Defect, FailureCode::SOURCE_MISCOUNTED),
            SourceErrorKind::Permanent => (FailureClass::Failed, FailureCode::SOURCE_UNREADABLE),
        };
        Failure::of(class, code, error).at("/source")
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let (class, code) = match &error {
            CallError::Failed(failure) => of_plugin(failure),
            CallError::Crashed { cause, .. } => of_crash(cause),
        };
        let retry_after = match &error {
            CallError::Failed(PluginFailure::Unavailable { retry_after_ms, .. }) => {
                retry_after_ms.map(Duration::from_millis)
            }
            _ => None,
        };
        let failure = match class {
            FailureClass::Cancelled => Failure::cancelled().with_source(error),
            _ => Failure::of(class, code, error),
        };
        failure.with_retry_after(retry_after)
    }
}

fn of_plugin(failure: &PluginFailure) -> (FailureClass, FailureCode) {
    match failure {
        PluginFailure::Config(_) => (FailureClass::Configuration, FailureCode::CONFIGURATION_INVALID),
        PluginFailure::Refused(_) => (FailureClass::Failed, FailureCode::STORE_REFUSED),
        PluginFailure::Unavailable { .. } => (FailureClass::Retryable, FailureCode::STORE_UNAVAILABLE),
        PluginFailure::Data(_) => (FailureClass::Failed, FailureCode::DATA_REFUSED),
        PluginFailure::Defect(_) => (FailureClass::Defect, FailureCode::PLUGIN_DEFECT),
    }
}

fn of_crash(crash: &Crash) -> (FailureClass, FailureCode) {
    match crash {
        Crash::Crowded { .. } => (FailureClass::Retryable, FailureCode::MEMORY_EXHAUSTED),
        Crash::ComputeTime { .. } => (FailureClass::TimedOut, FailureCode::PLUGIN_COMPUTED_TOO_LONG),
        Crash::WaitingTime { .. } => (FailureClass::Retryable, FailureCode::PLUGIN_WAITED_TOO_LONG),
        Crash::Panic(_) | Crash::Trap(_) => (FailureClass::Defect, FailureCode::PLUGIN_CRASHED),
        Crash::Cancelled => (FailureClass::Cancelled, FailureCode::CANCELLED),
        Crash::Start(_) => (FailureClass::Failed, FailureCode::PLUGIN_NOT_STARTED),
        Crash::Lost => (FailureClass::Defect, FailureCode::THREAD_LOST),
        // Memory, and whatever else a sandbox limits.
        _ => (FailureClass::Failed, FailureCode::PLUGIN_OVER_LIMIT),
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let (class, code) = match &error {
            error if error.is_transient() => (FailureClass::Retryable, FailureCode::STORE_UNAVAILABLE),
            StoreError::Temporary { .. } => (FailureClass::Failed, FailureCode::DISK_UNUSABLE),
            _ => (FailureClass::Failed, FailureCode::STORE_REFUSED),
        };
        let retry_after = error.retry_after().filter(|_| class == FailureClass::Retryable);
        Failure::of(class, code, error).with_retry_after(retry_after)
    }
}

impl Failure {
    /// Makes the failure of a component that cannot be loaded.
    pub fn load(component: &str, error: LoadError) -> Self {
        let class = match error {
            LoadError::Compiler(_) => FailureClass::Failed,
            _ => FailureClass::Configuration,
        };
        Failure::of(class, FailureCode::COMPONENT_UNUSABLE, error).within(&format!("cannot load {component}"))
    }

    /// Makes the failure of a plugin that does not describe its configuration.
    pub(crate) fn description(component: &str, error: serde_json::Error) -> Self {
        Failure::new(
            FailureClass::Configuration,
            FailureCode::DESCRIPTION_INVALID,
            format!("the configuration schema of {component} is not valid JSON: {error}"),
        )
        .with_hint(REPORT)
        .with_source(error)
    }

    /// Makes the failure of a field of a destination that the egress policy is derived from.
    pub(crate) fn policy(destination: &str, error: PolicyError) -> Self {
        let field = match &error {
            PolicyError::Field { field, .. } => format!("/{field}"),
            _ => "/egress/allow".to_owned(),
        };
        let code = FailureCode::POLICY_INVALID;
        Failure::of(FailureClass::Configuration, code, error)
            .within(&format!("destination {destination}"))
            .at(field)
    }

    /// Makes the failure of a plan that needs more than the limits of its destination allow.
    pub(crate) fn not_admitted(destination: &str, error: NotAdmitted) -> Self {
        let table = format!("[destinations.{destination}.limits]");
        let key = match error.limit {
            "guest_memory_bytes" => Some("guest_memory_mb"),
            "in_flight" => Some("requests_in_flight"),
            _ => None,
        };
        let NotAdmitted {
            needed, unit, allowed, ..
        } = &error;
        let limit = key.unwrap_or(error.limit);
        let failure = Failure::new(
            FailureClass::Configuration,
            FailureCode::LIMITS_TOO_LOW,
            format!(
                "a run with these settings needs {} {unit}, and the limit `{limit}` allows {}",
                count(*needed),
                count(*allowed)
            ),
        );
        let failure = match key {
            Some(key) => failure
                .with_hint(format!(
                    "raise `{key}` under {table}, or choose settings that need less"
                ))
                .at(format!("/limits/{key}")),
            None => failure.with_hint("choose settings that need less"),
        };
        failure.with_source(error)
    }

    /// Makes the failure of an operating system without random numbers.
    pub(crate) fn randomness(error: getrandom::Error) -> Self {
        Failure::new(
            FailureClass::Failed,
            FailureCode::RANDOMNESS_UNAVAILABLE,
            format!(
                "the operating system does not provide random numbers, which are needed to distinguish attempts: \
                 {error}"
            ),
        )
    }

    /// Makes the failure of a file or folder that keeps state.
    pub fn state(path: &Path, problem: PrivateError) -> Self {
        Failure::new(
            FailureClass::Failed,
            FailureCode::STATE_UNUSABLE,
            format!("cannot keep state in {}: {problem}", path.display()),
        )
        .with_hint(problem.remedy(path, "`state_dir`"))
        .with_source(problem)
    }

    /// Makes the failure of a run that another process is doing, which holds `lock`.
    pub fn in_progress(lock: &Path) -> Self {
        Failure::new(
            FailureClass::Retryable,
            FailureCode::RUN_IN_PROGRESS,
            format!(
                "another process is already exporting or checking this interval, and holds {}",
                lock.display()
            ),
        )
        .with_hint("wait for it to finish")
    }

    /// Makes the failure of a run that took longer than `limit`.
    pub fn timed_out(limit: Duration) -> Self {
        Failure::new(
            FailureClass::TimedOut,
            FailureCode::RUN_TIMED_OUT,
            format!("the run took longer than {} s", limit.as_secs()),
        )
        .with_hint("raise `run_time_s` in the destination's `limits`, or export shorter intervals")
    }

    /// Makes the failure of work that was interrupted.
    pub fn cancelled() -> Self {
        Failure::new(FailureClass::Cancelled, FailureCode::CANCELLED, "interrupted")
    }

    /// Makes the failure of work that the host ended because it shuts down; `by` is what ends it, such as `SIGTERM`.
    pub fn shut_down(by: &str) -> Self {
        let message = format!("terminated by {by}");
        Failure::new(FailureClass::ShutDown, FailureCode::SHUT_DOWN, message).with_hint("run it again")
    }

    /// Returns the failure of work that was cancelled as that of work which the host ended by shutting down.
    pub(crate) fn into_shut_down(mut self, by: &str) -> Self {
        let told = Failure::shut_down(by);
        self.0.class = told.0.class;
        self.0.code = told.0.code;
        self.0.message = told.0.message;
        self.0.hint = told.0.hint;
        self
    }

    /// Makes the failure of a plan that the operator's configuration does not support.
    pub(crate) fn plan(message: String) -> Self {
        Failure::new(
            FailureClass::Defect,
            FailureCode::PLAN_INVALID,
            format!("{message}; nothing was sent"),
        )
        .with_hint(REPORT)
    }

    /// Makes the failure of a report that differs from what the host counted itself.
    pub(crate) fn report(message: String) -> Self {
        Failure::new(FailureClass::Defect, FailureCode::REPORT_INVALID, message)
            .with_hint("do not use the files of this run, and report this to the plugin's author")
    }

    /// Makes the failure of a thread that ended before its work was done.
    pub fn thread_lost(what: &str) -> Self {
        Failure::new(
            FailureClass::Defect,
            FailureCode::THREAD_LOST,
            format!("the thread that {what} ended unexpectedly"),
        )
        .with_hint("report it with the file if it happens again")
    }

    /// Makes the failure of a plugin that calls its configuration wrong and names no problem.
    pub(crate) fn unexplained(error: CallError) -> Self {
        Failure::from(error).with_hint(REPORT)
    }
}
