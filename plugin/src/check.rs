//! The probe: tries the destination with the very settings of a run, step by step, and says what to change. Leaves
//! neither its object nor its upload behind where the credentials allow to remove them.

use std::rc::Rc;

use crate::failure::{Explanation, Failure, joined};
use crate::imports::Imports;
use crate::key::KeyNames;
use crate::s3::client::Client;
use crate::s3::error::Cause;
use crate::s3::reply::Stored;
use crate::s3::request::{Operation, Target};
use crate::settings::{Run, Settings};
use crate::upload::{LeftOpen, NotBegun, Seen, Store, UploadError};

/// A check tells soon that something is wrong rather than wait for it to pass.
const MAX_ATTEMPTS: u32 = 3;
/// What the probe object holds: the same every time, so that a probe left behind does no harm to the next.
const PROBE: &[u8] = b"batch-export wrote this to try the destination; it can be deleted\n";
const CONTENT_TYPE: &str = "text/plain";

/// How far to go: the contract's `check-depth`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    Full,
    /// Nothing that credentials without s3:DeleteObject would leave behind.
    Traceless,
}

/// How one step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    Failed,
    /// Failed, but the store may be back later.
    Unavailable,
    Skipped,
}

/// One step: the contract's `check-step`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub name: &'static str,
    pub outcome: Outcome,
    /// What was observed and the likely cause.
    pub detail: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// The names of the steps, in order.
pub const STEPS: [&str; 7] = [
    "reach",
    "write",
    "read",
    "begin upload",
    "write part",
    "abort upload",
    "delete",
];

/// Try the destination; one entry for each of [`STEPS`]. Fails only as [`KeyNames::new`] does.
pub fn check<I: Imports>(imports: Rc<I>, settings: &Settings, run: &Run, depth: Depth) -> Result<Vec<Step>, Failure> {
    let probe = Probe {
        depth,
        key: KeyNames::new(settings, run)?.probe(),
        store: Store::new(Client::new(imports, Target::new(settings, run)).with_max_attempts(MAX_ATTEMPTS)),
    };
    Ok(probe.run())
}

struct Probe<I: Imports> {
    depth: Depth,
    key: String,
    store: Store<I>,
}

/// How a step went, and why.
struct Verdict {
    outcome: Outcome,
    reason: Explanation,
}

/// Whether the probe object is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Not,
    Now,
    /// Under this key something is there already, and `if_none_match` keeps it.
    Before,
}

impl<I: Imports> Probe<I> {
    fn run(mut self) -> Vec<Step> {
        let reach = self.reach();
        let verdicts = if reach.outcome != Outcome::Passed {
            let skipped = || skipped("the store was not reached".into());
            let [write, read, begin, part, abort, delete] = std::array::from_fn(|_| skipped());
            [reach, write, read, begin, part, abort, delete]
        } else if self.depth == Depth::Traceless {
            let skipped = || skipped("only what leaves nothing behind was tried".into());
            let [begin, part, abort] = self.upload();
            [reach, skipped(), skipped(), begin, part, abort, skipped()]
        } else {
            let (write, written) = self.write();
            let read = match written {
                Written::Not => skipped("nothing was written".into()),
                Written::Now | Written::Before => self.read(),
            };
            let [begin, part, abort] = self.upload();
            let delete = self.delete(written);
            [reach, write, read, begin, part, abort, delete]
        };
        let steps = STEPS.into_iter().zip(verdicts);
        steps
            .map(|(name, Verdict { outcome, reason })| Step {
                name,
                outcome,
                detail: reason.message,
                hint: reason.hint,
            })
            .collect()
    }

    /// Any response of S3's is accepted: 404, and 403 and 400 too, for which HEAD gives no reason (the next step has
    /// it).
    fn reach(&mut self) -> Verdict {
        let origin = self.store.client.target().endpoint.origin();
        match self.store.look(&self.key) {
            Ok(_) => passed(format!("{origin} answers")),
            Err(error) => match error.cause.as_ref() {
                Cause::Error(answer) if answer.status == 403 => passed(format!(
                    "{origin} answers (403 to HEAD: the credentials may not read, or are wrong, which the next step tells)"
                )),
                Cause::Error(answer) if answer.status == 400 && answer.region.is_none() => passed(format!(
                    "{origin} answers (400 to HEAD, which has no room for the reason: the next step tells it)"
                )),
                _ => failed(error),
            },
        }
    }

    /// Also what may be there to read and to delete.
    fn write(&mut self) -> (Verdict, Written) {
        match self.store.put(&self.key, CONTENT_TYPE, PROBE.to_vec()) {
            Ok(stored) => (passed(format!("wrote `{}`", stored.key)), Written::Now),
            // Only an earlier check's probe has this key: the store keeps it, as `if_none_match` asks.
            Err(error) if is_kept(&error) => (
                passed(format!("`{}` is there from an earlier check", self.key)),
                Written::Before,
            ),
            Err(error) => {
                let written = match &error {
                    UploadError::Store(error) if error.doubtful => Written::Now,
                    UploadError::Unproven { .. } => Written::Now,
                    error if error.condemned_key().is_some() => Written::Now,
                    _ => Written::Not,
                };
                (failed(error), written)
            }
        }
    }

