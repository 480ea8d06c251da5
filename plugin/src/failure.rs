//! Why an export returned no result: the contract's `failure`, built from the typed errors of each module.

#[cfg(test)]
mod tests;

/// What happened and what to do about it, told apart: the contract's `explanation`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What happened, to what and why.
    pub message: String,
    /// What to do about it, as an instruction; absent where there is nothing to do, or nobody can know.
    pub hint: Option<String>,
}

impl Explanation {
    /// Says what happened; there is nothing to do about it.
    pub fn new(message: impl Into<String>) -> Self {
        Explanation {
            message: message.into(),
            hint: None,
        }
    }

    /// Says what to do about it, too.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<Option<String>>) -> Self {
        Explanation {
            hint: hint.into(),
            ..self
        }
    }

    /// The same with more said about it.
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

/// Several hints as one, each said once.
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
    /// The field's name, or empty for the configuration as a whole.
    pub field: String,
    /// What is wrong; never a secret's value.
    pub message: String,
    /// What to do about it, where `allowed` does not say it.
    pub hint: Option<String>,
    /// Which values the field takes.
    pub allowed: Option<String>,
}

impl Problem {
    /// Says what is wrong with a field, or with the configuration as a whole where the name is empty.
    pub fn new(field: &str, message: impl Into<String>) -> Self {
        Problem {
            field: field.to_owned(),
            message: message.into(),
            hint: None,
            allowed: None,
        }
    }

    /// Says what to do about it, too.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<Option<String>>) -> Self {
        Problem {
            hint: hint.into(),
            ..self
        }
    }

    /// Says which values the field takes, too.
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
    /// The destination refused for good: action required.
    Refused(Explanation),
    /// Worth retrying later with a fresh instance.
    Unavailable {
        reason: Explanation,
        retry_after_ms: Option<u64>,
    },
    /// The supplied data cannot be exported: retrying changes nothing.
    Data(Explanation),
    /// The plugin or the host broke the contract: never retried, to be reported.
    Defect(String),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Failure::Config(vec![problem])
    }
}

impl Failure {
    /// What happened and what to do about it; nothing for problems of a configuration, each of which has its own.
    pub fn explanation(&self) -> Option<Explanation> {
        match self {
            Failure::Config(_) => None,
            Failure::Refused(reason) | Failure::Data(reason) | Failure::Unavailable { reason, .. } => {
                Some(reason.clone())
            }
            Failure::Defect(message) => Some(Explanation::new(message)),
        }
    }

    /// The same failure with more said about it, such as which object is damaged.
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
