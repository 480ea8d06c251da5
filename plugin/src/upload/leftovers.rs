//! Handles what earlier attempts of this run left: surplus files of an attempt that wrote more are deleted, and
//! everything else that the run cannot replace is reported. Deletes nothing that does not carry this run's mark or may
//! belong to an export with other settings, and with `if_none_match` nothing.

use crate::failure::Explanation;
use crate::file::MAX_FILES;
use crate::imports::Imports;
use crate::s3::error::S3Error;
use crate::upload::objects::Seen;
use crate::upload::store::Store;

/// Maximum number of leftovers that one run looks at: an earlier attempt has no more files.
pub const MAX_LEFTOVERS: usize = MAX_FILES as usize;
/// Maximum number of keys that one warning lists.
const MAX_NAMED: usize = 5;

/// The fate of an earlier attempt's files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leftovers {
    pub deleted: Vec<String>,
    /// What is kept and why, for the report.
    pub warnings: Vec<Explanation>,
    /// The store did not say what exists; asking again would not help.
    pub is_blind: bool,
}

impl<I: Imports> Store<I> {
    /// Deletes the files that an attempt with more files left under the following keys, up to the first that does not
    /// exist. What the credentials do not allow is reported, and does not affect readers that use the manifest. If one
    /// of `other_exports` exists with this run's mark, numbered files may belong to it, so all of them are kept.
    pub fn remove_leftovers(
        &mut self,
        next_keys: impl IntoIterator<Item = String>,
        other_exports: Vec<String>,
    ) -> Leftovers {
        let mut leftovers = Leftovers::default();
        let (mut ours, mut foreign) = (Vec::new(), Vec::new());
        for key in next_keys {
            if ours.len() + foreign.len() == MAX_LEFTOVERS {
                let message = format!(
                    "the search for objects of earlier attempts stopped at `{key}`: {MAX_LEFTOVERS} were found \
                     before it"
                );
                leftovers.warnings.push(message.into());
                break;
            }
            match self.look(&key) {
                Ok(Seen::Nothing) => break,
                Ok(Seen::Ours(_)) => ours.push(key),
                Ok(Seen::Foreign) => foreign.push(key),
                Err(error) => {
                    leftovers.is_blind = true;
                    leftovers.warnings.push(unknown(&key, &error));
                    break;
                }
            }
        }
        if !foreign.is_empty() {
            let message = format!(
                "{}: not deleted, because this run did not write them although their numbers follow on from its files",
                named(&foreign)
            );
            leftovers
                .warnings
                .push(Explanation::new(message).with_hint(
                    "move it elsewhere, because anyone who reads the whole folder also reads it".to_owned(),
                ));
        }
        if self.client.target().object.if_none_match && !ours.is_empty() {
            let message = format!(
                "{}: left by an earlier attempt with more files; not deleted because if_none_match is set",
                named(&ours)
            );
            let hint = "delete it, because anyone who reads the whole folder reads rows twice".to_owned();
            leftovers.warnings.push(Explanation::new(message).with_hint(hint));
            return leftovers;
        }
        if !ours.is_empty() && !self.may_delete(&ours, other_exports, &mut leftovers) {
            return leftovers;
        }
        // The last one first, so that an interruption leaves no gap and the next run finds the rest.
        while let Some(key) = ours.pop() {
            if let Err(error) = self.delete(&key) {
                let message = format!(
                    "the file `{key}` of an earlier attempt remains next to this run's files: \
                                       {error}"
                );
                let hint = error.explanation().hint;
                leftovers.warnings.push(Explanation::new(message).with_hint(hint));
                break;
            }
            leftovers.deleted.push(key);
        }
        leftovers
    }

    /// Returns whether there is no export with other settings to which these files could belong; deleting half of one
    /// would help nobody.
    fn may_delete(&mut self, numbered: &[String], other_exports: Vec<String>, leftovers: &mut Leftovers) -> bool {
        let first = other_exports.first().cloned().unwrap_or_default();
        let seen = match self.look_at_all(other_exports) {
            Ok(seen) => seen,
            Err(error) => {
                leftovers.is_blind = true;
                let Explanation { message, hint } = unknown(&first, &error);
                let message = format!(
                    "{}: not deleted, although their numbers follow on from this run's files: {message}",
                    named(numbered)
                );
                leftovers.warnings.push(Explanation { message, hint });
                return false;
            }
        };
        let Some((other, _)) = seen.iter().find(|(_, seen)| matches!(seen, Seen::Ours(_))) else {
            return true;
        };
        let message = format!(
            "{}: not deleted, because they may belong to the export that `{other}` is part of, which an earlier \
             attempt of this run wrote with other settings",
            named(numbered)
        );
        let hint = "delete all of that export if it is no longer needed".to_owned();
        leftovers.warnings.push(Explanation::new(message).with_hint(hint));
        false
    }

    /// Reports what earlier attempts of this run wrote under keys that this one does not write.
    pub fn older_objects(&mut self, keys: Vec<String>) -> Vec<Explanation> {
        let first = keys.first().cloned().unwrap_or_default();
        match self.look_at_all(keys) {
            Ok(seen) => {
                let ours: Vec<String> = seen
                    .into_iter()
                    .filter(|(_, seen)| matches!(seen, Seen::Ours(_)))
                    .map(|(key, _)| key)
                    .collect();
                match ours.is_empty() {
                    true => Vec::new(),
                    false => {
                        let message = format!(
                            "{}: left by an earlier attempt of this run with another format, compression, splitting or \
                             manifest",
                            named(&ours)
                        );
                        let hint = "delete what is no longer needed, because anyone who reads the whole folder reads \
                                    rows twice";
                        vec![Explanation::new(message).with_hint(hint.to_owned())]
                    }
                }
            }
            Err(error) => vec![unknown(&first, &error)],
        }
    }

    /// Reports an object under the key of the first file if this run has no rows and writes no file.
    pub fn objects_without_rows(&mut self, key: &str) -> Leftovers {
        let mut leftovers = Leftovers::default();
        match self.look(key) {
            Ok(Seen::Nothing) => {}
            Ok(Seen::Ours(_)) => {
                let message = format!(
                    "this run had no rows, but `{key}` exists: an earlier attempt had rows, and its objects are kept"
                );
                let hint = "delete them if the interval should not contain any rows".to_owned();
                leftovers.warnings.push(Explanation::new(message).with_hint(hint));
            }
            Ok(Seen::Foreign) => {
                let message = format!("this run had no rows, but `{key}`, which it did not write, exists");
                leftovers.warnings.push(message.into());
            }
            Err(error) => {
                leftovers.is_blind = true;
                leftovers.warnings.push(unknown(key, &error));
            }
        }
        leftovers
    }
}

fn unknown(key: &str, error: &S3Error) -> Explanation {
    let message = format!("could not find out whether an earlier attempt left `{key}` or other objects: {error}");
    Explanation::new(message).with_hint(error.explanation_with_good_keys().hint)
}

fn named(keys: &[String]) -> String {
    let names: Vec<String> = keys.iter().take(MAX_NAMED).map(|key| format!("`{key}`")).collect();
    match keys.len().saturating_sub(MAX_NAMED) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}
