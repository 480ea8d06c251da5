//! The reasons why an export returned no result: the contract's `failure`, built from the typed errors of each module.

#[cfg(test)]
mod tests;

/// An account of what happened, and separately what to do about it: the contract's `explanation`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What happened, to what and why.
    pub message: String,
    /// What to do about it, as an instruction; absent if there is nothing to do or it is not known.
    pub hint: Option<String>,
}

impl Explanation {
    /// Makes an explanation of what happened, without a hint.
    pub fn new(message: impl Into<String>) -> Self {
        Explanation {
            message: message.into(),
            hint: None,
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<Option<String>>) -> Self {
        Explanation {
            hint: hint.into(),
            ..self
        }
    }

    /// Returns the same with a further remark.
    #[must_use]
    pub fn with_remark(self, remark: &Explanation) -> Self {
        Explanation {
            message: format!("{}; {}", self.message, remark.message),
            hint: joined([self.hint, remark.hint.clone()]),
        }
    }
}

impl From<&str> for Explanation {
    fn from(message: &str) -> Self {
        Explanation::new(message)
    }
}

impl From<String> for Explanation {
    fn from(message: String) -> Self {
        Explanation::new(message)
    }
}

/// Joins several hints into one, without repetitions.
pub fn joined(hints: impl IntoIterator<Item = Option<String>>) -> Option<String> {
    let mut distinct: Vec<String> = Vec::new();
    for hint in hints.into_iter().flatten() {
        if !distinct.contains(&hint) {
            distinct.push(hint);
        }
    }
    (!distinct.is_empty()).then(|| distinct.join("; "))
}

/// One thing wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field's name, or empty for the whole configuration.
    pub field: String,
    /// What is wrong; never a secret's value.
    pub message: String,
    /// What to do about it, unless `allowed` already says it.
    pub hint: Option<String>,
    /// The values that the field accepts.
    pub allowed: Option<String>,
}

impl Problem {
    /// Makes a problem with a field, or with the whole configuration if the name is empty.
    pub fn new(field: &str, message: impl Into<String>) -> Self {
        Problem {
            field: field.to_owned(),
            message: message.into(),
            hint: None,
            allowed: None,
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<Option<String>>) -> Self {
        Problem {
            hint: hint.into(),
            ..self
        }
    }

    /// Adds which values the field accepts.
    #[must_use]
    pub fn allowing(self, allowed: impl Into<String>) -> Self {
        Problem {
            allowed: Some(allowed.into()),
            ..self
        }
    }
}

/// The cases a scheduler branches on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The configuration is wrong, every problem at once; nothing was sent.
    Config(Vec<Problem>),
    /// The destination refused permanently: action required.
    Refused(Explanation),
    /// Worth retrying later with a fresh instance.
    Unavailable {
        reason: Explanation,
        retry_after_ms: Option<u64>,
    },
    /// The supplied data cannot be exported: retrying does not help.
    Data(Explanation),
    /// The plugin or the host broke the contract: not to be retried but reported.
    Defect(String),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Failure::Config(vec![problem])
    }
}

impl Failure {
    /// Returns what happened and what to do about it; `None` for configuration problems, each of which has its own
    /// explanation.
    pub fn explanation(&self) -> Option<Explanation> {
        match self {
            Failure::Config(_) => None,
            Failure::Refused(reason) | Failure::Data(reason) | Failure::Unavailable { reason, .. } => {
                Some(reason.clone())
            }
            Failure::Defect(message) => Some(Explanation::new(message)),
        }
    }

    /// Returns the same failure with a further remark, such as which object is damaged.
    pub fn with_remark(self, remark: &Explanation) -> Self {
        match self {
            Failure::Config(problems) => Failure::Config(problems),
            Failure::Refused(reason) => Failure::Refused(reason.with_remark(remark)),
            Failure::Unavailable { reason, retry_after_ms } => Failure::Unavailable {
                reason: reason.with_remark(remark),
                retry_after_ms,
            },
            Failure::Data(reason) => Failure::Data(reason.with_remark(remark)),
            Failure::Defect(message) => Failure::Defect(Explanation::new(message).with_remark(remark).message),
        }
    }
}
