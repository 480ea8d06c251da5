//! The check: tests the destination step by step with exactly the settings of a run, and says what to change. Leaves
//! neither its object nor its upload behind if the credentials allow removing them.

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

/// Attempts per request: a check reports a problem quickly instead of waiting for it to pass.
const MAX_ATTEMPTS: u32 = 3;
/// Time for one attempt: all of those of a step end before a host's usual patience with a check does, so that a store
/// which accepts connections and is silent fails a step.
const TIMEOUT_MS: u32 = 20_000;
/// Contents of the probe object: always the same, so that a probe left behind does not disturb the next check.
const PROBE: &[u8] = b"batch-export wrote this to check the destination; it can be deleted\n";
const CONTENT_TYPE: &str = "text/plain";

/// The extent of a check: the contract's `check-depth`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    Full,
    /// Only steps that leave nothing behind, even for credentials without s3:DeleteObject.
    Traceless,
}

/// The outcome of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    Failed,
    /// Failed, but the store may be available again later.
    Unavailable,
    Skipped,
}

/// One step: the contract's `check-step`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub name: &'static str,
    pub outcome: Outcome,
    /// The observation and its likely cause.
    pub detail: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// How long the store asked to wait.
    pub retry_after_ms: Option<u64>,
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

/// Checks the destination and returns one entry for each of [`STEPS`]. Fails only as [`KeyNames::new`] does.
pub fn check<I: Imports>(imports: Rc<I>, settings: &Settings, run: &Run, depth: Depth) -> Result<Vec<Step>, Failure> {
    let probe = Probe {
        depth,
        key: KeyNames::new(settings, run)?.probe(),
        store: Store::new(Client::new(imports, Target::new(settings, run)).with_patience(MAX_ATTEMPTS, TIMEOUT_MS)),
    };
    Ok(probe.run())
}

struct Probe<I: Imports> {
    depth: Depth,
    key: String,
    store: Store<I>,
}

/// The outcome of a step, and the reason.
struct Verdict {
    outcome: Outcome,
    reason: Explanation,
    retry_after_ms: Option<u64>,
}

/// The state of the probe object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Not,
    Now,
    /// An object already exists under this key, and `if_none_match` protects it.
    Before,
}