    fn read(&mut self) -> Verdict {
        let operation = Operation::GetObject { key: self.key.clone() };
        match self.store.client.call::<Vec<u8>>(operation, Vec::new()).result {
            Ok(body) if body == PROBE => passed("read back what was written"),
            Ok(body) => Verdict {
                outcome: Outcome::Failed,
                reason: Explanation::new(format!(
                    "read {} bytes that are not the {} written",
                    body.len(),
                    PROBE.len()
                ))
                .with_hint(
                    "check that no proxy or cache answers for the store, and that no other program writes this key"
                        .to_owned(),
                ),
            },
            Err(error) if error.is_archived() => skipped(
                "objects of this storage class must be restored before they can be read, and a run does not read them"
                    .into(),
            ),
            Err(error) if error.is_forbidden() => skipped(
                Explanation::new(
                    "the credentials may not read, which a run does not need, but then it cannot tell whether an upload \
                     whose response was lost is complete, and starts over",
                )
                .with_hint(error.explanation().hint),
            ),
            Err(error) => failed(error),
        }
    }

    /// Begin an upload, send a part and abort it, noted like a run's, so that `recover` finds it after a crash.
    fn upload(&mut self) -> [Verdict; 3] {
        let nothing = || skipped("no upload was begun".into());
        let (upload_id, begin) = match self.store.create(&self.key, CONTENT_TYPE) {
            Ok(upload) => {
                let id = upload.upload_id().to_owned();
                let begun = passed(format!("began upload `{id}`"));
                (Some(id), begun)
            }
            Err(NotBegun { upload_id, error }) => (upload_id, failed(*error)),
        };
        let part = upload_id.as_deref().map_or_else(nothing, |id| self.part(id));
        let left_open = self.store.abort_open();
        let left: Vec<Explanation> = left_open.iter().map(LeftOpen::explanation).collect();
        let abort = match (&upload_id, left.as_slice()) {
            (_, [first, rest @ ..]) => {
                let all = rest.iter().fold(first.clone(), |all, next| all.with_remark(next));
                let lifecycle = "or let a lifecycle rule of the bucket abort incomplete uploads".to_owned();
                Verdict {
                    outcome: Outcome::Failed,
                    reason: Explanation {
                        message: format!("{}; a run that fails could not clean up", all.message),
                        hint: joined([all.hint, Some(lifecycle)]),
                    },
                }
            }
            (Some(_), []) => passed("aborted it"),
            (None, []) => nothing(),
        };
        [begin, part, abort]
    }

    fn part(&mut self, upload_id: &str) -> Verdict {
        let operation = Operation::UploadPart {
            key: self.key.clone(),
            upload_id: upload_id.to_owned(),
            part_number: 1,
        };
        match self.store.client.call::<Stored>(operation, PROBE.to_vec()).result {
            Ok(_) => passed("sent a part of it"),
            Err(error) => failed(error),
        }
    }

    fn delete(&mut self, written: Written) -> Verdict {
        match written {
            Written::Now => {}
            Written::Not => return skipped("nothing was written".into()),
            // Nothing is deleted that does not carry the mark of a run of this destination and interval.
            Written::Before => match self.store.look(&self.key) {
                Ok(Seen::Ours(_)) => {}
                _ => return skipped("it is not known that this check's own probe is there".into()),
            },
        }
        match self.store.delete(&self.key) {
            Ok(()) => passed("deleted it"),
            Err(error) if error.is_forbidden() => skipped(
                Explanation::new(format!(
                    "the credentials may not delete, so `{}` stays; a run does not need it, but cannot remove what a \
                     longer earlier attempt left",
                    self.key
                ))
                .with_hint(error.explanation().hint),
            ),
            Err(error) => {
                let Verdict { outcome, reason } = failed(error);
                let stays = Explanation::new(format!("`{}` may be left behind", self.key));
                Verdict {
                    outcome,
                    reason: reason.with_remark(&stays),
                }
            }
        }
    }
}

fn is_kept(error: &UploadError) -> bool {
    match error {
        UploadError::Occupied { .. } => true,
        UploadError::Unproven { error, .. } => error.is_precondition_failed(),
        _ => false,
    }
}

fn passed(detail: impl Into<String>) -> Verdict {
    Verdict {
        outcome: Outcome::Passed,
        reason: Explanation::new(detail),
    }
}

fn skipped(reason: Explanation) -> Verdict {
    Verdict {
        outcome: Outcome::Skipped,
        reason,
    }
}

fn failed(error: impl Into<UploadError>) -> Verdict {
    let error = error.into();
    let reason = error.explanation();
    let outcome = match Failure::from(error) {
        Failure::Unavailable { .. } => Outcome::Unavailable,
        Failure::Config(_) | Failure::Refused(_) | Failure::Data(_) | Failure::Defect(_) => Outcome::Failed,
    };
    Verdict { outcome, reason }
}
