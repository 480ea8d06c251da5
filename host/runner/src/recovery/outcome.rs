//! The outcome of a clean-up, as shown in reports: what is gone, and what is or may be open. Decides nothing.

use std::fmt;

use serde::Serialize;

use crate::failure::Failure;
use batch_export_sandbox::contract;
use batch_export_system::explain::Cause;

/// What was cleaned up and what was not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Recovery {
    /// Uploads that are gone.
    pub aborted: Vec<AbortedUpload>,
    /// What is or may be left open.
    pub left_open: Vec<LeftOpen>,
}

/// An upload that was aborted. Its `Display` is for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AbortedUpload {
    /// The key of the object that it would have become.
    pub key: String,
    /// Its id at the store.
    pub upload_id: String,
    /// The fields in which the configuration that it was begun with differs from today's, with their values then.
    pub earlier_configuration: Option<String>,
}

/// Something that is or may be left open. Its `Display` is for people, without the hint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LeftOpen {
    /// The key of the object that it would have become, where it is known.
    pub key: Option<String>,
    /// Its id at the store, where it is known.
    pub upload_id: Option<String>,
    /// Why it is not known to be gone.
    pub reason: String,
    /// What to do about it, where there is anything to do.
    pub hint: Option<String>,
    /// The fields in which the configuration that it was begun with differs from today's, with their values then.
    pub earlier_configuration: Option<String>,
}

impl Recovery {
    /// Adds what a plugin did under an earlier configuration, if that differs from today's.
    pub(super) fn add(&mut self, done: contract::Recovery, earlier_configuration: Option<&String>) {
        self.aborted
            .extend(done.aborted.into_iter().map(|upload| AbortedUpload {
                earlier_configuration: earlier_configuration.cloned(),
                ..AbortedUpload::new(upload.key, upload.upload_id)
            }));
        self.left_open.extend(done.left_open.into_iter().map(|left| LeftOpen {
            key: left.key,
            upload_id: left.upload_id,
            earlier_configuration: earlier_configuration.cloned(),
            ..LeftOpen::new(left.reason)
        }));
    }
}

impl AbortedUpload {
    /// Returns an upload that was begun with today's configuration.
    pub fn new(key: impl Into<String>, upload_id: impl Into<String>) -> Self {
        AbortedUpload {
            key: key.into(),
            upload_id: upload_id.into(),
            earlier_configuration: None,
        }
    }
}

impl LeftOpen {
    /// Returns something of which nothing more is known, begun with today's configuration.
    pub fn new(reason: impl Into<Cause>) -> Self {
        let (reason, hint) = reason.into().into_parts();
        LeftOpen {
            key: None,
            upload_id: None,
            reason,
            hint,
            earlier_configuration: None,
        }
    }

    /// Returns the same as an upload of an object.
    #[must_use]
    pub fn of_upload(self, key: impl Into<String>, upload_id: impl Into<String>) -> Self {
        LeftOpen {
            key: Some(key.into()),
            upload_id: Some(upload_id.into()),
            ..self
        }
    }

    /// Returns the warning of a run that an earlier run, or attempt, left this.
    pub fn still_open(&self, earlier: &str) -> Cause {
        let warning = Cause::new(format!("an upload of an earlier {earlier} is still open: {self}"));
        match &self.hint {
            Some(hint) => warning.with_hint(hint),
            None => warning,
        }
    }

    /// Makes an entry of a failure that leaves unknown what is open.
    pub(crate) fn unknown(failure: &Failure) -> Self {
        LeftOpen::new(Cause::of(failure))
    }
}

impl fmt::Display for AbortedUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "upload `{}` of `{}`", self.upload_id, self.key)?;
        earlier(&self.earlier_configuration, f)
    }
}

impl fmt::Display for LeftOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.key, &self.upload_id) {
            (Some(key), Some(id)) => write!(f, "upload `{id}` of `{key}`")?,
            (Some(key), None) => write!(f, "an upload of `{key}` whose id is unknown")?,
            (None, Some(id)) => write!(f, "upload `{id}`")?,
            (None, None) => {
                f.write_str(&self.reason)?;
                return earlier(&self.earlier_configuration, f);
            }
        }
        earlier(&self.earlier_configuration, f)?;
        write!(f, ": {}", self.reason)
    }
}

fn earlier(configuration: &Option<String>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match configuration {
        Some(fields) => write!(f, " (with its earlier configuration: {fields})"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_plugin_did_is_kept_apart_and_told_in_one_line() {
        let left = |key: Option<&str>, upload_id: Option<&str>| contract::LeftOpen {
            key: key.map(str::to_owned),
            upload_id: upload_id.map(str::to_owned),
            reason: Cause::new("403").with_hint("grant it"),
        };
        let mut recovery = Recovery::default();
        let then = "bucket_name = \"b\"".to_owned();
        for (earlier, place) in [
            (None, ""),
            (Some(&then), " (with its earlier configuration: bucket_name = \"b\")"),
        ] {
            recovery.aborted.clear();
            recovery.left_open.clear();
            let done = contract::Recovery {
                aborted: vec![contract::AbortedUpload {
                    key: "x/a".to_owned(),
                    upload_id: "1".to_owned(),
                }],
                left_open: vec![
                    left(Some("x/a"), Some("2")),
                    left(Some("x/a"), None),
                    left(None, None),
                    left(None, Some("3")),
                ],
            };
            recovery.add(done, earlier);
            assert_eq!(recovery.aborted[0].to_string(), format!("upload `1` of `x/a`{place}"));
            let told: Vec<String> = recovery.left_open.iter().map(LeftOpen::to_string).collect();
            assert_eq!(
                told,
                [
                    format!("upload `2` of `x/a`{place}: 403"),
                    format!("an upload of `x/a` whose id is unknown{place}: 403"),
                    format!("403{place}"),
                    format!("upload `3`{place}: 403"),
                ]
            );
            assert!(
                recovery
                    .left_open
                    .iter()
                    .all(|left| left.hint.as_deref() == Some("grant it"))
            );
        }
    }
}
