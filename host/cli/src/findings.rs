//! Everything wrong with a configuration, whoever found it: the parser, the plugin, the policy, the credentials, the
//! component, the source. Each with its place in the file where it has one.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use batch_export_runner::config::{ConfigError, Destination, Place, Problem};
use batch_export_runner::error::{Cause, Class};
use batch_export_sandbox::CallError;
use batch_export_sandbox::GrantRefused;
use batch_export_sandbox::PolicyError;
use batch_export_sandbox::contract::Failure;
use batch_export_source::SourceError;
use batch_export_system::terminal::one_line;

/// One thing wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// From 1; null for what stands nowhere in the file.
    pub line: Option<usize>,
    /// From 1, in characters.
    pub column: Option<usize>,
    /// Dotted path such as `destinations.archive.region`; empty for the file as a whole.
    pub field: String,
    pub message: String,
    /// What is allowed instead.
    pub allowed: Option<String>,
}

impl Finding {
    fn at(place: Place, field: String, message: String) -> Self {
        Finding {
            line: Some(place.line),
            column: Some(place.column),
            field,
            message,
            allowed: None,
        }
    }

    fn nowhere(field: &str, message: String) -> Self {
        Finding {
            line: None,
            column: None,
            field: field.to_owned(),
            message,
            allowed: None,
        }
    }
}

impl From<&Problem> for Finding {
    fn from(problem: &Problem) -> Self {
        Finding {
            allowed: problem.allowed.clone(),
            ..Finding::at(problem.at, problem.field.clone(), problem.message.clone())
        }
    }
}

/// What is wrong with one file: at least one thing, in the order of its lines.
#[derive(Debug, Clone)]
pub struct Findings {
    file: PathBuf,
    first: Finding,
    rest: Vec<Finding>,
    class: Class,
}

impl Findings {
    /// `None` when nothing is wrong.
    pub fn new(file: &Path, mut found: Vec<Finding>, class: Class) -> Option<Self> {
        found.sort_by(|a, b| (a.line, a.column, &a.field).cmp(&(b.line, b.column, &b.field)));
        // Two destinations may find the same fault of the component, and two rules the same field.
        found.dedup();
        let mut found = found.into_iter();
        Some(Findings {
            file: file.to_path_buf(),
            first: found.next()?,
            rest: found.collect(),
            class,
        })
    }

    /// What an error says is wrong with a file that could not even be read, or not with one destination of it.
    pub fn of_whole(file: &Path, cause: &Cause) -> Self {
        let mut found = of_cause(None, cause).into_iter();
        Findings {
            file: file.to_path_buf(),
            first: found
                .next()
                .unwrap_or_else(|| Finding::nowhere("", cause.to_string())),
            rest: found.collect(),
            class: cause.class(),
        }
    }

    pub fn class(&self) -> Class {
        self.class
    }

    pub fn list(&self) -> impl Iterator<Item = &Finding> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    /// How many there are, in words.
    pub fn headline(&self) -> String {
        headline(self.list().count())
    }
}

/// What there is to say of this many problems.
pub fn headline(problems: usize) -> String {
    match problems {
        1 => "the configuration has a problem".to_owned(),
        many => format!("the configuration has {many} problems"),
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A file that cannot be read or a component that cannot be loaded is named by its own message.
        if self.rest.is_empty() && self.first.line.is_none() && self.first.field.is_empty() {
            return f.write_str(&self.first.message);
        }
        write!(f, "{}:", self.headline())?;
        for finding in self.list() {
            write!(f, "\n  {}:", self.file.display())?;
            if let (Some(line), Some(column)) = (finding.line, finding.column) {
                write!(f, "{line}:{column}:")?;
            }
            if !finding.field.is_empty() {
                write!(f, " {}:", finding.field)?;
            }
            write!(f, " {}", one_line(&finding.message))?;
            if let Some(allowed) = &finding.allowed {
                write!(f, "; allowed: {allowed}")?;
            }
        }
        Ok(())
    }
}

/// What an error says is wrong, in as many pieces as it knows; never none.
pub fn of_cause(destination: Option<&Destination>, cause: &Cause) -> Vec<Finding> {
    if let Cause::Config(ConfigError::Invalid(problems)) = cause {
        return problems.list().iter().map(Finding::from).collect();
    }
    let Some(destination) = destination else {
        return vec![Finding::nowhere("", cause.to_string())];
    };
    match cause {
        Cause::Policy { error, .. } => match error {
            PolicyError::Field { field, message } => {
                vec![at_field(destination, field, message.clone())]
            }
            PolicyError::Allow { .. } => vec![at_field(destination, "egress", error.to_string())],
        },
        Cause::Grant(GrantRefused::Address(refused)) => vec![at_field(
            destination,
            "endpoint_url",
            refused.with_remedy_in(&format!("destinations.{}.egress", destination.name)),
        )],
        Cause::Grant(GrantRefused::Grant {
            operation, rule, ..
        }) => vec![at_field(
            destination,
            "",
            format!("the plugin's plan asks for {operation}: {rule}"),
        )],
        // The plugin names a field of its own, though not one that it could be placed at.
        Cause::Call(CallError::Failed(Failure::Config(problems))) if !problems.is_empty() => {
            problems
                .iter()
                .map(|problem| Finding {
                    allowed: problem.allowed.clone(),
                    ..at_field(destination, &problem.field, problem.message.clone())
                })
                .collect()
        }
        Cause::Source(error) => vec![of_source(destination, error)],
        other => vec![at_field(destination, "", other.to_string())],
    }
}

/// What is wrong with the rows stands at the source's table.
fn of_source(destination: &Destination, error: &SourceError) -> Finding {
    let field = format!("destinations.{}.source", destination.name);
    Finding::at(destination.source_at, field, error.to_string())
}

fn at_field(destination: &Destination, field: &str, message: String) -> Finding {
    let path = match field {
        "" => format!("destinations.{}", destination.name),
        field => format!("destinations.{}.{field}", destination.name),
    };
    Finding::at(destination.fields.place(field), path, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(line: Option<usize>, field: &str, message: &str) -> Finding {
        Finding {
            line,
            column: line,
            field: field.to_owned(),
            message: message.to_owned(),
            allowed: None,
        }
    }

    fn findings(found: Vec<Finding>) -> Option<Findings> {
        Findings::new(Path::new("x.toml"), found, Class::Configuration)
    }

    #[test]
    fn nothing_wrong_is_no_list() {
        assert!(findings(Vec::new()).is_none());
    }

    #[test]
    fn the_text_says_all_that_the_list_holds() {
        let one = finding(None, "", "cannot read x.toml");
        assert_eq!(
            findings(vec![one]).expect("one").to_string(),
            "cannot read x.toml"
        );
        let placed = finding(Some(3), "destinations.a.region", "unknown");
        let all = vec![
            finding(Some(7), "", "b"),
            placed.clone(),
            finding(None, "", "the component is damaged"),
            placed,
        ];
        let found = findings(all).expect("three");
        assert_eq!(
            found.to_string(),
            "the configuration has 3 problems:
  x.toml: the component is damaged
  x.toml:3:3: destinations.a.region: unknown
  x.toml:7:7: b"
        );
        assert_eq!(found.list().count(), 3);
    }

    #[test]
    fn every_error_is_at_least_one_finding() {
        let cause = Cause::Cancelled;
        let found = Findings::of_whole(Path::new("x.toml"), &cause);
        assert_eq!(found.list().count(), 1);
        assert_eq!(
            (found.to_string().as_str(), found.class()),
            ("interrupted", Class::Cancelled)
        );
    }
}
