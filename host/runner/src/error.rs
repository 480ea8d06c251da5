//! Why a run failed, in which class, and what could not be cleaned up after it. Knows no other command.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::component::ComponentError;
use crate::config::ConfigError;
use batch_export_sandbox::GrantRefused;
use batch_export_sandbox::NetworkError;
use batch_export_sandbox::PolicyError;
use batch_export_sandbox::contract::{CheckStep, Failure, Recovery};
use batch_export_sandbox::{CallError, Crash, LoadError, SandboxError};
use batch_export_source::IntervalError;
use batch_export_source::SourceError;
use batch_export_system::private::PrivateError;
use batch_export_system::terminal::one_line;

/// What whoever started the run should do about its failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A person must act; the same run fails again.
    Failed,
    /// The command line, the configuration or the component is wrong; nothing was sent.
    Configuration,
    /// The same run may succeed later.
    Retryable,
    /// The plugin or this host is at fault: the same run fails again, and it should be reported.
    Defect,
    /// Somebody interrupted it.
    Cancelled,
}

/// Why a run failed, or what it has in common with other commands.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Interval(#[from] IntervalError),
    #[error(transparent)]
    Component(#[from] ComponentError),
    #[error("cannot load {}: {}", one_line(component), one_line(&error.to_string()))]
    Load { component: String, error: LoadError },
    #[error(
        "the component {component} describes its configuration by something that is no JSON Schema: {problem}; report it to the plugin's author"
    )]
    Description { component: String, problem: String },
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error("destination {destination}, {error}")]
    Policy {
        destination: String,
        error: PolicyError,
    },
    #[error(transparent)]
    Grant(#[from] GrantRefused),
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error("the operating system gives no random numbers: {0}; it must, to tell attempts apart")]
    Randomness(String),
    #[error("cannot keep state in {}: {problem}; {}", path.display(), problem.remedy(path, "`state_dir`"))]
    State {
        path: PathBuf,
        problem: PrivateError,
    },
    #[error("this run is already in progress in another process (it holds {}); wait for it", lock.display())]
    Busy { lock: PathBuf },
    #[error(
        "the run took longer than {} s; raise `run_time_s` under [destinations.….limits], or export shorter intervals",
        limit.as_secs()
    )]
    OutOfTime { limit: Duration },
    #[error("{}", one_line(&.0.to_string()))]
    Source(#[from] SourceError),
    #[error("{0}")]
    Call(#[from] CallError),
    #[error("{0}")]
    Miscounted(String),
    /// The plugin's plan is not one that the operator's configuration bears out.
    #[error("{0}")]
    Disbelieved(String),
    #[error(
        "{occasion}, and it does not work: {}; `batch-export check` repeats it",
        told(failing)
    )]
    Unready {
        occasion: &'static str,
        failing: Vec<CheckStep>,
        class: Class,
    },
    #[error("interrupted")]
    Cancelled,
}

fn told(failing: &[CheckStep]) -> String {
    let steps: Vec<String> = failing
        .iter()
        .map(|step| format!("{}: {}", step.name, step.detail))
        .collect();
    steps.join("; ")
}

impl Cause {
    pub fn class(&self) -> Class {
        match self {
            Cause::Config(_)
            | Cause::Interval(_)
            | Cause::Component(_)
            | Cause::Load { .. }
            | Cause::Description { .. }
            | Cause::Policy { .. }
            | Cause::Grant(_)
            | Cause::Network(_)
            | Cause::Call(CallError::Failed(Failure::Config(_))) => Class::Configuration,
            Cause::Busy { .. }
            | Cause::Call(CallError::Failed(Failure::Unavailable { .. }))
            | Cause::Call(CallError::Crashed {
                cause: Crash::WaitingTime { .. } | Crash::Crowded { .. },
                ..
            }) => Class::Retryable,
            Cause::Unready { class, .. } => *class,
            Cause::Source(error) if error.is_transient() => Class::Retryable,
            Cause::Cancelled
            | Cause::Call(CallError::Crashed {
                cause: Crash::Cancelled,
                ..
            }) => Class::Cancelled,
            Cause::Miscounted(_)
            | Cause::Disbelieved(_)
            | Cause::Source(SourceError::Miscounted { .. })
            | Cause::Call(CallError::Failed(Failure::Defect(_)))
            | Cause::Call(CallError::Crashed {
                cause: Crash::Panic(_) | Crash::Trap(_) | Crash::Lost,
                ..
            }) => Class::Defect,
            Cause::Sandbox(_)
            | Cause::Randomness(_)
            | Cause::State { .. }
            | Cause::OutOfTime { .. }
            | Cause::Source(_)
            | Cause::Call(_) => Class::Failed,
        }
    }
}