impl<I: Imports> Probe<I> {
    fn run(mut self) -> Vec<Step> {
        let reach = self.reach();
        let verdicts = if reach.outcome != Outcome::Passed {
            let skipped = || skipped("the first step failed".into());
            let [write, read, begin, part, abort, delete] = std::array::from_fn(|_| skipped());
            [reach, write, read, begin, part, abort, delete]
        } else if self.depth == Depth::Traceless {
            let skipped = || skipped("only steps that leave nothing behind were run".into());
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
            .map(|(name, verdict)| Step {
                name,
                outcome: verdict.outcome,
                detail: verdict.reason.message,
                hint: verdict.reason.hint,
                retry_after_ms: verdict.retry_after_ms,
            })
            .collect()
    }

    /// Checks that the store responds. Any response from S3 is accepted: 404, and also 403 and 400, for which HEAD
    /// gives no reason (the next step does).
    fn reach(&mut self) -> Verdict {
        let origin = self.store.client.target().endpoint.origin();
        match self.store.look(&self.key) {
            Ok(_) => passed(format!("{origin} responds")),
            Err(error) => match error.cause.as_ref() {
                Cause::Error(answer) if answer.status == 403 => passed(format!(
                    "{origin} responds (403 to HEAD: the credentials cannot read or are wrong; the next step shows \
                     which)"
                )),
                Cause::Error(answer) if answer.status == 400 && answer.region.is_none() => passed(format!(
                    "{origin} responds (400 to HEAD, which carries no reason; the next step shows it)"
                )),
                _ => failed(error),
            },
        }
    }

    /// Writes the probe object; also returns what may now exist to be read and deleted.
    fn write(&mut self) -> (Verdict, Written) {
        match self.store.put(&self.key, CONTENT_TYPE, PROBE.to_vec()) {
            Ok(stored) => (passed(format!("wrote `{}`", stored.key)), Written::Now),
            // Only an earlier check's probe has this key: the store keeps it, as `if_none_match` requires.
            Err(error) if is_kept(&error) => (
                passed(format!("`{}` already exists from an earlier check", self.key)),
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
            Ok(body) => Verdict::new(
                Outcome::Failed,
                Explanation::new(format!(
                    "read {} bytes, which are not the {} bytes written",
                    body.len(),
                    PROBE.len()
                ))
                .with_hint(
                    "check that no proxy or cache responds in place of the store, and that no other program writes \
                     this key"
                        .to_owned(),
                ),
            ),
            Err(error) if error.is_archived() => skipped(
                "objects in this storage class must be restored before they can be read; a run does not read them"
                    .into(),
            ),
            Err(error) if error.is_forbidden() => skipped(
                Explanation::new(
                    "the credentials do not allow reading; a run does not need it, but cannot tell whether an upload \
                     whose response was lost is complete, and has to start over",
                )
                .with_hint(error.explanation().hint),
            ),
            Err(error) => failed(error),
        }
    }

    /// Starts an upload, sends a part and aborts it, with notes like those of a run, so that `recover` finds it after a
    /// crash.
    fn upload(&mut self) -> [Verdict; 3] {
        let nothing = || skipped("no upload was started".into());
        let (upload_id, begin) = match self.store.create(&self.key, CONTENT_TYPE) {
            Ok(upload) => {
                let id = upload.upload_id().to_owned();
                let begun = passed(format!("started upload `{id}`"));
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
                let lifecycle = "or add a lifecycle rule to the bucket that aborts incomplete uploads".to_owned();
                let told = Explanation {
                    message: format!("{}; a run that fails could not clean up", all.message),
                    hint: joined([all.hint, Some(lifecycle)]),
                };
                Verdict::new(Outcome::Failed, told)
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
            // Nothing is deleted unless it carries the mark of a run of this destination and interval.
            Written::Before => match self.store.look(&self.key) {
                Ok(Seen::Ours(_)) => {}
                _ => return skipped("it is not certain that the object is this check's own".into()),
            },
        }
        match self.store.delete(&self.key) {
            Ok(()) => passed("deleted it"),
            Err(error) if error.is_forbidden() => skipped(
                Explanation::new(format!(
                    "the credentials do not allow deleting, so `{}` remains; a run does not need it, but cannot \
                     remove what an earlier attempt with more files left",
                    self.key
                ))
                .with_hint(error.explanation().hint),
            ),
            Err(error) => {
                let verdict = failed(error);
                let stays = Explanation::new(format!("`{}` may be left behind", self.key));
                Verdict {
                    reason: verdict.reason.with_remark(&stays),
                    ..verdict
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

impl Verdict {
    fn new(outcome: Outcome, reason: Explanation) -> Self {
        Verdict {
            outcome,
            reason,
            retry_after_ms: None,
        }
    }
}

fn passed(detail: impl Into<String>) -> Verdict {
    Verdict::new(Outcome::Passed, Explanation::new(detail))
}

fn skipped(reason: Explanation) -> Verdict {
    Verdict::new(Outcome::Skipped, reason)
}

fn failed(error: impl Into<UploadError>) -> Verdict {
    let error = error.into();
    let reason = error.explanation();
    match Failure::from(error) {
        Failure::Unavailable { retry_after_ms, .. } => Verdict {
            retry_after_ms,
            ..Verdict::new(Outcome::Unavailable, reason)
        },
        Failure::Config(_) | Failure::Refused(_) | Failure::Data(_) | Failure::Defect(_) => {
            Verdict::new(Outcome::Failed, reason)
        }
    }
}
