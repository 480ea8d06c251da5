//! What earlier attempts of this run left: files that a longer attempt had more of are deleted, and all else that the
//! run cannot replace is reported. Deletes nothing that does not carry this run's mark or may belong to an export
//! with other settings, and with `if_none_match` nothing.

use crate::failure::Explanation;
use crate::file::MAX_FILES;
use crate::imports::Imports;
use crate::s3::error::S3Error;
use crate::upload::objects::Seen;
use crate::upload::store::Store;

/// Most leftovers that one run looks at: an earlier attempt has no more files.
pub const MAX_LEFTOVERS: usize = MAX_FILES as usize;
/// Most keys that one warning names.
const MAX_NAMED: usize = 5;

/// What became of an earlier attempt's files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leftovers {
    pub deleted: Vec<String>,
    /// What stays and why, for the report.
    pub warnings: Vec<Explanation>,
    /// The store did not say what is there: further questions would be answered alike.
    pub is_blind: bool,
}

impl<I: Imports> Store<I> {
    /// Deletes the files that a longer attempt left under the keys that would come next, up to the first that is not
    /// there. What the credentials do not allow is reported and harms nobody who goes by the manifest. Where one of
    /// `other_exports` is there with this run's mark, numbered files may belong to it, so all of them stay.
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
                    "objects of earlier attempts were not looked for from `{key}` on: {MAX_LEFTOVERS} were found \
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
                "{}: numbered like this run's next files, but not written by this run, so not deleted",
                named(&foreign)
            );
            leftovers.warnings.push(
                Explanation::new(message)
                    .with_hint("move it elsewhere, or whoever reads the whole folder reads it, too".to_owned()),
            );
        }
        if self.client.target().object.if_none_match && !ours.is_empty() {
            let message = format!(
                "{}: left by an earlier attempt with more files, and not deleted because if_none_match is set",
                named(&ours)
            );
            let hint = "delete it, or whoever reads the whole folder reads rows twice".to_owned();
            leftovers.warnings.push(Explanation::new(message).with_hint(hint));
            return leftovers;
        }
        if !ours.is_empty() && !self.may_delete(&ours, other_exports, &mut leftovers) {
            return leftovers;
        }
        // From the last on: what an interruption leaves stays without a gap, where the next run finds it.
        while let Some(key) = ours.pop() {
            if let Err(error) = self.delete(&key) {
                let message = format!("an earlier attempt's file `{key}` stays next to this run's: {error}");
                let hint = error.explanation().hint;
                leftovers.warnings.push(Explanation::new(message).with_hint(hint));
                break;
            }
            leftovers.deleted.push(key);
        }
        leftovers
    }

    /// Whether no export with other settings is there to which these files could belong. Half of one helps nobody.
    fn may_delete(&mut self, numbered: &[String], other_exports: Vec<String>, leftovers: &mut Leftovers) -> bool {
        let first = other_exports.first().cloned().unwrap_or_default();
        let seen = match self.look_at_all(other_exports) {
            Ok(seen) => seen,
            Err(error) => {
                leftovers.is_blind = true;
                let Explanation { message, hint } = unknown(&first, &error);
                let message = format!(
                    "{}: numbered like this run's next files, and not deleted: {message}",
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

    /// Report what earlier attempts of this run wrote under keys that this one does not write.
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
                        let hint =
                            "delete what is no longer needed, or whoever reads the whole folder reads rows twice";
                        vec![Explanation::new(message).with_hint(hint.to_owned())]
                    }
                }
            }
            Err(error) => vec![unknown(&first, &error)],
        }
    }

    /// Report what stands under the key of the first file, where this run has no rows and writes none.
    pub fn objects_without_rows(&mut self, key: &str) -> Leftovers {
        let mut leftovers = Leftovers::default();
        match self.look(key) {
            Ok(Seen::Nothing) => {}
            Ok(Seen::Ours(_)) => {
                let message = format!(
                    "this run had no rows, but `{key}` exists: an earlier attempt had some, and its objects stay"
                );
                let hint = "delete them if the interval should have no rows".to_owned();
                leftovers.warnings.push(Explanation::new(message).with_hint(hint));
            }
            Ok(Seen::Foreign) => {
                let message = format!("this run had no rows, but `{key}` exists, which this run did not write");
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
    let message = format!("whether an earlier attempt left `{key}` or further objects could not be found out: {error}");
    Explanation::new(message).with_hint(error.explanation_with_good_keys().hint)
}

fn named(keys: &[String]) -> String {
    let names: Vec<String> = keys.iter().take(MAX_NAMED).map(|key| format!("`{key}`")).collect();
    match keys.len().saturating_sub(MAX_NAMED) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}