/// A failure with what was done about its leftovers.
#[derive(Debug)]
pub struct RunError {
    pub cause: Box<Cause>,
    /// Uploads aborted and those that could not be, after the failure.
    pub recovery: Recovery,
}

impl RunError {
    pub fn class(&self) -> Class {
        self.cause.class()
    }
}

impl<C: Into<Cause>> From<C> for RunError {
    fn from(cause: C) -> Self {
        Self {
            cause: Box::new(cause.into()),
            recovery: Recovery::default(),
        }
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cause)?;
        if self.recovery.left_open.is_empty() {
            return Ok(());
        }
        // A plugin that could not clean up itself has said so already, if for another request.
        let cause = self.cause.to_string();
        let left_open = self.recovery.left_open.iter();
        let unsaid: Vec<&str> = left_open
            .map(String::as_str)
            .filter(|upload| !is_said(&cause, upload))
            .collect();
        match unsaid.as_slice() {
            [] => f.write_str("\nwhat is left open is aborted at the next start, or by hand"),
            uploads => write!(
                f,
                "\nleft open, aborted at the next start or by hand: {}",
                uploads.join(", ")
            ),
        }
    }
}

/// Whether an error names what is left open, whatever it says of the reason behind the colon.
fn is_said(cause: &str, left_open: &str) -> bool {
    let what = left_open.split(": ").next().unwrap_or(left_open);
    !what.is_empty() && cause.contains(what)
}

impl std::error::Error for RunError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_say_what_happened_and_what_to_do() {
        let cases = [
            (
                Cause::Description {
                    component: "s3.wasm".to_owned(),
                    problem: "it is no object".to_owned(),
                },
                "the component s3.wasm describes its configuration by something that is no JSON Schema: it is no object; report it to the plugin's author",
                Class::Configuration,
            ),
            (
                Cause::State {
                    path: PathBuf::from("state/runs"),
                    problem: PrivateError::NotFolder,
                },
                "cannot keep state in state/runs: it is not a folder; remove it, or let `state_dir` name another folder",
                Class::Failed,
            ),
            (
                Cause::Busy {
                    lock: PathBuf::from("state/runs/a/lock"),
                },
                "this run is already in progress in another process (it holds state/runs/a/lock); wait for it",
                Class::Retryable,
            ),
            (
                Cause::OutOfTime {
                    limit: Duration::from_secs(60),
                },
                "the run took longer than 60 s; raise `run_time_s` under [destinations.….limits], or export shorter intervals",
                Class::Failed,
            ),
            (Cause::Cancelled, "interrupted", Class::Cancelled),
            (
                Cause::Miscounted("the rows do not add up".to_owned()),
                "the rows do not add up",
                Class::Defect,
            ),
            (
                Cause::Source(SourceError::Miscounted {
                    path: PathBuf::from("a.csv"),
                    what: "records",
                    read: 9,
                    counted: 10,
                }),
                "a.csv: 9 records were read, and a count of its bytes finds 10; rows may be lost, so nothing of this run can be relied on: report it with the file",
                Class::Defect,
            ),
            (
                Cause::Call(CallError::Failed(Failure::Defect(
                    "a part is missing".to_owned(),
                ))),
                "a part is missing (a defect of the plugin or of this host; please report it)",
                Class::Defect,
            ),
            (
                Cause::Call(CallError::Crashed {
                    export: "finish",
                    cause: Crash::Panic("index out of bounds".to_owned()),
                }),
                "the plugin's `finish` panicked: index out of bounds",
                Class::Defect,
            ),
        ];
        for (cause, expect, class) in cases {
            assert_eq!(cause.to_string(), expect);
            assert_eq!(cause.class(), class, "{expect}");
        }
    }

    #[test]
    fn a_failed_run_names_what_it_left_open() {
        let mut error = RunError::from(Cause::Cancelled);
        assert_eq!(error.to_string(), "interrupted");
        error.recovery.left_open = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(
            error.to_string(),
            "interrupted\nleft open, aborted at the next start or by hand: a, b"
        );
        let told = "no answer; a is left open: request 7";
        let mut said = RunError::from(Cause::Miscounted(told.to_owned()));
        let end = "what is left open is aborted at the next start, or by hand";
        for reason in ["a is left open: request 7", "a is left open: request 8"] {
            said.recovery.left_open = vec![reason.to_owned()];
            assert_eq!(said.to_string(), format!("{told}\n{end}"));
        }
        for other in ["b is left open: request 7", ": request 7"] {
            said.recovery.left_open.push(other.to_owned());
            assert!(said.to_string().ends_with(other), "{said}");
        }
    }
}
