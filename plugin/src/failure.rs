//! Why an export returned no result: the contract's `failure`, built from the typed errors of each module.

/// One thing wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field's name, or empty for the configuration as a whole.
    pub field: String,
    /// What is wrong; never a secret's value.
    pub message: String,
    /// What is allowed instead.
    pub allowed: Option<String>,
}

/// The cases a scheduler branches on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The configuration is wrong, every problem at once; nothing was sent.
    Config(Vec<Problem>),
    /// The destination refused for good: action required.
    Refused(String),
    /// Worth retrying later with a fresh instance.
    Unavailable {
        message: String,
        retry_after_ms: Option<u64>,
    },
    /// The supplied data cannot be exported: retrying changes nothing.
    Data(String),
    /// The plugin or the host broke the contract: never retried, to be reported.
    Defect(String),
}

impl Failure {
    /// One problem of the configuration.
    pub(crate) fn of_field(field: &str, message: String, allowed: Option<String>) -> Self {
        Failure::Config(vec![Problem {
            field: field.to_owned(),
            message,
            allowed,
        }])
    }

    /// The same failure with more said about it, such as what could not be cleaned up.
    pub fn with_remark(self, remark: &str) -> Self {
        match self {
            Failure::Config(problems) => Failure::Config(problems),
            Failure::Refused(message) => Failure::Refused(format!("{message}; {remark}")),
            Failure::Unavailable {
                message,
                retry_after_ms,
            } => Failure::Unavailable {
                message: format!("{message}; {remark}"),
                retry_after_ms,
            },
            Failure::Data(message) => Failure::Data(format!("{message}; {remark}")),
            Failure::Defect(message) => Failure::Defect(format!("{message}; {remark}")),
        }
    }
}
